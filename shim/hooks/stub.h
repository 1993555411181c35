/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/* What the stub of syscall() shares with the hooks. */
#ifndef SHIM_HOOKS_STUB_H
#define SHIM_HOOKS_STUB_H

/* Numbers below this may be taken; all others pass. */
#define TAKEN_SYSCALLS 512

#ifndef __ASSEMBLER__

#define HIDDEN __attribute__((visibility("hidden")))

/*
 * Not 0: the stub jumps to pprofshim_taken_syscall(), with everything as it was given.
 * As far as the program can see that is syscall().
 */
extern const unsigned char pprofshim_taken_syscalls[TAKEN_SYSCALLS] HIDDEN;
long pprofshim_taken_syscall(long number, long a, long b, long c, long d, long e, long f);

/* The calling thread ends by exit(2).  Context: hook. */
void pprofshim_before_exit(void);

#endif
#endif
