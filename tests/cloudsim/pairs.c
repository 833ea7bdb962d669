/* Percent-encoding: paths, queries and forms as they come over the wire. */
#include "model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

char *sim_decode(const char *text, size_t len, bool query)
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

void sim_read_pairs(const char *q, struct ff_headers *pairs)
{
	while (*q != '\0') {
		size_t n = strcspn(q, "&"), eq = strcspn(q, "=&");
		ff_auto_free char *name = sim_decode(q, eq, true);
		ff_auto_free char *value = eq < n ? sim_decode(q + eq + 1, n - eq - 1, true) : ff_strdup("");

		ff_headers_add(pairs, name, value);
		q += n + (q[n] == '&');
	}
}
