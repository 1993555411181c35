#include "http/server.h"

#include <errno.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <string.h>

#include "http/bell.h"
#include "http/lobby.h"
#include "http/members.h"
#include "http/net.h"
#include "http/peer.h"
#include "http/request.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys_map.h"

/* Places beyond the limit, for telling newcomers that there is no room. */
#define SPARE_PLACES 16
#define PLACES	     (HTTP_CONNECTIONS_MAX + SPARE_PLACES)
#define MORE_POLLED  4

/*
 * Newcomers are taken in as they come, whoever has a place: a queue that is full makes
 * the kernel drop them, and they try again after a second.  The kernel's own limit
 * (somaxconn) is as much.  In each turn fewer are taken in than there are places, so
 * that each newcomer is looked at, some turns long, before it has to go.
 */
#define BACKLOG	       4096
#define ACCEPTS_A_TURN 64
#define HEARD_A_TURN   64 /* of the lobby */
#define READS_A_TURN   16 /* of one connection; a large body takes several */

/* Without descriptors: how long who comes has until its request; newcomers wait in the queue. */
#define STAY_NS (10 * NS_PER_MS)

#define ACCEPT_PAUSE_NS	   NS_PER_SECOND
#define FAILED_POLL_MIN_NS (100 * NS_PER_MS)
#define FAILED_POLL_MAX_NS NS_PER_SECOND

const struct http_limits http_limits_default = {
	.connections = HTTP_CONNECTIONS_MAX,
	.strangers = HTTP_CONNECTIONS_MAX / 2,
	.lobby = LOBBY_PLACES,
	.head_ns = 10 * NS_PER_SECOND,
	.idle_ns = 60 * NS_PER_SECOND,
	.stall_ns = 30 * NS_PER_SECOND,
	.client_first_ns = 100 * NS_PER_MS,
	.linger_ns = 2 * NS_PER_SECOND,
};

struct server {
	struct http_shared shared;
	int fd;
	int64_t accept_ns; /* no newcomers before this: the kernel had no descriptor or memory */
	int64_t poll_pause_ns;
	struct refusal accepting, polling, pausing;
	size_t count;
	struct http_exchange *used; /* of one that was just sent away, for the next newcomer */
	struct http_exchange *conn[PLACES];
	struct lobby lobby;
	/* [0] listens, [1 + i] is conn[i], then comes the one that wakes, then the other that
	 * listens, then the bell, then the lobby */
	struct pollfd poll[PLACES + MORE_POLLED + LOBBY_PLACES];
};

static size_t count_polled(const struct server *s)
{
	return s->count + MORE_POLLED + s->lobby.count;
}

static int bind_and_listen(int fd, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int failed;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	failed = net_set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	net_set_flag(fd, IPPROTO_TCP, TCP_NODELAY); /* of its connections too */
	if (!failed)
		failed = net_bind(fd, &at);
	return failed ? failed : net_listen(fd, BACKLOG);
}

size_t http_hasten(struct http_exchange *x, const char *id)
{
	struct server *s = (struct server *)(void *)x->shared; /* its first member */
	size_t count = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct http_pending *p = &s->conn[i]->pending;

		if (s->conn[i]->state != CONN_WAITING || !p->id || strcmp(p->id, id) != 0)
			continue;
		p->due_ns = s->shared.now_ns;
		s->conn[i]->hurried = true;
		count++;
	}
	return count;
}

int http_listen(uint16_t port)
{
	int fd = net_socket();
	int failed;

	if (fd < 0)
		return fd;
	failed = bind_and_listen(fd, port);
	if (!failed)
		return fd;
	sys_close(fd);
	return failed;
}

static void remove_conn(struct server *s, size_t i)
{
	conn_free(s->conn[i]);
	s->conn[i] = s->conn[--s->count];
}

static void remove_closed(struct server *s)
{
	for (size_t i = s->count; i-- > 0;)
		if (s->conn[i]->state == CONN_CLOSED)
			remove_conn(s, i);
}

