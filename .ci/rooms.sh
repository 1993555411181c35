#!/bin/bash
# The rooms of the house, from the ground up.  A file may include and call what is
# in its own room and on the floors below, nothing beside or above it, and no file
# may come back to itself, over whichever others.  Prints a sentence for each
# breach, and nothing when there is none.
#
# usage: .ci/rooms.sh BUILD   (the folder with the objects)
set -u
export LC_ALL=C

# FLOOR ROOM PURPOSE.  Rooms of one floor do not know each other.  The first line of
# each header repeats this.
rooms='0 sampler/arch registers and instructions of the processor
1 sampler/base memory, system calls, text, counters
2 sampler/process threads, mappings and loaded objects of the process
3 sampler/unwind stacks from registers, and tables of stacks
3 sampler/symbols names and lines of addresses
4 sampler/cpu the CPU profile
4 sampler/heap the heap profile
4 sampler/locks the block and mutex profiles
5 sampler/wall the wall-clock profile
6 sampler/threads what each thread does, and who created it
7 proto profiles as files and as text
8 http the server and its pages
9 shim/real the definitions behind ours
10 shim/life the listener, and what forks and filters do
11 shim/hooks the functions that we interpose
12 shim/arch those that cannot be written in C
13 shim the constructor and the settings
14 shim/attach/arch registers of a thread of another process
15 shim/attach loads us into a running program'

mapfile -t files < <(find sampler shim proto http -name '*.[chS]' | sort)
edges=$(mktemp) || exit 1
trap 'rm -f "$edges"' EXIT

# Each "FROM TO WHY", files without their extension: a.c, a.h and the part of a that
# runs in the signal handler, a_handler.c, are one.
includes() {
	grep -H '^#include "' "${files[@]}" | sed -E 's/\.[chS]:#include "([^"]*)\.h".*/ \1 includes/' |
		grep -E '^[^ ]+ (sampler|shim|proto|http)/'
}

calls() {
	printf '%s\n' "${files[@]}" | grep -v '\.h$' | sed -E "s,(.*)\.[cS]$,$1/\1.o," | xargs nm -A | awk -v "build=$1/" '
		{ sub(/^[^:]*:/, "& "); file = substr($1, length(build) + 1); sub(/\.o:$/, "", file) }
		$2 == "U" { wants[file, $3]; next }
		$3 ~ /^[A-TV-Z]$/ { home[$4] = file }
		END { for (w in wants) { split(w, of, SUBSEP); if (of[2] in home) print of[1], home[of[2]], of[2] } }'
}

{ includes && calls "$1"; } | sed -E 's/_handler / /g' | awk '$1 != $2' | sort -u >"$edges"
[ -s "$edges" ] || echo "no includes and calls were found in $1"

# Arrows upward or sideways, and files in no room.
awk 'NR == FNR { floor[$2] = $1; next }
	{ a = $1; b = $2; sub(/\/[^\/]*$/, "", a); sub(/\/[^\/]*$/, "", b) }
	!(a in floor) { print a " is no room" }
	a != b && floor[a] <= floor[b] { print $1 " must not know " $2 " (" $3 ")" }' \
	<(echo "$rooms") "$edges" | sort -u

# The first circle: tsort names its files.
awk '{ print $1, $2 }' "$edges" | tsort 2>&1 >/dev/null |
	awk '/contains a loop/ { if (n++) exit; print "a circle:"; next } { print $2 }'

# First lines of headers.
for header in "${files[@]}"; do
	[[ $header == *.h ]] || continue
	wanted=$(awk -v "room=${header%/*}" '
		{ name[NR] = $2; floor[NR] = $1; why = $0; sub(/^[^ ]+ [^ ]+ /, "", why) }
		$2 == room { at = $1; purpose = why }
		END {
			for (i = 1; i <= NR; i++)
				if (floor[i] == at - 1) { sub(/^sampler\//, "", name[i]); below = below (below ? ", " : "") name[i] }
			sub(/^sampler\//, "", room)
			print "/* " room ": " purpose ".  May include " (below ? below (at > 1 ? " and below" : "") : "no other room") ". */"
		}' <<<"$rooms")
	[ "$(head -n 1 "$header")" = "$wanted" ] || echo "the first line of $header is not: $wanted"
done

# A unit test is in the room of what it tests: their names begin alike.
for test in test/unit/*/test_*.c; do
	room=$(basename "${test%/*}")
	name=$(basename "$test" .c)
	for file in "${files[@]}"; do
		file=${file%.*}
		[[ /$file == */$room/* ]] || continue
		file=${file##*/}
		[[ ${name#test_} == "$file"* || $file == "${name#test_}"* ]] && continue 2
	done
	echo "$test tests nothing of room $room"
done
