#include "http/cpu_head.h"

#include "sampler/cpu/cpu.h"

const struct profile_head cpu_head = {
	.sample_type = { [CPU_VALUE_SAMPLES] = { "samples", "count" },
			 [CPU_VALUE_NS] = { "cpu", "nanoseconds" } },
	.sample_type_count = 2,
	.default_sample_type = "",
	.period_type = { "cpu", "nanoseconds" },
};
