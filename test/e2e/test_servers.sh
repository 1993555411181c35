#!/bin/bash
# Real servers under the shim, read with everything that go tool pprof can do:
# redis, nginx, a chat server and a C++ program that lives on exceptions.  They
# must not notice, and their own functions must have names.
#
# usage: test_servers.sh [chat|redis|nginx|throwing|reloading...]
set -u

root=$(realpath "$(dirname "$0")/../..")
cd "$root" || exit 1
BUILD=${BUILD:-build}
# shellcheck source=test/demo/lib.sh
. "$root/test/demo/lib.sh"

passed=0
failed=0

# check WHAT COMMAND...: the command must succeed.
check() {
	local what=$1

	shift
	if "$@" >"$work/check.out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $server_name: $what: $*"
		tail -n 20 "$work/check.out"
	fi
}

# has FILE PATTERN...: every pattern (grep -E) is found.
has() {
	local file=$1 pattern

	shift
	for pattern in "$@"; do
		grep -qE "$pattern" "$file" || {
			echo "no match for /$pattern/ in:"
			head -n 40 "$file"
			return 1
		}
	done
}

pprof() {
	go tool pprof "$@"
}

# A report of the fetched file: report NAME OPTIONS... -- PATTERN...
report() {
	local name=$1 options=()

	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	check "pprof ${options[*]}" pprof_to "$name" "${options[@]}" "$profile"
	check "pprof ${options[*]} says" has "$work/$name.txt" "$@"
}

pprof_to() {
	local name=$1

	shift
	pprof "$@" >"$work/$name.txt" 2>"$work/$name.err" || {
		cat "$work/$name.err"
		return 1
	}
}

url() {
	echo "http://x:$key@127.0.0.1:$pprof_port/debug/pprof/profile?seconds=$1"
}

page_has() {
	curl --silent --location --noproxy '*' --max-time 20 --output "$work/page" "$1" && has "$work/page" "$2"
}

# -list needs lines, which the shim looks for only as long as it has time: on a
# busy machine the first profile may come without.  listing FUNCTION PATTERN...
listing() {
	local function=$1 i

	shift
	for ((i = 0; i < 5; i++)); do
		if pprof_to list -list "$function" "$profile" && has "$work/list.txt" "$@" >/dev/null; then
			break
		fi
		fetch '/debug/pprof/profile?seconds=1' "$profile" >/dev/null
	done
	check "pprof -list $function says" has "$work/list.txt" "$@"
}

# The web interface on a file or a URL: web SOURCE PATTERN
web() {
	local from=$1 pattern=$2 ui

	free_port
	ui=$port
	start web go tool pprof -http "127.0.0.1:$ui" -no_browser "$from"
	check "-http answers" wait_until 60 port_open "$ui"
	check "-http top" page_has "http://127.0.0.1:$ui/ui/top" "$pattern"
	check "-http flame graph" page_has "http://127.0.0.1:$ui/ui/flamegraph" "$pattern"
	check "-http start page" page_has "http://127.0.0.1:$ui/ui/" '<title>.* cpu'
	check "-http peek" page_has "http://127.0.0.1:$ui/ui/peek?f=." "$pattern"
	stop_tree "$pid"
}

