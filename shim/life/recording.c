#include "shim/life/recording.h"

#include <linux/futex.h>
#include <stddef.h>

#include "http/out.h"
#include "http/out_place.h"
#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/wake.h"
#include "shim/life/listener.h"
#include "shim/life/tell.h"

/*
 * How long an end may take longer; names are not looked for in the last part of it.  On a
 * machine that gives the listener less than that, it has more time, within limits.
 */
#define PATIENCE_NS	(500 * NS_PER_MS)
#define WRITING_NS	(150 * NS_PER_MS)
#define WORK_NS		(400 * NS_PER_MS)
#define MOST_PATIENT_NS (2 * NS_PER_SECOND)
/* A wake-up may be lost. */
#define WAKE_AGAIN_NS (20 * NS_PER_MS)

static struct {
	uint32_t asked, answered;  /* futex words */
	int64_t until_ns;	   /* of who asked last: to look for names */
	uint32_t toggles, toggled; /* signals that came, and that were heeded */
} recording;

static uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static bool is_open(uint32_t number)
{
	return (int32_t)(load(&recording.answered) - number) < 0;
}

static bool is_over(int64_t since_ns, int64_t used_before_ns)
{
	int64_t ns = sys_now_ns() - since_ns;

	if (ns < PATIENCE_NS)
		return false;
	return ns >= MOST_PATIENT_NS || listener_cpu_ns() - used_before_ns >= WORK_NS;
}

static void wait_for(uint32_t number, int64_t since_ns)
{
	const struct timespec ts = { 0, WAKE_AGAIN_NS };
	int64_t used_ns = listener_cpu_ns();

	while (is_open(number) && listener_is_running() && !is_over(since_ns, used_ns)) {
		uint32_t seen = load(&recording.answered);

		wake();
		if (is_open(number))
			sys_futex(&recording.answered, FUTEX_WAIT_PRIVATE, seen, &ts);
	}
}

void recording_finish(void)
{
	int64_t now_ns = sys_now_ns();
	const char *complaint;

	if (!out_is_wanted() || !process_is_in_order() || !listener_is_running())
		return;
	__atomic_store_n(&recording.until_ns, now_ns + PATIENCE_NS - WRITING_NS, __ATOMIC_RELAXED);
	wait_for(__atomic_add_fetch(&recording.asked, 1, __ATOMIC_ACQ_REL), now_ns);
	complaint = out_place_complaint();
	if (complaint)
		tell_port_late(complaint);
}

void recording_toggle(void)
{
	__atomic_add_fetch(&recording.toggles, 1, __ATOMIC_ACQ_REL);
	if (!sandbox_is_noted())
		wake();
}

/* Two that came at once are none. */
static void heed_toggles(void)
{
	uint32_t toggles = load(&recording.toggles);

	if ((toggles - recording.toggled) & 1)
		out_toggle();
	recording.toggled = toggles;
}

int64_t recording_do_due(int64_t now_ns)
{
	uint32_t asked = load(&recording.asked);

	heed_toggles();
	if (asked != load(&recording.answered)) {
		out_write(__atomic_load_n(&recording.until_ns, __ATOMIC_RELAXED));
		__atomic_store_n(&recording.answered, asked, __ATOMIC_RELEASE);
		sys_futex(&recording.answered, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL);
	}
	return out_do_due(now_ns);
}

void recording_after_fork(void)
{
	recording.answered = recording.asked;
	recording.toggled = recording.toggles;
	out_after_fork();
}
