/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/* One loaded object (executable, library, vdso), as the table in modules.h has it. */
#ifndef SAMPLER_PROCESS_MODULE_H
#define SAMPLER_PROCESS_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#define MODULE_RANGES_MAX                                                                          \
	16 /* coalesced executable ranges of one object; the last takes in what is behind */
#define MODULES_LOADED_MAX 4096 /* at a time; more are counted and left out */
#define MODULE_PATH_MAX	   1024 /* longer paths are cut */
#define BUILD_ID_MAX	   252	/* bytes; SHA-1 has 20; a longer one counts as none */

/* One executable range, page aligned, as the kernel maps it. */
struct module_range {
	uint64_t start;
	uint64_t limit;	 /* first byte behind */
	uint64_t offset; /* of `start` in the file */
};

/* Of a file without a build id, when it was first seen: 0 if it could not be asked. */
struct module_file {
	uint64_t size;	    /* MODULE_FILE_GONE: another one was at its path by then, or none */
	int64_t changed_ns; /* time of its last change */
};

#define MODULE_FILE_GONE UINT64_MAX
#define MODULE_FILE_TOLD (UINT64_MAX - 1) /* no file: see symbols/told.h */

/*
 * What stands in the second half is where it is loaded, or was when it was last: an
 * object that went and is loaded again is the same module, at another address maybe.
 */
struct module {
	const char *path; /* absolute where it can be known; "[vdso]" */
	uint8_t *build_id;
	uint8_t build_id_len;
	uint32_t number; /* of the module in the table, from 1 */
	struct module_file file;
	bool is_main;
	bool is_vdso;
	bool is_fixed;		/* it was there at the start and is never unloaded */
	bool has_long_id;	/* a build id beyond BUILD_ID_MAX; identity is by program headers */
	bool has_merged_ranges; /* the last range's `offset` does not hold for all of it */

	bool is_loaded;
	uint32_t came; /* the look that found it there, as modules_refresh() was told */
	uint64_t bias; /* runtime address = bias + p_vaddr */
	uint64_t ehdr; /* runtime address of the ELF header, 0 if it is not mapped */
	uint64_t phdr; /* runtime address of the program headers */
	uint32_t phdr_count;
	uint32_t range_count;
	struct module_range *range;
	uint64_t image_start, image_limit; /* all PT_LOAD segments */
	uint64_t eh_frame_hdr;		   /* runtime address, 0 if there is none */
	uint64_t eh_frame_hdr_limit;
	uint64_t dynamic;  /* runtime address of PT_DYNAMIC, 0 if there is none */
	uint64_t link_map; /* the loader's record of this loading */
};

#endif
