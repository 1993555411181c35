#!/bin/sh
# Starts a command with libpprofshim.so preloaded, after checking that it can
# work.  The command replaces this script: its input, output, process id and
# exit status are its own.  With --pid it is pprof-attach that replaces it, for a
# program that runs already.
set -eu

usage() {
	cat <<'END'
usage: pprof-inject.sh [--port N] [--socket PATH] [--key-file F] [--hz N] [--only PATTERN] [--] command args...
       pprof-inject.sh [--port N] [--key-file F] [--hz N] --pid PID
       pprof-inject.sh --out DIR [--hz N] [--only PATTERN] [--] command args...

Runs the command with /debug/pprof/ on a loopback port, or on a unix socket; or gives a port to a process
that runs.

  --port N         port on 127.0.0.1 (default: PPROF_PORT, else 6060)
  --socket PATH    a unix socket instead of the port, or with --port beside it; who is the
                   same user or root needs no key there
  --key-file F     file that holds the key; without it ADMIN_KEY or ADMIN_KEY_FILE is used,
                   and without those a key is made and printed, good for this run
  --hz N           CPU samples per second and thread, 1 to 1000 (default 100)
  --only PATTERN   only programs whose name matches, for commands that start the real one
  --pid PID        the process that runs already, instead of a command (see pprof-attach --help)
  --out DIR        no port and no key: profiles of the command and of all that it starts are
                   written to files in DIR (made if it is not there), and at the end the ten
                   functions that used most CPU time are printed
  --help           this text

Exit status: that of the command; 2 when the request makes no sense as it stands,
126 when the command cannot be profiled in this way, 127 when it is not there.
END
}

refuse() { # STATUS SENTENCE
	status=$1
	shift
	echo "pprof-inject: $*" >&2
	exit "$status"
}

note() {
	echo "pprof-inject: $*" >&2
}

# ---- settings

is_number() { # TEXT LOW HIGH
	case $1 in
	'' | *[!0-9]* | ??????????????*) return 1 ;;
	esac
	[ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

check_settings() {
	[ "$port" = off ] || is_number "$port" 1 65535 ||
		refuse 2 "'$port' is not a port; give --port (or PPROF_PORT) a number from 1 to 65535"
	case $socket in
	/?* | @?*) ;;
	'') [ "$port$out" != off ] || refuse 2 "without a port nobody could ask; name a socket with --socket" ;;
	*) refuse 2 "'$socket' is not a socket's name; give --socket (or PPROF_SOCKET) a path from the root," \
		"or @ and a name" ;;
	esac
	is_number "$hz" 1 1000 ||
		refuse 2 "'$hz' is not a sampling rate; give --hz (or PPROF_HZ) a number from 1 to 1000"
}

refuse_value() { # NAME VALUE WANTED
	refuse 2 "$1 is '$2' but must be $3"
}

check_number() { # NAME VALUE HIGH WANTED
	[ -z "$2" ] || is_number "$2" 0 "$3" || refuse_value "$1" "$2" "$4"
}

# Of a process that runs, pprof-attach checks these; here the library would, behind the address.
check_rates() {
	check_number PPROF_HEAP_RATE "${PPROF_HEAP_RATE:-}" 1099511627776 "bytes per sample, 0 (off) or more"
	check_number PPROF_HEAP_MMAP "${PPROF_HEAP_MMAP:-}" 1 "0 (off) or 1"
	check_number PPROF_BLOCK_RATE "${PPROF_BLOCK_RATE:-}" 100000000000 "nanoseconds, 0 (off) to 100 s"
	check_number PPROF_MUTEX_FRACTION "${PPROF_MUTEX_FRACTION:-}" 1000000 "a number, 0 (off) to a million"
	check_number PPROF_RWLOCK_READERS "${PPROF_RWLOCK_READERS:-}" 1 "0 (off) or 1"
	case ${PPROF_TREE:-1} in
	0 | 1 | any) ;;
	*) refuse_value PPROF_TREE "$PPROF_TREE" "0, 1 or any" ;;
	esac
}