static bool is_reading(const struct http_exchange *x)
{
	return x->state == CONN_HEAD || x->state == CONN_BODY;
}

static void take_turn(struct http_exchange *x, bool readable)
{
	if (x->ready)
		request_advance(x);
	for (int i = 0; readable && i < READS_A_TURN && is_reading(x) && !x->ready; i++) {
		if (!conn_read(x))
			return;
		request_advance(x);
	}
}

/* Who has to go first when room is needed: the higher, the sooner. */
enum standing { BUSY, IDLE, STRANGER, CLOSED };

static enum standing standing_of(const struct http_exchange *x)
{
	if (x->state == CONN_CLOSED)
		return CLOSED;
	if (!x->known)
		return STRANGER;
	return conn_is_idle(x) ? IDLE : BUSY;
}

/* Of strangers who came first, of the others who has been idle for longest. */
static bool goes_before(const struct http_exchange *a, const struct http_exchange *b)
{
	enum standing of_a = standing_of(a), of_b = standing_of(b);

	if (of_a != of_b)
		return of_a > of_b;
	return of_a == STRANGER ? a->number < b->number : a->since_ns < b->since_ns;
}

static size_t first_to_go(const struct server *s)
{
	size_t first = 0;

	for (size_t i = 1; i < s->count; i++)
		if (goes_before(s->conn[i], s->conn[first]))
			first = i;
	return first;
}

/* What has come since the last poll is read before a stranger has to go: it may be the key. */
static bool is_no_stranger_after_all(struct http_exchange *x)
{
	if (is_reading(x))
		take_turn(x, true);
	return standing_of(x) != STRANGER;
}

/* Sends away who has to go first, if that is at least `least`; false when nobody is. */
static bool evict(struct server *s, enum standing least)
{
	size_t first;
	enum standing standing;

	if (s->count == 0)
		return false;
	do {
		first = first_to_go(s);
		standing = standing_of(s->conn[first]);
	} while (standing == STRANGER && is_no_stranger_after_all(s->conn[first]));
	if (standing < least)
		return false;
	if (standing != CLOSED)
		counter_add(standing == STRANGER ? COUNTER_HTTP_STRANGERS_EVICTED
						 : COUNTER_HTTP_IDLE_EVICTED,
			    1);
	s->conn[first]->reset = standing == STRANGER || standing == IDLE;
	conn_close(s->conn[first]);
	if (s->used)
		conn_free(s->used);
	s->used = s->conn[first];
	s->conn[first] = s->conn[--s->count];
	return true;
}

static size_t count_strangers(const struct server *s)
{
	size_t count = 0;

	for (size_t i = 0; i < s->count; i++)
		count += !s->conn[i]->known;
	return count;
}

/*
 * Who comes by a unix socket is known to the kernel.  To a member's only processes of ours
 * may; to the other one everybody, and the same user, or root, needs no key.
 */
static void set_rights(struct http_exchange *x, bool by_socket)
{
	x->trusted = x->shared->service->by_peer;
	x->needs_no_key = by_socket && !x->trusted && peer_is_ours(x->fd);
}

static void add_conn(struct server *s, struct newcomer n)
{
	size_t limit = MIN(s->shared.limits->connections, (size_t)HTTP_CONNECTIONS_MAX);
	bool full = s->count >= limit;
	struct http_exchange *x;

	s->shared.is_crowded = count_strangers(s) >= s->shared.limits->strangers;
	full = (full || s->shared.is_crowded) && !evict(s, IDLE);

	if (full)
		counter_add(COUNTER_HTTP_REFUSED_FULL, 1);
	if (s->count >= limit + SPARE_PLACES) {
		sys_close(n.fd);
		return;
	}
	x = conn_open(&s->shared, n.fd, s->used);
	s->used = NULL;
	if (!x)
		return;
	set_rights(x, n.by_socket);
	s->conn[s->count++] = x;
	if (!full) {
		take_turn(x, true); /* while it stood in the queue its request came */
		return;
	}
	x->known = true; /* it goes by itself, and makes room for nobody before it has its answer */
	request_refuse(x, 503, "Too many connections. Try again later.");
}

