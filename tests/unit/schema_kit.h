/*
 * Does a value fit a JSON schema? The keywords that docs/recipe.schema.json uses; any other one fails the test, so that
 * nothing in the schema is passed over.
 */
#ifndef UNIT_SCHEMA_KIT_H
#define UNIT_SCHEMA_KIT_H

#include <criterion/criterion.h>
#include <regex.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

static inline bool schema_fits(const json_t *root, const json_t *schema, const json_t *value);

static inline bool schema_type(const json_t *type, const json_t *value)
{
	const char *name = json_string_value(type);
	const json_t *one;
	size_t i;

	json_array_foreach (type, i, one)
		if (schema_type(one, value))
			return true;
	return (ff_streq(name, "object") && json_is_object(value)) ||
	       (ff_streq(name, "array") && json_is_array(value)) ||
	       (ff_streq(name, "string") && json_is_string(value)) ||
	       (ff_streq(name, "integer") && json_is_integer(value));
}

static inline bool schema_pattern(const char *pattern, const json_t *value)
{
	ff_auto_buf posix = {0};
	regex_t regex;
	bool fits;

	if (!json_is_string(value))
		return true;
	/* "\\" and "\[" inside of brackets are one character to JSON schema, and two to POSIX */
	for (const char *p = pattern; *p != '\0'; p++) {
		bool inside = false;

		for (const char *q = pattern; q < p; q++)
			inside = *q == '[' && !inside ? true : *q == ']' ? false : inside;
		if (inside && p[0] == '\\')
			p++;
		ff_buf_add(&posix, p, 1);
	}
	cr_assert(regcomp(&regex, posix.text, REG_EXTENDED | REG_NOSUB) == 0, "%s", posix.text);
	fits = regexec(&regex, json_string_value(value), 0, NULL, 0) == 0;
	regfree(&regex);
	return fits;
}

static inline size_t schema_fitting(const json_t *root, const json_t *schemas, const json_t *value)
{
	const json_t *one;
	size_t i, n = 0;

	json_array_foreach (schemas, i, one)
		n += schema_fits(root, one, value);
	return n;
}

static inline bool schema_required(const json_t *names, const json_t *value)
{
	const json_t *name;
	size_t i;

	json_array_foreach (names, i, name)
		if (json_is_object(value) && json_object_get(value, json_string_value(name)) == NULL)
			return false;
	return true;
}

static inline bool schema_properties(const json_t *root, const json_t *schema, const json_t *value)
{
	const json_t *properties = json_object_get(schema, "properties");
	const char *name;
	json_t *member;

	json_object_foreach ((json_t *)value, name, member) {
		const json_t *inner = json_object_get(properties, name);

		if (inner == NULL ? json_is_false(json_object_get(schema, "additionalProperties"))
				  : !schema_fits(root, inner, member))
			return false;
	}
	return true;
}

static inline bool schema_items(const json_t *root, const json_t *items, const json_t *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach (value, i, item)
		if (!schema_fits(root, items, item))
			return false;
	return true;
}

static inline bool schema_enum(const json_t *words, const json_t *value)
{
	const json_t *word;
	size_t i;

	json_array_foreach (words, i, word)
		if (json_equal(word, value))
			return true;
	return false;
}

static inline bool schema_keyword(
	const json_t *root, const json_t *schema, const char *keyword, const json_t *argument, const json_t *value)
{
	json_int_t number = json_integer_value(argument);

	if (ff_streq(keyword, "$ref"))
		return schema_fits(root, ff_json_at(root, json_string_value(argument) + 2), value);
	if (ff_streq(keyword, "type"))
		return schema_type(argument, value);
	if (ff_streq(keyword, "enum"))
		return schema_enum(argument, value);
	if (ff_streq(keyword, "pattern"))
		return schema_pattern(json_string_value(argument), value);
	if (ff_streq(keyword, "required"))
		return schema_required(argument, value);
	if (ff_streq(keyword, "anyOf"))
		return schema_fitting(root, argument, value) > 0;
	if (ff_streq(keyword, "oneOf"))
		return schema_fitting(root, argument, value) == 1;
	if (ff_streq(keyword, "properties"))
		return schema_properties(root, schema, value);
	if (ff_streq(keyword, "items"))
		return schema_items(root, argument, value);
	if (ff_streq(keyword, "minItems"))
		return !json_is_array(value) || (json_int_t)json_array_size(value) >= number;
	if (ff_streq(keyword, "maxItems"))
		return !json_is_array(value) || (json_int_t)json_array_size(value) <= number;
	if (ff_streq(keyword, "minProperties"))
		return !json_is_object(value) || (json_int_t)json_object_size(value) >= number;
	if (ff_streq(keyword, "minLength"))
		return !json_is_string(value) || (json_int_t)json_string_length(value) >= number;
	if (ff_streq(keyword, "maxLength"))
		return !json_is_string(value) || (json_int_t)json_string_length(value) <= number;
	if (ff_streq(keyword, "minimum"))
		return !json_is_integer(value) || json_integer_value(value) >= number;
	if (ff_streq(keyword, "maximum"))
		return !json_is_integer(value) || json_integer_value(value) <= number;
	cr_assert(strcmp(keyword, "description") == 0 || strcmp(keyword, "title") == 0 || keyword[0] == '$' ||
			  strcmp(keyword, "additionalProperties") == 0,
		"a keyword that is not judged: %s", keyword);
	return true;
}

static inline bool schema_fits(const json_t *root, const json_t *schema, const json_t *value)
{
	const char *keyword;
	json_t *argument;

	cr_assert(json_is_object(schema));
	json_object_foreach ((json_t *)schema, keyword, argument)
		if (!schema_keyword(root, schema, keyword, argument, value))
			return false;
	return true;
}

#endif
