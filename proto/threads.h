/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Threads as profiles show them: samples with labels (debug=0 and debug=1), and
 * blocks of text in the form of Go's tracebacks (debug=2).
 *
 * Context: listener.
 */
#ifndef PROTO_THREADS_H
#define PROTO_THREADS_H

#include "proto/encode.h"
#include "sampler/base/text.h"

/* One thread; texts are borrowed. */
struct thread_entry {
	int tid;
	int weight;	    /* 1; -1 for one of the dump that is subtracted */
	uint32_t sample;    /* of the message: its stack */
	const char *name;   /* "" if unknown */
	const char *state;  /* "running", "waiting" or "unknown" */
	const char *reason; /* what it waits for; NULL for none */
	int64_t idle_ns;    /* has not run for so long; -1: not known */
	uint64_t lock;	    /* it waits for the lock at this address, 0: for none */
	int owner;	    /* tid of who holds that, or of who is joined; 0: not known */
	int owner_pid;	    /* its process, if that is another; 0 */
	bool owner_is_gone; /* and that thread is not there */
	bool is_shared;	    /* the lock is, with other processes */
	bool hopeless;	    /* libc sleeps for ever, because the lock was refused as a deadlock */
	const struct message_location *creator; /* the call that created it; NULL: not known */
	uint32_t readers; /* how many hold it for reading, where no owner is known */
};

struct thread_list {
	const struct thread_entry *entry;
	uint32_t count;
};

/*
 * Gives `m` samples made of these threads: equal ones added up, those that cancel
 * out left out.  with_tids: each thread has its own, by a numeric label.  Returns
 * 0, or -1 when memory ran out.
 */
int threads_to_samples(struct arena *a, const struct thread_list *l, bool with_tids,
		       struct message *m);

/*
 * The traceback form.  `preface` is what is to be said at the top ("" for nothing),
 * whole lines that begin with '#'.  Of a stack of
 * more than 100 frames the rest is left out, as in Go.
 */
int threads_text(struct arena *a, const struct message *m, const struct thread_list *l,
		 const char *preface, struct bytes *out);

#endif
