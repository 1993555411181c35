#!/bin/sh
# Runs each fuzz target for a while.  Seeds are in test/fuzz/corpus/NAME; what a
# run finds of interest is kept in $BUILD/fuzz/corpus/NAME for the next one, and
# an input that breaks something in $BUILD/fuzz.
#
# usage: BUILD=build .ci/fuzz.sh SECONDS TARGET...
set -eu

seconds=$1
shift
passed=0
failed=0
for target in "$@"; do
	name=${target##*/}
	kept=${BUILD:-build}/fuzz/corpus/$name
	seeds=test/fuzz/corpus/$name
	mkdir -p "$kept"
	[ -d "$seeds" ] || seeds=
	if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="${target%/*}/$name-" "$kept" ${seeds:+"$seeds"}; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
