/*
 * pprof-attach PID: gives a running program the endpoint.
 *
 * The work is done by a child of this process, in a session of its own: whoever ends the
 * tool, by a signal or by closing its terminal, does not end what has a thread stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/sys.h"
#include "shim/attach/holder.h"
#include "shim/attach/load.h"
#include "shim/attach/refuse.h"
#include "shim/attach/request.h"
#include "shim/attach/target.h"

#define ANSWER_WAIT_NS (3 * NS_PER_SECOND) /* a member tries to have the port for a second */
#define LEAVE_WAIT_NS  (3 * NS_PER_SECOND) /* where it does not run, and else so many times: */
#define LEAVE_WAITS    10 /* an answer is finished first, and names of a JVM take their time */

/* With --tree: the processes below. */
static struct process_list below;

/* Until the block says something else than `now`, `ns` at most. */
static void wait_while(const struct target *t, struct attach_block *b, uint32_t now, int64_t ns)
{
	const struct timespec moment = { 0, 5000000 };
	int64_t until_ns = sys_now_ns() + ns;

	while (load_read_block(t, b) && b->state == now && sys_now_ns() < until_ns)
		nanosleep(&moment, NULL);
}

/* What a forked child has of its parent's block is not about the child. */
static bool is_about(const struct target *t, const struct attach_block *b)
{
	return b->pid == t->inner_pid;
}

static bool runs(const struct attach_block *b)
{
	return b->state == ATTACH_STARTING || b->state == ATTACH_SERVING ||
	       b->state == ATTACH_MEMBER;
}

/* ---- attach */

static void refuse_waiting(const struct request *r, const struct attach_block *b)
{
	char what[ATTACH_SOCKET_BYTES + 16];

	if (b->port)
		snprintf(what, sizeof(what), "port %u", b->port);
	else
		snprintf(what, sizeof(what), "the socket %s", b->socket);
	refuse(STATUS_PROGRAM,
	       "process %d waits for %s, which another process has, and has no endpoint until "
	       "that is free: end the other one, or %s",
	       r->pid, what,
	       !b->stays ? "detach, and attach with another --port"
	       : b->port ? "start it again with another PPROF_PORT"
			 : "start it again with another PPROF_SOCKET");
}

/* Its listener runs, and nobody can ask it. */
static void refuse_without_endpoint(const struct request *r, const struct attach_block *b,
				    int holder)
{
	if (!b->port && !*b->socket)
		refuse(STATUS_PROGRAM,
		       "process %d writes files only (PPROF_OUT), and has no port; for an "
		       "endpoint start it again with a key (ADMIN_KEY)",
		       r->pid);
	if (b->state == ATTACH_STARTING || (b->state == ATTACH_MEMBER && !holder))
		refuse_waiting(r, b);
}

static void tell_unheeded(const struct request *r, const struct attach_block *b)
{
	if (r->port_is_given && b->port && r->port != b->port)
		note("port %u was not taken: %s", r->port,
		     b->stays ? "to change it start the program again with another PPROF_PORT"
			      : "detach first to change it");
	if (r->hooks && !b->wants_hooks && !b->stays)
		note("it was attached to without --hooks: detach first to have them");
}

static void print_place(const struct request *r, const struct attach_block *b)
{
	char one[32] = "";

	if (b->state == ATTACH_MEMBER)
		snprintf(one, sizeof(one), "profile?pid=%d", r->pid);
	if (b->port)
		printf("http://127.0.0.1:%u/debug/pprof/%s\n", b->port, one);
	else if (*b->socket == '@')
		printf("curl --abstract-unix-socket '%s' 'http://localhost/debug/pprof/%s'\n",
		       b->socket + 1, one);
	else
		printf("curl --unix-socket '%s' 'http://localhost/debug/pprof/%s'\n", b->socket,
		       one);
}

/* Nothing was done to it; or it joined its tree, which has a key. */
static void tell_there(const struct target *t, const struct request *r,
		       const struct attach_block *b)
{
	int holder = b->state == ATTACH_MEMBER ? holder_find(t, b) : 0;

	refuse_without_endpoint(r, b, holder);
	tell_unheeded(r, b);
	if (b->state == ATTACH_MEMBER)
		printf("process %d is in the tree of process %d, which has one endpoint and one "
		       "key:\n",
		       r->pid, holder);
	else
		printf("process %d has its endpoint already%s, with the key that it was given "
		       "then:\n",
		       r->pid, b->stays ? ", since it was started" : "");
	print_place(r, b);
}

