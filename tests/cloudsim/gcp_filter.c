/*
 * Filters of lists, as much of them as clients send: terms such as labels.env=prod, status="RUNNING", name eq web-.*,
 * labels.x:*, in parentheses or joined by AND.
 */
#include "gcp.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum how { SAME, NOT_SAME, HAS, MATCHES, MATCHES_NOT };

struct term {
	char *field, *value; /* field: "labels/env" */
	enum how how;
};

struct gc_filter {
	struct term *terms;
	size_t count;
};

void gc_filter_free(struct gc_filter *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->count; i++) {
		free(f->terms[i].field);
		free(f->terms[i].value);
	}
	free(f->terms);
	free(f);
}

static const char *skip(const char *p)
{
	for (;;) {
		p += strspn(p, " ()");
		if (strncmp(p, "AND ", 4) != 0)
			return p;
		p += 4;
	}
}

/* "=", "!=", ":", " eq ", " ne ". NULL when it is none. */
static const char *read_how(const char *p, enum how *how)
{
	static const struct {
		const char *sign;
		enum how how;
	} signs[] = {{"eq ", MATCHES}, {"ne ", MATCHES_NOT}, {"!=", NOT_SAME}, {"=", SAME}, {":", HAS}};

	p += strspn(p, " ");
	for (size_t i = 0; i < FF_COUNT(signs); i++) {
		if (!ff_has_prefix(p, signs[i].sign))
			continue;
		*how = signs[i].how;
		p += strlen(signs[i].sign);
		return p + strspn(p, " ");
	}
	return NULL;
}

static const char *read_value(const char *p, char **value)
{
	const char *end;

	if (*p == '"') {
		end = strchr(p + 1, '"');
		if (end == NULL)
			return NULL;
		*value = ff_strndup(p + 1, (size_t)(end - p - 1));
		return end + 1;
	}
	end = p + strcspn(p, " ()");
	*value = ff_strndup(p, (size_t)(end - p));
	return end > p ? end : NULL;
}

static const char *read_term(struct gc_filter *f, const char *p)
{
	size_t n = strcspn(p, " =!:()\"");
	struct term *t;

	if (n == 0)
		return NULL;
	f->terms = ff_realloc(f->terms, f->count + 1, sizeof(*f->terms));
	t = &f->terms[f->count++];
	*t = (struct term){.field = ff_strndup(p, n)};
	for (char *dot = t->field; (dot = strchr(dot, '.')) != NULL;)
		*dot = '/';
	p = read_how(p + n, &t->how);
	return p != NULL ? read_value(p, &t->value) : NULL;
}

struct gc_filter *gc_filter_read(const char *text, bool *bad)
{
	struct gc_filter *f;
	const char *p = text != NULL ? skip(text) : "";

	*bad = false;
	if (*p == '\0')
		return NULL;
	f = ff_calloc(1, sizeof(*f));
	while (*p != '\0') {
		p = read_term(f, p);
		if (p == NULL) {
			*bad = true;
			gc_filter_free(f);
			return NULL;
		}
		p = skip(p);
	}
	return f;
}

/* The whole value must match (RE2 there, POSIX here; what clients send is the same in both). */
static bool matches(const char *pattern, const char *value)
{
	ff_auto_free char *whole = ff_printf("^(%s)$", pattern);
	regex_t re;
	bool ok;

	if (regcomp(&re, whole, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	ok = regexec(&re, value, 0, NULL, 0) == 0;
	regfree(&re);
	return ok;
}

static bool fits(const struct term *t, const json_t *item)
{
	const json_t *found = ff_json_at(item, t->field);
	ff_auto_free char *text = json_is_string(found)	   ? ff_strdup(json_string_value(found))
				  : json_is_integer(found) ? ff_printf("%lld", (long long)json_integer_value(found))
				  : json_is_boolean(found) ? ff_strdup(json_is_true(found) ? "true" : "false")
							   : NULL;
	const char *value = text != NULL ? text : "";

	switch (t->how) {
	case SAME:
		return found != NULL && ff_streq(value, t->value);
	case NOT_SAME:
		return !ff_streq(value, t->value);
	case HAS:
		return found != NULL && (ff_streq(t->value, "*") || ff_contains_nocase(value, t->value));
	case MATCHES:
		return found != NULL && matches(t->value, value);
	case MATCHES_NOT:
		return !matches(t->value, value);
	}
	return false;
}

bool gc_filter_fits(const struct gc_filter *f, const json_t *item)
{
	for (size_t i = 0; f != NULL && i < f->count; i++)
		if (!fits(&f->terms[i], item))
			return false;
	return true;
}
