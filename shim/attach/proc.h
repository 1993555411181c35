/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/* What /proc says about a process and its threads, and its memory. */
#ifndef SHIM_ATTACH_PROC_H
#define SHIM_ATTACH_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_PATH_MAX 4096

/* The path /proc/PID/NAME in `path`. */
void proc_path(char path[PROC_PATH_MAX], int pid, const char *name);

/* The file's beginning as text; bytes, or -1 with errno. */
ssize_t proc_read(int pid, const char *name, char *text, size_t size);

/* The same of a thread. */
ssize_t proc_read_task(int pid, int tid, const char *name, char *text, size_t size);

/* What stands behind "NAME:" in a status file; "" when there is no such line.  Static. */
const char *status_field(const char *status, const char *name);

/* The number of a thread in the innermost namespace that it is in; 0: it is gone. */
int proc_inner_number(int pid, int tid);

/* Calls fn with each thread, until it returns false.  False: fn did, or there is no process. */
bool proc_each_thread(int pid, bool (*fn)(int tid, void *arg), void *arg);

/* ---- mappings */

struct mapping {
	uint64_t start, limit, offset, inode;
	bool is_executable, is_readable, is_writable;
	char path[PROC_PATH_MAX];
};

/* Calls fn with each mapping, until it returns false.  False: the file cannot be read. */
bool proc_each_mapping(int pid, bool (*fn)(const struct mapping *m, void *arg), void *arg);

/* The one that holds `at`. */
bool proc_mapping_at(int pid, uint64_t at, struct mapping *out);

/* ---- memory: all bytes or false */

bool memory_read(int pid, uint64_t from, void *to, size_t bytes);
bool memory_write(int pid, uint64_t to, const void *from, size_t bytes);

/* A string that ends within `size` bytes. */
bool memory_read_string(int pid, uint64_t from, char *to, size_t size);

#endif
