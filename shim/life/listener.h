/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Our one thread: every signal blocked, a descriptor table of its own, a socket on
 * the loopback address.  docs/PROTOCOLS.md, "Listener", has its states.
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
	LISTENER_REFUSED, /* no descriptor table of its own, no socket, a call refused: it is gone
			   */
	LISTENER_NO_THREAD,
};

#define LISTENER_FOR_EVER (INT64_MAX / 2)

/*
 * Starts the thread and waits, a fifth of a second at most, until it knows whether
 * it has the port, or where that is 0 the unix socket (socket.h).  `key` (see http_serve) and
 * `service` are borrowed for ever. Context: init.
 */
enum listener_outcome listener_start(uint16_t port, const char *key,
				     const struct http_service *service);

/*
 * Asks `should_go` at each turn whether the listener is to end; it lowers *again_ns
 * to when it wants to be asked again.  Context: init, before the start.
 */
void listener_end_when(bool (*should_go)(int64_t now_ns, int64_t *again_ns));

/*
 * The status with which its thread ends: the process's, when it is the last.  0 until it
 * is said.  Context: listener.
 */
void listener_end_with(int status);

/*
 * `refused` is called on the listener's thread, as its last act but one, when the kernel
 * refuses it a call that it cannot do without.  Context: init, before the start.
 */
void listener_report_refusal(void (*refused)(const char *call));

/* A listener that comes after another one: this process's own, or an ancestor's. */
enum listener_wish { LISTENER_WAIT, LISTENER_GO, LISTENER_LEAVE };

struct listener_succession {
	/* Whether it may have the port yet; asked until it is not LISTENER_WAIT.  NULL: at once. */
	enum listener_wish (*wish)(void);
	int64_t patience_ns;   /* how long it tries to have the port */
	void (*on_port)(void); /* it has it, and will serve */
	/*
	 * It does not try to have the port, but is a member (member.h) while members are
	 * wanted, and as such asks now and then whether it may have the port after all.
	 */
	bool joins;
	bool stays;		     /* it does, wanted or not */
	bool (*may_have_port)(void); /* NULL: always */
	void (*on_member)(void);     /* it serves as a member; may be NULL */
	void (*on_lost)(int err);    /* or it ends: -EADDRINUSE, -ECANCELED (not wanted), -EINTR
					(listener_end), -ETIME (no member is wanted any more) */
};

/*
 * Starts such a listener, unless there is one; it calls what is in `succession` on its
 * own thread.  False: there is no thread to be had.  Context: hook, also in a signal
 * handler.
 */
bool listener_take_over(const struct listener_succession *succession);

/*
 * Starts the one of this process at `port`, without waiting for it, in a program that runs
 * already: the first, or another after the last has ended.  False: there is no thread to be
 * had.  `key` and `service` as of listener_start().  Context: init.
 */
bool listener_begin(uint16_t port, const char *key, const struct http_service *service,
		    const struct listener_succession *succession);

/* `at_end` is the last that each listener's thread calls.  Context: init, before the start. */
void listener_call_at_end(void (*at_end)(void));

/* The thread that was started last.  Context: init. */
int listener_thread(void);

/*
 * When it started, a CPU profile of the tree was being taken, and it is in it, or about to
 * be.  Context: init, when it has started.
 */
bool listener_was_called(void);

/* One that waits for its port is a member meanwhile.  Context: init, before the start. */
void listener_enable_members(void);

/*
 * Each process has a listener that records, whether anybody asks or not: one without the
 * port is a member at once, and stays.  With no port and no socket it only records.
 * Context: init, before the start.
 */
void listener_keep_recording(void);

/* The listener was another process's.  Context: child. */
void listener_after_fork(void);

/* A filter forbids sched_setscheduler or prctl: do without.  Context: init. */
void listener_skip_niceties(void);

/*
 * The process is about to end.  Answers that are under way here, as those of a member for
 * the process that has the port, are made now of what there is, and waited for, a
 * twentieth of a second at most.  Context: hook, unfiltered thread.
 */
void listener_finish(void);

/*
 * Answers under way, and those that are asked for from now on, are made now of what there is.
 * Returns how many are not sent yet.  Context: listener.
 */
unsigned listener_hurry(void);

/* There is a thread of ours in this process.  Context: any role but child. */
bool listener_is_running(void);

/* The same, and it has the port.  Context: hook. */
bool listener_is_serving(void);

/* False: it only writes files, as its port, or without one its socket, cannot be had.  Context:
 * init. */
bool listener_has_endpoint(void);

/*
 * The same, or it is a member, or about to be: it comes to its due work.  Context: hook.
 */
bool listener_is_attentive(void);

/* CPU time that its thread has used, ns.  Context: hook. */
int64_t listener_cpu_ns(void);

/*
 * Makes it end after the request at hand, and waits until the kernel has no such
 * thread any more, a second at most.  False: it did not end, or there is none.
 * Context: hook.
 */
bool listener_end(void);

#endif
