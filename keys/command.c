/* --key-command CMD: any vault that a program can ask. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/keys.h"

#define TIMEOUT_MS 120000

struct command {
	struct ff_strv argv;
};

static void command_free(void *self)
{
	struct command *c = self;

	if (c != NULL)
		ff_strv_free(&c->argv);
	free(c);
}

/* One word; *at moves behind it. -1: a quote does not end. */
static int take_word(const char **at, struct ff_strv *words)
{
	ff_auto_buf word = {0};
	char quote = '\0';

	ff_buf_adds(&word, "");
	for (; **at != '\0' && (quote != '\0' || !isspace((unsigned char)**at)); (*at)++) {
		if (**at == quote)
			quote = '\0';
		else if (quote == '\0' && (**at == '\'' || **at == '"'))
			quote = **at;
		else if (**at == '\\' && quote != '\'' && (*at)[1] != '\0')
			ff_buf_add(&word, ++*at, 1);
		else
			ff_buf_add(&word, *at, 1);
	}
	ff_strv_add(words, word.text);
	return quote == '\0' ? 0 : -1;
}

static int split(const char *text, struct ff_strv *words, struct ff_err *err)
{
	for (;;) {
		while (isspace((unsigned char)*text))
			text++;
		if (*text == '\0')
			break;
		if (take_word(&text, words) < 0)
			return ff_fail(err, FF_E_USAGE, "a quote does not end");
	}
	return words->count > 0 ? 0 : ff_fail(err, FF_E_USAGE, "names no program");
}

static void fill_ask(const struct command *c, const struct ff_key_want *want, struct ff_ask *ask)
{
	ff_auto_json json_t *json = ff_key_want_json(want);

	*ask = (struct ff_ask){
		.kind = FF_ASK_EXEC, .timeout_ms = TIMEOUT_MS, .answer_bytes_max = FF_KEY_BYTES_MAX, .secret = true};
	for (size_t i = 0; i < c->argv.count; i++)
		ff_strv_add(&ask->argv, c->argv.items[i]);
	ask->body = ff_json_text(json);
	ask->body_len = strlen(ask->body);
}

static enum ff_key_step look(void *self, const struct ff_key_want *want, unsigned step, const struct ff_answer *answer,
	struct ff_ask *ask, struct ff_keys *found, struct ff_err *err)
{
	const char *text;
	size_t len;

	if (step == 0) {
		fill_ask(self, want, ask);
		return FF_KEY_ASK;
	}
	if (answer->status != 0) {
		ff_fail(err, FF_E_LOCAL, "%s", answer->why[0] != '\0' ? answer->why : "it failed");
		return FF_KEY_FAILED;
	}
	text = answer->body != NULL ? answer->body : "";
	len = answer->body != NULL ? answer->body_len : 0;
	for (; len > 0 && isspace((unsigned char)*text); text++)
		len--;
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	if (len > 0 && !ff_key_is(text, len)) {
		ff_fail(err, FF_E_LOCAL, "what it printed is no key");
		return FF_KEY_FAILED;
	}
	if (len > 0)
		ff_keys_add(found, NULL, text, len);
	return FF_KEY_DONE;
}

int ff_key_command(struct ff_key_source *source, const char *command, struct ff_err *err)
{
	struct command *c = ff_calloc(1, sizeof(*c));

	if (split(command, &c->argv, err) < 0) {
		command_free(c);
		return -1;
	}
	*source = (struct ff_key_source){.name = "--key-command", .self = c, .look = look, .free = command_free};
	return 0;
}
