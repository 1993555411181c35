/* proto: profiles as files and as text.  May include threads and below. */
/*
 * The forms that every profile can be asked for by ?format=.
 *
 * Context: listener.
 */
#ifndef PROTO_FORMAT_H
#define PROTO_FORMAT_H

#include "proto/build.h"

enum format { FORMAT_FILE, FORMAT_TEXT, FORMAT_COLLAPSED };

/* The sample type that a reader sees first: the default one, else the last. */
#define FORMAT_DEFAULT_VALUE (-1)

/*
 * The number of the sample type `name`; FORMAT_DEFAULT_VALUE for "".  MESSAGE_VALUES_MAX:
 * there is none of that name.
 */
int format_value(const struct profile_head *head, const char *name);

/* Writes `m` in `format`, the texts about this value.  Returns 0, or -1 when memory ran out. */
int format_write(struct arena *a, const struct message *m, enum format format, int value,
		 struct bytes *out);

#endif
