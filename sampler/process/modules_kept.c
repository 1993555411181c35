#include "sampler/process/modules_kept.h"

atomic_uint_fast64_t modules_kept[(FRAME_OF_NO_MODULE + 1) / 64];
