/* The ladder of every row: what each meaning of look, act and poll leads to. */
#include "test_engine_world.h"

TestSuite(engine_driver, .init = setup, .fini = teardown);

#define HAPPY "claim:a stop:a copy:a attach:a detach:a swap:a look/swap/a start:a look/verify/a release:a"

Test(engine_driver, one_vm_goes_row_by_row_and_ends_repaired)
{
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w, HAPPY);
	expect_outcome(&w, "a", FF_O_REPAIRED, "1 file removed");
	cr_expect_eq(json_array_size(ended_of(&w, "a")->removed), 1);
	cr_expect(!ff_engine_result(w.engine)->nothing_started);
}

Test(engine_driver, a_vm_that_did_not_run_is_not_stopped_started_or_verified)
{
	world_open(&w, 1, NULL);
	w.cloud->vms[1]->running = false;
	world_finish(&w);
	expect_requests(&w, "claim:a copy:a attach:a detach:a swap:a look/swap/a release:a");
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_driver, an_operation_is_polled_until_it_is_done)
{
	RULES({"POST https://toy.test/stop:a", .times = 1, .body = "started=7000"},
		{"/poll/stop:a", .times = 1, .body = "wait"}, {"/poll/stop:a", .times = 1, .body = "wait"},
		{"/poll/stop:a", .times = 1, .body = "done"});
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (traced(&w, "send POST https://toy.test/stop") == 0)
		world_step(&w);
	int64_t stopped_ms = w.now_ms;
	while (traced(&w, "copy:a") == 0)
		world_step(&w);
	/* answer 0.1 s, 7 s by order, polls of 0.1 s, back-off 2 s and 4 s between them */
	cr_expect_eq(
		w.now_ms - stopped_ms, 100 + 7000 + 100 + 2000 + 100 + 4000 + 100, "%" PRId64, w.now_ms - stopped_ms);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "poll/stop"), 3);
}

Test(engine_driver, an_act_whose_answer_was_lost_is_looked_at_and_not_repeated)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .transport = FF_T_BROKEN, .after = true});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w,
		"claim:a stop:a copy:a look/copy/a attach:a detach:a swap:a look/swap/a start:a look/verify/a "
		"release:a");
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

/* The tokens of the intents of a step, from the journal. */
static size_t tokens_of(const char *step, char tokens[][37], size_t max)
{
	const char *line = w.journal.text;
	size_t n = 0;

	for (; line != NULL && *line != '\0'; line = strchr(line, '\n') + 1) {
		ff_auto_json json_t *record = json_loadb(line, strcspn(line, "\n"), 0, NULL);

		if (!ff_streq(ff_json_str(record, "k"), "intent") || !ff_streq(ff_json_str(record, "step"), step))
			continue;
		cr_assert_lt(n, max);
		snprintf(tokens[n++], 37, "%s", ff_json_str(record, "members/0/token"));
	}
	return n;
}

Test(engine_driver, an_act_without_effect_is_repeated_after_a_look_with_the_same_token)
{
	char tokens[4][37];
	RULES({"POST https://toy.test/copy:a", .times = 1, .status = 500});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w, "claim:a stop:a copy:a look/copy/a copy:a attach:a detach:a swap:a look/swap/a start:a "
			    "look/verify/a release:a");
	cr_assert_eq(tokens_of("copy", tokens, 4), 2);
	cr_expect_str_eq(tokens[0], tokens[1], "the first may still be carried out: it must be the same request");
}

