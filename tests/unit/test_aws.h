/* What the AWS tests share: an environment, files and answers by table, and an open cloud that is signed in. */
#ifndef TEST_AWS_H
#define TEST_AWS_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "providers/aws/aws.h"

#define WALL_MS 1721361540000 /* 2024-07-19T03:59:00Z */

/* name, value, ..., NULL */
struct pairs {
	const char *items[40];
};

static inline const char *pair_get(void *self, const char *name)
{
	const struct pairs *pairs = self;

	for (size_t i = 0; pairs->items[i] != NULL; i += 2)
		if (strcmp(pairs->items[i], name) == 0)
			return pairs->items[i + 1][0] ? pairs->items[i + 1] : NULL;
	return NULL;
}

static inline struct ff_cloud *open_aws(
	const struct ff_scope_options *options, const struct pairs *env, struct ff_err *err)
{
	struct ff_env e = {.get = pair_get, .self = (void *)env};

	return ff_aws.open(options, &e, err);
}

static inline void answer_with(struct ff_answer *answer, int status, const char *body)
{
	*answer = (struct ff_answer){.status = status, .body = ff_strdup(body), .body_len = strlen(body)};
}

static inline void answer_broken(struct ff_answer *answer, enum ff_transport transport, int status)
{
	*answer = (struct ff_answer){.transport = transport, .status = status};
	snprintf(answer->why, sizeof(answer->why), "it broke");
}

/*
 * Sign in with these files (path, text, ...) and answers of services (a part of URL or body, body of a 200, ...).
 * What was asked is appended to `asked`, a line each. Answers FF_TURN_DONE or FAILED.
 */
static inline enum ff_turn sign_in(struct ff_cloud *cloud, const struct pairs *files, const struct pairs *web,
	struct ff_buf *asked, struct ff_err *err)
{
	for (int i = 0; i < 40; i++) {
		struct ff_ask ask = {0};
		struct ff_answer answer = {0};
		enum ff_turn turn = ff_aws.login_next(cloud, WALL_MS, &ask, err);
		const char *text = NULL;

		if (turn != FF_TURN_ASK) {
			ff_ask_release(&ask);
			return turn;
		}
		if (ask.kind == FF_ASK_FILE) {
			text = pair_get((void *)files, ask.path);
			ff_buf_addf(asked, "file %s\n", ask.path);
		} else if (ask.kind == FF_ASK_EXEC) {
			ff_buf_addf(asked, "exec");
			for (size_t k = 0; k < ask.argv.count; k++)
				ff_buf_addf(asked, " <%s>", ask.argv.items[k]);
			ff_buf_adds(asked, "\n");
			text = pair_get((void *)web, ask.argv.items[0]);
		} else {
			ff_buf_addf(asked, "%s %s %s\n", ask.method, ask.url, ask.body ? ask.body : "");
			for (size_t k = 0; web->items[k] != NULL && text == NULL; k += 2)
				if (strstr(ask.url, web->items[k]) || (ask.body && strstr(ask.body, web->items[k])))
					text = web->items[k + 1];
			cr_assert(ask.secret);
		}
		if (text != NULL && text[0] == '!') /* "!404": that status */
			answer_with(&answer, atoi(text + 1), "");
		else if (text != NULL)
			answer_with(&answer, ask.kind == FF_ASK_HTTP ? 200 : 0, text);
		else
			answer_broken(&answer, ask.kind == FF_ASK_HTTP ? FF_T_NOT_SENT : FF_T_LOCAL, ENOENT);
		ff_aws.login_read(cloud, WALL_MS, &ask, &answer);
		ff_ask_release(&ask);
		ff_answer_release(&answer, true);
	}
	cr_assert_fail("signing in does not come to an end");
	return FF_TURN_WAIT;
}

#define WHOAMI                                                                                                         \
	"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account></"                        \
	"GetCallerIdentityResult>"                                                                                     \
	"</GetCallerIdentityResponse>"

/* A cloud in us-east-1 with keys from the environment. */
static inline struct ff_cloud *signed_in(const struct ff_scope_options *options)
{
	static const struct pairs env = {{"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY",
		"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AWS_SESSION_TOKEN", "TOKEN==", "AWS_REGION", "us-east-1",
		NULL}};
	static const struct pairs files = {{NULL}};
	static const struct pairs web = {{"GetCallerIdentity", WHOAMI, NULL}};
	struct ff_err err = {0};
	ff_auto_buf asked = {0};
	struct ff_cloud *cloud = open_aws(options, &env, &err);

	cr_assert_not_null(cloud, "%s", err.text);
	ff_aws.login_reset(cloud);
	cr_assert_eq(sign_in(cloud, &files, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	return cloud;
}

/* The text of a file of ../shared; NULL (the test is skipped) where that is not there. */
static inline char *shared_text(const char *path)
{
	ff_auto_free char *full = ff_printf("%s/../shared/%s", FF_SOURCE_DIR, path);
	FILE *f = fopen(full, "rb");
	struct ff_buf text = {0};
	char piece[4096];
	size_t n;

	if (f == NULL)
		return NULL;
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		ff_buf_add(&text, piece, n);
	fclose(f);
	return ff_buf_take(&text);
}

#endif
