#!/bin/bash
# Writes the page as one C file: packed, with the hashes by which a browser knows our style and script, gzipped.
# The same sources give the same bytes.  http/view_page.h declares what is in it.
#
# usage: http/view/pack.sh >view_page.c
#        http/view/pack.sh html     the page alone, as a browser gets it
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")"

pack() { # LANGUAGE FILE...
	awk -v LANGUAGE="$1" -f pack.awk "${@:2}"
}

# As Content-Security-Policy wants it: base64 of the 32 bytes.
hash_of() {
	printf 'sha256-%s' "$(printf %b "$(printf %s "$1" | sha256sum | cut -c 1-64 | sed 's/../\\x&/g')" | base64)"
}

# Bytes as the elements of an array.
bytes() {
	od -An -v -tu1 | tr -s ' ' , | sed 's/^,//; s/$/,/'
}

common=$(pack css common.css)
style=$common$(pack css view.css)
script=$(pack js pprof.js sums.js page.js flame.js lists.js)
page=$(
	# The head of the answer tells the character set.
	printf '<!DOCTYPE html><html lang="en"><meta name="viewport" content="width=device-width">'
	printf '<title>pprof</title><style>%s</style>\n%s\n<script>%s</script></html>' "$style" "$(pack html view.html)" "$script"
)

if [ "${1:-}" = html ]; then
	printf '%s\n' "$page"
	exit
fi
cat <<-END
	/* Made by http/view/pack.sh. */
	#include "http/view_page.h"

	const unsigned char view_page[] = {
	$(printf '%s\n' "$page" | gzip -9n | bytes)
	};
	const size_t view_page_len = sizeof(view_page), view_page_raw_len = $(printf '%s\n' "$page" | wc -c);
	const char view_page_policy[] = VIEW_POLICY("$(hash_of "$script")", "$(hash_of "$style")");
	const char index_style[] = {
	$(printf %s "$common" | bytes)
	0 };
	const char index_policy[] = INDEX_POLICY("$(hash_of "$common")");
END
