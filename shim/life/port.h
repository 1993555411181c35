/* shim/life: the listener, and what forks and filters do.  May include shim/real and below. */
/*
 * The port of the endpoint.  It is the program's if the program wants it: a hook whose
 * bind() was refused asks, the listener closes its socket and opens one on another
 * port, and the hook binds again.  Connections that are there stay, with the profiles
 * under way on them.  We do not come back when the program closes its socket: who has
 * been told the new port keeps it.
 *
 * All this is in a page that forked children share: a child may bind a port while its
 * parent has it, and a survivor takes over where its parent was.  Other tools find the
 * port in the name of our thread, "pprofshim:6061", once it is not the one that was set.
 *
 *   asked == answered    nobody wants it
 *   asked != answered    a hook waits; the listener moves, then answers
 */
#ifndef SHIM_LIFE_PORT_H
#define SHIM_LIFE_PORT_H

#include <stdbool.h>
#include <stdint.h>

/* Again, when nobody has the port: a page of its own, with another port.  Context: init. */
void port_init(uint16_t configured);

/* Where the endpoint is, or is to be; and what the user set: 0 for none.  Context: any role. */
uint16_t port_now(void);
uint16_t port_configured(void);

/* Whether that is the endpoint's.  Context: hook. */
bool port_is(uint16_t port);

/*
 * A socket that listens on port_now(), or -errno; on another port if that is the
 * program's.  From now on this process is whom hooks ask.  With `rename` the thread's
 * name tells the port that was not set.  Context: listener.
 */
int port_open(bool rename);

/* Closes it: nobody here has the port any more.  Context: listener. */
void port_close(int fd);

/*
 * Moves if somebody asked: closes `fd`, opens another socket of that number, and calls
 * reset_all(arg) if no connection may stay on the old port.  Context: listener, before each poll.
 */
void port_give_way(int fd, bool rename, void (*reset_all)(void *arg), void *arg);

/*
 * Makes the listener of this process, or of the one that forked it, leave the port,
 * and waits until it has, 5 s at most.  `empty`: connections are not to stay either.
 * False: it did not, or nobody has it.  Context: hook, unfiltered thread.
 */
bool port_ask(bool empty);

/* One of us listens there.  Context: hook. */
bool port_is_held(void);

/*
 * The program has bound port_now(), so nobody of us has it: whoever tries to have it
 * looks for another.  No system call.  Context: hook.
 */
void port_note_theirs(void);

/* As port_ask(true) without a system call: the answer is not waited for.  Context: hook. */
void port_ask_silently(void);

#endif
