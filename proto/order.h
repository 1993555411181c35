/* proto: profiles as files and as text.  May include threads and below. */
/*
 * Orders of things by number: what is written largest first is not moved for it.
 *
 * Context: listener.
 */
#ifndef PROTO_ORDER_H
#define PROTO_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Puts the numbers 0 ... count - 1 into `order` so that none comes before one that
 * `before` says it comes behind; of two that it does not tell apart the lower number comes
 * first.  In n log n steps at most, without memory and recursion.
 */
void order_by(uint32_t *order, size_t count,
	      bool (*before)(const void *arg, uint32_t a, uint32_t b), const void *arg);

#endif
