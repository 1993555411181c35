/* http: the server and its pages.  May include proto and below. */
/*
 * The page with graphs as it lies in the library, and what the index shares with it.
 * http/view/pack.sh writes the definitions when we are built.
 *
 * A browser that shows the page runs and fetches nothing but what is known here by its
 * hash or comes from our own address: a profile is full of names that others chose.
 */
#ifndef HTTP_VIEW_PAGE_H
#define HTTP_VIEW_PAGE_H

#include <stddef.h>

#define POLICY_NOTHING                                                                             \
	"Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; "       \
	"frame-ancestors 'none'"
#define POLICY_END "\r\nReferrer-Policy: no-referrer\r\n"
#define VIEW_POLICY(script, style)                                                                 \
	POLICY_NOTHING "; connect-src 'self'; script-src '" script "'; style-src '" style          \
		       "'" POLICY_END
#define INDEX_POLICY(style) POLICY_NOTHING "; style-src '" style "'" POLICY_END

extern const unsigned char view_page[]; /* gzipped */
extern const size_t view_page_len;
extern const size_t view_page_raw_len; /* without gzip */
extern const char view_page_policy[];  /* complete header lines */

extern const char index_style[]; /* CSS */
extern const char index_policy[];

#endif
