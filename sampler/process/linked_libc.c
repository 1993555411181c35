/*
 * What libunwind, zlib, zstd, xz, protobuf-c and libiberty see as libc.  Nothing here
 * reaches the target: see linked_libc.h.  Each function keeps the contract of its
 * namesake, with the outcome "refused" where the real one would touch a file,
 * a lock or the loader.
 */
#include "sampler/process/linked_libc.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/text.h"

/* Defines one bound function; these names are known to the linker only. */
#define BOUND(type, name, ...)                                                                     \
	type pprofshim_lib_##name(__VA_ARGS__);                                                    \
	type pprofshim_lib_##name(__VA_ARGS__)

static int refused(int error)
{
	errno = error;
	return -1;
}

/* ---- memory ---------------------------------------------------------- */

/* In front of every block, so that realloc() knows how much to copy. */
struct block {
	size_t bytes; /* asked for */
	size_t unused;
};

_Static_assert(sizeof(struct block) == 16, "blocks are aligned to 16");

static struct arena *memory;

struct arena *lib_memory_use(struct arena *a)
{
	struct arena *before = memory;

	memory = a;
	return before;
}

BOUND(void *, malloc, size_t bytes)
{
	size_t room;
	struct block *b = NULL;

	if (memory && !__builtin_add_overflow(bytes, sizeof(*b), &room))
		b = arena_alloc(memory, room);
	if (!b)
		return errno = ENOMEM, NULL;
	b->bytes = bytes;
	return b + 1;
}

/* Arena memory is zero already. */
BOUND(void *, calloc, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return errno = ENOMEM, NULL;
	return pprofshim_lib_malloc(bytes);
}

static bool is_newest(const struct block *b, size_t room)
{
	return memory && memory->chunk &&
	       (const char *)b + room == (const char *)memory->chunk + memory->used;
}

BOUND(void, free, void *p)
{
	struct block *b = p;
	size_t room;

	if (!p)
		return;
	b--;
	room = ALIGN_UP(b->bytes + sizeof(*b), 16);
	if (!is_newest(b, room))
		return;
	memset(b, 0, room); /* an arena hands out zeroed memory */
	memory->used -= room;
}

BOUND(void *, realloc, void *p, size_t bytes)
{
	struct block *b = p;
	size_t room;

	if (!p)
		return pprofshim_lib_malloc(bytes);
	b--;
	if (bytes <= b->bytes)
		return p;
	if (!memory || __builtin_add_overflow(bytes, sizeof(*b), &room))
		return errno = ENOMEM, NULL;
	b = arena_grow(memory, b, b->bytes + sizeof(*b), room);
	if (!b)
		return errno = ENOMEM, NULL;
	b->bytes = bytes;
	return b + 1;
}

/*
 * libunwind maps its own small pools.  They live for ever, so they are ours and
 * not the arena's, within a bound.
 */
#define POOL_BYTES_MAX (4UL << 20)

static size_t pool_bytes;

BOUND(void *, mmap, void *addr, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p = NULL;

	(void)addr, (void)prot, (void)offset;
	if ((flags & MAP_ANONYMOUS) && fd < 0 && bytes <= POOL_BYTES_MAX - pool_bytes)
		p = sys_map_kept(bytes); /* libunwind's lists of free blocks, which a child has */
	if (!p)
		return errno = ENOMEM, MAP_FAILED;
	pool_bytes += bytes;
	return p;
}

BOUND(int, munmap, void *p, size_t bytes)
{
	sys_unmap_kept(p, bytes);
	pool_bytes -= MIN(bytes, pool_bytes);
	return 0;
}

/* Is this address mapped?  These libraries have no business to ask. */
BOUND(int, mincore, void *p, size_t bytes, unsigned char *vec)
{
	(void)p, (void)bytes, (void)vec;
	return refused(ENOMEM);
}

BOUND(int, msync, void *p, size_t bytes, int flags)
{
	(void)p, (void)bytes, (void)flags;
	return refused(ENOMEM);
}

/* ---- aborting -------------------------------------------------------- */

/* The innermost lib_try(), a buffer of __builtin_setjmp(); NULL outside. */
static void **landing;

void lib_after_fork(void)
{
	memory = NULL;
	landing = NULL;
}

static __attribute__((noreturn)) void give_up(void)
{
	counter_add(COUNTER_LIBRARY_ABORTS, 1);
	if (landing)
		__builtin_longjmp(landing, 1);
	for (;;)
		sys_call4(SYS_ppoll, 0, 0, 0, 0);
}

NOINLINE int lib_try(void (*fn)(void *), void *arg)
{
	void *buf[5];
	void **volatile outer = landing;
	volatile int ret = 0;

	if (__builtin_setjmp(buf) == 0) {
		landing = buf;
		fn(arg);
	} else {
		ret = -1;
	}
	landing = outer;
	return ret;
}

BOUND(void, abort, void)
{
	give_up();
}

