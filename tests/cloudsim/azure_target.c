/* The request line: path and query, decoded. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

void az_read_target(struct az_call *c)
{
	const char *target = c->req->target;
	size_t len = strcspn(target, "?");
	const char *p = target + (*target == '/');

	if (target[len] == '?')
		sim_read_pairs(target + len + 1, &c->query);
	c->path = sim_decode(target, len, false);
	while (p < target + len) {
		size_t n = strcspn(p, "/?");
		ff_auto_free char *segment = sim_decode(p, n, false);

		ff_strv_add(&c->segments, segment);
		p += n + 1;
	}
}

const char *az_query(const struct az_call *c, const char *name)
{
	return ff_headers_get(&c->query, name);
}
