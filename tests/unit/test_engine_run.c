/* The run as a whole: admission, limits, interrupts, a journal that fails, many VMs. */
#include "test_engine_world.h"

TestSuite(engine_run, .init = setup, .fini = teardown);

/* ---------------------------------------------------------------- the plan */

Test(engine_run, the_plan_says_what_stands_against_each_vm)
{
	struct ff_selected selected[4] = {0};
	char *why[4];

	world_open(&w, 3, NULL);
	world_run(&w, FF_PHASE_FOUND);
	w.cloud->vms[2]->zone = (char *)"3";
	w.cloud->vms[3]->health = FF_SKIPPED;
	w.cloud->vms[3]->reason = (char *)"its OS disk is ephemeral";
	for (size_t i = 0; i < 4; i++)
		selected[i].vm = w.cloud->vms[i];
	cr_expect_eq(ff_engine_plan(w.engine, selected, 4, why), 1);
	cr_expect_str_eq(why[0], "it serves as rescue VM");
	cr_expect(why[1] == NULL);
	cr_expect_str_eq(why[2], "no rescue VM fits: 'r1' is in zone ''");
	cr_expect_str_eq(why[3], "its OS disk is ephemeral");
	for (size_t i = 0; i < 4; i++)
		free(why[i]);
	cr_expect_eq(traced(&w, "append"), 0);
}

Test(engine_run, vms_that_cannot_be_repaired_end_as_skipped_and_the_others_go_on)
{
	world_open(&w, 3, NULL);
	w.cloud->vms[2]->zone = (char *)"3";
	w.cloud->vms[3]->health = FF_SKIPPED;
	w.cloud->vms[3]->reason = (char *)"its OS disk is ephemeral";
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_SKIPPED, "no rescue VM fits");
	expect_outcome(&w, "c", FF_O_SKIPPED, "its OS disk is ephemeral");
}

Test(engine_run, a_vm_selected_twice_is_repaired_once)
{
	struct ff_selected selected[2] = {0};
	struct ff_err err;

	world_open(&w, 1, NULL);
	world_run(&w, FF_PHASE_FOUND);
	selected[0].vm = selected[1].vm = w.cloud->vms[1];
	cr_assert_eq(ff_engine_repair(w.engine, selected, 2, NULL, &err), 0);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(traced(&w, "/stop:a"), 1);
	cr_expect_eq(w.engine->ended[FF_O_SKIPPED], 1);
}

Test(engine_run, nothing_to_repair_is_an_end)
{
	world_open(&w, 1, NULL);
	w.cloud->vms[1]->zone = (char *)"3";
	world_finish(&w);
	cr_expect(ff_engine_result(w.engine)->nothing_started);
	cr_expect_eq(ff_engine_result(w.engine)->broken.class, FF_E_NONE);
}

/* ---------------------------------------------------------------- admission */

static size_t most_stopped;

static void count_stopped(struct world *world, const char *what)
{
	size_t n = 0;

	(void)what;
	for (size_t i = 1; i < world->cloud->count; i++)
		n += state_of(world, world->cloud->vms[i]->name)->attached;
	most_stopped = n > most_stopped ? n : most_stopped;
}

Test(engine_run, no_more_disks_are_attached_than_there_are_slots)
{
	most_stopped = 0;
	w.on_send = count_stopped;
	world_open(&w, 12, NULL);
	w.cloud->vms[0]->slots_max = 4;
	w.cloud->vms[0]->slots_used[2] = 1;
	world_repair(&w);
	while (traced(&w, "/stop") < 3)
		world_step(&w);
	cr_expect_eq(w.engine->under_way, 3, "nobody is begun ahead before a disk was mended");
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 12);
	cr_expect_eq(most_stopped, 3);
	for (size_t i = 0; i < 12; i++)
		cr_expect_neq(w.engine->ones[i].slot, 2, "that slot was taken");
}