# What it names is checked by the library, which says so on stderr.
check_files() {
	[ -z "$out${PPROF_OUT:-}" ] || return 0
	[ -z "${PPROF_OUT_PROFILES:-}" ] ||
		refuse 2 "PPROF_OUT_PROFILES says which files, but nothing where; give --out (or PPROF_OUT) a directory"
	[ -z "${PPROF_TOGGLE:-}" ] ||
		refuse 2 "PPROF_TOGGLE has files written, but nothing says where; give PPROF_OUT a directory"
}

# For a first try without thinking: 128 random bits.
make_key() {
	made=$(od -An -v -tx1 -N 16 /dev/urandom | tr -d ' \n')
	[ ${#made} = 32 ] || refuse 2 "no key, and none could be made from /dev/urandom; set ADMIN_KEY"
	export ADMIN_KEY="$made"
}

# A file named in any way wins over ADMIN_KEY, here as in the library.
check_key() {
	if [ -z "$key_file" ] && [ "$port" = off ]; then
		return 0
	fi
	if [ -z "$key_file" ]; then
		[ -n "${ADMIN_KEY-new}" ] ||
			refuse 2 "no key; ADMIN_KEY is empty: set it, unset it to have a key made, or name a" \
				"file that holds one with --key-file"
		[ -n "${ADMIN_KEY:-}" ] || make_key
		return 0
	fi
	if [ ! -f "$key_file" ] || [ ! -r "$key_file" ]; then
		refuse 2 "the key file $key_file cannot be read; check its name and permissions"
	fi
	key=
	read -r key <"$key_file" || true
	[ -n "$key" ] || refuse 2 "the key file $key_file has no key in its first line; write one"
	unset key
	case $key_file in
	/*) ;;
	*) key_file=$PWD/$key_file ;;
	esac
}

# A listener on 127.0.0.1, or on every address of either protocol, is in the way.
check_port() {
	[ "$port" != off ] || return 0
	# The library may be in this very shell already, and hold the port until exec.
	case ${LD_PRELOAD:-} in
	*libpprofshim.so*) return ;;
	esac
	hex=$(printf '%04X' "${port#"${port%%[!0]*}"}") # no zeros in front: they mean octal
	for table in /proc/net/tcp /proc/net/tcp6; do
		[ -r $table ] || continue
		while read -r _ address _ state _; do
			case $state:$address in
			0A:0100007F:"$hex" | 0A:00000000:"$hex") ;;
			0A:00000000000000000000000000000000:"$hex" | 0A:0000000000000000FFFF00000100007F:"$hex") ;;
			*) continue ;;
			esac
			refuse 2 "port $port is taken by another process; choose a free one with --port"
		done <$table
	done
}

# ---- the library

find_library() {
	self=$(readlink -f "$0")
	here=${self%/*}
	for library in "$here/libpprofshim.so" "$here/build/libpprofshim.so" \
		"${here%/*}/lib/pprofshim/libpprofshim.so" "${here%/*}/lib/libpprofshim.so"; do
		if [ -r "$library" ]; then
			break
		fi
	done
	[ -r "$library" ] || refuse 2 "libpprofshim.so is not to be found; run make, or make install"
	case $library in
	*[:\ ]*) refuse 2 "$library has a colon or a blank in its path, and LD_PRELOAD allows neither; move it" ;;
	esac
}

# ---- a process that runs

attach() {
	self=$(readlink -f "$0")
	here=${self%/*}
	for tool in "$here/pprof-attach" "$here/build/pprof-attach"; do
		[ ! -x "$tool" ] || exec "$tool" ${key_given:+--key-file "$key_file"} -- "$pid"
	done
	refuse 2 "pprof-attach is not to be found; run make, or make install"
}

# ---- the command

find_command() { # sets file
	case $1 in
	*/*) file=$1 ;;
	*) file=$(in_path "$1") ;;
	esac
	[ -e "$file" ] || refuse 127 "$1: no such command; check the spelling, or give its path"
	if [ ! -f "$file" ] || [ ! -x "$file" ]; then
		refuse 126 "$1 is not an executable file; make it one (chmod +x), or name what runs it"
	fi
}

