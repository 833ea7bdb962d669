#include <criterion/criterion.h>

#include "fixfleet/clock.h"
#include "fixfleet/mem.h"

Test(clock, times_are_read_with_fractions_and_offsets)
{
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2024-07-19T04:09:00Z", 1721362140000},
		{"2024-07-19T04:09:00.1234567+00:00", 1721362140123},
		{"2024-07-19T06:09:00.5+02:00", 1721362140500},
		{"2024-07-18T23:39:00-04:30", 1721362140000},
		{"2024-02-29t23:59:60z", 1709251200000},
		{"1969-12-31T23:59:59.999Z", -1},
	};
	int64_t ms;

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_assert_eq(ff_time_parse(cases[i].text, &ms), 0, "%s", cases[i].text);
		cr_expect_eq(ms, cases[i].ms, "%s gave %lld", cases[i].text, (long long)ms);
	}
}

Test(clock, what_is_no_time_is_refused)
{
	static const char *const cases[] = {"", "2024-07-19", "2024-07-19T04:09:00", "2024-13-19T04:09:00Z",
		"2024-07-19T24:09:00Z", "2024-07-19T04:09:00.Z", "2024-07-19T04:09:00Zx", "2024-7-19T04:09:00Z",
		"2024-07-19T04:09:00+0200", "yesterday"};
	int64_t ms = 42;

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		cr_expect_eq(ff_time_parse(cases[i], &ms), -1, "%s", cases[i]);
	cr_expect_eq(ff_time_parse(NULL, &ms), -1);
	cr_expect_eq(ms, 42);
}

Test(clock, times_are_written_as_they_are_read)
{
	char out[FF_TIME_BYTES];

	cr_expect_str_eq(ff_time_format(1721362140123, 1, out), "2024-07-19T04:09:00.123Z");
	cr_expect_str_eq(ff_time_format(1721362140123, 0, out), "2024-07-19T04:09:00Z");
	cr_expect_str_eq(ff_time_format(-1, 1, out), "1969-12-31T23:59:59.999Z");
	cr_expect_str_eq(ff_time_format(INT64_MAX, 1, out), "invalid-time");
}

Test(clock, retry_after_is_seconds_or_a_date)
{
	int64_t now = 1721362140000; /* Fri, 19 Jul 2024 04:09:00 GMT */

	cr_expect_eq(ff_retry_after_ms("0", now), 0);
	cr_expect_eq(ff_retry_after_ms("1200", now), 1200000);
	cr_expect_eq(ff_retry_after_ms("Fri, 19 Jul 2024 04:09:30 GMT", now), 30000);
	cr_expect_eq(ff_retry_after_ms("Fri, 19 Jul 2024 04:08:30 GMT", now), 0);
	cr_expect_eq(ff_retry_after_ms("Fri, 19 Jul 2030 04:08:30 GMT", now), 86400000, "at most a day");
	cr_expect_eq(ff_retry_after_ms("-5", now), -1);
	cr_expect_eq(ff_retry_after_ms("soon", now), -1);
	cr_expect_eq(ff_retry_after_ms(NULL, now), -1);
}

Test(clock, durations_are_for_people)
{
	char out[FF_TIME_BYTES];

	cr_expect_str_eq(ff_duration(850, out), "850ms");
	cr_expect_str_eq(ff_duration(12999, out), "12s");
	cr_expect_str_eq(ff_duration(185000, out), "3m05s");
	cr_expect_str_eq(ff_duration(7800000, out), "2h10m");
}
