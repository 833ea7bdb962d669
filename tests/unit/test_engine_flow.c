/* Flows that repair nothing: other orders of the rows, without rescue VM or worker. */
#include "test_engine_world.h"

static struct ff_step steps[ROWS];
static struct ff_provider provider;
static const int back[] = {CLAIM, STOP, SWAP, START, VERIFY, RELEASE, FF_STEP_NONE};
static const int tidy[] = {DELETE, FF_STEP_NONE};
static unsigned max_failures;

static void setup_flow(void)
{
	setup();
	memcpy(steps, toy_steps, sizeof(steps));
	steps[SWAP].flags = FF_LOOK_AFTER | FF_PUTS_IN;
	steps[DELETE].flags = FF_LOOK_FIRST;
	provider = toy;
	provider.steps = steps;
	provider.rollback = back;
	provider.cleanup = tidy;
	provider.recover = tidy;
	max_failures = 0;
}

TestSuite(engine_flow, .init = setup_flow, .fini = teardown);

/* One VM "a", of whom a run "run-0" is taken back or cleaned up after; no rescue VM unless there is one to be passed
 * over. */
static void open_flow(enum ff_flow flow, unsigned parallel, const char *more)
{
	struct ff_engine_config config = {.run = "run-1",
		.of = "run-0",
		.flow = flow,
		.journal = true,
		.parallel = parallel,
		.max_failures = max_failures,
		.event = on_event,
		.event_arg = &w};

	world_init(&w);
	w.engine = ff_engine_new(&w.world, &config);
	w.cloud = ff_calloc(1, sizeof(*w.cloud));
	w.cloud->renew_at = INT64_MAX;
	toy_add(w.cloud, "a", false);
	for (; *more != '\0'; more++)
		toy_add(w.cloud, (char[]){*more, '\0'}, false);
	ff_engine_add_scope(w.engine, &provider, w.cloud);
}

Test(engine_flow, a_rollback_goes_its_own_way_without_a_rescue_vm)
{
	open_flow(FF_FLOW_ROLLBACK, 0, "");
	w.cloud->vms[0]->health = FF_SKIPPED; /* a health is a matter of repairs */
	world_finish(&w);
	expect_requests(&w, "claim:a stop:a swap:a look/swap/a start:a look/verify/a release:a");
	expect_outcome(&w, "a", FF_O_ROLLED_BACK, "");
	cr_expect_not_null(strstr(w.journal.text, "\"flow\":\"rollback\",\"of\":\"run-0\""));
	cr_expect_not_null(
		strstr(w.journal.text, "\"totals\":{\"repaired\":0,\"clean\":0,\"skipped\":0,\"rolled-back\":1,"));
	cr_expect_eq(w.started.count, 0, "a worker was started");
}

Test(engine_flow, what_fails_before_the_disk_is_in_goes_home)
{
	RULES({"POST https://toy.test/swap:a", .body = "failed"});
	open_flow(FF_FLOW_ROLLBACK, 0, "");
	world_finish(&w);
	expect_requests(&w, "claim:a stop:a swap:a look/swap-back/a look/start/a start:a look/release/a release:a");
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "swap: the toy cloud says no");
}

Test(engine_flow, once_the_disk_is_in_nothing_takes_it_away_again)
{
	RULES({"POST https://toy.test/start:a", .body = "failed"});
	open_flow(FF_FLOW_ROLLBACK, 0, "");
	world_finish(&w);
	cr_expect_eq(traced(&w, "swap-back"), 0);
	cr_expect_eq(traced(&w, "release:a"), 1);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "its original disk is home, but start: the toy cloud says no");
}

Test(engine_flow, an_interrupt_takes_it_home_before_its_disk_is_in)
{
	open_flow(FF_FLOW_ROLLBACK, 0, "");
	world_repair(&w);
	ff_engine_turn(w.engine);
	while (traced(&w, "/stop:a") == 0)
		cr_assert(world_step(&w));
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(traced(&w, "swap:a"), 0);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "interrupted before its disk was put back");
}

Test(engine_flow, an_interrupt_lets_a_cleanup_finish_what_it_has_begun)
{
	open_flow(FF_FLOW_CLEANUP, 1, "b");
	state_of(&w, "a")->copied = state_of(&w, "b")->copied = true;
	world_repair(&w);
	ff_engine_turn(w.engine);
	while (traced(&w, "look/delete/a") == 0)
		cr_assert(world_step(&w));
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_CLEANED, "");
	cr_expect_eq(ended_of(&w, "b")->outcome, FF_O_NONE);
}

