/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * We came to a program that was running already: since when, and what therefore is not
 * measured.  Profiles say so in a comment.
 */
#ifndef SAMPLER_PROCESS_ATTACHED_H
#define SAMPLER_PROCESS_ATTACHED_H

#include <stdbool.h>

/* That was now; `has_hooks`: what the program calls from now on is hooked.  Context: init. */
void attached_note(bool has_hooks);

/*
 * We were there from the start, dormant, and were woken now: all hooks are in force.  Context:
 * init.
 */
void attached_note_woken(void);

/* Loaded later.  Context: any role. */
bool attached_is(void);

/* Loaded or woken later: what is loaded now may not have been there at the start.  Context: any
 * role. */
bool attached_is_late(void);

/* "07:12:31 UTC"; "" if we profile from the start.  Context: listener. */
const char *attached_since(void);

/* A sentence for every profile; NULL if we profile from the start.  Context: listener. */
const char *attached_comment(void);

/* Why there is no profile of something that hooks record; NULL: not because of this.  Context:
 * listener. */
const char *attached_refusal(void);

#endif
