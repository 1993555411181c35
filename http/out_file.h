/* http: the server and its pages.  May include proto and below. */
/*
 * A file of ours in the user's directory: written beside it and renamed, so that whoever
 * looks sees a whole one; written anew again and again; never over a file that is not
 * the one that we wrote last.
 *
 * Context: listener.
 */
#ifndef HTTP_OUT_FILE_H
#define HTTP_OUT_FILE_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "proto/encode.h"

#define OUT_NAME_MAX 200 /* bytes of a name without its ending */

/* Zero-initialised: nothing was written so far. */
struct out_file {
	unsigned number; /* the name's, if others have it without one: 2 and more; else 0 */
	/* What was written last; inode 0: nothing.  Numbers of inodes are used again, times are
	 * not. */
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

/*
 * Writes `content` to NAME.KIND in the open directory `dir`, or to NAME-2.KIND and so on
 * where that is another's.  Returns 0, or -errno and leaves nothing behind.
 */
int out_file_write(struct out_file *f, int dir, const char *name, const char *kind,
		   struct bytes content);

#endif