Test(engine_run, a_slot_is_free_again_when_the_disk_is_off_it_not_only_at_the_end)
{
	RULES({"look/verify/a", .body = "wait"});
	world_open(&w, 2, NULL);
	w.cloud->vms[0]->slots_max = 1;
	world_repair(&w);
	while (traced(&w, "/stop:b") == 0)
		world_step(&w);
	cr_expect_eq(ended_of(&w, "a")->outcome, FF_O_NONE);
	world_run(&w, FF_PHASE_ENDED);
}

Test(engine_run, a_slot_that_may_still_be_occupied_is_not_used_again)
{
	RULES({"POST https://toy.test/detach:a", .body = "failed,done"});
	world_open(&w, 3, NULL);
	w.cloud->vms[0]->slots_max = 2;
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "detach");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
	cr_expect_eq(w.engine->ones[2].slot, 1);
}

Test(engine_run, when_no_slot_is_left_those_who_wait_are_skipped)
{
	RULES({"POST https://toy.test/detach:a", .body = "failed"});
	world_open(&w, 3, NULL);
	w.cloud->vms[0]->slots_max = 1;
	world_finish(&w);
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "attach: no slot of rescue VM 'r1' can be used any more");
	cr_expect(!state_of(&w, "b")->copied && !state_of(&w, "b")->claimed && state_of(&w, "b")->running);
	expect_outcome(&w, "c", FF_O_SKIPPED, "not begun: no slot of rescue VM 'r1' can be used any more");
}

/* Steps until the trace holds that text. */
static void step_until(const char *text)
{
	while (traced(&w, text) == 0)
		cr_assert(world_step(&w), "'%s' never comes", text);
}

Test(engine_run, while_a_slot_is_taken_the_next_disk_is_made_ready)
{
	RULES({"POST https://toy.test/detach:a", .latency_ms = 60000});
	world_open(&w, 3, NULL);
	w.cloud->vms[0]->slots_max = 1;
	world_repair(&w);
	step_until("worker r1 kept 1");
	cr_expect_eq(traced(&w, "/claim:b"), 0, "nobody is begun ahead before a disk was mended");
	step_until("/copy:b");
	while (!w.engine->ones[1].at_door)
		cr_assert(world_step(&w));
	cr_expect_eq(traced(&w, "attach:b"), 0);
	cr_expect_eq(traced(&w, "/claim:c"), 0, "one for each slot");
	cr_expect_eq(w.engine->rescues[0]->ahead, 1);
	step_until("attach:b");
	cr_expect_eq(w.engine->ones[1].slot, 0);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 3);
	cr_expect(strstr(w.journal.text, "\"k\":\"slot\",\"vm\":2,\"slot\":0") != NULL);
	cr_expect_eq(w.engine->rescues[0]->ahead, 0);
	cr_expect_eq(w.engine->rescues[0]->free, 1);
}

Test(engine_run, a_vm_that_may_be_well_is_not_stopped_before_a_slot_is_free)
{
	RULES({"POST https://toy.test/detach:a", .latency_ms = 60000});
	world_open(&w, 2, NULL);
	w.cloud->vms[0]->slots_max = 1;
	w.cloud->vms[2]->health = FF_HEALTHY;
	world_repair(&w);
	step_until("look/verify/a");
	cr_expect_leq(traced(&w, "/stop:b"), 1);
	cr_expect_eq(w.engine->rescues[0]->ahead, 0);
	world_run(&w, FF_PHASE_ENDED);
	for (size_t i = 0, freed = 0; i < w.trace.count; i++) {
		freed += strstr(w.trace.items[i], "detach:a") != NULL;
		if (strstr(w.trace.items[i], "/claim:b") != NULL)
			cr_expect_eq(freed, 1);
	}
}

