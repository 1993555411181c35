#!/bin/bash
# make demo and make test on a machine that has nothing: what is installed, in how
# many rounds, where the sources come from, and what tests see of the machine.
set -u

root=$(realpath "$(dirname "$0")/../..")
cd "$root" || exit 1
unset MAKEFLAGS MAKELEVEL MFLAGS TARGET APT_CONFIG TEST_TIMEOUT V
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck source=test/e2e/ok.sh
. test/e2e/ok.sh

# ---- make: what is needed is asked for once, before anything is built

asked() { # GOAL...: how often and for what, of a tree where nothing is built
	make -n "$@" BUILD="$work/nothing" 2>/dev/null | grep -F .ci/deps.sh | tr -s ' ' | sed 's/ $//'
}
fixtures_of() {
	make -n "$@" BUILD="$work/nothing" 2>/dev/null | grep -oE 'test/fixtures/[a-z_]+\.[a-z]+' | sort -u | tr '\n' ' '
}

same() { # GOT EXPECTED WHAT
	[ "$1" = "$2" ]
	ok $? "$3: got '$1', expected '$2'"
}

same "$(asked)" '.ci/deps.sh build' 'make asks once'
same "$(asked demo)" '.ci/deps.sh build demo' 'make demo asks once'
same "$(asked test)" '.ci/deps.sh build gates test' 'make test asks once, for what its test of the gates needs too'
same "$(asked -j4 test demo)" '.ci/deps.sh build demo gates test' 'for both goals together'
same "$(asked "$work/nothing/unit/base/test_arena")" '.ci/deps.sh build test' 'a single test asks once'
same "$(fixtures_of demo)" 'test/fixtures/chat_load.c test/fixtures/chat_server.c ' 'make demo builds its own fixtures'
same "$(fixtures_of demo TARGET=redis)" '' 'and none for redis'
[ "$(fixtures_of test | wc -w)" -ge 30 ]
ok $? 'make test builds all'
# shellcheck disable=SC2016 # the back quotes are Markdown
same "$(sed -n '/^```sh/,/^```/p' README.md | sed -n 's/^\(make [a-z]*\).*/\1/p' | head -n 2 | tr '\n' ' ')" \
	'make demo make test ' "README's first commands"

# ---- deps.sh, on a machine with nothing but a chatty apt-get

mkdir "$work/bin"
for tool in sh cat chmod env flock grep head mkdir mv printf rm sed seq sort tail tr; do
	ln -s "$(type -P $tool)" "$work/bin"
done
fake() { # COMMAND, its script on stdin
	cat >"$work/bin/$1"
	chmod 755 "$work/bin/$1"
}
fake id <<<'#!/bin/sh
echo 1000'
fake dpkg-query <<<'#!/bin/sh
exit 1'
fake apt-cache <<<'#!/bin/sh
exit 0'
# Of what is done as root only apt-get is.
fake sudo <<-'END'
	#!/bin/sh
	case " $* " in
	*' apt-get '*) exec "$@" ;;
	esac
END
fake apt-get <<-'END'
	#!/bin/sh
	for word; do
		case $word in
		update | install) echo "$@" >>"$ROUNDS" ;;
		esac
	done
	seq -f 'chatter %g' 300
	seq -f 'chatter %g' 300 >&2
	case " $* " in
	*" $BROKEN "*) echo "E: the archive has no $BROKEN" >&2 && exit 100 ;;
	esac
END

deps() { # [VARIABLE=VALUE]... GROUP...
	local variables=(BROKEN=none)

	while [[ $1 = *=* ]]; do
		variables+=("$1")
		shift
	done
	: >"$work/rounds"
	output=$(cd "$work" && env -i PATH="$work/bin" ROUNDS="$work/rounds" "${variables[@]}" "$root/.ci/deps.sh" "$@" 2>&1)
	status=$?
}
installs() { # WORD...: all of them, and no name that begins with what follows --
	local word wanted=1

	for word in "$@"; do
		if [ "$word" = -- ]; then
			wanted=0
		elif grep -q " install .* $word" "$work/rounds"; then
			[ $wanted = 1 ] || return 1
		else
			[ $wanted = 0 ] || return 1
		fi
	done
}
rounds() {
	sed -n 's/.* \(update\|install\).*/\1/p' "$work/rounds" | tr '\n' ' '
}

