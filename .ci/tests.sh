#!/bin/bash
# Runs tests one after the other: programs written with Check, and scripts whose
# last line reads "N passed, N failed".  Prints one line for each, everything a
# failing one had to say, at the end once more what failed (who sees only the end
# of a long log sees why), and a total of the same form.  Each one's output stays
# in $BUILD/log.
#
# usage: BUILD=build .ci/tests.sh TEST...
set -u

build=${BUILD:-build}
export BUILD=$build
limit=${TEST_TIMEOUT:-900} # seconds on a machine with nothing else to do
total_passed=0
total_failed=0

# Sets environment to what a test is given of ours, as VARIABLE=VALUE.
choose_environment() {
	local name

	environment=()
	while read -r name; do
		if [ -n "${!name+set}" ]; then
			environment+=("$name=${!name}")
		fi
	done < <(grep -v '^#' "${0%/*}/test-environment.txt")
}

# The limit times the number of programs that share a processor now.
patience() {
	local load=1

	read -r load _ 2>/dev/null </proc/loadavg
	awk -v limit="$limit" -v now="$load" -v cpus="$(nproc)" \
		'BEGIN { share = now / cpus; printf "%d", limit * (share > 1 ? share : 1) }'
}

# Without stdin, and with a time limit for the test and all it started: one that
# hangs has failed.
run() { # TEST SECONDS
	case $1 in
	*.sh) set -- "$2" bash "$1" ;;
	*.py) set -- "$2" python3 "$1" ;;
	*) set -- "$2" "$1" ;;
	esac
	timeout -k 10 "$1" env -i "${environment[@]}" "${@:2}" </dev/null
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

# Prints the lines of a log that tell of a failure: ours, and Check's; its last one if none does.
what_failed() { # NAME LOG
	{ grep -E '^FAIL|^[^ ]+:[0-9]+:[FE]:' "$2" || tail -n 1 "$2"; } | head -n 20 | sed "s/^/$1: /"
}

one() {
	local name=${1##*/} log=$build/log/${1##*/}.log status started=$EPOCHSECONDS verdict=ok
	local seconds

	seconds=$(patience)
	run "$1" "$seconds" >"$log" 2>&1
	status=$?
	count "$log" $status
	if [ "$failed" != 0 ]; then
		verdict=FAIL
		sed 's/^/  | /' "$log"
		case $status in
		124 | 137) echo "  | (stopped after $seconds s)" ;;
		*) echo "  | (exit status $status)" ;;
		esac
		what_failed "$name" "$log" >>"$build/log/failures"
	elif [ -n "${V:-}" ]; then
		sed 's/^/  | /' "$log"
	fi
	printf '%-4s %-28s %4d passed, %d failed  %d s\n' $verdict "$name" "$passed" "$failed" \
		$((EPOCHSECONDS - started))
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
}

mkdir -p "$build/log"
choose_environment
: >"$build/log/failures"
for test in "$@"; do
	one "$test"
done
cat "$build/log/failures"
echo "$total_passed passed, $total_failed failed"
[ $total_failed = 0 ]
