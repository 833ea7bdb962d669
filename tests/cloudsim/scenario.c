/* Reading JSON strictly: what is there must be of the right kind, and nothing may be there that nobody reads. */
#include "model.h"

int sim_only(const json_t *object, const char *where, const char *const *names, struct ff_err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return ff_fail(err, FF_E_USAGE, "%s is not an object", where);
	json_object_foreach ((json_t *)object, key, value) {
		size_t i = 0;

		while (names[i] != NULL && !ff_streq(names[i], key))
			i++;
		if (names[i] == NULL)
			return ff_fail(err, FF_E_USAGE, "%s: unknown member '%s'", where, key);
	}
	return 0;
}

/* The member, or NULL when it is absent or null. */
static const json_t *member(const json_t *object, const char *name)
{
	const json_t *v = json_object_get(object, name);

	return json_is_null(v) ? NULL : v;
}

int sim_text(const json_t *object, const char *where, const char *name, const char **out, struct ff_err *err)
{
	const json_t *v = member(object, name);

	if (v == NULL)
		return 0;
	if (!json_is_string(v) || json_string_length(v) == 0)
		return ff_fail(err, FF_E_USAGE, "%s: '%s' is not a text", where, name);
	*out = json_string_value(v);
	return 0;
}

int sim_int(const json_t *object, const char *where, const char *name, int64_t min, int64_t max, int64_t *out,
	struct ff_err *err)
{
	const json_t *v = member(object, name);

	if (v == NULL)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
		return ff_fail(err, FF_E_USAGE, "%s: '%s' is not a whole number from %lld to %lld", where, name,
			(long long)min, (long long)max);
	*out = json_integer_value(v);
	return 0;
}

int sim_bool(const json_t *object, const char *where, const char *name, bool *out, struct ff_err *err)
{
	const json_t *v = member(object, name);

	if (v == NULL)
		return 0;
	if (!json_is_boolean(v))
		return ff_fail(err, FF_E_USAGE, "%s: '%s' is not true or false", where, name);
	*out = json_is_true(v);
	return 0;
}

int sim_word(const json_t *object, const char *where, const char *name, const char *const *words, int *out,
	struct ff_err *err)
{
	const char *text = NULL;
	ff_auto_buf known = {0};

	if (sim_text(object, where, name, &text, err) < 0)
		return -1;
	if (text == NULL)
		return 0;
	for (int i = 0; words[i] != NULL; i++) {
		if (ff_streq(words[i], text)) {
			*out = i;
			return 0;
		}
		ff_buf_addf(&known, "%s'%s'", i > 0 ? ", " : "", words[i]);
	}
	return ff_fail(err, FF_E_USAGE, "%s: '%s' is '%s', not one of %s", where, name, text, known.text);
}

int sim_object(const json_t *object, const char *where, const char *name, const json_t **out, struct ff_err *err)
{
	*out = member(object, name);
	if (*out != NULL && !json_is_object(*out))
		return ff_fail(err, FF_E_USAGE, "%s: '%s' is not an object", where, name);
	return 0;
}

int sim_array(const json_t *object, const char *where, const char *name, const json_t **out, struct ff_err *err)
{
	*out = member(object, name);
	if (*out != NULL && !json_is_array(*out))
		return ff_fail(err, FF_E_USAGE, "%s: '%s' is not an array", where, name);
	return 0;
}

int sim_tags(const json_t *object, const char *where, const char *name, json_t **out, struct ff_err *err)
{
	const json_t *tags;
	const char *key;
	json_t *value;

	if (sim_object(object, where, name, &tags, err) < 0)
		return -1;
	json_object_foreach ((json_t *)tags, key, value) {
		if (!json_is_string(value))
			return ff_fail(err, FF_E_USAGE, "%s: tag '%s' is not a text", where, key);
	}
	*out = tags != NULL ? json_deep_copy(tags) : json_object();
	return 0;
}
