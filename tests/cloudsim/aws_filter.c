/* Filters and pages: what Describe calls have in common. */
#include "aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX  200
#define PAGE_MIN    5
#define PAGE_MAX    1000
#define TOKEN_PARTS "%s:%zu"

bool aw_tag_values(const json_t *tags, const char *name, struct ff_strv *out)
{
	const char *key, *value;
	json_t *v;

	if (ff_streq(name, "tag-key")) {
		json_object_foreach ((json_t *)tags, key, v)
			ff_strv_add(out, key);
		return true;
	}
	if (!ff_has_prefix(name, "tag:"))
		return false;
	value = json_string_value(json_object_get(tags, name + 4));
	if (value != NULL)
		ff_strv_add(out, value);
	return true;
}

int aw_check_filters(struct aw_call *c, const char *const *known)
{
	for (size_t i = 1; aw_has(c, "Filter"); i++) {
		const char *name = aw_getf(c, "Filter.%zu.Name", i);
		struct ff_strv values = {0};
		ff_auto_free char *list = ff_printf("Filter.%zu.Value", i), *item = ff_printf("Filter.%zu", i);
		size_t count, k = 0;

		if (!aw_has(c, item))
			break;
		values = aw_list(c, list);
		count = values.count;
		ff_strv_free(&values);
		while (name != NULL && known[k] != NULL && !ff_streq(known[k], name))
			k++;
		if (name == NULL || (known[k] == NULL && !ff_has_prefix(name, "tag:") && !ff_streq(name, "tag-key")))
			return aw_refuse(c, 400, "InvalidParameterValue", "The filter '%s' is invalid",
				name != NULL ? name : "null");
		if (count == 0)
			return aw_refuse(c, 400, "InvalidParameterValue", "The filter '%s' has no value.", name);
		if (count > VALUES_MAX)
			return aw_refuse(c, 400, "FilterLimitExceeded",
				"The maximum length for a filter value is 200"); /* text unverified */
	}
	return 0;
}

static bool one_fits(const struct aw_call *c, size_t i, const struct ff_strv *have)
{
	const char *pattern;

	for (size_t k = 1; (pattern = aw_getf(c, "Filter.%zu.Value.%zu", i, k)) != NULL; k++)
		for (size_t h = 0; h < have->count; h++)
			if (aw_like(pattern, have->items[h]))
				return true;
	return false;
}

/* All filters must fit, of each one value. */
bool aw_filter(struct aw_call *c, const void *item, aw_values *values)
{
	const char *name;

	for (size_t i = 1; (name = aw_getf(c, "Filter.%zu.Name", i)) != NULL; i++) {
		struct ff_strv have = {0};
		bool ok;

		values(c, item, name, &have);
		ok = one_fits(c, i, &have);
		ff_strv_free(&have);
		if (!ok)
			return false;
	}
	return true;
}

int aw_page(struct aw_call *c, const char *ids, size_t *from, size_t *max)
{
	const char *token = aw_get(c, "NextToken"), *text = aw_get(c, "MaxResults");
	int64_t n = c->aws->page_size;

	*from = 0;
	if (text != NULL && aw_has(c, ids))
		return aw_refuse(c, 400, "InvalidParameterCombination",
			"The parameter %s cannot be used with the parameter maxResults",
			ff_streq(ids, "InstanceId") ? "instancesSet" : ids);
	if (text != NULL && ff_parse_i64(text, PAGE_MIN, PAGE_MAX, &n) < 0)
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Value ( %s ) for parameter maxResults is invalid. Expecting a value from %d to %d.", text,
			PAGE_MIN, PAGE_MAX); /* range unverified */
	*max = (size_t)(n < c->aws->page_size ? n : c->aws->page_size);
	if (token != NULL) {
		size_t len;
		ff_auto_free char *plain = ff_base64_decode(token, &len);
		const char *colon = plain != NULL ? strrchr(plain, ':') : NULL;
		int64_t at;

		if (colon == NULL || strncmp(plain, c->action->name, (size_t)(colon - plain)) != 0 ||
			ff_parse_i64(colon + 1, 0, INT32_MAX, &at) < 0)
			return aw_refuse(c, 400, "InvalidParameterValue", "Unable to parse pagination token");
		*from = (size_t)at;
	}
	return 0;
}

void aw_next(struct aw_call *c, size_t from)
{
	ff_auto_free char *plain = ff_printf(TOKEN_PARTS, c->action->name, from);
	ff_auto_free char *token = ff_base64(plain, strlen(plain));

	aw_text(c, "nextToken", token);
}
