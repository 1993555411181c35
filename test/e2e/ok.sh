# Counts checks, for tests in shell: they end with "$passed passed, $failed failed".
# shellcheck shell=bash
passed=0
failed=0

ok() { # STATUS SENTENCE: counts one check
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL: $2"
	fi
}
