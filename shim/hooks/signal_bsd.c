/*
 * sigvec and sigstack of 4.2BSD, by which sigaction and sigaltstack were once called.
 * No header has the first any more, which libc keeps for old binaries.  Both are put in the newer
 * words, as libc does, and go through the newer ones' hooks.
 */
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "sampler/base/cc.h"

struct sigvec {
	void (*sv_handler)(int);
	int sv_mask; /* bit N - 1: signal N */
	int sv_flags;
};

int sigvec(int sig, const struct sigvec *vec, struct sigvec *old);

#define SV_ONSTACK   1
#define SV_INTERRUPT 2
#define SV_RESETHAND 4

static void from_vec(struct sigaction *act, const struct sigvec *vec)
{
	uint64_t mask = (unsigned)vec->sv_mask;

	*act = (struct sigaction){ .sa_handler = vec->sv_handler };
	memcpy(&act->sa_mask, &mask, sizeof(mask));
	act->sa_flags = vec->sv_flags & SV_INTERRUPT ? 0 : SA_RESTART;
	if (vec->sv_flags & SV_ONSTACK)
		act->sa_flags |= SA_ONSTACK;
	if (vec->sv_flags & SV_RESETHAND)
		act->sa_flags |= (int)SA_RESETHAND;
}

static void to_vec(struct sigvec *vec, const struct sigaction *act)
{
	*vec = (struct sigvec){ .sv_handler = act->sa_handler };
	memcpy(&vec->sv_mask, &act->sa_mask, sizeof(vec->sv_mask));
	vec->sv_flags = act->sa_flags & SA_RESTART ? 0 : SV_INTERRUPT;
	if (act->sa_flags & SA_ONSTACK)
		vec->sv_flags |= SV_ONSTACK;
	if (act->sa_flags & (int)SA_RESETHAND)
		vec->sv_flags |= SV_RESETHAND;
}

EXPORT int sigvec(int sig, const struct sigvec *vec, struct sigvec *old)
{
	struct sigaction act; /* one for both: the stack may be small */

	if (vec)
		from_vec(&act, vec);
	if (sigaction(sig, vec ? &act : NULL, &act) != 0)
		return -1;
	if (old)
		to_vec(old, &act);
	return 0;
}
