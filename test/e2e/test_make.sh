#!/bin/bash
# The make targets that users call, and the scripts behind them.
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u

build=${BUILD:-build}
export BUILD=$build
unset MAKEFLAGS MAKELEVEL MFLAGS ADMIN_KEY ADMIN_KEY_FILE PPROF_PORT SECONDS DESTDIR PREFIX
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill $server; rm -rf "$work"' EXIT

# shellcheck source=test/e2e/ok.sh
. test/e2e/ok.sh

# ---- help

make help >"$work/help"
ok $? 'make help works'
targets=$(sed -n '/^\.PHONY: all/,/[^\\]$/p' Makefile | grep -oE '[a-z0-9-]+' | grep -vx need)
for target in $targets; do
	grep -qE "^$target +[A-Z]" "$work/help"
	ok $? "make help says what $target does"
done
[ "$(grep -c . <<<"$targets")" = "$(grep -c . "$work/help")" ]
ok $? 'make help names nothing else'

# ---- install

install_to() {
	make -s install DESTDIR="$work/root" PREFIX=/opt/x >"$work/log" 2>&1
}
library=$work/root/opt/x/lib/pprofshim/libpprofshim.so
launcher=$work/root/opt/x/bin/pprof-inject

install_to
ok $? "make install works ($(tail -n 3 "$work/log"))"
cmp -s "$library" "$build/libpprofshim.so"
ok $? 'the library is installed'
cmp -s "$launcher" pprof-inject.sh && [ -x "$launcher" ]
ok $? 'the launcher is installed'
cmp -s "$work/root/opt/x/bin/pprof-attach" "$build/pprof-attach" && [ -x "$work/root/opt/x/bin/pprof-attach" ]
ok $? 'pprof-attach is installed'
cmp -s "$work/root/opt/x/include/pprofshim.h" include/pprofshim.h
ok $? 'the header is installed'
sleep 60 &
attached=$!
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$work/root/opt/x/bin/pprof-attach" --port "$port" $attached >"$work/log" 2>&1 && grep -q "$library" /proc/$attached/maps
ok $? "the installed pprof-attach finds the installed library ($(cat "$work/log"))"
kill $attached
[ "$(cd "$work/root" && find . -type f | wc -l)" = 4 ]
ok $? "nothing else is installed ($(cd "$work/root" && find . -type f | tr '\n' ' '))"
found=$(ADMIN_KEY=x PPROF_PORT=1 "$launcher" sh -c 'echo $LD_PRELOAD' 2>/dev/null)
[ "$found" = "$library" ]
ok $? "the installed launcher finds the installed library ($found)"

# A program that has the library mapped keeps the old file, whole.
python3 - "$library" >"$work/mapped" <<-'END' &
	import hashlib, mmap, signal, sys
	f = open(sys.argv[1], "rb")
	m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
	signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
	print(hashlib.sha256(m).hexdigest(), flush=True)
	signal.sigwait({signal.SIGUSR1})
	print(hashlib.sha256(m).hexdigest(), flush=True)
END
server=$!
for _ in $(seq 100); do
	[ -s "$work/mapped" ] && break
	sleep 0.1
done
inode=$(stat -c %i "$library")
install_to
ok $? 'make install works a second time'
[ "$(stat -c %i "$library")" != "$inode" ]
ok $? 'the library is a new file'
grep -q "$library (deleted)" "/proc/$server/maps"
ok $? 'who has the old one mapped keeps it'
kill -USR1 $server && wait $server
server=
[ "$(sort -u "$work/mapped" | wc -l)" = 1 ] && [ "$(wc -l <"$work/mapped")" = 2 ]
ok $? 'and it is what it was'

make -s uninstall DESTDIR="$work/root" PREFIX=/opt/x >"$work/log" 2>&1
ok $? 'make uninstall works'
[ -z "$(find "$work/root" -type f)" ] && [ ! -d "${library%/*}" ]
ok $? 'nothing is left'

# ---- pprof-cpu, against a server that says what it is told to

cat >"$work/server.py" <<-'END'
	import gzip, http.server, os, sys

	def number(n):
	    out = b""
	    while n > 127:
	        out, n = out + bytes([n & 127 | 128]), n >> 7
	    return out + bytes([n])
	def field(tag, value):
	    if isinstance(value, int):
	        return number(tag << 3) + number(value)
	    return number(tag << 3 | 2) + number(len(value)) + value
	names = [b"", b"cpu", b"nanoseconds", b"busy_function"]
	profile = field(1, field(1, 1) + field(2, 2)) + field(2, field(1, bytes([1])) + field(2, bytes([100])))
	profile += field(4, field(1, 1) + field(4, field(1, 1))) + field(5, field(1, 1) + field(2, 3))
	profile += b"".join(field(6, n) for n in names)

	class Handler(http.server.BaseHTTPRequestHandler):
	    def do_GET(self):
	        good = self.headers["Authorization"] == "Bearer right key \"\\%s"
	        status = int(self.path.split("status=")[1]) if "status=" in self.path else 200
	        self.send_response(status if good else 401)
	        self.end_headers()
	        if status == 200 and good:
	            self.wfile.write(gzip.compress(profile))
	        else:
	            self.wfile.write(b"profile: the reason\nmore\n")
	        open(sys.argv[1], "a").write(self.path + "\n")
	    def log_message(self, *args):
	        pass
	server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
	print(server.server_address[1], flush=True)
	server.serve_forever()