deps build demo
ok $status "deps of the demo are installed ($output)"
same "$(rounds)" 'update install ' 'the demo takes one round'
same "$(wc -l <<<"$output")" 2 'with a line for each step'
[[ $output != *chatter* ]]
ok $? 'and without what dpkg says'
grep -q chatter "$work/build/deps.log"
ok $? 'which is in the log'
installs gcc curl golang-go -- rustc apache php gdb redis nginx wrk check 'g++'
ok $? "the demo brings no tests ($(cat "$work/rounds"))"
deps TARGET=redis build demo
installs gcc redis-server redis-tools -- nginx wrk rustc
ok $? "redis brings redis ($(cat "$work/rounds"))"
deps TARGET=apache build demo
[ $status != 0 ] && [ "$output" = 'deps: TARGET is chat, redis or nginx, not "apache"' ]
ok $? "another target is refused at once ($output)"
deps build test demo
same "$(rounds)" 'update install ' 'groups take one round together'
installs gcc check gdb rustc redis-server wrk golang-go
ok $? "and bring all ($(cat "$work/rounds"))"
deps BROKEN=update build
[ $status = 0 ] && [[ $output == *'apt-get update failed'*build/deps.log* ]] && [ "$(rounds)" = 'update install ' ]
ok $? "old lists are better than none ($output)"
deps BROKEN=gcc build
[ $status != 0 ] && [[ $output == *'E: the archive has no gcc'*'apt-get install failed, see build/deps.log' ]]
ok $? "a failure is told with its reason and the log ($output)"
[[ $output != *chatter* ]]
ok $? 'and without what dpkg says'

# ---- source.sh, of an archive that has not what it lists

archive=$work/archive
mkdir -p "$archive"/{pool,tree-1/debian,tree-2/debian,dists/{today,bookworm}/main/source}
source_package() { # VERSION
	(
		cd "$work/archive/tree-$1" || exit
		printf 'Source: small\nMaintainer: M <m@example.org>\nStandards-Version: 4.6.0\n\nPackage: small\nArchitecture: all\nDescription: small\n' >debian/control
		printf 'small (%s) unstable; urgency=low\n\n  * New.\n\n -- M <m@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n' "$1" >debian/changelog
		echo "version $1" >content
		cd ../pool && dpkg-source -b "../tree-$1"
	) >>"$work/log" 2>&1
}
source_package 1
(cd "$archive" && dpkg-scansources pool) >"$archive/dists/bookworm/main/source/Sources" 2>>"$work/log"
source_package 2
(cd "$archive" && rm pool/small_1.* && dpkg-scansources pool) >"$archive/dists/today/main/source/Sources" 2>>"$work/log"
rm "$archive"/pool/small_2.tar*
source_package 1
cat >"$work/apt.conf" <<-END
	Dir::Etc::sourcelist "$work/sources.list";
	Dir::Etc::sourceparts "$work/sources.d";
END
mkdir "$work/sources.d"

unpack() { # from what is in sources.list and sources.d
	output=$(APT_CONFIG=$work/apt.conf .ci/source.sh small "$work/unpacked" 2>&1)
	status=$?
}
unpacks_old() { # FORM
	unpack
	[ $status = 0 ] && [ "$(cat "$work/unpacked/content")" = 'version 1' ]
	ok $? "what the archive has not is taken from another release ($1): $output $(tail -n 5 "$work/unpacked.log")"
}

echo "deb [trusted=yes] file:$archive today main" >"$work/sources.list"
unpacks_old one-line
: >"$work/sources.list"
printf 'Types: deb\nURIs: file:%s\nSuites: today\nComponents: main contrib\nTrusted: yes\n' "$archive" >"$work/sources.d/a.sources"
unpacks_old deb822
rm "$archive"/pool/small_1.tar*
unpack
[ $status != 0 ] && [[ $output == *'no source package of small to be had' ]]
ok $? "when none has it, that is said ($output)"
output=$(APT_CONFIG=$work/apt.conf .ci/libunwind.sh "$work/libunwind" 2>&1)
ok $((!$?)) 'nor is there a libunwind'
[[ $output == *'make LIBUNWIND_SRC='* ]]
ok $? "and the command that helps ($output)"