Test(engine_run, who_is_ready_for_a_slot_goes_home_at_an_interrupt)
{
	RULES({"POST https://toy.test/detach:a", .latency_ms = 60000});
	world_open(&w, 2, NULL);
	w.cloud->vms[0]->slots_max = 1;
	world_repair(&w);
	step_until("/copy:b");
	while (!w.engine->ones[1].at_door)
		cr_assert(world_step(&w));
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "interrupted before it was mended");
	cr_expect_eq(traced(&w, "attach:b"), 0);
	cr_expect(!state_of(&w, "b")->copied && !state_of(&w, "b")->claimed && state_of(&w, "b")->running);
	cr_expect_null(w.engine->rescues[0]->door.head);
}

Test(engine_run, parallel_limits_how_many_are_under_way)
{
	struct ff_engine_config config = {.parallel = 2};

	world_open(&w, 5, &config);
	world_repair(&w);
	while (ff_engine_phase(w.engine) < FF_PHASE_ENDED) {
		world_step(&w);
		cr_assert_leq(w.engine->under_way, 2);
	}
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 5);
}

Test(engine_run, max_failures_stops_new_work_and_brings_the_rest_to_an_end)
{
	struct ff_engine_config config = {.max_failures = 2, .parallel = 1};

	w.mood = FAILS;
	world_open(&w, 5, &config);
	world_finish(&w);
	cr_expect_eq(w.engine->ended[FF_O_FAILED_HOME], 2);
	cr_expect_eq(w.engine->ended[FF_O_SKIPPED], 3);
	expect_outcome(&w, "c", FF_O_SKIPPED, "not begun: 2 failures reached --max-failures");
}

/* A second scope of the same kind, with VMs "x", "y", "z" and the rescue VM "r2"; selects all VMs of both. */
static void repair_two_scopes(const struct ff_provider *provider)
{
	struct ff_cloud *other = ff_calloc(1, sizeof(*other));
	struct ff_selected selected[16];
	struct ff_err err = {0};
	size_t n = 0;

	other->renew_at = INT64_MAX;
	toy_add(other, "r2", true);
	for (const char *name = "x\0y\0z\0"; *name != '\0'; name += 2)
		toy_add(other, name, false);
	ff_engine_add_scope(w.engine, provider, other);
	world_run(&w, FF_PHASE_FOUND);
	for (size_t i = 1; i < w.cloud->count; i++)
		selected[n++] = (struct ff_selected){.scope = 0, .vm = w.cloud->vms[i]};
	for (size_t i = 1; i < other->count; i++)
		selected[n++] = (struct ff_selected){.scope = 1, .vm = other->vms[i]};
	cr_assert_eq(ff_engine_repair(w.engine, selected, n, NULL, &err), 0, "%s", err.text);
	world_run(&w, FF_PHASE_ENDED);
}

static const struct ff_provider *another_cloud(void)
{
	static struct ff_provider provider;

	provider = toy;
	return &provider;
}

Test(engine_run, one_clouds_failures_do_not_stop_another)
{
	struct ff_engine_config config = {.max_failures = 1, .parallel = 1};

	RULES({"POST https://toy.test/copy:a", .body = "failed"});
	world_open(&w, 3, &config);
	repair_two_scopes(another_cloud());
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy");
	expect_outcome(&w, "b", FF_O_SKIPPED, "not begun: 1 failure reached --max-failures");
	expect_outcome(&w, "c", FF_O_SKIPPED, "not begun");
	for (const char *name = "x\0y\0z\0"; *name != '\0'; name += 2)
		expect_outcome(&w, name, FF_O_REPAIRED, "");
}

Test(engine_run, two_scopes_of_one_cloud_count_together)
{
	struct ff_engine_config config = {.max_failures = 2, .parallel = 1};

	w.mood = FAILS;
	world_open(&w, 2, &config);
	repair_two_scopes(&toy);
	cr_expect_eq(w.engine->ended[FF_O_FAILED_HOME], 2);
	cr_expect_eq(w.engine->ended[FF_O_SKIPPED], 3);
}

Test(engine_run, so_many_percent_may_fail_before_it_stops)
{
	struct ff_engine_config config = {.max_failures = 1, .max_failures_percent = 34, .parallel = 1};

	w.mood = FAILS;
	world_open(&w, 6, &config);
	world_finish(&w);
	cr_expect_eq(w.engine->ended[FF_O_FAILED_HOME], 3);
	expect_outcome(&w, "d", FF_O_SKIPPED, "not begun: 3 failures reached --max-failures");
}

