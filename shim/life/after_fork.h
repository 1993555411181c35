/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * What a forked child does with our state, which it has inherited: nothing in the
 * fork itself, nor in a child that only executes another program.  The first hook
 * that needs to know puts all of it in order (AFTER_FORK, below); a child that
 * outlives its parent takes the endpoint over (takeover.h).
 */
#ifndef SHIM_LIFE_AFTER_FORK_H
#define SHIM_LIFE_AFTER_FORK_H

#include <stdbool.h>

/*
 * X(module): each module that has something to forget has a function of this name, and
 * here is who calls it when.  A unit test compares these lists with all functions of
 * that name.  First, what the first hook resets, in this order.
 */
#define AFTER_FORK_AT_FIRST_HOOK(X)                                                                \
	X(process_state)                                                                           \
	X(sys)                                                                                     \
	X(wake)                                                                                    \
	X(cpu)                                                                                     \
	X(wall)                                                                                    \
	X(dump)                                                                                    \
	X(code)                                                                                    \
	X(symbol_cache)                                                                            \
	X(told)                                                                                    \
	X(jit_names)                                                                               \
	X(learn)                                                                                   \
	X(unload)                                                                                  \
	X(label_place)                                                                             \
	X(site_at)                                                                                 \
	X(heap)                                                                                    \
	X(births)                                                                                  \
	X(last_thread)                                                                             \
	X(follow)                                                                                  \
	X(listener)                                                                                \
	X(recording)                                                                               \
	X(takeover)

/* What only a process with a listener needs: its lock hooks are off before. */
#define AFTER_FORK_AT_TAKEOVER(X) X(contention)

/* X(module, who resets it): parts of others. */
#define AFTER_FORK_WITHIN(X)                                                                       \
	X(own_areas, sys)                                                                          \
	X(action_masks, cpu)                                                                       \
	X(reopen, cpu)                                                                             \
	X(tick, cpu)                                                                               \
	X(look, cpu)                                                                               \
	X(nursery, cpu)                                                                            \
	X(roster, cpu)                                                                             \
	X(threads, roster)                                                                         \
	X(timers, roster)                                                                          \
	X(alternate_stacks, roster)                                                                \
	X(modules, code)                                                                           \
	X(guests, modules)                                                                         \
	X(other, dump)                                                                             \
	X(loader_list, modules)                                                                    \
	X(other_code, learn)                                                                       \
	X(eh_table, learn)                                                                         \
	X(lib, learn)                                                                              \
	X(peek, learn)                                                                             \
	X(waiters, contention)                                                                     \
	X(readers, contention)                                                                     \
	X(relocks, contention)                                                                     \
	X(wakes, contention)                                                                       \
	X(mapped, heap)                                                                            \
	X(peak, heap)                                                                              \
	X(out, recording)                                                                          \
	X(out_place, out)

/*
 * Puts our state in order, if this is a forked child in which nobody has yet.
 * Afterwards process_is_in_order() is true, unless another thread is just doing it or
 * the shim is dormant.  Context: hook, also in a signal handler.
 */
void after_fork_enter(void);

/* Children may do so from now on, or not: the shim is not dormant.  Context: init. */
void after_fork_enable(bool on);

/* `fn` is called in each child whose state has been put in order.  Context: init. */
void after_fork_call(void (*fn)(void));

/* A child has the port, and does from now on all that its parent did.  Context: listener. */
void after_fork_becomes_ours(void);

#endif
