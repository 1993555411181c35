/*
 * Futex waits through libc's syscall(): how Rust's standard library, parking_lot
 * and C++20's atomics wait.  The door is in syscall_x86_64.S.
 */
#ifndef SHIM_HOOKS_FUTEX_H
#define SHIM_HOOKS_FUTEX_H

#include <stdbool.h>

/* Whether syscall() hands futex waits to us.  Context: init, hook. */
void futex_turn_on(bool on);

#endif