/* Who came to the lobby first leaves it: to be heard, or for good. */
static void make_room_in_lobby(struct server *s)
{
	struct newcomer n = lobby_take(&s->lobby, 0);

	if (!newcomer_is_silent(n)) {
		add_conn(s, n);
		return;
	}
	counter_add(COUNTER_HTTP_STRANGERS_EVICTED, 1);
	newcomer_reset(n);
}

static void take_in(struct server *s, struct newcomer n)
{
	size_t places = MIN(s->shared.limits->lobby, (size_t)LOBBY_PLACES);

	if (!newcomer_is_silent(n)) {
		add_conn(s, n);
		return;
	}
	if (s->lobby.count >= places)
		make_room_in_lobby(s);
	lobby_add(&s->lobby, n);
}

/*
 * Who has said something is heard, the last to come first: so who comes while a crowd talks
 * waits for no more than a turn.  `polled`: of each, in their order.
 */
static void handle_lobby(struct server *s, const struct pollfd *polled)
{
	size_t heard = 0;

	for (size_t i = s->lobby.count; i-- > 0 && heard < HEARD_A_TURN;)
		if (polled[i].revents) {
			add_conn(s, lobby_take(&s->lobby, i));
			heard++;
		}
	while (lobby_wake_ns(&s->lobby, s->shared.limits->head_ns) <= s->shared.now_ns)
		newcomer_reset(lobby_take(&s->lobby, 0));
}

