/* base: memory, system calls, text, counters.  May include arch. */
/*
 * The lines of /proc/PID/status, "Uid:\t0\t0\t0\t0".
 *
 * The first is the thread's name, whose text anybody may choose: it is never looked at.  (The
 * kernel writes no line's end into it, so it cannot pass for another.)
 *
 * Context: any role.
 */
#ifndef SAMPLER_BASE_STATUS_H
#define SAMPLER_BASE_STATUS_H

#include <stdint.h>

/* What is behind "`name`:" and blanks, and the rest of the text; NULL: there is no such line. */
const char *status_line(const char *status, const char *name);

/* The number that such a line begins with, 0 without one. */
uint64_t status_number(const char *status, const char *name, unsigned base);

#endif
