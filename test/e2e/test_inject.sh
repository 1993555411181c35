#!/bin/bash
# pprof-inject.sh: every refusal with its sentence and status, and that a
# command which starts is not changed by having been started this way.
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u

root=$PWD
build=$root/${BUILD:-build}
build=${build/#"$root"\/\//\/}
inject=$root/pprof-inject.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# shellcheck source=test/e2e/ok.sh
. "$root/test/e2e/ok.sh"

# The launcher finds the library beside itself or in build/ beside itself; a
# copy of both works for any BUILD.
cp "$inject" pprof-inject.sh
cp "$build/libpprofshim.so" libpprofshim.so || exit 1
inject=$work/pprof-inject.sh
export ADMIN_KEY=secret-of-the-test
unset ADMIN_KEY_FILE PPROF_PORT PPROF_HZ PPROF_ONLY LD_PRELOAD

# A port that nobody holds.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
PPROF_PORT=$(free_port)
export PPROF_PORT

# refuses WHAT STATUS WORDS [inject arguments]: status, words on stderr, nothing on stdout.
refuses() {
	local what=$1 want=$2 words=$3 status
	shift 3
	"$inject" "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && grep -qF -- "$words" err && [ ! -s out ] && [ "$(grep -c . err)" = 1 ]
	ok $? "$what is refused ($(tr '\n' ' ' <err) status $status, not $want)"
}

# ---- refusals

refuses 'no command' 2 'no command given'
refuses 'no command after --' 2 'no command given' --
refuses 'an unknown option' 2 'no such option: --prot' --prot 1 true
refuses 'an unknown option with =' 2 'no such option: --prot' --prot=1 true
refuses 'a short option' 2 'no such option: -p' -p 1 true
refuses 'a process and a command' 2 '--pid 1 and a command (true): one of the two' --pid 1 true
refuses 'a process without the tool' 2 'pprof-attach is not to be found' --pid 1
refuses 'an option without its value' 2 '--port needs a value' --port
for port in 0 65536 -1 abc 80x 99999999999999999999 ' 80'; do
	refuses "port '$port'" 2 "'$port' is not a port" --port "$port" true
done
for hz in 0 1001 1.5 fast; do
	refuses "rate '$hz'" 2 "'$hz' is not a sampling rate" --hz "$hz" true
done
PPROF_PORT=http refuses 'a bad PPROF_PORT' 2 "'http' is not a port" true
PPROF_HZ=often refuses 'a bad PPROF_HZ' 2 "'often' is not a sampling rate" true

# Everything that the library would refuse behind the address that was printed.
for setting in HEAP_RATE=lots HEAP_RATE=1099511627777 HEAP_RATE=-1 HEAP_MMAP=2 BLOCK_RATE=100000000001 \
	MUTEX_FRACTION=1000001 RWLOCK_READERS=yes TREE=2 TREE=off; do
	export "PPROF_$setting"
	refuses "PPROF_$setting" 2 "PPROF_${setting%%=*} is '${setting#*=}' but must be" true
	unset "PPROF_${setting%%=*}"
done
PPROF_OUT_PROFILES=cpu refuses 'PPROF_OUT_PROFILES alone' 2 'nothing where' true
PPROF_TOGGLE=USR1 refuses 'PPROF_TOGGLE alone' 2 'nothing says where' true
PPROF_HEAP_RATE=1099511627776 PPROF_BLOCK_RATE=0 PPROF_TREE=any PPROF_TMPDIR=/tmp "$inject" true 2>err &&
	! grep -q 'pprofshim\|must be' err
ok $? "good settings, and one of go tool pprof's ($(cat err))"
PPROF_HEAPRATE=1 PPROF_TREES=0 "$inject" sh -c '/bin/true; :' 2>err &&
	[ "$(grep -c 'pprofshim: no setting has this name, so it has no effect:.*PPROF_' err)" = 1 ] &&
	grep -q PPROF_HEAPRATE err && grep -q PPROF_TREES err && ! grep -q 'profiling is off' err
ok $? "misspelt settings are told once, by the library ($(cat err))"

for socket in relative / @; do
	refuses "socket '$socket'" 2 "'$socket' is not a socket's name" --socket "$socket" true
done
PPROF_PORT=off refuses 'no port and no socket' 2 'without a port nobody could ask' true

ADMIN_KEY='' refuses 'an empty key' 2 'no key; ADMIN_KEY is empty: set it' true
# Without any a key is made: what is printed is all that is needed.
(
	unset ADMIN_KEY
	"$inject" sh -c 'echo "$ADMIN_KEY"' >out 2>err &&
		key=$(cat out) && [ ${#key} = 32 ] &&
		grep -qF "http://pprof:$key@127.0.0.1:$PPROF_PORT/debug/pprof/" err &&
		"$inject" sh -c 'echo "$ADMIN_KEY"' >out 2>/dev/null && [ "$(cat out)" != "$key" ]
)
ok $? "a key is made when there is none, each time another ($(cat err))"
(
	unset ADMIN_KEY
	"$inject" sleep 60 >out 2>err & disown
	server=$!
	trap 'kill $server' EXIT
	for _ in $(seq 100); do
		url=$(grep -o 'http://pprof:.*' err) && curl -fsS "$url" >page 2>curl.err && break
		sleep 0.1
	done
	grep -q 'Profiles' page && sh -c "$(grep curl err | sed 's/seconds=5/seconds=1/')" && [ -s cpu.pb.gz ]
) 2>/dev/null
ok $? "the address that is printed opens, and the command works ($(cat err curl.err))"
for socket in "$work/a socket" "@inject-test-$$"; do
	(
		unset ADMIN_KEY PPROF_PORT
		"$inject" --socket "$socket" sh -c 'echo "key:$ADMIN_KEY port:$PPROF_PORT"; exec sleep 60' >out 2>err & disown
		server=$!
		trap 'kill $server' EXIT
		for _ in $(seq 100); do
			command=$(grep curl err | sed 's/seconds=5/seconds=1/') && [ -n "$command" ] && sh -c "$command" 2>curl.err && break
			sleep 0.1
		done
		[ -s cpu.pb.gz ] && rm cpu.pb.gz && [ "$(cat out)" = 'key: port:off' ] && ! grep -q 127.0.0.1 err
	) 2>/dev/null
	ok $? "$socket: the command that is printed works, without a key ($(cat err curl.err))"
done
(
	"$inject" --socket "$work/beside" --port "$PPROF_PORT" sh -c 'echo "$PPROF_PORT"' >out 2>err
	[ "$(cat out)" = "$PPROF_PORT" ] && grep -q 127.0.0.1 err && grep -q -- '--unix-socket' err
)
ok $? "a socket beside the port ($(cat err))"
: >empty
printf '\nsecond line\n' >blank
printf 'key-in-file' >key
chmod 600 key
refuses 'a missing key file' 2 'cannot be read' --key-file "$work/nowhere" true
refuses 'an empty key file' 2 'has no key' --key-file empty true
refuses 'a key file with an empty first line' 2 'has no key' --key-file=blank true
refuses 'a directory as key file' 2 'cannot be read' --key-file "$work" true
ADMIN_KEY_FILE=nowhere refuses 'a missing ADMIN_KEY_FILE' 2 'nowhere cannot be read' true

refuses 'a command that is not there' 127 'no-such-command: no such command' no-such-command
refuses 'a path that is not there' 127 './no-such: no such command' ./no-such
echo text >plain
refuses 'a file that is not executable' 126 'plain is not an executable file' ./plain
refuses 'a directory' 126 'is not an executable file' "$work"

printf 'int main(void) { return 0; }\n' >main.c
gcc -o dynamic main.c && gcc -static -o static main.c && gcc -static-pie -o static-pie main.c
refuses 'a static executable' 126 'static is a static executable' ./static
refuses 'a static position independent executable' 126 'is a static executable' ./static-pie

# Headers are enough to be refused: class 1 is 32 bit, machine 183 is aarch64.
patched() { # FILE OFFSET BYTE
	cp dynamic "$1" && printf '%b' "\\x$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
patched bits32 4 01
patched aarch64 18 b7
refuses 'a 32-bit program' 126 'bits32 is a 32-bit program' ./bits32
refuses 'a program for another processor' 126 'built for another processor' ./aarch64
gcc -o musl main.c -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
refuses 'a musl program' 126 'musl is built for musl' ./musl

# Another user's setuid program; root may make one, and another user may run it.
if [ "$(id -u)" = 0 ]; then
	cp dynamic setuid && chown 65534 setuid && chmod u+s setuid
	cp dynamic setgid && chgrp 65534 setgid && chmod g+s setgid
	refuses 'a setuid program' 126 'setuid gains privileges' ./setuid
	refuses 'a setgid program' 126 'setgid gains privileges' ./setgid
	cp dynamic setuid-own && chmod u+s setuid-own
	"$inject" ./setuid-own >out 2>err
	ok $? "a setuid program of one's own starts"
	cp dynamic closed && chmod 711 closed && chmod 755 "$work"
	setpriv --reuid=65534 --regid=65534 --clear-groups "$inject" ./closed >out 2>err &&
		grep -qF 'closed cannot be read' err
	ok $? "a program that cannot be read starts, with a word about it ($(cat err))"
	cp dynamic capable
	if setcap cap_net_bind_service+ep capable 2>/dev/null; then
		setpriv --reuid=65534 --regid=65534 --clear-groups "$inject" ./capable >out 2>err
		[ $? = 126 ] && grep -qF 'capable gains privileges' err
		ok $? "a program with file capabilities is refused ($(cat err))"
		"$inject" ./capable >out 2>err
		ok $? 'a program with file capabilities starts for root'
	fi
fi

# Somebody listens, on the loopback address, on all of them, on all of IPv6.
for address in 127.0.0.1 0.0.0.0 ::; do
	exec 3< <(exec python3 - "$address" <<-'END'
		import socket, sys, time
		family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
		s = socket.socket(family)
		s.bind((sys.argv[1], 0))
		s.listen()
		print(s.getsockname()[1], flush=True)
		time.sleep(600)
	END
	)
	holder=$!
	read -r taken <&3
	refuses "a port taken on $address" 2 "port $taken is taken" --port "$taken" true
	refuses "a port with zeros in front, taken on $address" 2 'is taken' --port "0$taken" true
	kill $holder && wait $holder 2>/dev/null
	exec 3<&-
done

# Without the library there is nothing to do.
mkdir alone
cp "$inject" alone
inject=$work/alone/pprof-inject.sh refuses 'a launcher without library' 2 'libpprofshim.so is not to be found' true
mkdir 'a b' && cp "$inject" libpprofshim.so 'a b'
inject="$work/a b/pprof-inject.sh" refuses 'a library with a blank in its path' 2 'blank in its path' true

# ---- where the library is found

mkdir -p tree/build prefix/bin prefix/lib/pprofshim
cp "$inject" tree/pprof-inject.sh && cp libpprofshim.so tree/build
cp "$inject" prefix/bin/pprof-inject && cp libpprofshim.so prefix/lib/pprofshim
ln -s "$work/prefix/bin/pprof-inject" link
for place in tree/pprof-inject.sh prefix/bin/pprof-inject link; do
	found=$("./$place" sh -c 'echo "$LD_PRELOAD"' 2>/dev/null)
	case $place in
	tree*) want=$work/tree/build/libpprofshim.so ;;
	*) want=$work/prefix/lib/pprofshim/libpprofshim.so ;;
	esac
	[ "$found" = "$want" ]
	ok $? "$place finds its library ($found)"
done

# ---- a command that starts

"$inject" true 2>err
ok $? 'status 0 is passed through'
"$inject" sh -c 'exit 7' 2>err
[ $? = 7 ]
ok $? 'status 7 is passed through'
"$inject" sh -c 'kill -TERM $$' 2>err
[ $? = 143 ]
ok $? 'death by a signal is passed through'
{ "$inject" sh -c 'kill -KILL $$' 2>err; } 2>/dev/null
[ $? = 137 ]
ok $? 'death by SIGKILL is passed through'

[ "$(printf 'to be\nor not' | "$inject" cat 2>err)" = "$(printf 'to be\nor not')" ]
ok $? 'stdin and stdout are the command'\''s'
[ "$("$inject" -- printf '[%s]' '' 'a b' --port '*' 2>err)" = '[][a b][--port][*]' ]
ok $? 'arguments arrive as they are'
[ "$("$inject" sh -c 'echo $0' 2>err)" = sh ]
ok $? 'the name of the command is not made a path'
pid_line=$("$inject" sh -c 'echo $$' 2>err & wait $!; echo $!)
[ "$(head -n 1 <<<"$pid_line")" = "$(tail -n 1 <<<"$pid_line")" ]
ok $? 'the command has the process id of the launcher'

# Our own variables apart, the environment is as it was.
env -u _ | sort >before
"$inject" --hz 50 --only '*' env 2>err | sort >after
changed=$(comm -13 before after | grep -v '^_=' | cut -d = -f 1 | tr '\n' ' ')
[ "$changed" = 'LD_PRELOAD PPROF_HZ PPROF_ONLY ' ]
ok $? "the environment is left alone (changed: $changed)"
grep -qxF 'PPROF_HZ=50' after && grep -qxF 'PPROF_ONLY=*' after
ok $? 'options become settings'

# A key file is named in the environment, with its whole path, and a port too.
settings=$(cd / && "$inject" --port="$PPROF_PORT" --key-file "$work/key" env 2>"$work/err" | grep -E '^(PPROF|ADMIN_KEY_FILE)' | sort)
[ "$settings" = "$(printf 'ADMIN_KEY_FILE=%s\nPPROF_PORT=%s' "$work/key" "$PPROF_PORT")" ]
ok $? "a key file is handed on ($settings)"
[ "$("$inject" --key-file key sh -c 'echo "$ADMIN_KEY_FILE"' 2>err)" = "$work/key" ]
ok $? 'a relative key file is handed on with its whole path'
(
	unset ADMIN_KEY
	"$inject" --key-file key sh -c '[ -z "${ADMIN_KEY+set}" ]' 2>err
)
ok $? 'a key file does not become ADMIN_KEY'

gcc -shared -fPIC -o other.so main.c -Wl,-soname,other.so
[ "$(LD_PRELOAD=$work/other.so "$inject" sh -c 'echo "$LD_PRELOAD"' 2>err)" = "$work/other.so:$work/libpprofshim.so" ]
ok $? 'LD_PRELOAD is added to'
[ "$(LD_PRELOAD=$work/libpprofshim.so "$inject" sh -c 'echo "$LD_PRELOAD"' 2>err)" = "$work/libpprofshim.so" ]
ok $? 'the library is not added twice'

# ---- what it tells

"$inject" true 2>err
grep -qF "http://127.0.0.1:$PPROF_PORT/debug/pprof/" err && grep -qF 'go tool pprof' err
ok $? 'the URL and the commands are told'
! grep -qF "$ADMIN_KEY" err
ok $? 'the key is not told'
grep -F 'curl' err | grep -qF -- '-H @-'
ok $? 'the command that is told keeps the key out of arguments'
"$inject" --help >out 2>err
ok $? 'help is a success'
grep -qF -- '--key-file F' out && [ ! -s err ]
ok $? 'help goes to stdout'

printf '#!/bin/sh\nexit 3\n' >script && chmod +x script
PPROF_TREE=0 "$inject" ./script 2>err
[ $? = 3 ] && grep -qF -- './script is a script, and sh, which runs it, takes the port' err
ok $? "a script starts, with advice ($(cat err))"
printf '#!/usr/bin/env -S python3 -I\nraise SystemExit(4)\n' >script.py && chmod +x script.py
PPROF_TREE=0 "$inject" ./script.py 2>err
[ $? = 4 ] && grep -qF 'python3, which runs it' err
ok $? 'a script started by env starts, with advice'
"$inject" ./script 2>err
[ $? = 3 ] && ! grep -qF 'is a script' err
ok $? 'with what it starts in the profiles nothing needs to be said'
PPROF_TREE=0 "$inject" --only 'redis*' ./script 2>err
[ $? = 3 ] && ! grep -qF 'is a script' err
ok $? 'with --only no advice is needed'
printf '#!%s/static\n' "$work" >static-script && chmod +x static-script
refuses 'a script run by a static executable' 126 'which runs ./static-script) is a static executable' --only x ./static-script

# Nobody ever sees the key in an argument: every process of ours is looked at
# while the launcher works (strace sees each exec with its arguments).
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
	strace -f -qq -s 4096 -e trace=execve -o trace "$inject" ./script 2>err
	grep -q 'execve' trace && ! grep -F "$ADMIN_KEY" <(sed 's/, 0x[0-9a-f]* .*//' trace)
	ok $? 'the key is in nobody'\''s arguments'
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
