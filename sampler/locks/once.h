/* locks: the block and mutex profiles.  May include unwind, symbols and below. */
/*
 * Who runs what is to be done once: libc's word for that (pthread_once_t, once_flag) says
 * that somebody does, and not who.
 */
#ifndef SAMPLER_LOCKS_ONCE_H
#define SAMPLER_LOCKS_ONCE_H

/*
 * The calling thread, of this id, begins with it; and has done it.  A thread that leaves by
 * an exception, or is cancelled, does not say so.  Context: hook.
 */
void once_begins(const void *control, int tid);
void once_ends(const void *control);

/*
 * Who began with it last, 0: not known.  Right if somebody is doing it now, as its word says.
 * Context: listener.
 */
int once_runner(const void *control);

#endif