Test(engine_driver, an_act_that_was_answered_gets_a_new_token_when_it_is_repeated)
{
	char tokens[4][37];
	RULES({"POST https://toy.test/copy:a", .times = 1, .body = "look"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_assert_eq(tokens_of("copy", tokens, 4), 2);
	cr_expect_str_neq(tokens[0], tokens[1]);
	cr_expect_eq(strlen(tokens[0]), 36);
	cr_expect_eq(tokens[0][14], '4');
	cr_expect(strchr("89ab", tokens[0][19]) != NULL);
}

Test(engine_driver, look_after_believes_only_the_look)
{
	RULES({"look/swap/a", .times = 2, .body = "not-done"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/swap:a"), 1, "the swap was confirmed: it is not repeated at once");
	cr_expect_eq(traced(&w, "look/swap/a"), 3);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_driver, a_confirmed_act_without_effect_is_repeated_after_some_looks)
{
	RULES({"look/swap/a", .times = 4, .body = "not-done"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/swap:a"), 2);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_driver, an_act_that_never_has_an_effect_does_not_spin)
{
	RULES({"look/swap/a", .body = "not-done"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_leq(traced(&w, "/swap:a"), 1 + FF_ROUNDS_MAX);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "swap: still uncertain after 8 looks");
}

/* simulation, seed 700215: sixty disks leave one rescue VM, and each of its operations refuses all the others */
Test(engine_driver, who_meets_another_operation_waits_for_it_and_acts_again)
{
	RULES({"POST https://toy.test/detach:a", .times = 3 * FF_ROUNDS_MAX, .body = "busy"},
		{"POST https://toy.test/swap:a", .times = 2, .body = "busy"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/detach:a"), 3 * FF_ROUNDS_MAX + 1);
	cr_expect_eq(traced(&w, "/swap:a"), 3);
	cr_expect_geq(traced(&w, "look/detach/a"), 3 * FF_ROUNDS_MAX, "it looks each time: somebody may have done it");
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_driver, an_operation_that_never_ends_is_waited_for_until_patience_ends)
{
	RULES({"POST https://toy.test/copy:a", .body = "busy"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_gt(traced(&w, "/copy:a"), 30);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy: not done within 15m00s: somebody else is at it");
}

Test(engine_driver, what_is_uncertain_between_is_counted_still)
{
	RULES({"POST https://toy.test/copy:a", .times = 5, .body = "busy"},
		{"POST https://toy.test/copy:a", .body = "look"}, {"look/copy/a", .body = "not-done"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy: still uncertain after 8 looks: somebody else is at it");
}

Test(engine_driver, uncertain_looks_are_bounded_and_spaced)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .body = "look"}, {"look/copy/a", .body = "look"});
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (traced(&w, "/copy:a") == 0)
		world_step(&w);
	int64_t from_ms = w.now_ms;
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(traced(&w, "look/copy/a"), FF_ROUNDS_MAX);
	cr_expect_gt(w.now_ms - from_ms, 60000, "the looks came too fast: %" PRId64 " ms", w.now_ms - from_ms);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy: still uncertain after 8 looks: somebody else is at it");
}

Test(engine_driver, wait_of_an_act_repeats_it_when_it_says_so)
{
	RULES({"POST https://toy.test/copy:a", .times = 2, .body = "wait=5000"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/copy:a"), 3);
	cr_expect_eq(traced(&w, "look/copy"), 0);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_driver, patience_ends_a_step_that_waits_for_ever)
{
	RULES({"POST https://toy.test/copy:a", .body = "started"}, {"/poll/copy:a", .body = "wait"});
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (traced(&w, "/copy:a") == 0)
		world_step(&w);
	int64_t from_ms = w.now_ms;
	while (traced(&w, "/look/delete/a") == 0)
		world_step(&w);
	cr_expect(w.now_ms - from_ms >= FF_PATIENCE_MS && w.now_ms - from_ms < FF_PATIENCE_MS + 20000, "%" PRId64,
		w.now_ms - from_ms);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy: not done within 15m00s: agent not ready");
}

Test(engine_driver, who_waits_for_minutes_says_once_why)
{
	RULES({"look/verify/b", .times = 30, .body = "wait"}, {"look/verify/a", .times = 2, .body = "wait"});
	world_open(&w, 2, NULL);
	world_repair(&w);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	cr_expect_eq(said(&w, "note b: still verifying: agent not ready"), 1);
	cr_expect_eq(said(&w, "note a: still verifying: agent not ready"), 0);
}

Test(engine_driver, verify_has_the_patience_of_the_configuration)
{
	struct ff_engine_config config = {.verify_ms = 60000};
	RULES({"look/verify/a", .body = "wait"});
	world_open(&w, 1, &config);
	world_repair(&w);
	while (traced(&w, "look/verify/a") == 0)
		world_step(&w);
	int64_t from_ms = w.now_ms;
	while (traced(&w, "release:a") == 0)
		world_step(&w);
	cr_expect(w.now_ms - from_ms >= 60000 && w.now_ms - from_ms < 61000, "%" PRId64, w.now_ms - from_ms);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_FAILED_HOME,
		"mended and home, but it did not prove that it came up within 1m00s: agent not ready");
}

Test(engine_driver, an_operation_that_failed_is_looked_at)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .body = "started"},
		{"/poll/copy:a", .times = 1, .body = "look"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "look/copy/a"), 1);
	cr_expect_eq(traced(&w, "/copy:a"), 2 + 1); /* two acts and the poll */
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_driver, an_answer_that_makes_no_sense_fails_the_step)
{
	RULES({"look/verify/a", .body = "split"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "look says 'split', which it must not");
}

Test(engine_driver, facts_are_patched_and_rescue_facts_are_shared)
{
	world_open(&w, 2, NULL);
	world_finish(&w);
	const json_t *facts = w.engine->ones[0].facts;

	cr_expect(json_is_true(json_object_get(facts, "swap")));
	cr_expect(json_object_get(facts, "was") == NULL, "null removes");
	cr_expect_str_eq(ff_json_str(facts, "name"), "a");
	cr_expect(json_object_get(w.cloud->vms[1]->facts, "swap") == NULL, "what discovery saw stays as it was");
	cr_expect_str_eq(ff_json_str(w.engine->rescues[0]->facts, "last"), "b");
}

Test(engine_driver, waiting_by_order_does_not_use_up_the_patience_of_a_step)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .status = 429, .retry_after = "1000"},
		{"POST https://toy.test/copy:a", .times = 1, .body = "started=500000", .after = true},
		{"look/verify/a", .times = 1, .status = 429, .retry_after = "1000"},
		{"look/verify/a", .times = 1, .status = 503}, {"look/verify/a", .times = 3, .body = "wait"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "look/verify/a"), 6);
}

Test(engine_driver, acts_without_effect_are_spaced)
{
	RULES({"POST https://toy.test/copy:a", .times = 4, .body = "look"});
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (traced(&w, "/copy:a") == 0)
		world_step(&w);
	int64_t from_ms = w.now_ms;
	while (traced(&w, "/attach:a") == 0)
		world_step(&w);
	cr_expect_eq(traced(&w, "POST https://toy.test/copy:a"), 5);
	cr_expect_gt(w.now_ms - from_ms, 14000, "%" PRId64, w.now_ms - from_ms);
	world_run(&w, FF_PHASE_ENDED);
}
