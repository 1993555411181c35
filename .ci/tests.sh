#!/bin/bash
# Runs tests, as many at a time as there are processors ($JOBS is another number):
# programs written with Check, and scripts whose last line reads "N passed, N failed".
# One with the line "# Runs alone: WHY" in it runs when the others have ended.  Prints
# one line for each, everything a failing one had to say, at the end once more what
# failed (who sees only the end of a long log sees why), and a total of the same form.
# Each one's output stays in $BUILD/log.
#
# usage: BUILD=build [JOBS=2] .ci/tests.sh TEST...
set -u

build=${BUILD:-build}
export BUILD=$build
limit=${TEST_TIMEOUT:-900} # seconds on a machine with nothing else to do
jobs=${JOBS:-$(nproc)}

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

# The limit times the number of programs that share a processor now, but ten at most: a
# storm of a moment says nothing of the next minutes.
patience() {
	local load=1

	read -r load _ 2>/dev/null </proc/loadavg
	awk -v limit="$limit" -v now="$load" -v cpus="$(nproc)" \
		'BEGIN { share = now / cpus; printf "%d", limit * (share > 10 ? 10 : share > 1 ? share : 1) }'
}

# Becomes a test without stdin, with a time limit for it and all it started (one that
# hangs has failed), and with the signals that the shell ignores in what runs beside it.
run() { # TEST SECONDS
	case $1 in
	*.sh) set -- "$2" bash "$1" ;;
	*.py) set -- "$2" python3 "$1" ;;
	*) set -- "$2" "$1" ;;
	esac
	exec timeout -k 10 "$1" env -i --default-signal=INT,QUIT "${environment[@]}" "${@:2}" </dev/null
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

# Runs a test and tells of it, in one piece: others may be told of at the same time.
one() {
	local name=${1##*/} log=$build/log/${1##*/}.log status started=$EPOCHSECONDS verdict=ok
	local seconds

	seconds=$(patience)
	run "$1" "$seconds" >"$log" 2>&1 &
	trap 'kill $!; exit' TERM
	wait $!
	status=$?
	count "$log" $status
	if [ "$failed" != 0 ]; then
		verdict=FAIL
		what_failed "$name" "$log" >>"$build/log/failures"
	fi
	echo "$passed $failed" >>"$build/log/counts"
	tell >"$log.told"
	cat "$log.told"
	rm "$log.told"
}

tell() {
	if [ "$failed" != 0 ] || [ -n "${V:-}" ]; then
		sed 's/^/  | /' "$log"
	fi
	case $status in
	0) ;;
	124 | 137) echo "  | (stopped after $seconds s)" ;;
	*) echo "  | (exit status $status)" ;;
	esac
	printf '%-4s %-28s %4d passed, %d failed  %d s\n' $verdict "$name" "$passed" "$failed" \
		$((EPOCHSECONDS - started))
}

# Waits until fewer than N of our tests run.
wait_below() { # N
	while [ "$(jobs -rp | wc -l)" -ge "$1" ]; do
		wait -n
	done
}

alone() {
	[[ $1 == *.sh || $1 == *.py ]] && grep -q '^# Runs alone: ' "$1"
}

mkdir -p "$build/log"
choose_environment
trap 'kill $(jobs -rp); exit 130' INT TERM
: >"$build/log/failures"
: >"$build/log/counts"
later=()
for test in "$@"; do
	if alone "$test"; then
		later+=("$test")
	else
		wait_below "$jobs"
		one "$test" &
	fi
done
wait
for test in "${later[@]}"; do
	one "$test" &
	wait
done
cat "$build/log/failures"
awk '{ passed += $1; failed += $2 }
	END { print passed + 0 " passed, " failed + 0 " failed"; exit failed > 0 }' "$build/log/counts"
