/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Debugging aids of `make debug`: assertions, and a record of the last protocol
 * events.  In the library that is shipped all of this is nothing: no code, no data.
 *
 * Context: any role, the handler included.
 */
#ifndef SAMPLER_BASE_DEBUG_H
#define SAMPLER_BASE_DEBUG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/*
 * What a state machine did last, for a debugger: `print debug_events` in gdb.  The
 * slot after debug_event_count % DEBUG_EVENTS is the oldest.
 */
#define DEBUG_EVENTS 256

struct debug_event {
	const char *protocol; /* as docs/PROTOCOLS.md calls it */
	int from, to;	      /* its states */
	int tid;	      /* of the thread that moved it */
	uint64_t id;	      /* which record, 0 if there is one only */
	struct timespec at;   /* CLOCK_MONOTONIC */
};

#ifdef PPROFSHIM_DEBUG

extern struct debug_event debug_events[DEBUG_EVENTS];
extern atomic_uint debug_event_count;

void debug_note(const char *protocol, int from, int to, uint64_t id);

/* Writes one sentence to fd 2 and stops the process by a trap, so that a debugger or a core file
 * shows it. */
_Noreturn void debug_failed(const char *condition, const char *file, int line);

#define ASSERT(condition)		    ((condition) ? (void)0 : debug_failed(#condition, __FILE__, __LINE__))
#define DEBUG_EVENT(protocol, from, to, id) debug_note(protocol, from, to, (uint64_t)(id))

/*
 * PPROF_DEBUG_FAIL_MAP=N: the Nth mapping of ours is refused, as if the kernel had no
 * memory; N+: that one and all after it.  Context: any role.
 */
bool debug_refuses_map(void);

#else

static inline bool debug_refuses_map(void)
{
	return false;
}

/* Not evaluated, but compiled: a condition cannot rot. */
#define ASSERT(condition)		    ((void)sizeof((condition) ? 1 : 0))
#define DEBUG_EVENT(protocol, from, to, id) ((void)sizeof((from) + (to) + (int)(id)))

#endif

#endif
