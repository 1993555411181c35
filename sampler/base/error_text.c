#include "sampler/base/error_text.h"

#include <errno.h>

/* X(errno, what it means) */
#define REASONS(X)                                                                                 \
	X(ENOENT, "there is no such directory")                                                    \
	X(ENOTDIR, "a file is in the place of a directory")                                        \
	X(ELOOP, "it is no directory, but links that lead nowhere")                                \
	X(ENAMETOOLONG, "the name is too long")                                                    \
	X(EACCES, "writing there is not allowed")                                                  \
	X(EPERM, "writing there is not allowed")                                                   \
	X(EROFS, "the file system is read-only")                                                   \
	X(ENOSPC, "there is no space left")                                                        \
	X(EDQUOT, "there is no space left for this user")                                          \
	X(EFBIG, "files may not be as large as that (RLIMIT_FSIZE)")                               \
	X(EMFILE, "no more files may be open (RLIMIT_NOFILE)")                                     \
	X(ENFILE, "no more files may be open on this machine")                                     \
	X(EIO, "the device fails")

void text_error(struct text *t, int failed)
{
	switch (-failed) {
#define X(error, reason)                                                                           \
	case error:                                                                                \
		text_str(t, reason);                                                               \
		break;
		REASONS(X)
#undef X
	default:
		text_str(t, "errno ");
		text_i64(t, -failed);
	}
}
