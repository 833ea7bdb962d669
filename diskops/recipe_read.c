#include "recipe_read.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define WHERE_BYTES_MAX 512
#define SEGMENTS_MAX	32
#define STARS_MAX	8 /* of one segment: what fnmatch() has to try grows with each */
#define HASHES_MAX	64
#define SHA256_DIGITS	64

int reading_fail(struct reading *r, const char *fmt, ...)
{
	ff_auto_free char *what = NULL, *at = ff_printable(r->at->len > 0 ? r->at->text : "recipe");
	va_list ap;

	va_start(ap, fmt);
	what = ff_vprintf(fmt, ap);
	va_end(ap);
	return ff_fail(r->err, FF_E_USAGE, "%.200s: %s", at, what);
}

size_t reading_enter(struct reading *r, const char *member)
{
	size_t len = r->at->len;

	ff_buf_addf(r->at, "%s%s", len > 0 ? "/" : "", member);
	return len;
}

void reading_leave(struct reading *r, size_t len)
{
	r->at->len = len;
	r->at->text[len] = '\0';
}

static bool in_table(const struct member *members, const char *name)
{
	while (members->name != NULL && strcmp(members->name, name) != 0)
		members++;
	return members->name != NULL;
}

int reading_members(struct reading *r, const json_t *object, const struct member *members, void *into)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return reading_fail(r, "not an object");
	json_object_foreach ((json_t *)object, key, value) {
		if (!in_table(members, key)) {
			reading_enter(r, key);
			return reading_fail(r, "unknown member");
		}
	}
	for (const struct member *m = members; m->name != NULL; m++) {
		const json_t *member = json_object_get(object, m->name);
		size_t len;

		if (member == NULL && !m->required)
			continue;
		len = reading_enter(r, m->name);
		if (member == NULL)
			return reading_fail(r, "missing");
		if (m->read(r, into, member) < 0)
			return -1;
		reading_leave(r, len);
	}
	return 0;
}

const char *reading_text(struct reading *r, const json_t *value)
{
	if (!json_is_string(value) || json_string_length(value) == 0 ||
		json_string_length(value) != strlen(json_string_value(value))) {
		reading_fail(r, "not a text");
		return NULL;
	}
	return json_string_value(value);
}

int reading_word(struct reading *r, const json_t *value, const char *const *words)
{
	const char *text = reading_text(r, value);
	ff_auto_buf list = {0};

	if (text == NULL)
		return -1;
	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
		ff_buf_addf(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	return reading_fail(r, "not one of: %s", list.text);
}

/* ---------------------------------------------------------------- hashes */

static int read_hash(struct reading *r, struct ff_strv *out, const json_t *value)
{
	const char *text = reading_text(r, value);
	ff_auto_free char *lower = NULL;

	if (text == NULL)
		return -1;
	if (strlen(text) != SHA256_DIGITS || strspn(text, "0123456789abcdefABCDEF") != SHA256_DIGITS)
		return reading_fail(r, "not a SHA-256 of 64 hex digits");
	lower = ff_strdup(text);
	for (char *c = lower; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	ff_strv_add(out, lower);
	return 0;
}

int reading_sha256(struct reading *r, struct ff_strv *out, const json_t *value)
{
	const json_t *entry;
	size_t i;

	if (!json_is_array(value))
		return read_hash(r, out, value);
	if (json_array_size(value) == 0 || json_array_size(value) > HASHES_MAX)
		return reading_fail(r, "not 1 to %d hashes", HASHES_MAX);
	json_array_foreach (value, i, entry)
		if (read_hash(r, out, entry) < 0)
			return -1;
	return 0;
}

/* ---------------------------------------------------------------- where */

static int read_segment(struct reading *r, struct recipe_where *where, const char *text, size_t len, bool last)
{
	ff_auto_free char *segment = ff_strndup(text, len);
	unsigned stars = 0;

	if (len == 0)
		return reading_fail(r, "empty segment: it begins at the root of the volume, without '/' at either end");
	if (strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
		return reading_fail(r, "'%s' is no segment", segment);
	for (const char *c = segment; *c != '\0'; c++)
		stars += *c == '*';
	if (stars > STARS_MAX || len > NAME_MAX)
		return reading_fail(r, "segment with more than %d '*' or %d bytes", STARS_MAX, NAME_MAX);
	if (last)
		where->name = FF_STEAL(segment);
	else
		ff_strv_add(&where->dirs, segment);
	return 0;
}

int reading_where(struct reading *r, struct recipe_where *where, const json_t *value)
{
	const char *text = reading_text(r, value);

	if (text == NULL)
		return -1;
	if (strlen(text) > WHERE_BYTES_MAX)
		return reading_fail(r, "longer than %d bytes", WHERE_BYTES_MAX);
	if (strchr(text, '\\') != NULL)
		return reading_fail(r, "backslash; segments are separated by '/'");
	if (strchr(text, ':') != NULL)
		return reading_fail(r, "colon; it begins at the root of the volume, without a drive letter");
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return reading_fail(r, "control character");
	for (bool last = false; !last;) {
		size_t len = strcspn(text, "/");

		last = text[len] == '\0';
		if (read_segment(r, where, text, len, last) < 0)
			return -1;
		text += len + 1;
	}
	return where->dirs.count < SEGMENTS_MAX ? 0 : reading_fail(r, "more than %d segments", SEGMENTS_MAX);
}

void recipe_where_release(struct recipe_where *where)
{
	ff_strv_free(&where->dirs);
	free(where->name);
	where->name = NULL;
}
