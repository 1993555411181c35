#include "shim/life/takeover.h"
#include "sampler/heap/heap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sampler/base/cc.h"
#include "sampler/base/monotonic.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/turn.h"
#include "sampler/cpu/nursery.h"
#include "shim/life/family.h"
#include "shim/life/listener.h"
#include "shim/life/tell.h"

/* Longer than any daemon's first process waits for its child to be ready. */
#define YOUNG_NS (10 * NS_PER_SECOND)
/* The parent's end is on its way through the kernel; the port comes free in it. */
#define PATIENCE_NS (5 * NS_PER_SECOND)
#define NEWBORN_NS  (200 * NS_PER_MS)
/* While somebody else has the port. */
#define FIRST_PAUSE_NS	 NS_PER_SECOND
#define LONGEST_PAUSE_NS (64 * NS_PER_SECOND)

/* Inherited by children, and then theirs. */
static struct {
	void (*on_ours)(void);
	int self;	      /* this process; in a child that has not entered, its parent */
	int parent;	      /* what `self` was when this process was forked */
	int holder;	      /* the last process that had the port */
	int predecessor;      /* who that was before this one, 0 */
	bool ancestor_served; /* one had waited as servers do before it forked */
	bool was_awaited;     /* an end was waited for, in vain */
	bool paused;	      /* the listener is away, see listener_pause_begin() */
	bool was_told;	      /* that a call is refused */
	_Atomic(const char *) refused; /* the call for which our thread gave up */
	bool has_members;	       /* children that are asked become members */
	bool records;		       /* children have a listener, asked or not */
	bool is_member;		       /* its listener is, or was last, a member's */
	bool is_told;		       /* that it ends, and was never asked */
	bool is_early;		       /* is a member without being asked, and stays one */
	bool rests;		       /* a member whose listener ended, because nobody asked */
	unsigned calls_seen;	       /* see family_has_called() */
	int64_t entered_ns;
	int64_t await_until_ns;
	_Atomic int64_t next_try_ns;
	_Atomic int64_t pause_ns;
	struct turns turns;
} takeover;

bool takeover_has_served;
static atomic_bool has_forked;

/* On the listener's thread, which has no stderr: the next wait of the program says it. */
static void on_refused(const char *call)
{
	atomic_store(&takeover.refused, call);
	process_moves(PROCESS_LISTENER_ENDED);
	process_moves(PROCESS_FILTERED);
}

void takeover_enable_members(void)
{
	takeover.has_members = true;
}

void takeover_keep_recording(void)
{
	takeover.records = true;
}

void takeover_init(void (*on_ours)(void))
{
	takeover.on_ours = on_ours;
	takeover.self = takeover.holder = sys_getpid();
	takeover.pause_ns = FIRST_PAUSE_NS;
	listener_report_refusal(on_refused);
	family_init();
}

void takeover_after_fork(void)
{
	takeover.parent = takeover.self;
	takeover.self = sys_getpid();
	takeover.ancestor_served |= takeover_has_served;
	takeover_has_served = false;
	atomic_store(&has_forked, false);
	takeover.was_awaited = takeover.paused = takeover.is_member = takeover.rests = false;
	takeover.is_told = takeover.is_early = false;
	takeover.entered_ns = sys_now_ns();
	takeover.next_try_ns = 0;
	takeover.pause_ns = FIRST_PAUSE_NS;
	takeover.turns = (struct turns){ 0 };
}

/* ---- the parent */

/* In a pid namespace of its own a child does not see its parent, and is left alone. */
static bool parent_is_gone(void)
{
	int parent = (int)sys_call3(SYS_getppid, 0, 0, 0);

	return parent != takeover.parent && parent != 0;
}

/* The holder may be another ancestor, or a zombie that nobody waits for: tried, but not at once. */
static bool holder_is_there(void)
{
	return takeover.holder != takeover.parent &&
	       sys_call3(SYS_kill, takeover.holder, 0, 0) != -ESRCH;
}

