#!/bin/sh
# Builds libunwind as a static, position independent library out of the
# distribution's own source package (Debian's binary package cannot be linked
# into a shared object), or out of an unpacked tree named by LIBUNWIND_SRC.
# The result stays in OUT until the flags, the version or the tree change.
#
# usage: .ci/libunwind.sh OUT     (say, build/libunwind)
set -eu

FLAGS='--disable-shared --enable-static --with-pic --disable-minidebuginfo --disable-zlibdebuginfo
--disable-coredump --disable-ptrace --disable-setjmp --disable-documentation --disable-tests
--disable-cxx-exceptions --disable-unwind-header --disable-weak-backtrace'
CFLAGS='-O2 -g -fPIC -fcf-protection -fno-stack-protector -U_FORTIFY_SOURCE -ftls-model=initial-exec'
CFLAGS="$CFLAGS -fexceptions -fasynchronous-unwind-tables -ffunction-sections -fdata-sections"

die() {
	echo "libunwind: $*" >&2
	exit 1
}

[ $# = 1 ] || die "usage: libunwind.sh OUT"
mkdir -p "$1"
out=$(cd "$1" && pwd)
unset CPPFLAGS LDFLAGS MAKEFLAGS MAKELEVEL MFLAGS

fetch_source() {
	"$(dirname "$0")/source.sh" libunwind "$out/src" ||
		die "unpack its source (1.6 or later) and say: make LIBUNWIND_SRC=its-directory"
}

copy_source() {
	[ -f "$LIBUNWIND_SRC/configure.ac" ] || die "LIBUNWIND_SRC=$LIBUNWIND_SRC is not a libunwind source tree"
	cp -R "$LIBUNWIND_SRC" "$out/src"
}

# In the source tree's own directory, and with nothing of it in the binaries.
compile() {
	cd "$out/src"
	[ -x configure ] || autoreconf -i
	# shellcheck disable=SC2086 # one word per flag
	./configure -q $FLAGS CFLAGS="$CFLAGS -ffile-prefix-map=$out/src=libunwind" \
		--prefix=/usr --libdir=/usr/lib
	make clean # a tree named by LIBUNWIND_SRC may hold somebody's objects
	make -j"$(nproc)"
	make install DESTDIR="$out/stage"
}

key() {
	echo "$FLAGS $CFLAGS"
	echo "source ${LIBUNWIND_SRC:-of the distribution}"
	${CC:-gcc} -dumpfullversion
}

# Two makes at once: the second waits, and finds the work done.
exec 9>"$out/lock"
flock 9
if [ -f "$out/libunwind.a" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$(key)" ]; then
	exit 0
fi
echo "libunwind: building from ${LIBUNWIND_SRC:-the source package of the distribution}"
rm -rf "$out/src" "$out/stage" "$out/stamp"
if [ -n "${LIBUNWIND_SRC:-}" ]; then
	copy_source
else
	fetch_source
fi
(compile) >"$out/build.log" 2>&1 || {
	tail -n 20 "$out/build.log" >&2
	die "build failed, see $out/build.log"
}
rm -rf "$out/include"
mv "$out/stage/usr/include" "$out/include"
cp "$out/stage/usr/lib/libunwind-x86_64.a" "$out/stage/usr/lib/libunwind.a" "$out"
cp "$out/src/COPYING" "$out"
rm -rf "$out/stage"
key >"$out/stamp"
