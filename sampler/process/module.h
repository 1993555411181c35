/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/* One loaded object (executable, library, vdso), as the table in modules.h has it. */
#ifndef SAMPLER_PROCESS_MODULE_H
#define SAMPLER_PROCESS_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#define MODULE_RANGES_MAX                                                                          \
	16 /* coalesced executable ranges of one object; the last takes in what is behind */
#define MODULE_PATH_MAX 1024 /* longer paths are cut */
#define BUILD_ID_MAX	252  /* bytes; SHA-1 has 20; a longer one counts as none */

/* One executable range, page aligned, as the kernel maps it. */
struct module_range {
	uint64_t start;
	uint64_t limit;	 /* first byte behind */
	uint64_t offset; /* of `start` in the file */
};

struct module {
	uint64_t bias; /* runtime address = bias + p_vaddr */
	uint64_t ehdr; /* runtime address of the ELF header, 0 if it is not mapped */
	uint64_t phdr; /* runtime address of the program headers */
	uint32_t phdr_count;
	uint32_t range_count;
	struct module_range range[MODULE_RANGES_MAX];
	uint64_t image_start, image_limit; /* all PT_LOAD segments */
	uint64_t eh_frame_hdr;		   /* runtime address, 0 if there is none */
	uint64_t eh_frame_hdr_limit;
	uint64_t dynamic;  /* runtime address of PT_DYNAMIC, 0 if there is none */
	uint64_t link_map; /* the loader's record: identity of this loading */
	uint32_t born;	   /* generation in which it appeared */
	uint32_t died;	   /* generation in which it was gone; UINT32_MAX while loaded */
	uint8_t build_id[BUILD_ID_MAX];
	uint8_t build_id_len;
	bool is_main;
	bool is_vdso;
	bool has_long_id;	/* a build id beyond BUILD_ID_MAX; identity is by program headers */
	bool has_merged_ranges; /* the last range's `offset` does not hold for all of it */
	char path[MODULE_PATH_MAX]; /* absolute where it can be known; "[vdso]" */
};

#endif
