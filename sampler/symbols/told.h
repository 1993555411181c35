/* symbols: names and lines of addresses.  May include process and below. */
/*
 * Names that other processes told of code which no object holds, and which no file of ours
 * could name: made at run time.  Each name, with its file and line, has a number for as long
 * as this process lives.  A frame of such code is that number, in a module that stands for
 * the other process's made code.
 *
 * Holds TOLD_BYTES at most; beyond that nothing new is kept, which is counted.
 *
 * Context: listener.
 */
#ifndef SAMPLER_SYMBOLS_TOLD_H
#define SAMPLER_SYMBOLS_TOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/arena.h"
#include "sampler/process/module.h"
#include "sampler/symbols/symbol.h"

#define TOLD_BYTES (8UL << 20) /* some 50,000 functions of JavaScript */

/* The number of this name, file and line, which are copied; 0: there is no room for it. */
uint32_t told_number(const struct symbol_frame *f);

/* Where name `number` is in such a module. */
uint64_t told_address(uint32_t number);

/* Its file is MODULE_FILE_TOLD. */
bool told_is_module(const struct module *m);

/*
 * Fills out[i] for pc[i] as symbols_resolve() does.  Returns 0, or -1 when memory ran out.
 */
int told_resolve(struct arena *a, const struct module *m, const uint64_t *pc, size_t count,
		 struct symbol *out);

/* What it held is not there.  Context: child. */
void told_after_fork(void);

#endif
