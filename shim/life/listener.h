/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Our one thread: signals blocked, a descriptor table of its own, a socket on
 * the loopback address.
 */
#ifndef SHIM_LIFE_LISTENER_H
#define SHIM_LIFE_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "http/server.h"

enum listener_outcome {
	LISTENER_PENDING, /* it has not said yet */
	LISTENER_SERVING,
	LISTENER_PORT_TAKEN, /* it tries again every half second */
	LISTENER_REFUSED,    /* no descriptor table of its own, or no socket: it is gone */
	LISTENER_NO_THREAD,
};

/*
 * Starts the thread and waits, a fifth of a second at most, until it knows whether
 * it has the port.  `key` (see http_serve) and `service` are borrowed for ever.
 * Context: init.
 */
enum listener_outcome listener_start(uint16_t port, const char *key,
				     const struct http_service *service);

/*
 * Asks `should_go` at each turn whether the listener is to end; it lowers *again_ns
 * to when it wants to be asked again.  Context: init, before the start.
 */
void listener_end_when(bool (*should_go)(int64_t now_ns, int64_t *again_ns));

/*
 * Starts a listener of this process in the place of one that is gone (a child's
 * parent had it).  It tries to have the port for `patience_ns`, then calls
 * on_port() and serves, or calls on_lost() and ends; both on its thread.  False:
 * there is no thread.  Context: hook, at a safe point, one at a time.
 */
bool listener_take_over(int64_t patience_ns, void (*on_port)(void), void (*on_lost)(void));

/* The listener was another process's.  Context: child. */
void listener_after_fork(void);

/* A filter forbids sched_setscheduler or prctl: do without.  Context: init. */
void listener_skip_niceties(void);

/* There is a thread of ours in this process.  Context: any role. */
bool listener_is_running(void);

/* Makes it end after the request at hand.  Context: hook. */
void listener_stop(void);

/*
 * The same, and waits until the kernel has no such thread any more, a second at
 * most.  False: it did not end, or there is none.  Context: hook, one at a time.
 */
bool listener_end(void);

/* Waits until its thread is gone for good.  Context: one of our own threads. */
void listener_join(void);

/* Makes it look up from its sleep.  Context: hook. */
void listener_wake(void);

/*
 * Blocks every signal but the one of set*id, as a thread of ours is to be started;
 * and undoes it.  The calling thread's mask is kept in between, so calls do not nest.
 * Context: init, hook.
 */
void listener_block_signals(void);
void listener_restore_signals(void);

/*
 * The kernel's mask of what a hook may block on a thread of the target: neither
 * faults nor glibc's own two.  Context: hook.
 */
uint64_t listener_signals(void);

#endif
