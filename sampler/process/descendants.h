/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The processes that this one started, and those that they started, as /proc shows them.
 * Of one whose parent ended, the parent is another process now: then it is in the list
 * only as far as that one is.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_DESCENDANTS_H
#define SAMPLER_PROCESS_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"

#define PROCESS_NAME_BYTES 16

struct process {
	int pid, parent;
	char name[PROCESS_NAME_BYTES];
	char state;	    /* as in /proc/PID/stat: R, S, D, Z, T, ... */
	bool is_descendant; /* or this process itself */
	uint64_t start; /* since the boot, in the kernel's clock ticks: with the pid an identity */
	uint64_t image; /* another one after each execve; 0: the kernel does not say */
	uint64_t children_ticks; /* CPU time of those that it has waited for, and theirs */
	uint64_t threads;
	uint64_t rss_pages;
};

struct process_list {
	struct process *list; /* by pid */
	size_t count;
	bool no_proc; /* /proc does not list processes */
};

#define PROCESSES_MAX 32768

/* Reads one process.  False: it is not there. */
bool process_read(int pid, struct process *out);

/* All descendants of `root`, and itself; the list lives in `a`. */
void descendants_list(struct arena *a, int root, struct process_list *out);

/* `pid` is in the list; NULL: it is not. */
const struct process *descendants_find(const struct process_list *l, int pid);

/* What a process has used of the processors, in ns; -1: it is not there.  Needs no right. */
int64_t process_cpu_ns(int pid);

#endif
