/*
 * The only file that knows everyone.  Whatever goes wrong leaves a pure pass-through behind
 * and, where a user would wonder, one sentence (tell.h).
 */
#include "shim/profiler.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>

#include "http/out.h"
#include "http/out_place.h"
#include "http/routes.h"
#include "sampler/base/cc.h"
#include "sampler/base/error_text.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/cpu/carrier_handler.h"
#include "sampler/cpu/cpu.h"
#include "sampler/cpu/reopen.h"
#include "sampler/cpu/roster.h"
#include "sampler/cpu/tick.h"
#include "sampler/cpu/unload.h"
#include "sampler/heap/heap.h"
#include "sampler/locks/contention.h"
#include "sampler/process/attached.h"
#include "sampler/process/label_set.h"
#include "sampler/process/modules.h"
#include "sampler/process/own_stack.h"
#include "sampler/process/peek.h"
#include "sampler/process/started_as.h"
#include "sampler/process/tasks.h"
#include "sampler/symbols/jit_names.h"
#include "sampler/symbols/objects.h"
#include "sampler/symbols/symbol_cache.h"
#include "sampler/threads/births.h"
#include "sampler/threads/dump.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/eh_table.h"
#include "sampler/unwind/site_at.h"
#include "sampler/unwind/stacks.h"
#include "shim/hooks/allocator.h"
#include "shim/hooks/death.h"
#include "shim/hooks/lock_readers.h"
#include "shim/hooks/locks.h"
#include "shim/hooks/map.h"
#include "shim/life/after_fork.h"
#include "shim/life/ancestor.h"
#include "shim/life/calls.h"
#include "shim/life/ending.h"
#include "shim/life/family.h"
#include "shim/life/follow.h"
#include "shim/life/last_thread.h"
#include "shim/life/listener.h"
#include "shim/life/port.h"
#include "shim/life/probe.h"
#include "shim/life/recording.h"
#include "shim/life/socket.h"
#include "shim/life/takeover.h"
#include "shim/life/tell.h"
#include "shim/life/tree.h"
#include "shim/real/lookup.h"
#include "shim/real/real.h"
#include "shim/real/slots.h"
#include "shim/settings.h"

static struct settings settings;
static char command_line[4096];

/* argv as Go's cmdline shows it: joined by NUL, none at the end. */
static size_t join_arguments(int argc, char **argv)
{
	struct text t = TEXT_INIT(command_line);

	for (int i = 0; i < argc; i++) {
		if (i)
			text_char(&t, '\0');
		text_str(&t, argv[i]);
	}
	return t.len;
}

/* A program that runs may have changed its argv to whatever it likes; the kernel has the bytes. */
static size_t read_arguments(void)
{
	long n = sys_read_file("/proc/self/cmdline", command_line, sizeof(command_line));

	while (n > 0 && command_line[n - 1] == '\0')
		n--;
	return n > 0 ? (size_t)n : 0;
}

static void write_number(struct text *t, const char *before, uint64_t n, const char *after)
{
	text_str(t, before);
	text_u64(t, n);
	text_str(t, after);
}

static void write_hooked(struct text *t)
{
	const struct slots_found *f = slots_found();

	if (!f->ours)
		return text_str(t, "; hooks: none in force");
	write_number(t, "; hooks: ", f->ours, " slots of import tables");
	write_number(t, " in ", f->objects, " objects");
	write_number(t, ", ", f->unbound, " not bound yet");
	write_number(t, ", ", f->closed, " on pages that could not be opened");
}

static void write_attached(struct text *t)
{
	if (!attached_is_late())
		return;
	text_str(t, attached_is() ? "\nattached: since " : "\nwoken: since ");
	text_str(t, attached_since());
	if (attached_is())
		write_hooked(t);
}

static void write_cpu_state(struct text *t)
{
	const char *why = cpu_refusal();

	text_str(t, "\ncpu: ");
	if (why) {
		text_str(t, "dormant: ");
		text_str(t, why);
	} else if (cpu_is_sampling()) {
		text_str(t, "active: sampling now");
	} else {
		text_str(t, "active: no timer and no signal until a profile is asked for");
	}
}

