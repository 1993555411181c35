/*
 * Condition waits: timed from the call to its return, with the mutex's way back in
 * between.  They are cancellation points.  A cancelled call never comes back to us, so
 * nothing is raised while it is under way: all that a wait knows lies in its own stack
 * frame.  Such waits are not counted.
 */
#include <stddef.h>

#include "sampler/base/monotonic.h"
#include "shim/hooks/locks.h"

/* A condition wait unlocks its mutex: that unlock is charged to the caller of the wait. */
static NOINLINE void give_wanted_up(const pthread_mutex_t *m, uint64_t leaf,
				    const struct frame_regs *caller)
{
	struct unlock u = lock_mutex_unlock_begin(m);

	if (unlock_tells(&u))
		unlock_end(&u, leaf, caller);
}

static inline void give_mutex_up(const pthread_mutex_t *m, uint64_t leaf,
				 const struct frame_regs *caller)
{
	if (UNLIKELY(!lock_has_no_sleeper(m)))
		give_wanted_up(m, leaf, caller);
}

/*
 * The last word but two, since glibc 2.25: from bit 3 on those are counted who wait, and the
 * condition's clock is in bit 1.
 */
#define WAITERS		(~7U)
#define WAITS_BY_UPTIME 2U

static unsigned waiters(const pthread_cond_t *c)
{
	return __atomic_load_n(&c->__data.__wrefs, __ATOMIC_RELAXED);
}

/* How long ago the deadline was, if that is why the wait has ended; else -1. */
static int64_t late_ns(bool timed_out, clockid_t clock, const struct timespec *until)
{
	return timed_out && until ? monotonic_since(clock, until) : -1;
}

static clockid_t clock_of(const pthread_cond_t *c)
{
	return waiters(c) & WAITS_BY_UPTIME ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

#define CONDITION(name, parameters, arguments, timed_out, clock, until, mutex)                     \
	EXPORT OUR_FRAME int name parameters                                                       \
	{                                                                                          \
		const struct frame_regs caller = CALLER();                                         \
		struct condition_wait w;                                                           \
		clockid_t its_clock;                                                               \
		int err;                                                                           \
                                                                                                   \
		if (!locks_on || locks_stop_if_off())                                              \
			return next_lock.name arguments;                                           \
		its_clock = clock; /* *c may be gone when the wait is over */                      \
		give_mutex_up(mutex, PSEUDO_CALL_##name, &caller);                                 \
		wait_condition_begin(&w, mutex);                                                   \
		err = next_lock.name arguments;                                                    \
		if (err == 0 || err == (timed_out))                                                \
			wait_condition_charge(                                                     \
				&w, c, mutex,                                                      \
				late_ns(err &&err == (timed_out), its_clock, until));              \
		wait_condition_end(&w, err == 0 || err == (timed_out) ? WAIT_ENDED : WAIT_NONE,    \
				   PSEUDO_CALL_##name, &caller);                                   \
		return err;                                                                        \
	}

CONDITION(pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t *m), (c, m), 0, 0, NULL, m)
CONDITION(pthread_cond_timedwait,
	  (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *until), (c, m, until),
	  ETIMEDOUT, clock_of(c), until, m)
CONDITION(pthread_cond_clockwait,
	  (pthread_cond_t * c, pthread_mutex_t *m, clockid_t clock, const struct timespec *until),
	  (c, m, clock, until), ETIMEDOUT, clock, until, m)
/* glibc's mtx_t is a pthread_mutex_t by another name. */
CONDITION(cnd_wait, (cnd_t * c, mtx_t *m), (c, m), 0, 0, NULL, (const pthread_mutex_t *)m)
CONDITION(cnd_timedwait, (cnd_t * c, mtx_t *m, const struct timespec *until), (c, m, until),
	  thrd_timedout, CLOCK_REALTIME, until, (const pthread_mutex_t *)m)

/* ---- those who wake them */

/* Nobody may be there, and then nothing is noted. */
static inline void note_wake(const pthread_cond_t *c, bool all)
{
	if (UNLIKELY(((waiters(c) & WAITERS) || locks_rwlock_unknown) && locks_on) &&
	    !locks_stop_if_off())
		condition_wakes(c, all);
}

#define WAKE(name, type, all)                                                                      \
	EXPORT int name(type *c)                                                                   \
	{                                                                                          \
		note_wake((const pthread_cond_t *)c, all);                                         \
		return next_lock.name(c);                                                          \
	}

WAKE(pthread_cond_signal, pthread_cond_t, false)
WAKE(pthread_cond_broadcast, pthread_cond_t, true)
WAKE(cnd_signal, cnd_t, false)
WAKE(cnd_broadcast, cnd_t, true)
