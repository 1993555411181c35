/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/* What a system-call filter that is about to be installed would do to us. */
#ifndef SHIM_LIFE_FILTER_H
#define SHIM_LIFE_FILTER_H

#include <stdbool.h>

struct sock_fprog;

struct filter_verdict {
	const char *refuses; /* one of our system calls (calls.h) that it may refuse; NULL: none */
	bool lets_handlers_return; /* rt_sigreturn */
	bool kills_threads;	   /* for some call: one thread, and not the process */
};

/*
 * Nothing is refused either by NULL and by what cannot be read: that the kernel will
 * refuse.  Context: hook.
 */
struct filter_verdict filter_judge(const struct sock_fprog *program);

#endif