# ---- tests.sh

cat >"$work/tell.sh" <<-'END'
	cat /proc/self/environ | tr '\0' '\n' | sed 's/=.*//' | sort | tr '\n' ' '
	echo
	echo '1 passed, 0 failed'
END
env -i PATH="$PATH" HOME="$work" BUILD="$work/tests" PYTHONUNBUFFERED=1 LANG=de_DE.UTF-8 CI=true LD_PRELOAD= \
	.ci/tests.sh "$work/tell.sh" >"$work/out" 2>&1
ok $? "a test passes ($(cat "$work/out"))"
same "$(grep -oE '\b(PYTHONUNBUFFERED|LANG|CI|LD_PRELOAD|HOME|BUILD|PATH)\b' "$work/tests/log/tell.sh.log" | tr '\n' ' ')" \
	'BUILD HOME PATH ' 'a test sees nothing of the runner that others have not'
PYTHONUNBUFFERED=1 CI=true python3 -c "import os, sys; sys.path.insert(0, 'test/e2e'); import harness
print([v for v in ('PYTHONUNBUFFERED', 'CI') if v in os.environ])" >"$work/out" 2>&1
same "$(cat "$work/out")" '[]' 'nor when it is run alone'
echo 'while :; do read -t 9 -r x <>/dev/zero; done' >"$work/hang.sh"
TEST_TIMEOUT=1 BUILD="$work/tests" .ci/tests.sh "$work/hang.sh" >"$work/out" 2>&1
ok $((!$?)) 'a test that hangs has failed'
grep -q 'stopped after [0-9]* s' "$work/out"
ok $? "and is stopped ($(cat "$work/out"))"
printf 'echo "FAILED: one is not two"\necho "a long log"\necho "0 passed, 1 failed"\n' >"$work/wrong.sh"
BUILD="$work/tests" .ci/tests.sh "$work/wrong.sh" "$work/tell.sh" >"$work/out" 2>&1
same "$(tail -n 2 "$work/out")" "wrong.sh: FAILED: one is not two
1 passed, 1 failed" 'what failed stands once more at the end'
for name in left right; do # each passes only if the other runs meanwhile
	printf 'touch %s\nuntil [ -e %s ] && [ -e %s ]; do sleep 0.1; done\necho "1 passed, 0 failed"\n' \
		"$work/$name.runs" "$work/left.runs" "$work/right.runs" >"$work/$name.sh"
done
printf '# Runs alone: it looks who runs\nrm %s %s\necho "1 passed, 0 failed"\n' \
	"$work/left.runs" "$work/right.runs" >"$work/alone.sh"
JOBS=2 TEST_TIMEOUT=60 BUILD="$work/tests" .ci/tests.sh "$work/alone.sh" "$work/left.sh" "$work/right.sh" >"$work/out" 2>&1
same "$(tail -n 1 "$work/out")" '3 passed, 0 failed' 'two run at a time, and after them who runs alone'
make -s "${BUILD:-build}/unit/base/test_text" >"$work/log" 2>&1 &&
	nm "${BUILD:-build}/unit/base/test_text" | grep -q be_patient
ok $? "a unit test has the limits of test/unit/base/patience.c ($(tail -n 3 "$work/log"))"
cat >"$work/limits.c" <<-'END'
	#include <stdio.h>
	#include <stdlib.h>
	int main(void)
	{
		return atof(getenv("CK_DEFAULT_TIMEOUT")) < 60 || atof(getenv("CK_TIMEOUT_MULTIPLIER")) < 1;
	}
END
gcc -D_GNU_SOURCE -o "$work/limits" "$work/limits.c" test/unit/base/patience.c && "$work/limits"
ok $? 'which are minutes, and never less on a busy machine'
! grep -rqF tcase_set_timeout test/unit
ok $? "no unit test has a limit of its own ($(grep -rl tcase_set_timeout test/unit))"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
