/*
 * A module of the running test program, as the table of modules would have it,
 * but without a build id.
 */
#ifndef TEST_UNIT_SYMBOLS_OWN_MODULE_H
#define TEST_UNIT_SYMBOLS_OWN_MODULE_H

#include "sampler/process/modules.h"

/* The one that holds `pc`; the test fails if none does. */
struct module module_of(const void *pc);

#endif
