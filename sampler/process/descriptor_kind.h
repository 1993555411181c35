/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * What one of the program's descriptors is, without touching it: the link in /proc alone is
 * read, since to ask for the file's type may wait for a server that is gone.
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_DESCRIPTOR_KIND_H
#define SAMPLER_PROCESS_DESCRIPTOR_KIND_H

#include <stdint.h>

enum descriptor_kind {
	DESCRIPTOR_UNKNOWN, /* closed by now, or /proc does not tell */
	DESCRIPTOR_SOCKET,
	DESCRIPTOR_PIPE,
	DESCRIPTOR_EVENT, /* an eventfd, a timerfd, an inotify... */
	DESCRIPTOR_DEVICE,
	DESCRIPTOR_FILE,
};

/* By the link's text; a FIFO has a path as a file has. */
enum descriptor_kind descriptor_kind_parse(const char *link);

/*
 * Of descriptor `fd` in the table of a thread that sleeps in it; `dir` is /proc/self/task,
 * opened.  A FIFO is known by the kernel's function that the thread sleeps in.
 */
enum descriptor_kind descriptor_kind_read(int dir, int tid, uint64_t fd);

#endif
