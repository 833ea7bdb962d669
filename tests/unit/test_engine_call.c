/* One request's life: budgets, throttling, signing in, repeats. */
#include "test_engine_world.h"

TestSuite(engine_call, .init = setup, .fini = teardown);

/* When requests whose trace holds that text left, in ms. */
static int64_t sent_at[64];
static size_t sent_count;
static const char *watched;

static void watch(struct world *world, const char *what)
{
	if (strstr(what, watched) != NULL && sent_count < FF_COUNT(sent_at))
		sent_at[sent_count++] = world->now_ms;
}

static void watch_for(const char *what)
{
	watched = what;
	sent_count = 0;
	w.on_send = watch;
}

Test(engine_call, a_throttled_request_leaves_again_exactly_when_retry_after_has_passed)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .status = 429, .retry_after = "17"});
	watch_for("/copy:a");
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_assert_eq(sent_count, 2);
	cr_expect_eq(sent_at[1] - sent_at[0], 100 + 17000, "%" PRId64, sent_at[1] - sent_at[0]);
	cr_expect_eq(said(&w, "retry a: copy: POST answered 429; again (1) in 17s"), 1);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_call, others_of_the_same_budget_wait_as_well)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .status = 429, .retry_after = "20"},
		{"POST https://toy.test/stop:b", .latency_ms = 500});
	watch_for("/copy:b");
	world_open(&w, 2, NULL);
	world_finish(&w);
	cr_assert_eq(sent_count, 1);
	cr_expect_geq(sent_at[0], 20000, "b asked although a was told to wait: %" PRId64, sent_at[0]);
}

/* seed 241078964: it held its tokens, and waited for a new sign-in when another was told to wait */
Test(engine_call, others_of_the_same_budget_wait_although_they_have_drawn_from_it)
{
	RULES({"POST https://toy.test/stop:a", .times = 1, .status = 401},
		{"login.toy.test", .skip = 1, .times = 1, .latency_ms = 500},
		{"POST https://toy.test/stop:b", .times = 1, .status = 429, .retry_after = "20", .latency_ms = 200});
	watch_for("/stop:a");
	world_open(&w, 2, NULL);
	world_finish(&w);
	cr_assert_eq(sent_count, 2);
	cr_expect_geq(sent_at[1] - sent_at[0], 200 + 20000, "a asked although b was told to wait: %" PRId64,
		sent_at[1] - sent_at[0]);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_call, being_throttled_for_long_is_no_failure)
{
	RULES({"POST https://toy.test/copy:a", .times = 2, .status = 429, .retry_after = "1200"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_call, being_throttled_for_ever_is_a_failure)
{
	RULES({"POST https://toy.test/copy:a", .status = 429});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_geq(w.now_ms, 4 * FF_PATIENCE_MS);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy: POST answered 429");
}

Test(engine_call, a_read_is_repeated_with_jitter_until_patience_ends)
{
	RULES({"look/verify/a", .status = 503});
	watch_for("look/verify/a");
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "did not prove that it came up: GET answered 503 (after ");
	cr_assert_gt(sent_count, 10);
	cr_expect_leq(sent_at[1] - sent_at[0], 100 + 500);
	for (size_t i = 1; i < sent_count; i++)
		cr_expect_leq(sent_at[i] - sent_at[i - 1], 100 + 60000);
	cr_expect_leq(sent_at[sent_count - 1] - sent_at[0], FF_PATIENCE_MS);
	cr_expect_geq(sent_at[sent_count - 1] - sent_at[0], FF_PATIENCE_MS - 65000);
}

Test(engine_call, a_mutation_that_was_not_sent_is_repeated_without_looking)
{
	RULES({"POST https://toy.test/copy:a", .times = 3, .transport = FF_T_NOT_SENT});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/copy:a"), 4);
	cr_expect_eq(traced(&w, "look/copy/a"), 0);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_call, an_untrusted_certificate_is_never_tried_again)
{
	RULES({"POST https://toy.test/copy:a", .transport = FF_T_UNTRUSTED});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/copy:a"), 1);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy: POST toy.test: transport 2");
}

Test(engine_call, a_read_that_broke_is_repeated)
{
	RULES({"look/verify/a", .times = 2, .transport = FF_T_BROKEN});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "look/verify/a"), 3);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_call, a_token_that_was_refused_is_renewed_once_for_all)
{
	/* b's refusal comes when the new token is there already */
	RULES({"POST https://toy.test/stop:a", .times = 1, .status = 401},
		{"POST https://toy.test/stop:b", .times = 1, .status = 401, .latency_ms = 5000});
	world_open(&w, 2, NULL);
	world_finish(&w);
	cr_expect_eq(w.cloud->logins, 2, "one for both: %d", w.cloud->logins);
	cr_expect_eq(traced(&w, "/stop:a"), 2);
	cr_expect_eq(traced(&w, "look/stop"), 0);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
}

