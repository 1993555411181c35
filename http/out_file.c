#include "http/out_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "sampler/base/sys.h"
#include "sampler/base/text.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

#define NUMBERS_MAX 1000
#define PATH_BYTES  (OUT_NAME_MAX + 56)

static void write_path(struct text *t, const struct out_file *f, const char *name, const char *kind)
{
	text_str(t, name);
	if (f->number) {
		text_char(t, '-');
		text_u64(t, f->number);
	}
	text_char(t, '.');
	text_str(t, kind);
}

static int create(int dir, const char *path)
{
	return (int)sys_call4(SYS_openat, dir, (long)path,
			      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int write_all(int fd, struct bytes content)
{
	for (size_t done = 0; done < content.len;) {
		long n = sys_write(fd, content.at + done, content.len - done);

		if (n == 0)
			return -EIO;
		if (n < 0 && n != -EINTR)
			return (int)n;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static void note(struct out_file *f, const struct stat *st)
{
	f->device = st->st_dev;
	f->inode = st->st_ino;
	f->size = st->st_size;
	f->changed = st->st_mtim;
}

/*
 * Hidden, and nobody else's: processes of several containers that share the directory have
 * the same names and numbers, so the name is made of the time.
 */
static int create_beside(const struct out_file *f, int dir, const char *name, const char *kind,
			 char path[static PATH_BYTES])
{
	int fd = -EEXIST;

	for (int i = 0; fd == -EEXIST && i < NUMBERS_MAX; i++) {
		struct text t = { .at = path, .size = PATH_BYTES };

		text_char(&t, '.');
		write_path(&t, f, name, kind);
		text_char(&t, '.');
		text_hex(&t, (uint32_t)sys_clock_ns(CLOCK_MONOTONIC));
		text_str(&t, ".part");
		fd = create(dir, path);
	}
	return fd;
}

static int write_beside(struct out_file *now, int fd, struct bytes content)
{
	struct stat st;
	int failed;

	failed = (int)sys_call3(SYS_fchmod, fd, 0600, 0);
	if (!failed)
		failed = write_all(fd, content);
	if (!failed)
		failed = (int)sys_call3(SYS_fstat, fd, (long)&st, 0);
	if (!failed)
		note(now, &st);
	sys_close(fd);
	return failed;
}

/* 0, or -errno: -ENOENT. */
static int look(int dir, const char *path, struct stat *st)
{
	return (int)sys_call4(SYS_newfstatat, dir, (long)path, (long)st, AT_SYMLINK_NOFOLLOW);
}

static bool is_ours(const struct out_file *f, int dir, const char *path)
{
	struct stat st;

	return f->inode && look(dir, path, &st) == 0 && st.st_dev == f->device &&
	       st.st_ino == f->inode && st.st_size == f->size &&
	       st.st_mtim.tv_sec == f->changed.tv_sec && st.st_mtim.tv_nsec == f->changed.tv_nsec;
}

static int move(int dir, const char *from, const char *to, unsigned flags)
{
	return (int)sys_call6(SYS_renameat2, dir, (long)from, dir, (long)to, flags, 0);
}

/* Some file systems cannot refuse by themselves: then there is a moment for others. */
static int move_to_free(int dir, const char *from, const char *to)
{
	struct stat st;
	int failed = move(dir, from, to, RENAME_NOREPLACE);

	if (failed != -EINVAL && failed != -ENOSYS)
		return failed;
	return look(dir, to, &st) == -ENOENT ? move(dir, from, to, 0) : -EEXIST;
}

/* To the name that was ours, or the first that nobody has. */
static int publish(struct out_file *f, int dir, const char *from, const char *name,
		   const char *kind)
{
	char buf[PATH_BYTES];
	int failed = -EEXIST;

	for (int i = 0; failed == -EEXIST && i < NUMBERS_MAX; i++) {
		struct text to = TEXT_INIT(buf);

		write_path(&to, f, name, kind);
		failed = is_ours(f, dir, buf) ? move(dir, from, buf, 0)
					      : move_to_free(dir, from, buf);
		if (failed == -EEXIST)
			f->number += f->number ? 1 : 2;
	}
	return failed;
}

int out_file_write(struct out_file *f, int dir, const char *name, const char *kind,
		   struct bytes content)
{
	char buf[PATH_BYTES];
	struct out_file now = *f;
	int fd = create_beside(f, dir, name, kind, buf), failed;

	if (fd < 0)
		return fd;
	failed = write_beside(&now, fd, content);
	if (!failed)
		failed = publish(f, dir, buf, name, kind);
	if (failed) {
		sys_call3(SYS_unlinkat, dir, (long)buf, 0);
		return failed;
	}
	now.number = f->number;
	*f = now;
	return 0;
}
