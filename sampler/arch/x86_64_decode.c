/* x86-64: what decode.h asks for. */
#include "sampler/arch/decode.h"

#include <string.h>

static const uint8_t endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };

/* ---- calls and stubs */

/* The address that a displacement of 32 bits leads to; what it is relative to follows it. */
static uint64_t relative(const uint8_t *displacement, uint64_t next)
{
	int32_t n;

	memcpy(&n, displacement, sizeof(n));
	return next + (uint64_t)(int64_t)n;
}

static struct arch_target target(enum arch_target_kind kind, uint64_t at)
{
	return (struct arch_target){ kind, at };
}

/* ModRM of a near indirect call, /2, and the bytes that follow it. */
static int indirect_tail(const uint8_t *modrm)
{
	unsigned mod = *modrm >> 6, rm = *modrm & 7;
	int tail = rm == 4 && mod != 3 ? 1 : 0;

	if ((*modrm >> 3 & 7) != 2)
		return -1;
	if (mod == 1)
		return tail + 1;
	if (mod == 2 || (mod == 0 && rm == 5))
		return tail + 4;
	return tail;
}

/* Whether the bytes before `end` are a whole indirect call of `len` bytes (without REX). */
static bool is_indirect(const uint8_t *end, int len)
{
	const uint8_t *call = end - len;

	return call[0] == 0xff && indirect_tail(call + 1) == len - 2;
}

static bool has_indirect(const uint8_t *end)
{
	for (int len = 2; len < ARCH_CALL_BYTES; len++)
		if (is_indirect(end, len))
			return true;
	return false;
}

struct arch_target arch_call_target(const uint8_t code[ARCH_CALL_BYTES], uint64_t return_address)
{
	const uint8_t *end = code + ARCH_CALL_BYTES;

	if (end[-6] == 0xff && end[-5] == 0x15)
		return target(ARCH_TARGET_SLOT, relative(end - 4, return_address));
	if (end[-5] == 0xe8)
		return target(ARCH_TARGET_ADDRESS, relative(end - 4, return_address));
	return target(has_indirect(end) ? ARCH_TARGET_OPEN : ARCH_TARGET_NONE, 0);
}

/*
 * A stub is `[endbr64] [bnd] jmp *slot(%rip)`, with `mov $number, %r11d` before the jump if mold
 * made it, or `endbr64; push $number; jmp` where a second table does the jump.  The first stub of
 * .plt is neither.
 */
struct arch_target arch_stub_target(const uint8_t code[ARCH_STUB_BYTES], uint64_t at)
{
	size_t i = memcmp(code, endbr, sizeof(endbr)) == 0 ? sizeof(endbr) : 0;
	uint32_t number;

	if (code[i] == 0x41 && code[i + 1] == 0xbb) /* mov $number, %r11d */
		i += 6;
	else
		i += code[i] == 0xf2; /* bnd */
	if (code[i] == 0xff && code[i + 1] == 0x25)
		return target(ARCH_TARGET_SLOT, relative(code + i + 2, at + i + 6));
	if (code[i] == 0xe9)
		return target(ARCH_TARGET_ADDRESS, relative(code + i + 1, at + i + 5));
	if (code[i] != 0x68)
		return target(ARCH_TARGET_NONE, 0);
	memcpy(&number, code + i + 1, sizeof(number));
	return target(ARCH_TARGET_NUMBER, number);
}

/* .plt.got has short ones; what other sections say of themselves is not always so. */
uint64_t arch_stub_bytes(uint64_t sh_entsize)
{
	return sh_entsize == 8 ? 8 : ARCH_STUB_BYTES;
}

/* ---- prologues */

struct prologue {
	const uint8_t *at, *end;
	bool has_frame; /* BP is set up */
	int64_t depth;	/* SP below BP */
};

static bool starts_with(const struct prologue *p, const void *bytes, size_t len)
{
	return (size_t)(p->end - p->at) >= len && memcmp(p->at, bytes, len) == 0;
}

static bool skip(struct prologue *p, size_t len)
{
	if ((size_t)(p->end - p->at) < len)
		return false;
	p->at += len;
	return true;
}

/* Bytes of ModRM, SIB and displacement at `at`. */
static size_t modrm_bytes(const uint8_t *at)
{
	unsigned mod = at[0] >> 6, rm = at[0] & 7;
	size_t len = 1;

	if (mod == 3)
		return len;
	if (rm == 4) {
		len++;
		if (mod == 0 && (at[1] & 7) == 5)
			len += 4;
	}
	if (mod == 1)
		return len + 1;
	return len + (mod == 2 || (mod == 0 && rm == 5) ? 4 : 0);
}

