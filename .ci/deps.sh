#!/bin/sh
# Installs what is missing to build, test, demonstrate or develop pprofshim on
# Debian and its relatives, in one round for all groups named.  When everything
# is there it prints nothing and is done in a blink, so that every make target
# can call it.  One line for each step; what apt and dpkg say is in build/deps.log.
#
# usage: [TARGET=chat|redis|nginx] .ci/deps.sh GROUP...
#        GROUP is build, test, demo (of TARGET), gates, dev, bench, ab or all
set -eu

# One need per word: a package, or package=command when any other provider of
# the command will do (another Go, another nginx), or package? when tests do
# without it where the archive has none of that name.
BUILD='gcc libc6-dev make binutils dpkg-dev xz-utils patch autoconf automake libtool pkg-config=pkg-config
protobuf-c-compiler libprotobuf-c-dev zlib1g-dev libzstd-dev liblzma-dev libiberty-dev'
SERVERS='redis-server=redis-server redis-tools=redis-benchmark nginx-light=nginx'
DEMO='curl golang-go=go'
OTHERS='apache2-bin? dnsmasq-base? memcached? gunicorn? php-cli? luajit? erlang-base? libeatmydata1? libfaketime? libjemalloc2?
libgrpc++-dev? dwz? lld? mold? protobuf-compiler? protobuf-compiler-grpc? chromium? libmimalloc2.0? libmimalloc3? libgoogle-perftools4? libgoogle-perftools4t64? google-perftools? libjemalloc-dev?'
TEST="$DEMO $SERVERS wrk g++ check python3=python3 gdb libc6-dbg strace graphviz libcap2-bin rustc=rustc $OTHERS"
BENCH="g++ valgrind golang-go=go python3=python3 wrk $SERVERS memcached=memcached
libmemcached-tools=memcaslap postgresql=pgbench
libgoogle-perftools4? libgoogle-perftools4t64? libjemalloc2 heaptrack
linux-perf=perf"
AB="$SERVERS tcl=tclsh sqlite3 stress-ng python-tests postgresql postgresql-server-dev-all"
# Of a compiler for another processor only what looks at syntax, and its C library's headers.
GATES='cpp-aarch64-linux-gnu? libc6-dev-arm64-cross?'
DEV='clang clang-format clang-tidy clang-runtime shellcheck valgrind'

LOG=build/deps.log

# Servers and their tools live here, and not every user's PATH says so.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

die() {
	echo "deps: $*" >&2
	exit 1
}

needs_of_demo() {
	echo "$DEMO"
	case ${TARGET:-chat} in
	chat) ;;
	redis) echo 'redis-server=redis-server redis-tools=redis-benchmark' ;;
	nginx) echo 'nginx-light=nginx wrk' ;;
	*) die "TARGET is chat, redis or nginx, not \"$TARGET\"" ;;
	esac
}

needs_of() { # GROUP...
	echo "$BUILD"
	for group in "$@"; do
		case $group in
		build) ;;
		test) echo "$TEST" ;;
		demo) needs_of_demo ;;
		gates) echo "$GATES" ;;
		dev) echo "$DEV" ;;
		bench) echo "$BENCH" ;;
		ab) echo "$TEST $AB" ;;
		all) echo "$TEST $GATES $DEV" ;;
		*) die "there is no group \"$group\" of packages" ;;
		esac
	done
}

# Drops the needs that a command in PATH already meets.
packages_of() {
	for need in $(needs_of "$@"); do
		case $need in
		*=*) command -v "${need#*=}" >/dev/null || echo "${need%%=*}" ;;
		*\?) known "${need%\?}" ;;
		clang-runtime) clang_runtime_package ;;
		python-tests) python_tests_package ;;
		*) echo "$need" ;;
		esac
	done
}

