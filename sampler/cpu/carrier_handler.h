/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * What happens when the carrier comes: a tick of ours is captured, and any other
 * signal of that number does what it would have done without us.
 */
#ifndef SAMPLER_CPU_CARRIER_HANDLER_H
#define SAMPLER_CPU_CARRIER_HANDLER_H

#include <signal.h>
#include <stdbool.h>

/* Runs in the handler for each tick of ours. */
typedef void (*carrier_tick)(const siginfo_t *info, const void *ucontext);
/* Tells ticks of ours from the program's own timer signals.  Context: handler. */
typedef bool (*carrier_is_ours)(const siginfo_t *info);

/* Before the handler is installed.  Context: init. */
void carrier_handle_ticks(carrier_is_ours is_ours, carrier_tick tick);

/* Our handler, with SA_SIGINFO, SA_ONSTACK and all signals blocked.  Context: handler. */
void carrier_handle(int sig, siginfo_t *info, void *context);

#endif
