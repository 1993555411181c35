/*
 * Who calls this: unwind/walk.c asks learn_row() for each frame, and
 * learn_step_captured() for frames that no row can express; code.c forgets ranges.
 *
 * The one structure is `subject`: what libunwind is asked about, a probe with made-up
 * registers or a capture.  libunwind reaches it through the accessors below and sees
 * nothing else.
 *
 * The one order that matters: the module is looked up first and its tables are read
 * through peek_cached(); a row is stored only when the module table is known to hold
 * the code.
 */
#include "sampler/unwind/learn.h"

#include <string.h>

#include "sampler/arch/decode.h"
#include "sampler/arch/unwinder.h"
#include "sampler/base/cc.h"
#include "sampler/process/linked_libc.h"
#include "sampler/process/modules.h"
#include "sampler/process/other_code.h"
#include "sampler/process/peek.h"
#include "sampler/unwind/eh_table.h"

/* libunwind's table search for another process; declared in none of its public headers. */
int UNW_OBJ(dwarf_search_unwind_table)(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di,
				       unw_proc_info_t *pi, int need_unwind_info, void *arg);

/* Made-up registers, and the reach in which an address counts as relative to one of them. */
#define PROBE_SP    0x100040000000UL
#define PROBE_BP    0x200040000000UL
#define PROBE_OTHER 0x300040000000UL
#define PROBE_REACH 0x10000000L
/* What made-up memory holds. */
#define PROBE_WORD 0x1234

#define LIBRARY_BYTES (4UL << 20)

/* What a cursor is started on: a capture, or a probe at `pc` when capture is NULL. */
struct subject {
	const struct capture *capture;
	uint64_t pc;
	const struct module *module; /* of the last address asked for, NULL: of none */
	bool found;		     /* unwind data covered that address */
};

static struct {
	struct arena arena;
	unw_addr_space_t space;
} library = { .arena = ARENA_INIT(LIBRARY_BYTES) };

static bool near(uint64_t addr, uint64_t base)
{
	return (int64_t)(addr - base) > -PROBE_REACH && (int64_t)(addr - base) < PROBE_REACH;
}

/* Header of .eh_frame_hdr: version, three encodings. */
#define HDR_VERSION	   1
#define ENC_PCREL_SDATA4   0x1b
#define ENC_UDATA4	   0x03
#define ENC_DATAREL_SDATA4 0x3b

/* Every linker writes the search table in this one form, if it writes one. */
static bool describe_table(const struct module *m, unw_dyn_info_t *di)
{
	uint8_t head[12];
	uint32_t count;

	if (!m->eh_frame_hdr || !peek_cached(m->eh_frame_hdr, head, sizeof(head)))
		return false;
	if (head[0] != HDR_VERSION || head[1] != ENC_PCREL_SDATA4 || head[2] != ENC_UDATA4 ||
	    head[3] != ENC_DATAREL_SDATA4)
		return false;
	memcpy(&count, head + 8, sizeof(count));
	memset(di, 0, sizeof(*di));
	di->format = UNW_INFO_FORMAT_REMOTE_TABLE;
	di->start_ip = m->image_start;
	di->end_ip = m->image_limit;
	di->u.rti.segbase = m->eh_frame_hdr;
	di->u.rti.table_data = m->eh_frame_hdr + sizeof(head);
	di->u.rti.table_len = count * 8UL / sizeof(unw_word_t);
	return true;
}

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need,
			  void *arg)
{
	struct subject *s = arg;
	const struct module *m = module_find(ip);
	unw_dyn_info_t di;
	int err = -UNW_ENOINFO;

	s->module = m; /* first: the search reads its tables */
	if (m && (describe_table(m, &di) || eh_table_describe(m, as, arg, &di)))
		err = UNW_OBJ(dwarf_search_unwind_table)(as, ip, &di, pi, need, arg);
	s->found = err >= 0;
	return err;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as, (void)pi, (void)arg;
}

static int no_dyn_info(unw_addr_space_t as, unw_word_t *list, void *arg)
{
	(void)as, (void)list, (void)arg;
	return -UNW_ENOINFO;
}

/*
 * From the live process only code and tables are read: they do not move.  What
 * lies on a stack beyond the copy is another stack by now.
 */
static bool read_module(const struct subject *s, uint64_t addr, unw_word_t *out)
{
	const struct module *m = s->module;

	if (m && addr + sizeof(*out) > m->image_start && addr < m->image_limit)
		return peek_cached(addr, out, sizeof(*out));
	return eh_table_read(addr, out);
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *out, int write, void *arg)
{
	const struct subject *s = arg;

	(void)as;
	if (write)
		return -UNW_EINVAL;
	if (s->capture)
		return capture_load(s->capture, addr, out) || read_module(s, addr, out)
			       ? 0
			       : -UNW_EINVAL;
	if (near(addr, PROBE_SP) || near(addr, PROBE_BP) || near(addr, PROBE_OTHER)) {
		*out = PROBE_WORD;
		return 0;
	}
	return read_module(s, addr, out) ? 0 : -UNW_EINVAL;
}