END
exec 3< <(exec python3 "$work/server.py" "$work/requests")
server=$!
read -r port <&3
key='right key "\%s'

fetch() { # [VARIABLE=VALUE]...: status in $status, output in out and err
	(cd "$work" && env OUT_DIR="$work" "$@" make -s -C "$OLDPWD" pprof-cpu >out 2>err </dev/null)
	status=$?
}
says() { # WHAT WORDS
	[ $status != 0 ] && grep -qF "$2" "$work/err" && [ -z "$(find "$work" -name 'cpu-*')" ]
	ok $? "$1: $(head -n 3 "$work/err" | tr '\n' ' ')"
}

fetch PPROF_PORT="$port"
says 'without a key it says so' 'no key; set ADMIN_KEY'
fetch PPROF_PORT="$port" ADMIN_KEY_FILE="$work/nowhere"
says 'a missing key file is named' 'cannot be read'
fetch PPROF_PORT="$port" ADMIN_KEY=wrong
says 'a wrong key is called that' 'does not accept this key'
fetch PPROF_PORT=1 ADMIN_KEY="$key"
says 'a closed port is called that' 'nothing answers on 127.0.0.1:1;'
(cd "$work" && OUT_DIR=$work PPROF_PORT=$port ADMIN_KEY=$key "$OLDPWD/.ci/pprof-fetch.sh" cpu profile status=500 >out 2>err)
status=$?
says 'another answer is quoted' 'answered 500: profile: the reason'
: >"$work/requests"

fetch PPROF_PORT="$port" ADMIN_KEY="$key"
ok "$status" "a profile is fetched ($(tr '\n' ' ' <"$work/err"))"
[ "$(cat "$work/requests")" = '/debug/pprof/profile?seconds=30' ]
ok $? "it asks for 30 s ($(cat "$work/requests"))"
grep -qE '100ns +100% .*busy_function' "$work/out"
ok $? "its top is shown ($(tail -n 1 "$work/out"))"
[ "$(find "$work" -name 'cpu-*' -printf '%f\n' | grep -cE '^cpu-[0-9]{8}-[0-9]{6}\.pb\.gz$')" = 1 ]
ok $? 'and kept in a dated file'

printf '%s\n' "$key" >"$work/key"
(cd "$work" && make -s -C "$OLDPWD" pprof-cpu SECONDS=3 OUT_DIR="$work" PPROF_PORT="$port" ADMIN_KEY_FILE="$work/key" >out 2>err)
ok $? 'a key file will do'
grep -qxF '/debug/pprof/profile?seconds=3' "$work/requests"
ok $? 'SECONDS is heard'

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
	ADMIN_KEY=$key PPROF_PORT=$port OUT_DIR=$work strace -f -qq -s 9999 -e trace=execve -o "$work/trace" \
		.ci/pprof-fetch.sh cpu profile seconds=1 >"$work/out" 2>"$work/err"
	grep -q curl "$work/trace" && ! grep -q 'right key' "$work/trace"
	ok $? 'the key is in no argument of any process'
fi

# Everything but a pprof: the file is kept, and the reader told what to install.
mkdir "$work/bin"
for tool in sh cat curl date mv rm head; do
	ln -s "$(command -v $tool)" "$work/bin"
done
rm -f "$work"/cpu-*
ADMIN_KEY=$key PPROF_PORT=$port OUT_DIR=$work PATH=$work/bin .ci/pprof-fetch.sh cpu profile seconds=1 >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -qF 'no pprof to open it; install Go' "$work/err" && [ -s "$(echo "$work"/cpu-*.pb.gz)" ]
ok $? "without a pprof tool it says so ($(tail -n 1 "$work/err"))"
kill "$server"
server=

# ---- what stands behind the build

output=$(.ci/deps.sh test 2>&1)
ok $? 'deps is content with a machine that has everything'
[ -z "$output" ]
ok $? "and says nothing then ($output)"
output=$(.ci/libunwind.sh build/libunwind 2>&1)
[ -z "$output" ]
ok $? "libunwind is not built twice ($output)"
output=$(LIBUNWIND_SRC=$work .ci/libunwind.sh "$work/libunwind" 2>&1)
ok $((!$?)) 'a LIBUNWIND_SRC that is none is refused'
grep -qF 'is not a libunwind source tree' <<<"$output"
ok $? "with a sentence ($output)"

# Each gate is shut for a library that has every fault.
cat >"$work/bad.c" <<-'END'
	#include <math.h>
	#include <stdlib.h>
	__thread char bulk[400];
	void *f(void) { bulk[1] = 1; return getenv("X") ? malloc(1) : NULL; }
	double g(double x) { return pow(x, 2.5); }
END
gcc -shared -fPIC -fcf-protection=none -Wl,-z,execstack -Wl,-z,norelro -Wl,-z,lazy -Wl,-rpath,/x \
	-o "$work/bad.so" "$work/bad.c" -lm 2>/dev/null
gcc -c -o "$work/bad.o" "$work/bad.c"
HANDLER_OBJS=$work/bad.o .ci/gates.sh "$work/bad.so" >"$work/out"
ok $((!$?)) 'a bad library does not pass the gates'
for gate in exports needed imports banned glibc tls memory linking exit cet handler; do
	grep -q "^FAIL $gate " "$work/out"
	ok $? "gate $gate is shut for it"
done
open=$(grep '^ok ' "$work/out" | grep -Ev '^ok   (names|page) ') # these look at sources
[ -z "$open" ]
ok $? "every gate is shut for it ($open)"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
