#include "http/contention_comments.h"

#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/text.h"

#define SENTENCE_BYTES 256

/* A loss that a counter has: how many since the start, and the sentence, when it is not 0. */
struct loss {
	enum counter counter;
	const char *sentence;
};

static const struct loss block_losses[] = {
	{ COUNTER_WAITS_WITHOUT_CLOCK,
	  " waits are missing: the sandbox has no clock to time them." },
};

static const struct loss mutex_losses[] = {
	{ COUNTER_WAITS_WITHOUT_CLOCK,
	  " waits are missing: the sandbox has no clock to time them." },
	{ COUNTER_MUTEX_WAITER_TABLE_FULL,
	  " waits are in block only: too many locks were waited at at once." },
	{ COUNTER_MUTEX_RELOCKS_UNSEEN,
	  " times that pthread_cond_wait waited to have its mutex back are missing, or only partly "
	  "counted: too many threads did so at once." },
	{ COUNTER_MUTEX_WAITS_UNSEEN,
	  " waits are in block only: another process may have held the lock, or a thread that died "
	  "with it." },
	{ COUNTER_MUTEX_FUTEX_WAITS_UNKNOWN,
	  " waits at futexes are in block only: nothing says whether these are locks or events." },
};

static size_t tell(const struct loss *losses, size_t count, char (*sentence)[SENTENCE_BYTES],
		   const char **out)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		struct text t = { .at = sentence[n], .size = SENTENCE_BYTES };
		uint64_t lost = counter_get(losses[i].counter);

		if (!lost)
			continue;
		text_str(&t, "Since the program's start, ");
		text_u64(&t, lost);
		text_str(&t, losses[i].sentence);
		out[n] = sentence[n];
		n++;
	}
	return n;
}

const char *const *block_comments(size_t *count)
{
	static char sentence[ARRAY_SIZE(block_losses)][SENTENCE_BYTES];
	static const char *out[ARRAY_SIZE(block_losses)];

	*count = tell(block_losses, ARRAY_SIZE(block_losses), sentence, out);
	return out;
}

const char *const *mutex_comments(size_t *count)
{
	static char sentence[ARRAY_SIZE(mutex_losses)][SENTENCE_BYTES];
	static const char *out[ARRAY_SIZE(mutex_losses) + 1];

	*count = tell(mutex_losses, ARRAY_SIZE(mutex_losses), sentence, out);
	if (counter_get(COUNTER_LOCKS_MADE_SHARED))
		out[(*count)++] = "The program shares locks with other processes: what threads of "
				  "different processes wait for each other is in block only.";
	return out;
}
