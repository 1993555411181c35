#include "sampler/base/counters.h"

atomic_uint_fast64_t counter_values[COUNTER_COUNT];

const struct counter_text counter_texts[COUNTER_COUNT] = {
#define X(id, name, meaning) [COUNTER_##id] = { name, meaning },
	COUNTERS(X)
#undef X
};
