/*
 * Stacks equal those of two other unwinders at every single instruction.
 *
 * test/fixtures/walk_work_*plugin.c* are compiled in many ways, loaded, and run
 * with the processor's trap flag set.  After each instruction the SIGTRAP
 * handler captures and walks like the shim does, and compares frame by frame:
 *
 *   libunwind   a cursor of our own over live memory, which finds modules with
 *               dl_iterate_phdr: shares neither rows nor readers with the shim
 *   libgcc      _Unwind_Backtrace from inside the handler: other code altogether
 */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <libunwind.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/process/linked_libc.h"
#include "sampler/process/modules.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/learn.h"
#include "sampler/unwind/walk.h"

/* ---- the trap flag */

/* Functions with unwind tables of their own, as they too are stepped. */
__asm__(".text\n"
	".type trap_on, @function\n"
	"trap_on:\n"
	".cfi_startproc\n"
	"	pushfq\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	orq $0x100, (%rsp)\n"
	"	popfq\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	".cfi_endproc\n"
	".size trap_on, . - trap_on\n"
	".type trap_off, @function\n"
	"trap_off:\n"
	".cfi_startproc\n"
	"	pushfq\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	andq $~0x100, (%rsp)\n"
	"	popfq\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	".cfi_endproc\n"
	".size trap_off, . - trap_off\n");
void trap_on(void);
void trap_off(void);

/* ---- a stack, as one of the three unwinders sees it */

struct trace {
	uint64_t pc[STACK_DEPTH_MAX]; /* look-up addresses, leaf first */
	uint32_t depth;
	bool complete;	    /* it reached the root */
	uint64_t caller_sp; /* of the leaf */
};

static void add_frame(struct trace *t, uint64_t lookup)
{
	if (t->depth < STACK_DEPTH_MAX) /* the walk names the return from a handler */
		t->pc[t->depth++] = learn_row(lookup).kind == ROW_SIGNAL ? PSEUDO_SIGNAL
									 : frame_of_address(lookup);
}

/* ---- libunwind */

int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di,
				       unw_proc_info_t *pi, int need_unwind_info, void *arg);

struct object {
	uint64_t start, limit, hdr;
};

static struct {
	struct arena arena;
	unw_addr_space_t space;
	struct object object[64];
	size_t count;
	uint64_t stack_lo, stack_hi;
	const ucontext_t *uc;
	bool found;
} oracle = { .arena = ARENA_INIT(4 << 20) };

static int note_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct object o = { .start = UINT64_MAX };

	(void)size, (void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uint64_t at = info->dlpi_addr + ph->p_vaddr;

		if (ph->p_type == PT_LOAD) {
			o.start = MIN(o.start, at);
			o.limit = MAX(o.limit, at + ph->p_memsz);
		} else if (ph->p_type == PT_GNU_EH_FRAME) {
			o.hdr = at;
		}
	}
	if (oracle.count < ARRAY_SIZE(oracle.object))
		oracle.object[oracle.count++] = o;
	return 0;
}

static const struct object *object_at(uint64_t addr)
{
	for (size_t i = 0; i < oracle.count; i++) {
		if (addr >= oracle.object[i].start && addr < oracle.object[i].limit)
			return &oracle.object[i];
	}
	return NULL;
}