Test(engine_call, a_second_refusal_of_the_token_is_final)
{
	RULES({"POST https://toy.test/stop:a", .status = 401});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/stop:a"), 2);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "stop: POST answered 401");
}

Test(engine_call, a_token_is_renewed_when_its_time_has_come)
{
	world_open(&w, 1, NULL);
	w.op_ms = 120000;
	w.cloud->renew_at = w_wall(&w) + 90000;
	world_repair(&w);
	while (w.cloud->logins < 2)
		world_step(&w);
	cr_expect_geq(w.now_ms, 90000);
	w.cloud->renew_at = INT64_MAX;
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(w.cloud->logins, 2);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_call, a_token_service_that_is_down_in_the_run_is_asked_again)
{
	RULES({"login.toy.test", .skip = 1, .times = 3, .status = 500},
		{"POST https://toy.test/stop:a", .times = 1, .status = 401});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_call, credentials_that_are_refused_in_the_run_end_it_after_a_while)
{
	RULES({"login.toy.test", .skip = 1, .status = 400},
		{"POST https://toy.test/stop:a", .times = 1, .status = 401});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "stop: tried: password");
	cr_expect_geq(w.now_ms, FF_PATIENCE_MS);
}

Test(engine_call, no_more_requests_are_out_than_there_is_room_for)
{
	world_open(&w, 300, NULL);
	w.cloud->vms[0]->slots_max = FF_SLOTS_MAX;
	world_repair(&w);
	unsigned most = 0;

	while (ff_engine_phase(w.engine) < FF_PHASE_ENDED) {
		world_step(&w);
		most = w.engine->scopes[0]->room[0].in_flight > most ? w.engine->scopes[0]->room[0].in_flight : most;
	}
	cr_expect_eq(most, FF_IN_FLIGHT_MAX);
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 300);
}

Test(engine_call, answers_that_are_held_back_keep_no_other_request_waiting)
{
	world_open(&w, 300, NULL);
	w.cloud->vms[0]->slots_max = FF_SLOTS_MAX;
	w.cloud->held_polls = true;
	w.op_ms = 600000;
	world_repair(&w);
	unsigned most = 0;

	while (w.now_ms < w.op_ms / 2 && world_step(&w)) {
		most = w.engine->scopes[0]->room[1].in_flight > most ? w.engine->scopes[0]->room[1].in_flight : most;
	}
	cr_expect_eq(traced(&w, "send POST https://toy.test/claim:"), FF_SLOTS_MAX);
	cr_expect_gt(most, FF_IN_FLIGHT_MAX);
	cr_expect_leq(most, FF_HELD_MAX);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 300);
}

/* ---------------------------------------------------------------- single requests */

static struct ff_reply last_reply;

static void replied(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	(void)e;
	(void)owner;
	last_reply = *reply;
}

/* A request of its own, on a bucket of one token that refills in five seconds. */
static void ask(const char *name, bool mutates)
{
	struct ff_ask one = {0};

	ff_ask_http(&one, "GET", "https://toy.test/single/%s", name);
	ff_ask_cost(&one, "single", 1, 0.2);
	one.mutates = mutates;
	ff_call_start(w.engine,
		&(struct ff_call_options){.scope = w.engine->scopes[0],
			.what = "single",
			.sign = true,
			.until_ms = FF_PATIENCE_MS,
			.replied = replied},
		&one);
}

Test(engine_call, requests_wait_for_tokens_in_the_order_they_came)
{
	watch_for("/single/");
	world_open(&w, 0, NULL);
	world_run(&w, FF_PHASE_FOUND);
	for (const char *name = "p\0q\0r\0"; *name != '\0'; name += 2)
		ask(name, false);
	ff_engine_turn(w.engine);
	while (sent_count < 3)
		world_step(&w);
	cr_expect_eq(sent_at[1] - sent_at[0], 5000);
	cr_expect_eq(sent_at[2] - sent_at[1], 5000);
	char *all = requests(&w);

	cr_expect(strstr(all, "single/p single/q single/r") != NULL, "%s", all);
	free(all);
}

