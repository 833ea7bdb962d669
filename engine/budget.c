#include "budget.h"

/* A bucket that nobody documented, once it was throttled: a token a second, 10 at once. */
#define UNDOCUMENTED_CAPACITY 10.0
#define UNDOCUMENTED_RATE     1.0

#define RATE_CUT    0.5
#define RATE_FLOOR  (1.0 / 16) /* of the documented refill */
#define RATE_GROWTH (1.0 / 50) /* of the documented refill, a success */
#define WAIT_MS_MAX 86400000.0
#define NEARLY	    1e-9 /* so that a token that is there but for rounding is there */

void ff_budget_init(struct ff_budget *b, double capacity, double refill_per_s, int64_t now_ms)
{
	*b = (struct ff_budget){.at_ms = now_ms, .cut_ms = INT64_MIN};
	if (!(refill_per_s > 0)) /* also when it is not a number */
		return;
	b->capacity = capacity >= 1 ? capacity : 1;
	b->refill_per_s = b->rate = refill_per_s;
	b->level = b->capacity;
}

/* at_ms lies ahead while the bucket is closed by a Retry-After: then nothing flows in. */
static void flow(struct ff_budget *b, int64_t now_ms)
{
	if (now_ms <= b->at_ms)
		return;
	b->level += (double)(now_ms - b->at_ms) / 1000 * b->rate;
	if (b->level > b->capacity)
		b->level = b->capacity;
	b->at_ms = now_ms;
}

static int64_t round_up(double ms)
{
	int64_t whole = (int64_t)ms;

	return whole + (ms - (double)whole > NEARLY);
}

int64_t ff_budget_wait_ms(struct ff_budget *b, int64_t now_ms)
{
	double wait_ms;

	if (b->refill_per_s <= 0)
		return 0;
	flow(b, now_ms);
	wait_ms = b->level + NEARLY >= 1 ? 0 : (1 - b->level) / b->rate * 1000;
	if (wait_ms > WAIT_MS_MAX)
		wait_ms = WAIT_MS_MAX;
	return (b->at_ms > now_ms ? b->at_ms - now_ms : 0) + round_up(wait_ms);
}

void ff_budget_take(struct ff_budget *b, int64_t now_ms)
{
	flow(b, now_ms);
	if (b->refill_per_s > 0)
		b->level -= 1;
}

void ff_budget_throttled(struct ff_budget *b, int64_t now_ms, int64_t sent_ms, int64_t retry_after_ms)
{
	if (b->refill_per_s <= 0) {
		b->capacity = UNDOCUMENTED_CAPACITY;
		b->refill_per_s = b->rate = UNDOCUMENTED_RATE;
	}
	flow(b, now_ms);
	if (sent_ms > b->cut_ms || b->cut_ms == INT64_MIN) {
		b->rate *= RATE_CUT;
		if (b->rate < b->refill_per_s * RATE_FLOOR)
			b->rate = b->refill_per_s * RATE_FLOOR;
		b->cut_ms = now_ms;
	}
	if (retry_after_ms < 0) {
		if (b->at_ms <= now_ms)
			b->level = b->level < 0 ? b->level : 0;
		return;
	}
	if (now_ms + retry_after_ms >= b->at_ms) {
		b->at_ms = now_ms + retry_after_ms;
		b->level = 1;
	}
}

void ff_budget_succeeded(struct ff_budget *b, int64_t now_ms, int64_t sent_ms)
{
	if (b->refill_per_s <= 0 || sent_ms <= b->cut_ms)
		return;
	flow(b, now_ms);
	b->rate += b->refill_per_s * RATE_GROWTH;
	if (b->rate > b->refill_per_s)
		b->rate = b->refill_per_s;
}

void ff_budget_left(struct ff_budget *b, int64_t now_ms, int64_t left)
{
	if (b->refill_per_s <= 0 || left < 0 || b->at_ms > now_ms)
		return;
	flow(b, now_ms);
	if ((double)left < b->level)
		b->level = (double)left;
}