static bool is_in_session_of(int pid)
{
	return sys_call3(SYS_getsid, 0, 0, 0) == sys_call3(SYS_getsid, pid, 0, 0);
}

/* See takeover.h. */
static bool is_to_end(int ancestor)
{
	return !takeover.was_awaited &&
	       (family_is_leaving(ancestor) ||
		(!takeover.ancestor_served && !is_in_session_of(ancestor)));
}

void takeover_settle(void)
{
	if (!takeover.has_members && process_state() == PROCESS_YOUNG && !sandbox_is_noted() &&
	    !process_is_borrowed() && sys_now_ns() - takeover.entered_ns > YOUNG_NS &&
	    !parent_is_gone())
		process_moves(PROCESS_TEN_SECONDS);
}

void takeover_note_fork(void)
{
	if (!atomic_load_explicit(&has_forked, memory_order_relaxed))
		atomic_store_explicit(&has_forked, true, memory_order_relaxed);
}

bool takeover_has_forked(void)
{
	return atomic_load_explicit(&has_forked, memory_order_relaxed);
}

void takeover_note_exit(void)
{
	if (!sandbox_is_noted() && !process_is_borrowed() && process_is_in_order())
		family_note_leaving(takeover.self);
}

/* It has recorded, and what it recorded goes with it.  By exit, and by what that registered. */
static void tell_unasked(void)
{
	if (takeover.is_told || !takeover.has_members)
		return;
	takeover.is_told = true;
	family_note_unasked(heap_allocated());
}

void takeover_finish(void)
{
	if (sandbox_is_noted() || process_is_borrowed())
		return;
	if (process_is_ours())
		listener_finish();
	else if (process_state() == PROCESS_YOUNG)
		tell_unasked();
}

/* ---- taking over */

/*
 * Who was forked a moment ago and ticks for its parent's profile may be gone before a listener
 * of its own is of any use, which costs more than many a backend does in its life.
 */
static bool may_be_gone_soon(void)
{
	return nursery_is_joined() && sys_now_ns() - takeover.entered_ns < NEWBORN_NS;
}

static bool is_wanted(void)
{
	return takeover.has_members &&
	       (takeover.is_early || (family_is_asked() && !may_be_gone_soon()));
}

void takeover_join_early(void)
{
	takeover.is_early = true;
}

/* Why this child does, or does not, start its listener now: the one place that decides. */
static enum takeover_reason decide(bool is_long)
{
	int64_t now;

	if (sandbox_is_noted())
		return TAKEOVER_FILTERED;
	if (process_is_borrowed())
		return TAKEOVER_BORROWED;
	if (atomic_load(&takeover.refused))
		return TAKEOVER_REFUSED;
	if (listener_is_running())
		return TAKEOVER_SERVES;
	if (takeover.records)
		return takeover.has_members ? TAKEOVER_JOINS : TAKEOVER_RECORDS;
	if (!parent_is_gone() && is_long && is_to_end(takeover.parent))
		return TAKEOVER_PARENT_ENDS;
	if (!parent_is_gone())
		return is_wanted()	? TAKEOVER_JOINS
		       : takeover.rests ? TAKEOVER_RESTS
					: TAKEOVER_PARENT_LIVES;
	if (is_long && holder_is_there() && is_to_end(takeover.holder))
		return TAKEOVER_HOLDER_ENDS;
	now = sys_now_ns();
	if (takeover.next_try_ns == 0 && holder_is_there())
		takeover.next_try_ns = now + FIRST_PAUSE_NS;
	if (now >= takeover.next_try_ns)
		return TAKEOVER_TAKES_OVER;
	return is_wanted() ? TAKEOVER_JOINS : TAKEOVER_PORT_TAKEN;
}

static void note(enum takeover_reason reason)
{
	family_note_reason(takeover.self, (int)reason);
}

