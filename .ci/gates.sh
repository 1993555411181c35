#!/bin/bash
# Looks at the finished library: nothing that a target could notice, and nothing
# that another machine's libc lacks.  One line for each gate, then a total.
#
# usage: HANDLER_OBJS="build/sampler/x.o ..." .ci/gates.sh build/libpprofshim.so CPPFLAGS
set -u
export LC_ALL=C

so=$1
shift
lists=$(dirname "$0")
exports=shim/exports.txt
newest_glibc=2.17 # what a machine must have to start anything with us preloaded
page_limit=24576 # bytes of the page in the browser
tls_limit=256	  # bytes taken from every thread's stack

# Never to be imported, whatever imports.txt says: the target's allocator, its
# stdio, its loader, its environment, its locale, and every way to end it.
banned='^(malloc|calloc|realloc|reallocarray|free|cfree|memalign|aligned_alloc|posix_memalign|valloc|pvalloc|strn?dup
|mallinfo.*|malloc_.*|.*printf(_chk)?|f?put[sc](_unlocked)?|putchar|perror|f(open|close|read|write|flush|gets|seek).*
|std(in|out|err)|open_memstream|getline|dl(open|mopen|sym|vsym|addr|addr1|close|error|info|_iterate_phdr)
|_dl_.*|(secure_|__secure_)?getenv|(un)?setenv|putenv|clearenv|environ|__environ|setlocale|newlocale|uselocale
|localtime.*|strftime|tzset|strerror.*|getpw.*|getgr.*|getaddrinfo|gethostby.*|syslog|openlog|abort|__assert.*
|_?exit|_Exit|quick_exit|at_?exit|on_exit|__cxa_.*|__register_atfork|pthread_atfork|raise|kill|pipe2?|f?system|popen
|longjmp|_?_?setjmp|__longjmp_chk|__stack_chk_fail|__.*_chk|_Unwind_.*|__tls_get_addr|__isoc23_.*|__gmon_start__)$'
banned=${banned//$'\n'/}

read -ra handler <<<"$HANDLER_OBJS"
passed=0
failed=0
dynamic=$(readelf -dW "$so") || exit 1
segments=$(readelf -lW "$so")
symbols=$(nm -D --with-symbol-versions "$so" 2>/dev/null)
imports=$(sed -n 's/^ *[Uwv] //p' <<<"$symbols" | sort -u)

# gate NAME PROBLEM [REMARK]: passed when PROBLEM is empty.
gate() {
	if [ -z "$2" ]; then
		passed=$((passed + 1))
		printf 'ok   %-14s %s\n' "$1" "${3:-}"
	else
		failed=$((failed + 1))
		printf 'FAIL %-14s %s\n' "$1" "$(tr '\n' ' ' <<<"$2")"
	fi
}

# A list file without its comments.
listed() {
	sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$1" | sort -u
}

has() { # TEXT PATTERN SENTENCE: says SENTENCE unless PATTERN is found
	grep -qE "$2" <<<"$1" || echo "$3"
}

lacks() { # TEXT PATTERN SENTENCE: says SENTENCE if PATTERN is found
	! grep -qE "$2" <<<"$1" || echo "$3"
}

gate_exports() {
	local real wanted
	real=$(awk '$2 ~ /^[A-TV-Zi]$/ { print $3 }' <<<"$symbols" | sort -u)
	wanted=$(listed "$exports")
	gate exports "$(comm -23 <(echo "$real") <(echo "$wanted") | sed '/./s/.*/exported but not listed: &/'
		comm -13 <(echo "$real") <(echo "$wanted") | sed '/./s/.*/listed but not exported: &/'
		sort -cu "$exports" 2>&1)" "$(grep -c . <<<"$real") names, as in $exports"
}

gate_needed() {
	local needed
	needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
	gate needed "$(grep -vxE 'libc\.so\.6|ld-linux-x86-64\.so\.2' <<<"$needed"
		lacks "$dynamic" '\((RPATH|RUNPATH)\)' 'has a library search path')" "${needed//$'\n'/ }"
}

gate_imports() {
	local unlisted
	unlisted=$(comm -23 <(echo "$imports") <(listed "$lists/imports.txt"))
	gate imports "${unlisted:+not in .ci/imports.txt: $unlisted}" "$(grep -c . <<<"$imports") names, all listed"
	gate banned "$({
		echo "$imports"
		listed "$lists/imports.txt"
	} | cut -d @ -f 1 | grep -E "$banned")" \
		'no allocator, stdio, loader, environment, exit'
}

# From the list of needed versions, which also names those without a symbol.
gate_glibc() {
	local versions highest
	versions=$(readelf -VW "$so" | sed -n '/needs section/,$s/.*Name: \([^ ]*\) .*/\1/p' | sort -uV)
	highest=$(sed -n 's/^GLIBC_\([0-9.]*\)$/\1/p' <<<"$versions" | tail -n 1)
	gate glibc "$(grep -vxE 'GLIBC_[0-9.]+' <<<"$versions" | sed '/./s/.*/needs &/'
		printf '%s\n' "$newest_glibc" "${highest:-0}" | sort -V | tail -n 1 | grep -vxF "$newest_glibc" |
			sed 's/.*/needs GLIBC_&/')" "GLIBC_${highest:-none}, limit $newest_glibc"
}

