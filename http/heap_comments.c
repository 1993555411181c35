#include "http/heap_comments.h"

#include <string.h>
#include <time.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"
#include "sampler/heap/heap.h"
#include "sampler/process/attached.h"
#include "sampler/process/usage.h"
#include "sampler/symbols/bindings.h"

static const struct {
	unsigned what;
	const char *sentence;
} unseen[] = {
	{ HEAP_UNSEEN_MALLOC, "The program brings its own malloc, which hides ours: "
			      "what it allocates with that is not here." },
	{ HEAP_UNSEEN_NEW, "The program brings its own operator new, which hides ours: "
			   "what it allocates with that is here only as far as it calls malloc." },
	{ HEAP_UNSEEN_OWN_CALLS,
	  "The allocator has functions besides the standard ones (such as je_malloc): what they "
	  "allocate is not here, and what they free may be shown as in use." },
	{ HEAP_UNSEEN_SOME_CALLS,
	  "The allocator has functions besides the standard ones, and what some of them allocate "
	  "is not here (such as mi_malloc_aligned, mi_heap_malloc, tc_memalign). What "
	  "mi_heap_destroy frees may be shown as in use." },
};

static const char *memory_sentence(int64_t inuse_bytes, uint64_t rss)
{
	static char sentence[128];
	struct text t = TEXT_INIT(sentence);

	text_str(&t, "In use here: ");
	text_i64(&t, inuse_bytes);
	text_str(&t, " bytes.");
	if (rss) {
		text_str(&t, " RssAnon: ");
		text_u64(&t, rss);
		text_str(&t, " bytes.");
	}
	text_str(&t, " Taken at ");
	text_time_of_day(&t, (uint64_t)(sys_clock_ns(CLOCK_REALTIME) / NS_PER_SECOND));
	text_char(&t, '.');
	return sentence;
}

/* A sentence of its own: in a profile of several processes it stands once. */
static const char *rest_sentence(void)
{
	static const char sentence[] =
		"RssAnon has also what is not from malloc (mmap, stacks, data, allocators linked "
		"in), what the parent allocated before the fork, and what allocators and pools "
		"keep "
		"after it was freed; see PROFILING.md.";
	static const char of_attached[] =
		"RssAnon has also what was allocated before the attach, what is not from malloc "
		"(mmap, stacks, data, allocators linked in), and what allocators and pools keep "
		"after it was freed; see PROFILING.md.";

	return attached_is() ? of_attached : sentence;
}

#define OBJECTS_NAMED 4

/* NULL: all call the allocator through us. */
static const char *bindings_sentence(void)
{
	static const char *const names[] = { "malloc",	       "calloc",      "realloc",
					     "free",	       "memalign",    "aligned_alloc",
					     "posix_memalign", "reallocarray" };
	static char sentence[OBJECTS_NAMED * MODULE_PATH_MAX + 256];
	const struct module *m[OBJECTS_NAMED];
	struct text t = TEXT_INIT(sentence);
	size_t count;

	count = bindings_past_us(names, ARRAY_SIZE(names), m, OBJECTS_NAMED);
	for (size_t i = 0; i < MIN(count, OBJECTS_NAMED); i++) {
		text_str(&t, i ? ", " : "");
		text_str(&t, m[i]->path);
	}
	if (count > OBJECTS_NAMED) {
		text_str(&t, " and ");
		text_u64(&t, count - OBJECTS_NAMED);
		text_str(&t, " more objects");
	}
	text_str(&t, ": bound past us (RTLD_DEEPBIND, dlmopen): what they allocate is not here, "
		     "and what they free may be shown as in use.");
	return count ? sentence : NULL;
}

const char *const *heap_comments(int64_t inuse_bytes, size_t *count)
{
	static const char *sentences[3 + ARRAY_SIZE(unseen)];
	uint64_t rss = usage_rss_anon();
	const char *past_us;
	size_t n = 0;

	sentences[n++] = memory_sentence(inuse_bytes, rss);
	if ((int64_t)rss > inuse_bytes)
		sentences[n++] = rest_sentence();
	for (size_t i = 0; i < ARRAY_SIZE(unseen); i++)
		if (heap_unseen() & unseen[i].what)
			sentences[n++] = unseen[i].sentence;
	past_us = heap_unseen() & HEAP_UNSEEN_MALLOC ? NULL : bindings_sentence();
	if (past_us)
		sentences[n++] = past_us;
	*count = n;
	return sentences;
}

const char *const *heap_comments_of_older(int64_t seconds, size_t *count)
{
	static char sentence[128];
	static const char *sentences[] = { sentence };
	struct text t = TEXT_INIT(sentence);

	text_str(&t, "Only blocks that have been in use for ");
	text_i64(&t, seconds);
	text_str(&t, " s and longer; what was allocated is not counted.");
	*count = 1;
	return sentences;
}

const char *const *heap_comments_of_peak(const struct heap_peak *found, int64_t bytes,
					 size_t *count)
{
	static char sentence[256];
	static const char *sentences[] = { sentence };
	struct text t = TEXT_INIT(sentence);

	text_str(&t, "When most was in use: ");
	text_i64(&t, bytes);
	text_str(&t, " bytes, ");
	text_i64(&t, (sys_now_ns() - found->time_ns) / NS_PER_SECOND);
	text_str(&t, " s ago; the highest sum that was seen: ");
	text_i64(&t, found->highest);
	text_str(&t, " bytes. What was allocated is not counted.");
	*count = 1;
	return sentences;
}
