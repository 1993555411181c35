#include "http/members.h"

#include <errno.h>
#include <string.h>

#include "http/answer.h"
#include "http/bell.h"
#include "http/net.h"
#include "http/routes_config.h"
#include "sampler/base/cc.h"
#include "sampler/base/counters.h"

#define FIRST_SCAN_NS  (5 * NS_PER_MS) /* the next ones are twice as far apart each */
#define SCAN_EVERY_NS  (100 * NS_PER_MS)
#define READ_EVERY_NS  (5 * NS_PER_MS)
#define FIRST_ROOM     4096
#define HEAD_BYTES_MAX 512
#define STAY_NS	       (60 * NS_PER_SECOND) /* of a member that nobody asks */

static int sockets_fd = -1; /* /proc/net/unix, of our network */

void members_open(void)
{
	sockets_fd = sys_open_read("/proc/thread-self/net/unix");
}

void members_close(void)
{
	if (sockets_fd >= 0)
		sys_close(sockets_fd);
	sockets_fd = -1;
}

bool members_can_be_found(void)
{
	return sockets_fd >= 0;
}

/* ---- who has answered */

/* By pid; of two with one place the last. */
static struct {
	int pid;
	int64_t at_ns;
} answered[1024];

static void note_answer(int pid)
{
	size_t i = (unsigned)pid % ARRAY_SIZE(answered);

	answered[i].pid = pid;
	answered[i].at_ns = sys_now_ns();
}

bool members_has_answered(int pid)
{
	size_t i = (unsigned)pid % ARRAY_SIZE(answered);

	return answered[i].pid == pid && sys_now_ns() - answered[i].at_ns < STAY_NS;
}

/* ---- one member */

