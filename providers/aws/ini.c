/*
 * The shared config and credentials files, as the AWS tools read them
 * (docs.aws.amazon.com/sdkref/latest/guide/file-format.html): sections, "key = value", comments on lines of their own
 * or after a blank, indented lines that continue a value or, below "key =" without one, hold sub-keys. The files may
 * have been written by anybody.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

struct reader {
	struct aws_ini *ini;
	char *section; /* NULL: before the first, or in one that cannot be named */
	size_t line;
	bool has_last; /* an indented line belongs to the item read last */
};

void aws_ini_release(struct aws_ini *ini)
{
	for (size_t i = 0; i < ini->count; i++) {
		free(ini->items[i].section);
		free(ini->items[i].key);
		ff_free_secret(ini->items[i].value);
	}
	free(ini->items);
	ff_strv_free(&ini->sections);
	*ini = (struct aws_ini){0};
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Without the blanks around it. */
static char *trimmed(const char *text, size_t len)
{
	while (len > 0 && is_blank(text[0])) {
		text++;
		len--;
	}
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	return ff_strndup(text, len);
}

/* Length of the value before a comment: '#' or ';' after a blank. */
static size_t before_comment(const char *text, size_t len)
{
	for (size_t i = 1; i < len; i++)
		if ((text[i] == '#' || text[i] == ';') && is_blank(text[i - 1]))
			return i;
	return len;
}

static int wrong(const struct reader *r, struct ff_err *err, const char *what)
{
	return ff_fail(err, FF_E_AUTH, "line %zu: %s", r->line, what);
}

static int add_item(struct reader *r, char *key_owned, char *value_owned, struct ff_err *err)
{
	struct aws_ini *ini = r->ini;

	if (ini->count == AWS_INI_ITEMS_MAX) {
		free(key_owned);
		ff_free_secret(value_owned);
		return wrong(r, err, "more settings than any such file has");
	}
	for (char *p = key_owned; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
	if ((ini->count & (ini->count - 1)) == 0)
		ini->items = ff_realloc(ini->items, ini->count ? ini->count * 2 : 1, sizeof(*ini->items));
	ini->items[ini->count++] =
		(struct aws_ini_item){.section = ff_strdup(r->section), .key = key_owned, .value = value_owned};
	return 0;
}

/* "[profile x]", "[profile "x y"]": the name with one blank between its words and without quotes. */
static int read_section(struct reader *r, const char *text, size_t len, struct ff_err *err)
{
	const char *end = memchr(text, ']', len);
	ff_auto_free char *inside = NULL;
	char *out;

	if (end == NULL)
		return wrong(r, err, "'[' without ']'");
	inside = trimmed(text + 1, (size_t)(end - text) - 1);
	free(r->section);
	r->section = out = ff_calloc(strlen(inside) + 1, 1);
	for (const char *p = inside; *p != '\0'; p++) {
		if (*p == '"' || *p == '\'')
			continue;
		if (is_blank(*p) && out > r->section && is_blank(out[-1]))
			continue;
		*out++ = is_blank(*p) ? ' ' : *p;
	}
	if (!ff_strv_has(&r->ini->sections, r->section)) {
		if (r->ini->sections.count == AWS_INI_ITEMS_MAX / 4)
			return wrong(r, err, "more sections than any such file has");
		ff_strv_add(&r->ini->sections, r->section);
	}
	r->has_last = false;
	return 0;
}

/* An indented line. */
static int read_continued(struct reader *r, const char *text, size_t len, struct ff_err *err)
{
	struct aws_ini_item *last = &r->ini->items[r->ini->count - 1];
	ff_auto_free char *line = trimmed(text, before_comment(text, len));
	char *equals = strchr(line, '='), *dot = strchr(last->key, '.'), *longer;
	bool below = last->value[0] == '\0' || dot != NULL;

	if (!below) {
		longer = ff_printf("%s\n%s", last->value, line);
		ff_free_secret(last->value);
		last->value = longer;
		return 0;
	}
	if (equals == NULL)
		return wrong(r, err, "'=' expected");
	{
		ff_auto_free char *name = trimmed(line, (size_t)(equals - line));
		size_t parent = dot ? (size_t)(dot - last->key) : strlen(last->key);
		char *key = ff_printf("%.*s.%s", (int)parent, last->key, name);

		return add_item(r, key, trimmed(equals + 1, strlen(equals + 1)), err);
	}
}

static int read_item(struct reader *r, const char *text, size_t len, struct ff_err *err)
{
	const char *equals = memchr(text, '=', len);
	size_t value_len;

	if (equals == NULL)
		return wrong(r, err, "'=' expected");
	if (r->section == NULL)
		return wrong(r, err, "a setting before the first '[section]'");
	if (equals == text)
		return wrong(r, err, "a setting without a name");
	value_len = len - (size_t)(equals + 1 - text);
	value_len = value_len > 0 ? before_comment(equals + 1, value_len) : 0;
	r->has_last = true;
	return add_item(r, trimmed(text, (size_t)(equals - text)), trimmed(equals + 1, value_len), err);
}

static int read_line(struct reader *r, const char *text, size_t len, struct ff_err *err)
{
	size_t blanks = 0;

	while (blanks < len && is_blank(text[blanks]))
		blanks++;
	if (blanks == len || text[blanks] == '#' || text[blanks] == ';')
		return 0;
	if (blanks > 0 && r->has_last)
		return read_continued(r, text, len, err);
	text += blanks;
	len -= blanks;
	return text[0] == '[' ? read_section(r, text, len, err) : read_item(r, text, len, err);
}

int aws_ini_parse(struct aws_ini *ini, const char *text, size_t len, struct ff_err *err)
{
	struct reader r = {.ini = ini};
	int rc = 0;

	*ini = (struct aws_ini){0};
	if (len > AWS_INI_BYTES_MAX)
		return ff_fail(err, FF_E_AUTH, "%zu bytes, more than any such file has", len);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	if (len > 0 && memchr(text, '\0', len) != NULL)
		return ff_fail(err, FF_E_AUTH, "not a text");
	while (rc == 0 && len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		r.line++;
		rc = read_line(&r, text, line, err);
		line += end != NULL;
		text += line;
		len -= line;
	}
	free(r.section);
	if (rc < 0)
		aws_ini_release(ini);
	return rc;
}

const char *aws_ini_get(const struct aws_ini *ini, const char *section, const char *key)
{
	for (size_t i = ini->count; i > 0; i--)
		if (ff_streq(ini->items[i - 1].key, key) && ff_streq(ini->items[i - 1].section, section))
			return ini->items[i - 1].value;
	return NULL;
}

/* ---------------------------------------------------------------- commands */

/* One word from *text on, which is moved past it. -1: a quote is not closed. */
static int take_word(const char **text, struct ff_buf *word)
{
	const char *p = *text;
	char quote = '\0';

	for (; *p != '\0' && (quote != '\0' || (!is_blank(*p) && *p != '\n')); p++) {
		if (quote == '\'' ? *p == '\'' : quote == '"' && *p == '"') {
			quote = '\0';
		} else if (quote == '\0' && (*p == '\'' || *p == '"')) {
			quote = *p;
		} else if (*p == '\\' && quote == '\0') {
			if (*++p == '\0')
				return -1;
			ff_buf_add(word, p, 1);
		} else if (*p == '\\' && quote == '"' && (p[1] == '"' || p[1] == '\\')) {
			ff_buf_add(word, ++p, 1);
		} else {
			ff_buf_add(word, p, 1);
		}
	}
	*text = p;
	return quote == '\0' ? 0 : -1;
}

int aws_split_command(const char *text, struct ff_strv *argv, struct ff_err *err)
{
	*argv = (struct ff_strv){0};
	for (;;) {
		ff_auto_buf word = {0};

		while (is_blank(*text) || *text == '\n')
			text++;
		if (*text == '\0')
			break;
		if (take_word(&text, &word) < 0) {
			ff_strv_free(argv);
			return ff_fail(err, FF_E_AUTH, "a quote or backslash that is not closed");
		}
		ff_strv_add(argv, word.text ? word.text : "");
	}
	if (argv->count == 0)
		return ff_fail(err, FF_E_AUTH, "no command in it");
	return 0;
}
