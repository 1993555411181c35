/* Defined here, where the handler may refer to it. */
#include "sampler/unwind/code_stamp.h"

struct code_shared code_shared;