is_installed() {
	dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

# Of a name that other packages only mention, nothing is shown.
has_candidate() {
	apt-cache show "$1" 2>/dev/null | grep -q '^Package: '
}

# The package, if it is there or can be had.
known() {
	if is_installed "$1" || has_candidate "$1"; then
		echo "$1"
	fi
}

# Sanitizers and the fuzzer come in a package named after clang's version.
clang_runtime_package() {
	depends=$(dpkg-query -W -f='${Depends}' clang 2>/dev/null ||
		apt-cache show clang 2>/dev/null | sed -n 's/^Depends: //p')
	version=$(echo "$depends" | grep -o 'clang-[0-9]*' | head -n 1)
	version=${version#clang-}
	if [ -n "$version" ]; then
		echo "libclang-rt-$version-dev"
	fi
}

# Python's own tests come in a package named after its version.
python_tests_package() {
	version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
	if [ -n "$version" ]; then
		known "libpython$version-testsuite"
	fi
}

# Of the packages named on stdin, those that are not installed.
missing_of() {
	wanted=$(sort -u)
	# shellcheck disable=SC2086 # one word per package
	installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
		sed -n 's/ installed$//p' | sort -u)
	for package in $wanted; do
		echo "$installed" | grep -qxF "$package" || echo "$package"
	done
}

missing_for() {
	packages_of "$@" | missing_of | tr '\n' ' '
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q \
		-o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null >>$LOG 2>&1
}

# Installing a server package starts the server, unless a policy forbids it.
# Ours stands only while packages are being installed; one that was there
# before comes back.
POLICY=/usr/sbin/policy-rc.d

forbid_services() {
	trap allow_services EXIT
	trap 'exit 1' HUP INT TERM
	if [ -e $POLICY ] && ! grep -q pprofshim $POLICY; then
		as_root mv $POLICY $POLICY.pprofshim-saved
	fi
	printf '#!/bin/sh\n# temporary: pprofshim installs packages\nexit 101\n' |
		as_root sh -c "cat >$POLICY && chmod 755 $POLICY"
}

allow_services() {
	as_root rm -f $POLICY
	if [ -e $POLICY.pprofshim-saved ]; then
		as_root mv $POLICY.pprofshim-saved $POLICY
	fi
	trap - EXIT
}

# A server that we brought must not run, not even after the next boot.
retire() {
	case " $missing " in
	*" $1 "*) ;;
	*) return 0 ;;
	esac
	as_root update-rc.d "$2" disable >/dev/null 2>&1 || true # systemd units too
	if cat /proc/[0-9]*/comm 2>/dev/null | grep -qxF "$3"; then
		echo "deps: a $3 is running; it was not started by this script" >&2
	fi
}

install_missing() { # GROUP...
	: >$LOG
	echo 'deps: reading the lists of packages'
	apt update || echo "deps: apt-get update failed, trying with what is known; see $LOG" >&2
	# What could not be named before the package lists were there.
	missing=$(missing_for "$@")
	echo "deps: installing $missing"
	forbid_services
	# shellcheck disable=SC2086 # one word per package
	apt install -y --no-install-recommends --no-remove $missing || {
		grep -E '^[EW]: ' $LOG | tail -n 5 >&2 || true
		die "apt-get install failed, see $LOG"
	}
	allow_services
	retire redis-server redis-server redis-server
	retire nginx-light nginx nginx
	retire memcached memcached memcached
	retire postgresql postgresql postgres
}

[ $# != 0 ] || set -- all
needs_of "$@" >/dev/null
if ! command -v dpkg-query >/dev/null; then
	echo "deps: not a Debian system, nothing installed; by Debian's names these are needed:" >&2
	needs_of "$@" >&2
	exit 0
fi
missing=$(missing_for "$@")
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
	die "missing, and neither root nor sudo to install them: $missing"
fi
# Of two runs of make at once the second waits and looks again.
mkdir -p build
exec 9>build/deps.lock
flock 9
missing=$(missing_for "$@")
[ -z "$missing" ] || install_missing "$@"
