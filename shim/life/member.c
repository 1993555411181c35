#include "shim/life/member.h"

#include "http/peer.h"
#include "sampler/base/sys.h"
#include "sampler/base/text.h"

/* The process id may be another's in a pid namespace beside ours: the time tells them apart. */
int member_open(uint32_t tree_id)
{
	char name[PEER_NAME_MAX];
	struct text t = TEXT_INIT(name);

	peer_write_prefix(&t, tree_id);
	text_i64(&t, sys_getpid());
	text_char(&t, '-');
	text_hex(&t, (uint64_t)sys_now_ns());
	return peer_listen(name);
}