# The file that the kernel will be given.  (command -v would name builtins.)
in_path() {
	name=$1
	IFS=:
	set -f
	for folder in $PATH; do
		if [ -f "${folder:-.}/$name" ] && [ -x "${folder:-.}/$name" ]; then
			echo "${folder:-.}/$name"
			return
		fi
	done
}

# The little-endian number of $3 bytes (at most 4) at offset $2 of file $1.
number_at() {
	# shellcheck disable=SC2046 # one word per byte
	set -- $(od -An -v -tu1 -j "$2" -N "$3" "$1") 0 0 0
	echo $(($1 + $2 * 256 + $3 * 65536 + ${4:-0} * 16777216))
}

starts_with() { # FILE OCTAL...: its first bytes
	start_of=$1
	shift
	[ "$(od -An -v -to1 -N $# "$start_of" | tr -d '\n')" = "$(printf ' %s' "$@")" ]
}

check_program() { # FILE NAME
	if [ ! -r "$1" ]; then
		note "$2 cannot be read, so what kind of program it is remains unchecked"
	elif starts_with "$1" 177 105 114 106; then
		check_elf "$1" "$2"
	elif starts_with "$1" 043 041; then
		check_script "$1" "$2"
	else
		check_wrapper "$2" sh
	fi
	check_privilege "$1" "$2"
}

check_elf() {
	[ "$(number_at "$1" 4 1)" = "$(number_at "$library" 4 1)" ] ||
		refuse 126 "$2 is a 32-bit program, and libpprofshim.so is not; use a 64-bit build of it"
	[ "$(number_at "$1" 18 2)" = "$(number_at "$library" 18 2)" ] ||
		refuse 126 "$2 is built for another processor than libpprofshim.so; use a native build of it"
	interpreter=$(loader_of "$1")
	case $interpreter:${1##*/} in
	:ld-*) ;; # the loader itself, given a program to run
	:*) refuse 126 "$2 is a static executable, and nothing can be preloaded into one; link it dynamically" \
		"(a Go program has net/http/pprof of its own)" ;;
	*ld-musl*) refuse 126 "$2 is built for musl, and libpprofshim.so is for glibc; use a glibc build of it" ;;
	esac
}

# The path in PT_INTERP, nothing for a static executable.
loader_of() {
	header=$(number_at "$1" 32 4)
	count=$(number_at "$1" 56 2)
	while [ "$count" -gt 0 ]; do
		if [ "$(number_at "$1" "$header" 4)" = 3 ]; then
			dd if="$1" bs=1 skip="$(number_at "$1" $((header + 8)) 4)" \
				count="$(number_at "$1" $((header + 32)) 4)" 2>/dev/null | tr -d '\0'
			return
		fi
		header=$((header + 56))
		count=$((count - 1))
	done
}

# The interpreter of a script is what gets the library.
check_script() {
	read -r line <"$1" || true
	script_name=$2
	set -f
	# shellcheck disable=SC2086 # the interpreter and its arguments
	set -- ${line#??}
	set +f
	case ${1:-} in
	*/env)
		shift
		while [ $# -gt 0 ]; do
			case $1 in
			-* | *=*) shift ;;
			*) break ;;
			esac
		done
		;;
	esac
	[ $# -gt 0 ] || return 0
	check_wrapper "$script_name" "${1##*/}"
	find_command "$1"
	if starts_with "$file" 177 105 114 106; then
		check_elf "$file" "${1##*/} (which runs $script_name)"
	fi
}

check_wrapper() {
	[ -n "$only" ] || [ "${PPROF_TREE:-1}" != 0 ] || note "$1 is a script, and $2, which runs it, takes the port;" \
		"with PPROF_TREE=0 what it starts is not in profiles; say --only NAME, or leave PPROF_TREE out"
}

