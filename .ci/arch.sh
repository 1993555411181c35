#!/bin/bash
# The seam for the processor holds: prints what is wrong, nothing when all is well.
#
# usage: .ci/arch.sh names            what knows a processor stands in arch/
#        .ci/arch.sh cross CPPFLAGS   all else compiles for a processor without a port
#
# `cross` ends with 2 and a sentence when there is no compiler and none can be had.
set -u
export LC_ALL=C

rooms='shim sampler proto http'
machine=aarch64-linux-gnu

# Registers, instructions and machines; comments count.  An empty template is no
# instruction: it only orders what the compiler does.
words='r(ip|sp|bp|ax|bx|cx|dx|si|di)|e(ax|bx|cx|dx|si|di)|[xyz]mm[0-9]+|REG_R[A-Z0-9]+|gregs|rdtsc|endbr(64)?
|[A-Za-z0-9_]*([xX]86|[iI][aA]32|[aA][mM][dD]64|[aA][aA][rR][cC][hH]64|[aA][rR][mM]64)[A-Za-z0-9_]*'
words=${words//$'\n'/}
assembly='\b(__)?asm(__)?\b'
barrier='__asm__ volatile\(""'
headers='#include <(libunwind.*|asm/.*|.*intrin)\.h>'

elsewhere() { # PATTERN OF NAMES: the files of our rooms, not those in arch/
	# shellcheck disable=SC2086 # one word per room
	find $rooms -name "$1" -not -path '*/arch/*' | sort
}

names() {
	local files
	readarray -t files < <(elsewhere '*.[ch]')
	grep -nwE "$words" "${files[@]}"
	grep -nE "$assembly" "${files[@]}" | grep -vE "$barrier"
	grep -nE "$headers" "${files[@]}"
	elsewhere '*.[Ss]' | sed 's/$/: assembly/'
}

# The compiler proper: the package with all of gcc brings ten times as much, for linking.
compiler() {
	local cc1
	cc1=$($machine-cpp -print-prog-name=cc1 2>/dev/null) && [ -x "$cc1" ] &&
		[ -e /usr/$machine/include/stdio.h ] && echo "$cc1"
}

# Headers that are the same for all machines come from this one's compiler and /usr/include;
# those that lie in this machine's own folder all the same (zlib's) come last.
cross() {
	local cc1
	cc1=$(compiler) || {
		.ci/deps.sh gates >&2
		cc1=$(compiler)
	} || {
		echo "no compiler for $machine here, nor can it be had"
		exit 2
	}
	elsewhere '*.c' | xargs -n 1 -P "$(nproc)" "$cc1" -quiet -fsyntax-only -o /dev/null \
		-DARCH_DECLARED_ONLY "$@" -std=gnu17 -Wall -Wextra -Werror -nostdinc -isystem "$(gcc -print-file-name=include)" \
		-isystem /usr/$machine/include -isystem /usr/include \
		-idirafter build/libunwind/src/include -idirafter "/usr/include/$(gcc -print-multiarch)" 2>&1
}

case ${1:-} in
names) names ;;
cross) "$@" ;;
*) sed -n 's/^# \{0,1\}//; 2,7p' "$0" ;;
esac
