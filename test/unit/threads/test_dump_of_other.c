/* Threads of other processes, read from outside: whose code is ours, and whose is not. */
#include <check.h>
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sampler/base/cc.h"
#include "sampler/process/guests.h"
#include "sampler/process/modules.h"
#include "sampler/threads/dump.h"
#include "sampler/unwind/code.h"
#include "sampler/unwind/rows.h"

static int never[2];

/* Short in every build, for has_frame_in(): a sanitizer would watch over a variable of its own. */
static NOINLINE void wait_here(void)
{
	static char c;

	while (read(never[0], &c, 1) != 1)
		;
	__asm__ volatile("");
}

static NOINLINE void wait_there(void)
{
	wait_here();
	__asm__ volatile("");
}

static void start_child(pid_t *pid)
{
	ck_assert_int_eq(pipe(never), 0);
	*pid = fork();
	if (*pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	wait_there();
	_exit(0);
}

/* It waits in this system call. */
static void until_it_waits(pid_t pid, const char *call)
{
	char path[64], text[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	while (strncmp(text, call, strlen(call)) != 0) {
		usleep(1000);
		f = fopen(path, "r");
		if (!f || !fgets(text, sizeof(text), f))
			text[0] = '\0';
		if (f)
			fclose(f);
	}
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static bool has_frame_in(const struct stack *s, void (*fn)(void))
{
	for (uint32_t i = 0; i < s->depth; i++)
		if (frame_address(s->frame[i]) - (uint64_t)fn < 64)
			return true;
	return false;
}

static struct dump *look_at(pid_t pid)
{
	struct dump *d = dump_of_other(pid);

	while (d && dump_of_other_step(d))
		;
	return d;
}

static const struct stack *only_stack(const struct dump *d)
{
	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(d->count, 1);
	ck_assert_int_eq(d->thread[0].how, DUMP_WAITING);
	return d->stacks.list[d->thread[0].stack];
}

START_TEST(a_child_that_sleeps_is_read_where_it_is)
{
	const struct stack *s;
	struct dump *d;
	pid_t pid;

	start_child(&pid);
	until_it_waits(pid, "0 ");
	ck_assert(dump_of_others_begin());
	d = look_at(pid);
	s = only_stack(d);
	ck_assert(has_frame_in(s, wait_here));
	ck_assert(has_frame_in(s, wait_there));
	ck_assert_uint_gt(s->frame[s->depth - 1], PSEUDO_LIMIT); /* to the root */
	dump_free(d);
	kill(pid, SIGSTOP); /* and so is one that is stopped there */
	waitpid(pid, NULL, WUNTRACED);
	d = look_at(pid);
	ck_assert(has_frame_in(only_stack(d), wait_there));
	dump_free(d);
	dump_of_others_end();
	end_child(pid);
}
END_TEST

START_TEST(its_wait_goes_on)
{
	struct dump *d;
	int status;
	pid_t pid;

	start_child(&pid);
	until_it_waits(pid, "0 ");
	ck_assert(dump_of_others_begin());
	d = look_at(pid);
	dump_free(d);
	dump_of_others_end();
	ck_assert_int_eq(waitpid(pid, &status, WNOHANG), 0);
	ck_assert_int_eq(write(never[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* Its libc lies elsewhere, and its own file is nowhere here. */
START_TEST(another_program_is_read_by_its_file)
{
	const struct module *m;
	const struct stack *s;
	struct dump *d;
	uint32_t rows;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("sleep", "sleep", "1000", (char *)NULL);
		_exit(1);
	}
	until_it_waits(pid, "230 "); /* clock_nanosleep */
	ck_assert(dump_of_others_begin());
	rows = rows_count();
	d = look_at(pid);
	s = only_stack(d);
	m = frame_module(s->frame[s->depth - 1]);
	ck_assert_ptr_nonnull(m);
	ck_assert_str_eq(strrchr(m->path, '/'), "/sleep");
	ck_assert(!m->is_loaded);
	m = frame_module(s->frame[0]);
	ck_assert_ptr_nonnull(strstr(m->path, "libc"));
	ck_assert(m->is_loaded); /* ours is the same file */
	ck_assert_uint_gt(rows_count(), rows);
	dump_free(d);
	dump_of_others_end();
	end_child(pid);
}
END_TEST

static void *sleep_on(void *arg)
{
	pause();
	return arg;
}

static void *wait_on_it(void *arg)
{
	wait_here();
	return arg;
}

/* Its pages may come from a file system that never sends them. */
static void wait_on_stack_in_file(void)
{
	int fd = memfd_create("stack", MFD_CLOEXEC);
	pthread_attr_t there;
	pthread_t t;
	void *stack;

	ck_assert_int_eq(ftruncate(fd, 65536), 0);
	stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pthread_attr_init(&there);
	pthread_attr_setstack(&there, stack, 65536);
	pthread_create(&t, &there, wait_on_it, NULL);
	wait_here();
}

START_TEST(a_stack_in_a_file_is_not_read)
{
	struct dump *d = NULL;
	pid_t pid;

	ck_assert_int_eq(pipe(never), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_on_stack_in_file();
	}
	ck_assert(dump_of_others_begin());
	do {
		if (d)
			dump_free(d);
		d = look_at(pid);
	} while (d->count < 2 || d->thread[0].how != DUMP_WAITING ||
		 d->thread[1].call.state != TASK_IN_CALL);
	dump_free(d);
	d = look_at(pid); /* what is mapped there is read before the threads: now it is all there */
	ck_assert_uint_eq(d->count, 2);
	ck_assert_int_eq(d->thread[1].how, DUMP_UNREADABLE);
	dump_free(d);
	dump_of_others_end();
	end_child(pid);
}
END_TEST

#define THREADS 600 /* so many take longer than one look may */

static void have_threads(void)
{
	pthread_attr_t small;
	pthread_t t;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	for (int i = 1; i < THREADS; i++)
		pthread_create(&t, &small, sleep_on, NULL);
}

static uint32_t count_seen(const struct dump *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->count; i++)
		n += d->thread[i].how == DUMP_WAITING;
	return n;
}

/* Others are served meanwhile, and somebody may look at another one. */
START_TEST(one_with_many_threads_is_looked_at_in_steps)
{
	struct dump *d, *other;
	pid_t pid, many;

	start_child(&pid);
	until_it_waits(pid, "0 ");
	many = fork();
	if (many == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		have_threads();
		wait_there();
	}
	until_it_waits(many, "0 ");
	ck_assert(dump_of_others_begin());
	d = dump_of_other(many);
	ck_assert(dump_of_other_step(d));
	ck_assert_uint_gt(count_seen(d), 0);
	ck_assert_uint_lt(count_seen(d), THREADS);
	other = look_at(pid);
	ck_assert(has_frame_in(only_stack(other), wait_there));
	while (dump_of_other_step(d))
		;
	ck_assert_uint_gt(count_seen(d), THREADS - 50); /* some may be about to wait */
	dump_free(d);
	d = dump_of_other(many);
	dump_of_other_step(d);
	dump_of_other_stop(d);
	ck_assert(!dump_of_other_step(d));
	ck_assert_uint_eq(d->count, THREADS);
	for (uint32_t i = 0; i < d->count; i++)
		ck_assert_int_ne(d->thread[i].how, DUMP_PENDING);
	dump_free(d);
	dump_free(other);
	dump_of_others_end();
	end_child(many);
	end_child(pid);
}
END_TEST

START_TEST(nobody_is_there)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	ck_assert(dump_of_others_begin());
	ck_assert(dump_of_others_begin()); /* of two that ask */
	ck_assert_ptr_null(look_at(pid));
	dump_of_others_end();
	ck_assert_ptr_null(look_at(pid));
	dump_of_others_end();
}
END_TEST

/* ---- files */

static uint8_t head[4096];
static char path[64];
static uint64_t inode;

static void copy_of_sleep(void)
{
	char command[128];

	snprintf(path, sizeof(path), "/tmp/pprofshim-guest-%d", getpid());
	snprintf(command, sizeof(command), "cp \"$(command -v sleep)\" %s", path);
	ck_assert_int_eq(system(command), 0);
}

static void read_head(void)
{
	int fd = open(path, O_RDONLY);

	ck_assert_int_eq(read(fd, head, sizeof(head)), sizeof(head));
	close(fd);
}

static const struct module *meet(void)
{
	const struct guest_file f = { path, 1, ++inode, head, sizeof(head) };

	return guest_meet(&f);
}

static unsigned gone;

static void count_gone(const struct module *m)
{
	gone += m->range_count > 0;
}

START_TEST(who_may_have_written_a_file)
{
	const struct module *m;
	uint64_t pc;

	copy_of_sleep();
	read_head();
	chmod(path, 0755);
	m = meet();
	ck_assert_ptr_nonnull(m);
	pc = m->range[0].start;
	ck_assert_ptr_eq(guest_find(pc), m);
	if (geteuid() == 0) {
		chmod(path, 0757);
		ck_assert_ptr_null(meet());
		chmod(path, 0755);
		ck_assert_int_eq(chown(path, 65534, 0), 0);
		ck_assert_ptr_null(meet());
		ck_assert_int_eq(chown(path, 0, 65534), 0);
		ck_assert_ptr_nonnull(meet());
		chmod(path, 0775); /* by its group */
		ck_assert_ptr_null(meet());
	}
	guests_release(count_gone);
	ck_assert_uint_eq(gone, geteuid() == 0 ? 2 : 1);
	ck_assert_ptr_null(guest_find(pc));
	unlink(path);
}
END_TEST

START_TEST(another_file_is_at_its_path)
{
	copy_of_sleep();
	read_head();
	chmod(path, 0755);
	head[4000]++;
	ck_assert_ptr_null(meet());
	guests_release(count_gone);
	unlink(path);
}
END_TEST

/* Of the file, as the kernel lists our mappings. */
static bool is_mapped(void)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "r");
	bool found = false;

	while (fgets(line, sizeof(line), f))
		found |= strstr(line, path) != NULL;
	fclose(f);
	return found;
}

static void write_head(const Elf64_Phdr *ph, size_t count)
{
	Elf64_Ehdr e;
	int fd = open(path, O_RDWR);

	memcpy(&e, head, sizeof(e));
	e.e_phoff = sizeof(e);
	e.e_phnum = (uint16_t)count;
	memcpy(head, &e, sizeof(e));
	memcpy(head + sizeof(e), ph, count * sizeof(*ph));
	ck_assert_int_eq(pwrite(fd, head, sizeof(head), 0), sizeof(head));
	close(fd);
}

/* The sum of address and size is small, so that it seems to lie within the others. */
START_TEST(segments_that_reach_around_address_zero)
{
	const Elf64_Phdr code = {
		.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = 4096, .p_memsz = 4096
	};
	Elf64_Phdr ph[2] = { code, code };

	copy_of_sleep();
	read_head();
	chmod(path, 0755);
	write_head(ph, 1);
	ck_assert_ptr_nonnull(meet());
	ph[1].p_flags = PF_R;
	ph[1].p_vaddr = (uint64_t)-4096; /* in front of what was reserved */
	ph[1].p_memsz = 8192;
	write_head(ph, 2);
	ck_assert_ptr_null(meet());
	ph[1].p_vaddr = 0; /* behind it */
	ph[1].p_filesz = 1UL << 20;
	ph[1].p_memsz = (uint64_t)-4096;
	write_head(ph, 2);
	ck_assert_ptr_null(meet());
	guests_release(count_gone);
	ck_assert(!is_mapped());
	unlink(path);
}
END_TEST

/* What is mapped in their place says something else. */
START_TEST(headers_that_are_not_loaded)
{
	const Elf64_Phdr code = { .p_type = PT_LOAD,
				  .p_flags = PF_R | PF_X,
				  .p_offset = 4096,
				  .p_filesz = 4096,
				  .p_memsz = 4096 };
	const Elf64_Phdr lie = {
		.p_type = PT_LOAD, .p_flags = PF_X, .p_vaddr = 1UL << 40, .p_memsz = 4096
	};
	const struct module *m;
	int fd;

	copy_of_sleep();
	read_head();
	chmod(path, 0755);
	write_head(&code, 1);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pwrite(fd, &lie, sizeof(lie), 4096 + sizeof(Elf64_Ehdr)), sizeof(lie));
	close(fd);
	m = meet();
	ck_assert(!m || m->range[0].limit - m->range[0].start == 4096);
	ck_assert(!m || m->range[0].start - m->bias == 0);
	guests_release(count_gone);
	ck_assert(!is_mapped());
	unlink(path);
}
END_TEST

/* Whatever the headers say, there is a guest or none, and nothing is left of it. */
START_TEST(no_headers_break_it)
{
	static uint8_t sound[4096];
	int fd;

	copy_of_sleep();
	read_head();
	memcpy(sound, head, sizeof(head));
	chmod(path, 0755);
	fd = open(path, O_RDWR);
	srand(1);
	for (int round = 0; round < 3000; round++) {
		memcpy(head, sound, sizeof(head));
		for (int k = rand() % 8; k >= 0; k--)
			head[16 + rand() % 800] = (uint8_t)(rand() % 3 ? rand() : 0xff);
		ck_assert_int_eq(pwrite(fd, head, sizeof(head), 0), sizeof(head));
		meet();
		if (round % 64 == 0)
			guests_release(count_gone);
	}
	guests_release(count_gone);
	ck_assert(!is_mapped());
	close(fd);
	unlink(path);
}
END_TEST

static void setup(void)
{
	modules_init();
	code_refresh();
}

int main(void)
{
	TCase *t = tcase_create("dump_of_other");
	Suite *s = suite_create("dump_of_other");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_child_that_sleeps_is_read_where_it_is);
	tcase_add_test(t, its_wait_goes_on);
	tcase_add_test(t, another_program_is_read_by_its_file);
	tcase_add_test(t, a_stack_in_a_file_is_not_read);
	tcase_add_test(t, one_with_many_threads_is_looked_at_in_steps);
	tcase_add_test(t, nobody_is_there);
	tcase_add_test(t, who_may_have_written_a_file);
	tcase_add_test(t, another_file_is_at_its_path);
	tcase_add_test(t, segments_that_reach_around_address_zero);
	tcase_add_test(t, headers_that_are_not_loaded);
	tcase_add_test(t, no_headers_break_it);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
