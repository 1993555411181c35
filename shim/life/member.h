/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * The socket of a member: a process of a tree whose endpoint is another process's.  It
 * is an abstract one, so that it is there in a chroot and leaves nothing behind, and
 * has the port (or what stands for it, socket.h) and the process in its name, by which the one that
 * has the port finds it.  That one connects and asks as any client would; who may is told by the
 * kernel (SO_PEERCRED): the same user, root, or a parent that may be root.  No key is shown to
 * anybody.
 */
#ifndef SHIM_LIFE_MEMBER_H
#define SHIM_LIFE_MEMBER_H

#include <stdint.h>

/* A socket that listens, or -errno.  Context: listener. */
int member_open(uint32_t tree_id);

#endif
