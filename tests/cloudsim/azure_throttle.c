/*
 * Azure's budgets. Compute has token buckets per resource and per subscription (MicrosoftDocs/azure-compute-docs,
 * compute-throttling-limits); Resource Manager has its own per subscription above them. The names in the headers are
 * as recorded; they tell what the subscription has left.
 */
#include "azure.h"

struct budget {
	const char *name;
	double vm_capacity, vm_per_minute; /* 0: none per VM */
	double capacity, per_minute;	   /* of the subscription */
};

static const struct budget budgets[AZ_GROUP_COUNT] = {
	[AZ_PUT_VM] = {"PutVM", 12, 4, 1500, 500},
	[AZ_UPDATE_VM] = {"UpdateVM", 12, 4, 1500, 500},
	[AZ_DELETE_VM] = {"DeleteVM", 12, 4, 1500, 500},
	[AZ_LOW_COST_GET] = {"LowCostGet", 36, 12, 24000, 8000},
	[AZ_HIGH_COST_GET] = {"HighCostGet", 0, 0, 900, 300},
	[AZ_GET_OPERATION] = {"GetOperation", 45, 15, 15000, 5000},
	/* of disks only what the headers begin with was seen: a third of it a minute */
	[AZ_WRITE_DISK] = {"CreateUpdateDisks", 0, 0, 1000, 333},
	[AZ_DELETE_DISK] = {"DeleteDisks", 0, 0, 3000, 1000},
	[AZ_GET_DISK] = {"LowCostGet", 0, 0, 15000, 5000},
};

static struct sim_bucket *bucket(
	struct az_call *c, const char *what, const char *name, const char *of, double capacity, double per_minute)
{
	ff_auto_free char *setting = ff_printf("%s.%s", what, name);
	ff_auto_free char *key = of != NULL ? ff_printf("%s %s", setting, of) : ff_strdup(setting);
	const json_t *o = json_object_get(c->az->buckets, setting);

	if (o != NULL) {
		capacity = json_number_value(json_object_get(o, "capacity"));
		per_minute = json_number_value(json_object_get(o, "refill_per_min"));
	}
	return sim_bucket(c->sim, key, capacity, per_minute);
}

static int too_many(struct az_call *c, const struct budget *b, int64_t wait_ms)
{
	ff_auto_free char *inner = ff_printf("{\"operationGroup\":\"%s\"}", b->name);

	az_header(c, "Retry-After", "%lld", (long long)(wait_ms / 1000));
	az_reply(c, 429,
		json_pack("{s:s,s:s,s:[{s:s,s:s,s:s}]}", "code", "OperationNotAllowed", "message",
			"The server rejected the request because too many requests have been received for this "
			"subscription.",
			"details", "code", "TooManyRequests", "target", b->name, "message", inner));
	return -1;
}

/* Resource Manager's own limit, for all that the subscription is asked for. */
static int arm_limit(struct az_call *c)
{
	static const struct {
		const char *method, *name, *header;
		double capacity, per_minute;
	} limits[] = {
		{"GET", "reads", "x-ms-ratelimit-remaining-subscription-global-reads", 3750, 22500},
		{"DELETE", "deletes", "x-ms-ratelimit-remaining-subscription-global-deletes", 3000, 9000},
		{NULL, "writes", "x-ms-ratelimit-remaining-subscription-global-writes", 3000, 9000},
	};
	size_t i = 0;
	struct sim_bucket *b;
	int64_t wait;

	while (limits[i].method != NULL && !ff_streq(limits[i].method, c->req->method))
		i++;
	b = bucket(c, "subscription", limits[i].name, NULL, limits[i].capacity, limits[i].per_minute);
	wait = sim_bucket_refuse(c->sim, b);
	if (wait == 0) {
		sim_bucket_take(c->sim, b);
		az_header(c, limits[i].header, "%lld", (long long)b->tokens);
		return 0;
	}
	az_header(c, "Retry-After", "%lld", (long long)(wait / 1000));
	return az_refuse(c, 429, "SubscriptionRequestsThrottled",
		"Number of %s requests for subscription '%s' exceeded the limit of '%.0f' for time interval "
		"'01:00:00'. Please try again after '%lld' seconds.",
		ff_streq(limits[i].name, "reads") ? "read" : "write", c->az->subscription, b->capacity,
		(long long)(wait / 1000));
}

int az_throttle(struct az_call *c, enum az_group group, const char *resource)
{
	const struct budget *b = &budgets[group];
	struct sim_bucket *own, *all;
	int64_t wait;
	long long left;

	if (arm_limit(c) < 0)
		return -1;
	if (group == AZ_NO_BUCKET)
		return 0;
	if (resource != NULL && b->vm_capacity > 0) {
		own = bucket(c, "vm", b->name, resource, b->vm_capacity, b->vm_per_minute);
		wait = sim_bucket_refuse(c->sim, own);
		if (wait > 0)
			return too_many(c, b, wait);
	}
	all = bucket(c, "subscription", b->name, NULL, b->capacity, b->per_minute);
	wait = sim_bucket_refuse(c->sim, all);
	if (wait > 0)
		return too_many(c, b, wait);
	sim_bucket_take(c->sim, all);
	left = (long long)sim_bucket_left(c->sim, all);
	az_header(c, "x-ms-ratelimit-remaining-resource",
		"Microsoft.Compute/%s3Min;%lld,Microsoft.Compute/%s30Min;%lld", b->name, left, b->name,
		left + (long long)(27 * b->per_minute));
	if (resource != NULL && b->vm_capacity > 0)
		sim_bucket_take(c->sim, bucket(c, "vm", b->name, resource, b->vm_capacity, b->vm_per_minute));
	return 0;
}
