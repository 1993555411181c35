/*
 * The line number program.  It describes sequences of ascending rows; each row
 * says what is true from its address up to that of the next one.
 */
#include "sampler/base/sort.h"
#include "sampler/symbols/dwarf_codes.h"
#include "sampler/symbols/dwarf_line.h"

#define PROGRAM_BYTES_MAX (16UL << 20)

/* The registers of the state machine, and where rows go. */
struct machine {
	const struct dwarf_lines *t;
	struct dwarf_effort *effort;
	uint64_t address;
	uint64_t file;
	uint64_t line;
	uint64_t last_address; /* of the row before */
	struct dwarf_row last;
	bool has_last;
	const uint64_t *addr;
	size_t count;
	struct dwarf_row *row;
};

static void reset_machine(struct machine *m)
{
	m->address = 0;
	m->file = 1;
	m->line = 1;
	m->has_last = false;
}

/* Gives the last row to the addresses up to the current one. */
static void close_row(struct machine *m)
{
	if (!m->has_last || m->address <= m->last_address || m->address <= m->addr[0] ||
	    m->last_address > m->addr[m->count - 1])
		return;
	for (size_t i = sort_lower_bound(m->addr, m->count, m->last_address);
	     i < m->count && m->addr[i] < m->address; i++) {
		if (!m->row[i].is_known)
			m->row[i] = m->last;
		if (!dwarf_spend(m->effort, 1))
			return;
	}
}

static void emit_row(struct machine *m)
{
	close_row(m);
	m->last =
		(struct dwarf_row){ .file = m->file, .line = (uint32_t)m->line, .is_known = true };
	m->last_address = m->address;
	m->has_last = true;
}

static void end_sequence(struct machine *m)
{
	close_row(m);
	reset_machine(m);
}

static void advance(struct machine *m, uint64_t operation)
{
	m->address += operation * m->t->instruction_length;
}

static void run_special(struct machine *m, uint8_t opcode)
{
	uint8_t adjusted = (uint8_t)(opcode - m->t->opcode_base);

	advance(m, adjusted / m->t->line_range);
	m->line += (uint64_t)(int64_t)(m->t->line_base + adjusted % m->t->line_range);
	emit_row(m);
}

static void run_extended(struct machine *m, struct dwarf_cursor *c)
{
	uint64_t length = dwarf_uleb(c);
	const uint8_t *at = dwarf_skip(c, length);
	struct dwarf_cursor in = { .at = at, .end = at ? at + length : at };

	if (!at || length == 0)
		return;
	switch (dwarf_u8(&in)) {
	case LINE_END_SEQUENCE:
		end_sequence(m);
		break;
	case LINE_SET_ADDRESS:
		if (length == 9)
			m->address = dwarf_fixed(&in, 8);
		break;
	}
}

static void run_standard(struct machine *m, struct dwarf_cursor *c, uint8_t opcode)
{
	switch (opcode) {
	case LINE_COPY:
		emit_row(m);
		return;
	case LINE_ADVANCE_PC:
		advance(m, dwarf_uleb(c));
		return;
	case LINE_ADVANCE_LINE:
		m->line += (uint64_t)dwarf_sleb(c);
		return;
	case LINE_SET_FILE:
		m->file = dwarf_uleb(c);
		return;
	case LINE_CONST_ADD_PC:
		advance(m, (255U - m->t->opcode_base) / m->t->line_range);
		return;
	case LINE_FIXED_ADVANCE_PC:
		m->address += dwarf_u16(c);
		return;
	}
	for (unsigned i = 0; i < m->t->operands[opcode]; i++)
		dwarf_uleb(c);
}

static void run_program(struct machine *m, struct dwarf_cursor *c)
{
	reset_machine(m);
	while (c->at < c->end && !c->bad && dwarf_spend(m->effort, 1)) {
		uint8_t opcode = dwarf_u8(c);

		if (opcode >= m->t->opcode_base)
			run_special(m, opcode);
		else if (opcode == LINE_EXTENDED)
			run_extended(m, c);
		else
			run_standard(m, c, opcode);
	}
}

bool dwarf_lines_run(const struct dwarf_lines *t, struct arena *a, const uint64_t *addr,
		     size_t count, struct dwarf_row *row)
{
	uint64_t size = t->end - t->program;
	struct machine m = {
		.t = t, .effort = t->u->d->effort, .addr = addr, .count = count, .row = row
	};
	struct dwarf_cursor c = { 0 };

	if (count == 0 || size > PROGRAM_BYTES_MAX)
		return false;
	c.at = dwarf_view(&t->u->d->section[DWARF_LINE], a, t->program, size);
	if (!c.at)
		return false;
	c.end = c.at + size;
	run_program(&m, &c);
	return true;
}