/*
 * libiberty's allocators end the program when there is no memory.  These come before its own,
 * which are not linked in then.
 */
void *xmalloc(size_t bytes);
void *xrealloc(void *p, size_t bytes);

void *xmalloc(size_t bytes)
{
	void *p = pprofshim_lib_malloc(bytes);

	if (!p)
		give_up();
	return p;
}

void *xrealloc(void *p, size_t bytes)
{
	p = pprofshim_lib_realloc(p, bytes);
	if (!p)
		give_up();
	return p;
}

BOUND(void, __stack_chk_fail, void)
{
	give_up();
}

BOUND(void, __assert_fail, const char *what, const char *file, unsigned line, const char *function)
{
	(void)what, (void)file, (void)line, (void)function;
	give_up();
}

/* ---- text ------------------------------------------------------------ */

/* A signed or unsigned argument as wide as `longs` letters "l" say. */
static int64_t signed_arg(va_list *args, int longs)
{
	return longs ? va_arg(*args, long) : va_arg(*args, int);
}

static uint64_t unsigned_arg(va_list *args, int longs)
{
	return longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
}

/* One conversion, `c` its last letter.  The libraries use these and no others. */
static void convert(struct text *t, char c, int longs, va_list *args)
{
	switch (c) {
	case 'd':
	case 'i':
		text_i64(t, signed_arg(args, longs));
		break;
	case 'u':
		text_u64(t, unsigned_arg(args, longs));
		break;
	case 'x':
		text_hex(t, unsigned_arg(args, longs));
		break;
	case 'c':
		text_char(t, (char)va_arg(*args, int));
		break;
	case 's':
		text_str(t, va_arg(*args, const char *));
		break;
	case '%':
		text_char(t, '%');
		break;
	default:
		give_up(); /* guessing the argument's size could read anything */
	}
}

static int format(char *to, size_t size, const char *fmt, va_list *args)
{
	char nowhere[1];
	struct text t = { .at = size ? to : nowhere, .size = size ? size : 1 };

	t.at[0] = '\0';
	for (; *fmt; fmt++) {
		int longs = 0;

		if (*fmt != '%') {
			text_char(&t, *fmt);
			continue;
		}
		for (fmt++; *fmt == 'l' || *fmt == 'z'; fmt++)
			longs++;
		convert(&t, *fmt, longs, args);
	}
	return (int)t.len;
}

/* sprintf() has no bound; its callers here print one number. */
#define UNBOUNDED 64

/* clang-format off */
#define FORMAT(size)                                                                               \
	va_list args;                                                                              \
	int len;                                                                                   \
	va_start(args, fmt);                                                                       \
	len = format(to, size, fmt, &args);                                                        \
	va_end(args);                                                                              \
	return len
/* clang-format on */

BOUND(int, sprintf, char *to, const char *fmt, ...)
{
	FORMAT(UNBOUNDED);
}

BOUND(int, snprintf, char *to, size_t size, const char *fmt, ...)
{
	FORMAT(size);
}

BOUND(int, __sprintf_chk, char *to, int flag, size_t room, const char *fmt, ...)
{
	(void)flag;
	FORMAT(MIN(room, (size_t)INT_MAX));
}

BOUND(int, __snprintf_chk, char *to, size_t size, int flag, size_t room, const char *fmt, ...)
{
	(void)flag;
	FORMAT(MIN(size, room));
}

BOUND(char *, strerror, int error)
{
	static char text[] = "error";

	(void)error;
	return text;
}

/* Checked twins of the pure functions. */
static void check_room(size_t bytes, size_t room)
{
	if (bytes > room)
		give_up();
}

BOUND(void *, __memcpy_chk, void *to, const void *from, size_t bytes, size_t room)
{
	check_room(bytes, room);
	return memcpy(to, from, bytes);
}

BOUND(void *, __memmove_chk, void *to, const void *from, size_t bytes, size_t room)
{
	check_room(bytes, room);
	return memmove(to, from, bytes);
}

BOUND(void *, __memset_chk, void *to, int c, size_t bytes, size_t room)
{
	check_room(bytes, room);
	return memset(to, c, bytes);
}

BOUND(char *, __strcpy_chk, char *to, const char *from, size_t room)
{
	size_t bytes = strlen(from) + 1;

	check_room(bytes, room);
	return memcpy(to, from, bytes);
}

/* ---- zstd: frames from before 1.0, tracing -------------------------------------- */

/* Their readers are left out (.ci/bind.sh): what begins with a new one gets none. */
#define NO_READER(name)                                                                            \
	BOUND(void *, name, void)                                                                  \
	{                                                                                          \
		return NULL;                                                                       \
	}

/* An error, whatever it was to do. */
#define NO_FRAME(name)                                                                             \
	BOUND(size_t, name, void)                                                                  \
	{                                                                                          \
		return (size_t)-1;                                                                 \
	}

