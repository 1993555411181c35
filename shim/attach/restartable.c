#include "shim/attach/restartable.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>

#include "shim/attach/proc.h"

/* Since Linux 5.13; not in all headers. */
#define GET_CONFIGURATION 0x420f

struct configuration {
	uint64_t area; /* 0: the thread has none */
	uint32_t size, signature, flags, pad;
};

/* What the kernel reads in the area: the address of the one that was begun last. */
#define AREA_BEGUN 8

struct sequence {
	uint32_t version, flags;
	uint64_t start, bytes, aborts_at;
};

static bool is_in(int pid, uint64_t area, uint64_t pc)
{
	struct sequence s;
	uint64_t at;

	if (!memory_read(pid, area + AREA_BEGUN, &at, sizeof(at)))
		return true;
	return at && (!memory_read(pid, at, &s, sizeof(s)) || pc - s.start < s.bytes);
}

/* In none of them is there a system call. */
bool restartable_has(int pid, int tid, const struct registers *r)
{
	struct configuration c = { 0 };

	if (registers_call_number(r) >= 0)
		return false;
	if (ptrace(GET_CONFIGURATION, tid, sizeof(c), &c) <= 0)
		return true;
	return c.area && is_in(pid, c.area, registers_pc(r));
}
