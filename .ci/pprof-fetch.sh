#!/bin/sh
# Fetches a profile from a program on this machine into a dated file and opens
# it: in the interactive pprof on a terminal, as a list of the top otherwise.
# What is text (debug=N) is printed instead.
#
# usage: pprof-fetch.sh NAME ENDPOINT [QUERY]      say, cpu profile seconds=30
#
# PPROF_PORT (6060), ADMIN_KEY_FILE or ADMIN_KEY, OUT_DIR (where the file goes).
set -eu

port=${PPROF_PORT:-6060}

fail() {
	echo "pprof: $*" >&2
	exit 1
}

read_key() {
	key=${ADMIN_KEY:-}
	if [ -n "${ADMIN_KEY_FILE:-}" ]; then
		[ -r "$ADMIN_KEY_FILE" ] || fail "the key file $ADMIN_KEY_FILE cannot be read"
		# as the library reads it: without a byte order mark, to the end of the line
		key=$(sed -n '1{s/^\xef\xbb\xbf//;s/\r$//;p}' "$ADMIN_KEY_FILE")
	fi
	[ -n "$key" ] || fail "no key; set ADMIN_KEY (or ADMIN_KEY_FILE) to that of the profiled program"
}

# Prints the status code; the answer goes to "$part".  The key is in no
# process's arguments: printf is part of this shell.
fetch() {
	printf 'Authorization: Bearer %s\n' "$key" |
		curl -s --noproxy '*' -H @- -o "$part" -w '%{http_code}' "$url"
}

explain_curl() { # EXIT STATUS of curl
	case $1 in
	7) fail "nothing answers on 127.0.0.1:$port; is a program running with libpprofshim.so preloaded," \
		"and is its port $port (PPROF_PORT)?" ;;
	18 | 52 | 56) fail "the program ended, or gave up the profile, before it was complete" ;;
	*) fail "curl failed with status $1" ;;
	esac
}

explain_status() { # HTTP STATUS
	case $1 in
	200) ;;
	401) fail "the program on port $port does not accept this key; it must be the one it was started with" ;;
	404) fail "the program on port $port has no /debug/pprof/$endpoint" ;;
	*) fail "the program on port $port answered $1: $(head -n 1 "$part")" ;;
	esac
}

find_tool() {
	if command -v go >/dev/null; then
		tool='go tool pprof'
	elif command -v pprof >/dev/null; then
		tool=pprof
	else
		fail "$file is complete, but there is no pprof to open it; install Go (go tool pprof)"
	fi
}

[ $# -ge 2 ] || fail 'usage: pprof-fetch.sh NAME ENDPOINT [QUERY]'
endpoint=$2
url=http://127.0.0.1:$port/debug/pprof/$endpoint${3:+?$3}
case ${3:-} in
*debug=[1-9]*) suffix=txt ;;
*) suffix=pb.gz ;;
esac
file=${OUT_DIR:-.}/$1-$(date +%Y%m%d-%H%M%S).$suffix
part=$file.part
read_key
command -v curl >/dev/null || fail 'curl is missing; install it'

echo "pprof: fetching $url" >&2
trap 'rm -f "$part"' EXIT
trap 'exit 130' INT TERM
status=$(fetch) || explain_curl $?
explain_status "$status"
mv "$part" "$file"
trap - EXIT
echo "pprof: wrote $file" >&2

if [ $suffix = txt ]; then
	exec cat "$file"
fi
find_tool
unset ADMIN_KEY
if [ -t 0 ] && [ -t 1 ]; then
	exec $tool "$file"
fi
exec $tool -top "$file"
