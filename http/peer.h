/* http: the server and its pages.  May include proto and below. */
/*
 * Abstract unix sockets between processes of ours, and who is at the other end.
 *
 * Context: listener.
 */
#ifndef HTTP_PEER_H
#define HTTP_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sampler/base/text.h"

#define PEER_NAME_MAX 64 /* bytes, with the NUL */

/* What the names of all members of the tree at this port begin with. */
void peer_write_prefix(struct text *t, uint16_t port);

/* A socket that listens under this name, or -errno. */
int peer_listen(const char *name);

/* A connection to it, or -errno; it never waits. */
int peer_connect(const char *name);

/* Who is at the other end, as this process's namespaces see it.  False: not known. */
bool peer_of(int fd, struct ucred *out);

/* It is the same user, or root. */
bool peer_is_ours(int fd);

#endif
