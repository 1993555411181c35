#include "shim/late.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "sampler/base/cc.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/cpu/carrier.h"
#include "sampler/cpu/cpu.h"
#include "sampler/process/attached.h"
#include "sampler/process/peek.h"
#include "sampler/symbols/jit_names.h"
#include "sampler/symbols/symbol_cache.h"
#include "sampler/threads/dump.h"
#include "shim/attach_block.h"
#include "shim/late_hooks.h"
#include "shim/life/after_fork.h"
#include "shim/life/family.h"
#include "shim/life/listener.h"
#include "shim/life/port.h"
#include "shim/life/privileges.h"
#include "shim/life/socket.h"
#include "shim/life/takeover.h"
#include "shim/life/tell.h"
#include "shim/profiler.h"
#include "shim/real/loader_lock.h"
#include "shim/real/lookup.h"
#include "shim/real/slots.h"

/* Who leaves sends what there is of profiles under way first, and looks so often whether it has. */
#define ANSWERS_NS	(3 * NS_PER_SECOND)
#define ANSWERS_LOOK_NS (5 * NS_PER_MS)

#define VARIABLES_MAX 32
#define ENTER_LOOKS   1000

/* When memory that is kept for a next profile is not any more. */
#define LATER_NS (120 * NS_PER_SECOND)

/* In the data that is written to, as is what the tool writes. */
EXPORT struct attach_block pprofshim_attach_block = { .version = ATTACH_VERSION };
EXPORT int pprofshim_attach(void);
EXPORT int pprofshim_unhook(void);

static struct attach_block *const block = &pprofshim_attach_block;

static struct {
	int argc; /* as the constructor got them */
	char **argv;
	bool has_started, is_done;
	int64_t leaves_ns; /* since when it is to leave; 0: it is not */
} late;

static void set_state(enum attach_state state)
{
	__atomic_store_n(&block->state, state, __ATOMIC_RELEASE);
}

bool late_is_handed_over(int argc, char **argv)
{
	const char *name = lookup_own_name(), *slash = strrchr(name, '/');

	if (!slash || slash == name || slash[-1] != '/')
		return false;
	lookup_from_first();
	late.argc = argc;
	late.argv = argv;
	return true;
}

static void say(const char *sentence)
{
	struct text t = TEXT_INIT(block->sentence);

	text_str(&t, sentence);
}

void late_expect_tool(int argc, char **argv)
{
	block->stays = 1;
	late.argc = argc;
	late.argv = argv;
	tell_also(say);
}

/* ---- on the listener's thread */

/* A survivor that took over has the block of who had it before. */
static void note_process(void)
{
	if (block->thread == listener_thread())
		return;
	block->thread = listener_thread();
	block->pid = sys_getpid();
}

/* The socket that is, of a member, the tree's. */
static bool has_socket(void)
{
	return socket_is_wanted() && (socket_error() == 0 || socket_error() == -EADDRINUSE);
}

static void note_socket(const char *path)
{
	struct text t = TEXT_INIT(block->socket);

	if (strcmp(block->socket, path) != 0)
		text_str(&t, path);
}

static void note_place(void)
{
	note_process();
	block->port = port_configured() && listener_has_endpoint() ? port_now() : 0;
	if (has_socket())
		note_socket(socket_path());
	set_state(listener_is_serving() ? ATTACH_SERVING : ATTACH_MEMBER);
}

static int64_t do_due(int64_t now_ns)
{
	note_place();
	return profiler_service.do_due(now_ns);
}

const struct http_service *late_service_of_preloaded(void)
{
	static struct http_service service;

	service = profiler_service;
	service.do_due = do_due;
	block->port = profiler_settings()->port;
	block->pid = sys_getpid();
	late.has_started = true;
	set_state(ATTACH_STARTING);
	return &service;
}

void late_note_outcome(enum listener_outcome outcome)
{
	if (outcome == LISTENER_REFUSED || outcome == LISTENER_NO_THREAD)
		set_state(ATTACH_DORMANT);
}

static const char changed[] = "The program changed its user, capabilities or filters, and so the "
			      "profiler leaves; attach again.";

