#include "sampler/base/error_text.h"

#include <errno.h>
#include <stddef.h>

#include "sampler/base/cc.h"

struct reason {
	int error;
	const char *text;
};

static const struct reason of_making[] = {
	{ ENOENT, "there is no such directory" },
	{ ENOTDIR, "a file is in the place of a directory" },
	{ ELOOP, "it is no directory, but links that lead nowhere" },
	{ EACCES, "writing there is not allowed" },
	{ EPERM, "writing there is not allowed" },
	{ EROFS, "the file system is read-only" },
	{ ENOSPC, "there is no space left" },
	{ EDQUOT, "there is no space left for this user" },
	{ EFBIG, "files may not be as large as that (RLIMIT_FSIZE)" },
};

static const struct reason of_reading[] = {
	{ ENOENT, "there is no such file" },
	{ ENOTDIR, "a file is in the place of a directory" },
	{ EISDIR, "it is a directory" },
	{ ELOOP, "it is no file, but links that lead nowhere" },
	{ EACCES, "this user may not read it" },
	{ EPERM, "this user may not read it" },
};

static const struct reason of_both[] = {
	{ ENAMETOOLONG, "the name is too long" },
	{ EMFILE, "no more files may be open (RLIMIT_NOFILE)" },
	{ ENFILE, "no more files may be open on this machine" },
	{ EIO, "the device fails" },
};

static bool tell(struct text *t, int failed, const struct reason *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i].error == -failed) {
			text_str(t, list[i].text);
			return true;
		}
	}
	return false;
}

static void tell_rest(struct text *t, int failed)
{
	if (tell(t, failed, of_both, ARRAY_SIZE(of_both)))
		return;
	text_str(t, "errno ");
	text_i64(t, -failed);
}

void text_error(struct text *t, int failed)
{
	if (!tell(t, failed, of_making, ARRAY_SIZE(of_making)))
		tell_rest(t, failed);
}

void text_error_of_reading(struct text *t, int failed)
{
	if (!tell(t, failed, of_reading, ARRAY_SIZE(of_reading)))
		tell_rest(t, failed);
}