Test(engine_flow, a_cleanup_looks_first_and_ends_as_cleaned)
{
	open_flow(FF_FLOW_CLEANUP, 0, "b");
	state_of(&w, "a")->copied = true;
	world_finish(&w);
	expect_requests(&w, "look/delete/a look/delete/b delete:a");
	expect_outcome(&w, "a", FF_O_CLEANED, "");
	expect_outcome(&w, "b", FF_O_CLEANED, "");
}

Test(engine_flow, parallel_limits_how_many_are_under_way)
{
	open_flow(FF_FLOW_CLEANUP, 1, "b");
	state_of(&w, "a")->copied = state_of(&w, "b")->copied = true;
	world_finish(&w);
	expect_requests(&w, "look/delete/a delete:a look/delete/b delete:b");
}

/* ---- too many failed: whoever was not changed yet is not changed any more, wherever it waits */

/* One failure is the limit, and it is a's: b waits meanwhile, and nothing is done to it. */
static void expect_b_is_not_begun(const char *a_fails_at)
{
	max_failures = 1;
	open_flow(FF_FLOW_ROLLBACK, 0, "b");
	w.cloud->moves = 1;
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, a_fails_at);
	expect_outcome(&w, "b", FF_O_SKIPPED, "not begun: 1 failure reached --max-failures");
	cr_expect_eq(traced(&w, "claim:b"), 0);
}

Test(engine_flow, who_is_only_looked_at_when_the_limit_is_reached_is_not_begun)
{
	RULES({"POST https://toy.test/claim:a", .body = "failed"},
		{"look/claim/b", .body = "not-done", .latency_ms = 5000});
	steps[CLAIM].flags = FF_LOOK_FIRST;
	expect_b_is_not_begun("claim");
}

Test(engine_flow, who_waits_for_its_budget_when_the_limit_is_reached_is_not_begun)
{
	RULES({"POST https://toy.test/stop:a", .body = "failed"});
	steps[CLAIM].act = toy_move;
	expect_b_is_not_begun("stop");
}

/* sim, seed 147707596: the last failure and the turn of its request came at the same moment */
Test(engine_flow, who_has_its_turn_when_the_limit_is_reached_is_not_begun)
{
	RULES({"POST https://toy.test/stop:a", .body = "failed", .latency_ms = 4600}); /* ends as b has its turn */
	steps[CLAIM].act = toy_move;
	expect_b_is_not_begun("stop");
}

static const char *two_keys(const struct ff_member *m)
{
	return m->vm->name[0] == 'a' ? "a" : "b and c";
}

/* b's claim was lost, and is asked for again when its budget lets it: c must not come along then. */
Test(engine_flow, who_waits_for_its_group_when_the_limit_is_reached_is_not_begun)
{
	RULES({"POST https://toy.test/stop:a", .body = "failed", .latency_ms = 4000},
		{"POST https://toy.test/claim:b", .transport = FF_T_BROKEN, .times = 1},
		{"look/claim/c", .body = "not-done", .latency_ms = 3000}, {"look/claim/", .body = "not-done"});
	steps[CLAIM].act = toy_move;
	steps[CLAIM].group = two_keys;
	steps[CLAIM].group_max = 4;
	steps[CLAIM].flags = FF_LOOK_FIRST;
	max_failures = 1;
	open_flow(FF_FLOW_ROLLBACK, 0, "bc");
	w.cloud->moves = 2;
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "stop");
	expect_outcome(&w, "b", FF_O_ROLLED_BACK, ""); /* what is under way comes to its end */
	expect_outcome(&w, "c", FF_O_SKIPPED, "not begun: 1 failure reached --max-failures");
	cr_expect_eq(traced(&w, "claim:b"), 2);
	cr_expect_eq(traced(&w, "claim:c"), 0);
}

/* Each ends as failed-home there, and the next one's disk is no less away. */
Test(engine_flow, who_is_brought_home_by_its_tags_is_no_failure_for_the_next)
{
	max_failures = 1;
	open_flow(FF_FLOW_RECOVER, 1, "bc");
	world_finish(&w);
	for (const char *name = "a\0b\0c\0"; *name != '\0'; name += 2)
		expect_outcome(&w, name, FF_O_FAILED_HOME, "brought home by its tags");
}

