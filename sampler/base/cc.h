/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Compiler vocabulary shared by every folder.  Nothing here has state.
 */
#ifndef SAMPLER_BASE_CC_H
#define SAMPLER_BASE_CC_H

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/*
 * The few names that the target may see; everything else is hidden.  Each begins a
 * cache line of its own: what a call costs the target is then the same in each build.
 */
#define EXPORT __attribute__((visibility("default"), aligned(64)))

/* Functions of ours that stay on target stacks; profiles leave these frames out. */
#define OUR_FRAME __attribute__((section("pprofshim_frames"), noinline))

/* A frame that may be left without a return: the address sanitizer would believe that it is there.
 */
#define LEFT_WITHOUT_RETURN __attribute__((no_sanitize("address")))

#define COLD		       __attribute__((cold))
#define IN_LINE		       inline __attribute__((always_inline))
#define NOINLINE	       __attribute__((noinline))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/*
 * A read of something that other threads change at any time, where each value it ever
 * had will do.  Plain, because gcc folds only a plain read into a compare; the thread
 * sanitizer is told that it is meant.
 */
#ifdef __SANITIZE_THREAD__
#define RACY_READ(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#else
#define RACY_READ(x) (x)
#endif

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* Rounds up to a power of two. */
#define ALIGN_UP(n, to)	  (((n) + ((to)-1)) & ~((__typeof__(n))(to)-1))
#define ALIGN_DOWN(n, to) ((n) & ~((__typeof__(n))(to)-1))

#endif
