#include "shim/life/life.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"

atomic_int *life_page;
static int our_pid;

/* Not sys_map(): this page must be inherited, and wiped. */
int life_init(void)
{
	long p;

	if (life_page)
		return 0;
	p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (sys_failed(p))
		return -1;
	if (sys_call3(SYS_madvise, p, PAGE_BYTES, MADV_WIPEONFORK) != 0) {
		sys_call3(SYS_munmap, p, PAGE_BYTES, 0);
		return -1;
	}
	atomic_init((atomic_int *)p, LIFE_WHOLE);
	life_page = (atomic_int *)p;
	life_note_pid();
	return 0;
}

/* release: who sees the new state sees what was put in order before. */
bool life_move(enum life from, enum life to)
{
	int expected = from;

	return life_page &&
	       atomic_compare_exchange_strong_explicit(life_page, &expected, to,
						       memory_order_acq_rel, memory_order_acquire);
}

bool life_is_borrowed(void)
{
	return life_page && life_now() != LIFE_WIPED && sys_getpid() != our_pid;
}

void life_note_pid(void)
{
	our_pid = sys_getpid();
}
