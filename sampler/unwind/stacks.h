/* unwind: stacks from registers, and tables of stacks.  May include process and below. */
/*
 * A table of distinct stacks with their values: what one profile collects.
 * One writer, no lock; memory comes from the arena inside and goes with it.
 *
 * Frames are kept as process/frame.h says, leaf first.  Those below PSEUDO_LIMIT are
 * pseudo frames, for what is no code.
 *
 * Context: listener.
 */
#ifndef SAMPLER_UNWIND_STACKS_H
#define SAMPLER_UNWIND_STACKS_H

#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/process/frame.h"

#define STACK_DEPTH_MAX	     512   /* frames kept; Pyroscope cuts at 1000, at the wrong end */
#define STACK_TABLE_MAX	     15000 /* stacks a profile; Pyroscope rejects more than 16000 samples */
#define STACK_TABLE_LABELLED 12000 /* from there on new ones are without the program's labels */
#define STACK_VALUES_MAX     4
#define PSEUDO_LIMIT	     FRAME_PSEUDO_LIMIT

/* Leaves that name what was called, as its caller wrote it. */
#define PSEUDO_CALLS(X)                                                                            \
	X(pthread_mutex_lock)                                                                      \
	X(pthread_mutex_timedlock)                                                                 \
	X(pthread_mutex_clocklock)                                                                 \
	X(pthread_mutex_unlock)                                                                    \
	X(pthread_rwlock_rdlock)                                                                   \
	X(pthread_rwlock_timedrdlock)                                                              \
	X(pthread_rwlock_clockrdlock)                                                              \
	X(pthread_rwlock_wrlock)                                                                   \
	X(pthread_rwlock_timedwrlock)                                                              \
	X(pthread_rwlock_clockwrlock)                                                              \
	X(pthread_rwlock_unlock)                                                                   \
	X(pthread_cond_wait)                                                                       \
	X(pthread_cond_timedwait)                                                                  \
	X(pthread_cond_clockwait)                                                                  \
	X(sem_wait)                                                                                \
	X(sem_timedwait)                                                                           \
	X(sem_clockwait)                                                                           \
	X(pthread_barrier_wait)                                                                    \
	X(pthread_join)                                                                            \
	X(pthread_timedjoin_np)                                                                    \
	X(pthread_clockjoin_np)                                                                    \
	X(mtx_lock)                                                                                \
	X(mtx_timedlock)                                                                           \
	X(mtx_unlock)                                                                              \
	X(cnd_wait)                                                                                \
	X(cnd_timedwait)                                                                           \
	X(thrd_join)                                                                               \
	X(pthread_once)                                                                            \
	X(call_once)                                                                               \
	X(flock)                                                                                   \
	X(fcntl)                                                                                   \
	X(lockf)                                                                                   \
	X(semop)                                                                                   \
	X(semtimedop)                                                                              \
	X(msgsnd)                                                                                  \
	X(msgrcv)                                                                                  \
	X(mq_receive)                                                                              \
	X(mq_timedreceive)                                                                         \
	X(mq_send)                                                                                 \
	X(mq_timedsend)                                                                            \
	X(futex_wait)                                                                              \
	X(futex_waitv)                                                                             \
	X(futex_wake)                                                                              \
	X(futex_lock_pi)                                                                           \
	X(futex_unlock_pi)                                                                         \
	X(mmap)                                                                                    \
	X(mremap)                                                                                  \
	X(sbrk)

enum pseudo_frame {
	PSEUDO_TRUNCATED = 1, /* root of a stack that was cut */
	PSEUDO_LOST,	      /* ticks dropped because the ring was full */
	PSEUDO_UNSAMPLED,     /* CPU time of threads that could not be sampled */
	PSEUDO_BETWEEN,	      /* CPU time of a thread up to where it was found asleep */
	PSEUDO_OTHER,	      /* stacks beyond STACK_TABLE_MAX */
	PSEUDO_UNKNOWN,	      /* an allocation, or a thread's creation, whose stack is not kept */
	PSEUDO_UNSEEN,	      /* a thread whose stack could not be read */
	PSEUDO_SIGNAL,	      /* what a signal handler returns to; its caller was interrupted */
	PSEUDO_KERNEL,	      /* a thread that has no stack of its own in the program */
	PSEUDO_QUEUED,	      /* time of threads that waited for a processor */
	PSEUDO_BLOCKED,	      /* time of threads that waited, where nobody may see for what */
	PSEUDO_MAIN,	      /* creation of the main thread, which the kernel made */
#define X(name) PSEUDO_CALL_##name,
	PSEUDO_CALLS(X)
#undef X
		PSEUDO_COUNT
};

/* "[truncated]" and so on; never NULL for 0 < id < PSEUDO_COUNT.  Context: any role. */
const char *pseudo_frame_name(uint64_t id);

/*
 * Some pseudo frames stand for code that is there: the function that was called,
 * the program's entry for its main thread.  Profiles show that code's address, so
 * that readers which look names up themselves find one.  0: made up, no code.
 * Context: init (to set), listener (to get).
 */
void pseudo_frame_set_address(uint64_t id, uint64_t address);
uint64_t pseudo_frame_address(uint64_t id);

struct stack {
	struct stack *next; /* in its hash bucket */
	uint64_t hash;
	uint32_t depth;
	uint32_t label; /* whose it is, by a number of the profile's; 0: nobody's */
	uint32_t index; /* in the table's list, once it is there */
	int64_t value[STACK_VALUES_MAX];
	uint64_t frame[]; /* depth of them */
};

struct stack_table {
	struct arena arena;
	struct stack **bucket; /* NULL until the first add */
	struct stack **list;   /* in order of arrival */
	size_t bucket_count;   /* a power of two */
	size_t count;
	size_t list_room;
};

/* `memory` bounds the arena. */
void stack_table_init(struct stack_table *t, size_t memory);

/*
 * Finds or adds a stack.  Beyond STACK_TABLE_MAX, or without memory, the one
 * stack [other stacks] is returned instead and counted, so that totals stay
 * true.  NULL only when there is no memory even for that.
 */
struct stack *stack_table_add(struct stack_table *t, const uint64_t *frame, uint32_t depth);

/*
 * The same for the stacks of one label (0: none).  In a table that is half full a stack
 * of a label that is not there yet is counted without: so that labels, of which there
 * may be thousands, do not drive out stacks.  The same is done from STACK_TABLE_LABELLED on
 * with the program's labels, the frame behind the root (process/label_set.h).
 */
struct stack *stack_table_add_labelled(struct stack_table *t, const uint64_t *frame, uint32_t depth,
				       uint32_t label);

/* Adds all values of `from` to those of `to`, which may be NULL. */
void stack_add_values(struct stack *to, const struct stack *from);

void stack_table_release(struct stack_table *t);

/* One multiplication a frame; the shift brings high bits down to where buckets are chosen. */
static inline uint64_t stack_hash(const uint64_t *frame, uint32_t depth)
{
	uint64_t h = depth * 0x9e3779b97f4a7c15;

	for (uint32_t i = 0; i < depth; i++) {
		h = (h ^ frame[i]) * 0x9e3779b97f4a7c15;
		h ^= h >> 29;
	}
	return h;
}

#endif
