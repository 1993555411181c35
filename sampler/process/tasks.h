/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The threads of this process as /proc shows them.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_TASKS_H
#define SAMPLER_PROCESS_TASKS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Calls fn for every thread.  False when /proc is not there or broke off; then
 * only threads that were seen to start are known.
 */
bool tasks_each(void (*fn)(int tid, void *arg), void *arg);

/* The same for the descriptors that are open in the process's table. */
bool tasks_each_descriptor(void (*fn)(int fd, void *arg), void *arg);

/* How many there are, ours not counted; 0 without /proc. */
uint64_t tasks_count(void);

/*
 * Whether a thread blocks a signal ("SigBlk:" of its status); also notes how many
 * system-call filters it has (sandbox_check).  Unreadable counts as not blocked.
 */
bool task_blocks_signal(int tid, int signal);

#endif
