/*
 * pprof-attach PID: gives a running program the endpoint.
 *
 * The work is done by a child of this process, in a session of its own: whoever ends the
 * tool, by a signal or by closing its terminal, does not end what has a thread stopped.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attach/load.h"
#include "attach/refuse.h"
#include "attach/request.h"
#include "attach/target.h"
#include "sampler/base/sys.h"

#define ANSWER_WAIT_NS NS_PER_SECOND
#define LEAVE_WAIT_NS  (3 * NS_PER_SECOND)

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
	return b->state == ATTACH_PRELOADED || b->state == ATTACH_STARTING ||
	       b->state == ATTACH_SERVING || b->state == ATTACH_MEMBER;
}

/* ---- attach */

static void tell_there(const struct request *r, const struct attach_block *b)
{
	printf("process %d has its endpoint already%s, with the key that it was given then:\n"
	       "http://127.0.0.1:%u/debug/pprof/\n",
	       r->pid, b->state == ATTACH_PRELOADED ? ", since it was started" : "", b->port);
}

static int tell_result(const struct target *t, const struct request *r, int64_t stopped_ns)
{
	struct attach_block b;

	wait_while(t, &b, ATTACH_STARTING, ANSWER_WAIT_NS);
	if (b.state == ATTACH_STARTING)
		note("port %u is taken; it is tried again every half second, and until then there "
		     "is "
		     "no endpoint",
		     r->port);
	else if (b.state != ATTACH_SERVING && b.state != ATTACH_MEMBER)
		refuse(STATUS_PROGRAM, "process %d: %s", r->pid,
		       *b.sentence ? b.sentence : "the library did not start");
	note("attached to process %d (%s); one thread was stopped for %.2f ms", r->pid,
	     target_name(r->pid), (double)stopped_ns / NS_PER_MS);
	request_tell(r, b.port);
	return 0;
}

static int attach(struct target *t, const struct request *r)
{
	struct attach_block b = { 0 };
	int64_t stopped_ns = 0;
	const char *why;

	if (t->has_library && load_read_block(t, &b) && is_about(t, &b) && runs(&b)) {
		tell_there(r, &b);
		return 0;
	}
	if (target_port_is_taken(r->pid, r->port))
		refuse(STATUS_REQUEST,
		       "port %u is taken by another process; choose a free one with --port",
		       r->port);
	why = load_library(t, r, &stopped_ns);
	if (why)
		refuse(STATUS_PROGRAM, "%s", why);
	return tell_result(t, r, stopped_ns);
}

/* ---- detach */

static int detach(const struct target *t, const struct request *r)
{
	struct attach_block b = { 0 };

	if (!t->has_library || !load_read_block(t, &b) || !is_about(t, &b) || !runs(&b))
		refuse(STATUS_REQUEST, "process %d (%s) is not attached to", r->pid,
		       target_name(r->pid));
	if (b.state == ATTACH_PRELOADED)
		refuse(STATUS_PROGRAM,
		       "process %d (%s) was started with the profiler, which stays until it ends",
		       r->pid, target_name(r->pid));
	if (!load_ask_to_leave(t, &b))
		refuse(STATUS_PROGRAM, "%s", target_refusal(t, errno));
	wait_while(t, &b, b.state, LEAVE_WAIT_NS);
	if (b.state != ATTACH_DETACHED)
		refuse(STATUS_PROGRAM,
		       "the profiler's thread in process %d does not end; it may be "
		       "stopped",
		       r->pid);
	note("detached from process %d (%s)", r->pid, target_name(r->pid));
	return 0;
}

/* ---- */

static int work(const struct request *r)
{
	struct target t;
	const char *why = target_look(&t, r->pid);

	if (why)
		refuse(STATUS_PROGRAM, "%s", why);
	return r->detach ? detach(&t, r) : attach(&t, r);
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
