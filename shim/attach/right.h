/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/* Why the kernel does not let somebody stop a thread of a process, and the way out. */
#ifndef SHIM_ATTACH_RIGHT_H
#define SHIM_ATTACH_RIGHT_H

#include <stdbool.h>
#include <stdint.h>

/* What decides it. */
struct right {
	int scope;	/* kernel.yama.ptrace_scope; 0 also where there is none */
	bool may_trace; /* CAP_SYS_PTRACE */
	bool is_own;	/* the process is of the same user */
};

/* The sentence for process `pid` of user `uid`, of which the kernel said `error`. */
const char *right_sentence(const struct right *r, int pid, uint64_t uid, int error);

#endif
