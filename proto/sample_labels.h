/* proto: profiles as files and as text.  May include threads and below. */
/* What samples of a profile are labelled with. */
#ifndef PROTO_SAMPLE_LABELS_H
#define PROTO_SAMPLE_LABELS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/message.h"

/* The labels of one thread, for the samples of all its stacks. */
struct sample_labels {
	const struct message_label *label;
	uint32_t count;
};

/* Which labels samples have. */
struct sample_labelling {
	const struct sample_labels *of; /* of label n at n - 1; NULL: none */
	bool without;			/* nor those that the program gave */
};

#endif
