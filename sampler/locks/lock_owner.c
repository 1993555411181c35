#include "sampler/locks/lock_owner.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/locks/once.h"
#include "sampler/locks/readers.h"
#include "sampler/process/peek.h"

/* glibc's locks; part of its ABI, as programs have them in their data. */
#define MUTEX_OWNER	 offsetof(pthread_mutex_t, __data.__owner) /* from the futex word */
#define RWLOCK_PHASE	 offsetof(pthread_rwlock_t, __data.__wrphase_futex) /* all wait on it, */
#define RWLOCK_WRITERS	 offsetof(pthread_rwlock_t, __data.__writers_futex) /* writers on this */
#define RWLOCK_CURRENT	 offsetof(pthread_rwlock_t, __data.__cur_writer)
#define RWLOCK_ALIGNMENT 8

static int word_at(uint64_t addr)
{
	int word;

	return peek(addr, &word, sizeof(word)) ? word : 0;
}

/* Larger than any tid (PID_MAX_LIMIT): the memory is no lock, or no lock any more. */
static int plausible(int tid)
{
	return tid > 0 && tid <= 4194304 ? tid : 0;
}

static bool is_plain_wait(const struct task_call *call)
{
	uint64_t op = call->arg[1] & (uint64_t)FUTEX_CMD_MASK;

	return op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET;
}

/*
 * When the kernel refuses a mutex with priority inheritance because that would be a
 * deadlock, glibc goes to sleep for ever on a word of its own frame that is 0, as no
 * mutex that is held would be.
 */
static bool is_dummy(const struct task_call *call)
{
	uint64_t above = call->arg[0] - call->sp;

	return is_plain_wait(call) && call->arg[2] == 0 && above < PAGE_BYTES;
}

/* Priority inheritance keeps the owner in the futex word itself, for the kernel. */
static struct lock_owner of_mutex(const struct task_call *call)
{
	uint64_t lock = call->arg[0];
	bool is_shared = !(call->arg[1] & FUTEX_PRIVATE_FLAG);
	int tid = word_at(lock + MUTEX_OWNER);

	if (is_dummy(call))
		return (struct lock_owner){ .hopeless = true };
	if (tid == 0 && !is_plain_wait(call))
		tid = word_at(lock) & FUTEX_TID_MASK;
	return (struct lock_owner){ .lock = lock,
				    .tid = word_at(lock) ? plausible(tid) : 0,
				    .is_shared = is_shared };
}

/* The lock's first word: readers are counted from bit 3 on; in bit 0 a writer has it. */
#define RWLOCK_WRITE_PHASE  1U
#define RWLOCK_READER_SHIFT 3

static struct lock_owner of_rwlock(const struct task_call *call)
{
	uint64_t word = call->arg[0];
	uint64_t lock = word - (word % RWLOCK_ALIGNMENT ? RWLOCK_WRITERS : RWLOCK_PHASE);
	unsigned state = (unsigned)word_at(lock);

	return (struct lock_owner){
		.lock = lock,
		.tid = plausible(word_at(lock + RWLOCK_CURRENT)),
		.readers = state & RWLOCK_WRITE_PHASE ? 0 : state >> RWLOCK_READER_SHIFT,
	};
}

uint32_t lock_owner_readers(const struct lock_owner *o, int *tid, uint32_t max)
{
	uint32_t n = o->readers && !o->tid ? readers_of((const void *)o->lock, tid, max) : 0;

	return n == o->readers && n <= max ? n : 0;
}

/* The futex word is the tid of the thread; the kernel clears it when that ends. */
static struct lock_owner of_join(const struct task_call *call)
{
	int tid = word_at(call->arg[0]);

	return (struct lock_owner){ .tid = tid == (int)call->arg[2] ? plausible(tid) : 0 };
}

/* Begun, and not done. */
static struct lock_owner of_once(const struct task_call *call)
{
	uint64_t control = call->arg[0];
	bool is_under_way = (word_at(control) & 3) == 1;

	return (struct lock_owner){ .lock = control,
				    .tid = is_under_way
						   ? plausible(once_runner((const void *)control))
						   : 0 };
}

static uint64_t pointer_at(uint64_t addr)
{
	uint64_t pointer;

	return peek(addr, &pointer, sizeof(pointer)) ? pointer : 0;
}

/* struct _IO_lock_t: the word, how often it was taken, whose it is. */
#define STREAM_OWNER 8

/* Other locks of libc have something else there, which is no thread's record. */
static struct lock_owner of_libc(const struct task_call *call)
{
	uint64_t owner = pointer_at(call->arg[0] + STREAM_OWNER);
	bool is_record = owner && pointer_at(owner + ARCH_THREAD_SELF) == owner &&
			 pointer_at(owner + ARCH_THREAD_SELF2) == owner;

	return (struct lock_owner){ .lock = call->arg[0],
				    .tid = is_record && word_at(call->arg[0])
						   ? plausible(word_at(owner + ARCH_THREAD_ID))
						   : 0 };
}

struct lock_owner lock_owner_read(const struct wait_reason *w, const struct task_call *call)
{
	switch (w->kind) {
	case WAIT_MUTEX:
		return of_mutex(call);
	case WAIT_RWLOCK:
		return of_rwlock(call);
	case WAIT_JOIN:
		return of_join(call);
	case WAIT_ONCE:
		return of_once(call);
	case WAIT_LIBC:
		return of_libc(call);
	default:
		return (struct lock_owner){ 0 };
	}
}