/* ---------------------------------------------------------------- waves */

/* How many VMs had come up when each began, e.g. "0 1 1 2": what the waves look like. */
static char waves[256];

static void note_wave(struct world *world, const char *what)
{
	size_t up = 0, len = strlen(waves);

	if (strstr(what, "POST https://toy.test/claim:") == NULL)
		return;
	for (int o = FF_O_REPAIRED; o <= FF_O_STUCK; o++)
		up += world->engine->ended[o];
	snprintf(waves + len, sizeof(waves) - len, "%s%zu", len ? " " : "", up);
}

Test(engine_run, a_canary_is_up_before_others_begin_and_then_their_number_doubles)
{
	world_open(&w, 8, &(struct ff_engine_config){.canary = 1});
	w.on_send = note_wave;
	world_finish(&w);
	cr_expect_str_eq(waves, "0 1 1 3 3 3 3 7");
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 8);
	cr_expect_eq(said(&w, "1 canary is up: the others begin"), 1);
}

Test(engine_run, all_canaries_are_up_before_others_begin)
{
	RULES({"look/verify/a", .body = "not-done", .times = 20});
	world_open(&w, 6, &(struct ff_engine_config){.canary = 2});
	w.on_send = note_wave;
	world_finish(&w);
	cr_expect_str_eq(waves, "0 0 2 2 2 2");
}

Test(engine_run, a_canary_that_fails_or_is_skipped_is_followed_by_another)
{
	RULES({"POST https://toy.test/claim:a", .status = 409}, {"POST https://toy.test/copy:b", .body = "failed"});
	world_open(&w, 5, &(struct ff_engine_config){.canary = 1});
	w.on_send = note_wave;
	world_finish(&w);
	cr_expect_str_eq(waves, "0 1 2 3 3");
	expect_outcome(&w, "a", FF_O_SKIPPED, "claim");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "copy");
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 3);
}

Test(engine_run, each_cloud_has_its_own_canary)
{
	RULES({"look/verify/a", .body = "not-done"});
	world_open(&w, 3, &(struct ff_engine_config){.canary = 1, .max_failures = 1});
	repair_two_scopes(another_cloud());
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "did not prove");
	expect_outcome(&w, "b", FF_O_SKIPPED, "not begun: 1 failure reached --max-failures");
	for (const char *name = "x\0y\0z\0"; *name != '\0'; name += 2)
		expect_outcome(&w, name, FF_O_REPAIRED, "");
}

Test(engine_run, each_end_tells_the_class_of_its_reason)
{
	struct ff_engine_config config = {.max_failures = 3, .parallel = 5};

	RULES({"POST https://toy.test/claim:a", .status = 403}, {"POST https://toy.test/copy:b", .status = 409},
		{"POST https://toy.test/copy:c", .body = "failed=auth"},
		{"POST https://toy.test/start:d", .body = "failed=local"});
	world_open(&w, 6, &config);
	w.mood = FINDS_NOTHING;
	w.mood_of = "e";
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_SKIPPED, "");
	cr_expect_eq(ended_of(&w, "a")->class, FF_E_DENIED);
	cr_expect_eq(ended_of(&w, "b")->class, FF_E_CONFLICT);
	cr_expect_eq(ended_of(&w, "c")->class, FF_E_AUTH);
	expect_outcome(&w, "d", FF_O_FAILED_HOME, "mended and home");
	cr_expect_eq(ended_of(&w, "d")->class, FF_E_LOCAL);
	expect_outcome(&w, "e", FF_O_CLEAN, "");
	cr_expect_eq(ended_of(&w, "e")->class, FF_E_NONE);
	cr_expect_eq(ended_of(&w, "f")->class, FF_E_NONE);
}

