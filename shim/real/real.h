/* shim/real: the definitions behind ours.  May include http and below. */
/*
 * The functions behind our hooks: the next definitions in search order, found
 * by reading the loader's list ourselves.  dlsym would allocate on failure,
 * leave a message for the target's dlerror(), and tie us to the libc version
 * that we were built on.
 */
#ifndef SHIM_REAL_REAL_H
#define SHIM_REAL_REAL_H

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "sampler/base/cc.h"

/*
 * Those that libc has only since glibc 2.34; before, a
 * library of their own had them, which may come after the start, or never.  What is
 * returned when there is none: what a program that asks whether it has them (by a
 * weak reference, which we satisfy) can live with.
 * X(name, return type, parameters, arguments, what an absent one returns)
 */
#define REAL_LATE_FUNCTIONS(X)                                                                     \
	X(pthread_create, int,                                                                     \
	  (pthread_t * thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg),        \
	  (thread, attr, fn, arg), ENOSYS)                                                         \
	X(thrd_exit, void, (int result), (result),                                                 \
	  real_table.pthread_exit((void *)(intptr_t)result))                                       \
	X(dlclose, int, (void *handle), (handle), -1)                                              \
	X(execveat, int,                                                                           \
	  (int dir, const char *path, char *const argv[], char *const envp[], int flags),          \
	  (dir, path, argv, envp, flags), -1)

