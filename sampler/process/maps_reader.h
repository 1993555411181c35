/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * Reads /proc/thread-self/maps line by line.  Formatting it holds a lock that the
 * target's page faults need, so it is read in small pieces, at most
 * MAPS_LINES_MAX lines of it, and seldom (H70).
 *
 * Context: listener.
 */
#ifndef SAMPLER_PROCESS_MAPS_READER_H
#define SAMPLER_PROCESS_MAPS_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPS_LINES_MAX 50000 /* what is behind counts as not mapped */
/* A path has at most PATH_MAX bytes, four each where the kernel escapes them; longer are cut. */
#define MAPS_LINE_ROOM 4608

struct maps_reader {
	int fd;
	size_t lines;	/* read so far */
	size_t at, len; /* of buf, still to be read */
	char buf[8192];
	char line[MAPS_LINE_ROOM];
};

/* One parsed line. */
struct maps_line {
	uint64_t start, limit, offset;
	uint64_t device, inode; /* of the file; 0: none */
	bool writable, executable;
	char *path; /* in the reader, until the next call; "" for none */
};

/* False when /proc is not there. */
bool maps_open(struct maps_reader *r);
/* Of another process; false too where the kernel does not let us look. */
bool maps_open_of(struct maps_reader *r, int pid);
/* False at the end. */
bool maps_next(struct maps_reader *r, struct maps_line *m);
void maps_close(struct maps_reader *r);

#endif
