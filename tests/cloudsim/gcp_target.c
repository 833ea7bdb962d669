/* The request line and the answer: paths, parameters, JSON, errors in Google's form. */
#include "gcp.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void gc_read_target(struct gc_call *c)
{
	const char *target = c->req->target;
	size_t len = strcspn(target, "?");
	const char *p = target + (*target == '/');
	ff_auto_buf path = {0};

	if (target[len] == '?')
		sim_read_pairs(target + len + 1, &c->query);
	ff_buf_adds(&path, "");
	while (p < target + len) {
		size_t n = strcspn(p, "/?");
		ff_auto_free char *segment = sim_decode(p, n, false);

		ff_strv_add(&c->segments, segment);
		ff_buf_addf(&path, "/%s", segment);
		p += n + 1;
	}
	c->path = path.len > 0 ? ff_buf_take(&path) : ff_strdup("/");
}

const char *gc_query(const struct gc_call *c, const char *name)
{
	return ff_headers_get(&c->query, name);
}

int gc_query_bool(struct gc_call *c, const char *name)
{
	const char *value = gc_query(c, name);

	if (value == NULL || ff_strcaseeq(value, "false") || ff_streq(value, "0"))
		return 0;
	if (ff_strcaseeq(value, "true") || ff_streq(value, "1")) /* gcloud writes True */
		return 1;
	return gc_refuse(c, 400, "invalid", "Invalid value at '%s' (TYPE_BOOL), \"%s\"", name, value);
}

void gc_reply(struct gc_call *c, int status, json_t *body)
{
	c->ans->status = status;
	ff_headers_set(&c->ans->headers, "Content-Type", "application/json; charset=UTF-8");
	free(c->ans->body);
	c->ans->body = ff_json_text(body);
	c->ans->body_len = strlen(c->ans->body);
	json_decref(body);
}

/* Members beside reason and message that Google sends with some reasons. */
static void adorn(json_t *error, json_t *one, int status, const char *reason)
{
	static const struct {
		int status;
		const char *word;
	} words[] = {{400, "INVALID_ARGUMENT"}, {401, "UNAUTHENTICATED"}, {403, "PERMISSION_DENIED"},
		{404, "NOT_FOUND"}, {409, "ALREADY_EXISTS"}, {429, "RESOURCE_EXHAUSTED"}, {500, "INTERNAL"},
		{503, "UNAVAILABLE"}};

	if (ff_streq(reason, "conditionNotMet")) {
		ff_json_set_str(one, "location", "If-Match");
		ff_json_set_str(one, "locationType", "header");
	}
	if (ff_streq(reason, "authError") || (status == 401 && ff_streq(reason, "required"))) {
		ff_json_set_str(one, "location", "Authorization");
		ff_json_set_str(one, "locationType", "header");
	}
	/* Compute itself leaves "status" out; what the front end says has it */
	if (!ff_streq(reason, "authError") && !ff_streq(reason, "insufficientPermissions") &&
		!ff_streq(reason, "backendError"))
		return;
	for (size_t i = 0; i < FF_COUNT(words); i++)
		if (words[i].status == status)
			ff_json_set_str(error, "status", words[i].word);
}

/* What a client sends may be no UTF-8, and comes back in messages. */
static char *clean(const char *message)
{
	json_t *text = json_string(message);

	if (text == NULL)
		return ff_printable(message);
	json_decref(text);
	return ff_strdup(message);
}

void gc_refuse_into(struct sim_answer *ans, int status, const char *reason, const char *text, const json_t *details)
{
	ff_auto_free char *message = clean(text);
	bool quota = ff_streq(reason, "rateLimitExceeded") || ff_streq(reason, "quotaExceeded");
	json_t *one = json_pack(
		"{s:s,s:s,s:s}", "message", message, "domain", quota ? "usageLimits" : "global", "reason", reason);
	json_t *error = json_pack("{s:i,s:s,s:[O]}", "code", status, "message", message, "errors", one);
	ff_auto_json json_t *body = json_pack("{s:O}", "error", error);

	adorn(error, one, status, reason);
	if (details != NULL)
		json_object_set(error, "details", (json_t *)details);
	if (status == 401)
		ff_headers_set(&ans->headers, "WWW-Authenticate",
			"Bearer realm=\"https://accounts.google.com/\", error=\"invalid_token\"");
	ans->status = status;
	ff_headers_set(&ans->headers, "Content-Type", "application/json; charset=UTF-8");
	free(ans->body);
	ans->body = ff_json_text(body);
	ans->body_len = strlen(ans->body);
	json_decref(one);
	json_decref(error);
}

int gc_refuse(struct gc_call *c, int status, const char *reason, const char *fmt, ...)
{
	ff_auto_free char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = ff_vprintf(fmt, ap);
	va_end(ap);
	gc_refuse_into(c->ans, status, reason, message, NULL);
	return -1;
}

int gc_not_found(struct gc_call *c, const char *resource)
{
	return gc_refuse(c, 404, "notFound", "The resource '%s' was not found", resource);
}

int gc_object(struct gc_refusal *r, int status, const char *reason, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	r->status = status;
	r->reason = reason;
	r->message = ff_vprintf(fmt, ap);
	va_end(ap);
	return -1;
}