/* What the library says once it is there: NULL, or a sentence. */
static const char *await(const struct target *t, struct attach_block *b, unsigned port)
{
	wait_while(t, b, ATTACH_STARTING, ANSWER_WAIT_NS);
	if (b->state == ATTACH_STARTING)
		note("port %u is taken; process %d tries it again every half second, and until "
		     "then has "
		     "no endpoint",
		     port, t->pid);
	else if (b->state != ATTACH_SERVING && b->state != ATTACH_MEMBER)
		return say("process %d: %s", t->pid,
			   *b->sentence ? b->sentence : "the library did not start");
	return NULL;
}

/* It has its listener, and it is known by now what that has. */
static bool is_there(const struct target *t, struct attach_block *b)
{
	if (!t->has_library || !load_read_block(t, b) || !is_about(t, b))
		return false;
	wait_while(t, b, ATTACH_STARTING, ANSWER_WAIT_NS);
	return runs(b);
}

/* Forked by what has had the library from its start: it joins, whatever is asked for. */
static bool is_of_a_tree(const struct target *t)
{
	struct attach_block b;

	return t->has_library && load_read_block(t, &b) && b.stays && !is_about(t, &b) && runs(&b);
}

static void tell_done(const struct target *t, const struct attach_block *b, int64_t stopped_ns)
{
	if (b->stays && b->state != ATTACH_MEMBER)
		note("woke the library in process %d (%s), which was dormant since its start and "
		     "stays now; one thread was stopped for %.2f ms",
		     t->pid, target_name(t->pid), (double)stopped_ns / NS_PER_MS);
	else
		note("attached to process %d (%s); one thread was stopped for %.2f ms", t->pid,
		     target_name(t->pid), (double)stopped_ns / NS_PER_MS);
}

/* NULL, or why not; true in *was_there if nothing had to be done. */
static const char *attach_one(struct target *t, const struct request *r, unsigned port,
			      struct attach_block *b, bool *was_there)
{
	int64_t stopped_ns = 0;
	const char *why = NULL;

	*was_there = is_there(t, b);
	if (!*was_there)
		why = load_library(t, r, port, &stopped_ns);
	if (*was_there || why)
		return why;
	why = await(t, b, port);
	if (!why && r->hooks && !b->hooked && b->closed)
		note("no import table of process %d could be changed; there are no heap, block and "
		     "mutex profiles",
		     t->pid);
	if (!why)
		tell_done(t, b, stopped_ns);
	return why;
}

/* It answers by the port of the process above it: one that cannot is told, and left out. */
static void attach_below(int pid, const struct request *r, unsigned port)
{
	struct attach_block b;
	struct target t;
	bool was_there;
	const char *why = target_look(&t, pid);

	if (!why)
		why = attach_one(&t, r, port, &b, &was_there);
	if (why)
		note("%s", why);
}

/* Where a profile would be empty for a reason that does not meet the eye. */
static void tell_where_the_work_may_be(const struct request *r)
{
	if (!r->tree)
		target_list_below(r->pid, &below);
	if (!r->tree && below.count)
		note("%zu processes below it are not attached to; with --tree they are",
		     below.count);
	if (!target_has_our_network(r->pid))
		note("the port is in the process's own network: nsenter -t %d -n curl ... reaches "
		     "it",
		     r->pid);
}

static int attach(struct target *t, const struct request *r)
{
	struct attach_block b = { 0 };
	bool was_there;
	const char *why;

	if (!is_there(t, &b) && !is_of_a_tree(t) && target_port_is_taken(r->pid, r->port))
		refuse(STATUS_REQUEST,
		       "port %u is taken by another process; choose a free one with --port",
		       r->port);
	why = attach_one(t, r, r->port, &b, &was_there);
	if (why)
		refuse(STATUS_PROGRAM, "%s", why);
	for (size_t i = 0; i < below.count; i++)
		attach_below(below.pid[i], r, b.port ? b.port : r->port);
	if (was_there || (b.stays && b.state == ATTACH_MEMBER))
		tell_there(t, r, &b);
	else
		request_tell(r, b.port ? b.port : r->port, !b.stays);
	tell_where_the_work_may_be(r);
	return 0;
}

