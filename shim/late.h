/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * Late mode: pprof-attach loaded us into a program that runs.  The constructor does nothing
 * then; the tool calls pprofshim_attach(), and later leaves a word in the block
 * (attach_block.h), on which our thread gives back what it can and ends.  It may be called
 * again after that, in a forked child too.
 */
#ifndef SHIM_LATE_H
#define SHIM_LATE_H

#include <stdbool.h>
#include <stdint.h>

/* The tool loaded us, and is about to call; argv as main has it.  Context: init. */
bool late_is_handed_over(int argc, char **argv);

/* We were there from the start, with an endpoint at this port.  Context: init. */
void late_note_preloaded(uint16_t port);

#endif
