/*
 * Token buckets: one per action, and one of resources for actions on many ids. Sizes and refills are those that AWS
 * publishes. EC2 says "no" without Retry-After; a refused request takes nothing.
 */
#include "aws.h"

#include <stdlib.h>

static double setting(const struct aw_call *c, const char *bucket, const char *name, double usual)
{
	const json_t *b = json_object_get(c->aws->buckets, bucket);

	return b != NULL ? json_number_value(json_object_get(b, name)) : usual;
}

static struct sim_bucket *bucket(struct aw_call *c, const char *name, double capacity, double refill_per_s)
{
	ff_auto_free char *key = ff_printf("aws %s", name);

	return sim_bucket(c->sim, key, setting(c, name, "capacity", capacity),
		60 * setting(c, name, "refill_per_s", refill_per_s));
}

static struct sim_bucket *requests(struct aw_call *c)
{
	const struct aw_action *a = c->action;
	ff_auto_free char *unfiltered = ff_printf("%s.unfiltered", a->name);

	if (a->budget == AW_READS && !aw_has(c, "Filter") && !aw_has(c, "MaxResults") && !aw_has(c, "NextToken") &&
		(a->ids == NULL || !aw_has(c, a->ids)))
		return bucket(c, unfiltered, 50, 10);
	if (a->budget == AW_READS)
		return bucket(c, a->name, 100, 20);
	return bucket(c, a->name, a->capacity, a->refill_per_s);
}

int aw_throttle(struct aw_call *c)
{
	const struct aw_action *a = c->action;
	ff_auto_free char *name = ff_printf("%s.resources", a->name);
	struct ff_strv ids = {0};
	struct sim_bucket *b;
	bool enough;

	if (a->budget == AW_NO_BUDGET)
		return 0;
	enough = sim_bucket_left(c->sim, requests(c)) >= 1;
	if (a->id_capacity > 0 && enough) {
		ids = aw_list(c, a->ids);
		b = bucket(c, name, a->id_capacity, a->id_refill_per_s);
		enough = sim_bucket_left(c->sim, b) >= (double)ids.count;
		if (enough)
			b->tokens -= (double)ids.count;
		ff_strv_free(&ids);
	}
	if (!enough) {
		sim_count_request(c->sim, "aws throttled");
		return aw_refuse(c, 503, "RequestLimitExceeded", "Request limit exceeded.");
	}
	sim_bucket_take(c->sim, requests(c));
	return 0;
}
