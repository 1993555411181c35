/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * The one sentence on stderr when the profiler cannot work.
 */
#ifndef SHIM_LIFE_TELL_H
#define SHIM_LIFE_TELL_H

/* At the start; afterwards stderr is known again.  Context: init. */
void tell_user(const char *sentence);
void tell_init(void);

/*
 * Later: an endpoint that was there goes for good.  Silent when stderr is another
 * file by now, which may be one of the program's.  Context: hook.
 */
void tell_user_late(const char *sentence, const char *what);

#endif