# Programs that gain privileges by being started ignore LD_PRELOAD.
check_privilege() {
	owner=$(stat -L -c %u "$1")
	group=$(stat -L -c %g "$1")
	{ [ -u "$1" ] && [ "$owner" != "$(id -u)" ]; } || { [ -g "$1" ] && [ "$group" != "$(id -g)" ]; } ||
		has_capabilities "$1" || return 0
	refuse 126 "$2 gains privileges when it starts (setuid, setgid or file capabilities), and then nothing" \
		"is preloaded; start it as the user it is meant to become, from a copy without them"
}

# File capabilities count for everybody but root.  They can be seen with getcap
# or getfattr; without either tool such a program starts, unprofiled.
has_capabilities() {
	[ "$(id -ru)" != 0 ] || return 1
	PATH=$PATH:/usr/sbin:/sbin
	if command -v getcap >/dev/null; then
		[ -n "$(getcap "$1" 2>/dev/null)" ]
	elif command -v getfattr >/dev/null; then
		getfattr -n security.capability "$1" >/dev/null 2>&1
	else
		return 1
	fi
}

# ---- profiles as files

prepare_out() {
	mkdir -p "$out" 2>/dev/null || refuse 2 "$out cannot be made; give --out a directory that you can write to"
	marker=$(mktemp "$out/.pprof-inject.XXXXXX" 2>/dev/null) ||
		refuse 2 "$out cannot be written to; give --out a directory of yours"
	kinds=${PPROF_OUT_PROFILES:-cpu,heap}
	keeps_top=
	case ,$kinds, in
	*,top,*) keeps_top=yes ;;
	*) kinds=$kinds,top ;;
	esac
	# The slash, behind which names of our own begin: no % of the directory's is in them.
	PPROF_OUT=$(cd "$out" && pwd | sed 's/%/%%/g')/
	export PPROF_OUT_PROFILES="$kinds" PPROF_OUT
}

# What was written since the start, added up: lines of flat, cum and name, which may hold blanks.
top_files() {
	find "$out" -maxdepth 1 -newer "$marker" -name '*.top.txt' "$@"
}

print_top() {
	files=$(find "$out" -maxdepth 1 -newer "$marker" -name '*.pb.gz' | wc -l)
	top_files -exec cat {} + | FILES="$files in $out" awk '
		{
			name = substr($0, length($1) + length($2) + 3)
			flat[name] += $1
			cum[name] += $2
			all += $1
		}
		END {
			printf "9e99 pprof-inject: %.2f s of CPU time; profiles written: %s\n", all / 1e9, ENVIRON["FILES"]
			if (all)
				printf "8e99        flat   flat%%        cum    cum%%  function\n"
			for (name in cum)
				printf "%.0f %10.3fs %6.2f%% %9.3fs %6.2f%%  %s\n", flat[name], flat[name] / 1e9,
					100 * flat[name] / all, cum[name] / 1e9, 100 * cum[name] / all, name
		}' | sort -s -k1,1gr | head -n 12 | sed 's/^[^ ]* //' >&2
}

# The command is a child, and has what it would have in our place: input, signals, the
# terminal.  Ctrl-C reaches it by itself; what is sent to us alone is sent on.
run_to_files() {
	exec 3<&0
	set -- LD_PRELOAD="$preload" "$@"
	if env --default-signal=INT,QUIT true 2>/dev/null; then # a shell ignores them in such a child
		set -- --default-signal=INT,QUIT "$@"
	fi
	trap : INT QUIT
	env "$@" <&3 3<&- &
	child=$!
	exec 3<&-
	for name in TERM HUP USR1 USR2; do
		# shellcheck disable=SC2064 # its name is known now
		trap "kill -$name $child 2>/dev/null" $name
	done
	status=0
	wait $child || status=$?
	while kill -0 $child 2>/dev/null; do # a signal to us ended the wait
		status=0
		wait $child || status=$?
	done
	print_top
	[ -n "$keeps_top" ] || top_files -exec rm -f {} +
	rm -f "$marker"
	exit $status
}

