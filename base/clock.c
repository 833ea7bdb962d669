#include "fixfleet/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fixfleet/mem.h"

const char *ff_time_format(int64_t wall_ms, int with_ms, char out[FF_TIME_BYTES])
{
	int64_t ms = wall_ms % 1000;
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;
	size_t len;

	if (ms < 0) {
		ms += 1000;
		s--;
	}
	if (gmtime_r(&s, &tm) == NULL || tm.tm_year > 8099 || tm.tm_year < -1900) {
		snprintf(out, FF_TIME_BYTES, "invalid-time");
		return out;
	}
	len = strftime(out, FF_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	if (with_ms)
		snprintf(out + len, FF_TIME_BYTES - len, ".%03dZ", (int)ms);
	else
		snprintf(out + len, FF_TIME_BYTES - len, "Z");
	return out;
}

/* `digits` decimal digits at *p, in [min, max]; moves on. -1 when they are not there. */
static int number(const char **p, int digits, int min, int max)
{
	int value = 0;

	for (int i = 0; i < digits; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return -1;
		value = value * 10 + (**p - '0');
	}
	return value >= min && value <= max ? value : -1;
}

static int literal(const char **p, char c)
{
	if (**p != c)
		return -1;
	(*p)++;
	return 0;
}

int ff_time_parse(const char *text, int64_t *wall_ms)
{
	struct tm tm = {0};
	const char *p = text;
	int64_t ms = 0, scale = 100;
	int offset_min = 0;
	time_t s;

	if (text == NULL)
		return -1;
	if ((tm.tm_year = number(&p, 4, 1, 9999)) < 0 || literal(&p, '-') < 0 ||
		(tm.tm_mon = number(&p, 2, 1, 12)) < 0 || literal(&p, '-') < 0 ||
		(tm.tm_mday = number(&p, 2, 1, 31)) < 0)
		return -1;
	if (*p != 'T' && *p != 't' && *p != ' ')
		return -1;
	p++;
	if ((tm.tm_hour = number(&p, 2, 0, 23)) < 0 || literal(&p, ':') < 0 || (tm.tm_min = number(&p, 2, 0, 59)) < 0 ||
		literal(&p, ':') < 0 || (tm.tm_sec = number(&p, 2, 0, 60)) < 0)
		return -1;
	if (*p == '.') {
		p++;
		if (*p < '0' || *p > '9')
			return -1;
		for (; *p >= '0' && *p <= '9'; p++, scale /= 10)
			ms += (*p - '0') * scale;
	}
	if (*p == 'Z' || *p == 'z') {
		p++;
	} else if (*p == '+' || *p == '-') {
		int sign = *p++ == '+' ? 1 : -1, h, m;

		if ((h = number(&p, 2, 0, 23)) < 0 || literal(&p, ':') < 0 || (m = number(&p, 2, 0, 59)) < 0)
			return -1;
		offset_min = sign * (h * 60 + m);
	} else {
		return -1;
	}
	if (*p != '\0')
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	s = timegm(&tm);
	*wall_ms = ((int64_t)s - offset_min * 60) * 1000 + ms;
	return 0;
}

int64_t ff_retry_after_ms(const char *value, int64_t now_wall_ms)
{
	struct tm tm = {0};
	int64_t seconds, then_ms;
	const char *end;

	if (value == NULL)
		return -1;
	if (ff_parse_i64(value, 0, 86400, &seconds) == 0)
		return seconds * 1000;
	/* IMF-fixdate, RFC 9110 section 5.6.7. strptime() follows the locale, which this program never sets. */
	end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end == NULL || *end != '\0')
		return -1;
	then_ms = (int64_t)timegm(&tm) * 1000;
	if (then_ms < now_wall_ms)
		return 0;
	return then_ms - now_wall_ms > 86400000 ? 86400000 : then_ms - now_wall_ms;
}

const char *ff_duration(int64_t ms, char out[FF_TIME_BYTES])
{
	int64_t s = ms / 1000;

	if (ms < 1000)
		snprintf(out, FF_TIME_BYTES, "%" PRId64 "ms", ms < 0 ? 0 : ms);
	else if (s < 60)
		snprintf(out, FF_TIME_BYTES, "%" PRId64 "s", s);
	else if (s < 3600)
		snprintf(out, FF_TIME_BYTES, "%" PRId64 "m%02ds", s / 60, (int)(s % 60));
	else
		snprintf(out, FF_TIME_BYTES, "%" PRId64 "h%02dm", s / 3600, (int)(s % 3600 / 60));
	return out;
}
