/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * Our thread follows the program in what is about the privileges of one thread only:
 * ids and groups, which libc changes on the threads that it knows, and capabilities.  A
 * program that gives something up in its one thread believes that the process has.
 */
#ifndef SHIM_LIFE_FOLLOW_H
#define SHIM_LIFE_FOLLOW_H

/* A system call, and what it was given. */
struct request {
	long number;
	long arg[6];
};

/* As the number of groups in a request of setgroups: those that the caller has. */
#define FOLLOW_GROUPS_OF_CALLER (-1L)

/*
 * The calling thread has made this call, and it succeeded: our thread makes it, too,
 * before this returns.  One that only waits for its port, or that does not come to it within
 * 2 s, is ended, and the calling thread makes another.  What capset and setgroups point
 * at is copied.  Context: hook.
 */
void follow(const struct request *r);

/* Makes the call that was asked for, if one was.  Context: listener. */
void follow_look(void);

/* Nobody is waited for in a new process.  Context: child. */
void follow_after_fork(void);

#endif
