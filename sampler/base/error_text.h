/* base: memory, system calls, text, counters.  May include arch. */
/* What the kernel's refusal of a file means to a user. */
#ifndef SAMPLER_BASE_ERROR_TEXT_H
#define SAMPLER_BASE_ERROR_TEXT_H

#include "sampler/base/text.h"

/* Appends why a file, or a socket's, could not be made; `failed` is -errno.  Context: any role. */
void text_error(struct text *t, int failed);

/* The same of a file that could not be read. */
void text_error_of_reading(struct text *t, int failed);

#endif