static void write_heap_state(struct text *t)
{
	text_str(t, heap_is_on() ? "\nheap: active, live samples: " : "\nheap: off");
	if (heap_is_on())
		text_u64(t, live_count());
	if (heap_unseen() & HEAP_UNSEEN_MALLOC)
		text_str(t, "; the program's own malloc hides ours");
}

static void write_coarser(struct text *t, uint64_t factor)
{
	if (factor == 1)
		return;
	text_str(t, "; too many a second: for now ");
	text_u64(t, factor);
	text_str(t, " times that");
}

static void write_contention_state(struct text *t)
{
	text_str(t, "\nblock: ");
	if (block_rate()) {
		text_str(t, "active, all waits of ");
		text_u64(t, block_rate());
		text_str(t, " ns and longer");
		write_coarser(t, block_coarser());
	} else {
		text_str(t, "off");
	}
	text_str(t, "\nmutex: ");
	if (mutex_fraction()) {
		text_str(t, "active, one contention in ");
		text_u64(t, mutex_fraction());
		write_coarser(t, mutex_coarser());
	} else {
		text_str(t, "off");
	}
}

static const char *program_path(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN);

	return path ? path : "";
}

static bool has_endpoint(void)
{
	return settings.port || settings.socket;
}

static void write_port(struct text *t)
{
	if (port_now() == port_configured())
		return;
	text_str(t, "\nport: ");
	text_u64(t, port_now());
	text_str(t, ", since the program took the one that was set for itself");
}

/* Who waits for it, or takes it by sigwait or a descriptor, blocks it. */
static void write_toggle(struct text *t)
{
	if (!settings.toggle)
		return;
	text_str(t, "\ntoggle: ");
	if (death_toggle_lost()) {
		text_str(t, "none, since ");
		text_str(t, death_toggle_lost());
	} else {
		text_str(t, out_is_toggled() ? "a profile is under way" : "waits for the signal");
		if (task_blocks_signal(sys_getpid(), settings.toggle))
			text_str(t, "; the main thread blocks it");
	}
}

static void write_labels_state(struct text *t)
{
	struct label_set_counts n = label_set_count();

	write_number(t, "\nlabels by the program: ", n.own, " sets of labels of ");
	write_number(t, "", n.own_max, " at most; of other processes ");
	write_number(t, "", n.others, " of ");
	text_u64(t, n.others_max);
}

static void write_status(struct text *t)
{
	struct roster_counts threads = roster_count();

	settings_write(&settings, t);
	write_attached(t);
	write_port(t);
	takeover_write(t);
	write_toggle(t);
	write_cpu_state(t);
	write_heap_state(t);
	write_contention_state(t);
	write_labels_state(t);
	text_str(t, "\ncpu threads with a timer: ");
	text_u64(t, threads.armed);
	text_str(t, ", without: ");
	text_u64(t, threads.unarmed);
	text_str(t, "\ngoroutine: active, on request\nthreadcreate: active\n");
}

static void tell_port_taken(void)
{
	char buf[160];
	struct text t = TEXT_INIT(buf);

	text_str(&t, "port ");
	text_u64(&t, settings.port);
	text_str(&t, " on 127.0.0.1 is taken (PPROF_PORT sets another); it is tried again every "
		     "half second, and until then there is no endpoint");
	tell_port(buf);
}

static void write_socket_trouble(struct text *t)
{
	text_str(t, "the socket ");
	text_str(t, socket_path());
	if (socket_error() == -EADDRINUSE) {
		text_str(t,
			 " is another process's, which answers there (PPROF_SOCKET sets another); "
			 "it is tried again every half second");
	} else if (socket_error() == -EEXIST) {
		text_str(t, " cannot be made, since a file that is no socket has that name");
	} else {
		text_str(t, " cannot be made: ");
		text_error(t, socket_error());
	}
}