/* ---- detach */

/* Before the profiler's thread goes, or later; without it they only pass on. */
static void give_hooks_back(struct target *t)
{
	const char *why = load_unhook(t);

	if (why)
		note("%s", why);
	if (why)
		note("calls that were hooked still go through the library, which only passes them "
		     "on; detach again to give them back");
}

static bool has_hooks(const struct target *t)
{
	struct attach_block b;

	return t->has_library && load_read_block(t, &b) && is_about(t, &b) && b.hooked;
}

static const char *gone(const struct target *t)
{
	return say("process %d ended, or became another program", t->pid);
}

/* For a member may have become the one with the port meanwhile. */
static bool wait_until_detached(const struct target *t, struct attach_block *b)
{
	int64_t until_ns = sys_now_ns() + LEAVE_WAIT_NS;
	bool is_read;

	while ((is_read = load_read_block(t, b)) && b->state != ATTACH_DETACHED &&
	       sys_now_ns() < until_ns)
		wait_while(t, b, b->state, until_ns - sys_now_ns());
	return is_read && b->state == ATTACH_DETACHED;
}

/* NULL, or why not. */
static const char *await_end(const struct target *t, struct attach_block *b)
{
	for (int i = 0; i < LEAVE_WAITS; i++) {
		if (wait_until_detached(t, b))
			return NULL;
		if (!load_read_block(t, b))
			return gone(t);
		if (target_is_stopped(t->pid))
			break;
	}
	return say("the profiler's thread in process %d does not end; it may be stopped", t->pid);
}

/* NULL, or why not. */
static const char *detach_one(struct target *t)
{
	struct attach_block b = { 0 };
	bool had_hooks = has_hooks(t);
	const char *why;

	if (had_hooks)
		give_hooks_back(t);
	if (!is_there(t, &b) && had_hooks && !has_hooks(t))
		return NULL;
	if (!is_there(t, &b))
		return say("process %d (%s) is not attached to", t->pid, target_name(t->pid));
	if (b.stays)
		return say(
			"process %d (%s) was started with the profiler, which stays until it ends",
			t->pid, target_name(t->pid));
	if (!load_ask_to_leave(t, &b))
		return load_read_block(t, &b) ? target_refusal(t, errno) : gone(t);
	why = await_end(t, &b);
	if (!why)
		note("detached from process %d (%s)", t->pid, target_name(t->pid));
	return why;
}

static int detach(struct target *t)
{
	const char *why = detach_one(t);
	struct attach_block b;

	if (why)
		refuse(is_there(t, &b) ? STATUS_PROGRAM : STATUS_REQUEST, "%s", why);
	return 0;
}

/* Those that were not attached to need not be told. */
static void detach_below(void)
{
	struct attach_block b;
	struct target t;

	for (size_t i = 0; i < below.count; i++) {
		if (!target_look(&t, below.pid[i]) && is_there(&t, &b) && !b.stays)
			detach_one(&t);
	}
}

/* ---- */

/* One tool at a time: the next finds what this one did.  Until this process ends. */
static void take_turn(int pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
		;
}

static int work(const struct request *r)
{
	struct target t;
	const char *why;

	take_turn(r->pid);
	why = target_look(&t, r->pid);
	if (why)
		refuse(STATUS_PROGRAM, "%s", why);
	if (r->tree)
		target_list_below(r->pid, &below);
	if (!r->detach)
		return attach(&t, r);
	detach_below();
	return detach(&t);
}

/* And first in line for a processor, where it may: a thread of the program waits for us. */
static void hurry_undisturbed(void)
{
	sigset_t all;

	setpriority(PRIO_PROCESS, 0, -20);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

int main(int argc, char **argv)
{
	struct request r;
	int status;
	pid_t child;

	request_read(&r, argc, argv);
	fflush(NULL);
	child = fork();
	if (child < 0)
		refuse(STATUS_PROGRAM, "no process could be started: try again");
	if (child == 0) {
		setsid();
		hurry_undisturbed();
		exit(work(&r));
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_PROGRAM;
}
