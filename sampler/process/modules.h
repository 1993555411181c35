/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * The table of loaded objects (executable, libraries, vdso), by what they are: path, build
 * id (without one: size and time of the file) and layout.  Each has a number.  Who keeps a
 * frame (frame.h) of it says so; then it has that number for as long as the process lives,
 * and the frame its meaning.  One that is loaded again, wherever, is the same module
 * again.  When all numbers are given, those of unloaded modules that nobody keeps are given
 * again.
 *
 * Context: listener only, unless a function says otherwise.
 */
#ifndef SAMPLER_PROCESS_MODULES_H
#define SAMPLER_PROCESS_MODULES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/process/frame.h"
#include "sampler/process/module.h"

#define MODULES_MAX 65534 /* what fits into a frame */

/*
 * The file of the running program, as the kernel writes it; not that of a loader that was
 * started as `ld.so PROGRAM`.  Without /proc, what was executed.  Context: init.
 */
void modules_program_file(char path[MODULE_PATH_MAX]);

/*
 * Remembers what /proc may refuse later: the executable's path (/proc/self/exe)
 * and where the kernel put its program headers and the vdso (auxiliary vector); and
 * which objects are there now.  Context: init.
 */
void modules_init(void);

/*
 * Reads the loader's list.  One that was being changed meanwhile is not believed, and
 * nothing of it is taken over: the next look finds it at rest.  `number` is kept with
 * those that came.  Calls `changed` for each
 * module that went, then for each that came; what it was or is told is where that lies.
 */
enum modules_look { MODULES_AS_BEFORE, MODULES_CHANGED, MODULES_NOT_AT_REST };
enum modules_look modules_refresh(uint32_t number, void (*changed)(const struct module *m));

/* The loader's list is longer than at the last look that was believed. */
bool modules_have_come(void);

/* All modules of this life; those that are not loaded now are marked so. */
size_t modules_count(void);
const struct module *module_at(size_t index);

/* The executable, or NULL. */
const struct module *module_main(void);

/* The module that holds executable code at `pc` now, a guest (guests.h) included, or NULL. */
const struct module *module_find(uint64_t pc);

/* The frame for `pc`, as things are loaded now. */
uint64_t modules_frame(uint64_t pc);

/*
 * The module of a frame, loaded or not; NULL: a pseudo frame, or code of no object.  An
 * address is of what is there now as long as nothing was ever unloaded.
 */
const struct module *frame_module(uint64_t frame);

/* Where a frame is, or was when its module was last loaded. */
uint64_t frame_address(uint64_t frame);

/*
 * The number of a module of another process: of ours that is the same file, loaded or not,
 * or a new one that is not loaded.  `m` has what is the same in both, and where it is
 * there.  0: no room.
 */
uint32_t modules_meet(const struct module *m);

/* The frame at `address` in the file of module `number`. */
uint64_t modules_frame_in(uint32_t number, uint64_t address);

/*
 * The bias of module `number`, for who stands in its code.  Context: hook.
 */
extern _Atomic uint64_t *modules_bias __attribute__((visibility("hidden")));

static inline uint64_t modules_bias_of(uint32_t number)
{
	return atomic_load_explicit(&modules_bias[number], memory_order_relaxed);
}

/* The frame at `pc`, which is in module `number`.  Context: hook. */
static inline uint64_t modules_frame_here(uint32_t number, uint64_t pc)
{
	return frame_in_module(number, modules_bias_of(number), pc);
}

/* Where a list of them lies, by number, and how many there are: for who reads that of another
 * process (other_modules.h). */
struct modules_place {
	const struct module *const *const *list;
	const uint32_t *count;
};
struct modules_place modules_place(void);

/* As if there were so few numbers.  Context: tests. */
void modules_limit_numbers(uint32_t max);

/*
 * The modules keep their numbers; what is loaded is read anew at the next refresh, and
 * until then module_find() finds none.  Context: child.
 */
void modules_after_fork(void);

#endif
