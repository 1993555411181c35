/*
 * Runs a seccomp filter (classic BPF) the way the kernel would for one system call,
 * whatever its arguments are: what is computed from them is unknown, and at a jump
 * that depends on it both ways are gone.  A call counts as allowed when every way
 * ends so.  The kernel has not checked the program yet: every index is, here too.
 */
#include "shim/life/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "sampler/arch/arch.h"
#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "shim/life/calls.h"

/* Bits of machine.known: the cells of memory, then the registers. */
#define KNOWS_A	 (1U << BPF_MEMWORDS)
#define KNOWS_X	 (2U << BPF_MEMWORDS)
#define KNOWS(m) (1U << (m))

struct machine {
	uint32_t at; /* the next instruction */
	uint32_t a, x, memory[BPF_MEMWORDS];
	uint32_t known;
};

/*
 * Ways that were not gone yet.  A filter has no loops, but ways may be many: more
 * than so many, or so many steps, count as a refusal.
 */
#define WAYS_MAX  64
#define STEPS_MAX 20000

/* One filter is looked at at a time: a hook runs on the program's stack, which may be small. */
static struct {
	atomic_bool taken;
	struct sock_filter code[BPF_MAXINSNS];
	uint32_t length;
	struct machine way[WAYS_MAX];
	uint32_t ways;
} run;

static bool has(const struct machine *m, uint32_t what)
{
	return m->known & what;
}

static void learn(struct machine *m, uint32_t what, bool known)
{
	m->known = known ? m->known | what : m->known & ~what;
}

/* ---- instructions */

/* Of what the kernel shows to a filter only number and architecture are the same each time. */
static uint32_t loaded(const struct machine *m, const struct sock_filter *f, uint32_t number,
		       bool *known)
{
	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		*known = f->k == offsetof(struct seccomp_data, nr) ||
			 f->k == offsetof(struct seccomp_data, arch);
		return f->k == offsetof(struct seccomp_data, nr) ? number : ARCH_AUDIT;
	case BPF_LEN:
		return sizeof(struct seccomp_data);
	case BPF_MEM:
		*known = f->k < BPF_MEMWORDS && has(m, KNOWS(f->k));
		return f->k < BPF_MEMWORDS ? m->memory[f->k] : 0;
	default:
		return f->k; /* BPF_IMM */
	}
}

static uint32_t calculated(uint32_t a, uint32_t b, uint16_t code)
{
	switch (BPF_OP(code)) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	case BPF_RSH:
		return b < 32 ? a >> b : 0;
	default:
		return -a; /* BPF_NEG */
	}
}

/* Whether a jump is taken, if it is known. */
static bool is_taken(const struct machine *m, const struct sock_filter *f, uint32_t b)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return m->a == b;
	case BPF_JGT:
		return m->a > b;
	case BPF_JGE:
		return m->a >= b;
	default:
		return m->a & b; /* BPF_JSET */
	}
}

static void skip(struct machine *m, uint32_t count)
{
	m->at = count < run.length - m->at ? m->at + count : run.length;
}

/* False: there is no room for the way that is left for later. */
static bool jump(struct machine *m, const struct sock_filter *f)
{
	bool by_x = BPF_SRC(f->code) == BPF_X;

	if (BPF_OP(f->code) == BPF_JA) {
		skip(m, f->k);
		return true;
	}
	if (!has(m, KNOWS_A) || (by_x && !has(m, KNOWS_X))) {
		struct machine *other;

		if (run.ways == WAYS_MAX)
			return false;
		other = &run.way[run.ways++];
		*other = *m;
		skip(other, f->jt);
		skip(m, f->jf);
		return true;
	}
	skip(m, is_taken(m, f, by_x ? m->x : f->k) ? f->jt : f->jf);
	return true;
}

