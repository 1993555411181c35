/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/* What the stubs of syscall() and of exec and its like share with the hooks. */
#ifndef SHIM_HOOKS_STUB_H
#define SHIM_HOOKS_STUB_H

/* Numbers below this may be taken; all others pass. */
#define TAKEN_SYSCALLS 512

/* Who is called, in the order of exec.c. */
#define EXEC_EXECVE   0
#define EXEC_EXECV    1
#define EXEC_EXECVP   2
#define EXEC_EXECVPE  3
#define EXEC_EXECL    4
#define EXEC_EXECLP   5
#define EXEC_EXECLE   6
#define EXEC_FEXECVE  7
#define EXEC_EXECVEAT 8

/* The loader's, in the order of late_loader.c. */
#define LOADER_DLOPEN 0
#define LOADER_DLSYM  1
#define LOADER_DLVSYM 2

#ifndef __ASSEMBLER__

#define HIDDEN __attribute__((visibility("hidden")))

/*
 * Not 0: the stub jumps to pprofshim_taken_syscall(), with everything as it was given.
 * As far as the program can see that is syscall().
 */
extern const unsigned char pprofshim_taken_syscalls[TAKEN_SYSCALLS] HIDDEN;
long pprofshim_taken_syscall(long number, long a, long b, long c, long d, long e, long f);

/*
 * The process may become another program: `first` is what the function is given first, and
 * `which` an EXEC_ number.  Returns the real one, where the stub jumps to.  Context: hook.
 */
void *pprofshim_before_exec(const void *first, int which);

/*
 * The program calls the loader by `which`, a LOADER_ number.  Returns the real function, where the
 * stub jumps to.  Context: hook.
 */
void *pprofshim_before_loader(int which);

/*
 * The program calls syscall(number, first, second, third, ...), which may be that of a filter.
 * Returns the real prctl().  Context: hook.
 */
void *pprofshim_before_filter(long number, long first, long second, long third);

/* The calling thread ends by exit(2) with `status`.  Context: hook. */
void pprofshim_before_exit(int status);

#endif
#endif
