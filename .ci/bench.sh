#!/bin/sh
# Runs the benchmarks: bench/run.sh when there is one, else each program named.
# QUICK=1 asks for three minutes in all.
#
# usage: BUILD=build .ci/bench.sh PROGRAM...
set -eu

if [ -f bench/run.sh ]; then
	exec bash bench/run.sh
fi
for program in "$@"; do
	echo "== ${program##*/}"
	"$program"
done