/* On the new listener's thread, with the port. */
static void on_port(void)
{
	takeover.predecessor = takeover.holder;
	takeover.holder = takeover.self;
	takeover.is_member = takeover.rests = false;
	note(TAKEOVER_SERVES);
	takeover.on_ours();
}

static void try_later(enum takeover_reason reason)
{
	int64_t pause = takeover.pause_ns;

	note(reason);
	takeover.next_try_ns = sys_now_ns() + pause;
	takeover.pause_ns = MIN(2 * pause, LONGEST_PAUSE_NS);
}

/* On the listener's thread, as its last act but one. */
static void on_lost(int err)
{
	if (err == -EINTR)
		return;
	takeover.was_awaited = true;
	if (err == -ECANCELED)
		note(TAKEOVER_PARENT_LIVES);
	else
		try_later(TAKEOVER_PORT_TAKEN);
}

/* ---- members */

static void on_member(void)
{
	takeover.is_member = true;
	takeover.rests = false;
	note(TAKEOVER_JOINS);
	takeover.on_ours();
}

/* Nobody asks any more: the process goes on without us, and its heap is recorded. */
static void on_member_over(int err)
{
	if (err == -EINTR)
		return;
	takeover.rests = process_moves(PROCESS_LISTENER_ENDED);
	note(takeover.rests ? TAKEOVER_RESTS : TAKEOVER_NO_THREAD);
}

/* The parent, whose end a child waits for, and the process that has the port. */
static bool may_have_port(void)
{
	return parent_is_gone() && !holder_is_there();
}

static bool join(void)
{
#define AS_MEMBER                                                                                  \
	.joins = true, .may_have_port = may_have_port, .on_member = on_member, .on_port = on_port, \
	.on_lost = on_member_over
	static const struct listener_succession as_member = { AS_MEMBER };
	static const struct listener_succession to_stay = { AS_MEMBER, .stays = true };
#undef AS_MEMBER

	return listener_take_over(takeover.is_early ? &to_stay : &as_member);
}

static enum listener_wish await_parent(void)
{
	if (parent_is_gone())
		return LISTENER_GO;
	return sys_now_ns() < takeover.await_until_ns ? LISTENER_WAIT : LISTENER_LEAVE;
}

/* Not on the program's stack, which may be small. */
static const struct listener_succession at_once = { .on_port = on_port, .on_lost = on_lost };
/* Its end shows by the port. */
static const struct listener_succession after_holder = { .patience_ns = YOUNG_NS,
							 .on_port = on_port,
							 .on_lost = on_lost };
static const struct listener_succession after_parent = {
	.wish = await_parent, .patience_ns = PATIENCE_NS, .on_port = on_port, .on_lost = on_lost
};

static void start(const struct listener_succession *how)
{
	takeover.await_until_ns = sys_now_ns() + YOUNG_NS;
	if (!listener_take_over(how))
		try_later(TAKEOVER_NO_THREAD);
}

/* What is refused may be killed for in the next call: hooks make none from here on. */
static void tell_refused(void)
{
	if (!takeover.was_told)
		tell_user_late("our thread ended, because the kernel refuses it ",
			       atomic_load(&takeover.refused));
	takeover.was_told = true;
	sandbox_note();
}

/*
 * To ask for the parent costs half an empty epoll_wait.  A child that waits 256 times
 * in its first moments looks each time; one that serves thousands of requests a second
 * does not notice.
 */
#define TURN_NS	   (100 * NS_PER_MS)
#define TURN_BURST 256

bool takeover_is_to_look(void)
{
	int64_t now = monotonic_coarse_ns();

	if (family_has_called(takeover.calls_seen) && process_is_in_order())
		return true;
	return now && process_is_in_order() && turn_take(&takeover.turns, now, TURN_NS, TURN_BURST);
}