/* Opcodes that are followed by ModRM alone: moves, arithmetic, tests, lea. */
static bool is_plain(uint8_t op)
{
	if (op < 0x40)
		return (op & 7) < 4;
	return op == 0x63 || (op >= 0x84 && op <= 0x8b) || op == 0x8d || op == 0xd1 || op == 0xd3;
}

/* Bytes of immediate behind ModRM; -1 for an opcode that is not known. */
static int immediate_bytes(uint8_t op)
{
	switch (op) {
	case 0x80:
	case 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0x6b:
		return 1;
	case 0x81:
	case 0xc7:
	case 0x69:
		return 4;
	default:
		return is_plain(op) ? 0 : -1;
	}
}

/* 0f xx with ModRM and nothing behind: moves of vectors, movzx, cmov, setcc, nop. */
static bool is_plain_0f(uint8_t op)
{
	return (op >= 0x10 && op <= 0x2f) || (op >= 0x40 && op <= 0x6f) || op == 0x7e ||
	       op == 0x7f || (op >= 0x90 && op <= 0x9f) || op == 0xaf || op == 0xb6 || op == 0xb7 ||
	       op == 0xbe || op == 0xbf || op == 0xd6 || op == 0xef;
}

/* An instruction that leaves SP and BP alone, as compilers mix into prologues. */
static bool skip_other(struct prologue *p)
{
	const uint8_t *at = p->at;
	uint8_t rex = 0;

	if (p->end - at < ARCH_AHEAD_BYTES)
		return false;
	while (*at == 0x66 || *at == 0xf2 || *at == 0xf3 || *at == 0x64)
		at++;
	if ((*at & 0xf0) == 0x40)
		rex = *at++;
	if (*at == 0x0f && is_plain_0f(at[1]))
		return skip(p, (size_t)(at + 2 - p->at) + modrm_bytes(at + 2));
	if (*at >= 0xb8 && *at <= 0xbf)
		return skip(p, (size_t)(at + 1 - p->at) + (rex & 8 ? 8 : 4));
	if (immediate_bytes(*at) < 0 || ((*at & ~2) == 0x81 && (at[1] & 0xc7) == 0xc4))
		return false; /* the latter realigns SP */
	return skip(p,
		    (size_t)(at + 1 - p->at) + modrm_bytes(at + 1) + (size_t)immediate_bytes(*at));
}

/* An argument on the stack. */
static bool take_push_constant(struct prologue *p)
{
	if (*p->at != 0x6a && *p->at != 0x68)
		return false;
	p->depth += 8;
	return skip(p, *p->at == 0x6a ? 2 : 5);
}

static bool take_push(struct prologue *p)
{
	size_t len = *p->at == 0x41 && p->end - p->at > 1 ? 2 : 1;
	uint8_t op = p->at[len - 1];

	if (op < 0x50 || op > 0x57)
		return false;
	p->depth += 8;
	return skip(p, len);
}

static bool take_move_to_bp(struct prologue *p)
{
	static const uint8_t store[] = { 0x48, 0x89, 0xe5 }, load[] = { 0x48, 0x8b, 0xec };

	if (!starts_with(p, store, sizeof(store)) && !starts_with(p, load, sizeof(load)))
		return false;
	p->has_frame = true;
	p->depth = 0;
	return skip(p, sizeof(store));
}

/* sub $n, %rsp; or add of a negative one. */
static bool take_room(struct prologue *p)
{
	static const uint8_t sub8[] = { 0x48, 0x83, 0xec }, sub32[] = { 0x48, 0x81, 0xec },
			     add8[] = { 0x48, 0x83, 0xc4 };
	int32_t n = 0;

	if (p->end - p->at < 7)
		return false;
	if (starts_with(p, sub32, sizeof(sub32))) {
		memcpy(&n, p->at + 3, sizeof(n));
		p->depth += n;
		return skip(p, 7);
	}
	if (!starts_with(p, sub8, sizeof(sub8)) && !starts_with(p, add8, sizeof(add8)))
		return false;
	n = p->at[3] < 128 ? p->at[3] : p->at[3] - 256;
	p->depth += p->at[2] == 0xec ? n : -n;
	return skip(p, 4);
}

static bool step_prologue(struct prologue *p)
{
	if (starts_with(p, endbr, sizeof(endbr)))
		return skip(p, sizeof(endbr));
	return take_push(p) || take_push_constant(p) || take_move_to_bp(p) || take_room(p) ||
	       skip_other(p);
}

