/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The threads of this process, and other processes, as /proc shows them.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_TASKS_H
#define SAMPLER_PROCESS_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * /proc/self/task, opened: once for a listener, so that it is still there after the
 * program's chroot.  -1: it is not there.  Nobody closes it.
 */
int tasks_dir(void);

/* The calling thread is a new listener with descriptors of its own: opens the directory. */
void tasks_new_descriptors(void);

/*
 * Calls fn for every thread that lives: the first, once it has ended, is listed by the kernel
 * until the last one ends, and is left out.  False when /proc is not there or broke off; then
 * only threads that were seen to start are known.
 */
bool tasks_each(void (*fn)(int tid, void *arg), void *arg);

/*
 * The same, and without /proc for the first thread and those that `list` of tasks_know_from()
 * has.  False: there was no list by the kernel, others may exist.
 */
bool tasks_each_known(void (*fn)(int tid, void *arg), void *arg);

/* Who has noted threads as they started; those that ended unseen are left out.  Context: init. */
void tasks_know_from(void (*list)(void (*fn)(int tid, void *arg), void *arg));

/* The same for the descriptors that are open in the process's table. */
bool tasks_each_descriptor(void (*fn)(int fd, void *arg), void *arg);

/* The same for the threads of another process. */
bool tasks_each_of(int pid, void (*fn)(int tid, void *arg), void *arg);

/* The same for every process that /proc shows, in order of pid. */
bool processes_each(void (*fn)(int pid, void *arg), void *arg);

/* Reads /proc/ID/status of any thread or process, of this one or another, as sys_read_file() does.
 */
long process_read_status(int id, char *status, size_t size);

/* How many there are, ours not counted; 0 without /proc. */
uint64_t tasks_count(void);

/* Reads a file of a thread ("/status") as sys_read_file() does. */
long tasks_read_file(int tid, const char *file, char *buf, size_t size);

/*
 * The signals that a thread blocks ("SigBlk:" of its status), and whether one is among them;
 * both also note how many system-call filters it has (sandbox_check).  Unreadable counts as
 * not blocked.
 */
uint64_t task_blocked_signals(int tid);
bool task_blocks_signal(int tid, int signal);

#endif