/* As POST stop does: their clients have waited for them. */
static bool answers_are_sent(int64_t now_ns, int64_t *again_ns)
{
	bool is_first = !late.leaves_ns;

	if (is_first)
		late.leaves_ns = now_ns;
	if (!listener_hurry() || now_ns - late.leaves_ns > ANSWERS_NS)
		return true;
	*again_ns = MIN(*again_ns, is_first ? now_ns : now_ns + ANSWERS_LOOK_NS);
	return false;
}

static bool should_go(int64_t now_ns, int64_t *again_ns)
{
	if (__atomic_load_n(&block->wants_leave, __ATOMIC_ACQUIRE))
		return answers_are_sent(now_ns, again_ns);
	if (!privileges_seem_changed(now_ns))
		return false;
	say(changed);
	return true;
}

/* Nothing is done with rights that the program has given up. */
static void serve(struct http_exchange *x, const struct http_request *r)
{
	if (privileges_have_changed())
		http_error(x, 503, changed);
	else
		profiler_service.serve(x, r);
}

static void on_lost(int err)
{
	if (err == -EPERM)
		say("the kernel refuses a private descriptor table or a socket on 127.0.0.1");
}

static bool wants_hooks(void)
{
	return __atomic_load_n(&block->wants_hooks, __ATOMIC_RELAXED);
}

/* Connections are closed, so no profile runs, and no timer. */
static void at_end(void)
{
	if (wants_hooks())
		profiler_hooks_end(); /* they only pass on, until they are given back */
	cpu_do_due(sys_now_ns() + LATER_NS);
	symbol_cache_do_due(sys_now_ns() + LATER_NS);
	jit_names_do_due(sys_now_ns() + LATER_NS);
	dump_do_due(sys_now_ns() + LATER_NS);
	peek_release();
	family_leave();
	process_moves(PROCESS_LISTENER_ENDED);
	set_state(ATTACH_DETACHED);
}

/* ---- on the thread that the tool stopped */

/* The settings as an environment. */
static void split_settings(char *variable[VARIABLES_MAX])
{
	char *at = block->settings, *limit = at + sizeof(block->settings) - 1;
	size_t n = 0;

	*limit = '\0';
	while (at < limit && *at && n < VARIABLES_MAX - 1) {
		variable[n++] = at;
		at += strlen(at) + 1;
	}
	variable[n] = NULL;
}

static void wipe_settings(void)
{
	memset(block->settings, 0, sizeof(block->settings));
	__asm__ volatile("" : : "r"(block->settings) : "memory"); /* the key stays in one place */
}

static bool is_only_copy(void)
{
	if (!lookup_next("pprofshim_marker"))
		return true;
	say("another copy of libpprofshim.so is in the program already");
	return false;
}

static bool start_first(char *const *environment)
{
	tell_instead(say);
	if (!is_only_copy() || !profiler_check(environment))
		return false;
	attached_note(wants_hooks());
	profiler_start(late.argc, late.argv);
	family_keep_from_children();
	listener_end_when(should_go);
	listener_call_at_end(at_end);
	late.has_started = true;
	return true;
}

/* A hook that its parent left may be in the middle of it. */
static void enter_child(void)
{
	after_fork_enable(true);
	after_fork_enter();
	for (int i = 0; i < ENTER_LOOKS && !process_is_in_order(); i++)
		sys_call3(SYS_sched_yield, 0, 0, 0);
	after_fork_enable(false);
}

/* Or, in a forked child, for the first time there. */
static bool start_again(char *const *environment)
{
	enter_child();
	if (!profiler_read_settings(environment))
		return false;
	family_init(); /* what there was is left, or was kept from this child */
	family_keep_from_children();
	attached_note(wants_hooks());
	profiler_change_settings();
	return true;
}

static bool start_listener(const struct http_service *service)
{
	const struct listener_succession succession = { .patience_ns = LISTENER_FOR_EVER,
							.on_port = profiler_on_ours,
							.on_member = profiler_on_ours,
							.on_lost = on_lost };
	const struct settings *s = profiler_settings();

	block->port = s->port;
	set_state(ATTACH_STARTING);
	if (!listener_begin(s->port, s->key, service, &succession)) {
		say("no thread could be started");
		family_leave();
		return false;
	}
	block->thread = listener_thread();
	return true;
}

