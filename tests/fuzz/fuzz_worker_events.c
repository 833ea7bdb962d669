/*
 * What a worker says, heard by the engine in the middle of a run of two VMs. Each line is one of
 *
 *   {...}    JSON: a line of the worker       !gone    it ended
 *   !int     the operator's Ctrl-C            !wait    timers, until the run ends or nothing is left to wait for
 *
 * Whatever it says: no VM is started while its disk is away (toy.c), "kept" is said only when it is durable, a disk is
 * called repaired only when "kept" was said, and in the end each VM has an outcome that is not `stuck`.
 */
#include "fixfleet/worker.h"
#include "toy.h"

static void hear(struct fuzz_toy *t, const char *text, size_t len)
{
	ff_auto_json json_t *line = NULL;
	struct ff_err err = {0};

	if (len > 0 && text[0] == '!') {
		if (len == 5 && memcmp(text, "!gone", 5) == 0) {
			ff_fail(&err, FF_E_LOCAL, "it ended");
			ff_engine_worker_gone(t->engine, "r1", &err);
		} else if (len == 4 && memcmp(text, "!int", 4) == 0) {
			ff_engine_interrupt(t->engine);
		} else if (len == 5 && memcmp(text, "!wait", 5) == 0) {
			fuzz_toy_run(t, FF_PHASE_ENDED);
		}
	} else if ((line = ff_json_parse(text, len, FF_WORKER_LINE_BYTES_MAX, &err)) != NULL) {
		ff_engine_worker_line(t->engine, "r1", line);
	}
	for (int i = 0; i < 4; i++)
		fuzz_toy_turn(t);
}

static void check_end(struct fuzz_toy *t)
{
	const struct ff_result *r = ff_engine_result(t->engine);

	for (size_t i = 0; i < r->count; i++) {
		const struct ff_ended *one = &r->ended[i];

		FUZZ_CHECK(one->outcome != FF_O_STUCK, "%s is stuck: %s", one->vm->name, one->reason);
		FUZZ_CHECK(one->outcome != FF_O_NONE || r->interrupted || r->broken.class != FF_E_NONE,
			"%s has no outcome", one->vm->name);
		FUZZ_CHECK(one->outcome != FF_O_REPAIRED || t->kept > 0, "%s: repaired, and nothing was kept",
			one->vm->name);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_toy t = {0};
	const char *text = (const char *)data;

	fuzz_toy_open(&t);
	fuzz_toy_repair(&t);
	while (size > 0) {
		const char *newline = memchr(text, '\n', size);
		size_t len = newline ? (size_t)(newline - text) : size;

		hear(&t, text, len);
		len += newline != NULL;
		text += len;
		size -= len;
	}
	fuzz_toy_run(&t, FF_PHASE_ENDED); /* it says no more: patience ends */
	FUZZ_CHECK(ff_engine_phase(t.engine) == FF_PHASE_ENDED, "the run has no end: phase %d",
		(int)ff_engine_phase(t.engine));
	check_end(&t);
	fuzz_toy_close(&t);
	return 0;
}
