/*
 * mlockall means all memory of the process, ours too: our reserves would be
 * resident, and count in what the target may lock (H34).  So it is done in two
 * steps.  First everything is locked as it is touched, with the kernel's own checks;
 * then the target's areas, one by one, as they are now.  Of ours only the code is.
 *
 * Under a system-call filter the calls that this takes may not be allowed: then, and
 * without /proc, it is done as the target said.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "sampler/base/cc.h"
#include "sampler/base/own_areas.h"
#include "sampler/base/process_state.h"
#include "sampler/base/sandbox.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/process/maps_reader.h"
#include "shim/real/real.h"

#ifndef SYS_mlock2
#define SYS_mlock2 325
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

typedef void (*area_function)(uint64_t start, uint64_t limit, void *arg);

/* The parts of one line of the maps file that are not ours. */
static void visit_others(const struct maps_line *m, area_function fn, void *arg)
{
	for (uint64_t at = m->start; at < m->limit;) {
		struct own_area own = own_area_behind(at);

		if (own.start > at)
			fn(at, MIN(own.start, m->limit), arg);
		at = own.start < m->limit ? own.limit : m->limit;
	}
}

/* False when /proc is not there, or has more areas than are read. */
static bool each_other_area(struct maps_reader *r, area_function fn, void *arg)
{
	struct maps_line m;

	if (!maps_open(r))
		return false;
	while (maps_next(r, &m))
		visit_others(&m, fn, arg);
	maps_close(r);
	return r->lines <= MAPS_LINES_MAX;
}

/* As in mlockall, what cannot be made resident (a guard page) is passed over. */
static void lock_area(uint64_t start, uint64_t limit, void *how)
{
	sys_call3(SYS_mlock2, (long)start, (long)(limit - start), *(const int *)how);
}

static void unlock_own(void)
{
	for (struct own_area own = own_area_behind(0); own.start != UINT64_MAX;
	     own = own_area_behind(own.limit))
		sys_call3(SYS_munlock, (long)own.start, (long)(own.limit - own.start), 0);
}

static uint64_t allowance(void)
{
	struct rlimit limit = { .rlim_cur = 0 };

	sys_call4(SYS_prlimit64, 0, RLIMIT_MEMLOCK, 0, (long)&limit);
	return limit.rlim_cur;
}

static int on_fault(int flags)
{
	return flags & MCL_ONFAULT ? MLOCK_ONFAULT : 0;
}

/*
 * Everything is locked as it is touched.  What is ours stays so, for the target's
 * deadlines hold in our hooks too; but not where it would take from the target's
 * allowance.
 */
static void sort_out(struct maps_reader *r, int flags)
{
	struct own_area image = own_image(), bss = own_bss();
	int how = 0;

	if (allowance() != RLIM_INFINITY)
		unlock_own();
	else if (!on_fault(flags))
		lock_area(image.start, bss.start, &how);
	if (on_fault(flags))
		return;
	if (flags & MCL_FUTURE)
		real()->mlockall(MCL_FUTURE); /* and no longer as it is touched */
	if (!each_other_area(r, lock_area, &how))
		real()->mlockall(flags);
}

static void count_area(uint64_t start, uint64_t limit, void *bytes)
{
	*(uint64_t *)bytes += limit - start;
}

/* Is it only with ours that there is too much? */
static bool fits_without_own(struct maps_reader *r)
{
	uint64_t bytes = 0;

	return each_other_area(r, count_area, &bytes) && bytes <= allowance();
}

/* The kernel refused the whole. */
static int lock_others(struct maps_reader *r, int flags)
{
	int how = on_fault(flags);

	if (flags & MCL_FUTURE && real()->mlockall(flags & ~MCL_CURRENT) != 0)
		return -1;
	each_other_area(r, lock_area, &how);
	return 0;
}

static int lock_present(struct maps_reader *r, int flags)
{
	int before = errno;

	if (real()->mlockall(flags | MCL_ONFAULT) == 0)
		sort_out(r, flags);
	else if (errno == EINVAL) /* Linux before 4.4, or flags that there are not */
		return real()->mlockall(flags);
	else if (errno == ENOMEM && fits_without_own(r)) {
		errno = before;
		return lock_others(r, flags);
	} else {
		return -1;
	}
	errno = before;
	return 0;
}

static int lock(int flags)
{
	struct maps_reader *r = NULL;
	int err;

	if (flags & MCL_CURRENT && !sandbox_is_possible())
		r = sys_map_whole_limit(sizeof(*r));
	if (!r)
		return real()->mlockall(flags);
	err = lock_present(r, flags);
	sys_unmap(r, sizeof(*r));
	return err;
}

EXPORT int mlockall(int flags)
{
	int err;

	if (process_is_borrowed())
		return real()->mlockall(flags);
	err = lock(flags);
	if (err == 0)
		sys_note_locked(flags & MCL_FUTURE);
	return err;
}

EXPORT int munlockall(void)
{
	if (!process_is_borrowed())
		sys_note_locked(false);
	return real()->munlockall();
}
