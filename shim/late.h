/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * Late mode: pprof-attach loaded us into a program that runs.  The constructor does nothing
 * then; the tool calls pprofshim_attach(), and later leaves a word in the block
 * (attach_block.h), on which our thread gives back what it can and ends.  It may be called
 * again after that, in a forked child too.
 *
 * Where we were preloaded the same call wakes us, if we are dormant: all is then as in a program
 * that was started with these settings, but for what was before.  In a forked child of a program
 * that has us it makes a member (takeover.h).
 */
#ifndef SHIM_LATE_H
#define SHIM_LATE_H

#include "shim/life/listener.h"
#include <stdbool.h>

/* The tool loaded us, and is about to call; argv as main has it.  Context: init. */
bool late_is_handed_over(int argc, char **argv);

/*
 * We were there from the start, and may be dormant from now on; argv as main has it.  No system
 * call: no filter was looked at yet.  Context: init.
 */
void late_expect_tool(int argc, char **argv);

/* We are not: what the listener serves, which tells the tool where it does.  Context: init. */
const struct http_service *late_service_of_preloaded(void);

/* Of listener_start() with that.  Context: init. */
void late_note_outcome(enum listener_outcome outcome);

#endif
