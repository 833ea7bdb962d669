/*
 * Quotas: so many calls of a kind in a minute of the clock, by project and region; all at once again when the next
 * minute begins (cloud.google.com/compute/api-quota). And how many operations may be under way.
 */
#include "gcp.h"

#include <stdlib.h>

static const char *const metrics[GC_Q_COUNT] = {
	[GC_Q_NONE] = "none",
	[GC_Q_READ] = "compute.googleapis.com/read_requests",
	[GC_Q_LIST] = "compute.googleapis.com/list_requests",
	[GC_Q_MUTATE] = "compute.googleapis.com/default",
	[GC_Q_OPERATION] = "compute.googleapis.com/operation_read_requests",
	[GC_Q_SERIAL] = "compute.googleapis.com/get_serial_port_output_requests", /* UNVERIFIED */
	[GC_Q_CONCURRENT] = "compute.googleapis.com/concurrent_operations",	  /* UNVERIFIED */
	[GC_Q_SNAPSHOTS] = "compute.googleapis.com/snapshots",
};

static struct gc_window *window(struct gcp *gc, const char *key)
{
	struct gc_window *w;

	for (size_t i = 0; i < gc->window_count; i++)
		if (ff_streq(gc->windows[i].key, key))
			return &gc->windows[i];
	gc->windows = ff_realloc(gc->windows, gc->window_count + 1, sizeof(*gc->windows));
	w = &gc->windows[gc->window_count++];
	*w = (struct gc_window){ff_strdup(key), -1, 0};
	return w;
}

static int refuse(struct gc_call *c, enum gc_quota quota, const char *reason)
{
	ff_auto_json json_t *details = json_pack("[{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:s}}]", "@type",
		"type.googleapis.com/google.rpc.ErrorInfo", "reason", reason, "domain", "compute.googleapis.com",
		"metadata", "containerType", "PROJECT", "containerId", c->gc->number, "quotaMetric", metrics[quota],
		"service", "compute.googleapis.com");

	c->gc->throttled++;
	gc_refuse_into(c->ans, 403, "rateLimitExceeded", "Rate Limit Exceeded", details);
	return -1;
}

int gc_throttle(struct gc_call *c)
{
	enum gc_quota quota = c->route->quota;
	int64_t minute = (int64_t)((double)c->sim->now_ms * c->sim->scale / 60000);
	ff_auto_free char *region = c->zone != NULL ? gc_region_of(c->zone) : ff_strdup("global");
	ff_auto_free char *key = ff_printf("%s %s", metrics[quota], region);
	struct gc_window *w = window(c->gc, key);

	if (w->minute != minute)
		w->used = 0;
	w->minute = minute;
	if (c->gc->quota[quota] > 0 && w->used >= c->gc->quota[quota])
		return refuse(c, quota, "RATE_LIMIT_EXCEEDED");
	w->used++;
	return 0;
}

int gc_room_for_operation(struct gc_call *c)
{
	int64_t open = 0;

	if (c->gc->quota[GC_Q_CONCURRENT] == 0)
		return 0;
	for (size_t i = 0; i < c->sim->open_count; i++)
		open += c->sim->open[i]->self == c->gc;
	return open < c->gc->quota[GC_Q_CONCURRENT]
		       ? 0
		       : refuse(c, GC_Q_CONCURRENT, "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED");
}
