/* Handler path; see capture_handler.c.  x86-64: where the thread's control block is. */
#include "sampler/arch/arch.h"

bool arch_reads_fs_base;