/* Where it stands in for the port nobody can ask without it. */
static void tell_socket(void)
{
	char buf[384];
	struct text t = TEXT_INIT(buf);

	write_socket_trouble(&t);
	if (settings.port || settings.out || socket_error() == -EADDRINUSE)
		tell_port(buf);
	else
		tell_user(buf);
}

void profiler_tell_outcome(enum listener_outcome outcome)
{
	bool by_socket = !settings.port && outcome != LISTENER_NO_THREAD;

	if (outcome == LISTENER_PORT_TAKEN && ancestor_has_us())
		return;
	if (outcome == LISTENER_PORT_TAKEN && settings.port)
		tell_port_taken();
	else if (socket_is_wanted() && socket_error() && (by_socket || outcome == LISTENER_SERVING))
		tell_socket();
	else if (outcome == LISTENER_SERVING && settings.port && !listener_has_endpoint())
		tell_port(
			"the kernel refuses a socket on 127.0.0.1, so there is no endpoint at the "
			"port; files are written all the same");
	else if (outcome == LISTENER_REFUSED)
		tell_user("the kernel refuses a private descriptor table or a socket on 127.0.0.1");
	else if (outcome == LISTENER_NO_THREAD)
		tell_user("no thread could be started");
}

/* From the root, since the program may go elsewhere. */
static const char *whole_path(const char *path)
{
	static char whole[OUT_PATTERN_MAX + 4096];
	struct text t = TEXT_INIT(whole);
	char directory[4096] = "."; /* stays so when it is gone, or its name is too long */

	if (*path != '/') {
		sys_call3(SYS_getcwd, (long)directory, sizeof(directory), 0);
		for (const char *c = directory; *c; c++)
			text_str(&t, *c == '%' ? "%%" : (char[]){ *c, '\0' });
		text_char(&t, '/');
	}
	text_str(&t, path);
	return whole;
}

static void begin_toggle(void)
{
	if (settings.toggle)
		death_toggle(settings.toggle);
	if (death_toggle_lost() && !ancestor_has_us())
		tell_port("PPROF_TOGGLE has no effect: the program was started with that signal "
			  "ignored");
}

static void begin_out(void)
{
	const struct out_config config = { .pattern = whole_path(settings.out),
					   .program = program_path(),
					   .kinds = settings.out_kinds,
					   .hz = settings.hz };
	const char *complaint;

	out_init(&config);
	complaint = out_place_check();
	if (complaint && !ancestor_has_us())
		tell_port(complaint);
	begin_toggle();
	death_init();
	takeover_keep_recording();
	listener_keep_recording();
}

static void last_words(void)
{
	recording_finish();
	socket_remove();
}

/* What is done for settings that name files; nothing of it without one. */
static void begin_files(void)
{
	if (settings.socket)
		socket_init(settings.socket, program_path());
	if (settings.out)
		begin_out();
	calls_expect_files();
	ending_expect(last_words);
}

/* False: nothing is left by which somebody could ask. */
static bool heed_filter_of_files(const char *forbidden)
{
	char buf[256];
	struct text t = TEXT_INIT(buf);

	if (!forbidden)
		return true;
	text_str(&t, "the system-call filter that the program runs under forbids ");
	text_str(&t, forbidden);
	text_str(&t, ", so there is nothing for PPROF_SOCKET and PPROF_OUT");
	settings.socket = settings.out = NULL;
	if (settings.port)
		tell_port(buf);
	else
		tell_user(buf);
	return settings.port != 0;
}

/* What the filter that we were started under leaves of us; false: nothing. */
static bool heed_filter(void)
{
	const struct probe_result *found = probe_filter();
	char buf[256];
	struct text t = TEXT_INIT(buf);

	if (found->forbidden) {
		text_str(&t, "the system-call filter that the program runs under forbids ");
		text_str(&t, found->forbidden);
		tell_user(buf);
		return false;
	}
	if (found->no_timers)
		cpu_disable("the system-call filter that the program runs under forbids timers");
	if (found->no_foreign_reads) {
		peek_avoid_vm_readv();
		sandbox_note();
	}
	if (found->no_niceties)
		listener_skip_niceties();
	return !(settings.socket || settings.out) || heed_filter_of_files(found->no_files);
}

