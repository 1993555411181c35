/*
 * After each unit test the tables that all hooks share are looked at.  Check runs each
 * test in a child that leaves by exit(): what is registered here runs there, after the
 * test and its teardown, and ends the child so that the test has failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sampler/heap/live.h"
#include "sampler/locks/waiters.h"
#include "sampler/process/threads.h"
#include "sampler/unwind/rows.h"

static void check_shared_tables(void)
{
	const char *const wrong[] = { live_check(), waiters_check(), threads_check(),
				      rows_check() };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (wrong[i]) {
			fprintf(stderr, "%s\n", wrong[i]);
			_exit(EXIT_FAILURE);
		}
}

__attribute__((constructor)) static void check_at_the_end(void)
{
	atexit(check_shared_tables);
}
