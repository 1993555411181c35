#!/bin/bash
# Runs every benchmark and prints tables, the worst first.  Results stay in
# $BUILD/bench/results.jsonl, one JSON object a line, the first about the machine.
# Takes less than 30 minutes; QUICK=1: fewer rounds and servers, about three.
#
# Ends with 0 unless something could not be measured; a result that falls short
# of its budget is a result.
#
# usage: BUILD=build [QUICK=1] bench/run.sh [NAME...]
set -eu

BUILD=${BUILD:-build}
export BUILD
names=${*:-heap locks handler learn walk threads_dump wall answer start idle_redis servers truth heap_truth growth}
missed=

export BENCH_RESULTS=$PWD/$BUILD/bench/results.jsonl
export BENCH_PLUGIN=$PWD/$BUILD/bench/plugin.so
export BENCH_BARE=$PWD/$BUILD/bench/bare.so

# Debug information to read lines from; takes half a minute, once.
build_plugin() {
	[ "$BENCH_PLUGIN" -nt bench/plugin.cc ] && return
	echo "compiling $BENCH_PLUGIN"
	"${CXX:-g++}" -std=c++17 -g -O2 -fPIC -shared -o "$BENCH_PLUGIN" bench/plugin.cc
}

build_bare() {
	"${CXX:-g++}" -std=c++17 -O2 -fPIC -shared -nostdlib -fno-exceptions -fcf-protection \
		-Wno-builtin-declaration-mismatch -o "$BENCH_BARE" bench/bare.cc
}

# Of Debian's packages, those that are measured or measured with.
versions() {
	dpkg-query -W -f '${Package} ${Version}, ' redis-server nginx-light memcached postgresql \
		libjemalloc2 libgoogle-perftools4 heaptrack valgrind 2>/dev/null || true
	gcc --version | head -n 1
}

head_line() {
	local cpu memory commit

	cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
	memory=$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)
	commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
	cat <<-END | tr '\n' ' '
		{"machine": "${cpu:-unknown}, $(nproc) processors, $memory",
		"kernel": "$(uname -sr), glibc $(getconf GNU_LIBC_VERSION | cut -d' ' -f2)",
		"versions": "$(versions)",
		"commit": "$commit",
		"taken": "$(date -u '+%Y-%m-%d %H:%M UTC'), load $(cut -d' ' -f1-3 /proc/loadavg)"}
	END
	echo
}

# A benchmark is a script, or else a program (which a script may need, too).
run() {
	local started=$EPOCHSECONDS

	echo "== $1"
	if [ -e "bench/$1.py" ]; then
		timeout 900 python3 "bench/$1.py" || missed="$missed $1"
	elif [ -e "bench/$1.c" ]; then
		timeout 600 "$BUILD/bench/$1" || missed="$missed $1"
	fi
	echo "   took $((EPOCHSECONDS - started)) s"
}

.ci/deps.sh bench || echo "bench: measuring with what there is" >&2
mkdir -p "$BUILD/bench"
build_plugin
build_bare
head_line >"$BENCH_RESULTS"
for name in $names; do
	run "$name"
done
echo
python3 bench/table.py "$BENCH_RESULTS" | tee "$BUILD/bench/table.txt"
if [ -n "$missed" ]; then
	echo "not measured, or not all of it:$missed" >&2
	exit 1
fi
