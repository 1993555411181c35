/* http: the server and its pages.  May include proto and below. */
/*
 * Which profiles are written to files, by name.
 *
 * Context: any role.
 */
#ifndef HTTP_OUT_KINDS_H
#define HTTP_OUT_KINDS_H

/* X(identifier, name in PPROF_OUT_PROFILES and of the file, its ending) */
#define OUT_KINDS(X)                                                                               \
	X(CPU, "cpu", "pb.gz")                                                                     \
	X(HEAP, "heap", "pb.gz")                                                                   \
	X(BLOCK, "block", "pb.gz")                                                                 \
	X(MUTEX, "mutex", "pb.gz")                                                                 \
	X(WALL, "wall", "pb.gz")                                                                   \
	X(TOP, "top", "txt")

enum out_kind {
#define X(name, ...) OUT_##name,
	OUT_KINDS(X)
#undef X
		OUT_KIND_COUNT
};

#define OUT_KIND_BIT(kind) (1U << (kind))
#define OUT_KINDS_DEFAULT  (OUT_KIND_BIT(OUT_CPU) | OUT_KIND_BIT(OUT_HEAP))

/* The kinds in a list as "cpu,heap"; 0: it makes no sense. */
unsigned out_kinds_of(const char *list);
const char *out_kind_name(enum out_kind kind);

#endif
