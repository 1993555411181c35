/*
 * What one sample costs the listener, and what a whole sample costs, once the
 * rules of its addresses are known.
 *
 * "one stack": the same again and again, everything in the first cache.
 * "many stacks": 300 of them over 10,000 addresses, as many as a big C++ server
 * shows, so that each rule is far from the last.
 */
#include "sampler/unwind/walk.h"
#include "bench/pool.h"
#include "sampler/unwind/stacks.h"

#define ADDRESSES  10000
#define STACKS	   300
#define DEPTH_MOST 500
#define PASSES	   4 /* over the stacks, in one batch of the hot ones */

static struct pool pool;
static struct walk walk;
static struct stack_table table;

static struct {
	struct capture *capture[STACKS];
	int count; /* distinct ones */
	int depth;
} at;

static void make_stacks(int count, int depth)
{
	uint32_t index[DEPTH_MOST];

	at.count = count;
	at.depth = depth;
	for (int i = 0; i < count; i++) {
		free(at.capture[i]);
		at.capture[i] = malloc(capture_bytes(depth));
		random_stack(&pool, index, depth);
		make_capture(at.capture[i], &pool, index, depth);
	}
}

static void walk_batch(void *unused)
{
	(void)unused;
	for (int i = 0; i < STACKS; i++)
		walk_capture(at.capture[i % at.count], &walk);
}

static void add_batch(void *unused)
{
	(void)unused;
	for (int i = 0; i < STACKS; i++)
		stack_table_add(&table, walk.pc, walk.depth);
}

static void sample_batch(void *unused)
{
	(void)unused;
	for (int i = 0; i < STACKS; i++) {
		walk_capture(at.capture[i % at.count], &walk);
		stack_table_add(&table, walk.pc, walk.depth);
	}
}

static void new_table(void *unused)
{
	(void)unused;
	stack_table_release(&table);
}

/* A walk that did not reach the end would be measured as a fast one. */
static void check(void)
{
	for (int i = 0; i < at.count; i++) {
		walk_capture(at.capture[i], &walk);
		if (walk.end != WALK_COMPLETE || walk.depth != (uint32_t)at.depth)
			fprintf(stderr, "bench: walk: %u of %d frames\n", walk.depth, at.depth);
	}
}

static void measure_walk(int count, int depth)
{
	struct spread s;
	char name[64], note[80];

	make_stacks(count, depth);
	check();
	s = time_batches(walk_batch, NULL, NULL, rounds(300), STACKS * (double)depth);
	snprintf(name, sizeof(name), "walk a frame, %d frames, %s", depth,
		 count == 1 ? "one stack" : "many stacks");
	snprintf(note, sizeof(note), "rules known, best %.1f", s.best);
	report(name, s, "ns", 30, note);
}

static void measure_table(void)
{
	struct spread s;

	make_stacks(1, 30);
	check();
	s = time_batches(add_batch, NULL, NULL, rounds(300), STACKS);
	report("stack_table_add, 30 frames, known", s, "ns", NO_BUDGET, "");
	make_stacks(STACKS, 30);
	s = time_batches(sample_batch, NULL, NULL, rounds(300), STACKS);
	report("walk and add, 30 frames, many stacks", s, "ns", NO_BUDGET, "stacks in the table");
	s = time_batches(sample_batch, new_table, NULL, rounds(300), STACKS);
	report("walk and add, 30 frames, new stacks", s, "ns", NO_BUDGET, "into an empty table");
}

/* `count walk DEPTH CALLS`: walks; `count walk-and-add`: both. */
static void count_instructions(const char *what, int depth, int calls)
{
	bool add = strstr(what, "add") != NULL;

	make_stacks(STACKS, depth);
	check();
	for (int i = 0; i < calls; i++) {
		walk_capture(at.capture[i % at.count], &walk);
		if (add)
			stack_table_add(&table, walk.pc, walk.depth);
	}
}

static void measure_instructions(void)
{
	double at_30 = instructions("walk", 30, 3000), at_100 = instructions("walk", 100, 3000);

	if (isnan(at_30) || isnan(at_100)) {
		fprintf(stderr, "bench: walk: not measured, valgrind did not count\n");
		return;
	}
	report("walk, 30 frames", exact(at_30), "instructions", NO_BUDGET, "");
	report("walk a frame", exact((at_100 - at_30) / 70), "instructions", NO_BUDGET, "");
	report_instructions("walk and add, 30 frames, known", "walk-and-add", 30, 3000, NO_BUDGET,
			    "");
}

int main(int argc, char **argv)
{
	static const int depths[] = { 30, 100, 500 };

	load_libraries();
	stack_table_init(&table, 24UL << 20);
	fill_pool(&pool, argc == 5 ? 500 : ADDRESSES);
	if (argc == 5) {
		count_instructions(argv[2], atoi(argv[3]), atoi(argv[4]));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		measure_walk(1, depths[i]);
		measure_walk(STACKS, depths[i]);
	}
	measure_table();
	measure_instructions();
	return 0;
}
