/* base: memory, system calls, text, counters.  May include arch. */
/*
 * Named counters of everything that was dropped, cut or refused, so that a
 * profile never silently adds up to less than what happened.  The shim page
 * prints all of them, zeros last.
 */
#ifndef SAMPLER_BASE_COUNTERS_H
#define SAMPLER_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* X(identifier, name on the page, what it means to a user) */
#define COUNTERS(X)                                                                                \
	X(HEAP_MAPPINGS_MISSED, "heap_mappings_missed",                                            \
	  "times memory was mapped or unmapped and not noted: by a signal handler, or because "    \
	  "the "                                                                                   \
	  "table was busy")                                                                        \
	X(CPU_SAMPLES, "cpu_samples", "ticks captured and counted")                                \
	X(CPU_DROPPED_RING_FULL, "cpu_dropped_ring_full",                                          \
	  "ticks lost because the listener fell behind; their time is in [lost samples]")          \
	X(CPU_COPIES_FAULTED, "cpu_copies_faulted",                                                \
	  "stacks that could not be read; the sample holds the leaf only")                         \
	X(STACKS_WITH_HOLES, "stacks_with_holes",                                                  \
	  "times the program made a part of a stack unreadable; since then stacks are copied by "  \
	  "the kernel, and deep ones are cut")                                                     \
	X(CPU_TIMERS_REFUSED, "cpu_timers_refused",                                                \
	  "threads for which the kernel gave no timer; their time is in [unsampled]")              \
	X(CPU_THREADS_BLOCKED, "cpu_threads_blocking_signal",                                      \
	  "threads that blocked the signal; their time is in [unsampled]")                         \
	X(CPU_THREADS_SMALL_STACK, "cpu_threads_small_alternate_stack",                            \
	  "threads whose alternate stack has no room for a tick; their time is in [unsampled]")    \
	X(CPU_THREADS_STACK_UNSEEN, "cpu_threads_unseen_alternate_stack",                          \
	  "threads that began after an attach to a program of one thread with an alternate "       \
	  "stack, which they may share; their time is in [unsampled]: detach, and "                \
	  "attach again")                                                                          \
	X(BELLS_MISSING, "tree_exec_notices_missing",                                                          \
	  "profiles in which programs that are executed meanwhile could not be asked at once: "    \
	  "somebody has the socket for it; their time is in [unsampled] unless they live longer")  \
	X(NURSERY_LOST, "forked_ticks_lost",                                                            \
	  "ticks of processes that were forked while a profile ran, for which there was no "       \
	  "room; others stand for their time")                                                     \
	X(NURSERY_NONSENSE, "forked_ticks_nonsense",                                                    \
	  "ticks of such processes that made no sense; others stand for their time")               \
	X(NURSERY_WITHOUT_MEMORY, "forked_ticks_without_memory",                                        \
	  "profiles for which there was no memory that such processes could share; their time is " \
	  "in [unsampled]")                                                                        \
	X(CPU_TICKS_WITHOUT_ROOM, "cpu_ticks_without_room",                                        \
	  "ticks that came on an alternate stack with no room for a capture; their time is in "    \
	  "[unsampled]")                                                                           \
	X(CPU_THREADS_UNTRACKED, "cpu_threads_untracked",                                          \
	  "threads beyond the table of threads; their time is in [unsampled]")                     \
	X(CPU_TIMER_WAITS_TIMED_OUT, "cpu_timer_waits_timed_out",                                  \
	  "times a thread that blocked the signal waited 2 ms for a timer call of ours, and went " \
	  "on")                                                                                    \
	X(SIGACTION_WAITS_TIMED_OUT, "sigaction_waits_timed_out",                                  \
	  "times the signal was installed while a sigaction call of the program was still under "  \
	  "way")                                                                                   \
	X(STACKS_CUT_NO_RULE, "stacks_cut_no_rule", "stacks that end at code without unwind data") \
	X(STACKS_CUT_SLICE, "stacks_cut_slice", "stacks deeper than the bytes captured")           \
	X(STACKS_CUT_BAD_FRAME, "stacks_cut_bad_frame", "stacks that stopped making sense")        \
	X(STACKS_CUT_DEPTH, "stacks_cut_depth", "stacks with more frames than a profile keeps")    \
	X(STACKS_CUT_NEEDS_BP, "stacks_cut_needs_bp",                                              \
	  "stacks of waiting threads that end where the frame pointer could not be found")         \
	X(STACKS_DROPPED_TABLE_FULL, "stacks_dropped_table_full",                                  \
	  "samples counted under [other stacks] because a profile held its limit of stacks")       \
	X(CPU_STACKS_GONE, "cpu_stacks_gone",                                                      \
	  "samples counted under [unknown stack]: they went through an object that was unloaded "  \
	  "before they could be followed")                                                         \
	X(CPU_THREADS_UNLABELLED, "cpu_samples_thread_table_full",                                 \
	  "samples without the labels thread and tid: beyond the threads of one profile")          \
	X(STACKS_WITHOUT_LABEL, "stacks_without_label",                                            \
	  "samples without the labels thread and tid: the table of stacks was half full")          \
	X(LABELS_REFUSED, "labels_refused",                                                        \
	  "labels of the program that were not taken: without a name, with one of ours, the "      \
	  "ninth at once, or the 65th name")                                                       \
	X(LABELS_OTHER, "labels_other",                                                            \
	  "labels of the program counted as [other]: too many values, or sets of labels")          \
	X(LABELS_DROPPED, "labels_dropped",                                                        \
	  "samples without the labels of the program: too many stacks with labels")                \
	X(LABELS_HIDDEN, "labels_hidden",                                                          \
	  "times a thread set labels that ticks and looks at it do not see: too many threads "     \
	  "with "                                                                                  \
	  "labels at once, or a sandbox")                                                          \
	X(ROWS_DROPPED_TABLE_FULL, "rows_dropped_table_full",                                      \
	  "unwind rules learned and not kept; the next use learns them again")                     \
	X(MODULES_DROPPED_TABLE_FULL, "modules_dropped_table_full",                                \
	  "loaded objects beyond the table of modules")                                            \
	X(MODULES_UNREADABLE, "modules_unreadable",                                                \
	  "loaded objects whose headers were not found; their code has no names")                  \
	X(MODULES_LONG_BUILD_ID, "modules_long_build_id",                                          \
	  "loaded objects whose build id has more than 252 bytes; mappings show none")             \
	X(MODULES_MERGED_RANGES, "modules_merged_ranges",                                          \
	  "loaded objects with more than 16 ranges of code; the last mapping has more than one "   \
	  "offset")                                                                                \
	X(SYMBOL_FILES_REFUSED, "symbol_files_refused",                                            \
	  "files of loaded objects that were gone, changed or unreadable")                         \
	X(SYMBOL_TABLES_REFUSED, "symbol_tables_refused",                                          \
	  "compressed symbol tables (.gnu_debugdata) that were damaged or too large")              \
	X(SYMBOL_NAMES_UNKNOWN, "symbol_names_unknown", "addresses shown as [module]")             \
	X(SYMBOL_NAMES_TIMED_OUT, "symbol_names_timed_out",                                        \
	  "times names were left out because the program was about to end")                        \
	X(SYMBOL_LINES_TIMED_OUT, "symbol_lines_timed_out",                                        \
	  "addresses without a line: time limit reached")                                          \
	X(SYMBOL_LINES_REFUSED, "symbol_lines_refused",                                            \
	  "addresses without a line: debug information too large, damaged or in an unknown form")  \
	X(SYMBOL_PARTS_MISSING, "symbol_parts_missing",                                            \
	  "addresses without inlined functions: a file that debug information goes on in was "     \
	  "not found or is another (.dwo, .dwp, dwz's)")                                           \
	X(JIT_NAMES_REFUSED, "jit_names_refused",                                                  \
	  "times /tmp/perf-PID.map or a jitdump file was not read, or not to its end: another "    \
	  "user's, a link, damaged, too large or too slow")                                        \
	X(TOLD_NAMES_DROPPED, "told_names_dropped",                                                \
	  "names of code made at run time in other processes of the tree that were not kept: "     \
	  "too many; it is shown as [process]")                                                    \
	X(DUMP_THREADS_UNLISTED, "dump_threads_unlisted",                                          \
	  "threads beyond what a thread dump holds")                                               \
	X(DUMP_THREADS_MOVED, "dump_threads_moved",                                                \
	  "times a waiting thread went on while it was looked at; it was looked at again")         \
	X(DUMP_THREADS_AS_BEFORE, "dump_threads_as_before",                                        \
	  "threads that had not run since the last dump; they were not read again")                \
	X(DUMP_THREADS_WITHOUT_TIMER, "dump_threads_without_timer",                                \
	  "running threads for which a dump got no timer, or that block the signal")               \
	X(DUMP_STACKS_UNSEEN, "dump_stacks_unseen",                                                \
	  "threads in a dump without a stack: [unseen stack]")                                     \
	X(WALL_STACKS_UNSEEN, "wall_stacks_unseen",                                                \
	  "looks of wall at a blocked thread that went on at once: [unseen stack]")                \
	X(WALL_PLACES_FULL, "wall_places_full",                                                    \
	  "places of threads counted under [other stacks] of wall: there was no room")             \
	X(WALL_THREADS_UNLISTED, "wall_threads_unlisted",                                          \
	  "threads beyond the table of a wall profile; their time is not in it")                   \
	X(WAKES_REFUSED, "wakes_refused",                                                          \
	  "wake-ups of our thread that the kernel refused (RLIMIT_SIGPENDING)")                    \
	X(ARENA_REFUSED, "arena_refused", "requests for memory that were refused")                 \
	X(LIBRARY_ABORTS, "library_aborts",                                                        \
	  "libraries that gave up; what they worked on is left out")                               \
	X(HEAP_PEAKS, "heap_peaks", "times the sites were copied as more was in use than before")  \
	X(HEAP_SAMPLES, "heap_samples", "allocations recorded")                                    \
	X(HEAP_LIVE_DROPPED, "heap_live_dropped",                                                  \
	  "blocks not followed to their free because the table was full; counted as freed")        \
	X(HEAP_STACK_TABLE_FULL, "heap_stack_table_full",                                          \
	  "allocations counted under [other stacks]: the table of stacks was full")                \
	X(HEAP_STACKS_UNKNOWN, "heap_stacks_unknown",                                              \
	  "allocations whose stack could not be copied for later; they show their leaf only")      \
	X(DLCLOSE_WAITS_TIMED_OUT, "dlclose_waits_timed_out",                                      \
	  "calls of dlclose that went on before all stacks were followed, after 2 ms at most")     \
	X(HEAP_BLOCKS_LOST, "heap_blocks_lost",                                                    \
	  "blocks counted as freed: this process was a dormant child and did not see their end")   \
	X(HEAP_SKIPPED_IN_HANDLER, "heap_skipped_in_handler",                                      \
	  "allocations not sampled: made by a signal handler that interrupted our hook")           \
	X(THREADCREATE_STACK_TABLE_FULL, "threadcreate_stack_table_full",                          \
	  "threads counted under [other stacks]: the table of stacks was full")                    \
	X(THREADCREATE_UNKNOWN, "threadcreate_unknown",                                            \
	  "threads whose creator's stack could not be kept")                                       \
	X(BLOCK_SAMPLES, "block_samples", "waits recorded")                                        \
	X(BLOCK_COARSENED, "block_coarsened",                                                      \
	  "times that PPROF_BLOCK_RATE was doubled for a while: too many waits a second")          \
	X(BLOCK_STACK_TABLE_FULL, "block_stack_table_full",                                        \
	  "waits counted under [other stacks]: the table of stacks was full")                      \
	X(BLOCK_STACKS_UNKNOWN, "block_stacks_unknown",                                            \
	  "waits whose stack could not be copied for later; they show their leaf only")            \
	X(MUTEX_SAMPLES, "mutex_samples", "unlocks recorded that had kept others waiting")         \
	X(MUTEX_COARSENED, "mutex_coarsened",                                                      \
	  "times that PPROF_MUTEX_FRACTION was doubled for a while: too many a second")            \
	X(MUTEX_STACK_TABLE_FULL, "mutex_stack_table_full",                                        \
	  "unlocks counted under [other stacks]: the table of stacks was full")                    \
	X(MUTEX_STACKS_UNKNOWN, "mutex_stacks_unknown",                                            \
	  "unlocks whose stack could not be copied for later; they show their leaf only")          \
	X(MUTEX_WAITER_TABLE_FULL, "mutex_waiter_table_full",                                      \
	  "waits that no unlock was charged with: too many contended locks at once")               \
	X(MUTEX_RELOCKS_UNSEEN, "mutex_relocks_unseen",                                            \
	  "waits for a mutex at the end of a condition's wait that are charged in part or not: "   \
	  "too many mutexes or threads at once")                                                   \
	X(MUTEX_WAITS_UNSEEN, "mutex_waits_unseen",                                                \
	  "waits at locks that another process may have given back, or a thread that died with "   \
	  "them: in block, but nobody was charged with them")                                      \
	X(MUTEX_FUTEX_WAITS_UNKNOWN, "mutex_futex_waits_unknown",                                  \
	  "waits at futexes that may be locks, conditions or counts: in block, but nobody was "    \
	  "charged with them")                                                                     \
	X(READERS_UNRECORDED, "readers_unrecorded",                                                \
	  "readers of read-write locks that goroutine cannot name: too many at once")              \
	X(LOCKS_MADE_SHARED, "locks_made_shared",                                                  \
	  "times the program prepared to share locks with other processes")                        \
	X(MUTEX_WAITS_BRIEF, "mutex_waits_brief",                                                  \
	  "waits below 0.3 us, an estimate: in block, but no unlock was charged with them")        \
	X(WAITS_WITHOUT_CLOCK, "waits_without_clock",                                              \
	  "waits not recorded: in a sandbox, on a machine where reading the clock is a system "    \
	  "call")                                                                                  \
	X(HTTP_REQUESTS, "http_requests", "requests answered")                                     \
	X(HTTP_BAD_REQUESTS, "http_bad_requests", "requests that were not understood")             \
	X(HTTP_UNAUTHORIZED, "http_unauthorized", "requests without the key")                      \
	X(HTTP_TIMED_OUT, "http_timed_out", "connections closed for being too slow")               \
	X(HTTP_REFUSED_FULL, "http_refused_full", "connections refused: too many at once")         \
	X(HTTP_HUNG_UP, "http_hung_up", "profiles ended because the client went away")             \
	X(HTTP_FORBIDDEN, "http_forbidden", "requests for a foreign host or from a foreign page")  \
	X(HTTP_STRANGERS_EVICTED, "http_strangers_evicted",                                        \
	  "connections without the key that were closed because there were many")                  \
	X(HTTP_IDLE_EVICTED, "http_idle_evicted", "idle connections closed to make room")          \
	X(HTTP_ACCEPT_FAILED, "http_accept_failed",                                                \
	  "times the kernel gave no connection (descriptors, memory); tried again later")          \
	X(SHARED_PAGE_MENDED, "shared_page_mended",                                                \
	  "times what forked processes wrote to memory that they share with us made no sense")     \
	X(MEMBERS_NOT_REACHED, "members_not_reached",                                              \
	  "times no connection to a process of the tree could be made")                            \
	X(MEMBERS_BROKE, "members_broke",                                                          \
	  "answers of processes of the tree that broke off, or were refusals")                     \
	X(OUTSIDE_NONSENSE, "outside_nonsense",                                                    \
	  "records in the memory of processes that were read from outside that made no sense, "    \
	  "and are left out")                                                                      \
	X(MEMBERS_FORGOTTEN, "members_forgotten",                                                  \
	  "answers of processes of the tree that could not be kept: their sums are gone when "     \
	  "they "                                                                                  \
	  "end")                                                                                   \
	X(MEMBERS_LATE, "members_late",                                                            \
	  "processes of the tree that had not answered half a second after they should have")

enum counter {
#define X(id, name, meaning) COUNTER_##id,
	COUNTERS(X)
#undef X
		COUNTER_COUNT
};

struct counter_text {
	const char *name;
	const char *meaning;
};

extern atomic_uint_fast64_t counter_values[COUNTER_COUNT];
extern const struct counter_text counter_texts[COUNTER_COUNT];

/* Context: any role.  Relaxed: counters order nothing. */
static inline void counter_add(enum counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&counter_values[c], n, memory_order_relaxed);
}

static inline uint64_t counter_get(enum counter c)
{
	return atomic_load_explicit(&counter_values[c], memory_order_relaxed);
}

#endif
