/*
 * One token bucket that learns, as pure functions of time.
 *
 * It starts at what the cloud documents. A throttling answer empties it until Retry-After has passed and halves its
 * refill; successes let the refill grow back slowly, as the adaptive retry mode of the AWS SDKs does. What an answer
 * says is left can only lower the level: other programs draw on the same budget.
 */
#ifndef ENGINE_BUDGET_H
#define ENGINE_BUDGET_H

#include <stdint.h>

struct ff_budget {
	double capacity, refill_per_s; /* as documented; refill_per_s <= 0: without limit until throttled */
	double rate;		       /* what it refills by now, tokens a second */
	double level;		       /* at `at_ms` */
	int64_t at_ms;		       /* mono */
	int64_t cut_ms;		       /* when the rate was last halved; INT64_MIN: never */
};

void ff_budget_init(struct ff_budget *b, double capacity, double refill_per_s, int64_t now_ms);
/** 0: a token is there. Otherwise milliseconds until one is, at least 1. */
int64_t ff_budget_wait_ms(struct ff_budget *b, int64_t now_ms);
/** Take a token; only after ff_budget_wait_ms() gave 0. */
void ff_budget_take(struct ff_budget *b, int64_t now_ms);
/**
 * A request that left at `sent_ms` was throttled. Halves the rate once for all requests that were under way together.
 * @retry_after_ms  -1: none said; otherwise no token is there before it has passed, and exactly one when it has
 */
void ff_budget_throttled(struct ff_budget *b, int64_t now_ms, int64_t sent_ms, int64_t retry_after_ms);
/** A request that left at `sent_ms` was not throttled. */
void ff_budget_succeeded(struct ff_budget *b, int64_t now_ms, int64_t sent_ms);
/** The cloud says that so many are left. */
void ff_budget_left(struct ff_budget *b, int64_t now_ms, int64_t left);

#endif
