#include "http/lobby.h"

#include <errno.h>
#include <string.h>

#include "http/net.h"

void lobby_add(struct lobby *l, struct newcomer n)
{
	l->at[l->count++] = n;
}

struct newcomer lobby_take(struct lobby *l, size_t i)
{
	struct newcomer n = l->at[i];

	l->count--;
	memmove(&l->at[i], &l->at[i + 1], (l->count - i) * sizeof(n));
	return n;
}

void lobby_poll(const struct lobby *l, struct pollfd *to)
{
	for (size_t i = 0; i < l->count; i++)
		to[i] = (struct pollfd){ .fd = l->at[i].fd, .events = POLLIN };
}

int64_t lobby_wake_ns(const struct lobby *l, int64_t ns)
{
	return l->count ? l->at[0].since_ns + ns : INT64_MAX;
}

void newcomer_reset(struct newcomer n)
{
	net_reset_at_close(n.fd);
	sys_close(n.fd);
}

void lobby_reset_all(struct lobby *l)
{
	while (l->count)
		newcomer_reset(l->at[--l->count]);
}

bool newcomer_is_silent(struct newcomer n)
{
	char byte;

	return net_peek(n.fd, &byte, 1) == -EAGAIN;
}