static unw_word_t probe_reg(const struct subject *s, unw_regnum_t reg)
{
	switch (reg) {
	case ARCH_UNW_PC:
		return s->pc;
	case ARCH_UNW_SP:
		return PROBE_SP;
	case ARCH_UNW_BP:
		return PROBE_BP;
	default:
		return PROBE_OTHER;
	}
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *out, int write, void *arg)
{
	const struct subject *s = arg;
	int index = arch_captured_register(reg);

	(void)as;
	if (write || index < 0)
		return -UNW_EBADREG;
	*out = s->capture ? s->capture->reg[index] : probe_reg(s, reg);
	return 0;
}

static int no_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *out, int write, void *arg)
{
	(void)as, (void)reg, (void)out, (void)write, (void)arg;
	return -UNW_EBADREG;
}

static int no_resume(unw_addr_space_t as, unw_cursor_t *c, void *arg)
{
	(void)as, (void)c, (void)arg;
	return -UNW_EINVAL;
}

static int no_name(unw_addr_space_t as, unw_word_t ip, char *buf, size_t len, unw_word_t *off,
		   void *arg)
{
	(void)as, (void)ip, (void)buf, (void)len, (void)off, (void)arg;
	return -UNW_ENOINFO;
}

static bool open_space(void)
{
	static unw_accessors_t accessors = { .find_proc_info = find_proc_info,
					     .put_unwind_info = put_unwind_info,
					     .get_dyn_info_list_addr = no_dyn_info,
					     .access_mem = access_mem,
					     .access_reg = access_reg,
					     .access_fpreg = no_fpreg,
					     .resume = no_resume,
					     .get_proc_name = no_name };

	if (!library.space) {
		library.space = unw_create_addr_space(&accessors, 0);
		if (library.space)
			unw_set_caching_policy(library.space, UNW_CACHE_NONE);
	}
	return library.space != NULL;
}

static bool is_sigreturn(uint64_t pc)
{
	uint8_t code[ARCH_SIGRETURN_BYTES];

	return peek_cached(pc, code, sizeof(code)) && arch_is_sigreturn(code);
}

/* A handler returns to the first instruction (looked up one byte before); a tick may hit the
 * last. */
static bool is_signal_frame(uint64_t pc)
{
	return is_sigreturn(pc) || is_sigreturn(pc + 1) || is_sigreturn(pc - ARCH_SIGRETURN_LAST);
}

/* A cursor is large (libunwind reserves 1 KiB), so probe and step share their frame's shape. */
struct job {
	struct subject subject;
	uint32_t frames;
	struct row row;
	struct frame_regs regs;
	bool ok;
};

static bool saved_bp(unw_cursor_t *cursor, uint64_t cfa, struct row *row)
{
	unw_save_loc_t loc;

	if (unw_get_save_loc(cursor, ARCH_UNW_BP, &loc) < 0)
		return false;
	row->bp_saved = loc.type == UNW_SLT_MEMORY;
	row->bp_offset = row->bp_saved ? (int64_t)(loc.u.addr - cfa) : 0;
	return !row->bp_saved || (near(loc.u.addr, cfa) && (loc.u.addr - cfa) % 8 == 0);
}

static bool return_address_is_in_its_slot(unw_cursor_t *cursor, uint64_t cfa)
{
	unw_save_loc_t loc;

	return unw_get_save_loc(cursor, ARCH_UNW_RETURN, &loc) == 0 && loc.type == UNW_SLT_MEMORY &&
	       loc.u.addr == arch_return_slot(cfa);
}

/* Reads off where the step went; anything that SP and BP cannot express is complex. */
static struct row row_after_step(unw_cursor_t *cursor)
{
	struct row row = { .kind = ROW_COMPLEX };
	unw_word_t cfa;

	if (unw_get_reg(cursor, UNW_REG_SP, &cfa) < 0)
		return row;
	if (!return_address_is_in_its_slot(cursor, cfa) || !saved_bp(cursor, cfa, &row))
		return (struct row){ .kind = ROW_COMPLEX };
	if (near(cfa, PROBE_SP)) {
		row.kind = ROW_SP;
		row.cfa_offset = (int64_t)(cfa - PROBE_SP);
	} else if (near(cfa, PROBE_BP)) {
		row.kind = ROW_BP;
		row.cfa_offset = (int64_t)(cfa - PROBE_BP);
	}
	return row;
}

static void probe(void *arg)
{
	struct job *job = arg;
	unw_cursor_t cursor;
	int step;

	job->row = (struct row){ .kind = ROW_NONE };
	if (!open_space() || unw_init_remote(&cursor, library.space, &job->subject) < 0)
		return;
	step = unw_step(&cursor);
	if (is_signal_frame(job->subject.pc))
		job->row.kind = ROW_SIGNAL;
	else if (job->subject.found && step == 0)
		job->row.kind = ROW_END;
	else if (job->subject.found && step > 0)
		job->row = row_after_step(&cursor);
	else if (job->subject.found) /* it went through made-up memory: a realigned stack */
		job->row.kind = ROW_COMPLEX;
}