# go tool starts pprof as a child and does not pass signals on.
stop_tree() {
	local children

	read -r -a children < <(cat "/proc/$1/task/"*/children 2>/dev/null)
	if [ ${#children[@]} -gt 0 ]; then
		kill "${children[@]}" 2>/dev/null
	fi
	stop "$1"
}

# Everything straight from the server, at once: profiles do not shut each other out.
from_url() {
	local pattern=$1 jobs=() job

	pprof_to url-top -top "$(url 2)" &
	jobs+=($!)
	pprof_to url-peek -peek . "$(url 2)" &
	jobs+=($!)
	pprof_to url-raw -raw -seconds 2 "$(url 1)" &
	jobs+=($!)
	for job in "${jobs[@]}"; do
		check 'pprof on a URL' wait "$job"
	done
	check 'pprof -top on a URL says' has "$work/url-top.txt" '^ *flat' "$pattern"
	check 'pprof -peek on a URL says' has "$work/url-peek.txt" "$pattern"
	check 'pprof -raw on a URL says' has "$work/url-raw.txt" '^Samples:' '^Locations' '^Mappings' "$pattern"
}

# What every server has to go through: common PATTERN
common() {
	profile=$work/$server_name.pb.gz
	code=$(fetch '/debug/pprof/profile?seconds=2' "$profile")
	check 'the profile is fetched' [ "$code" = 200 ]
	report top -top -- 'Total samples = [1-9.]' '^ *flat' "$1"
	report peek -peek "$1" -- "$1"
	report raw -raw -- '^PeriodType: cpu nanoseconds' '^samples/count cpu/nanoseconds' '^Mappings' "$1"
	from_url "$1"
	web "$profile" "$1"
	check 'the server lives' alive "$server"
}

# It said nothing of its own accord, and ended as it always does.
ends_quietly() {
	stop "$server"
	check 'the server ended well' [ "$status" = 0 ]
	check 'the server complained of nothing' [ ! -s "$work/$server_name.err" ]
	check 'the shim left no file behind' [ -z "$(find "$work" -mindepth 1 -name '*pprofshim*' -o -name 'core*')" ]
}

run_server() {
	server_name=$1
	"start_$1"
	server=$pid
	"load_$1"
	load=$pid
	check 'the endpoint answers' wait_until 10 endpoint_answers
}

test_chat() {
	run_server chat
	common 'score_profanity'
	report top -top -- edit_distance broadcast_message hash_password flush_outbox
	report cum -top -cum -- serve_connection run_worker
	listing '^edit_distance$' 'chat_server.c' 'diagonal'
	web "$(url 1)" score_profanity
	stop "$load"
	check 'every reply was right' [ "$status" = 0 ]
	ends_quietly
}

test_redis() {
	run_server redis
	common 'processCommand|processInputBuffer|dictFind|addReply|lookupKey'
	check 'redis answers' redis-cli -p "$server_port" ping
	stop "$load"
	ends_quietly
}

test_nginx() {
	run_server nginx
	common 'ngx_http_[a-z_]+'
	check 'nginx answers' page_has "http://127.0.0.1:$server_port/" '^1000$'
	stop "$load" INT
	check 'wrk saw no errors' bash -c "! grep -E 'Socket errors|Non-2xx' '$work/load.out'"
	ends_quietly
	check 'nginx logged no error' [ ! -s "$work/nginx-error.log" ]
}

start_throwing() {
	# Not more threads than cores: names and lines are looked up beside them.
	start_profiled throwing "$BUILD/fixtures/throwing_server" --threads 2 "$@"
	wait_until 10 grep -q ready "$work/throwing.out" || die 'throwing_server did not start'
}

load_throwing() {
	pid=
}

# Names of C++: namespaces and templates, from plugins; no mangled ones.
test_throwing() {
	run_server throwing
	common 'plugin_parse::'
	report top -top -- 'plugin_deep::walker<long>::descend_stairs' 'call_that_crosses' '_Unwind_'
	check 'no mangled names' bash -c "! grep -E ' _Z[A-Z0-9]' '$work/top.txt'"
	listing parse_field 'throw_parse_plugin.cc' 'no colon in'
	report deep -peek 'raise_request_error' -- 'descend_stairs'
	ends_quietly
	check 'no exception went wrong' has "$work/throwing.out" '[1-9][0-9]* exceptions caught.* 0 wrong'
}

# The same with plugins that come and go while profiles are taken.
test_reloading() {
	server_name=throwing
	start_throwing --reload
	server=$pid
	check 'the endpoint answers' wait_until 10 endpoint_answers
	profile=$work/reloading.pb.gz
	code=$(fetch '/debug/pprof/profile?seconds=3' "$profile")
	check 'the profile is fetched' [ "$code" = 200 ]
	report top -top -- 'plugin_parse::' 'plugin_deep::'
	ends_quietly
	check 'no exception went wrong' has "$work/throwing.out" ' [1-9][0-9]* reloads, 0 wrong'
}

prepare_pprof
make_key
[ $# -gt 0 ] || set -- chat redis nginx throwing reloading
for one in "$@"; do
	"test_$one"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