int64_t arch_prologue_depth(const uint8_t *code, size_t len, size_t limit, bool *whole)
{
	struct prologue p = { .at = code, .end = code + len };

	while (p.at < code + limit && step_prologue(&p))
		;
	*whole = code + limit - p.at < ARCH_CALL_BYTES;
	return p.has_frame && p.depth >= 0 ? p.depth : -1;
}

/* Bytes that a row of pops takes off the stack; 0 when it is the end of the function. */
static int64_t popped(struct prologue *p)
{
	int64_t bytes = 0;

	while (p->end - p->at > 1) {
		size_t len = *p->at == 0x41 ? 2 : 1;
		uint8_t op = p->at[len - 1];

		if (op < 0x58 || op > 0x5f)
			return bytes;
		if (len == 1 && op == 0x5d) /* %rbp */
			return 0;
		bytes += 8;
		p->at += len;
	}
	return 0;
}

/* The compiler takes arguments off soon: by adding to SP, or by popping them. */
int64_t arch_call_arguments(const uint8_t *code, size_t len)
{
	static const uint8_t add[] = { 0x48, 0x83, 0xc4 };
	struct prologue p = { .at = code, .end = code + len };

	do {
		if (starts_with(&p, add, sizeof(add)) && p.end - p.at > 3)
			return p.at[3] < 128 ? p.at[3] : 0;
		if (popped(&(struct prologue){ .at = p.at, .end = p.end }))
			return popped(&p);
	} while (skip_other(&p));
	return 0;
}

/* add $n, %rsp, of n that is no less than 0. */
static bool take_back_room(struct prologue *p)
{
	static const uint8_t add8[] = { 0x48, 0x83, 0xc4 }, add32[] = { 0x48, 0x81, 0xc4 };
	int32_t n;

	if (starts_with(p, add8, sizeof(add8)) && p->end - p->at > 3 && p->at[3] < 128) {
		p->depth += p->at[3];
		return skip(p, 4);
	}
	if (!starts_with(p, add32, sizeof(add32)) || p->end - p->at < 7)
		return false;
	memcpy(&n, p->at + 3, sizeof(n));
	p->depth += n;
	return n >= 0 && skip(p, 7);
}

static bool take_pop(struct prologue *p, int64_t *bp_at)
{
	size_t len = *p->at == 0x41 && p->end - p->at > 1 ? 2 : 1;
	uint8_t op = p->at[len - 1];

	if (op < 0x58 || op > 0x5f || (len == 1 && op == 0x5c)) /* %rsp */
		return false;
	if (len == 1 && op == 0x5d)
		*bp_at = p->depth;
	p->depth += 8;
	return skip(p, len);
}

bool arch_epilogue(const uint8_t *code, size_t len, int64_t *frame, int64_t *bp_at)
{
	struct prologue p = { .at = code, .end = code + len };

	*bp_at = -1;
	while (p.at < p.end && (take_back_room(&p) || take_pop(&p, bp_at)))
		;
	*frame = p.depth + 8;
	return p.at < p.end && *p.at == 0xc3;
}

static bool skip_beside_frame(struct prologue *p)
{
	if (starts_with(p, endbr, sizeof(endbr)))
		return skip(p, sizeof(endbr));
	/* a short condition; one that leads back is a loop's, and no function begins with that */
	if (p->end - p->at > 1 && (*p->at & 0xf0) == 0x70)
		return p->at[1] < 128 && skip(p, 2);
	return skip_other(p);
}

bool arch_frame_ahead(const uint8_t *code, size_t len, int64_t *frame, int64_t *bp_at)
{
	static const uint8_t push_bp[] = { 0x55 };
	struct prologue p = { .at = code, .end = code + len };

	*frame = 16;
	*bp_at = 0;
	while (!take_move_to_bp(&p)) {
		if (*bp_at == 0 && starts_with(&p, push_bp, sizeof(push_bp))) {
			*frame = 8;
			*bp_at = -1;
			p.at++;
		} else if (!skip_beside_frame(&p)) {
			return false;
		}
	}
	return true;
}

/* ---- signal frames */

/* mov $15, %rax; syscall: glibc and musl.  Programs' own may say mov $15, %eax. */
bool arch_is_sigreturn(const uint8_t code[ARCH_SIGRETURN_BYTES])
{
	static const uint8_t sigreturn[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
	static const uint8_t shorter[] = { 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05 };

	return memcmp(code, sigreturn, sizeof(sigreturn)) == 0 ||
	       memcmp(code, shorter, sizeof(shorter)) == 0;
}

bool arch_is_context_end(const uint8_t code[ARCH_CONTEXT_END_BYTES])
{
	return memcmp(code, (const uint8_t[]){ 0x48, 0x89, 0xdc }, 3) == 0; /* mov %rbx, %rsp */
}
