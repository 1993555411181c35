/* http: the server and its pages.  May include proto and below. */
/*
 * What a CPU profile says about itself, whoever asked for it.
 *
 * Context: listener.
 */
#ifndef HTTP_CPU_HEAD_H
#define HTTP_CPU_HEAD_H

#include "proto/build.h"

/* Types and period; when it was and its labels are still to come. */
extern const struct profile_head cpu_head;

#endif
