#include "http/routes_config.h"

static struct routes_config settings;

void routes_init(const struct routes_config *config)
{
	settings = *config;
}

const struct routes_config *routes_config(void)
{
	return &settings;
}
