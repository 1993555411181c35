#include "shim/life.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "sampler/sys.h"
#include "shim/cc.h"

#define ALIVE 0x616c697665ULL
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static volatile uint64_t *page; /* NULL before life_init() */
static int our_pid;

/* Not sys_map(): this page must be inherited, and wiped. */
int life_init(void)
{
	long p;

	if (page)
		return 0;
	p = sys_call6(SYS_mmap, 0, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (sys_failed(p))
		return -1;
	if (sys_call3(SYS_madvise, p, PAGE_BYTES, MADV_WIPEONFORK) != 0) {
		sys_call3(SYS_munmap, p, PAGE_BYTES, 0);
		return -1;
	}
	*(volatile uint64_t *)p = ALIVE;
	page = (volatile uint64_t *)p;
	our_pid = sys_getpid();
	return 0;
}

bool life_is_child(void)
{
	return page && *page != ALIVE;
}

bool life_is_borrowed(void)
{
	return page && *page == ALIVE && sys_getpid() != our_pid;
}
