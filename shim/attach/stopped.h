/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/*
 * One thread of the program, stopped while it waits in a system call, that makes calls for
 * us and is then put back: registers, vectors, mask and the interrupted call, as if nothing
 * had been.  The others run on.
 *
 * Between stopped_begin() and stopped_end() the tool must not end: it blocks its signals.
 */
#ifndef SHIM_ATTACH_STOPPED_H
#define SHIM_ATTACH_STOPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim/attach/arch/registers.h"
#include "shim/attach/choose.h"

#define EXTENDED_BYTES 32768

struct stopped {
	int pid, tid;
	const struct image *libc;
	struct registers regs; /* as they were */
	uint8_t extended[EXTENDED_BYTES];
	size_t extended_bytes;
	uint64_t mask;
	uint64_t call_at;  /* behind an instruction that makes a system call; 0: where it waits */
	uint64_t scratch;  /* memory in the program for stack and arguments, 0: none */
	uint64_t errno_at; /* where the thread has its errno, 0: not known */
	int errno_before;
	int late_signal; /* came for the thread meanwhile, and is sent again */
	int64_t since_ns;
};

enum stopped_result {
	STOPPED_OK,
	STOPPED_AGAIN,	 /* it was on its way to something else: nothing was touched */
	STOPPED_REFUSED, /* the kernel says no: errno */
};

/* Stops the thread that was chosen. */
enum stopped_result stopped_begin(struct stopped *s, const struct image *libc,
				  const struct waiting *w);

/*
 * Stops a thread wherever it is, holding whatever: for system calls only, which are made
 * where `call_at` says.
 */
enum stopped_result stopped_begin_anywhere(struct stopped *s, int pid, int tid, uint64_t call_at);

/* Lets it go on as it was. */
void stopped_end(struct stopped *s);

enum call_result {
	CALL_DONE,
	CALL_TAKEN_BACK, /* it waited for the loader for 2 s: it is as if never made */
	CALL_CRASHED,	 /* inside of the call */
	CALL_ENDED,	 /* the program did */
};

/* function(first, second) in the program; what it returns goes to *result. */
enum call_result stopped_call(struct stopped *s, uint64_t function, uint64_t first, uint64_t second,
			      uint64_t *result);

/* A system call there; -errno on failure. */
long stopped_system_call(struct stopped *s, long number, const uint64_t arg[6]);

/* Memory for stack and arguments.  False: the kernel gives none. */
bool stopped_get_scratch(struct stopped *s);
void stopped_drop_scratch(struct stopped *s);

/* The thread's errno is put back at the end, whatever calls do to it. */
enum call_result stopped_keep_errno(struct stopped *s);

/* Puts bytes there, at most SCRATCH_ARGUMENT_BYTES, where the first argument lies; its address. */
#define SCRATCH_ARGUMENT_BYTES 8192
uint64_t stopped_put(struct stopped *s, const void *bytes, size_t len);

#endif
