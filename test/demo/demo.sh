#!/bin/bash
# Profiles a real server under load and shows what it found: `make demo`.
#
# TARGET   chat (a chat server of this repository), redis or nginx
# BUILD    where make put the library and the chat server
# SECONDS_OF_PROFILE, 5
set -u

root=$(realpath "$(dirname "$0")/../..")
cd "$root" || exit 1
BUILD=${BUILD:-build}
TARGET=${TARGET:-chat}
profiled_seconds=${SECONDS_OF_PROFILE:-5}

# Per target: what it is, how to stop its load, and how functions of its own look.
sort=-flat
case $TARGET in
chat)
	title='a chat server with 4 worker threads, and 16 clients that chat'
	load_signal=TERM
	own='edit_distance|score_profanity|hash_password'
	;;
redis)
	title='redis-server, and redis-benchmark'
	load_signal=TERM
	own='(dict|lookup|process|add|read|zsl|sds)[A-Z]'
	;;
nginx)
	title='nginx (one process), and wrk'
	load_signal=INT
	own=ngx_
	sort=-cum # the kernel does most of its work
	;;
*)
	echo "demo: TARGET is chat, redis or nginx, not \"$TARGET\"" >&2
	exit 2
	;;
esac

# shellcheck source=test/demo/lib.sh
. "$root/test/demo/lib.sh"

# The last thing the load had to say about speed and latency.
load_result() {
	case $TARGET in
	chat) tail -n 1 "$work/load.out" ;;
	redis) tr '\r' '\n' <"$work/load.out" | grep 'requests per second' | tail -n 1 ;;
	nginx) awk '$1 == "Requests/sec:" { rate = $2 } $1 == "50%" { p50 = $2 } $1 == "99%" { p99 = $2 }
		END { print rate " requests per second, latency p50 " p50 " p99 " p99 }' "$work/load.out" ;;
	esac
}

logs() {
	tail -n 5 "$work/$TARGET.out" "$work/$TARGET.err" "$work/load.err" 2>/dev/null
}

server_lives() {
	alive "$server" || die "the server died:
$(logs)"
}

[ -e "$BUILD/libpprofshim.so" ] || die "there is no $BUILD/libpprofshim.so; run make first"
profile=$BUILD/demo/$TARGET-cpu.pb.gz
mkdir -p "$BUILD/demo"
prepare_pprof
make_key

echo "server:   $title"
"start_$TARGET"
server=$pid
"load_$TARGET"
load=$pid
wait_until 10 endpoint_answers || {
	server_lives
	die "the profiling endpoint on port $pprof_port does not answer:
$(logs)"
}

echo "fetching: http://127.0.0.1:$pprof_port/debug/pprof/profile?seconds=$profiled_seconds"
code=$(fetch "/debug/pprof/profile?seconds=$profiled_seconds" "$profile")
server_lives
[ "$code" = 200 ] || die "fetching the profile failed with status $code: $(head -c 500 "$profile")"
alive "$load" || die "the load ended early:
$(logs)"
stop "$load" "$load_signal"

top=$(go tool pprof -top "$sort" -nodecount 12 "$profile" 2>"$work/pprof.err") ||
	die "go tool pprof cannot read $profile: $(cat "$work/pprof.err")"
case $top in
*'Total samples = 0 '* | *'Total samples = 0s'*) die "the profile $profile has no samples" ;;
*'Total samples = '*) ;;
*) die "the profile $profile says nothing about its samples: $top" ;;
esac

# The first function of the server itself, else the first of all.
interesting=$(awk -v own="^($own)" '$5 ~ /%$/ { if (!any) any = $6; if ($6 ~ own) { print $6; found = 1; exit } }
	END { if (!found) print any }' <<<"$top")

stop "$server"
[ "$status" = 0 ] || die "the server ended with status $status"

cat <<END

$top

load:     $(load_result)
profile:  $profile

Look closer:
  go tool pprof -peek '$interesting\$' $profile
  go tool pprof -http 127.0.0.1:8080 $profile
  go tool pprof $profile           # then: top10, list NAME, peek NAME, web

Profile a program of yours:
  export ADMIN_KEY=\$(openssl rand -hex 16)
  ./pprof-inject.sh your-server its-arguments
  make pprof-cpu SECONDS=10        # in another terminal, with the same ADMIN_KEY
END