/* X(name, return type, parameters) */
#define REAL_FUNCTIONS(X)                                                                          \
	X(pthread_exit, void, (void *))                                                            \
	X(pthread_attr_init, int, (pthread_attr_t *))                                              \
	X(pthread_attr_destroy, int, (pthread_attr_t *))                                           \
	X(pthread_attr_getstacksize, int, (const pthread_attr_t *, size_t *))                      \
	X(pthread_attr_getguardsize, int, (const pthread_attr_t *, size_t *))                      \
	X(sigaction, int, (int, const struct sigaction *, struct sigaction *))                     \
	X(sigpending, int, (sigset_t *))                                                           \
	X(signal, sighandler_t, (int, sighandler_t))                                               \
	X(__sysv_signal, sighandler_t, (int, sighandler_t))                                        \
	X(sigset, sighandler_t, (int, sighandler_t))                                               \
	X(execve, int, (const char *, char *const[], char *const[]))                               \
	X(execv, int, (const char *, char *const[]))                                               \
	X(execvp, int, (const char *, char *const[]))                                              \
	X(execvpe, int, (const char *, char *const[], char *const[]))                              \
	X(execl, int, (const char *, const char *, ...))                                           \
	X(execlp, int, (const char *, const char *, ...))                                          \
	X(execle, int, (const char *, const char *, ...))                                          \
	X(fexecve, int, (int, char *const[], char *const[]))                                       \
	X(siglongjmp, void, (struct __jmp_buf_tag *, int))                                         \
	X(longjmp, void, (struct __jmp_buf_tag *, int))                                            \
	X(_longjmp, void, (struct __jmp_buf_tag *, int))                                           \
	X(__longjmp_chk, void, (struct __jmp_buf_tag *, int))                                      \
	X(sigaltstack, int, (const stack_t *, stack_t *))                                          \
	X(swapcontext, int, (ucontext_t *, const ucontext_t *))                                    \
	X(setcontext, int, (const ucontext_t *))                                                   \
	X(fork, pid_t, (void))                                                                     \
	X(daemon, int, (int, int))                                                                 \
	X(exit, void, (int))                                                                       \
	X(_exit, void, (int))                                                                      \
	X(_Exit, void, (int))                                                                      \
	X(quick_exit, void, (int))                                                                 \
	X(setuid, int, (uid_t))                                                                    \
	X(setgid, int, (gid_t))                                                                    \
	X(seteuid, int, (uid_t))                                                                   \
	X(setegid, int, (gid_t))                                                                   \
	X(setreuid, int, (uid_t, uid_t))                                                           \
	X(setregid, int, (gid_t, gid_t))                                                           \
	X(setresuid, int, (uid_t, uid_t, uid_t))                                                   \
	X(setresgid, int, (gid_t, gid_t, gid_t))                                                   \
	X(setgroups, int, (size_t, const gid_t *))                                                 \
	X(initgroups, int, (const char *, gid_t))                                                  \
	X(bind, int, (int, const struct sockaddr *, socklen_t))                                    \
	X(listen, int, (int, int))                                                                 \
	X(accept, int, (int, struct sockaddr *, socklen_t *))                                      \
	X(accept4, int, (int, struct sockaddr *, socklen_t *, int))                                \
	X(epoll_wait, int, (int, struct epoll_event *, int, int))                                  \
	X(epoll_pwait, int, (int, struct epoll_event *, int, int, const sigset_t *))               \
	X(epoll_pwait2, int,                                                                       \
	  (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))             \
	X(poll, int, (struct pollfd *, nfds_t, int))                                               \
	X(__poll_chk, int, (struct pollfd *, nfds_t, int, size_t))                                 \
	X(ppoll, int, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))        \
	X(__ppoll_chk, int,                                                                        \
	  (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t))            \
	X(select, int, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                      \
	X(pselect, int,                                                                            \
	  (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))          \
	X(sigsuspend, int, (const sigset_t *))                                                     \
	X(pause, int, (void))                                                                      \
	X(sigwait, int, (const sigset_t *, int *))                                                 \
	X(sigwaitinfo, int, (const sigset_t *, siginfo_t *))                                       \
	X(sigtimedwait, int, (const sigset_t *, siginfo_t *, const struct timespec *))             \
	X(wait, pid_t, (int *))                                                                    \
	X(waitpid, pid_t, (pid_t, int *, int))                                                     \
	X(waitid, int, (idtype_t, id_t, siginfo_t *, int))                                         \
	X(wait3, pid_t, (int *, int, struct rusage *))                                             \
	X(wait4, pid_t, (pid_t, int *, int, struct rusage *))                                      \
	X(nanosleep, int, (const struct timespec *, struct timespec *))                            \
	X(clock_nanosleep, int, (clockid_t, int, const struct timespec *, struct timespec *))      \
	X(sleep, unsigned, (unsigned))                                                             \
	X(usleep, int, (useconds_t))                                                               \
	X(mprotect, int, (void *, size_t, int))                                                    \
	X(mlockall, int, (int))                                                                    \
	X(munlockall, int, (void))                                                                 \
	X(setns, int, (int, int))                                                                  \
	X(unshare, int, (int))                                                                     \
	X(setrlimit, int, (__rlimit_resource_t, const struct rlimit *))                            \
	X(setrlimit64, int, (__rlimit_resource_t, const struct rlimit64 *))                        \
	X(prlimit, int, (pid_t, enum __rlimit_resource, const struct rlimit *, struct rlimit *))   \
	X(prlimit64, int,                                                                          \
	  (pid_t, enum __rlimit_resource, const struct rlimit64 *, struct rlimit64 *))             \
	X(capset, int, (void *, const void *))                                                     \
	X(fcntl, int, (int, int, ...))                                                             \
	X(fcntl64, int, (int, int, ...))                                                           \
	X(prctl, int, (int, ...))                                                                  \
	X(syscall, long, (long, ...))

struct real {
#define X(name, type, parameters, ...) type(*name) parameters;
	REAL_LATE_FUNCTIONS(X)
	REAL_FUNCTIONS(X)
#undef X
};

/* For real() only: in line, because every call that a hook passes on goes through it. */
extern struct real real_table;
extern atomic_bool real_is_filled;
void real_fill(void);

/*
 * The table, filled in on first use (perhaps before our constructor, from
 * another library's).  A function that nobody defines is NULL; a late one looks
 * again at each call.
 * Context: hook, init.  Allocates nothing.
 */
static inline const struct real *real(void)
{
	if (UNLIKELY(!atomic_load_explicit(&real_is_filled, memory_order_acquire)))
		real_fill();
	return &real_table;
}

/* real()->syscall, for assembly.  Context: hook. */
long (*real_syscall(void))(long, ...);

/* False: the program has no threads so far.  Context: init. */
bool real_has_threads(void);

#endif