/* Where profiles show a call that a thread waited at, and the main thread's creation. */
static void find_called_functions(void)
{
	for (uint64_t id = PSEUDO_MAIN + 1; id < PSEUDO_COUNT; id++)
		pseudo_frame_set_address(id, (uint64_t)lookup_next(pseudo_frame_name(id)));
	/* apart from each other, so that they are two places to readers who go by addresses */
	pseudo_frame_set_address(PSEUDO_CALL_futex_wait, (uint64_t)lookup_next("syscall"));
	pseudo_frame_set_address(PSEUDO_CALL_futex_lock_pi, (uint64_t)lookup_next("syscall") + 1);
	pseudo_frame_set_address(PSEUDO_MAIN, getauxval(AT_ENTRY));
}

static int64_t do_due_work(int64_t now_ns)
{
	/* It may begin what the others go on with. */
	int64_t again_for_files = recording_do_due(now_ns);
	int64_t again, again_for_symbols, again_for_made_code;
	bool more_stacks;

	follow_look();
	unload_pass_begin();
	more_stacks = site_at_drain();
	heap_do_due();
	again = cpu_do_due(now_ns);
	unload_pass_end();
	if (again == INT64_MAX)
		peek_release(); /* nothing is under way */
	again_for_symbols = symbol_cache_do_due(now_ns);
	again_for_made_code = jit_names_do_due(now_ns);
	again = MIN(again, reopen_do_due(now_ns));
	again = MIN(again, again_for_files);
	again = MIN(again, dump_do_due(now_ns));
	if (more_stacks)
		return now_ns;
	return MIN(MIN(again, again_for_symbols), again_for_made_code);
}

void profiler_on_ours(void)
{
	after_fork_becomes_ours();
	locks_turn_on_again();
}

const struct http_service profiler_service = { .serve = routes_serve,
					       .do_due = do_due_work,
					       .body_limit = routes_body_limit };

/* Hooks record nothing where nobody calls them. */
static void turn_hooks_on(void)
{
	if (attached_is()) {
		heap_turn_off();
		return;
	}
	heap_set_rate(settings.heap_rate);
	heap_set_unseen(allocator_unseen());
	if (settings.heap_mmap && heap_is_on()) {
		heap_begin_mappings();
		map_turn_on();
	}
	block_set_rate(settings.block_rate);
	mutex_set_fraction(settings.mutex_fraction);
	locks_turn_on((block_rate() ? LOCKS_BLOCK : 0) | (mutex_fraction() ? LOCKS_MUTEX : 0),
		      settings.rwlock_readers ? lock_readers_record : NULL);
}

void profiler_hooks_begin(void)
{
	unsigned unseen = allocator_unseen();

	heap_begin_anew();
	contention_begin_anew();
	heap_set_unseen(unseen);
	heap_set_rate(unseen & HEAP_UNSEEN_MALLOC ? 0 : settings.heap_rate);
	block_set_rate(settings.block_rate);
	mutex_set_fraction(settings.mutex_fraction);
	locks_turn_on((block_rate() ? LOCKS_BLOCK : 0) | (mutex_fraction() ? LOCKS_MUTEX : 0),
		      NULL);
}

void profiler_hooks_end(void)
{
	locks_turn_on(0, NULL);
	block_set_rate(0);
	mutex_set_fraction(0);
	heap_set_rate(0);
}

static void enable_tree(void)
{
	if (has_endpoint() && (settings.tree || settings.out)) {
		takeover_enable_members();
		listener_enable_members();
	}
}

static void configure_routes(int argc, char **argv)
{
	static struct routes_config config;

	config = (struct routes_config){ .write_status = write_status,
					 .program = program_path(),
					 .cmdline = command_line,
					 .cmdline_len = attached_is_late()
								? read_arguments()
								: join_arguments(argc, argv),
					 .version = PPROFSHIM_VERSION,
					 .default_hz = settings.hz };
	if (has_endpoint() && settings.tree) {
		tree_init(settings.tree == SETTINGS_TREE_ANY);
		config.tree_id = socket_tree_id(settings.port);
		config.call_members = tree_call;
		config.has_forked = takeover_has_forked;
		config.is_member = tree_has;
		config.has_joined = tree_has_joined;
		config.why_no_member = tree_why_not;
		config.ended_unasked = family_unasked;
	}
	routes_init(&config);
}