Test(engine_call, a_throttled_request_does_not_queue_up_behind_all_others_again)
{
	RULES({"/single/p", .times = 1, .status = 429, .retry_after = "1"});
	world_open(&w, 0, NULL);
	world_run(&w, FF_PHASE_FOUND);
	for (const char *name = "p\0q\0r\0s\0"; *name != '\0'; name += 2)
		ask(name, false);
	ff_engine_turn(w.engine);
	while (traced(&w, "/single/s") == 0)
		world_step(&w);
	char *all = requests(&w);

	cr_expect(strstr(all, "single/p single/p single/q single/r single/s") != NULL ||
			  strstr(all, "single/p single/q single/p single/r single/s") != NULL,
		"%s", all);
	free(all);
}

Test(engine_call, a_mutating_request_without_a_journal_never_leaves)
{
	world_open(&w, 0, NULL);
	world_run(&w, FF_PHASE_FOUND);
	w.engine->journal = false;
	ask("p", true);
	ff_engine_turn(w.engine);
	cr_expect_eq(traced(&w, "/single/"), 0);
	cr_expect_eq(last_reply.class, FF_E_BUG);
	w.engine->journal = true;
}

Test(engine_call, an_answer_that_is_too_large_is_unknown_to_a_mutation_and_final_to_a_read)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .transport = FF_T_TOO_LARGE, .after = true},
		{"look/verify/a", .transport = FF_T_TOO_LARGE});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "look/copy/a"), 1);
	cr_expect_eq(traced(&w, "look/verify/a"), 1);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "came up");
}

/* ---------------------------------------------------------------- finding */

Test(engine_call, an_endpoint_that_cannot_be_reached_fails_within_half_a_minute)
{
	RULES({"toy.test/list", .transport = FF_T_NOT_SENT});
	world_open(&w, 1, NULL);
	world_run(&w, FF_PHASE_FOUND);
	cr_expect_leq(w.now_ms, 30000);
	cr_assert(ff_engine_scope_error(w.engine, 0) != NULL);
	cr_expect_eq(ff_engine_scope_error(w.engine, 0)->class, FF_E_TRANSIENT);
	cr_expect(strstr(ff_engine_scope_error(w.engine, 0)->text, "GET toy.test: transport 1") != NULL);
}

Test(engine_call, what_discovery_can_do_without_fails_nothing_by_its_silence)
{
	RULES({"toy.test/list", .transport = FF_T_NOT_SENT});
	world_open(&w, 1, NULL);
	w.cloud->list_optional = true;
	world_run(&w, FF_PHASE_FOUND);
	cr_expect(w.cloud->listed, "its asker hears of it");
	cr_expect_null(ff_engine_scope_error(w.engine, 0));
}

Test(engine_call, wrong_credentials_fail_at_once)
{
	RULES({"login.toy.test", .status = 400});
	world_open(&w, 1, NULL);
	world_run(&w, FF_PHASE_FOUND);
	cr_expect_eq(traced(&w, "login"), 1);
	cr_expect_eq(ff_engine_scope_error(w.engine, 0)->class, FF_E_AUTH);
}

Test(engine_call, a_certificate_that_is_not_trusted_fails_at_once)
{
	RULES({"toy.test/list", .transport = FF_T_UNTRUSTED});
	world_open(&w, 1, NULL);
	world_run(&w, FF_PHASE_FOUND);
	cr_expect_eq(traced(&w, "/list"), 1);
	cr_expect_eq(ff_engine_scope_error(w.engine, 0)->class, FF_E_PERMANENT);
}

Test(engine_call, a_scope_that_fails_leaves_the_others_alone)
{
	RULES({"toy.test/list", .times = 1, .status = 403});
	struct ff_cloud *second = ff_calloc(1, sizeof(*second));

	world_open(&w, 1, NULL);
	second->renew_at = INT64_MAX;
	toy_add(second, "x", false);
	ff_engine_add_scope(w.engine, &toy, second);
	world_run(&w, FF_PHASE_FOUND);
	cr_expect_eq(ff_engine_scope_error(w.engine, 0)->class, FF_E_DENIED);
	cr_expect(ff_engine_scope_error(w.engine, 1) == NULL);
}

Test(engine_call, without_a_journal_nothing_is_appended_and_nothing_can_be_changed)
{
	struct ff_err err;

	world_init(&w);
	w.engine = ff_engine_new(&w.world, &(struct ff_engine_config){0});
	w.cloud = ff_calloc(1, sizeof(*w.cloud));
	w.cloud->renew_at = INT64_MAX;
	ff_engine_add_scope(w.engine, &toy, w.cloud);
	world_run(&w, FF_PHASE_FOUND);
	cr_expect_eq(ff_engine_repair(w.engine, NULL, 0, NULL, &err), -1);
	cr_expect_eq(w.journal.len, 0);
	cr_expect_eq(traced(&w, "append"), 0);
}