static void run_in_library(void (*fn)(void *), struct job *job)
{
	struct arena *before = lib_memory_use(&library.arena);

	lib_try(fn, job);
	lib_memory_use(before);
}

/* code_stamp.closes of the capture that is being walked. */
static uint64_t walked_closes;

/*
 * Code of no object.  *described is the address whose unwind data is that of `pc`: in the
 * loaded object that `pc` is a copy of, if it is one.  Rows are the same in a copy: they
 * speak of registers only.  False: there is no code that we know of.
 */
static bool find_other_code(uint64_t pc, uint64_t *described)
{
	uint64_t original = 0, start, limit;
	bool is_there = other_code_at(pc, &original);

	*described = original ? original : pc;
	while (other_code_take_change(&start, &limit))
		rows_forget(start, limit);
	return is_there;
}

/* Something was unloaded since the capture that is being walked was taken. */
static bool is_late(void)
{
	return walked_closes != atomic_load_explicit(&code_shared.closes, memory_order_acquire);
}

static COLD NOINLINE struct row learn_new(uint64_t pc)
{
	struct job job = { .subject = { .pc = pc }, .row = { .kind = ROW_NONE } };

	if (!module_find(pc)) {
		if (modules_have_come())
			/* not stored: with a stored ROW_NONE hooks would follow the frame pointer
			 * here before the new object is known */
			return job.row;
		/* nor what a stack says that waited here while something was unloaded: hooks
		 * would take that for what comes next */
		if (!find_other_code(pc, &job.subject.pc) || is_late())
			return job.row;
	}
	if (module_find(job.subject.pc))
		run_in_library(probe, &job);
	rows_add_in(pc, frame_number(modules_frame(pc)), job.row);
	return job.row;
}

struct row learn_row(uint64_t pc)
{
	struct row row = rows_find(pc);

	return LIKELY(row.kind != ROW_UNKNOWN) ? row : learn_new(pc);
}

static void find_start(void *arg)
{
	struct job *job = arg;
	unw_cursor_t cursor;
	unw_proc_info_t info;

	if (open_space() && unw_init_remote(&cursor, library.space, &job->subject) >= 0 &&
	    unw_get_proc_info(&cursor, &info) >= 0 && job->subject.found)
		job->regs.pc = info.start_ip;
}

uint64_t learn_function_start(uint64_t pc)
{
	struct job job = { .subject = { .pc = pc } };

	if (module_find(pc))
		run_in_library(find_start, &job);
	return job.regs.pc;
}

static bool get_regs(unw_cursor_t *cursor, struct frame_regs *out)
{
	unw_word_t pc, sp, bp;

	if (unw_get_reg(cursor, UNW_REG_IP, &pc) < 0 || unw_get_reg(cursor, UNW_REG_SP, &sp) < 0)
		return false;
	if (unw_get_reg(cursor, ARCH_UNW_BP, &bp) < 0)
		bp = 0;
	*out = (struct frame_regs){ pc, sp, bp };
	return true;
}

/* The capture being walked, and the cursor that goes on from where it stopped. */
static struct {
	struct subject subject;
	unw_cursor_t cursor;
	bool is_open;
	uint32_t frames; /* steps taken */
} walked;

void learn_start_capture(const struct capture *c)
{
	walked_closes = c->stamp.closes;
	walked.subject = (struct subject){ .capture = c };
	walked.is_open = false;
	walked.frames = 0;
}

static bool open_cursor(void)
{
	if (!walked.is_open)
		walked.is_open = open_space() && unw_init_remote(&walked.cursor, library.space,
								 &walked.subject) >= 0;
	return walked.is_open;
}

static void step_captured(void *arg)
{
	struct job *job = arg;

	if (!open_cursor())
		return;
	for (; walked.frames < job->frames; walked.frames++) {
		walked.subject.found = false;
		if (unw_step(&walked.cursor) <= 0 || !walked.subject.found)
			return;
	}
	job->ok = get_regs(&walked.cursor, &job->regs);
}

bool learn_step_captured(uint32_t frames, struct frame_regs *out)
{
	struct job job = { .frames = frames };

	run_in_library(step_captured, &job);
	*out = job.regs;
	return job.ok;
}

bool learn_forget(uint64_t start, uint64_t limit)
{
	peek_forget();
	eh_table_forget(start, limit);
	return rows_forget(start, limit);
}

void learn_release(void)
{
	rows_release();
	peek_release();
	eh_table_release();
	other_code_release();
}

void learn_after_fork(void)
{
	library.arena = (struct arena)ARENA_INIT(LIBRARY_BYTES);
	library.space = NULL;
	walked.is_open = false;
	lib_after_fork();
	peek_after_fork();
	eh_table_after_fork();
	other_code_after_fork();
}
