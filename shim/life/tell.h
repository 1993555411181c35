/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * The one sentence on stderr when the profiler cannot work, or is not where it should be.
 */
#ifndef SHIM_LIFE_TELL_H
#define SHIM_LIFE_TELL_H

/* At the start; afterwards stderr is known again.  Context: init. */
void tell_user(const char *sentence);
void tell_init(void);

/*
 * From now on nothing is said on stderr, which is another's: the sentences of tell_user()
 * go to `take`, and the others nowhere.  Context: init.
 */
void tell_instead(void (*take)(const char *sentence));

/* The sentences of tell_user() go to `take` as well.  Context: init. */
void tell_also(void (*take)(const char *sentence));

/*
 * Later: an endpoint that was there goes for good.  Silent when stderr is another
 * file by now, which may be one of the program's.  Context: hook.
 */
void tell_user_late(const char *sentence, const char *what);

/* The same two for an endpoint that is, or will be, elsewhere or later. */
void tell_port(const char *sentence);
void tell_port_late(const char *sentence);

#endif