/* All but jumps and the end. */
static void step(struct machine *m, const struct sock_filter *f, uint32_t number)
{
	bool known = true, by_x = BPF_SRC(f->code) == BPF_X;

	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
		m->a = loaded(m, f, number, &known);
		learn(m, KNOWS_A, known);
		break;
	case BPF_LDX:
		m->x = loaded(m, f, number, &known);
		learn(m, KNOWS_X, known);
		break;
	case BPF_ST:
	case BPF_STX:
		if (f->k >= BPF_MEMWORDS)
			break;
		known = has(m, BPF_CLASS(f->code) == BPF_ST ? KNOWS_A : KNOWS_X);
		m->memory[f->k] = BPF_CLASS(f->code) == BPF_ST ? m->a : m->x;
		learn(m, KNOWS(f->k), known);
		break;
	case BPF_ALU:
		m->a = calculated(m->a, by_x ? m->x : f->k, f->code);
		learn(m, KNOWS_A, has(m, KNOWS_A) && (!by_x || has(m, KNOWS_X)));
		break;
	default: /* BPF_MISC */
		if (BPF_MISCOP(f->code) == BPF_TAX) {
			m->x = m->a;
			learn(m, KNOWS_X, has(m, KNOWS_A));
		} else {
			m->a = m->x;
			learn(m, KNOWS_A, has(m, KNOWS_X));
		}
	}
}

/* ---- a call */

/* glibc takes clone where the kernel does not have clone3, or a filter says so. */
static bool is_bearable(uint32_t result, uint32_t number)
{
	uint32_t action = result & SECCOMP_RET_ACTION_FULL;

	if (number == SYS_clone3 && result == (SECCOMP_RET_ERRNO | ENOSYS))
		return true;
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

/* One way to its end.  Without an end the program makes no sense, and the kernel refuses it. */
static bool way_is_allowed(struct machine *m, uint32_t number, unsigned *steps)
{
	while (m->at < run.length && (*steps)++ < STEPS_MAX) {
		const struct sock_filter *f = &run.code[m->at++];

		if (BPF_CLASS(f->code) == BPF_RET)
			return (BPF_RVAL(f->code) != BPF_A || has(m, KNOWS_A)) &&
			       is_bearable(BPF_RVAL(f->code) == BPF_A ? m->a : f->k, number);
		if (BPF_CLASS(f->code) != BPF_JMP)
			step(m, f, number);
		else if (!jump(m, f))
			return false;
	}
	return false;
}

static bool call_is_allowed(uint32_t number)
{
	unsigned steps = 0;

	run.ways = 1;
	run.way[0] = (struct machine){ .known = ~0U }; /* all is 0 at first */
	while (run.ways) {
		struct machine m = run.way[--run.ways];

		if (!way_is_allowed(&m, number, &steps))
			return false;
	}
	return true;
}

/* ---- a filter */

/* A filter that is there already may forbid the call, and then memory is trusted. */
static bool read_memory(const void *from, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)from, len };

	if (!from)
		return false;
	if (sandbox_is_noted()) {
		memcpy(to, from, len);
		return true;
	}
	return sys_call6(SYS_process_vm_readv, sys_gettid(), (long)&local, 1, (long)&remote, 1,
			 0) == (long)len;
}

/* False: the kernel cannot read the program either, or refuses one of such a length. */
static bool take_program(const struct sock_fprog *program)
{
	struct sock_fprog head;

	if (!read_memory(program, &head, sizeof(head)) || head.len == 0 || head.len > BPF_MAXINSNS)
		return false;
	run.length = head.len;
	return read_memory(head.filter, run.code, head.len * sizeof(*run.code));
}

/* One that computes what it returns may return that. */
static bool may_kill_thread(void)
{
	for (uint32_t i = 0; i < run.length; i++)
		if (run.code[i].code == (BPF_RET | BPF_A) ||
		    (run.code[i].code == (BPF_RET | BPF_K) &&
		     (run.code[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_KILL_THREAD))
			return true;
	return false;
}

struct filter_verdict filter_judge(const struct sock_fprog *program)
{
	struct filter_verdict v = { .lets_handlers_return = true };

	if (atomic_exchange(&run.taken, true))
		return (struct filter_verdict){ .refuses = "two filters at once" };
	if (take_program(program)) {
		v.lets_handlers_return = call_is_allowed(SYS_rt_sigreturn);
		v.kills_threads = may_kill_thread();
		for (size_t i = 0; i < own_call_count && !v.refuses; i++)
			if (call_is_expected(&own_calls[i]) &&
			    !call_is_allowed((uint32_t)own_calls[i].number))
				v.refuses = own_calls[i].name;
	}
	atomic_store(&run.taken, false);
	return v;
}
