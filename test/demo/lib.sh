# Runs real servers under the shim, puts load on them and fetches profiles: what
# demo.sh and the end-to-end tests of servers share.  To be sourced by bash.
#
# Needs $root (of the repository) and $BUILD.  Makes $work, a private temporary
# directory, and gives back everything when the shell ends: processes, files.
# shellcheck shell=bash

# Servers live here, and not every user's PATH says so.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# Go keeps what it builds below HOME, which a service account has not.
if [ ! -w "${HOME:-/}" ] || [ "${HOME:-/}" = / ]; then
	GOCACHE=${GOCACHE:-$(realpath "$BUILD")/gocache}
	export GOCACHE
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/pprofshim.XXXXXX")
export PPROF_TMPDIR=$work/pprof # copies of what go tool pprof fetches from a URL

pids=()
ports=" "

# Says what went wrong and ends the script.
die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# Polls: wait_until SECONDS COMMAND...
wait_until() {
	local rounds=$(($1 * 10))

	shift
	while ! "$@"; do
		((rounds-- > 0)) || return 1
		sleep 0.1
	done
}

alive() {
	kill -0 "$1" 2>/dev/null
}

gone() {
	! alive "$1"
}

# Starts a process: start NAME COMMAND...  Sets $pid; output is in $work/NAME.out and .err.
start() {
	local name=$1

	shift
	: >"$work/$name.out" # there before anybody looks into it
	"$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null &
	pid=$!
	pids+=("$pid")
}

# Ends one process that start() started, by force if it must, and sets $status.
stop() {
	kill -"${2:-TERM}" "$1" 2>/dev/null
	wait_until 10 gone "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	# shellcheck disable=SC2034 # for the caller
	status=$?
}

stop_everything() {
	local one

	for one in "${pids[@]}"; do
		if alive "$one"; then
			stop "$one"
		fi
	done
	rm -rf "$work"
}
trap stop_everything EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

port_open() {
	(: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# Sets $port to one below the range of outgoing connections that nobody listens on.
free_port() {
	while :; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
		case $ports in *" $port "*) continue ;; esac
		if ! port_open "$port"; then
			ports+="$port "
			return
		fi
	done
}

# The key is in a file that only we can read, and never in an argument list.
make_key() {
	key=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
	(umask 077 && printf '%s\n' "$key" >"$work/key")
}

# Starts a command under the shim: start_profiled NAME COMMAND...  Sets $pid and $pprof_port.
start_profiled() {
	local name=$1

	shift
	free_port
	pprof_port=$port
	start "$name" env LD_PRELOAD="$(realpath "$BUILD/libpprofshim.so")" \
		PPROF_PORT="$pprof_port" ADMIN_KEY_FILE="$work/key" "$@"
}

# GETs a path into a file: fetch PATH FILE.  Prints the HTTP status, 000 without an answer.
fetch() {
	printf 'header = "Authorization: Bearer %s"\n' "$key" |
		curl --config - --silent --noproxy '*' --max-time 60 --output "$2" \
			--write-out '%{http_code}' "http://127.0.0.1:$pprof_port$1"
}

endpoint_answers() {
	[ "$(fetch /debug/pprof/cmdline "$work/cmdline")" = 200 ]
}

# Newer Go builds its pprof tool at the first use, which may take a minute.
prepare_pprof() {
	local building

	command -v go >/dev/null || die "there is no go command; make deps installs it"
	go tool pprof -h >/dev/null 2>&1 &
	building=$!
	pids+=("$building")
	wait_until 3 gone "$building" || echo 'Go builds its pprof tool; this happens once.'
	wait "$building"
	return 0
}

# ---- servers: start_X starts X under the shim and returns when it answers;
# ---- load_X puts load on it until it is stopped.  Both set $pid.

need_command() {
	command -v "$1" >/dev/null || die "there is no $1; make deps installs it"
}

chat_port() {
	port=$(sed -n 's/^chat_server: listening on .*:\([0-9]*\)$/\1/p' "$work/chat.out")
	[ -n "$port" ]
}

start_chat() {
	start_profiled chat "$BUILD/fixtures/chat_server"
	wait_until 10 chat_port || die "the chat server did not start: $(tail -n 3 "$work/chat.out" "$work/chat.err")"
	server_port=$port
}

load_chat() {
	start load "$BUILD/fixtures/chat_load" --port "$server_port"
}

# Nothing is saved, and everything it might write is in $work.
start_redis() {
	need_command redis-server
	free_port
	server_port=$port
	start_profiled redis redis-server --bind 127.0.0.1 --port "$server_port" --save '' \
		--appendonly no --daemonize no --dir "$work"
	wait_until 10 port_open "$server_port" ||
		die "redis-server did not start: $(tail -n 3 "$work/redis.out" "$work/redis.err")"
}

# -l: all of these tests in turn, again and again.
load_redis() {
	need_command redis-benchmark
	start load redis-benchmark -h 127.0.0.1 -p "$server_port" -l -q -c 32 -P 16 -n 50000 -r 100000 \
		-t set,get,incr,lpush,sadd,hset,zadd,lrange_100,mset
}

# nginx as one process: with a master, the master would hold the profiling port
# and idle, while its workers, which are forked from it and do all the work, may
# not take the port from a living parent.
start_nginx() {
	need_command nginx
	free_port
	server_port=$port
	mkdir -p "$work/www"
	seq 1000 >"$work/www/index.html"
	cat >"$work/nginx.conf" <<-END
		daemon off;
		master_process off;
		pid $work/nginx.pid;
		error_log $work/nginx-error.log;
		events { worker_connections 512; }
		http {
			access_log off;
			open_file_cache max=10;
			client_body_temp_path $work/body;
			proxy_temp_path $work/proxy;
			fastcgi_temp_path $work/fastcgi;
			uwsgi_temp_path $work/uwsgi;
			scgi_temp_path $work/scgi;
			server {
				listen 127.0.0.1:$server_port;
				root $work/www;
			}
		}
	END
	start_profiled nginx nginx -e "$work/nginx-error.log" -p "$work" -c "$work/nginx.conf"
	wait_until 10 port_open "$server_port" ||
		die "nginx did not start: $(tail -n 3 "$work/nginx.err" "$work/nginx-error.log")"
}

load_nginx() {
	need_command wrk
	start load wrk --threads 2 --connections 32 --duration 1h --latency \
		"http://127.0.0.1:$server_port/"
}
