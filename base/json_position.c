/* Where in a JSON text a member stands: jansson tells positions of what does not parse only. */
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define DEPTH_MAX 64

/* The text is sound JSON; `end` is looked at all the same. */
struct cursor {
	const char *at, *end;
};

static void skip_blanks(struct cursor *c)
{
	while (c->at < c->end && strchr(" \t\r\n", *c->at) != NULL && *c->at != '\0')
		c->at++;
}

static void skip_string(struct cursor *c)
{
	if (c->at < c->end)
		c->at++;
	while (c->at < c->end && *c->at != '"')
		c->at += *c->at == '\\' && c->end - c->at > 1 ? 2 : 1;
	if (c->at < c->end)
		c->at++;
}

/* Over one value of any kind. */
static void skip_value(struct cursor *c)
{
	unsigned depth = 0;

	skip_blanks(c);
	do {
		if (c->at >= c->end)
			return;
		if (*c->at == '"') {
			skip_string(c);
			continue;
		}
		depth += *c->at == '{' || *c->at == '[';
		depth -= depth > 0 && (*c->at == '}' || *c->at == ']');
		c->at++;
	} while (depth > 0 || (c->at < c->end && strchr(",}] \t\r\n", *c->at) == NULL));
}

/* Is the string that begins at the cursor this name? Names with escapes are compared as they are written. */
static bool is_name(const struct cursor *c, const char *name, size_t len)
{
	return (size_t)(c->end - c->at) >= len + 2 && c->at[0] == '"' && memcmp(c->at + 1, name, len) == 0 &&
	       c->at[len + 1] == '"';
}

/* Step to the member or entry; `where` is set to where it begins, the cursor to its value. */
static bool step(struct cursor *c, const char *segment, size_t len, const char **where)
{
	ff_auto_free char *text = ff_strndup(segment, len);
	int64_t wanted = -1;
	bool object;

	skip_blanks(c);
	if (c->at >= c->end || (*c->at != '{' && *c->at != '['))
		return false;
	object = *c->at++ == '{';
	if (!object && ff_parse_i64(text, 0, INT32_MAX, &wanted) < 0)
		return false;
	for (int64_t i = 0; c->at < c->end; i++) {
		bool found;

		skip_blanks(c);
		if (c->at >= c->end || *c->at == '}' || *c->at == ']')
			return false;
		*where = c->at;
		found = object ? is_name(c, segment, len) : i == wanted;
		if (object) {
			skip_string(c);
			skip_blanks(c);
			c->at += c->at < c->end; /* ':' */
		}
		if (found)
			return true;
		skip_value(c);
		skip_blanks(c);
		c->at += c->at < c->end && *c->at == ',';
	}
	return false;
}

void ff_json_position(const char *text, size_t len, const char *path, unsigned *line, unsigned *column)
{
	struct cursor c = {text, text + len};
	const char *found = NULL, *where = NULL;

	skip_blanks(&c);
	found = c.at;
	for (unsigned depth = 0; *path != '\0' && depth < DEPTH_MAX; depth++) {
		size_t n = strcspn(path, "/");

		if (!step(&c, path, n, &where))
			break;
		found = where;
		path += n + (path[n] == '/');
	}
	*line = 1;
	*column = 1;
	for (const char *p = text; p < found; p++) {
		*line += *p == '\n';
		*column = *p == '\n' ? 1 : *column + 1;
	}
}
