/* http: the server and its pages.  May include proto and below. */
/*
 * The bell of the process that takes a CPU profile of the tree: an abstract unix socket
 * that is there just as long.  A program that is executed meanwhile finds the port taken, and
 * would become a member when it has found it taken for a while; if there is a bell it becomes
 * one at once, rings, and is asked within a millisecond, for it may not live for many.
 *
 * Nothing is said through it.  Who takes its name keeps short programs out of profiles, if it
 * is the same user or root, else nothing happens.
 *
 * Context: listener.
 */
#ifndef HTTP_BELL_H
#define HTTP_BELL_H

#include <stdbool.h>
#include <stdint.h>

/* Each hanging has its taking down.  Without a socket there is none (counted). */
void bell_hang(uint32_t tree_id);
void bell_take_down(void);

/* This listener has none: it begins. */
void bell_forget(void);

/* To be polled; negative: there is none. */
int bell_fd(void);

/* Somebody rang. */
void bell_answer(void);

/* When that was last, CLOCK_MONOTONIC ns; 0: never. */
int64_t bell_rung_ns(void);

/* Rings that of another process.  False: there is none. */
bool bell_ring(uint32_t tree_id);

#endif
