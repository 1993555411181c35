/* shim/hooks: the functions that we interpose.  May include shim/life and below. */
/*
 * The hooks of threads that begin and end in a program that was attached to: by its import
 * tables.  Children have nothing to do with us, and pass.  Context: hook.
 */
#ifndef SHIM_HOOKS_THREAD_H
#define SHIM_HOOKS_THREAD_H

#include <pthread.h>

int late_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			void *arg);

/* It does not return. */
void late_pthread_exit(void *result);

#endif