/* Nobody else tells of it: the run that made it is lost. */
Test(engine_flow, who_is_brought_home_says_what_was_left_over)
{
	static const int home[] = {DELETE, RELEASE, FF_STEP_NONE};

	RULES({"look/delete/a", .body = "failed"}, {"look/delete/b", .body = "done"});
	provider.recover = home;
	steps[DELETE].flags = FF_LOOK_FIRST | FF_BEST_EFFORT;
	open_flow(FF_FLOW_RECOVER, 0, "b");
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "brought home by its tags: its run's folder was lost; delete: ");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "brought home by its tags: its run's folder was lost");
	cr_expect_eq(traced(&w, "look/release/a"), 1);
}

/* simulation, seed 82077: what the dead run had asked for last took it out again, half an hour after it was home */
Test(engine_flow, whose_disk_is_away_again_is_stuck)
{
	static const int home[] = {SWAP, START, RELEASE, FF_STEP_NONE};

	RULES({"look/swap/", .body = "done"}, {"look/start/a", .body = "away"}, {"look/start/b", .body = "failed"},
		{"look/start/c", .body = "wait-away"}, {"look/start/d", .body = "wait-away", .times = 1},
		{"look/start/d", .body = "failed"}, {"look/release/", .body = "done"});
	provider.recover = home;
	open_flow(FF_FLOW_RECOVER, 0, "bcd");
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_STUCK, "start: ");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "its disk is home, but start: ");
	expect_outcome(&w, "c", FF_O_STUCK, "start: not done within ");
	expect_outcome(&w, "d", FF_O_FAILED_HOME, "its disk is home, but start: ");
}

/* It is not "home, and could not be started" on the way back either. */
Test(engine_flow, whose_disk_is_away_on_the_way_home_is_stuck)
{
	RULES({"POST https://toy.test/swap:", .body = "failed"}, {"look/start/a", .body = "away"},
		{"look/start/b", .body = "failed"});
	open_flow(FF_FLOW_ROLLBACK, 0, "b");
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_STUCK, "swap: ");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "swap: ");
}

Test(engine_flow, a_flow_that_is_not_offered_has_no_rows)
{
	provider.cleanup = NULL;
	open_flow(FF_FLOW_CLEANUP, 0, "");
	world_finish(&w);
	expect_requests(&w, "");
}

/* It dies when the first row is done that only looks, and once more: the third begins it as the first did. */
Test(engine_flow, who_was_only_checked_is_begun_once_more_after_each_resume)
{
	static const int checked[] = {VERIFY, CLAIM, STOP, SWAP, START, RELEASE, FF_STEP_NONE};
	struct ff_err err = {0};

	RULES({"look/verify/a", .body = "done"}, {"look/claim/a", .body = "not-done", .latency_ms = 60000, .times = 2});
	provider.rollback = checked;
	steps[CLAIM].flags = FF_LOOK_FIRST;
	open_flow(FF_FLOW_ROLLBACK, 0, "");
	world_repair(&w);
	for (int n = 1; n <= 2; n++) {
		ff_engine_turn(w.engine);
		while (traced(&w, "look/claim/a") < n)
			cr_assert(world_step(&w));
		w.synced = w.journal.len;
		world_dies(&w);
		open_flow(FF_FLOW_ROLLBACK, 0, "");
		world_run(&w, FF_PHASE_FOUND);
		cr_assert_eq(ff_engine_resume(w.engine, ff_source_of(w.journal.text, w.journal.len), &err), 0, "%s",
			err.text);
	}
	ff_engine_turn(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_ROLLED_BACK, "");
	cr_expect_eq(traced(&w, "look/verify/a"), 3);
	cr_expect_eq(traced(&w, "POST https://toy.test/claim:a"), 1);
}

Test(engine_flow, the_facts_of_the_recall_are_the_facts)
{
	json_t *facts = json_pack("{s:s}", "from", "recall");
	struct ff_selected one = {0};
	struct ff_err err = {0};

	open_flow(FF_FLOW_ROLLBACK, 0, "");
	world_run(&w, FF_PHASE_FOUND);
	one = (struct ff_selected){.vm = w.cloud->vms[0], .facts = facts};
	cr_assert_eq(ff_engine_repair(w.engine, &one, 1, NULL, &err), 0, "%s", err.text);
	json_decref(facts);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_not_null(strstr(w.journal.text, "\"facts\":{\"from\":\"recall\"}"));
}
