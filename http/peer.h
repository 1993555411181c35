/* http: the server and its pages.  May include proto and below. */
/*
 * Unix sockets, and who is at the other end.
 *
 * Context: listener.
 */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sampler/base/text.h"

#define PEER_NAME_MAX 64  /* bytes of a member's name, with the NUL */
#define PEER_PATH_MAX 108 /* of any */

/* What the names of all members of the tree with this port, or other number, begin with. */
void peer_write_prefix(struct text *t, uint32_t tree_id);

/* A socket that listens under this abstract name, or -errno. */
int peer_listen(const char *name);

/*
 * The same for a path, which only the user that we run as may open, or @ and an abstract
 * name.  -EADDRINUSE: it is there.
 */
int peer_listen_at(const char *path);

/* A connection to it, or -errno; it never waits. */
int peer_connect(const char *name);
int peer_connect_to(const char *path);

/* Who is at the other end, as this process's namespaces see it.  False: not known. */
bool peer_of(int fd, struct ucred *out);

/* It is the same user, or root. */
bool peer_is_ours(int fd);

/*
 * It is our parent, and may be root whenever it wants (its real or saved user is): a manager
 * that gave up root until it needs it.  A process that is no longer our parent never is one.
 */
bool peer_is_privileged_parent(int fd);

#endif
