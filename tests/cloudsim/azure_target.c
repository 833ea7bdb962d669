/* The request line: path and query, decoded. */
#include "azure.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Decode %XX (and + in a query); bytes that are no text, such as NUL, end it. */
static char *decode(const char *text, size_t len, bool query)
{
	ff_auto_buf out = {0};

	for (size_t i = 0; i < len; i++) {
		char ch = text[i];

		if (ch == '%' && i + 2 < len && isxdigit((unsigned char)text[i + 1]) &&
			isxdigit((unsigned char)text[i + 2])) {
			char hex[3] = {text[i + 1], text[i + 2], '\0'};

			ch = (char)strtol(hex, NULL, 16);
			i += 2;
		} else if (query && ch == '+') {
			ch = ' ';
		}
		if (ch == '\0')
			break;
		ff_buf_add(&out, &ch, 1);
	}
	return ff_buf_take(&out);
}

void az_read_pairs(const char *q, struct ff_headers *pairs)
{
	while (*q != '\0') {
		size_t n = strcspn(q, "&"), eq = strcspn(q, "=&");
		ff_auto_free char *name = decode(q, eq, true);
		ff_auto_free char *value = eq < n ? decode(q + eq + 1, n - eq - 1, true) : ff_strdup("");

		ff_headers_add(pairs, name, value);
		q += n + (q[n] == '&');
	}
}

void az_read_target(struct az_call *c)
{
	const char *target = c->req->target;
	size_t len = strcspn(target, "?");
	const char *p = target + (*target == '/');

	if (target[len] == '?')
		az_read_pairs(target + len + 1, &c->query);
	c->path = decode(target, len, false);
	while (p < target + len) {
		size_t n = strcspn(p, "/?");
		ff_auto_free char *segment = decode(p, n, false);

		ff_strv_add(&c->segments, segment);
		p += n + 1;
	}
}

const char *az_query(const struct az_call *c, const char *name)
{
	return ff_headers_get(&c->query, name);
}
