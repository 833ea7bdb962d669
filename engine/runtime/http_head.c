/*
 * What goes over the wire and comes back, as far as it needs no libcurl: which asks are sent at all, header lines.
 */
#include "rt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* RFC 9110 section 5.6.2: what a method or a header's name is made of. */
static bool is_token(const char *text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	if (text == NULL || text[0] == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (!((*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
			    (*text >= 'A' && *text <= 'Z') || strchr(others, *text) != NULL))
			return false;
	return true;
}

static bool is_header_value(const char *text)
{
	for (; *text != '\0'; text++)
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == 0x7f)
			return false;
	return true;
}

/* An URL is sent as it is, so it must be encoded already: libcurl would mend some mistakes and refuse others. */
static bool is_encoded(const char *url)
{
	for (; *url != '\0'; url++)
		if ((unsigned char)*url <= ' ' || (unsigned char)*url >= 0x7f)
			return false;
	return true;
}

int rt_http_check(struct rt_op *op)
{
	struct ff_err err = {0};

	if (!is_token(op->ask.method)) {
		rt_op_fail(op, FF_T_LOCAL, EINVAL, "'%s' is not an HTTP method", op->ask.method ? op->ask.method : "");
		return -1;
	}
	if (ff_url_check(op->ask.url, &err) < 0) {
		rt_op_fail(op, FF_T_LOCAL, EINVAL, "%s", err.text);
		return -1;
	}
	if (!is_encoded(op->ask.url)) {
		rt_op_fail(op, FF_T_LOCAL, EINVAL, "'%s' is not an encoded URL", op->ask.url);
		return -1;
	}
	for (size_t i = 0; i < op->ask.headers.count; i++) {
		const struct ff_header *h = &op->ask.headers.items[i];

		if (is_token(h->name) && is_header_value(h->value))
			continue;
		/* not its value: that may be a token with a line end behind it */
		rt_op_fail(op, FF_T_LOCAL, EINVAL, "header '%s' holds characters that no header may hold", h->name);
		return -1;
	}
	return 0;
}

void rt_http_header_line(struct ff_headers *headers, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *value, *end = line + len;
	ff_auto_free char *name = NULL;
	char *text;

	/* a line that begins with a blank continues the one before it (RFC 9112 section 5.2, obsolete): left out */
	if (colon == NULL || colon == line || line[0] == ' ' || line[0] == '\t')
		return;
	value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
		end--;
	name = ff_strndup(line, (size_t)(colon - line));
	text = ff_strndup(value, (size_t)(end - value));
	ff_headers_add(headers, name, text);
	ff_free_secret(text); /* a cookie, a token */
}

char *rt_http_path(const char *url)
{
	const char *host = strstr(url, "://"), *path;

	host = host ? host + 3 : url;
	path = host + strcspn(host, "/?#");
	return *path == '/' ? ff_strndup(path, strcspn(path, "?#")) : ff_strdup("/");
}
