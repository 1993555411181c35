#include "http/conn.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "http/net.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys_map.h"

struct http_exchange *conn_open(struct http_shared *s, int fd, struct http_exchange *used)
{
	struct http_exchange *x = used ? used : sys_map(sizeof(*x));

	if (!x) {
		sys_close(fd);
		return NULL;
	}
	if (used) /* what is read overwrites the rest */
		memset(x, 0, offsetof(struct http_exchange, in));
	x->shared = s;
	x->fd = fd;
	x->arena.limit = CONN_ARENA_MAX;
	x->since_ns = s->now_ns;
	x->number = s->newcomers++;
	conn_set_state(x, CONN_HEAD);
	conn_allow(x, s->limits->head_ns);
	return x;
}

static void tell_pending(struct http_exchange *x)
{
	counter_add(COUNTER_HTTP_HUNG_UP, 1);
	if (x->pending.gone)
		x->pending.gone(x->pending.arg);
}

void conn_close(struct http_exchange *x)
{
	if (x->state == CONN_CLOSED)
		return;
	if (x->state == CONN_WAITING)
		tell_pending(x);
	if (x->reset)
		net_reset_at_close(x->fd);
	sys_close(x->fd);
	arena_release(&x->arena);
	conn_set_state(x, CONN_CLOSED);
}

void conn_free(struct http_exchange *x)
{
	sys_unmap(x, sizeof(*x));
}

void conn_set_state(struct http_exchange *x, enum conn_state state)
{
	x->state = state;
	x->deadline_ns = INT64_MAX;
}

void conn_allow(struct http_exchange *x, int64_t ns)
{
	x->deadline_ns = x->shared->now_ns + ns;
}

/* More parts than there is room for would be a mistake of ours: the answer breaks off. */
void conn_queue(struct http_exchange *x, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	if (x->part_count == CONN_PARTS_MAX) {
		x->reset = true;
		x->keep = false;
		return;
	}
	x->part[x->part_count++] = (struct iovec){ (void *)(uintptr_t)bytes, len };
}

static void drop_sent(struct http_exchange *x, size_t sent)
{
	size_t i = 0;

	while (i < x->part_count && sent >= x->part[i].iov_len)
		sent -= x->part[i++].iov_len;
	x->part_count -= i;
	memmove(x->part, x->part + i, x->part_count * sizeof(x->part[0]));
	if (x->part_count == 0)
		return;
	x->part[0].iov_base = (char *)x->part[0].iov_base + sent;
	x->part[0].iov_len -= sent;
}

/* The bytes of the answered request leave, those of the next one move to the front. */
static void next_request(struct http_exchange *x)
{
	const struct http_limits *limits = x->shared->limits;

	x->in_len -= x->head_bytes;
	memmove(x->in, x->in + x->head_bytes, x->in_len);
	x->head_bytes = 0;
	x->ready = x->in_len > 0 || x->ended;
	x->since_ns = x->shared->now_ns;
	conn_set_state(x, CONN_HEAD);
	conn_allow(x, x->in_len > 0 ? limits->head_ns : limits->idle_ns);
}

/*
 * Shuts our side and waits for the client's.  Closing at once, with bytes of the
 * client unread, would reset the connection and could destroy the answer on its way.
 */
static void shut(struct http_exchange *x)
{
	net_end_sending(x->fd);
	x->shut = true;
	conn_allow(x, x->shared->limits->linger_ns);
}

/*
 * Who closes first has the port in TIME_WAIT for a minute, where a program that binds it
 * without SO_REUSEADDR is refused.  So the client may go first; it knows where the answer
 * ends, unless it is too old to.
 */
static void linger(struct http_exchange *x)
{
	conn_set_state(x, CONN_LINGERING);
	if (x->minor_version == 0)
		shut(x);
	else
		conn_allow(x, x->shared->limits->client_first_ns);
}

void conn_expired(struct http_exchange *x)
{
	if (x->state == CONN_LINGERING && !x->shut) {
		shut(x);
		return;
	}
	x->reset |= conn_is_idle(x); /* nothing is on its way that a reset could destroy */
	conn_close(x);
}

static void end_answer(struct http_exchange *x)
{
	arena_release(&x->arena);
	x->used = true;
	if (x->keep)
		next_request(x);
	else if (x->ended || x->reset)
		conn_close(x);
	else
		linger(x);
}

static bool is_try_again(long ret)
{
	return ret == -EAGAIN || ret == -EINTR;
}

void conn_flush(struct http_exchange *x)
{
	while (x->part_count) {
		long sent = net_send(x->fd, x->part, x->part_count);

		refusal_note(&x->shared->sending, "sendmsg", sent);
		if (is_try_again(sent))
			return;
		if (sent < 0) {
			conn_close(x);
			return;
		}
		drop_sent(x, (size_t)sent);
		conn_allow(x, x->shared->limits->stall_ns);
	}
	if (x->state == CONN_SENDING)
		end_answer(x);
	else if (x->state == CONN_WAITING)
		x->deadline_ns = INT64_MAX;
}

static long receive(struct http_exchange *x, void *to, size_t len)
{
	long got = net_receive(x->fd, to, len);

	refusal_note(&x->shared->receiving, "recvfrom", got);
	return got;
}

static bool took_bytes(struct http_exchange *x, size_t len)
{
	if (x->state == CONN_HEAD && x->in_len == 0)
		conn_allow(x, x->shared->limits->head_ns);
	else if (x->state == CONN_BODY)
		conn_allow(x, x->shared->limits->stall_ns);
	x->in_len += len;
	return true;
}

bool conn_read(struct http_exchange *x)
{
	size_t room = sizeof(x->in) - x->in_len;
	long got = room ? receive(x, x->in + x->in_len, room) : -EAGAIN;

	if (got > 0)
		return took_bytes(x, (size_t)got);
	if (got == 0)
		return x->ended = true;
	if (!is_try_again(got))
		conn_close(x);
	return false;
}

void conn_drain(struct http_exchange *x)
{
	long got = receive(x, x->in, sizeof(x->in));

	if (got <= 0 && !is_try_again(got))
		conn_close(x);
}

short conn_events(const struct http_exchange *x)
{
	short events = x->part_count ? POLLOUT : 0;

	if (x->state == CONN_WAITING)
		events |= POLLRDHUP;
	if (x->state == CONN_HEAD || x->state == CONN_BODY || x->state == CONN_LINGERING)
		events |= POLLIN;
	return events;
}

int64_t conn_wake_ns(const struct http_exchange *x)
{
	if (x->ready)
		return x->shared->now_ns;
	if (x->state == CONN_WAITING)
		return MIN(x->deadline_ns, x->pending.due_ns);
	return x->deadline_ns;
}

bool conn_is_idle(const struct http_exchange *x)
{
	return x->state == CONN_HEAD && x->in_len == 0 && x->part_count == 0;
}
