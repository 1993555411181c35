#!/bin/bash
# Runs every benchmark and prints one table, the worst first.  Results stay in
# $BUILD/bench/results.jsonl, one JSON object a line, the first about the machine.
# QUICK=1: a third of the rounds, about three minutes.
#
# Ends with 0 unless something could not be measured; a result that falls short
# of its budget is a result.
#
# usage: BUILD=build [QUICK=1] bench/run.sh [NAME...]
set -eu

BUILD=${BUILD:-build}
export BUILD
names=${*:-handler locks learn walk threads_dump answer start idle_redis truth}
missed=

export BENCH_RESULTS=$PWD/$BUILD/bench/results.jsonl
export BENCH_PLUGIN=$PWD/$BUILD/bench/plugin.so

install_peers() {
	if .ci/deps.sh bench 2>/dev/null; then
		return
	fi
	command -v valgrind >/dev/null && command -v redis-server >/dev/null &&
		ldconfig -p | grep -q 'libprofiler\.so' && return
	[ "$(id -u)" = 0 ] || return 0
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y \
		--no-install-recommends valgrind redis-server redis-tools libgoogle-perftools4 \
		</dev/null >/dev/null || echo "bench: apt-get failed; measuring what can be" >&2
}

# Debug information to read lines from; takes half a minute, once.
build_plugin() {
	[ "$BENCH_PLUGIN" -nt bench/plugin.cc ] && return
	echo "compiling $BENCH_PLUGIN"
	"${CXX:-g++}" -std=c++17 -g -O2 -fPIC -shared -o "$BENCH_PLUGIN" bench/plugin.cc
}

head_line() {
	local cpu memory commit

	cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	memory=$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
	commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
	cat <<-END | tr '\n' ' '
		{"machine": "${cpu:-unknown}, $(nproc) processors, $memory",
		"kernel": "$(uname -sr), glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2)",
		"versions": "$(gcc --version | head -n 1), $(redis-server --version | cut -d' ' -f1-3), $(valgrind --version)",
		"commit": "$commit",
		"taken": "$(date -u '+%Y-%m-%d %H:%M UTC'), load $(cut -d' ' -f1-3 /proc/loadavg)"}
	END
	echo
}

run() {
	echo "== $1"
	case $1 in
	idle_redis | truth) timeout 1200 python3 "bench/$1.py" ;;
	*) timeout 600 "$BUILD/bench/$1" ;;
	esac || missed="$missed $1"
}

install_peers
mkdir -p "$BUILD/bench"
build_plugin
head_line >"$BENCH_RESULTS"
for name in $names; do
	run "$name"
done
echo
python3 bench/table.py "$BENCH_RESULTS" | tee "$BUILD/bench/table.txt"
if [ -n "$missed" ]; then
	echo "not measured, or not all of it:$missed" >&2
	exit 1
fi
