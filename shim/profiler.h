/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * All parts of the profiler, put together: for a program that starts with us (main.c), and
 * for one that we were loaded into later (late.c).
 */
#ifndef SHIM_PROFILER_H
#define SHIM_PROFILER_H

#include <stdbool.h>

#include "http/exchange.h"
#include "shim/life/listener.h"
#include "shim/settings.h"

/*
 * Reads the settings and asks whether this process can have us.  False: it is to stay
 * dormant, and a sentence was said if a user would wonder.  Until the system-call filter was
 * looked at, only those calls are made that the loader has made before us.  Context: init.
 */
bool profiler_check(char *const *environment);

/* The settings alone, once more.  Context: init. */
bool profiler_read_settings(char *const *environment);
const struct settings *profiler_settings(void);

/* Everything but the listener.  `argv` as main has it.  Context: init. */
void profiler_start(int argc, char **argv);

/* The same in a program that runs, and had us dormant since its start.  Context: init. */
void profiler_wake(int argc, char **argv);

/* Says what a user would wonder about.  Context: init. */
void profiler_tell_outcome(enum listener_outcome outcome);

/* After profiler_read_settings(), while there is no listener.  Context: init. */
void profiler_change_settings(void);

/*
 * Hooks come into force that were not (late_hooks.h): what they record begins anew, by the
 * settings; and the end of that.  Context: init; the end: listener too.
 */
void profiler_hooks_begin(void);
void profiler_hooks_end(void);

/* What the listener serves. */
extern const struct http_service profiler_service;

/* A listener of this process serves in the place of another one.  Context: listener. */
void profiler_on_ours(void);

#endif
