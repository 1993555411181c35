/*
 * What one tick costs the thread that it interrupts, by depth of its stack.
 *
 * tick_handle() is called as the signal carrier calls it, from the bottom of a
 * real recursion in a thread whose stack is known (the words are copied) or not
 * yet (the kernel copies them).  The ring has the profiler's size and is gone
 * round many times, so its lines are cold.  "fresh": it is new, as in the first
 * seconds of each profile.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "bench/measure.h"
#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/tick.h"
#include "sampler/process/modules.h"
#include "sampler/unwind/capture.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/stacks.h"
#include "sampler/unwind/walk.h"

#define RING_BYTES  (8UL << 20) /* as in cpu.c */
#define FRAME_BYTES 144		/* with which 30 frames are 4.3 KiB */
#define BATCH	    32

static struct {
	struct ring ring;
	struct thread *thread;
	siginfo_t info;
	ucontext_t context;
	size_t slice_bytes;
	struct walk walk;
	struct stack_table stacks;
} at;

/* ---- what is measured */

static void tick(void)
{
	tick_handle(&at.info, &at.context);
}

static void tick_batch(void *unused)
{
	(void)unused;
	for (int i = 0; i < BATCH; i++)
		tick();
}

static void drain(void *unused)
{
	const struct capture *c;

	(void)unused;
	while ((c = ring_front(&at.ring))) {
		at.slice_bytes = c->slice_len;
		ring_pop(&at.ring);
	}
}

/* What the listener does with each. */
static void consume(void *unused)
{
	const struct capture *c;

	(void)unused;
	while ((c = ring_front(&at.ring))) {
		walk_capture(c, &at.walk);
		stack_table_add(&at.stacks, at.walk.pc, at.walk.depth);
		ring_pop(&at.ring);
	}
}

/* A signal to ourselves that looks like a timer's. */
static void deliver(void)
{
	sys_call4(SYS_rt_tgsigqueueinfo, sys_getpid(), sys_gettid(), at.info.si_signo,
		  (long)&at.info);
}

static void deliver_batch(void *unused)
{
	(void)unused;
	for (int i = 0; i < BATCH; i++)
		deliver();
}

static void whole_batch(void *unused)
{
	deliver_batch(unused);
	consume(unused);
}

static void do_nothing(int sig)
{
	(void)sig;
}

/* ---- at the bottom of a stack */

struct job {
	int depth;
	bool known;
	void (*run)(const struct job *);
	int calls; /* when counting */
	char name[64];
};

static void fill_context(const struct job *j)
{
	uint64_t hi = j->known ? (uint64_t)__builtin_thread_pointer() : 0;

	getcontext(&at.context);
	atomic_store(&at.thread->stack_lo, hi ? hi - (4UL << 20) : 0);
	atomic_store(&at.thread->stack_hi, hi);
	at.info.si_value.sival_ptr = at.thread;
}

NOINLINE static void descend(const struct job *j, int left)
{
	char frame[FRAME_BYTES - 48];

	__asm__ volatile("" : : "r"(frame) : "memory");
	if (left > 0) {
		descend(j, left - 1);
	} else {
		fill_context(j);
		j->run(j);
	}
	__asm__ volatile("" : : "r"(frame) : "memory");
}

static void *run_in_thread(void *arg)
{
	const struct job *j = arg;

	at.thread = thread_claim(sys_gettid());
	atomic_store(&at.thread->slice_limit, SLICE_BYTES);
	at.thread->period_ns = NS_PER_SECOND / 100;
	tick_direct_to(&at.ring);
	descend(j, j->depth - 4); /* this one, the thread's start and the two below it */
	tick_direct_to(NULL);
	thread_recycle(at.thread);
	return NULL;
}

static void run(struct job j)
{
	pthread_t thread;

	pthread_create(&thread, NULL, run_in_thread, &j);
	pthread_join(thread, NULL);
}

/* ---- the measurements */

static void run_time(const struct job *j)
{
	double budget = j->depth == 30 && j->known ? 500 : NO_BUDGET;
	struct spread s = time_batches(tick_batch, drain, NULL, rounds(1200), BATCH);
	char note[80];

	drain(NULL);
	snprintf(note, sizeof(note), "%zu bytes, best %.0f", at.slice_bytes, s.best);
	report(j->name, s, "ns", budget, note);
}

