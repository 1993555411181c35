/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * Keeps a timer on every thread of the process while a CPU profile runs: finds
 * threads in /proc/self/task, is told of new ones by the pthread_create hook,
 * notices those that ended or that block the signal.
 *
 * The roster_thread_* calls come from hooks.  While the roster is closed they leave all
 * records alone; only roster_thread_blocked() then still drops ticks of the calling
 * thread that a timer queued a moment ago.  They touch the calling thread's records: its
 * own, those of dumps for it, and, when it starts, a second one that a scan under way
 * may have claimed for it.
 */
#ifndef SAMPLER_CPU_ROSTER_H
#define SAMPLER_CPU_ROSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "sampler/process/threads.h"

/*
 * Arms every thread but the listener.  Returns 0, or -1 without memory.
 * Context: listener.
 */
int roster_open(int signal, int64_t period_ns);

/* Disarms every thread.  Records stay readable until roster_release().  Context: listener. */
void roster_close(void);

/*
 * The same for good and for dumps too, while the listener may be in the middle of
 * anything: no record gets a timer after it.  Context: hook.
 */
void roster_retire(void);

/* No hook is using a record; once closed and quiet, it stays so.  Context: listener. */
bool roster_is_quiet(void);

/* Gives the records' memory back; no handler or hook may be inside.  Context: listener. */
void roster_release(void);

/* Before the first roster_tick_once() of a dump.  False without memory.  Context: listener. */
bool roster_ready_once(void);

/*
 * Gives one thread a timer for one tick, for the dump `dump_id`.  False when that
 * cannot work: it blocks the signal, or there is no timer.  Opened or not.
 * Context: listener.
 */
bool roster_tick_once(int tid, uint32_t dump_id, int signal);

/* Takes the timers of `dump_id` away.  Context: listener. */
void roster_end_once(uint32_t dump_id);

/*
 * A child that was forked while a profile of the tree runs, where nursery_is_open(): the
 * calling thread, which will run with the mask `blocked`, ticks for its parent's profile, and
 * so do those that it starts, until the process has a profile of its own.
 * Context: child, hook.
 */
void roster_begin_young(uint64_t blocked);

/*
 * It is about to be filtered: the handler of a nursery makes system calls, libc's that may be in
 * its place too, and a timer could not be taken away any more.  Context: hook.
 */
void roster_quit_young(void);

/* Looks for threads that came, went, or changed their signal mask.  Context: listener. */
void roster_scan(void);

/*
 * As roster_scan(), soon after the profile began: who had no timer is to get one although it
 * has used nothing since.  Context: listener.
 */
void roster_scan_again(void);

/* Closed and empty, whatever the parent was doing.  Context: child. */
void roster_after_fork(void);

void roster_change_period(int64_t period_ns);

/* CPU time in ns of all known threads since the roster was opened, at the last scan.
 * Context: listener. */
int64_t roster_known_ns(void);

/*
 * Calls `account` once for each thread that has ended, and gives its record free.  Not
 * before the second call that finds it ended, in between of which ticks were taken: so
 * its last tick is known.  Context: listener.
 */
void roster_settle_ended(void (*account)(const struct thread *t));

struct roster_counts {
	uint32_t armed, unarmed;
};
struct roster_counts roster_count(void);

/* Whether hooks have anything to do.  Context: hook. */
bool roster_is_open(void);

/* Calls fn for every thread that has a record.  Context: hook. */
void roster_each_here(void (*fn)(int tid));

/* The records are those of this process, and hooks may tell of its threads.  Context: hook. */
bool roster_is_here(void);

/* Whether a thread may get a tick: of a profile, or of a dump.  Context: hook. */
bool roster_may_tick(void);

/*
 * First and last act of a thread that the pthread_create hook wrapped, with all signals
 * blocked; `blocked` is the mask that it will run with.  Context: hook.
 */
void roster_thread_starts(uint64_t blocked);
void roster_thread_ends(void);

/*
 * Around a change of the calling thread's mask: before it blocks the carrier and
 * after it did, and after it unblocked it.  Context: hook.
 */
void roster_thread_blocks(void);
void roster_thread_blocked(void);
void roster_thread_unblocks(void);

/*
 * The carrier is about to be open in a handler of the calling thread on its alternate stack: no
 * tick comes until it has left that.  Context: as a hook, in a handler.
 */
void roster_thread_opens(void);

/*
 * The calling thread is about to unblock the carrier where there may be no room
 * for a handler: no tick comes for a moment, and one that waits is dropped (its
 * time is in [unsampled]).  Context: hook.
 */
void roster_thread_jumps(void);

#endif
