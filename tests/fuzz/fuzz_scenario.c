/*
 * Scenario files of the simulated clouds: refused with a sentence, or a world that can be asked. Inputs are JSON, but a
 * first line "METHOD TARGET" may come before it: what the world is asked then, by somebody who is not signed in.
 */
#include "cloudsim.h"
#include "fuzz.h"

#define NOW INT64_C(1721372400000) /* 2024-07-19T07:00:00Z */

static void ask(struct sim *sim, const char *method, const char *target, const char *body, size_t len)
{
	struct sim_request request = {
		.method = method, .base = "https://127.0.0.1:8443", .target = target, .body = body, .body_len = len};
	struct sim_answer answer = {0};

	ff_headers_add(&request.headers, "Host", "127.0.0.1:8443");
	sim_answer(sim, NOW, &request, &answer);
	FUZZ_CHECK(answer.end != SIM_ANSWERED || (answer.status >= 100 && answer.status < 600), "status %d",
		answer.status);
	sim_answer_release(&answer);
	ff_headers_free(&request.headers);
}

static void live(struct sim *sim)
{
	int64_t now = NOW, next;
	size_t count;

	for (int i = 0; i < 20 && (next = sim_next_ms(sim)) != INT64_MAX; i++) {
		now = next > now ? next : now + 1;
		sim_advance(sim, now);
		sim_effects_free(sim_take_effects(sim, &count), count);
	}
}

static char *first_line(const char **text, size_t *len)
{
	const char *newline = memchr(*text, '\n', *len);
	char *line;

	if (newline == NULL || (*text)[0] == '{')
		return NULL;
	line = ff_strndup(*text, (size_t)(newline - *text));
	*len -= (size_t)(newline + 1 - *text);
	*text = newline + 1;
	return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	ff_auto_free char *line = first_line(&text, &size);
	ff_auto_json json_t *scenario = fuzz_json(text, size), *state = NULL;
	struct ff_err err = {0};
	struct sim *sim;

	if (scenario == NULL)
		return 0;
	sim = sim_new(scenario, NOW, NULL, &err);
	if (sim == NULL) {
		FUZZ_CHECK_ERR(err);
		return 0;
	}
	if (line != NULL) {
		char *target = strchr(line, ' ');

		if (target != NULL)
			*target++ = '\0';
		if (line[0] != '\0' && target != NULL && target[0] == '/')
			ask(sim, line, target, text, size);
	}
	live(sim);
	state = sim_state(sim);
	FUZZ_CHECK(json_is_object(state), "no state");
	sim_free(sim);
	return 0;
}
