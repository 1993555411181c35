#include "shim/attach/stacks.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "sampler/base/sys.h"
#include "shim/attach/arch/registers.h"
#include "shim/attach/proc.h"
#include "shim/attach/stopped.h"

#define TRIES	       50 /* of one that is about to enter a handler, or in vfork */
#define TRY_AGAIN_NS   1000000L
#define ALL_NS	       NS_PER_SECOND
#define FUNCTION_BYTES 256
#define STATUS_BYTES   8192

/* ---- what is asked */

struct asking {
	const struct target *t;
	int ours; /* our thread's number in there */
	int64_t until_ns;
	uint64_t call_at, answer_at;
	struct stacks_one one[STACKS_ASKED_MAX];
	unsigned asked, listed;
};

/* Behind the instruction in libc's syscall(); 0: there is none. */
static uint64_t find_system_call(const struct image *libc)
{
	uint64_t size = 0, at = image_find(libc, "syscall", &size);
	uint8_t code[FUNCTION_BYTES];

	if (!at || size > sizeof(code) || !memory_read(libc->pid, at, code, size))
		return 0;
	for (uint64_t i = 0; i + SYSTEM_CALL_BYTES <= size; i++)
		if (code_is_system_call(code + i))
			return at + i + SYSTEM_CALL_BYTES;
	return 0;
}

static bool read_answer(const struct asking *a, struct stacks_one *one)
{
	stack_t stack;

	if (!memory_read(a->t->pid, a->answer_at, &stack, sizeof(stack)))
		return false;
	one->start = (uint64_t)stack.ss_sp;
	one->bytes = stack.ss_flags & SS_DISABLE ? 0 : stack.ss_size;
	return true;
}

static bool ask_once(const struct asking *a, struct stacks_one *one)
{
	static struct stopped s; /* large */
	const uint64_t arg[6] = { 0, a->answer_at };
	bool told;

	if (stopped_begin_anywhere(&s, a->t->pid, one->tid, a->call_at) != STOPPED_OK)
		return false;
	told = stopped_system_call(&s, SYS_sigaltstack, arg) == 0 && read_answer(a, one);
	stopped_end(&s);
	return told;
}

static bool is_last_try(const struct asking *a, int tries)
{
	const struct timespec moment = { 0, TRY_AGAIN_NS };

	if (tries == TRIES || sys_now_ns() >= a->until_ns)
		return true;
	nanosleep(&moment, NULL);
	return false;
}

/* One that waits for its child of vfork, or for a disk, does not stop. */
static bool can_stop(int pid, int tid)
{
	char status[STATUS_BYTES];

	return proc_read_task(pid, tid, "status", status, sizeof(status)) > 0 &&
	       !strchr("DZX", *status_field(status, "State"));
}

static bool ask(int tid, void *arg)
{
	struct asking *a = arg;
	struct stacks_one *one = &a->one[a->asked];
	bool told;
	int tries = 0;

	if (proc_inner_number(a->t->pid, tid) == a->ours)
		return true;
	one->tid = tid;
	do
		told = can_stop(a->t->pid, tid) && ask_once(a, one);
	while (!told && proc_inner_number(a->t->pid, tid) && !is_last_try(a, ++tries));
	a->asked += told;
	return ++a->listed < STACKS_ASKED_MAX && sys_now_ns() < a->until_ns;
}

/* ---- what it means */

static bool overlap(const struct stacks_one *a, const struct stacks_one *b)
{
	return a->bytes && b->bytes && a->start < b->start + b->bytes &&
	       b->start < a->start + a->bytes;
}

static bool is_shared(const struct stacks_one *one, unsigned n, unsigned at)
{
	for (unsigned i = 0; i < n; i++)
		if (i != at && overlap(&one[i], &one[at]))
			return true;
	return false;
}

/* The first thread may have one of its own where those that it starts share one. */
enum carrier_stacks stacks_judge(const struct stacks_one *one, unsigned n, int pid)
{
	bool shares = false, owns = false, is_one = false;

	for (unsigned i = 0; i < n; i++) {
		bool with_another = is_shared(one, n, i);

		is_one |= one[i].bytes != 0;
		shares |= with_another;
		owns |= one[i].bytes && !with_another && one[i].tid != pid;
	}
	if (!is_one)
		return n ? CARRIER_STACKS_NONE : CARRIER_STACKS_UNSEEN;
	if (n == 1)
		return CARRIER_STACKS_OF_ONE;
	return shares && owns ? CARRIER_STACKS_MIXED
	       : shares	      ? CARRIER_STACKS_SHARED
			      : CARRIER_STACKS_OWN;
}

enum carrier_stacks stacks_ask(const struct target *t, int ours, uint64_t at)
{
	static struct asking a;

	a = (struct asking){ .t = t,
			     .ours = ours,
			     .until_ns = sys_now_ns() + ALL_NS,
			     .call_at = find_system_call(&t->libc),
			     .answer_at = at };
	if (!a.call_at)
		return CARRIER_STACKS_UNSEEN;
	proc_each_thread(t->pid, ask, &a);
	if (a.asked == 1 && a.listed > 1)
		return CARRIER_STACKS_UNSEEN;
	return stacks_judge(a.one, a.asked, t->pid);
}
