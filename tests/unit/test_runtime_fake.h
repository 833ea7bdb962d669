/*
 * For the tests of the runtime: an engine that only counts, and answers that are kept. The five functions that the
 * runtime calls are defined here, so nothing of the real engine is linked.
 */
#ifndef TEST_RUNTIME_FAKE_H
#define TEST_RUNTIME_FAKE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fixfleet/engine.h"
#include "fixfleet/json.h"
#include "fixfleet/mem.h"
#include "fixfleet/runtime.h"

#define FAKE_LINES_MAX 64

struct ff_engine {
	const struct ff_world *world; /* asked to wake us at once, when set */
	unsigned turns, interrupts, answers, gone, lines;
	unsigned seen;				       /* answers there at the last turn */
	bool (*ended)(const struct ff_engine *engine); /* the run ends when it says so */
	unsigned wanted;			       /* for it */
	char *line[FAKE_LINES_MAX];		       /* "rescue: text" */
	char *gone_name[FAKE_LINES_MAX];
	struct ff_err gone_why[FAKE_LINES_MAX];
};

static bool fake_has_answers(const struct ff_engine *engine)
{
	return engine->answers >= engine->wanted;
}

static __attribute__((unused)) bool fake_has_lines(const struct ff_engine *engine)
{
	return engine->lines >= engine->wanted || engine->gone > 0;
}

static __attribute__((unused)) bool fake_has_gone(const struct ff_engine *engine)
{
	return engine->gone >= engine->wanted;
}

void ff_engine_turn(struct ff_engine *engine)
{
	engine->turns++;
	engine->seen = engine->answers;
	if (engine->world != NULL)
		engine->world->wake_at(engine->world->self, 0);
}

enum ff_phase ff_engine_phase(const struct ff_engine *engine)
{
	return engine->ended(engine) ? FF_PHASE_ENDED : FF_PHASE_FINDING;
}

void ff_engine_interrupt(struct ff_engine *engine)
{
	engine->interrupts++;
}

void ff_engine_worker_line(struct ff_engine *engine, const char *rescue_name, const json_t *line)
{
	ff_auto_free char *text = ff_json_text(line);

	cr_assert_lt(engine->lines, FAKE_LINES_MAX);
	engine->line[engine->lines++] = ff_printf("%s: %s", rescue_name, text);
}

void ff_engine_worker_gone(struct ff_engine *engine, const char *rescue_name, const struct ff_err *why)
{
	cr_assert_lt(engine->gone, FAKE_LINES_MAX);
	engine->gone_name[engine->gone] = ff_strdup(rescue_name);
	engine->gone_why[engine->gone++] = *why;
}

static __attribute__((unused)) void fake_release(struct ff_engine *engine)
{
	for (unsigned i = 0; i < engine->lines; i++)
		free(engine->line[i]);
	for (unsigned i = 0; i < engine->gone; i++)
		free(engine->gone_name[i]);
	*engine = (struct ff_engine){0};
}

/* ---------------------------------------------------------------- answers */

struct kept_answer {
	struct ff_engine *engine;
	struct ff_answer a; /* ours */
	unsigned times;
};

static void keep_answer(void *arg, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct kept_answer *kept = arg;

	(void)ask;
	kept->a = *answer;
	kept->a.headers = (struct ff_headers){0};
	for (size_t i = 0; i < answer->headers.count; i++)
		ff_headers_add(&kept->a.headers, answer->headers.items[i].name, answer->headers.items[i].value);
	kept->a.body = answer->body ? ff_strndup(answer->body, answer->body_len) : NULL;
	kept->times++;
	kept->engine->answers++;
}

/* Send one ask and run until its answer is there. */
static __attribute__((unused)) struct ff_answer fake_ask(struct ff_runtime *rt, struct ff_ask *ask)
{
	struct ff_engine engine = {.ended = fake_has_answers, .wanted = 1};
	struct kept_answer kept = {.engine = &engine};
	const struct ff_world *world = ff_runtime_world(rt);

	world->send(world->self, ask, keep_answer, &kept);
	cr_assert_eq(kept.times, 0, "called back before send() returned");
	cr_assert_null(ask->url, "the ask was not moved");
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	cr_assert_eq(kept.times, 1);
	cr_assert_eq(engine.seen, 1, "not turned after the answer");
	return kept.a;
}

static __attribute__((unused)) struct ff_runtime *fake_runtime(const struct ff_runtime_options *options)
{
	static const struct ff_runtime_options none;
	struct ff_err err = {0};
	struct ff_runtime *rt;

	for (char **name = (char *[]){"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
		     "CURL_CA_BUNDLE", "SSL_CERT_FILE", NULL};
		*name != NULL; name++)
		unsetenv(*name);
	rt = ff_runtime_new(options ? options : &none, &err);
	cr_assert_not_null(rt, "%s", err.text);
	return rt;
}

#endif