/* The socket is bound to loopback; this holds whatever a network namespace routes to it. */
static bool is_loopback(const struct sockaddr_in *peer)
{
	return peer->sin_family == AF_INET && ntohl(peer->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool is_by_socket(const struct sockaddr_in *peer)
{
	return peer->sin_family == AF_UNIX;
}

static bool may_talk(const struct server *s, int fd, const struct sockaddr_in *peer)
{
	if (s->shared.service->by_peer)
		return peer_is_ours(fd) || peer_is_privileged_parent(fd);
	return is_by_socket(peer) || is_loopback(peer);
}

static bool nobody_waits(int error)
{
	return error == -EAGAIN;
}

/* The client went away before it was its turn, or a signal came: simply the next. */
static bool is_passing(int error)
{
	return error == -EINTR || error == -ECONNABORTED || error == -EPROTO;
}

static bool lacks_room(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

/* When the one came who has to go next; 0: that is no matter. */
static int64_t came_ns(const struct server *s, bool of_lobby)
{
	const struct http_exchange *x;

	if (of_lobby)
		return s->lobby.at[0].since_ns;
	x = s->count ? s->conn[first_to_go(s)] : NULL;
	return x && standing_of(x) == STRANGER ? x->since_ns : 0;
}

/*
 * Strangers are sent away, one after the other, until it is enough, and those of whom
 * there are more: the silent must not go as they come.  Nor does one go that has just come.
 * False without any.
 */
static bool make_room(struct server *s)
{
	bool of_lobby = s->lobby.count > count_strangers(s);
	int64_t until_ns = came_ns(s, of_lobby) + STAY_NS;

	if (until_ns > s->shared.now_ns) {
		s->accept_ns = until_ns;
		return true;
	}
	if (!of_lobby)
		return evict(s, STRANGER);
	make_room_in_lobby(s);
	return true;
}

/*
 * Whatever else goes wrong stays wrong for a while, and the client in the queue would
 * wake us at once: so nobody listens meanwhile.
 */
static void pause_accepting(struct server *s)
{
	counter_add(COUNTER_HTTP_ACCEPT_FAILED, 1);
	s->accept_ns = s->shared.now_ns + ACCEPT_PAUSE_NS;
}

/* False when there is nobody left to take in now. */
static bool accept_one(struct server *s, int listening)
{
	struct sockaddr_in peer = { 0 };
	int fd = net_accept(listening, &peer);

	refusal_note(&s->accepting, "accept4", nobody_waits(fd) ? 0 : fd);
	if (fd >= 0 && may_talk(s, fd, &peer))
		take_in(s, (struct newcomer){ fd, is_by_socket(&peer), s->shared.now_ns });
	else if (fd >= 0)
		sys_close(fd);
	else if (nobody_waits(fd))
		return false;
	else if (!is_passing(fd) && !(lacks_room(fd) && make_room(s)))
		pause_accepting(s);
	return s->accept_ns <= s->shared.now_ns;
}

static void accept_some(struct server *s, const struct pollfd *listening)
{
	for (int i = 0; listening->revents && i < ACCEPTS_A_TURN; i++)
		if (!accept_one(s, listening->fd))
			break;
	if (s->used)
		conn_free(s->used);
	s->used = NULL;
}

static void handle_events(struct http_exchange *x, short events)
{
	bool broken = events & (POLLHUP | POLLERR | POLLNVAL);

	if (x->state == CONN_WAITING && (broken || events & POLLRDHUP))
		conn_close(x);
	else if (x->state == CONN_LINGERING && events)
		conn_drain(x);
	else if (x->part_count && (broken || events & POLLOUT))
		conn_flush(x);
	if (is_reading(x))
		take_turn(x, events & (POLLIN | POLLHUP | POLLERR));
}

static void handle_time(struct http_exchange *x)
{
	int64_t now = x->shared->now_ns;

	if (x->state == CONN_WAITING && (x->pending.due_ns <= now || http_is_hurried(x))) {
		request_due(x);
		x->shared->now_ns = sys_now_ns(); /* that was real work */
	} else if (x->deadline_ns <= now) {
		request_expired(x);
	}
}

static void handle_all(struct server *s)
{
	for (size_t i = 0; i < s->count; i++) {
		struct http_exchange *x = s->conn[i];

		handle_events(x, s->poll[i + 1].revents);
		if (x->state != CONN_CLOSED)
			handle_time(x);
	}
}

static int64_t do_due_work(const struct http_service *service, int64_t now_ns)
{
	return service->do_due ? service->do_due(now_ns) : INT64_MAX;
}

static struct pollfd listening_poll(int fd, bool paused)
{
	return (struct pollfd){ .fd = paused ? -1 : fd, .events = POLLIN };
}

static struct pollfd wake_poll(const struct http_service *service)
{
	return (struct pollfd){ .fd = service->wake_fd ? service->wake_fd : -1, .events = POLLIN };
}

static void reset_all(void *arg)
{
	struct server *s = arg;

	for (size_t i = 0; i < s->count; i++) {
		s->conn[i]->reset = true;
		conn_close(s->conn[i]);
	}
	remove_closed(s);
	lobby_reset_all(&s->lobby);
}

static bool is_under_way(const struct http_exchange *x)
{
	return x->state == CONN_WAITING || x->state == CONN_SENDING;
}

static uint32_t count_under_way(const struct server *s)
{
	uint32_t count = 0;

	for (size_t i = 0; i < s->count; i++)
		count += is_under_way(s->conn[i]);
	return count;
}

/* Fills in poll[] and returns when to wake up at the latest. */
static int64_t prepare_poll(struct server *s)
{
	const struct http_service *service = s->shared.service;
	int64_t now = s->shared.now_ns;
	bool paused = s->accept_ns > now;
	int64_t wake;

	if (service->before_poll)
		service->before_poll(reset_all, s);
	if (service->under_way)
		*service->under_way = count_under_way(s);
	wake = do_due_work(service, now);

	if (paused)
		wake = MIN(wake, s->accept_ns);
	s->poll[0] = listening_poll(s->fd, paused);
	for (size_t i = 0; i < s->count; i++) {
		const struct http_exchange *x = s->conn[i];

		s->poll[i + 1] = (struct pollfd){ .fd = x->fd, .events = conn_events(x) };
		wake = MIN(wake, conn_wake_ns(x));
	}
	s->poll[s->count + 1] = wake_poll(service);
	s->poll[s->count + 2] =
		listening_poll(service->socket_fd ? *service->socket_fd : -1, paused);
	s->poll[s->count + 3] = listening_poll(bell_fd(), false);
	lobby_poll(&s->lobby, &s->poll[s->count + MORE_POLLED]);
	return MIN(wake, lobby_wake_ns(&s->lobby, s->shared.limits->head_ns));
}

/*
 * A refused poll (the limit on descriptors was lowered under us) must not make us spin.
 * Whatever there is to do is tried after a while: no call of ours blocks.
 */
static void pause_instead(struct server *s, const volatile int *stop)
{
	struct timespec ts = { s->poll_pause_ns / NS_PER_SECOND, s->poll_pause_ns % NS_PER_SECOND };
	long ended = sys_call4(SYS_futex, (long)stop, FUTEX_WAIT_PRIVATE, 0, (long)&ts);

	refusal_note(&s->pausing, "futex", ended);
	s->poll_pause_ns = MIN(2 * s->poll_pause_ns, FAILED_POLL_MAX_NS);
	for (size_t i = 0; i < count_polled(s); i++)
		s->poll[i].revents = s->poll[i].fd < 0 ? 0 : s->poll[i].events;
}

static void poll_once(struct server *s, const volatile int *stop)
{
	int64_t wake = prepare_poll(s);
	int ready = net_poll(s->poll, count_polled(s), sys_now_ns(), wake);

	refusal_note(&s->polling, "ppoll", ready);
	if (ready >= 0)
		s->poll_pause_ns = FAILED_POLL_MIN_NS;
	else if (ready != -EINTR)
		pause_instead(s, stop);
	s->shared.now_ns = sys_now_ns();
}

/* The call that the kernel refuses, NULL: none. */
static const char *refused_call(const struct server *s)
{
	const struct refusal *all[] = { &s->polling, &s->pausing, &s->accepting,
					&s->shared.receiving, &s->shared.sending };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (refusal_of(all[i]))
			return refusal_of(all[i]);
	return NULL;
}

static void heed_bell(struct server *s)
{
	if (!s->poll[s->count + 3].revents)
		return;
	bell_answer();
	for (size_t i = 0; i < s->count; i++)
		if (s->conn[i]->state == CONN_WAITING && s->conn[i]->pending.heeds_bell)
			s->conn[i]->pending.due_ns = s->shared.now_ns;
}

static const char *serve_until(struct server *s, const volatile int *stop)
{
	const char *refused = NULL;
	const struct pollfd *lobby;
	struct pollfd other; /* newcomers take the places behind */

	while (!refused) {
		poll_once(s, stop);
		if (*stop)
			return NULL;
		other = s->poll[s->count + 2];
		lobby = &s->poll[s->count + MORE_POLLED];
		heed_bell(s);
		handle_all(s);
		handle_lobby(s, lobby);
		accept_some(s, &s->poll[0]);
		accept_some(s, &other);
		remove_closed(s);
		refused = refused_call(s);
	}
	return refused;
}

static void close_all(struct server *s)
{
	for (size_t i = 0; i < s->count; i++) {
		conn_close(s->conn[i]);
		conn_free(s->conn[i]);
	}
	lobby_reset_all(&s->lobby);
}

const char *http_serve(int fd, const char *key, const struct http_service *service,
		       const volatile int *stop)
{
	const struct http_limits *limits = service->limits ? service->limits : &http_limits_default;
	struct server *s = sys_map_whole_limit(sizeof(*s));
	const char *refused;

	if (!s)
		return "mmap";
	s->fd = fd;
	s->poll_pause_ns = FAILED_POLL_MIN_NS;
	s->shared.service = service;
	s->shared.limits = limits;
	s->shared.now_ns = sys_now_ns();
	guard_init(&s->shared.guard, key);
	members_open();
	bell_forget();
	refused = serve_until(s, stop);
	close_all(s); /* and who hung the bell takes it down */
	members_close();
	sys_unmap(s, sizeof(*s));
	return refused;
}
