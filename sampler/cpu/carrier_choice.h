/* cpu: the CPU profile.  May include unwind, symbols and below. */
/*
 * Which signal is to carry ticks: SIGPROF unless the program uses it; then the first
 * of SIGVTALRM, SIGSTKFLT and the real-time signals whose disposition is the default.
 */
#ifndef SAMPLER_CPU_CARRIER_CHOICE_H
#define SAMPLER_CPU_CARRIER_CHOICE_H

#include <stdbool.h>

/* `preferred`: a signal number, tried first.  Context: init. */
void carrier_choice_init(int preferred);

/* The program gave `sig` an action, or its default back.  Context: hook. */
void carrier_note_use(int sig, bool is_used);

/* The first choice that hooks have not seen used; 0: none, or a dormant shim.  Context: any role.
 */
int carrier_first_choice(void);

/*
 * All that can be chosen beside the preferred one: the one after `sig`, from 0 on; 0
 * at the end.  Context: listener, init.
 */
int carrier_next_choice(int sig);

/* Whether the kernel has the default for `sig`.  Context: listener, init. */
bool carrier_is_free(int sig);

/*
 * The carrier, or the one that would be chosen now, as far as hooks saw what the
 * program uses; 0 in a dormant shim.  Context: any role.
 */
int carrier_expected(void);

#endif