static bool start_attached(void)
{
	static struct http_service service;

	service = profiler_service;
	service.serve = serve;
	service.do_due = do_due;
	privileges_note();
	block->wants_stacks = carrier_know_no_stacks(&block->stacks);
	return start_listener(&service);
}

/*
 * A child has those of its parent, and may be attached to without any; and where no page can be
 * opened, or /proc not read, there are none.
 */
static void settle_hooks(void)
{
	if (wants_hooks())
		late_hooks_begin();
	block->closed = (uint32_t)slots_found()->closed;
	if (slots_found()->ours ? !wants_hooks() : block->closed != 0) {
		late_hooks_end();
		attached_note(false);
	}
	block->hooked = (uint32_t)slots_found()->ours;
}

/* ---- preloaded */

/* With the settings of the tool in the place of those that made no sense. */
static bool wake(char *const *environment)
{
	tell_instead(say);
	enter_child();
	if (!profiler_check(environment))
		return false;
	attached_note_woken();
	profiler_wake(late.argc, late.argv);
	return start_listener(late_service_of_preloaded());
}

/* It sleeps, so no hook will have it look whether it is asked. */
static bool join_tree(void)
{
	after_fork_enter();
	if (process_is_in_order()) {
		takeover_join_early();
		set_state(ATTACH_STARTING);
		takeover_look(true);
	}
	if (listener_is_running())
		return true;
	say("it was forked by a program that has the profiler, and has none itself, since "
	    "PPROF_TREE is 0 there, or no thread could be started; start that again without "
	    "PPROF_TREE=0");
	return false;
}

static bool wake_preloaded(char *const *environment)
{
	if (sandbox_is_noted())
		say("it put itself under a system-call filter; start it again with pprof-inject");
	else if (!late.has_started)
		return wake(environment);
	else if (process_state() == PROCESS_OURS)
		say("its profiler ended; start it again with pprof-inject");
	else
		return join_tree();
	return false;
}

/* ---- */

static bool attach(void)
{
	char *environment[VARIABLES_MAX];

	if (!late.argv) {
		say("it loaded libpprofshim.so itself, or a second copy, or runs with privileges "
		    "of its file, and so cannot have the profiler; start it with pprof-inject");
		return false;
	}
	split_settings(environment);
	if (block->stays)
		return wake_preloaded(environment);
	if (!(late.has_started ? start_again(environment) : start_first(environment)))
		return false;
	settle_hooks();
	return start_attached();
}

static void attach_at_rest(void)
{
	block->wants_leave = 0;
	late.leaves_ns = 0;
	block->stacks = CARRIER_STACKS_UNSEEN;
	block->sentence[0] = block->socket[0] = '\0';
	block->pid = sys_getpid();
	late.is_done = attach();
	wipe_settings();
	if (!late.is_done && block->state == ATTACH_STARTING)
		set_state(block->stays ? ATTACH_DORMANT : ATTACH_DETACHED);
}

/* Before glibc 2.34 dlsym() was in a library that a program may not have. */
static bool attach_without_lock(void)
{
	if (wants_hooks())
		say("the program has no dlsym, so its loader cannot be held while hooks come into "
		    "force; attach without --hooks");
	else
		attach_at_rest();
	return late.is_done;
}

/*
 * Called by pprof-attach on a thread of the program that waits in the kernel, with all
 * signals blocked.  0, or 1 and a sentence in the block.  Context: init.
 */
int pprofshim_attach(void)
{
	if (late.has_started && block->pid == sys_getpid() && listener_is_running())
		return 0;
	late.is_done = false;
	if (!loader_lock_hold(attach_at_rest))
		attach_without_lock();
	return late.is_done ? 0 : 1;
}

static void unhook_at_rest(void)
{
	late_hooks_end();
	block->hooked = (uint32_t)slots_found()->ours;
}

/* The same for the hooks: all calls lead where they led before.  0, or 1. */
int pprofshim_unhook(void)
{
	return loader_lock_hold(unhook_at_rest) && !block->hooked ? 0 : 1;
}
