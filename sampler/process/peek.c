#include "sampler/process/peek.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "sampler/base/cc.h"
#include "sampler/base/sys.h"
#include "sampler/base/sys_map.h"
#include "sampler/base/text.h"

/* 64 pages cover the few places that a binary search in an unwind table touches. */
#define CACHE_PAGES 64
#define NO_PAGE	    UINT64_MAX

struct cached_page {
	uint64_t addr; /* NO_PAGE, or page aligned */
	uint8_t bytes[PAGE_BYTES];
};

static struct {
	struct cached_page *page; /* CACHE_PAGES of them; NULL until first used */
	int mem_fd;		  /* /proc/thread-self/mem + 1; 0 unopened, -1 refused */
	bool no_vm_readv;	  /* the kernel or a filter refuses process_vm_readv */
} reader;

void peek_avoid_vm_readv(void)
{
	reader.no_vm_readv = true;
}

static int mem_fd(void)
{
	if (reader.mem_fd == 0) {
		int fd = sys_open_read("/proc/thread-self/mem");

		reader.mem_fd = fd < 0 ? -1 : fd + 1;
	}
	return reader.mem_fd - 1;
}

static bool read_proc_mem(uint64_t addr, void *to, size_t len)
{
	int fd = mem_fd();

	return fd >= 0 && sys_pread(fd, to, len, addr) == (long)len;
}

static long vm_readv_of(int tid, uint64_t addr, void *to, size_t len)
{
	struct iovec local = { to, len };
	struct iovec remote = { (void *)addr, len };

	return sys_call6(SYS_process_vm_readv, tid, (long)&local, 1, (long)&remote, 1, 0);
}

/* By the number of this thread: once the first thread has ended, its number has no memory. */
static long vm_readv(uint64_t addr, void *to, size_t len)
{
	return vm_readv_of(sys_gettid(), addr, to, len);
}

bool peek_first_thread_has_ended(void)
{
	char here = 0, copy;

	return !reader.no_vm_readv &&
	       vm_readv_of(sys_getpid(), (uint64_t)&here, &copy, 1) == -ESRCH;
}

bool peek(uint64_t addr, void *to, size_t len)
{
	long n;

	if (reader.no_vm_readv)
		return read_proc_mem(addr, to, len);
	n = vm_readv(addr, to, len);
	if (n == -ENOSYS || n == -EPERM) {
		reader.no_vm_readv = true;
		return read_proc_mem(addr, to, len);
	}
	return n == (long)len;
}

size_t peek_some(uint64_t addr, void *to, size_t len)
{
	long n = reader.no_vm_readv ? -EPERM : vm_readv(addr, to, len);

	if (n == -ENOSYS || n == -EPERM) {
		int fd = mem_fd();

		reader.no_vm_readv = true;
		n = fd >= 0 ? sys_pread(fd, to, len, addr) : 0;
	}
	return n > 0 ? (size_t)n : 0;
}

size_t peek_some_of(int pid, uint64_t addr, void *to, size_t len)
{
	long n = reader.no_vm_readv ? 0 : vm_readv_of(pid, addr, to, len);

	return n > 0 ? (size_t)n : 0;
}

#define PAGEMAP_PRESENT (1UL << 63)

bool peek_is_there_of(int pid, uint64_t addr)
{
	char path[32];
	struct text t = TEXT_INIT(path);
	uint64_t page = 0;
	int fd;

	text_str(&t, "/proc/");
	text_i64(&t, pid);
	text_str(&t, "/pagemap");
	fd = sys_open_read(path);
	if (fd < 0)
		return false;
	if (sys_pread(fd, &page, sizeof(page), addr / PAGE_BYTES * sizeof(page)) !=
	    (long)sizeof(page))
		page = 0;
	sys_close(fd);
	return page & PAGEMAP_PRESENT;
}

/* Bytes from `addr` to the end of its page: what one read may ask for. */
static size_t rest_of_page(uint64_t addr)
{
	return PAGE_BYTES - (addr & (PAGE_BYTES - 1));
}

bool peek_string(uint64_t addr, char *to, size_t size)
{
	size_t len = 0;

	while (len + 1 < size) {
		size_t want = MIN(rest_of_page(addr + len), size - 1 - len);

		if (!peek(addr + len, to + len, want))
			return false;
		if (memchr(to + len, '\0', want))
			return true;
		len += want;
	}
	to[len] = '\0';
	return true;
}

static bool allocate_cache(void)
{
	if (!reader.page) {
		reader.page = sys_map(CACHE_PAGES * sizeof(*reader.page));
		if (reader.page)
			peek_forget();
	}
	return reader.page != NULL;
}

static struct cached_page *page_at(uint64_t addr)
{
	struct cached_page *p = &reader.page[(addr / PAGE_BYTES) % CACHE_PAGES];

	if (p->addr != addr) {
		p->addr = NO_PAGE;
		if (!peek(addr, p->bytes, PAGE_BYTES))
			return NULL;
		p->addr = addr;
	}
	return p;
}

bool peek_cached(uint64_t addr, void *to, size_t len)
{
	size_t at = addr & (PAGE_BYTES - 1);
	struct cached_page *p;

	if (len > rest_of_page(addr) || !allocate_cache())
		return peek(addr, to, len);
	p = page_at(addr - at);
	if (!p)
		return false;
	memcpy(to, p->bytes + at, len);
	return true;
}

void peek_forget(void)
{
	for (int i = 0; reader.page && i < CACHE_PAGES; i++)
		reader.page[i].addr = NO_PAGE;
}

void peek_release(void)
{
	if (reader.page)
		sys_unmap(reader.page, CACHE_PAGES * sizeof(*reader.page));
	reader.page = NULL;
}

void peek_new_descriptors(void)
{
	reader.mem_fd = 0;
}

void peek_after_fork(void)
{
	reader.page = NULL;
	peek_new_descriptors();
}
