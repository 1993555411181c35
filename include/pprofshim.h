/*
 * Labels for the profiles of libpprofshim.so: what a thread works on (a route, a tenant).  As
 * with pprof.Do in Go, samples of all profiles have them.
 *
 * There is nothing to link.  Where the library was not loaded at the start, a call costs a
 * comparison with NULL.  Labels are the calling thread's own, at most eight; a new thread begins
 * without.  Texts are copied: 64 bytes of a key, 128 of a value.  Nothing fails: a value beyond
 * 1,024 of its key, or 2,048 different sets of labels, is [other], which profiles tell.  A
 * label takes 840 bytes of the caller's stack the first time.
 */
#ifndef PPROFSHIM_H
#define PPROFSHIM_H

#ifdef __cplusplus
extern "C" {
#endif
unsigned pprofshim_label_set(const char *key, const char *value) __attribute__((__weak__));
unsigned pprofshim_labels_get(void) __attribute__((__weak__));
void pprofshim_labels_put(unsigned labels) __attribute__((__weak__));
#ifdef __cplusplus
}
#endif

/* The address that the loader found, in executables without PIE too; NULL: none. */
#ifdef __x86_64__
#define PPROFSHIM_FIND(at, name)                                                                   \
	__asm__(".weak " #name "\n\tmovq " #name "@GOTPCREL(%%rip), %0" : "=r"(at))
#else
#define PPROFSHIM_FIND(at, name) ((at) = (name))
#endif

/* The thread's labels as a number, which stays good for all threads of the process. */
static __inline__ unsigned pprof_labels_get(void)
{
	unsigned (*at)(void);

	PPROFSHIM_FIND(at, pprofshim_labels_get);
	return at ? at() : 0;
}

/* The thread has these labels now, and no others; 0: none. */
static __inline__ void pprof_labels_put(unsigned labels)
{
	void (*at)(unsigned);

	PPROFSHIM_FIND(at, pprofshim_labels_put);
	if (at)
		at(labels);
}

/* Sets one.  Returns what was there before, for pprof_labels_put(). */
static __inline__ unsigned pprof_label_set(const char *key, const char *value)
{
	unsigned (*at)(const char *, const char *);

	PPROFSHIM_FIND(at, pprofshim_label_set);
	return at ? at(key, value) : 0;
}

/* Takes one away; NULL: all of them.  Returns what was there before. */
static __inline__ unsigned pprof_label_clear(const char *key)
{
	return pprof_label_set(key, 0);
}

#ifdef __cplusplus
/* For as long as it lives, on the thread where it began: pprof_scope s("route", "/items"); */
class pprof_scope
{
      public:
	pprof_scope(const char *key, const char *value) : before_(pprof_label_set(key, value))
	{
	}
	~pprof_scope()
	{
		pprof_labels_put(before_);
	}

      private:
	pprof_scope(const pprof_scope &);
	pprof_scope &operator=(const pprof_scope &);
	unsigned before_;
};
#endif

#endif
