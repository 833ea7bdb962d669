#include "fixfleet/json.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/mem.h"

void ff_json_wipe_freed(void)
{
	json_set_alloc_funcs(malloc, ff_free_wiped);
}

void ff_json_decref_ptr(json_t **j)
{
	json_decref(*j);
}

json_t *ff_json_parse(const char *text, size_t len, size_t bytes_max, struct ff_err *err)
{
	json_error_t where;
	json_t *j;

	if (len > bytes_max) {
		ff_fail(err, FF_E_BUG, "%zu bytes of JSON, more than the %zu allowed", len, bytes_max);
		return NULL;
	}
	j = json_loadb(text ? text : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &where);
	if (j == NULL)
		ff_fail(err, FF_E_BUG, "not JSON: line %d column %d: %s", where.line, where.column, where.text);
	return j;
}

const json_t *ff_json_at(const json_t *j, const char *path)
{
	char key[128];

	while (j != NULL && *path != '\0') {
		size_t len = strcspn(path, "/");
		int64_t index;

		if (len >= sizeof(key))
			return NULL;
		memcpy(key, path, len);
		key[len] = '\0';
		path += len + (path[len] == '/');
		if (json_is_array(j))
			j = ff_parse_i64(key, 0, INT32_MAX, &index) == 0 ? json_array_get(j, (size_t)index) : NULL;
		else
			j = json_object_get(j, key); /* NULL for other kinds */
	}
	return j;
}

const char *ff_json_str(const json_t *j, const char *path)
{
	return json_string_value(ff_json_at(j, path));
}

int64_t ff_json_int(const json_t *j, const char *path, int64_t otherwise)
{
	const json_t *v = ff_json_at(j, path);
	int64_t value;

	if (json_is_integer(v))
		return json_integer_value(v);
	if (json_is_string(v) && ff_parse_i64(json_string_value(v), INT64_MIN, INT64_MAX, &value) == 0)
		return value;
	return otherwise;
}

bool ff_json_bool(const json_t *j, const char *path, bool otherwise)
{
	const json_t *v = ff_json_at(j, path);

	return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

void ff_json_set_new(json_t *object, const char *key, json_t *value)
{
	if (value == NULL)
		json_object_del(object, key);
	else if (json_object_set_new(object, key, value) != 0)
		ff_oom();
}

void ff_json_set_str(json_t *object, const char *key, const char *text)
{
	json_t *value = NULL;

	if (text != NULL) {
		value = json_string(text);
		if (value == NULL) { /* not UTF-8 */
			char *clean = ff_printable(text);

			value = json_string(clean);
			free(clean);
			if (value == NULL)
				ff_oom();
		}
	}
	ff_json_set_new(object, key, value);
}

void ff_json_set_int(json_t *object, const char *key, int64_t value)
{
	json_t *v = json_integer(value);

	if (v == NULL)
		ff_oom();
	ff_json_set_new(object, key, v);
}

void ff_json_set_bool(json_t *object, const char *key, bool value)
{
	ff_json_set_new(object, key, json_boolean(value));
}

void ff_json_merge(json_t *object, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)patch, key, value) {
		if (json_is_null(value))
			json_object_del(object, key);
		else if (json_object_set(object, key, value) != 0)
			ff_oom();
	}
}

char *ff_json_text(const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text == NULL)
		ff_oom();
	return text;
}