Test(engine_run, work_is_spread_over_the_rescue_vms)
{
	world_open(&w, 8, NULL);
	toy_add(w.cloud, "r2", true);
	world_finish(&w);
	cr_expect_eq(traced(&w, "worker r1 mend"), 4);
	cr_expect_eq(traced(&w, "worker r2 mend"), 4);
}

/* ---------------------------------------------------------------- durability */

Test(engine_run, every_intent_is_durable_before_its_request_leaves)
{
	world_open(&w, 5, NULL);
	world_finish(&w);
	/* w_send() looks for each mutating request's token in the durable part of the journal; teardown asks */
	cr_expect_gt(traced(&w, "sync"), 5);
	cr_expect_eq(w.synced, w.journal.len, "the end is durable");
}

Test(engine_run, one_sync_serves_all_intents_of_a_turn)
{
	world_open(&w, 8, NULL);
	world_repair(&w);
	while (traced(&w, "/claim") < 8)
		world_step(&w);
	cr_expect_eq(traced(&w, "sync"), 1, "%d", traced(&w, "sync"));
	world_run(&w, FF_PHASE_ENDED);
}

static void journal_fails(void)
{
	int before = traced(&w, "send");

	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(traced(&w, "send"), before, "something was sent after the journal failed");
	while (world_step(&w)) /* answers that were under way */
		;
	cr_expect_eq(traced(&w, "send"), before);
	cr_expect_eq(ff_engine_result(w.engine)->broken.class, FF_E_LOCAL);
}

Test(engine_run, nothing_is_sent_after_a_sync_that_failed)
{
	world_open(&w, 3, NULL);
	world_repair(&w);
	while (traced(&w, "/copy") < 1)
		world_step(&w);
	w.sync_fails = true;
	journal_fails();
	cr_expect(strstr(ff_engine_result(w.engine)->broken.text, "journal: input/output error") != NULL);
	cr_expect_eq(ended_of(&w, "a")->outcome, FF_O_NONE);
	cr_expect(ended_of(&w, "a")->step != NULL);
}

Test(engine_run, nothing_is_sent_after_an_append_that_failed)
{
	world_open(&w, 3, NULL);
	world_repair(&w);
	while (traced(&w, "/copy") < 1)
		world_step(&w);
	w.append_fails = true;
	journal_fails();
}

Test(engine_run, nothing_was_started_when_the_very_first_sync_fails)
{
	w.sync_fails = true;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect(ff_engine_result(w.engine)->nothing_started);
	expect_requests(&w, "");
}

Test(engine_run, a_sync_that_fails_at_any_point_ends_the_run_and_sends_nothing_more)
{
	size_t syncs;

	world_open(&w, 2, NULL);
	world_finish(&w);
	syncs = w.syncs;
	for (size_t n = 1; n <= syncs; n++) {
		world_close(&w);
		memset(&w, 0, sizeof(w));
		w.sync_fails_at = n;
		world_open(&w, 2, NULL);
		world_finish(&w);
		cr_expect_eq(ff_engine_result(w.engine)->broken.class, FF_E_LOCAL, "sync %zu of %zu", n, syncs);
		cr_expect(!w.unsynced_send, "sync %zu", n);
	}
}

/* ---------------------------------------------------------------- interrupts */