void profiler_start(int argc, char **argv)
{
	own_stack_set_main(argv);
	sys_advise_bss();
	modules_init();
	eh_table_set_finder(objects_find_eh_frame);
	started_as_init(program_path());
	find_called_functions();
	last_thread_init();
	tell_init();
	if (attached_is())
		settings.out = NULL; /* no hook is in force, so nobody sees the end */
	if (settings.socket || settings.out)
		begin_files();
	enable_tree();
	takeover_init(profiler_on_ours);
	after_fork_enable(!attached_is()); /* children of those have nothing to do with us */
	births_turn_on(locks_own_tid);
	monotonic_use((clock_function)lookup_vdso("__vdso_clock_gettime"));
	turn_hooks_on();
	carrier_handle_ticks(tick_is_ours, tick_handle);
	configure_routes(argc, argv);
}

/* Before a constructor allocations are recorded, in case. */
void profiler_wake(int argc, char **argv)
{
	heap_begin_anew();
	contention_begin_anew();
	profiler_start(argc, argv);
}

void profiler_change_settings(void)
{
	socket_init(settings.socket, program_path());
	enable_tree();
	configure_routes(0, NULL);
}

/* The helpers of a program that has them are not to complain. */
static bool check_threads(void)
{
	if (!real_has_threads() && !ancestor_has_us())
		tell_user("the program was linked without threads, which before glibc 2.34 are a "
			  "library of their own; LD_PRELOAD=\"libpprofshim.so libpthread.so.0\" "
			  "adds it");
	return real_has_threads();
}

static bool is_defined(const char *name)
{
	return lookup_comes_earlier(name) || lookup_next(name);
}

/*
 * Valgrind runs all threads in one process with descriptors of its own, which
 * our thread would close.  Sanitizers know every thread and every allocation.
 */
static bool check_no_tool(void)
{
	if (lookup_has_object("/vgpreload_"))
		tell_user("the program runs under valgrind");
	else if (is_defined("__asan_init") || is_defined("__tsan_init") ||
		 is_defined("__msan_init"))
		tell_user("the program is built with a sanitizer");
	else
		return true;
	return false;
}

/* False: the shim stays dormant. */
static bool read_settings(char *const *environment)
{
	char buf[512];
	struct text complaint = TEXT_INIT(buf);
	enum settings_result result =
		settings_read(&settings, environment, program_path(), &complaint);
	char file[MODULE_PATH_MAX];

	if (result == SETTINGS_NOT_MEANT) { /* it may go by the name of its file, too */
		modules_program_file(file);
		result = settings_read(&settings, environment, file, &complaint);
	}
	switch (result) {
	case SETTINGS_OK:
		return true;
	case SETTINGS_BAD:
		tell_user(buf);
		return false;
	case SETTINGS_NOT_MEANT:
		break;
	}
	return false;
}

static bool check_fork_page(void)
{
	if (process_state_init() == 0)
		return true;
	tell_user("the kernel cannot wipe a page on fork (Linux 4.14 or newer does)");
	return false;
}

/* Once for a program and all that it starts. */
static void tell_unknown_settings(void)
{
	char buf[384];
	struct text t = TEXT_INIT(buf);

	if (!settings.unknown[0] || ancestor_has_us())
		return;
	text_str(&t, "no setting has this name, so it has no effect: ");
	text_str(&t, settings.unknown);
	tell_port(buf);
}

bool profiler_check(char *const *environment)
{
	bool works = read_settings(environment) && heed_filter() && check_threads() &&
		     check_no_tool() && check_fork_page();

	if (works)
		tell_unknown_settings();
	return works;
}

const struct settings *profiler_settings(void)
{
	return &settings;
}

bool profiler_read_settings(char *const *environment)
{
	return read_settings(environment);
}
