/*
 * How long a unit test may take before Check ends it: minutes, so that only a
 * hang takes longer, and on a busy machine as many times more as programs share
 * a processor.  In force in every unit test, before its main(); no test sets a
 * limit of its own.  CK_DEFAULT_TIMEOUT and CK_TIMEOUT_MULTIPLIER go before it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static double programs_per_processor(void)
{
	double load = 0;

	if (getloadavg(&load, 1) != 1)
		return 1;
	load /= (double)sysconf(_SC_NPROCESSORS_ONLN);
	return load > 1 ? load : 1;
}

static __attribute__((constructor)) void be_patient(void)
{
	char multiplier[32];

	snprintf(multiplier, sizeof(multiplier), "%.1f", programs_per_processor());
	setenv("CK_DEFAULT_TIMEOUT", "300", 0);
	setenv("CK_TIMEOUT_MULTIPLIER", multiplier, 0);
}
