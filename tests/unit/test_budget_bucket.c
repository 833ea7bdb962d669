/* A token bucket that learns, as pure functions of time. */
#include <criterion/criterion.h>

#include "engine/budget.h"

static struct ff_budget b;

/* Take as many as there are at that time. */
static int drain(int64_t now_ms)
{
	int n = 0;

	while (ff_budget_wait_ms(&b, now_ms) == 0 && n < 100000) {
		ff_budget_take(&b, now_ms);
		n++;
	}
	return n;
}

Test(budget, starts_with_what_is_documented_and_refills_at_the_documented_rate)
{
	ff_budget_init(&b, 12, 4.0 / 60, 5000); /* Azure, updates of one VM */
	cr_expect_eq(drain(5000), 12);
	cr_expect_eq(ff_budget_wait_ms(&b, 5000), 15000);
	cr_expect_eq(ff_budget_wait_ms(&b, 5000 + 14999), 1);
	cr_expect_eq(drain(5000 + 15000), 1);
	cr_expect_eq(drain(5000 + 15000 + 60000), 4);
}

Test(budget, never_holds_more_than_its_capacity)
{
	ff_budget_init(&b, 12, 4.0 / 60, 0);
	cr_expect_eq(drain(86400000), 12);
}

Test(budget, nothing_documented_is_no_limit_until_it_is_throttled)
{
	ff_budget_init(&b, 0, 0, 0);
	cr_expect_eq(drain(0), 100000);
	ff_budget_throttled(&b, 10, 0, -1);
	cr_expect_gt(ff_budget_wait_ms(&b, 10), 0);
	cr_expect_eq(drain(10 + 4000), 2, "a token a second, halved");
}

Test(budget, nonsense_numbers_are_no_trap)
{
	static const double rates[] = {-1, 0.0 / 1, 1e300};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		ff_budget_init(&b, -5, rates[i], 0);
		cr_expect_eq(ff_budget_wait_ms(&b, 0), 0);
	}
	ff_budget_init(&b, 1, 1e-300, 0);
	ff_budget_take(&b, 0);
	cr_expect_eq(ff_budget_wait_ms(&b, 0), 86400000, "never longer than a day at once");
}

Test(budget, retry_after_closes_it_and_then_gives_exactly_one)
{
	ff_budget_init(&b, 100, 10, 0);
	ff_budget_throttled(&b, 1000, 900, 30000);
	cr_expect_eq(ff_budget_wait_ms(&b, 1000), 30000);
	cr_expect_eq(ff_budget_wait_ms(&b, 30999), 1);
	cr_expect_eq(drain(31000), 1);
	cr_expect_eq(drain(31000 + 1000), 5, "half of ten a second");
}

Test(budget, a_shorter_retry_after_does_not_open_it_earlier)
{
	ff_budget_init(&b, 100, 10, 0);
	ff_budget_throttled(&b, 1000, 900, 30000);
	ff_budget_throttled(&b, 1500, 900, 2000);
	cr_expect_eq(ff_budget_wait_ms(&b, 1500), 29500);
	ff_budget_throttled(&b, 1600, 900, 60000);
	cr_expect_eq(ff_budget_wait_ms(&b, 1600), 60000);
}

Test(budget, requests_that_were_out_together_halve_it_once)
{
	ff_budget_init(&b, 100, 16, 0);
	for (int i = 0; i < 50; i++)
		ff_budget_throttled(&b, 1000 + i, 900 + i / 10, -1);
	cr_expect_float_eq(b.rate, 8, 1e-9);
	ff_budget_throttled(&b, 3000, 2500, -1);
	cr_expect_float_eq(b.rate, 4, 1e-9);
}

Test(budget, the_rate_has_a_floor)
{
	ff_budget_init(&b, 100, 16, 0);
	for (int i = 1; i < 50; i++)
		ff_budget_throttled(&b, i * 1000, i * 1000 - 10, -1);
	cr_expect_float_eq(b.rate, 1, 1e-9);
}

Test(budget, success_lets_it_grow_slowly_and_not_beyond_the_documented)
{
	ff_budget_init(&b, 100, 10, 0);
	ff_budget_throttled(&b, 1000, 900, -1);
	cr_expect_float_eq(b.rate, 5, 1e-9);
	ff_budget_succeeded(&b, 1100, 950);
	cr_expect_float_eq(b.rate, 5, 1e-9, "that one left before the cut");
	ff_budget_succeeded(&b, 2000, 1900);
	cr_expect_float_eq(b.rate, 5.2, 1e-9);
	for (int i = 0; i < 1000; i++)
		ff_budget_succeeded(&b, 3000 + i, 2900 + i);
	cr_expect_float_eq(b.rate, 10, 1e-9);
}

Test(budget, what_the_cloud_says_is_left_only_lowers_it)
{
	ff_budget_init(&b, 100, 10, 0);
	ff_budget_left(&b, 0, 3);
	cr_expect_eq(drain(0), 3);
	ff_budget_left(&b, 0, 50);
	cr_expect_eq(drain(0), 0);
	ff_budget_left(&b, 0, -1);
	cr_expect_eq(ff_budget_wait_ms(&b, 0), 100);
}

Test(budget, a_clock_that_stands_still_or_goes_back_gives_nothing)
{
	ff_budget_init(&b, 2, 1, 10000);
	cr_expect_eq(drain(10000), 2);
	cr_expect_eq(drain(9000), 0);
	cr_expect_eq(drain(10000), 0);
	cr_expect_eq(drain(11000), 1);
}
