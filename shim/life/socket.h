/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * The unix socket of the endpoint, beside the port or in its place.  Who has it is told by
 * the kernel who asks (http/peer.h), so our own user and root need no key.
 *
 * A file's name stays behind when a process is killed.  It is taken for stale, and
 * replaced, when it is a socket and nobody answers there; a lock on its directory, held
 * for that moment, keeps two of us from replacing each other's.  An abstract name (@) goes
 * with its process.
 */
#ifndef SHIM_LIFE_SOCKET_H
#define SHIM_LIFE_SOCKET_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define SOCKET_PATTERN_MAX 90 /* bytes: 107 are a path's, and a process id needs some */

/*
 * `pattern` (name_pattern.h; NULL: none) is borrowed, as is `program`, a path: for ever, or until
 * another is given while there is no listener.  Context: init.
 */
void socket_init(const char *pattern, const char *program);

/* Context: any role. */
bool socket_is_wanted(void);

/*
 * A socket that listens there, or -errno: -EADDRINUSE when somebody answers, -EEXIST when
 * the file is no socket.  Context: listener.
 */
int socket_open(void);

/* Closes it, and takes its name away.  Context: listener. */
void socket_close(int fd);

/*
 * Opens the socket beside the port if there is to be one, again now and then while
 * somebody else has it; *again_ns is lowered to when.  *fd is that of the open one, a
 * negative number where there is none, and SOCKET_UNTRIED at first.  Context: listener.
 */
#define SOCKET_UNTRIED INT_MIN
void socket_keep_open(int *fd, int64_t now_ns, int64_t *again_ns);

/* Takes the name away if this process has it: it is about to end.  Context: hook. */
void socket_remove(void);

/* Its name as of the last attempt ("@" for abstract ones), and how that ended: 0 or -errno. */
const char *socket_path(void);
int socket_error(void);

/* The number by which members are found: the port, or one made of the socket's pattern. */
uint32_t socket_tree_id(uint16_t port);

#endif
