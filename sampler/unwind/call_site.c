#include "sampler/unwind/call_site.h"

#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/process/peek.h"

/* ---- calls */

/* The longest form of a call that we know: REX, ff, modrm, sib, disp32. */
#define CALL_BYTES 8

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
	for (int len = 2; len < CALL_BYTES; len++)
		if (is_indirect(end, len))
			return true;
	return false;
}

/* What a 32-bit displacement that ends at `end` leads to. */
static bool relative(uint64_t end, uint64_t *target)
{
	int32_t displacement;

	if (!peek_cached(end - 4, &displacement, 4))
		return false;
	*target = end + (uint64_t)(int64_t)displacement;
	return true;
}

static bool load_word(uint64_t at, uint64_t *out)
{
	return peek(at, out, sizeof(*out));
}

/* Whether the word at a pointer's place is `callee`; the linker's and the loader's tables. */
static enum call_fit fit_of_slot(uint64_t end, uint64_t callee)
{
	uint64_t slot, target;

	if (relative(end, &slot) && load_word(slot, &target) && target == callee)
		return CALL_EXACT;
	return CALL_OPEN;
}

static const uint8_t endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };

/* The target may be a stub of the linker, or a thunk: a jump to the function. */
static enum call_fit fit_of_stub(uint64_t at, uint64_t callee)
{
	uint8_t code[12];
	uint64_t target;
	size_t i = 0;

	if (!peek_cached(at, code, 8) || !peek_cached(at + 8, code + 8, 4))
		return CALL_OTHER;
	if (memcmp(code, endbr, sizeof(endbr)) == 0)
		i += sizeof(endbr);
	i += code[i] == 0xf2; /* bnd */
	if (code[i] == 0xff && code[i + 1] == 0x25)
		return fit_of_slot(at + i + 6, callee);
	if (code[i] == 0xe9 && relative(at + i + 5, &target))
		return target == callee ? CALL_EXACT : CALL_OTHER;
	return CALL_OTHER;
}

static enum call_fit fit_of_direct(uint64_t return_address, uint64_t callee)
{
	uint64_t target;

	if (!relative(return_address, &target))
		return CALL_NONE;
	return target == callee ? CALL_EXACT : fit_of_stub(target, callee);
}

enum call_fit call_site_fit(uint64_t return_address, uint64_t callee)
{
	uint8_t code[CALL_BYTES];

	for (size_t i = 0; i < CALL_BYTES; i++) /* a page's end may lie in between */
		if (!peek_cached(return_address - CALL_BYTES + i, &code[i], 1))
			return CALL_NONE;
	if (code[CALL_BYTES - 6] == 0xff && code[CALL_BYTES - 5] == 0x15)
		return fit_of_slot(return_address, callee);
	if (code[CALL_BYTES - 5] == 0xe8)
		return fit_of_direct(return_address, callee);
	return has_indirect(code + CALL_BYTES) ? CALL_OPEN : CALL_NONE;
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

	if (p->end - at < 16)
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

int64_t prologue_depth(const uint8_t *code, size_t len, size_t limit, bool *whole)
{
	/* the longest instruction has 15 bytes */
	struct prologue p = { .at = code, .end = code + len };

	while (p.at < code + limit && step_prologue(&p))
		;
	*whole = code + limit - p.at < CALL_BYTES;
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

/*
 * After a call with arguments on the stack, the compiler takes them off soon: by
 * adding to SP, or by popping them.
 */
static int64_t arguments_of_call(uint64_t return_address)
{
	static const uint8_t add[] = { 0x48, 0x83, 0xc4 };
	uint8_t code[PROLOGUE_BYTES] = { 0 };
	struct prologue p = { .at = code };

	p.end = code + peek_some(return_address, code, sizeof(code));
	do {
		if (starts_with(&p, add, sizeof(add)) && p.end - p.at > 3)
			return p.at[3] < 128 ? p.at[3] : 0;
		if (popped(&(struct prologue){ .at = p.at, .end = p.end }))
			return popped(&p);
	} while (skip_other(&p));
	return 0;
}

int64_t frame_depth_at(uint64_t start, uint64_t pc, bool is_call)
{
	uint8_t code[PROLOGUE_BYTES + 16] = { 0 }; /* an instruction may reach beyond the limit */
	size_t limit = pc > start ? MIN(pc - start, PROLOGUE_BYTES) : 0;
	size_t len = limit ? peek_some(start, code, sizeof(code)) : 0;
	bool whole = false;
	int64_t depth = len > limit ? prologue_depth(code, len, limit, &whole) : -1;

	return depth < 0 || whole || !is_call ? depth : depth + arguments_of_call(pc);
}
