/* Which of the VMs in scope the operator means. Pure. */
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

#define LINE_BYTES_MAX 2048
#define LINES_MAX      100000

int instances_parse(struct instances *in, const char *text, size_t len, struct ff_err *err)
{
	size_t number = 0;

	*in = (struct instances){0};
	for (const char *p = text, *end = text + len; p < end;) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		const char *next = stop ? stop + 1 : end;

		stop = stop ? stop : end;
		number++;
		while (p < stop && strchr(" \t\r", *p))
			p++;
		while (stop > p && strchr(" \t\r", stop[-1]))
			stop--;
		if (memchr(p, '\0', (size_t)(stop - p)) != NULL)
			return ff_fail(err, FF_E_USAGE, "line %zu holds a NUL byte: not a list of names", number);
		if (stop - p > LINE_BYTES_MAX)
			return ff_fail(err, FF_E_USAGE, "line %zu is longer than %d bytes: one name or id a line",
				number, LINE_BYTES_MAX);
		if (stop > p && *p != '#') {
			ff_auto_free char *line = ff_strndup(p, (size_t)(stop - p));

			if (in->lines.count == LINES_MAX)
				return ff_fail(err, FF_E_USAGE, "more than %d lines", LINES_MAX);
			ff_strv_add(&in->lines, line);
		}
		p = next;
	}
	if (in->lines.count == 0)
		return ff_fail(err, FF_E_USAGE, "no name or id in it");
	in->seen = ff_calloc(in->lines.count, sizeof(*in->seen));
	return 0;
}

void instances_release(struct instances *in)
{
	ff_strv_free(&in->lines);
	free(in->seen);
	*in = (struct instances){0};
}

static bool has_tag(const struct ff_vm *vm, const char *key_value)
{
	size_t len = strcspn(key_value, "=");
	ff_auto_free char *key = ff_strndup(key_value, len);

	return ff_streq(json_string_value(json_object_get(vm->tags, key)), key_value + len + 1);
}

bool selection_takes(const struct options *o, struct instances *in, const struct ff_vm *vm)
{
	bool named = o->names.count == 0, listed = in == NULL;

	for (size_t i = 0; i < o->names.count; i++)
		named = named || ff_glob(o->names.items[i], vm->name);
	for (size_t i = 0; i < o->tags.count; i++)
		if (!has_tag(vm, o->tags.items[i]))
			return false;
	for (size_t i = 0; in != NULL && i < in->lines.count; i++) {
		if (ff_strcaseeq(in->lines.items[i], vm->name) || ff_strcaseeq(in->lines.items[i], vm->id)) {
			in->seen[i] = true;
			listed = true;
		}
	}
	return named && listed;
}
