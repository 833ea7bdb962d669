/* The conditions of a recipe. */
#include <string.h>

#include "fixfleet/clock.h"
#include "recipe_read.h"
#include "version.h"

#define BUILD_MAX 1000000

static const struct recipe_range all = {INT64_MIN, INT64_MAX};

void recipe_when_init(struct recipe_when *when)
{
	*when = (struct recipe_when){.mtime_ms = all, .size = all, .build = all, .version = all};
}

bool recipe_in(const struct recipe_range *range, int64_t number)
{
	return number >= range->from && (number < range->before || range->before == INT64_MAX);
}

bool recipe_bounded(const struct recipe_range *range)
{
	return range->from != INT64_MIN || range->before != INT64_MAX;
}

/* ---------------------------------------------------------------- members */

static int read_time(struct reading *r, int64_t *out, const json_t *value)
{
	const char *text = json_string_value(value);

	if (text == NULL || ff_time_parse(text, out) < 0)
		return reading_fail(r, "not a time as in 2024-07-19T04:09:00Z");
	return 0;
}

static int read_number(struct reading *r, int64_t *out, const json_t *value, int64_t max)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
		return reading_fail(r, "not a whole number from 0 to %lld", (long long)max);
	*out = json_integer_value(value);
	return 0;
}

static int read_version(struct reading *r, int64_t *out, const json_t *value)
{
	if (!json_is_string(value) || version_parse(json_string_value(value), out) < 0)
		return reading_fail(r, "not a version as in 7.11.0.1 (each part up to 65535, the first up to 32767)");
	return 0;
}

static int read_mtime_from(struct reading *r, void *into, const json_t *value)
{
	return read_time(r, &((struct recipe_when *)into)->mtime_ms.from, value);
}

static int read_mtime_before(struct reading *r, void *into, const json_t *value)
{
	return read_time(r, &((struct recipe_when *)into)->mtime_ms.before, value);
}

static int read_size(struct reading *r, void *into, const json_t *value)
{
	struct recipe_when *when = into;

	if (read_number(r, &when->size.from, value, INT64_MAX - 1) < 0)
		return -1;
	when->size.before = when->size.from + 1;
	return 0;
}

static int read_size_from(struct reading *r, void *into, const json_t *value)
{
	return read_number(r, &((struct recipe_when *)into)->size.from, value, INT64_MAX - 1);
}

static int read_size_before(struct reading *r, void *into, const json_t *value)
{
	return read_number(r, &((struct recipe_when *)into)->size.before, value, INT64_MAX - 1);
}

static int read_sha256(struct reading *r, void *into, const json_t *value)
{
	return reading_sha256(r, &((struct recipe_when *)into)->sha256, value);
}

static int read_version_from(struct reading *r, void *into, const json_t *value)
{
	return read_version(r, &((struct recipe_when *)into)->version.from, value);
}

static int read_version_before(struct reading *r, void *into, const json_t *value)
{
	return read_version(r, &((struct recipe_when *)into)->version.before, value);
}

static int read_build_from(struct reading *r, void *into, const json_t *value)
{
	return read_number(r, &((struct recipe_range *)into)->from, value, BUILD_MAX);
}

static int read_build_before(struct reading *r, void *into, const json_t *value)
{
	return read_number(r, &((struct recipe_range *)into)->before, value, BUILD_MAX);
}

static int read_when_build_from(struct reading *r, void *into, const json_t *value)
{
	return read_build_from(r, &((struct recipe_when *)into)->build, value);
}

static int read_when_build_before(struct reading *r, void *into, const json_t *value)
{
	return read_build_before(r, &((struct recipe_when *)into)->build, value);
}

static int read_true(struct reading *r, const json_t *value)
{
	return json_is_true(value) ? 0 : reading_fail(r, "not true");
}

static int read_absent(struct reading *r, void *into, const json_t *value)
{
	((struct recipe_when *)into)->absent = true;
	return read_true(r, value);
}

/* Says on purpose what an empty `when` may say by mistake. */
static int read_any(struct reading *r, void *into, const json_t *value)
{
	(void)into;
	return read_true(r, value);
}

const struct member recipe_when_members[] = {
	{"any", read_any, false},
	{"absent", read_absent, false},
	{"mtime_from", read_mtime_from, false},
	{"mtime_before", read_mtime_before, false},
	{"size", read_size, false},
	{"size_from", read_size_from, false},
	{"size_before", read_size_before, false},
	{"sha256", read_sha256, false},
	{"version_from", read_version_from, false},
	{"version_before", read_version_before, false},
	{"build_from", read_when_build_from, false},
	{"build_before", read_when_build_before, false},
	{NULL, NULL, false},
};

const struct member recipe_value_when_members[] = {
	{"build_from", read_build_from, false},
	{"build_before", read_build_before, false},
	{NULL, NULL, false},
};

/* ---------------------------------------------------------------- together */

static int check_range(struct reading *r, const char *name, const struct recipe_range *range)
{
	return range->from < range->before ? 0 : reading_fail(r, "%s_from is not before %s_before", name, name);
}

static bool about_content(const struct recipe_when *when)
{
	return recipe_bounded(&when->mtime_ms) || recipe_bounded(&when->size) || recipe_bounded(&when->version) ||
	       when->sha256.count > 0;
}

int reading_when(struct reading *r, struct recipe_when *when, const json_t *value)
{
	if (reading_members(r, value, recipe_when_members, when) < 0)
		return -1;
	if (json_object_size(value) == 0)
		return reading_fail(r, "empty: it would take every file; say \"any\": true if that is meant");
	if (json_object_get(value, "size") != NULL &&
		(json_object_get(value, "size_from") != NULL || json_object_get(value, "size_before") != NULL))
		return reading_fail(r, "size together with size_from or size_before");
	if (json_object_get(value, "any") != NULL && (about_content(when) || when->absent))
		return reading_fail(r, "\"any\" together with a condition on the file");
	if (when->absent && about_content(when))
		return reading_fail(r, "\"absent\" together with a condition on the file");
	if (check_range(r, "mtime", &when->mtime_ms) < 0 || check_range(r, "size", &when->size) < 0 ||
		check_range(r, "version", &when->version) < 0)
		return -1;
	return check_range(r, "build", &when->build);
}

int reading_build(struct reading *r, struct recipe_range *build, const json_t *value)
{
	if (reading_members(r, value, recipe_value_when_members, build) < 0)
		return -1;
	return check_range(r, "build", build);
}