/* An empty socket has room for it. */
static bool send_head(int fd, struct text *t)
{
	struct iovec part;

	text_str(t, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
	part = (struct iovec){ t->at, t->len };
	return !t->cut && net_send(fd, &part, 1) == (long)t->len;
}

static bool send_request(struct members *m, int fd)
{
	char bytes[HEAD_BYTES_MAX];
	struct text t = TEXT_INIT(bytes);

	text_str(&t, "GET ");
	m->request.write_target(&t, m->request.arg);
	return send_head(fd, &t);
}

static struct member **bucket_of(struct members *m, const char *socket)
{
	return &m->bucket[text_hash_more(0, socket, strlen(socket)) % MEMBER_BUCKETS];
}

static void add(struct members *m, const char *socket, int fd, int pid)
{
	struct member *one = arena_alloc(&m->arena, sizeof(*one));
	struct member **bucket = bucket_of(m, socket);
	struct process p;

	if (!one || !send_request(m, fd)) {
		sys_close(fd);
		return;
	}
	memcpy(one->socket, socket, strlen(socket) + 1);
	one->fd = fd;
	one->pid = pid;
	if (process_read(pid, &p)) {
		memcpy(one->process, p.name, sizeof(p.name));
		one->start = p.start;
	}
	one->next = m->first;
	m->first = one;
	one->next_in_bucket = *bucket;
	*bucket = one;
	m->count++;
	m->waiting++;
}

static bool is_known(struct members *m, const char *socket)
{
	for (const struct member *one = *bucket_of(m, socket); one; one = one->next_in_bucket)
		if (strcmp(one->socket, socket) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct members *m, int pid)
{
	const struct routes_config *c = routes_config();

	return pid > 0 && c->is_member && c->is_member(pid) &&
	       m->request.is_wanted(pid, m->request.arg);
}

static void meet(struct members *m, const char *socket)
{
	struct ucred who;
	int fd;

	if (m->count == MEMBERS_MAX || is_known(m, socket))
		return;
	fd = peer_connect(socket);
	if (fd < 0)
		counter_add(COUNTER_MEMBERS_NOT_REACHED, 1);
	else if (peer_of(fd, &who) && is_wanted(m, who.pid))
		add(m, socket, fd, who.pid);
	else
		sys_close(fd);
}

static void end(struct members *m, struct member *one, enum member_state state)
{
	if (one->fd >= 0)
		sys_close(one->fd);
	one->fd = -1;
	one->state = state;
	m->waiting--;
	m->answered += state == MEMBER_ANSWERED;
	if (state == MEMBER_ANSWERED)
		note_answer(one->pid);
	else
		counter_add(state == MEMBER_LATE ? COUNTER_MEMBERS_LATE : COUNTER_MEMBERS_BROKE, 1);
}

/* Of one that ended before its answer did there is what it sent ahead of the rest. */
static void take_answer(struct members *m, struct member *one)
{
	struct answer a;
	bool ok = answer_parse(one->bytes, one->len, &a);

	if ((ok || a.body_len) && a.status == 200) {
		one->has_ended = !ok;
		one->answer = (const uint8_t *)a.body;
		one->answer_len = a.body_len;
		end(m, one, MEMBER_ANSWERED);
		return;
	}
	if (one->len == 0)
		one->refusal = "it hung up: it runs as another user, or it ended";
	if (ok)
		one->refusal = arena_strndup(&m->arena, a.body, MIN(a.body_len, (size_t)200));
	end(m, one, MEMBER_BROKE);
}

static bool make_room(struct members *m, struct member *one)
{
	size_t room = one->room ? 2 * one->room : FIRST_ROOM;
	char *bytes;

	if (one->len == one->room && one->room)
		one->len = answer_keep_last_chunk(one->bytes, one->len);
	if (one->len < one->room)
		return true;
	bytes = room > MEMBER_ANSWER_MAX ? NULL
					 : arena_grow(&m->arena, one->bytes, one->room, room);
	if (!bytes)
		return false;
	one->bytes = bytes;
	one->room = room;
	return true;
}

static void read_some(struct members *m, struct member *one)
{
	long got;

	for (;;) {
		if (!make_room(m, one)) {
			end(m, one, MEMBER_BROKE);
			return;
		}
		got = net_receive(one->fd, one->bytes + one->len, one->room - one->len);
		if (got <= 0)
			break;
		one->len += (size_t)got;
	}
	if (got == -EAGAIN || got == -EINTR)
		return;
	take_answer(m, one);
}

/* ---- all of them */

/* The last field of a line, if it is an abstract name with our prefix of a socket that listens. */
static void take_line(struct members *m, char *line, const char *prefix)
{
	static const char listens[] = " 00010000 ";
	char *name = strrchr(line, '@');

	if (name && strstr(line, listens) && strncmp(name + 1, prefix, strlen(prefix)) == 0 &&
	    strlen(name + 1) < PEER_NAME_MAX)
		meet(m, name + 1);
}

/* Takes whole lines off the front; returns how many bytes are left of the last one. */
static size_t take_lines(struct members *m, char *bytes, size_t len, const char *prefix)
{
	char *line = bytes, *end;

	while ((end = memchr(line, '\n', len - (size_t)(line - bytes)))) {
		*end = '\0';
		take_line(m, line, prefix);
		line = end + 1;
	}
	len -= (size_t)(line - bytes);
	memmove(bytes, line, len);
	return len;
}

static void scan(struct members *m)
{
	char bytes[4096], prefix[PEER_NAME_MAX];
	struct text t = TEXT_INIT(prefix);
	uint64_t at = 0;
	size_t kept = 0;
	long n;

	peer_write_prefix(&t, routes_config()->tree_id);
	while ((n = sys_pread(sockets_fd, bytes + kept, sizeof(bytes) - kept, at)) > 0) {
		at += (uint64_t)n;
		kept = take_lines(m, bytes, kept + (size_t)n, prefix);
		if (kept == sizeof(bytes))
			kept = 0; /* no name of ours is as long */
	}
	m->scanned_ns = sys_now_ns();
	m->next_scan_ns = m->scanned_ns + m->scan_again_ns;
	m->scan_again_ns = MIN(2 * m->scan_again_ns, SCAN_EVERY_NS);
}

void members_ask(struct members *m, const struct members_request *r)
{
	*m = (struct members){ .request = *r,
			       .arena = ARENA_INIT(MEMBERS_ANSWER_MAX),
			       .scan_again_ns = FIRST_SCAN_NS };
	scan(m);
}

int64_t members_look(struct members *m, bool newcomers)
{
	int64_t now = sys_now_ns();

	for (struct member *one = m->first; one; one = one->next)
		if (one->fd >= 0)
			read_some(m, one);
	if (newcomers && (now >= m->next_scan_ns || bell_rung_ns() > m->scanned_ns))
		scan(m);
	return newcomers ? m->next_scan_ns : now + READ_EVERY_NS;
}

/* Nobody waits for the answer to that. */
static void hasten(const struct member *one, const char *id)
{
	int fd = peer_connect(one->socket);
	char bytes[HEAD_BYTES_MAX];
	struct text t = TEXT_INIT(bytes);

	if (fd < 0)
		return;
	text_str(&t, "POST /debug/pprof/stop?id=");
	text_str(&t, id);
	send_head(fd, &t);
	sys_close(fd);
}

void members_hasten(struct members *m, const char *id)
{
	for (const struct member *one = m->first; one; one = one->next)
		if (one->fd >= 0)
			hasten(one, id);
}

void members_give_up(struct members *m)
{
	for (struct member *one = m->first; one; one = one->next)
		if (one->fd >= 0)
			end(m, one, MEMBER_LATE);
}

void members_end(struct members *m)
{
	for (struct member *one = m->first; one; one = one->next)
		if (one->fd >= 0)
			sys_close(one->fd);
	arena_release(&m->arena);
	*m = (struct members){ 0 };
}
