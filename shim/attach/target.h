/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/* The program to attach to: what it is, and why it may not be possible. */
#ifndef SHIM_ATTACH_TARGET_H
#define SHIM_ATTACH_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/attach/image.h"

struct target {
	int pid;
	int inner_pid; /* its number in its own namespace */
	uint64_t uid;  /* the effective one */
	struct image libc;
	struct image library; /* ours, if it is there */
	bool has_library;
};

/*
 * Fills in `t` and returns NULL, or returns a sentence that says why this program cannot be
 * attached to, and what to do instead.  It lives until the next call.
 */
const char *target_look(struct target *t, int pid);

/* The same for what the kernel says when a thread is to be stopped (errno). */
const char *target_refusal(const struct target *t, int error);

/* The program's name, for sentences.  Static. */
const char *target_name(int pid);

/* By SIGSTOP or a debugger, as far as its first thread tells. */
bool target_is_stopped(int pid);

#define PROCESSES_MAX 4096

struct process_list {
	int pid[PROCESSES_MAX];
	size_t count;
};

/* All descendants, parents before their children. */
void target_list_below(int pid, struct process_list *out);

/* A process listens on this port of 127.0.0.1, in the network that the program sees. */
bool target_port_is_taken(int pid, unsigned port);

/* What it listens on can be reached from here.  True where the kernel does not tell. */
bool target_has_our_network(int pid);

#endif
