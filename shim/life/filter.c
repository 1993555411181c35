/*
 * Runs a seccomp filter (classic BPF) the way the kernel would for rt_sigreturn,
 * with all arguments 0.  What a filter does with the arguments of that call we
 * cannot know; none that we have seen looks at them.  The kernel has not checked
 * the program yet: every index is, here too.
 */
#include "shim/life/filter.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include "sampler/base/cc.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"

#define RESULT_NONE SECCOMP_RET_KILL_PROCESS /* of a program that makes no sense */

struct machine {
	uint32_t a, x, memory[BPF_MEMWORDS];
	struct seccomp_data data;
};

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
	return sys_call6(SYS_process_vm_readv, sys_getpid(), (long)&local, 1, (long)&remote, 1,
			 0) == (long)len;
}

static uint32_t word_of_data(const struct machine *m, uint32_t at)
{
	uint32_t word = 0;

	if (at <= sizeof(m->data) - sizeof(word))
		memcpy(&word, (const char *)&m->data + at, sizeof(word));
	return word;
}

static uint32_t loaded(const struct machine *m, const struct sock_filter *f)
{
	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		return word_of_data(m, f->k);
	case BPF_LEN:
		return sizeof(m->data);
	case BPF_MEM:
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

/* How many instructions are skipped. */
static uint32_t jump_of(const struct machine *m, const struct sock_filter *f)
{
	uint32_t b = BPF_SRC(f->code) == BPF_X ? m->x : f->k;

	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return m->a == b ? f->jt : f->jf;
	case BPF_JGT:
		return m->a > b ? f->jt : f->jf;
	case BPF_JGE:
		return m->a >= b ? f->jt : f->jf;
	case BPF_JSET:
		return m->a & b ? f->jt : f->jf;
	default:
		return f->k; /* BPF_JA */
	}
}

static void store(struct machine *m, uint32_t at, uint32_t value)
{
	if (at < BPF_MEMWORDS)
		m->memory[at] = value;
}

/* All but jumps and the end. */
static void step(struct machine *m, const struct sock_filter *f)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
		m->a = loaded(m, f);
		break;
	case BPF_LDX:
		m->x = loaded(m, f);
		break;
	case BPF_ST:
		store(m, f->k, m->a);
		break;
	case BPF_STX:
		store(m, f->k, m->x);
		break;
	case BPF_ALU:
		m->a = calculated(m->a, BPF_SRC(f->code) == BPF_X ? m->x : f->k, f->code);
		break;
	default: /* BPF_MISC */
		if (BPF_MISCOP(f->code) == BPF_TAX)
			m->x = m->a;
		else
			m->a = m->x;
	}
}

/* Jumps lead forwards only, so this ends. */
static uint32_t run(struct machine *m, const struct sock_fprog *program)
{
	struct sock_filter f;

	for (uint64_t at = 0; at < program->len; at++) {
		if (!read_memory(program->filter + at, &f, sizeof(f)))
			return SECCOMP_RET_ALLOW; /* the kernel cannot read it either */
		if (BPF_CLASS(f.code) == BPF_RET)
			return BPF_RVAL(f.code) == BPF_A ? m->a : f.k;
		if (BPF_CLASS(f.code) == BPF_JMP)
			at += jump_of(m, &f);
		else
			step(m, &f);
	}
	return RESULT_NONE;
}

bool filter_lets_handlers_return(const struct sock_fprog *program)
{
	struct machine m = { .data = { .nr = SYS_rt_sigreturn, .arch = ARCH_AUDIT } };
	struct sock_fprog copy;
	uint32_t action;

	if (!read_memory(program, &copy, sizeof(copy)))
		return true;
	action = run(&m, &copy) & SECCOMP_RET_ACTION_FULL;
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}
