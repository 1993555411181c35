#!/bin/sh
# Copies libunwind, zlib, zstd, xz, protobuf-c and libiberty and binds what they import to
# us: every function that none of them defines is renamed to pprofshim_lib_NAME,
# except a short list of pure ones.  sampler/process/linked_libc.c implements those that are
# really used; any other fails to link.  So nothing in them can reach the
# target's allocator, files, locks or loader, and nothing new can when one of
# them is updated.
#
# usage: .ci/bind.sh OUT LIBUNWIND     (say, build/lib build/libunwind)
set -eu

# Functions of libc that touch only the bytes they are given.
PURE='__errno_location memchr memcmp memcpy memmove memset stpcpy strcat strchr strcmp strcpy
strlen strncat strncmp strncpy strnlen strrchr'

# Weak references of theirs to each other: the linker would leave them open, for
# the target to fill in.
WEAK='_U_dyn_info_list_addr'

out=$1
unwind=$2
mkdir -p "$out"
export LC_ALL=C # for sort and comm to agree

system_archive() {
	path=$("${CC:-gcc}" -print-file-name="$1")
	[ -f "$path" ] || {
		echo "bind: no $1 on this system; try: make deps" >&2
		exit 1
	}
	echo "$path"
}

z=$(system_archive libz.a)
protobuf=$(system_archive libprotobuf-c.a)
iberty=$(system_archive libiberty.a)
lzma=$(system_archive liblzma.a)

# Without what reads frames from before zstd 1.0: 90 KB that nothing of ours can be in.
zstd=$out/zstd/libzstd.a
mkdir -p "${zstd%/*}"
cp "$(system_archive libzstd.a)" "$zstd"
ar t "$zstd" | grep '^zstd_v0' | xargs -r ar d "$zstd"
set -- "$unwind/libunwind-x86_64.a" "$unwind/libunwind.a" "$z" "$zstd" "$lzma" "$protobuf" "$iberty"

# shellcheck disable=SC2086 # one word per name
printf '%s\n' _GLOBAL_OFFSET_TABLE_ $PURE | sort -u >"$out/keep"
nm -g --defined-only "$@" 2>/dev/null | sed -n 's/^[0-9a-f]* [A-Za-z] //p' |
	grep -vxF "$WEAK" | sort -u >"$out/defined"
nm -u "$@" 2>/dev/null | sed -n 's/^ *[Uwv] //p' | sort -u |
	comm -23 - "$out/defined" | comm -23 - "$out/keep" |
	sed 's/.*/& pprofshim_lib_&/' >"$out/bind.new"
rm -f "$out/keep" "$out/defined"

for archive in "$@"; do
	objcopy --redefine-syms="$out/bind.new" "$archive" "$out/${archive##*/}"
done
mv "$out/bind.new" "$out/bind.syms"
