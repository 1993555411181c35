/* shim: the constructor and the settings.  May include shim/arch and below. */
/*
 * Variables that look like a setting and are none: misspelt, as a rule.
 */
#ifndef SHIM_UNKNOWN_SETTINGS_H
#define SHIM_UNKNOWN_SETTINGS_H

#include "sampler/base/text.h"

/*
 * Appends the names in `environment` that begin with PPROF_, and are neither settings nor
 * those of the pprof tools, with commas between them.  What `t` has no room for is left out.
 * Context: init.
 */
void unknown_settings_write(char *const *environment, struct text *t);

#endif
