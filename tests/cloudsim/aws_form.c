/* The form of a request: read strictly, because what a lenient reader drops is what nobody notices. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static int hex(char ch)
{
	return ch >= '0' && ch <= '9'	? ch - '0'
	       : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
	       : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
					: -1;
}

/* A name or value, decoded; NULL when its encoding is broken. */
static json_t *decode(const char *text, size_t len)
{
	ff_auto_buf out = {0};

	for (size_t i = 0; i < len; i++) {
		char ch = text[i];

		if (ch == '+') {
			ch = ' ';
		} else if (ch == '%') {
			int high = i + 2 < len ? hex(text[i + 1]) : -1, low = i + 2 < len ? hex(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			ch = (char)(high * 16 + low);
			i += 2;
		}
		if (ch == '\0')
			return NULL;
		ff_buf_add(&out, &ch, 1);
	}
	return json_stringn(out.text != NULL ? out.text : "", out.len); /* NULL when it is no UTF-8 */
}

/* "Filter.1.Value.2" makes "Filter", "Filter.1", "Filter.1.Value" known too. */
static void note_prefixes(struct aw_call *c, const char *name)
{
	for (const char *p = name;; p++) {
		ff_auto_free char *part = NULL;

		if (*p != '.' && *p != '\0')
			continue;
		part = ff_strndup(name, (size_t)(p - name));
		json_object_set_new(c->prefix, part, json_true());
		if (*p == '\0')
			return;
	}
}

static int read_pair(struct aw_call *c, const char *pair, size_t len)
{
	const char *eq = memchr(pair, '=', len);
	size_t name_len = eq != NULL ? (size_t)(eq - pair) : len;
	ff_auto_json json_t *name = decode(pair, name_len);
	json_t *value = eq != NULL ? decode(eq + 1, len - name_len - 1) : json_string("");

	if (name == NULL || value == NULL || json_string_length(name) == 0) {
		json_decref(value);
		return aw_refuse(c, 400, "MalformedQueryString", "The query string contains a syntax error.");
	}
	if (json_object_get(c->form, json_string_value(name)) != NULL) {
		json_decref(value);
		return aw_refuse(c, 400, "InvalidParameterValue", "The parameter %s is given twice.",
			json_string_value(name)); /* text made up */
	}
	json_object_set_new(c->form, json_string_value(name), value);
	note_prefixes(c, json_string_value(name));
	return 0;
}

int aw_read_form(struct aw_call *c)
{
	const char *type = ff_headers_get(&c->req->headers, "Content-Type");
	const char *p = c->req->body != NULL ? c->req->body : "", *end = p + c->req->body_len;

	c->form = json_object();
	c->prefix = json_object();
	if (!ff_streq(c->req->method, "POST") || type == NULL ||
		!ff_has_prefix(type, "application/x-www-form-urlencoded") || c->req->body_len == 0)
		return aw_refuse(c, 400, "MissingAction", "The request must contain the parameter Action");
	while (p < end) {
		const char *amp = memchr(p, '&', (size_t)(end - p));
		size_t len = amp != NULL ? (size_t)(amp - p) : (size_t)(end - p);

		if (read_pair(c, p, len) < 0)
			return -1;
		p += len + 1;
	}
	return 0;
}

/* Does the name fit the pattern ("Filter.#.Value.#")? */
static bool fits(const char *pattern, size_t len, const char *name)
{
	const char *end = pattern + len;

	for (; pattern < end; pattern++) {
		size_t digits = strspn(name, "0123456789");

		if (*pattern == '#') {
			if (digits == 0 || *name == '0')
				return false;
			name += digits;
		} else if (*pattern == *name) {
			name++;
		} else {
			return false;
		}
	}
	return *name == '\0';
}

static bool known(const char *params, const char *name)
{
	if (ff_streq(name, "Action") || ff_streq(name, "Version"))
		return true;
	while (*params != '\0') {
		size_t len = strcspn(params, " ");

		if (fits(params, len, name))
			return true;
		params += len + (params[len] == ' ');
	}
	return false;
}

/* A list has no gaps: where there is .3 there is .2. */
static bool gapless(const struct aw_call *c, const char *name)
{
	for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
		size_t digits = strspn(dot + 1, "0123456789");
		ff_auto_free char *number = ff_strndup(dot + 1, digits);
		int64_t n;

		if (digits == 0 || (dot[1 + digits] != '.' && dot[1 + digits] != '\0'))
			continue;
		if (ff_parse_i64(number, 1, 1000000, &n) < 0)
			return false;
		if (n > 1) {
			ff_auto_free char *before = ff_printf("%.*s.%lld", (int)(dot - name), name, (long long)n - 1);

			if (!aw_has(c, before))
				return false;
		}
	}
	return true;
}

int aw_check_params(struct aw_call *c)
{
	const char *name;
	json_t *value;

	json_object_foreach (c->form, name, value) {
		if (!known(c->action->params, name))
			return aw_refuse(c, 400, "UnknownParameter", "The parameter %s is not recognized", name);
		if (!gapless(c, name))
			return aw_refuse(c, 400, "InvalidParameterValue",
				"The list of parameter %s does not count from 1 without gaps.", name); /* made up */
	}
	return 0;
}

const char *aw_get(const struct aw_call *c, const char *name)
{
	return json_string_value(json_object_get(c->form, name));
}

const char *aw_getf(const struct aw_call *c, const char *fmt, ...)
{
	ff_auto_free char *name = NULL;
	va_list ap;

	va_start(ap, fmt);
	name = ff_vprintf(fmt, ap);
	va_end(ap);
	return aw_get(c, name);
}

bool aw_has(const struct aw_call *c, const char *prefix)
{
	return json_object_get(c->prefix, prefix) != NULL;
}

const char *aw_need(struct aw_call *c, const char *name)
{
	const char *value = aw_get(c, name);

	if (value != NULL && *value != '\0')
		return value;
	aw_refuse(c, 400, "MissingParameter", "The request must contain the parameter %s", name);
	return NULL;
}

int aw_bool(struct aw_call *c, const char *name, bool *out)
{
	const char *value = aw_get(c, name);

	if (value == NULL)
		return 0;
	if (!ff_streq(value, "true") && !ff_streq(value, "false"))
		return aw_refuse(c, 400, "InvalidParameterValue",
			"Invalid value '%s' for %s. The value must be true or false", value, name);
	*out = ff_streq(value, "true");
	return 0;
}

struct ff_strv aw_list(const struct aw_call *c, const char *name)
{
	struct ff_strv list = {0};
	const char *value;

	while ((value = aw_getf(c, "%s.%zu", name, list.count + 1)) != NULL)
		ff_strv_add(&list, value);
	return list;
}

bool aw_like(const char *pattern, const char *text)
{
	const char *star = NULL, *retry = NULL;

	while (*text != '\0') {
		bool quoted = *pattern == '\\' && pattern[1] != '\0';

		if (!quoted && *pattern == '*') {
			star = ++pattern;
			retry = text;
		} else if ((!quoted && *pattern == '?') || *text == pattern[quoted]) {
			pattern += 1 + quoted;
			text++;
		} else if (star != NULL) {
			pattern = star;
			text = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
