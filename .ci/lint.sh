#!/bin/bash
# Formatting, shell scripts and C, each looked at by its tool; goes on to the
# end, so that one run shows everything.
#
# usage: SOURCES="a.c ..." SCRIPTS="b.sh ..." .ci/lint.sh COMPILER FLAGS...
set -u

passed=0
failed=0
read -ra c_files <<<"$SOURCES"
read -ra shell_files <<<"$SCRIPTS"

step() { # NAME COMMAND...
	local name=$1
	shift
	if "$@"; then
		passed=$((passed + 1))
		echo "ok   $name"
	else
		failed=$((failed + 1))
		echo "FAIL $name"
	fi
}

# Tests and benches are left to the compiler: tidiness costs them more than it gives.
tidy() {
	printf '%s\n' "${c_files[@]}" | grep -E '^(shim|sampler|http|proto)/.*\.c$' |
		xargs -P 2 -I FILE clang-tidy --quiet --warnings-as-errors='*' FILE -- "$@" \
			2> >(grep -vE '^[0-9]+ warnings? (generated|treated)' >&2)
}

step 'clang-format' clang-format --dry-run -Werror "${c_files[@]}"
step 'shellcheck' shellcheck "${shell_files[@]}"
step 'clang-tidy' tidy "$@"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
