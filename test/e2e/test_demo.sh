#!/bin/bash
# make demo, for each of its targets: it names the functions of the server, tells
# what to do next, and leaves nothing running, not even when it is interrupted.
set -u

root=$(realpath "$(dirname "$0")/../..")
cd "$root" || exit 1
BUILD=${BUILD:-build}
unset MAKEFLAGS MAKELEVEL MFLAGS
work=$(mktemp -d "${TMPDIR:-/tmp}/pprofshim-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT

passed=0
failed=0

check() {
	local what=$1

	shift
	if "$@" >"$work/check.out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $what: $*"
		cat "$work/check.out" "$work/out"
	fi
}

says() {
	local pattern

	for pattern in "$@"; do
		grep -qE -e "$pattern" "$work/out" || {
			echo "no match for /$pattern/"
			return 1
		}
	done
}

# Processes of a session: who stays behind when its leader has gone.
in_session() {
	local stat fields

	for stat in /proc/[0-9]*/stat; do
		read -r fields 2>/dev/null <"$stat" || continue
		fields=${fields##*) }
		# shellcheck disable=SC2086 # state, parent, group, session
		set -- $fields
		if [ "$4" = "$session" ] && [ "$1" != Z ]; then
			echo "$stat"
		fi
	done
}

nobody_left() {
	[ -z "$(in_session)" ]
}

# Runs in a session of its own, with input and output that are no terminal.
in_background() {
	: >"$work/out" # what the last one said must not be taken for this one's
	setsid "$@" </dev/null >"$work/out" 2>&1 &
	session=$!
}

demo() {
	in_background make demo "TARGET=$1" "BUILD=$BUILD"
	wait "$session"
	status=$?
	check "$1: ends well" [ $status = 0 ]
	check "$1: leaves nothing running" nobody_left
	check "$1: tells the next steps" says '^Look closer:' "go tool pprof .*$BUILD/demo/$1-cpu.pb.gz"
	check "$1: has a table" says 'Total samples = [0-9.]+' '^ *flat +flat%'
	check "$1: the profile is there" [ -s "$BUILD/demo/$1-cpu.pb.gz" ]
}

# The commands under "Look closer" work as they stand (save those for a browser or a terminal).
suggestions_work() {
	sed -n 's/^  \(go tool pprof -peek .*\)/\1/p' "$work/out" >"$work/commands"
	[ -s "$work/commands" ] && bash -e "$work/commands"
}

interrupted() {
	in_background test/demo/demo.sh
	for ((i = 0; i < 600; i++)); do
		grep -q '^fetching' "$work/out" && break
		sleep 0.1
	done
	kill -"$1" "$session"
	wait "$session"
	status=$?
	check "SIG$1: status" [ $status = "$2" ]
	check "SIG$1: leaves nothing running" nobody_left
}

fails() { # PATTERN COMMAND...
	local pattern=$1

	shift
	"$@" >"$work/out" 2>&1
	status=$?
	check "$*: fails" [ $status != 0 ]
	check "$*: says why" says "$pattern"
}

export SECONDS_OF_PROFILE=2 BUILD
demo chat
check 'chat: names its functions' says edit_distance hash_password 'messages in .* 0 wrong'
check 'chat: suggestions work' suggestions_work
demo redis
check 'redis: names its functions' says 'requests per second, p50'
check 'redis: suggestions work' suggestions_work
demo nginx
check 'nginx: names its functions' says 'ngx_' 'requests per second, latency p50'
check 'nginx: suggestions work' suggestions_work

unset TARGET
interrupted TERM 143
interrupted HUP 129
fails 'TARGET is chat, redis or nginx' env TARGET=apache test/demo/demo.sh
fails 'run make first' env "BUILD=$work" test/demo/demo.sh

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