/* Interrupt when that request has left, and run to the end. */
static void interrupt_at(const char *what)
{
	world_repair(&w);
	while (traced(&w, what) == 0)
		cr_assert(world_step(&w), "'%s' never happened", what);
	ff_engine_interrupt(w.engine);
	ff_engine_turn(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect(ff_engine_result(w.engine)->interrupted);
}

Test(engine_run, an_interrupt_before_the_repair_turns_home_and_begins_nobody)
{
	static const char *const moments[] = {"/stop:a", "/copy:a", "/attach:a", "mend 1"};

	for (size_t i = 0; i < FF_COUNT(moments); i++) {
		world_open(&w, 2, NULL);
		w.cloud->vms[0]->slots_max = 1;
		interrupt_at(moments[i]);
		expect_outcome(&w, "a", FF_O_FAILED_HOME, "interrupted before it was mended");
		cr_expect_eq(ended_of(&w, "b")->outcome, FF_O_NONE);
		cr_expect_str_eq(ended_of(&w, "b")->step, "waiting");
		struct toy_state *s = state_of(&w, "a");

		cr_expect(s->running && !s->copied && !s->attached && !s->claimed, "%s", moments[i]);
		cr_expect(strstr(w.journal.text, "\"k\":\"stop\"") != NULL);
		world_close(&w);
		memset(&w, 0, sizeof(w));
	}
	world_open(&w, 0, NULL);
}

Test(engine_run, an_interrupt_after_the_repair_lets_it_go_on)
{
	static const char *const moments[] = {"/detach:a", "/swap:a", "/start:a", "look/verify/a", "release:a"};

	for (size_t i = 0; i < FF_COUNT(moments); i++) {
		world_open(&w, 2, NULL);
		w.cloud->vms[0]->slots_max = 1;
		w.worker_ms = 10;
		world_repair(&w);
		while (traced(&w, moments[i]) == 0)
			world_step(&w);
		if (traced(&w, "/claim:b") == 0) {
			ff_engine_interrupt(w.engine);
			world_run(&w, FF_PHASE_ENDED);
			expect_outcome(&w, "a", FF_O_REPAIRED, "");
			cr_expect_eq(ended_of(&w, "b")->outcome, FF_O_NONE);
		}
		world_close(&w);
		memset(&w, 0, sizeof(w));
	}
	world_open(&w, 0, NULL);
}

Test(engine_run, an_interrupt_leaves_a_mended_vm_alone_that_waits_or_stands_in_line)
{
	RULES({"look/verify/a", .times = 5, .body = "wait"}, {"POST https://toy.test/copy:b", .latency_ms = 2600},
		{"POST https://toy.test/attach:b", .latency_ms = 60000});
	world_open(&w, 2, NULL);
	world_repair(&w);
	while (w.engine->ones[0].state != FF_ONE_QUEUED || !w.engine->ones[0].repaired)
		cr_assert(world_step(&w));
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "interrupted");
}

Test(engine_run, an_interrupt_while_a_mended_vm_pauses_lets_it_prove_itself)
{
	RULES({"look/verify/a", .times = 5, .body = "wait"});
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (w.engine->ones[0].state != FF_ONE_PAUSED || !w.engine->ones[0].put_back)
		cr_assert(world_step(&w));
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_run, an_interrupt_leaves_a_vm_alone_that_is_on_its_way_home)
{
	RULES({"POST https://toy.test/copy:a", .body = "failed"}, {"look/start/a", .times = 3, .body = "wait"});
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (w.engine->ones[0].state != FF_ONE_PAUSED || !w.engine->ones[0].homeward)
		cr_assert(world_step(&w));
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "copy: the toy cloud says no");
	cr_expect(state_of(&w, "a")->running);
}

Test(engine_run, an_interrupt_waits_for_the_operation_that_is_under_way)
{
	w.op_ms = 30000;
	world_open(&w, 1, NULL);
	interrupt_at("/stop:a");
	cr_expect_eq(traced(&w, "poll/stop:a"), 1);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "interrupted");
	cr_expect_eq(traced(&w, "/start:a"), 1 + 1); /* the act and its poll */
}

Test(engine_run, a_vm_that_was_not_touched_yet_is_as_if_it_had_not_begun)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider careful;

	memcpy(steps, toy_steps, sizeof(steps));
	steps[CLAIM].flags |= FF_LOOK_FIRST;
	world_open_table(&w, &careful, steps);
	interrupt_at("look/claim/a");
	cr_expect_eq(ended_of(&w, "a")->outcome, FF_O_NONE);
	cr_expect_str_eq(ended_of(&w, "a")->step, "waiting");
	cr_expect(ff_engine_result(w.engine)->nothing_started);
}

