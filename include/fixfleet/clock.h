/*
 * Times as texts. Times are int64_t milliseconds since 1970-01-01T00:00Z (`_wall_ms`) or of a clock that only goes
 * forward (`_mono_ms`). Nothing here asks what time it is: that comes in through the world.
 */
#ifndef FIXFLEET_CLOCK_H
#define FIXFLEET_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define FF_TIME_BYTES 32

/** "2024-07-19T04:09:00.123Z" (with_ms != 0) or "2024-07-19T04:09:00Z". Returns `out`. */
const char *ff_time_format(int64_t wall_ms, int with_ms, char out[FF_TIME_BYTES]);

/** RFC 3339 with any fraction, `Z` or an offset. 0, or -1 for anything else. */
int ff_time_parse(const char *text, int64_t *wall_ms);

/** Retry-After: whole seconds or an HTTP date. Milliseconds from `now_wall_ms` on, at least 0; -1 when it is neither.
 */
int64_t ff_retry_after_ms(const char *value, int64_t now_wall_ms);

/** "850ms", "12s", "3m05s", "2h10m": for people. Returns `out`. */
const char *ff_duration(int64_t ms, char out[FF_TIME_BYTES]);

#endif
