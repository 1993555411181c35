/*
 * What an address costs the listener when it is met for the first time.
 *
 * "scattered": all over the code of a module, so that hardly any page of unwind
 * tables is read twice.  "close": runs of neighbours, as the calls in a busy
 * program are.
 */
#include "bench/pool.h"

#define BATCH	  100
#define NEIGHBOUR 24 /* bytes between calls, about */

static struct {
	uint64_t pc[BATCH];
	const struct module *module; /* NULL: of all */
	bool close;
} at;

static void choose(void *unused)
{
	uint64_t pc = 0;

	(void)unused;
	for (int i = 0; i < BATCH; i++) {
		pc = at.close && i % 20 ? pc + 1 + random_below(2 * NEIGHBOUR - 1)
		     : at.module	? random_pc_of(at.module)
					: random_pc();
		at.pc[i] = pc;
	}
}

static void learn_batch(void *unused)
{
	(void)unused;
	for (int i = 0; i < BATCH; i++)
		learn_row(at.pc[i]);
}

static void measure(const char *name, const struct module *m, bool close)
{
	struct spread s;
	char note[80];

	at.module = m;
	at.close = close;
	s = time_batches(learn_batch, choose, NULL, rounds(90), BATCH);
	snprintf(note, sizeof(note), "once for each address, best %.0f", s.best);
	report(name, s, "ns", NO_BUDGET, note);
	learn_release();
}

static const struct module *module_named(const char *part)
{
	for (size_t i = 0; i < modules_count(); i++)
		if (strstr(module_at(i)->path, part))
			return module_at(i);
	return NULL;
}

/* `count scattered UNUSED CALLS` and so on. */
static void count_instructions(const char *what, int calls)
{
	at.close = what[0] == 'c';
	at.module = module_named("libc.so");
	for (int i = 0; i < calls; i += BATCH) {
		choose(NULL);
		learn_batch(NULL);
	}
}

int main(int argc, char **argv)
{
	load_libraries();
	if (argc == 5) {
		count_instructions(argv[2], atoi(argv[4]));
		return 0;
	}
	measure("learn, libc, scattered", module_named("libc.so"), false);
	measure("learn, libc, close", module_named("libc.so"), true);
	measure("learn, libstdc++, scattered", module_named("libstdc++"), false);
	measure("learn, all modules, close", NULL, true);
	report_instructions("learn, libc, scattered", "scattered", 0, 2000, NO_BUDGET, "");
	report_instructions("learn, libc, close", "close", 0, 2000, NO_BUDGET, "");
	return 0;
}
