/* shim/attach/arch: registers of a thread of another process.  May include shim and below. */
/*
 * The registers of a stopped thread, and how to have it call a function or make a system
 * call.  One file for each processor.
 */
#ifndef SHIM_ATTACH_ARCH_REGISTERS_H
#define SHIM_ATTACH_ARCH_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* e_machine of programs that this tool can attach to. */
extern const uint16_t registers_machine;

/* The kernel's set of the extended ones (vectors and so on), for PTRACE_GETREGSET. */
extern const int registers_extended_set;

/*
 * A system call that waits for descriptors, children, signals or messages: nobody makes one
 * while holding a lock of malloc or the loader.
 */
bool registers_waits_for_event(long number);

/* That such a call, once interrupted, is made again with the whole of its timeout. */
bool registers_timeout_begins_anew(long number, const uint64_t arg[6]);

/* The processor keeps a second stack for the thread whose status file this is, and compares. */
bool registers_are_guarded(const char *status);

struct registers {
	uint64_t word[32]; /* as the kernel lays them out */
};

bool registers_get(int tid, struct registers *r);
bool registers_set(int tid, const struct registers *r);

uint64_t registers_pc(const struct registers *r);
uint64_t registers_sp(const struct registers *r);
/* What a function or a system call returned. */
long registers_result(const struct registers *r);
/* The number of the system call that was interrupted; -1: it was in none. */
long registers_call_number(const struct registers *r);

/* Calls function(first, second) with the stack pointer below `sp`, where its return address lies.
 */
void registers_call(struct registers *r, uint64_t function, uint64_t sp, uint64_t first,
		    uint64_t second);

/* Makes a system call with the instruction before `at`; 0: before the pc of `r`. */
void registers_system_call(struct registers *r, uint64_t at, long number, const uint64_t arg[6]);

/*
 * The interrupted system call is made again from its beginning, or ends with EINTR if a
 * handler is to run.
 */
void registers_restart(struct registers *r);

/* Bytes of the instruction that makes a system call, and whether it is one. */
#define SYSTEM_CALL_BYTES 2
bool code_is_system_call(const uint8_t code[SYSTEM_CALL_BYTES]);

/* The function to which signal handlers return. */
#define SIGNAL_RETURN_BYTES 9
bool code_is_signal_return(const uint8_t code[SIGNAL_RETURN_BYTES]);

/*
 * What the kernel leaves on the stack for a handler, from the address to return to on: true
 * when it can be that, and then the pc that was interrupted goes to *pc.
 */
#define HANDLER_FRAME_WORDS 25
bool frame_is_of_handler(const uint64_t word[HANDLER_FRAME_WORDS], uint64_t *pc);

#endif