#define OLD_ZSTD(v)                                                                                \
	NO_READER(ZSTDv##v##_createDCtx)                                                           \
	NO_READER(ZBUFFv##v##_createDCtx)                                                          \
	NO_FRAME(ZSTDv##v##_freeDCtx)                                                              \
	NO_FRAME(ZBUFFv##v##_freeDCtx)                                                             \
	NO_FRAME(ZSTDv##v##_getFrameParams)                                                        \
	NO_FRAME(ZSTDv##v##_decompress_usingDict)                                                  \
	NO_FRAME(ZBUFFv##v##_decompressInitDictionary)                                             \
	NO_FRAME(ZBUFFv##v##_decompressContinue)                                                   \
	BOUND(void, ZSTDv##v##_findFrameSizeInfoLegacy, const void *in, size_t bytes,              \
	      size_t *packed, unsigned long long *unpacked)                                        \
	{                                                                                          \
		(void)in, (void)bytes;                                                             \
		*packed = (size_t)-1;                                                              \
		*unpacked = (unsigned long long)-2; /* ZSTD_CONTENTSIZE_ERROR */                   \
	}

OLD_ZSTD(05)
OLD_ZSTD(06)
OLD_ZSTD(07)

/* Weak names of zstd's, which the program could fill in: nothing is traced. */
BOUND(unsigned long long, ZSTD_trace_decompress_begin, const void *reader)
{
	(void)reader;
	return 0;
}

BOUND(void, ZSTD_trace_decompress_end, unsigned long long trace, const void *what)
{
	(void)trace, (void)what;
}

/* ---- files, loader, locks, signals: not theirs ------------------------ */

BOUND(int, open, const char *path, int flags, ...)
{
	(void)path, (void)flags;
	return refused(EACCES);
}

BOUND(int, close, int fd)
{
	(void)fd;
	return refused(EBADF);
}

BOUND(ssize_t, read, int fd, void *to, size_t bytes)
{
	(void)fd, (void)to, (void)bytes;
	return refused(EBADF);
}

BOUND(ssize_t, write, int fd, const void *from, size_t bytes)
{
	(void)fd, (void)from, (void)bytes;
	return refused(EBADF);
}

BOUND(int, pipe2, int *fds, int flags)
{
	(void)fds, (void)flags;
	return refused(EMFILE);
}

BOUND(int, stat, const char *path, void *out)
{
	(void)path, (void)out;
	return refused(EACCES);
}

BOUND(int, fstat, int fd, void *out)
{
	(void)fd, (void)out;
	return refused(EBADF);
}

/* The same two, as headers before glibc 2.33 call them. */
BOUND(int, __xstat, int version, const char *path, void *out)
{
	(void)version, (void)path, (void)out;
	return refused(EACCES);
}

BOUND(int, __fxstat, int version, int fd, void *out)
{
	(void)version, (void)fd, (void)out;
	return refused(EBADF);
}

/* No code was registered with libunwind at run time. */
BOUND(unsigned long, _U_dyn_info_list_addr, void)
{
	return 0;
}

/* No object was found. */
BOUND(int, dl_iterate_phdr, int (*callback)(void *, size_t, void *), void *data)
{
	(void)callback, (void)data;
	return 0;
}

BOUND(int, pthread_mutex_init, void *mutex, const void *attr)
{
	(void)mutex, (void)attr;
	return 0;
}

BOUND(int, pthread_mutex_lock, void *mutex)
{
	(void)mutex;
	return 0;
}

BOUND(int, pthread_mutex_unlock, void *mutex)
{
	(void)mutex;
	return 0;
}

BOUND(int, pthread_once, int *done, void (*fn)(void))
{
	if (!*done) {
		*done = 1;
		fn();
	}
	return 0;
}

BOUND(int, pthread_key_create, unsigned *key, void (*destroy)(void *))
{
	(void)key, (void)destroy;
	return EAGAIN;
}

BOUND(int, pthread_setspecific, unsigned key, const void *value)
{
	(void)key, (void)value;
	return EINVAL;
}

/* The thread that uses these libraries has every signal blocked already. */
BOUND(int, sigfillset, sigset_t *set)
{
	memset(set, 0xff, sizeof(*set));
	return 0;
}

BOUND(int, sigprocmask, int how, const sigset_t *set, sigset_t *before)
{
	(void)how, (void)set;
	if (before)
		memset(before, 0, sizeof(*before));
	return 0;
}

BOUND(int, pthread_sigmask, int how, const sigset_t *set, sigset_t *before)
{
	return pprofshim_lib_sigprocmask(how, set, before);
}

/* libunwind masks signals in this way too, and does nothing else with it. */
BOUND(long, syscall, long number, ...)
{
	return number == SYS_rt_sigprocmask ? 0 : refused(ENOSYS);
}

BOUND(int, getpagesize, void)
{
	return (int)PAGE_BYTES;
}

BOUND(long, sysconf, int name)
{
	return name == _SC_PAGESIZE ? (long)PAGE_BYTES : refused(EINVAL);
}

BOUND(pid_t, getpid, void)
{
	return sys_getpid();
}