gate_tls() {
	local bytes relocations
	bytes=$(($(awk '$1 == "TLS" { print $6 }' <<<"$segments") + 0))
	relocations=$(readelf -rW "$so")
	gate tls "$([ $bytes -le $tls_limit ] || echo "$bytes bytes of thread-local storage, limit $tls_limit"
		lacks "$relocations" 'R_X86_64_(DTPMOD|DTPOFF|TLSDESC|TLSGD|TLSLD)' \
			'dynamic thread-local storage: compile with -ftls-model=initial-exec')" "$bytes bytes, limit $tls_limit"
}

# Pages of .dynsym that hold code too: lookup_hide() takes the right to execute from them.
dynsym_and_code() {
	local name address size flags end=0 code=0
	while read -r name _ address _ size _ flags _; do
		case $name:$flags in
		.dynsym:*) end=$((0x$address + 0x$size)) ;;
		*:*X*) [ $code != 0 ] || code=$((0x$address)) ;;
		esac
	done < <(readelf -SW "$so" | sed -n 's/^ *\[ *[0-9]*\] *\./\./p')
	[ $code -ge $(((end + 4095) / 4096 * 4096)) ] || echo 'code shares a page with .dynsym'
}

gate_memory() {
	local stack
	stack=$(awk '$1 == "GNU_STACK" { print $7 }' <<<"$segments")
	gate memory "$([ "$stack" = RW ] || echo "GNU_STACK is ${stack:-missing}, not RW"
		lacks "$segments" ' RWE ' 'has a segment that is writable and executable'
		dynsym_and_code
		lacks "$dynamic" 'TEXTREL' 'has text relocations')" 'stack RW, nothing writable is executable'
}

gate_linking() {
	gate linking "$(has "$segments" 'GNU_RELRO' 'no RELRO'
		has "$dynamic" 'BIND_NOW|Flags:.*NOW' 'not bound at start (-z now)'
		has "$dynamic" 'NODELETE' 'can be unloaded (-z nodelete)'
		has "$dynamic" '\(SONAME\).*\[libpprofshim\.so\]' 'wrong SONAME'
		has "$(readelf -nW "$so")" 'Build ID: [0-9a-f]{40}' 'no build id')" 'relro, now, nodelete, soname, build id'
}

gate_exit() {
	gate exit "$(lacks "$dynamic" '\(FINI' 'runs code at exit')" 'no code runs when the target exits'
}

# An object without the note would switch shadow stacks off for its process.
# Landing pads (IBT) are in all code that we compile; archives of the
# distribution may lack them, and then the library does not claim to have them.
gate_cet() {
	local without note
	without=$(find "${so%/*}"/{shim,sampler,http,proto} "$lists/../build/libunwind" \
		\( -name '*.o' -o -name 'libunwind-x86_64.a' \) -not -path '*/src/*' 2>/dev/null |
		while read -r file; do
			readelf -nW "$file" | grep -q 'IBT, SHSTK' || echo "$file has no landing pads"
		done)
	note=$(readelf -nW "$so" | sed -n 's/.*x86 feature: //p')
	gate cet "$without$(has "$note" SHSTK 'no note for shadow stacks')" "$note"
}

gate_handler() {
	local undefined own
	undefined=$(nm -u "${handler[@]}" | sed -n 's/^ *[Uwv] //p' | sort -u)
	own=$(nm -g --defined-only "${handler[@]}" | sed -n 's/^[0-9a-f]* [A-Z] //p' | sort -u)
	undefined=$(comm -23 <(echo "$undefined") <({
		echo "$own"
		listed "$lists/handler-calls.txt"
	} | sort -u))
	gate handler "${undefined:+not in .ci/handler-calls.txt: $undefined}$(
		has "$own" '^tick_handle$' 'the function that takes a tick is in no file of the handler'
	)" "${handler[*]##*/}"
}

# The seam for the processor; see arch.sh.
gate_arch() {
	local wrong remark='all but arch/ compiles for aarch64'
	gate names "$("$lists/arch.sh" names)" 'no processor is named outside arch/'
	wrong=$("$lists/arch.sh" cross "$@")
	case $? in
	0) wrong= ;;
	2)
		remark="skipped: $wrong"
		wrong=
		;;
	*) wrong=$(grep -m 5 error: <<<"$wrong" || echo "cross compiler: $wrong") ;;
	esac
	gate cross "$wrong" "$remark"
}

gate_rooms() {
	gate rooms "$("$lists/rooms.sh" "${so%/*}" 2>&1)" 'no arrow upward, no circle'
}

# The page in the browser is small, and all that it needs comes with it.
gate_page() {
	local page size
	page=$(http/view/pack.sh html)
	size=$(($(wc -c <<<"$page")))
	gate page "$(
		[ "$size" -gt 1000 ] && [ "$size" -le $page_limit ] || echo "$size bytes, more than $page_limit"
		grep -oE '(https?:)?//[A-Za-z0-9.-]+' <<<"$page"
		grep -oE '(src|href|url\()=?["'"'"']?(data:|[a-z]+:)' <<<"$page"
	)" "$size bytes, $(gzip -9n <<<"$page" | wc -c) packed"
}

gate_exports
gate_page
gate_needed
gate_imports
gate_glibc
gate_tls
gate_memory
gate_linking
gate_exit
gate_cet
gate_handler
gate_arch "$@"
gate_rooms
echo "$passed passed, $failed failed"
[ $failed = 0 ]