/* Each batch into a ring as a new profile has it. */
static void renew_ring(void *unused)
{
	drain(unused);
	ring_release(&at.ring);
	ring_init(&at.ring, RING_BYTES);
	ring_touch(&at.ring, RING_BYTES);
}

static void run_fresh(const struct job *j)
{
	struct spread s = time_batches(tick_batch, renew_ring, NULL, rounds(600), BATCH);
	char note[80];

	snprintf(note, sizeof(note), "as in the first seconds of a profile, best %.0f", s.best);
	report(j->name, s, "ns", 500, note);
	drain(NULL);
}

static void run_delivery(const struct job *j)
{
	struct sigaction nothing = { .sa_handler = do_nothing };
	const char *why;
	struct spread empty, ours, whole;

	at.info.si_signo = SIGUSR1;
	sigfillset(&nothing.sa_mask);
	sigaction(SIGUSR1, &nothing, NULL);
	empty = time_batches(deliver_batch, NULL, NULL, rounds(600), BATCH);
	carrier_handle_ticks(tick_is_ours, tick_handle);
	at.info.si_signo = carrier_acquire(&why);
	ours = time_batches(deliver_batch, drain, NULL, rounds(600), BATCH);
	drain(NULL);
	whole = time_batches(whole_batch, NULL, NULL, rounds(600), BATCH);
	if (at.walk.end != WALK_COMPLETE || at.walk.depth < (uint32_t)j->depth)
		fprintf(stderr, "bench: handler: %u of %d frames\n", at.walk.depth, j->depth);
	report("whole sample, 30 frames", whole, "ns", 5000, "signal, handler, walk, table");
	report("signal delivery, empty handler", empty, "ns", NO_BUDGET, "the kernel's share");
	report(j->name, ours, "ns", NO_BUDGET, "sent by ourselves, with its system call");
}

/* The ring has room for all of them. */
static void run_count(const struct job *j)
{
	for (int i = 0; i < j->calls; i++)
		tick();
}

static void run_whole(const struct job *j)
{
	for (int i = 0; i < j->calls; i++) {
		tick();
		consume(NULL);
	}
}

/* ---- */

static void count_instructions(const char *what, int depth, int calls)
{
	struct job j = {
		.depth = depth, .known = what[0] == 'k', .run = run_count, .calls = calls
	};

	if (what[0] == 'w') {
		j.known = true;
		j.run = run_whole;
	}
	run(j);
}

static void measure_depth(int depth, bool known)
{
	struct job j = { .depth = depth, .known = known, .run = run_time };

	snprintf(j.name, sizeof(j.name), "handler, %d frames, stack %s", depth,
		 known ? "known" : "not known");
	run(j);
}

static void measure_instructions(int depth, bool known)
{
	char name[64];

	snprintf(name, sizeof(name), "handler, %d frames, stack %s", depth,
		 known ? "known" : "not known");
	report_instructions(name, known ? "known" : "unknown", depth, 30, NO_BUDGET,
			    known ? "each word copied counts as one" : "without the kernel's");
}

int main(int argc, char **argv)
{
	static const int depths[] = { 5, 30, 100, 500 };

	if (threads_open() != 0 || ring_init(&at.ring, RING_BYTES) != 0)
		return 1;
	at.info.si_code = SI_TIMER;
	stack_table_init(&at.stacks, 24UL << 20);
	modules_init();
	code_refresh();
	if (argc == 5) {
		count_instructions(argv[2], atoi(argv[3]), atoi(argv[4]));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		measure_depth(depths[i], true);
		measure_depth(depths[i], false);
	}
	run((struct job){ 30, true, run_fresh, 0, "handler, 30 frames, ring fresh" });
	run((struct job){ 30, true, run_delivery, 0, "signal delivery and handler, 30 frames" });
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++)
		measure_instructions(depths[i], true);
	measure_instructions(30, false);
	report_instructions("whole sample, 30 frames", "whole", 30, 500, NO_BUDGET,
			    "without the kernel's; each byte cleared by ring_pop is one");
	return 0;
}
