/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/*
 * Restartable sequences (rseq): code on data of a processor that the kernel begins anew
 * when the thread was moved from it meanwhile, as allocators have it.  Of a stopped
 * thread it does so when the thread goes on, if it is still there then: one that has made
 * a system call elsewhere first is put back into the middle and never told.
 */
#ifndef SHIM_ATTACH_RESTARTABLE_H
#define SHIM_ATTACH_RESTARTABLE_H

#include <stdbool.h>

#include "shim/attach/arch/registers.h"

/* The stopped thread is in one, or there is no telling. */
bool restartable_has(int pid, int tid, const struct registers *r);

#endif
