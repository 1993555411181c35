#!/bin/sh
# Before the loader has relocated our library, another one's IFUNC resolver may call malloc.
# Where our thread-local variables are is in words of the table of offsets, and until they
# are relocated these hold what the file has: a place in libc's thread record that nobody uses
# (ARCH_SPARE_TLS).  Relocations with an addend do not look at it.
#
# usage: .ci/early.sh LIBRARY
set -eu

# As printf takes a byte of a word: all others are 0.
spare=$(sed -n 's/^#define ARCH_SPARE_TLS *\([0-9]*\).*/\1/p' sampler/arch/"$(uname -m)".h)
word=$(printf '\\0%o\\0\\0\\0\\0\\0\\0\\0' "$spare")
table=$(readelf -SW "$1" | sed -n 's/^.* \.got  *PROGBITS  *\([0-9a-f]*\)  *\([0-9a-f]*\) .*/\1 \2/p')
address=$((0x${table% *}))
offset=$((0x${table#* }))

for at in $(readelf -rW "$1" | sed -n 's/^\([0-9a-f]*\)  *[0-9a-f]*  *R_[A-Z0-9_]*_TPOFF64 .*/\1/p'); do
	printf '%b' "$word" |
		dd of="$1" bs=1 seek=$((0x$at - address + offset)) conv=notrunc status=none
done
