#include "http/bell.h"

#include <errno.h>
#include <sys/socket.h>

#include "http/peer.h"
#include "sampler/base/counters.h"
#include "sampler/base/sys.h"

#define ANSWERS_MAX 64 /* as many may stand in the queue */

static struct {
	int fd; /* negative: none */
	unsigned hung;
	int64_t rung_ns;
} bell = { .fd = -1 };

/* No member's: those who look for members do not ring. */
static void write_name(struct text *t, uint32_t tree_id)
{
	text_str(t, "pprofbell-");
	text_u64(t, tree_id);
}

void bell_hang(uint32_t tree_id)
{
	char name[PEER_NAME_MAX];
	struct text t = TEXT_INIT(name);

	if (bell.hung++)
		return;
	write_name(&t, tree_id);
	bell.fd = peer_listen(name);
	if (bell.fd < 0)
		counter_add(COUNTER_BELLS_MISSING, 1);
}

void bell_take_down(void)
{
	if (!bell.hung || --bell.hung)
		return;
	if (bell.fd >= 0)
		sys_close(bell.fd);
	bell.fd = -1;
}

void bell_forget(void)
{
	bell.fd = -1;
	bell.hung = 0;
}

int bell_fd(void)
{
	return bell.fd;
}

void bell_answer(void)
{
	int fd;

	for (int i = 0; i < ANSWERS_MAX; i++) {
		fd = (int)sys_call4(SYS_accept4, bell.fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			break;
		sys_close(fd);
	}
	bell.rung_ns = sys_now_ns();
}

int64_t bell_rung_ns(void)
{
	return bell.rung_ns;
}

bool bell_ring(uint32_t tree_id)
{
	char name[PEER_NAME_MAX];
	struct text t = TEXT_INIT(name);
	bool is_there;
	int fd;

	write_name(&t, tree_id);
	fd = peer_connect(name);
	if (fd < 0)
		return fd == -EAGAIN; /* a queue that is full has been heard */
	is_there = peer_is_ours(fd);
	sys_close(fd);
	return is_there;
}
