/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * What is done as the process ends.  By exit and by a return from main it is done after the
 * program's own handlers and destructors, as libc's last; by _exit and quick_exit at once.
 *
 * Nothing is registered, and nothing looked at, before something is to be done.
 */
#ifndef SHIM_LIFE_ENDING_H
#define SHIM_LIFE_ENDING_H

/* `last_words` is to be called, once in each process that ends.  Context: init. */
void ending_expect(void (*last_words)(void));

/* The process ends now, and not by exit.  Context: hook. */
void ending_now(void);

#endif
