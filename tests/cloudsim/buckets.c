/* Token buckets, and who does not wait as long as he was asked to. */
#include "model.h"

#include <stdlib.h>

/* A request that was on its way when the refusal left is no fault of the client. */
#define GRACE_MS 500

struct sim_bucket *sim_bucket(struct sim *sim, const char *key, double capacity, double per_minute)
{
	struct sim_bucket *b;
	size_t i;

	if (sim_index_get(sim->bucket_index, key, &i))
		return &sim->buckets[i];
	sim->buckets = ff_realloc(sim->buckets, sim->bucket_count + 1, sizeof(*sim->buckets));
	sim_index_put(sim->bucket_index, key, sim->bucket_count);
	b = &sim->buckets[sim->bucket_count++];
	*b = (struct sim_bucket){.key = ff_strdup(key),
		.capacity = capacity,
		.per_ms = per_minute * sim->scale / 60000,
		.tokens = capacity,
		.at_ms = sim->now_ms,
		.refused_ms = -1};
	return b;
}

double sim_bucket_left(const struct sim *sim, struct sim_bucket *b)
{
	b->tokens += (double)(sim->now_ms - b->at_ms) * b->per_ms;
	if (b->tokens > b->capacity)
		b->tokens = b->capacity;
	b->at_ms = sim->now_ms;
	return b->tokens;
}

static int64_t grace_ms(const struct sim_bucket *b)
{
	int64_t half = (b->refused_until - b->refused_ms) / 2;

	return half < GRACE_MS ? half : GRACE_MS;
}

/* 1: too early and not excusable; 0: too early, excusable; -1: in time. */
static int too_early(struct sim *sim, struct sim_bucket *b)
{
	/* Retry-After is in whole seconds and clocks differ a little: the last tenth of a second is no crime */
	if (b->refused_ms < 0 || sim->now_ms >= b->refused_until - 100)
		return -1;
	if (sim->now_ms - b->refused_ms < grace_ms(b))
		return 0;
	sim_violation(sim, "throttled: a request on '%s' came %lld ms after a 429 that asked for %lld ms", b->key,
		(long long)(sim->now_ms - b->refused_ms), (long long)(b->refused_until - b->refused_ms));
	return 1;
}

static int64_t refuse(struct sim *sim, struct sim_bucket *b, int64_t wait_ms)
{
	wait_ms = (wait_ms + 999) / 1000 * 1000;
	b->refused_ms = sim->now_ms;
	b->refused_until = sim->now_ms + wait_ms;
	return wait_ms;
}

int64_t sim_bucket_refuse(struct sim *sim, struct sim_bucket *b)
{
	double left = sim_bucket_left(sim, b);
	double wait = b->per_ms > 0 ? (1 - left) / b->per_ms + 0.999 : 60000;

	switch (too_early(sim, b)) {
	case 0:
		return (b->refused_until - sim->now_ms + 999) / 1000 * 1000;
	case 1:
		return refuse(sim, b, b->refused_until - b->refused_ms);
	default:
		b->refused_ms = -1;
		return left >= 1 ? 0 : refuse(sim, b, wait < 1000 ? 1000 : (int64_t)wait);
	}
}

void sim_bucket_take(struct sim *sim, struct sim_bucket *b)
{
	sim_bucket_left(sim, b);
	b->tokens -= 1;
}

/* What tells a request from others. In AWS's protocol the path says nothing, the form all. */
static char *request_key(const struct sim_request *request)
{
	ff_auto_free char *form = ff_strndup(request->body != NULL ? request->body : "", request->body_len);

	return ff_printf("%s %s %s", request->method, request->target, ff_streq(request->target, "/") ? form : "");
}

void sim_note_refusal(struct sim *sim, const struct sim_request *request, int64_t wait_ms)
{
	ff_auto_free char *key = request_key(request);

	refuse(sim, sim_bucket(sim, key, 1, 0), wait_ms);
}

void sim_note_request(struct sim *sim, const struct sim_request *request)
{
	ff_auto_free char *key = request_key(request);
	size_t i;

	if (sim_index_get(sim->bucket_index, key, &i) && too_early(sim, &sim->buckets[i]) < 0)
		sim->buckets[i].refused_ms = -1;
}

void sim_buckets_free(struct sim *sim)
{
	for (size_t i = 0; i < sim->bucket_count; i++)
		free(sim->buckets[i].key);
	free(sim->buckets);
}