# ---- start

tell_socket() {
	option=--unix-socket name=$socket
	case $name in
	@*) option=--abstract-unix-socket name=${name#@} ;;
	esac
	cat >&2 <<-END
		pprof-inject: $socket
		  curl -fsS $option '$name' -o cpu.pb.gz 'http://localhost/debug/pprof/profile?seconds=5'
		  go tool pprof -top cpu.pb.gz
	END
}

# The key goes to curl through a pipe: arguments can be seen by everybody.
tell() {
	[ -z "$socket" ] || tell_socket
	[ "$port" != off ] || return 0
	url=http://127.0.0.1:$port/debug/pprof
	address=$url/
	if [ -n "${made:-}" ]; then
		address=http://pprof:$made@127.0.0.1:$port/debug/pprof/
		header="echo 'Authorization: Bearer $made'" # built in, so that no list of processes has it
	elif [ -n "$key_file" ]; then
		header="sed 's/^/Authorization: Bearer /' '$key_file'"
	else
		# shellcheck disable=SC2016 # for the reader's shell
		header='printf "Authorization: Bearer %s\n" "$ADMIN_KEY"'
	fi
	cat >&2 <<-END
		pprof-inject: $address
		  $header | curl -fsS -H @- -o cpu.pb.gz '$url/profile?seconds=5'
		  go tool pprof -top cpu.pb.gz
	END
}

key_file=${ADMIN_KEY_FILE:-}
made='' out='' port_given='' socket_given=''
pid=
while [ $# -gt 0 ]; do
	case $1 in
	--port | --socket | --out | --key-file | --hz | --only | --pid)
		[ $# -gt 1 ] || refuse 2 "$1 needs a value; see --help"
		option=$1=$2
		shift 2
		;;
	--*=*)
		option=$1
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	--)
		shift
		break
		;;
	-*) refuse 2 "no such option: $1; see --help" ;;
	*) break ;;
	esac
	value=${option#*=}
	case $option in
	--port=*) export PPROF_PORT="$value" port_given=yes ;;
	--socket=*) export PPROF_SOCKET="$value" socket_given=yes ;;
	--out=*) out=$value ;;
	--hz=*) export PPROF_HZ="$value" ;;
	--only=*) export PPROF_ONLY="$value" ;;
	--pid=*) pid=$value ;;
	--key-file=*) key_file=$value key_given=yes ;;
	*) refuse 2 "no such option: ${option%%=*}; see --help" ;;
	esac
done
if [ -n "$out$socket_given" ] && [ -z "$port_given" ]; then
	export PPROF_PORT=off
fi
port=${PPROF_PORT:-6060}
socket=${PPROF_SOCKET:-}
hz=${PPROF_HZ:-100}
only=${PPROF_ONLY:-}

if [ -n "$pid" ]; then
	[ $# = 0 ] || refuse 2 "--pid $pid and a command ($1): one of the two"
	attach
fi
[ $# -gt 0 ] || refuse 2 "no command given; say what to run, as in: pprof-inject.sh redis-server"
check_settings
check_rates
check_files
check_key
find_library
find_command "$1"
(check_program "$file" "$1")
check_port
tell
if [ -n "${key_given:-}" ]; then
	export ADMIN_KEY_FILE="$key_file"
fi
case :${LD_PRELOAD:-}: in
*[:\ ]"$library"[:\ ]*) preload=$LD_PRELOAD ;;
*) preload="${LD_PRELOAD:+$LD_PRELOAD:}$library" ;;
esac
if [ -n "$out" ]; then
	prepare_out
	run_to_files "$@"
fi
# Only now, for every program started from here on is preloaded too.
export LD_PRELOAD="$preload"
exec "$@"