/* A binary search table that starts 12 bytes behind the header, of pairs of 4 byte words. */
static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need,
			  void *arg)
{
	const struct object *o = object_at(ip);
	unw_dyn_info_t di = { .format = UNW_INFO_FORMAT_REMOTE_TABLE };
	int err;

	if (!o || !o->hdr)
		return -UNW_ENOINFO;
	di.start_ip = o->start;
	di.end_ip = o->limit;
	di.u.rti.segbase = o->hdr;
	di.u.rti.table_data = o->hdr + 12;
	di.u.rti.table_len = *(const uint32_t *)(o->hdr + 8);
	err = _Ux86_64_dwarf_search_unwind_table(as, ip, &di, pi, need, arg);
	oracle.found = err >= 0;
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

static bool is_on_stack(uint64_t addr)
{
	return addr >= oracle.stack_lo && addr + 8 <= oracle.stack_hi;
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *out, int write, void *arg)
{
	(void)as, (void)arg;
	if (write || (!is_on_stack(addr) && !object_at(addr)))
		return -UNW_EINVAL;
	memcpy(out, (const void *)addr, sizeof(*out));
	return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *out, int write, void *arg)
{
	/* DWARF's order of registers. */
	static const int greg[] = { REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
				    REG_RBP, REG_RSP, REG_R8,  REG_R9,	REG_R10, REG_R11,
				    REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP };

	(void)as, (void)arg;
	if (write || reg < 0 || (size_t)reg >= ARRAY_SIZE(greg))
		return -UNW_EBADREG;
	*out = (unw_word_t)oracle.uc->uc_mcontext.gregs[greg[reg]];
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

static void open_oracle(void)
{
	static unw_accessors_t accessors = { .find_proc_info = find_proc_info,
					     .put_unwind_info = put_unwind_info,
					     .get_dyn_info_list_addr = no_dyn_info,
					     .access_mem = access_mem,
					     .access_reg = access_reg,
					     .access_fpreg = no_fpreg,
					     .resume = no_resume,
					     .get_proc_name = no_name };
	struct arena *before = lib_memory_use(&oracle.arena);

	dl_iterate_phdr(note_object, NULL);
	oracle.space = unw_create_addr_space(&accessors, 0);
	unw_set_caching_policy(oracle.space, UNW_CACHE_NONE);
	lib_memory_use(before);
}

/* Whether `ip` is at one of the two instructions of the return from a signal handler. */
static bool is_in_sigreturn(uint64_t ip)
{
	static const uint8_t code[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

	return object_at(ip) && (memcmp((const void *)ip, code, sizeof(code)) == 0 ||
				 memcmp((const void *)(ip - 7), code, sizeof(code)) == 0);
}

static void run_libunwind(void *arg)
{
	struct trace *t = arg;
	unw_cursor_t cursor;
	unw_word_t ip = (unw_word_t)oracle.uc->uc_mcontext.gregs[REG_RIP];
	bool exact = true;
	int step;

	unw_init_remote(&cursor, oracle.space, NULL);
	for (;;) {
		add_frame(t, exact ? ip : ip - 1);
		exact = is_in_sigreturn(ip);
		oracle.found = false;
		step = unw_step(&cursor);
		if (step <= 0 || !oracle.found)
			break;
		unw_get_reg(&cursor, UNW_REG_IP, &ip);
		if (t->depth == 1)
			unw_get_reg(&cursor, UNW_REG_SP, &t->caller_sp);
	}
	t->complete = step == 0 && oracle.found;
}

static void trace_with_libunwind(const ucontext_t *uc, struct trace *t)
{
	struct arena *before = lib_memory_use(&oracle.arena);

	t->depth = 0;
	t->complete = false;
	t->caller_sp = oracle.stack_lo;
	oracle.uc = uc;
	lib_try(run_libunwind, t);
	lib_memory_use(before);
}

/* ---- libgcc */

struct _Unwind_Context;
int _Unwind_Backtrace(int (*fn)(struct _Unwind_Context *, void *), void *arg);
uintptr_t _Unwind_GetIPInfo(struct _Unwind_Context *context, int *exact);

#define END_OF_STACK 5

struct libgcc_trace {
	struct trace *trace;
	bool inside; /* beyond the frame of the SIGTRAP handler */
};

static int note_libgcc_frame(struct _Unwind_Context *context, void *arg)
{
	struct libgcc_trace *l = arg;
	int exact = 0;
	uint64_t ip = _Unwind_GetIPInfo(context, &exact);

	l->inside |= exact;
	if (l->inside && ip) /* its last frame may be an undefined one */
		add_frame(l->trace, exact ? ip : ip - 1);
	return 0;
}

static void trace_with_libgcc(struct trace *t)
{
	struct libgcc_trace l = { .trace = t };

	t->depth = 0;
	t->complete = _Unwind_Backtrace(note_libgcc_frame, &l) == END_OF_STACK;
}

/* ---- stepping */

#define VISIT_SLOTS	(1U << 20)
#define VISITS_COMPARED 3
#define MISMATCHES_KEPT 8

struct visit {
	uint64_t pc, sp;
	uint32_t count;
};

struct mismatch {
	const char *what;
	struct trace ours, theirs;
	enum walk_end end;
};

static struct {
	struct ring ring;
	struct thread thread;
	struct visit visit[VISIT_SLOTS];
	uint64_t instructions, places, compared, without_root, lost, mismatches;
	uint64_t kind[ROW_NONE + 1]; /* frames met with a row of this kind */
	uint64_t deepest;
	struct mismatch kept[MISMATCHES_KEPT];
} stepped;

/* How often this place was seen before: an address and a stack pointer. */
static uint32_t visits_before(uint64_t pc, uint64_t sp)
{
	uint64_t at = (pc ^ sp << 20) * 0x9e3779b97f4a7c15ULL >> 44;

	for (uint32_t i = 0; i < 64; i++) {
		struct visit *v = &stepped.visit[(at + i) % VISIT_SLOTS];

		if (v->count && (v->pc != pc || v->sp != sp))
			continue;
		v->pc = pc;
		v->sp = sp;
		stepped.places += v->count == 0;
		return v->count++;
	}
	return 0;
}

static void note_mismatch(const char *what, const struct walk *w, const struct trace *theirs)
{
	struct mismatch *m;

	if (stepped.mismatches++ >= MISMATCHES_KEPT)
		return;
	m = &stepped.kept[stepped.mismatches - 1];
	m->what = what;
	m->end = w->end;
	m->theirs = *theirs;
	m->ours.depth = w->depth;
	memcpy(m->ours.pc, w->pc, w->depth * sizeof(w->pc[0]));
}

static void compare(const struct walk *w, const struct trace *theirs, const char *what)
{
	if (w->end != WALK_COMPLETE || w->depth != theirs->depth ||
	    memcmp(w->pc, theirs->pc, w->depth * sizeof(w->pc[0])) != 0)
		note_mismatch(what, w, theirs);
}

/*
 * Three places where unwind tables do not lead to the root, or not libunwind:
 *
 *   libgcc's _Unwind_* functions, once they have written the address of the
 *   handler over a frame that is still in use;
 *   the end of longjmp, whose table says that the caller's registers are in
 *   registers: libunwind takes the CFA, here the jmp_buf, for the caller's SP;
 *   the last instructions of a function that realigned its stack: the table
 *   still says "BP is saved where BP points to", and BP is the caller's again:
 *   if that is 0, libunwind takes it for the mark of the root, and if it is a
 *   frame pointer, all take the caller's caller's for the caller's.
 */
static bool is_without_root(const struct walk *w, const struct trace *theirs)
{
	const struct object *leaf = object_at(w->pc[0]);
	bool raises = leaf && leaf == object_at((uint64_t)_Unwind_Backtrace) && !theirs->complete;
	bool marked = theirs->complete && theirs->depth == 1 &&
		      oracle.uc->uc_mcontext.gregs[REG_RBP] == 0;
	bool skipped =
		!theirs->complete && is_on_stack((uint64_t)oracle.uc->uc_mcontext.gregs[REG_RBP]);
	bool realigned = (marked || skipped) && learn_row(w->pc[0]).kind == ROW_COMPLEX;

	return raises || realigned || !is_on_stack(theirs->caller_sp);
}

/*
 * There the walk must know that it is lost, and agree as far as it goes.  Where
 * libunwind met an address without unwind data, the walk may take 0 for the end
 * of the stack, and follow BP from anything else.
 */
static void note_lost(const struct walk *w, const struct trace *theirs)
{
	uint32_t ours = w->end == WALK_COMPLETE ? w->depth : w->depth - 1;
	uint32_t both = MIN(ours, theirs->depth);
	uint64_t last = theirs->pc[theirs->depth - 1];
	bool has_rule = last == PSEUDO_SIGNAL || learn_row(last).kind != ROW_NONE;

	stepped.without_root++;
	if ((w->end == WALK_COMPLETE && has_rule) ||
	    memcmp(w->pc, theirs->pc, both * sizeof(w->pc[0])) != 0)
		note_mismatch("libunwind, lost", w, theirs);
}

/* In the third of these places libgcc reads what BP points to, whatever that is now. */
static bool libgcc_would_crash(const ucontext_t *uc, const struct walk *w)
{
	return learn_row(w->pc[0]).kind == ROW_COMPLEX &&
	       !is_on_stack((uint64_t)uc->uc_mcontext.gregs[REG_RBP]);
}

static void compare_all(const ucontext_t *uc, const struct walk *w)
{
	static struct trace theirs;

	stepped.compared++;
	trace_with_libunwind(uc, &theirs);
	if (is_without_root(w, &theirs)) {
		note_lost(w, &theirs);
		return;
	}
	for (uint32_t i = 0; i < w->depth && w->pc[i] != PSEUDO_TRUNCATED; i++)
		stepped.kind[w->pc[i] == PSEUDO_SIGNAL ? ROW_SIGNAL : learn_row(w->pc[i]).kind]++;
	if (!theirs.complete)
		note_mismatch("libunwind, incomplete", w, &theirs);
	compare(w, &theirs, "libunwind");
	if (libgcc_would_crash(uc, w))
		return;
	trace_with_libgcc(&theirs);
	compare(w, &theirs, "libgcc");
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	static struct walk w;
	const ucontext_t *uc = context;
	const struct capture *c;
	int saved_errno = errno;

	(void)sig, (void)info;
	stepped.instructions++;
	stepped.lost += !capture_take(&stepped.ring, &stepped.thread, uc, 1);
	c = ring_front(&stepped.ring);
	if (c) {
		walk_capture(c, &w);
		stepped.deepest = MAX(stepped.deepest, w.depth);
		if (visits_before(CAPTURE_PC(c), CAPTURE_SP(c)) < VISITS_COMPARED)
			compare_all(uc, &w);
		ring_pop(&stepped.ring);
	}
	errno = saved_errno;
}

static void note_own_stack(void)
{
	pthread_attr_t attr;
	void *lo;
	size_t bytes;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &lo, &bytes);
	pthread_attr_destroy(&attr);
	oracle.stack_lo = (uint64_t)lo;
	oracle.stack_hi = (uint64_t)lo + bytes;
	stepped.thread.stack_lo = oracle.stack_lo;
	stepped.thread.stack_hi = oracle.stack_hi;
	stepped.thread.slice_limit = SLICE_BYTES;
}

typedef void (*work)(void (*step)(void));

/* A thread of its own: its stack has known bounds and few frames. */
static void *step_through(void *arg)
{
	struct trace warm_up;

	note_own_stack();
	trace_with_libgcc(&warm_up); /* it initialises itself under a lock */
	((work)arg)(trap_on);
	trap_off();
	return NULL;
}

static void step_in_thread(work fn)
{
	struct sigaction act = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	pthread_t thread;

	modules_init();
	code_refresh();
	open_oracle();
	ck_assert_int_eq(ring_init(&stepped.ring, 1 << 20), 0);
	sigfillset(&act.sa_mask);
	sigaction(SIGTRAP, &act, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, step_through, (void *)fn), 0);
	pthread_join(thread, NULL);
}

/* ---- saying what was found */

static void print_frame(uint64_t pc)
{
	static const char *const kinds[] = { "unknown", "SP",	  "BP",	 "END",
					     "complex", "signal", "none" };
	struct row row = learn_row(pc);
	Dl_info info = { 0 };

	dladdr((void *)pc, &info);
	printf("    %#lx %s+%#lx (%s+%#lx) %s %d, BP %d %d\n", pc,
	       info.dli_sname ? info.dli_sname : "?",
	       info.dli_sname ? pc - (uint64_t)info.dli_saddr : 0,
	       info.dli_fname ? info.dli_fname : "?", pc - (uint64_t)info.dli_fbase,
	       kinds[row.kind], row.cfa_offset, row.bp_saved, row.bp_offset);
}

static void print_mismatch(const struct mismatch *m)
{
	static const char *const ends[] = { "complete", "no rule", "slice", "bad frame", "depth" };

	printf("  ours, which ended as \"%s\":\n", ends[m->end]);
	for (uint32_t i = 0; i < m->ours.depth; i++)
		print_frame(m->ours.pc[i]);
	printf("  by %s:\n", m->what);
	for (uint32_t i = 0; i < m->theirs.depth; i++)
		print_frame(m->theirs.pc[i]);
}

static void print_findings(const char *name)
{
	printf("%s: %lu instructions at %lu places, %lu compared, %lu without root, %lu frames "
	       "deep; rows SP %lu, BP %lu, complex %lu, signal %lu, none %lu; %lu mismatches\n",
	       name, stepped.instructions, stepped.places, stepped.compared, stepped.without_root,
	       stepped.deepest, stepped.kind[ROW_SP], stepped.kind[ROW_BP],
	       stepped.kind[ROW_COMPLEX], stepped.kind[ROW_SIGNAL], stepped.kind[ROW_NONE],
	       stepped.mismatches);
	for (uint64_t i = 0; i < MIN(stepped.mismatches, (uint64_t)MISMATCHES_KEPT); i++)
		print_mismatch(&stepped.kept[i]);
	fflush(stdout);
}

/* ---- compiling and loading the work */

enum language { C, CXX };

struct variant {
	enum language language;
	const char *level;
	const char *how;
};

static const struct variant variants[] = {
	{ C, "-O0", "-fomit-frame-pointer" },
	{ C, "-O0", "-fno-omit-frame-pointer" },
	{ C, "-O1", "-fomit-frame-pointer" },
	{ C, "-O1", "-fno-omit-frame-pointer" },
	{ C, "-O2", "-fomit-frame-pointer" },
	{ C, "-O2", "-fno-omit-frame-pointer" },
	{ C, "-O3", "-fomit-frame-pointer" },
	{ C, "-O3", "-fno-omit-frame-pointer" },
	{ CXX, "-O0", "-fomit-frame-pointer" },
	{ CXX, "-O0", "-fno-omit-frame-pointer" },
	{ CXX, "-O1", "-fomit-frame-pointer" },
	{ CXX, "-O1", "-fno-omit-frame-pointer" },
	{ CXX, "-O2", "-fomit-frame-pointer" },
	{ CXX, "-O2", "-fno-omit-frame-pointer" },
	{ CXX, "-O3", "-fomit-frame-pointer" },
	{ CXX, "-O3", "-fno-omit-frame-pointer" },
	{ C, "-Os", "-mno-red-zone" },
	{ C, "-O2", "-mstackrealign" },
	{ CXX, "-Os", "-fno-plt" },
};

static void compile(const struct variant *v, const char *to)
{
	static const char *const what[] = {
		[C] = "${CC:-gcc} test/fixtures/walk_work_plugin.c",
		[CXX] = "${CXX:-g++} test/fixtures/walk_work_cxx_plugin.cc",
	};
	char command[256];

	snprintf(command, sizeof(command), "%s -I. -fPIC -shared -pthread -Wl,-z,lazy %s %s -o %s",
		 what[v->language], v->level, v->how, to);
	ck_assert_msg(system(command) == 0, "%s", command);
}

static work load_work(const struct variant *v)
{
	char folder[] = "/tmp/walk_work.XXXXXX", path[64];
	void *object;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/work.so", folder);
	compile(v, path);
	/* Binding libstdc++'s names one by one takes more instructions than all the work. */
	object = dlopen(path, v->language == C ? RTLD_LAZY : RTLD_NOW);
	ck_assert_msg(object != NULL, "%s", dlerror());
	unlink(path);
	rmdir(folder);
	return (work)dlsym(object, "walk_work");
}

START_TEST(walk__equals_libunwind_and_libgcc_at_every_instruction)
{
	const struct variant *v = &variants[_i];
	char name[64];

	snprintf(name, sizeof(name), "%s %s %s", v->language == C ? "C" : "C++", v->level, v->how);
	step_in_thread(load_work(v));
	print_findings(name);
	ck_assert_uint_eq(stepped.mismatches, 0);
	ck_assert_uint_lt(stepped.without_root * 100, stepped.compared);
	ck_assert_uint_eq(stepped.lost, 0);
	ck_assert_uint_gt(stepped.instructions, 10000);
	for (int kind = ROW_SP; kind <= ROW_SIGNAL; kind++)
		ck_assert_msg(stepped.kind[kind] > 0, "%s: no row of kind %d", name, kind);
	ck_assert_uint_eq(stepped.kind[ROW_NONE], 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("walk");
	TCase *t = tcase_create("walk");
	SRunner *r = srunner_create(s);
	int failed;

#ifndef __SANITIZE_ADDRESS__ /* which has no room for a handler between any two instructions */
	tcase_add_loop_test(t, walk__equals_libunwind_and_libgcc_at_every_instruction, 0,
			    ARRAY_SIZE(variants));
#endif
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
