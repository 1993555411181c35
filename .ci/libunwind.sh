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

# The machine's package sources as type deb-src, in either format.  Lines that
# are deb-src already would come twice, and go.
private_sources() {
	mkdir -p "$apt/sources.d" "$apt/empty.d" "$apt/lists/partial" "$apt/cache/archives/partial"
	eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
	for file in "${list:-}" "${parts:-}"/*.list; do
		[ ! -f "$file" ] || sed -n 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file"
	done >"$apt/sources.list"
	for file in "${parts:-}"/*.sources; do
		[ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$apt/sources.d/${file##*/}"
	done
}

# The machine's settings (proxies, keys, pins) with lists and caches of our own
# and without the hooks that tend the system's package lists.
private_settings() {
	apt-config dump | grep -Ev '^(APT::Update::|DPkg::|Dir::Etc::(sourcelist|sourceparts|parts|main) |Dir::State::lists |Dir::Cache)' \
		>"$apt/apt.conf"
	cat >>"$apt/apt.conf" <<-END
		Dir::Etc::parts "$apt/empty.d";
		Dir::Etc::main "/dev/null";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "$apt/sources.d";
		Dir::State::lists "$apt/lists";
		Dir::Cache "$apt/cache";
		APT::Sandbox::User "$(id -un)";
	END
}

fetch_source() {
	apt=$out/apt
	private_sources
	private_settings
	# A source that is not Debian's may well have no source packages.
	APT_CONFIG=$apt/apt.conf apt-get -qq update >"$out/fetch.log" 2>&1 || true
	rm -rf "$out/fetched"
	mkdir "$out/fetched"
	(cd "$out/fetched" && APT_CONFIG=$apt/apt.conf apt-get -qq source --download-only libunwind) \
		>>"$out/fetch.log" 2>&1 || fetch_failed
	(cd "$out/fetched" && dpkg-source --no-check --no-copy -x ./*.dsc "$out/src") >>"$out/fetch.log" 2>&1 ||
		fetch_failed
	rm -rf "$apt" "$out/fetched"
}

fetch_failed() {
	tail -n 5 "$out/fetch.log" >&2
	die "no source package to be had; unpack libunwind's source and set LIBUNWIND_SRC to its directory"
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
