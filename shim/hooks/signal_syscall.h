/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * The system calls of signal_action.c, signal_mask.c and signal_stack.c, made by
 * syscall(): with the arguments of the kernel's calls, the result and errno of
 * syscall().  Context: hook.
 */
#ifndef SHIM_HOOKS_SIGNAL_SYSCALL_H
#define SHIM_HOOKS_SIGNAL_SYSCALL_H

#include <signal.h>
#include <stdint.h>

#include "sampler/cpu/kernel_action.h"

long signal_syscall_action(long sig, const struct kernel_action *act, struct kernel_action *old,
			   long size);
long signal_syscall_mask(long how, const uint64_t *set, uint64_t *old, long size);
long signal_syscall_pending(uint64_t *set, long size);
long signal_syscall_stack(const stack_t *stack, stack_t *old);

#endif