Test(engine_run, an_interrupt_at_the_worker_waits_for_its_word)
{
	w.mood = HANGS;
	world_open(&w, 1, NULL);
	interrupt_at("mend 1");
	cr_expect_eq(traced(&w, "worker r1 drop 1"), 1);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "interrupted");
}

Test(engine_run, the_second_interrupt_stops_at_the_next_durable_point)
{
	world_open(&w, 2, NULL);
	world_repair(&w);
	while (traced(&w, "/copy:a") == 0)
		world_step(&w);
	ff_engine_interrupt(w.engine);
	ff_engine_interrupt(w.engine);
	int before = traced(&w, "send");

	ff_engine_turn(w.engine);
	cr_expect_eq(ff_engine_phase(w.engine), FF_PHASE_ENDED);
	while (world_step(&w))
		;
	cr_expect_eq(traced(&w, "send"), before);
	cr_expect_eq(w.synced, w.journal.len);
	cr_expect_eq(ended_of(&w, "a")->outcome, FF_O_NONE);
	cr_expect_str_eq(ended_of(&w, "a")->step, "copy");
}

Test(engine_run, an_interrupt_while_finding_ends_it)
{
	struct ff_err err;

	world_open(&w, 1, NULL);
	ff_engine_turn(w.engine);
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect(ff_engine_result(w.engine)->interrupted);
	cr_expect_eq(ff_engine_repair(w.engine, NULL, 0, NULL, &err), -1);
}

Test(engine_run, an_interrupt_while_workers_are_probed_begins_nobody)
{
	world_open(&w, 1, NULL);
	world_repair(&w);
	ff_engine_turn(w.engine);
	cr_expect_eq(ff_engine_phase(w.engine), FF_PHASE_WORKERS);
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	expect_requests(&w, "");
	cr_expect(ff_engine_result(w.engine)->nothing_started);
}

/* ---------------------------------------------------------------- many */

static uint64_t work_for(size_t vms)
{
	uint64_t ran;

	memset(&w, 0, sizeof(w));
	w.quiet = true;
	world_open(&w, vms, NULL);
	w.cloud->vms[0]->slots_max = 16; /* few also wait for slots */
	for (int i = 2; i <= 8; i++) {
		char name[32];

		snprintf(name, sizeof(name), "r%d", i);
		toy_add(w.cloud, name, true)->slots_max = 16;
	}
	world_finish(&w);
	cr_assert_eq(w.engine->ended[FF_O_REPAIRED], vms);
	ran = w.engine->tasks.ran;
	return ran;
}

Test(engine_run, work_grows_with_the_number_of_vms_and_not_faster)
{
	uint64_t few = work_for(200), many;

	world_close(&w);
	many = work_for(2000);
	cr_expect_leq(many, 11 * few, "%" PRIu64 " tasks for 2000, %" PRIu64 " for 200", many, few);
	cr_expect_leq(many / 2000, 100, "%" PRIu64 " tasks a VM", many / 2000);
}

Test(engine_run, what_a_vm_learns_is_its_own)
{
	const struct ff_one *one;

	world_open(&w, 2, NULL);
	world_repair(&w);
	one = &w.engine->ones[0];
	cr_expect(one->facts == one->vm->facts, "two copies of what ten thousand were found with");
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_str_eq(ff_json_str(one->vm->facts, "was"), "here");
	cr_expect_eq(json_object_size(one->vm->facts), 2);
	cr_expect_null(ff_json_str(one->facts, "was"));
}

Test(engine_run, the_plans_of_thousands_are_appended_as_they_are_made)
{
	w.quiet = true;
	world_open(&w, 8000, NULL);
	world_repair(&w);
	cr_expect_gt(w.journal.len, 1024u * 1024);
	cr_expect_lt(w.engine->lines.len, 1024u * 1024);
	cr_expect(w.engine->unsynced, "what was appended is not yet durable");
	ff_engine_turn(w.engine);
	cr_expect_eq(w.engine->lines.len, 0);
}
