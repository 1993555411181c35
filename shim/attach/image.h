/* shim/attach: loads us into a running program.  May include shim/attach/arch and below. */
/*
 * A loaded object of another process, as it lies in memory there: so it does not matter
 * whether its file can be seen from here, or was replaced since.
 */
#ifndef SHIM_ATTACH_IMAGE_H
#define SHIM_ATTACH_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

struct image {
	int pid;
	uint64_t start; /* of its first mapping: the ELF header */
	uint64_t bias;
	uint64_t symbols, strings, hash, gnu_hash; /* addresses, 0: none */
};

/* Reads what is needed to find symbols.  False: there is no object. */
bool image_open(struct image *im, int pid, uint64_t start);

/* The address and size of a symbol that it exports; 0: there is none. */
uint64_t image_find(const struct image *im, const char *name, uint64_t *size);

/*
 * The object whose file's name begins with `name` after the last slash, and goes on with
 * neither a letter nor a digit; of several the program's own, not another namespace's.
 * False: none is loaded.
 */
bool image_find_loaded(struct image *im, int pid, const char *name);

#endif
