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

#define COLD		       __attribute__((cold))
#define NOINLINE	       __attribute__((noinline))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* Rounds up to a power of two. */
#define ALIGN_UP(n, to)	  (((n) + ((to)-1)) & ~((__typeof__(n))(to)-1))
#define ALIGN_DOWN(n, to) ((n) & ~((__typeof__(n))(to)-1))

#define PAGE_BYTES 4096UL /* x86-64 has no other base page */

/*
 * Where this thread's control block is: its first word (x86-64 ABI for TLS).  gcc has
 * a builtin for it since version 11.
 */
static inline unsigned long thread_pointer(void)
{
	unsigned long tp;

	__asm__("movq %%fs:0, %0" : "=r"(tp));
	return tp;
}

#endif
