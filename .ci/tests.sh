#!/bin/bash
# Runs tests one after the other: programs written with Check, and scripts whose
# last line reads "N passed, N failed".  Prints one line for each, everything a
# failing one had to say, and a total of the same form.  Each one's output stays
# in $BUILD/log.
#
# usage: BUILD=build .ci/tests.sh TEST...
set -u

build=${BUILD:-build}
export BUILD=$build
limit=${TEST_TIMEOUT:-900} # seconds; a test that hangs has failed
total_passed=0
total_failed=0

# Without stdin, and with a time limit for the test and all it started.
run() {
	case $1 in
	*.sh) set -- bash "$1" ;;
	*.py) set -- python3 "$1" ;;
	esac
	timeout -k 10 "$limit" "$@" </dev/null
}

# Sets passed and failed from the output of a test and its exit status.
count() {
	local log=$1 status=$2 line checks failures errors

	passed=0
	failed=0
	line=$(grep -E '^[0-9]+%: Checks: |^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
	case $line in
	*Checks:*) # "50%: Checks: 4, Failures: 1, Errors: 1"
		read -r _ checks failures errors <<<"${line//[!0-9 ]/}"
		failed=$((failures + errors))
		passed=$((checks - failed))
		;;
	*passed*)
		read -r passed failed <<<"${line//[!0-9 ]/}"
		;;
	esac
	# A test that ended badly has failed, whatever it counted before.
	if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
		failed=1
	fi
	if [ -z "$line" ]; then
		failed=1
	fi
}

one() {
	local name=${1##*/} log=$build/log/${1##*/}.log status started=$EPOCHSECONDS verdict=ok

	run "$1" >"$log" 2>&1
	status=$?
	count "$log" $status
	if [ "$failed" != 0 ]; then
		verdict=FAIL
		sed 's/^/  | /' "$log"
		case $status in
		124 | 137) echo "  | (stopped after $limit s)" ;;
		*) echo "  | (exit status $status)" ;;
		esac
	elif [ -n "${V:-}" ]; then
		sed 's/^/  | /' "$log"
	fi
	printf '%-4s %-28s %4d passed, %d failed  %d s\n' $verdict "$name" "$passed" "$failed" \
		$((EPOCHSECONDS - started))
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
}

mkdir -p "$build/log"
for test in "$@"; do
	one "$test"
done
echo "$total_passed passed, $total_failed failed"
[ $total_failed = 0 ]