void takeover_look(bool is_long)
{
	enum takeover_reason reason;
	int saved = errno;

	takeover.calls_seen = family_calls ? atomic_load(family_calls) : 0;
	if (process_state() == PROCESS_PAUSED && !takeover.rests) {
		listener_pause_end();
	} else {
		reason = decide(is_long);
		if (reason != TAKEOVER_BORROWED)
			note(reason);
		if (reason == TAKEOVER_REFUSED)
			tell_refused();
		else if (reason == TAKEOVER_TAKES_OVER || reason == TAKEOVER_RECORDS)
			start(&at_once);
		else if (reason == TAKEOVER_PARENT_ENDS)
			start(&after_parent);
		else if (reason == TAKEOVER_HOLDER_ENDS)
			start(&after_holder);
		else if (reason == TAKEOVER_JOINS && !join())
			note(TAKEOVER_NO_THREAD);
	}
	errno = saved;
}

void takeover_record(void)
{
	if (takeover.records && process_is_in_order() && !process_is_ours())
		takeover_look(false);
}

void takeover_heed_call(void)
{
	if (family_has_called(takeover.calls_seen) && process_is_in_order() && !process_is_ours())
		takeover_look(false);
}

void takeover_expect_end(void)
{
	if (!process_is_in_order() || process_is_ours() || sandbox_is_noted() ||
	    process_is_borrowed() || listener_is_running())
		return;
	note(TAKEOVER_PARENT_ENDS);
	start(&after_parent);
}

/* ---- the listener out of the way for a moment */

/* Also one that is on its way, or that waits for the parent's end. */
void listener_pause_begin(void)
{
	int saved = errno;

	if (!process_is_in_order() || sandbox_is_noted() || process_is_borrowed() ||
	    !listener_is_running())
		return;
	listener_end(); /* or it ends a little later, and is started again all the same */
	process_moves(PROCESS_LISTENER_ENDED);
	takeover.paused = true;
	errno = saved;
}

static void on_port_again(void)
{
	process_moves(PROCESS_LISTENER_BACK);
	takeover.pause_ns = FIRST_PAUSE_NS;
	takeover.paused = false;
	takeover.on_ours();
}

static void on_lost_again(int err)
{
	if (err != -EINTR)
		try_later(TAKEOVER_PORT_TAKEN);
}

static void start_again(void)
{
	static const struct listener_succession again = { .patience_ns = LISTENER_FOR_EVER,
							  .on_port = on_port_again,
							  .on_lost = on_lost_again };

	if (sys_now_ns() < takeover.next_try_ns)
		return;
	if (!(takeover.is_member ? join() : listener_take_over(&again)))
		try_later(TAKEOVER_NO_THREAD);
}

void listener_pause_end(void)
{
	int saved = errno;

	if (!takeover.paused || sandbox_is_noted() || process_is_borrowed())
		return;
	if (process_state() != PROCESS_PAUSED) {
		takeover.paused = false;
		takeover_look(true);
	} else {
		start_again();
	}
	errno = saved;
}

/* ---- telling */

static void count_reason(int reason, void *count)
{
	if (reason >= 0 && reason < TAKEOVER_REASON_COUNT && reason != TAKEOVER_SERVES)
		((unsigned *)count)[reason]++;
}

static const char *takeover_meaning(int reason)
{
	static const char *const meaning[] = {
#define X(name, meaning) meaning,
		TAKEOVER_REASONS(X)
#undef X
	};

	return reason >= 0 && reason < TAKEOVER_REASON_COUNT ? meaning[reason] : "";
}

void takeover_write(struct text *t)
{
	unsigned count[TAKEOVER_REASON_COUNT] = { 0 };

	if (takeover.predecessor) {
		text_str(t, "\nprocess: took over from process ");
		text_i64(t, takeover.predecessor);
		text_str(t, ", which ended");
	}
	family_each_reason(count_reason, count);
	for (int i = 0; i < TAKEOVER_REASON_COUNT; i++) {
		if (!count[i])
			continue;
		text_str(t, "\nforked processes without an endpoint of their own: ");
		text_u64(t, count[i]);
		text_str(t, ": ");
		text_str(t, takeover_meaning(i));
	}
}
