/* process: threads, mappings and loaded objects of the process.  May include base and below. */
/*
 * How stacks are kept: one word a frame, which means the same for as long as the process
 * lives.  An address does not: what was unloaded may leave its place to something else.
 *
 *	below FRAME_PSEUDO_LIMIT	no code: a pseudo frame (unwind/stacks.h), or, behind the
 *					root, labels that the program gave (label_set.h)
 *	top 16 bits 0 or all ones	an address: of an object that is never unloaded, or of
 *					code of no object (made at run time, vsyscall page)
 *	else				number of a module (modules.h), and below it the
 *					address as in its file: runtime address - bias
 *
 * What is asked with an address is its look-up address: of a caller, return address - 1.
 */
#ifndef SAMPLER_PROCESS_FRAME_H
#define SAMPLER_PROCESS_FRAME_H

#include <stdint.h>

#define FRAME_PSEUDO_LIMIT 4096 /* nothing is ever mapped there (vm.mmap_min_addr) */
#define FRAME_SHIFT	   48	/* of a module's number; addresses of user space are shorter */
#define FRAME_OF_NO_MODULE 0xffffU

/* The number of the module that a frame names; 0: it is an address.  Context: any role. */
static inline uint32_t frame_number(uint64_t frame)
{
	uint32_t number = (uint32_t)(frame >> FRAME_SHIFT);

	return number == FRAME_OF_NO_MODULE ? 0 : number;
}

/* The frame of an address that belongs to no module which may go.  Context: any role. */
static inline uint64_t frame_of_address(uint64_t pc)
{
	return pc >> FRAME_SHIFT ? pc | (uint64_t)FRAME_OF_NO_MODULE << FRAME_SHIFT : pc;
}

/* The frame at address `pc` of a module that is loaded with this bias.  Context: any role. */
static inline uint64_t frame_in_module(uint32_t number, uint64_t bias, uint64_t pc)
{
	return (uint64_t)number << FRAME_SHIFT | ((pc - bias) & ((1UL << FRAME_SHIFT) - 1));
}

#endif
