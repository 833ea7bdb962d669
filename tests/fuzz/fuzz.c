#include "fuzz.h"

#include <ctype.h>
#include <limits.h>

#define SEPARATOR "\n%%\n"

static size_t line_len(const char *at, const char *end)
{
	const char *newline = memchr(at, '\n', (size_t)(end - at));

	return newline ? (size_t)(newline - at) : (size_t)(end - at);
}

/* The line without what C texts cannot hold: headers come from the HTTP library, which lets no NUL through. */
static char *text_line(const char *at, size_t len)
{
	char *line = ff_calloc(len + 1, 1);

	memcpy(line, at, len);
	return line;
}

static void read_headers(const char **at, const char *end, struct ff_headers *headers)
{
	while (*at < end) {
		size_t len = line_len(*at, end);
		ff_auto_free char *line = text_line(*at, len);
		char *colon = strchr(line, ':');

		*at += len + (*at + len < end);
		if (len == 0)
			return;
		if (colon == NULL)
			continue;
		*colon++ = '\0';
		while (*colon == ' ')
			colon++;
		ff_headers_add(headers, line, colon);
	}
}

bool fuzz_next_answer(struct fuzz_input *in, struct ff_answer *answer)
{
	const char *at = in->at, *end;
	ff_auto_free char *line = NULL;
	size_t len;
	long status;

	*answer = (struct ff_answer){0};
	if (at >= in->end)
		return false;
	end = memmem(at, (size_t)(in->end - at), SEPARATOR, sizeof(SEPARATOR) - 1);
	in->at = end ? end + sizeof(SEPARATOR) - 1 : in->end;
	end = end ? end : in->end;
	len = line_len(at, end);
	line = text_line(at, len);
	at += len + (at + len < end);
	status = strtol(line, NULL, 10);
	if (status < 0) {
		answer->transport = status >= -(long)FF_T_LOCAL ? (enum ff_transport) - status : FF_T_BROKEN;
		answer->status = answer->transport == FF_T_LOCAL ? 2 : 0;
		snprintf(answer->why, sizeof(answer->why), "it broke");
		return true;
	}
	answer->status = status > INT_MAX ? INT_MAX : (int)status;
	read_headers(&at, end, &answer->headers);
	answer->body_len = (size_t)(end - at);
	answer->body = ff_calloc(answer->body_len + 1, 1);
	if (answer->body_len > 0)
		memcpy(answer->body, at, answer->body_len);
	return true;
}

void fuzz_answer_text(const struct ff_answer *answer, struct ff_buf *text)
{
	ff_buf_addf(text, "%d\n", answer->transport == FF_T_OK ? answer->status : -(int)answer->transport);
	for (size_t i = 0; i < answer->headers.count; i++)
		ff_buf_addf(text, "%s: %s\n", answer->headers.items[i].name, answer->headers.items[i].value);
	ff_buf_adds(text, "\n");
	if (answer->body_len > 0)
		ff_buf_add(text, answer->body, answer->body_len);
	ff_buf_adds(text, SEPARATOR);
}

const char *fuzz_env_get(void *pairs, const char *name)
{
	const char *const *pair = pairs;

	for (; pair[0] != NULL; pair += 2)
		if (strcmp(pair[0], name) == 0)
			return pair[1][0] != '\0' ? pair[1] : NULL;
	return NULL;
}

static bool plain(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

void fuzz_check_ask(const struct ff_ask *ask)
{
	if (ask->kind == FF_ASK_FILE) {
		FUZZ_CHECK(ask->path != NULL && ask->path[0] != '\0', "a file without a name");
		return;
	}
	if (ask->kind == FF_ASK_EXEC) {
		FUZZ_CHECK(ask->argv.count > 0 && ask->argv.items[0][0] != '\0', "a program without a name");
		return;
	}
	FUZZ_CHECK(ask->method != NULL && plain(ask->method), "method");
	FUZZ_CHECK(ask->url != NULL && plain(ask->url), "%s", ask->url ? ask->url : "no URL");
	for (size_t i = 0; i < ask->headers.count; i++) {
		const struct ff_header *h = &ask->headers.items[i];

		FUZZ_CHECK(plain(h->name) && strpbrk(h->value, "\r\n") == NULL, "%s: %s", h->name, h->value);
	}
	for (size_t i = 0; i < ask->cost_count; i++)
		FUZZ_CHECK(ask->costs[i].key != NULL && ask->costs[i].capacity > 0 && ask->costs[i].refill_per_s > 0,
			"cost %zu", i);
}

json_t *fuzz_json(const void *bytes, size_t size)
{
	struct ff_err err;
	json_t *j = ff_json_parse(bytes, size, 4u << 20, &err);

	if (j == NULL)
		FUZZ_CHECK_ERR(err);
	return j;
}
