/*
 * exec and its like: a process that becomes another program ends as this one.  The stubs in
 * arch/ come here first.  What is executed may not be there, and then the program goes on:
 * so nothing is ended, files are only written as they are by now.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "http/out.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/nursery.h"
#include "shim/hooks/stub.h"
#include "shim/life/recording.h"
#include "shim/real/real.h"

/* Shells try each folder of PATH.  What is found by its name is found by libc, in one call. */
static bool may_succeed(const void *first, int which)
{
	return (which != EXEC_EXECVE && which != EXEC_EXECV && which != EXEC_EXECL &&
		which != EXEC_EXECLE) ||
	       sys_call3(SYS_faccessat, AT_FDCWD, (long)first, X_OK) == 0;
}

static void *real_of(int which)
{
	const struct real *r = real();
	void *const all[] = {
		[EXEC_EXECVE] = (void *)r->execve,     [EXEC_EXECV] = (void *)r->execv,
		[EXEC_EXECVP] = (void *)r->execvp,     [EXEC_EXECVPE] = (void *)r->execvpe,
		[EXEC_EXECL] = (void *)r->execl,       [EXEC_EXECLP] = (void *)r->execlp,
		[EXEC_EXECLE] = (void *)r->execle,     [EXEC_FEXECVE] = (void *)r->fexecve,
		[EXEC_EXECVEAT] = (void *)r->execveat,
	};

	return all[which];
}

void *pprofshim_before_exec(const void *first, int which)
{
	int saved = errno;

	if (out_is_wanted() && !sandbox_is_noted() && !process_is_borrowed() &&
	    may_succeed(first, which))
		recording_finish();
	if (UNLIKELY(nursery_is_joined()) && !sandbox_is_noted() && !process_is_borrowed())
		nursery_note_exec();
	errno = saved;
	return real_of(which);
}
