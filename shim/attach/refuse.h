/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/* How the tool gives up: one sentence that says what to do. */
#ifndef SHIM_ATTACH_REFUSE_H
#define SHIM_ATTACH_REFUSE_H

#include "sampler/base/cc.h"

/* As the launcher: the request makes no sense as it stands; it cannot be done to this program. */
#define STATUS_REQUEST 2
#define STATUS_PROGRAM 126

/* Prints "pprof-attach: SENTENCE" and ends the tool.  No thread may be stopped then. */
_Noreturn void refuse(int status, const char *format, ...) PRINTF_LIKE(2, 3);

/* A sentence for later; it lives until the next one. */
const char *say(const char *format, ...) PRINTF_LIKE(1, 2);

/* Prints one, and goes on. */
void note(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
