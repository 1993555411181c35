#!/bin/sh
# Unpacks the distribution's source package of PACKAGE into the new directory
# OUT: of the version that is installed, or else of the newest to be had, or else
# what other releases have at the same places.  The system's own package
# configuration is left as it is: a private copy of it, with the sources' type
# set to deb-src, asks the same places.
#
# usage: .ci/source.sh PACKAGE OUT     the log is OUT.log
set -eu

[ $# = 2 ] || {
	echo "usage: source.sh PACKAGE OUT" >&2
	exit 1
}
package=$1
mkdir -p "$(dirname "$2")"
out=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
apt=$out.apt

# Releases to ask when that of the machine has nothing, those first that were tried.
RELEASES='bookworm trixie sid'

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

# The same places, asked for another release.
private_sources_of() { # RELEASE
	sed -i "s/^\(deb-src \(\[[^]]*\] *\)\?[^ ]*\) .*/\1 $1 main/" "$apt/sources.list"
	for file in "$apt"/sources.d/*.sources; do
		[ ! -f "$file" ] || sed -i "s/^Suites:.*/Suites: $1/; s/^Components:.*/Components: main/" "$file"
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

versions() {
	dpkg-query -W -f='${source:Version}\n' "$package" 2>/dev/null || true
	APT_CONFIG=$apt/apt.conf apt-cache showsrc "$package" | sed -n 's/^Version: //p' | sort -rV
}

# An archive may list a version that it has not, and a source that is not
# Debian's may well have no source packages.
fetch_any() {
	cd "$apt/fetched"
	APT_CONFIG=$apt/apt.conf apt-get -qq update || true
	for version in $(versions); do
		APT_CONFIG=$apt/apt.conf apt-get -qq source --download-only "$package=$version" && return
		rm -f ./* # a part of it may have come
	done
	return 1
}

# Prints the last of what was said, on a failure.
failed() {
	tail -n 5 "$out.log" >&2
	rm -rf "$apt"
	echo "source: no source package of $package to be had" >&2
	exit 1
}

fetch() {
	(fetch_any) && return
	for release in $RELEASES; do
		echo "source: asking for $package of $release"
		private_sources_of "$release"
		(fetch_any) && return
	done
	return 1
}

rm -rf "$out" "$apt"
private_sources
private_settings
mkdir "$apt/fetched"
(fetch) >"$out.log" 2>&1 || failed
dpkg-source --no-check --no-copy -x "$apt"/fetched/*.dsc "$out" >>"$out.log" 2>&1 || failed
rm -rf "$apt"
