/* Going home and ends: the rules of engine/home.c, one after the other. */
#include "test_engine_world.h"

TestSuite(engine_home, .init = setup, .fini = teardown);

#define NO(step)                                                                                                       \
	{                                                                                                              \
		"POST https://toy.test/" step ":a", .body = "failed"                                                   \
	}

static void expect_home(void)
{
	struct toy_state *s = state_of(&w, "a");

	cr_expect(s->running && !s->copied && !s->attached && !s->swapped && !s->claimed,
		"running %d copied %d attached %d swapped %d claimed %d", s->running, s->copied, s->attached,
		s->swapped, s->claimed);
}

Test(engine_home, a_failed_step_walks_back_looking_before_each_undo)
{
	RULES(NO("attach"));
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w, "claim:a stop:a copy:a attach:a look/detach/a look/delete/a delete:a look/start/a start:a "
			    "look/release/a release:a");
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "attach: the toy cloud says no");
	expect_home();
}

Test(engine_home, a_vm_that_did_not_run_is_not_started_on_the_way)
{
	RULES(NO("attach"));
	world_open(&w, 1, NULL);
	w.cloud->vms[1]->running = false;
	world_finish(&w);
	cr_expect_eq(traced(&w, "start"), 0);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "attach");
}

/* Its stop was passed over, and what came behind it was not nothing. */
Test(engine_home, a_conflict_behind_the_claim_is_no_skip_for_it_either)
{
	RULES({"POST https://toy.test/attach:a", .body = "failed=conflict"});
	world_open(&w, 1, NULL);
	w.cloud->vms[1]->running = false;
	world_finish(&w);
	cr_expect_eq(traced(&w, "stop"), 0);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "attach");
}

Test(engine_home, a_clean_disk_goes_back_and_the_vm_is_started)
{
	w.mood = FINDS_NOTHING;
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w,
		"claim:a stop:a copy:a attach:a look/detach/a detach:a look/delete/a delete:a look/start/a start:a "
		"look/release/a release:a");
	expect_outcome(&w, "a", FF_O_CLEAN, "no bad file");
	expect_home();
}

Test(engine_home, a_clean_vm_that_does_not_start_again_is_not_clean)
{
	RULES(NO("start"));
	w.mood = FINDS_NOTHING;
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "no bad file; start: the toy cloud says no");
	cr_expect_eq(traced(&w, "release:a"), 1, "the walk goes on");
}

Test(engine_home, a_disk_that_cannot_be_mended_goes_home)
{
	w.mood = FAILS;
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: no Windows");
	expect_home();
}

Test(engine_home, a_failed_swap_is_taken_back_when_it_had_an_effect)
{
	RULES({"POST https://toy.test/swap:a", .body = "failed", .after = true});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "look/swap-back/a"), 1);
	cr_expect_eq(traced(&w, "/swap-back:a"), 1);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "swap: the toy cloud says no");
	expect_home();
}

Test(engine_home, a_failed_swap_without_effect_is_only_looked_at)
{
	RULES(NO("swap"));
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "look/swap-back/a"), 1);
	cr_expect_eq(traced(&w, "/swap-back:a"), 0);
	expect_home();
}

Test(engine_home, a_disk_that_is_not_taken_back_makes_it_stuck_and_nothing_more_is_done)
{
	RULES({"POST https://toy.test/swap:a", .body = "failed", .after = true}, NO("swap-back"));
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_STUCK, "swap-back: the toy cloud says no; disk of 'a' in slot 0");
	cr_expect_eq(traced(&w, "start"), 0, "a VM without its disk must not be started");
	cr_expect_eq(traced(&w, "delete"), 0, "the copy may be what it runs on");
	cr_expect_str_eq(json_string_value(json_array_get(ended_of(&w, "a")->by_hand, 0)), "toy swap-back a");
	cr_expect_not_null(strstr(w.journal.text, "\"by_hand\":[\"toy swap-back a\",\"toy start a\"]"));
}

/* seed 50034732: the disk was home, and the token twice not taken by the look that was to show it */
Test(engine_home, a_token_that_is_not_taken_leaves_nobody_stuck)
{
	RULES({"POST https://toy.test/swap:a", .body = "failed", .after = true},
		{"look/swap-back/a", .status = 401, .times = 4},
		{"POST https://toy.test/swap-back:a", .status = 401, .times = 4});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "swap: the toy cloud says no");
	expect_home();
}

/* seed 900013956: the disk was left on the rescue VM, where the next step could not have it */
Test(engine_home, nor_is_what_comes_before_passed_over)
{
	RULES({"POST https://toy.test/detach", .status = 401, .times = 4});
	w.mood = FAILS;
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "");
	cr_expect_null(strstr(ended_of(&w, "a")->reason, "401"), "%s", ended_of(&w, "a")->reason);
	cr_expect_geq(traced(&w, "send POST https://toy.test/detach"), 5);
	expect_home();
}

Test(engine_home, but_not_for_ever)
{
	RULES({"POST https://toy.test/swap:a", .body = "failed", .after = true}, {"swap-back", .status = 401});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_STUCK, "swap-back: GET answered 401");
	cr_expect_geq(w.now_ms, 15 * 60 * 1000);
}

Test(engine_home, who_is_home_needs_no_commands)
{
	RULES({"POST https://toy.test/swap:a", .body = "failed"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "swap");
	cr_expect_null(ended_of(&w, "a")->by_hand);
}

Test(engine_home, what_was_removed_from_a_copy_that_stays_away_is_not_reported)
{
	RULES(NO("swap"));
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(json_array_size(ended_of(&w, "a")->removed), 0);
	cr_expect_str_eq(ended_of(&w, "a")->reason, "swap: the toy cloud says no");
}

Test(engine_home, after_the_swap_a_failing_start_does_not_take_the_disk_away)
{
	RULES(NO("start"));
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w, "claim:a stop:a copy:a attach:a detach:a swap:a look/swap/a start:a release:a");
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "mended and home, but start: the toy cloud says no");
	cr_expect(state_of(&w, "a")->swapped);
}

Test(engine_home, a_vm_that_fails_to_prove_itself_is_released)
{
	RULES({"look/verify/a", .body = "failed"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME,
		"mended and home, but it did not prove that it came up: the toy cloud says no");
	cr_expect_eq(traced(&w, "release:a"), 1);
	cr_expect(state_of(&w, "a")->swapped);
}

Test(engine_home, best_effort_is_noted_and_the_vm_is_repaired)
{
	RULES(NO("release"));
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "1 file removed; release: the toy cloud says no");
}

Test(engine_home, a_copy_that_cannot_be_removed_is_named)
{
	RULES(NO("delete"));
	w.mood = FINDS_NOTHING;
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_CLEAN, "no bad file; delete: the toy cloud says no");
}

static void claim_refused(int status, const char *class)
{
	ff_auto_free char *text = ff_printf("failed=%s", class);
	RULES({"POST https://toy.test/claim:a", .status = status, .body = text});

	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w, "claim:a");
	expect_outcome(&w, "a", FF_O_SKIPPED, "claim: the toy cloud says no");
}

Test(engine_home, a_claim_refused_for_conflict_is_skipped)
{
	claim_refused(409, "conflict");
}

Test(engine_home, a_claim_refused_for_permission_is_skipped)
{
	claim_refused(403, "denied");
}

Test(engine_home, a_claim_on_a_vm_that_is_gone_is_skipped)
{
	claim_refused(404, "gone");
}

Test(engine_home, a_claim_whose_first_answer_was_lost_is_taken_back)
{
	RULES({"POST https://toy.test/claim:a", .times = 1, .transport = FF_T_BROKEN, .after = true},
		{"look/claim/a", .body = "failed=conflict"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_requests(&w, "claim:a look/claim/a look/release/a release:a");
	expect_outcome(&w, "a", FF_O_SKIPPED, "claim");
}

Test(engine_home, a_refusal_after_the_claim_is_no_skip)
{
	RULES({"POST https://toy.test/stop:a", .status = 403, .body = "failed=denied"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "stop: the toy cloud says no");
	cr_expect_eq(traced(&w, "/stop:a"), 1);
	expect_home();
}

/* A table where two rows have the same undo, and a forward row is the undo of an earlier one (as on AWS and GCP). */

Test(engine_home, an_undo_that_serves_two_rows_runs_once)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider twin;
	RULES(NO("attach"));

	memcpy(steps, toy_steps, sizeof(steps));
	steps[COPY].undo = START;
	world_open_table(&w, &twin, steps);
	world_finish(&w);
	expect_requests(
		&w, "claim:a stop:a copy:a attach:a look/detach/a look/start/a start:a look/release/a release:a");
}

Test(engine_home, a_forward_row_that_is_the_undo_of_an_earlier_one_puts_the_disk_back)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider other;
	RULES(NO("start"));

	memcpy(steps, toy_steps, sizeof(steps));
	steps[COPY].undo = SWAP; /* "copy" stands for detaching the root, "swap" for attaching it again */
	steps[SWAP].undo = FF_STEP_NONE;
	steps[SWAP].flags = FF_HOLDS_DISK;
	world_open_table(&w, &other, steps);
	world_finish(&w);
	expect_requests(&w, "claim:a stop:a copy:a attach:a detach:a swap:a start:a release:a");
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "mended and home, but start");
}

static bool not_for_a(const struct ff_member *m)
{
	return !ff_streq(m->vm->name, "a");
}

Test(engine_home, a_row_that_is_not_meant_for_the_vm_is_passed_over_both_ways)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider choosy;
	RULES(NO("attach"));

	memcpy(steps, toy_steps, sizeof(steps));
	steps[COPY].applies = not_for_a;  /* forward */
	steps[START].applies = not_for_a; /* as the undo of "stop" */
	world_open_table(&w, &choosy, steps);
	world_finish(&w);
	expect_requests(&w, "claim:a stop:a attach:a look/detach/a look/release/a release:a");
}

/* A row that was only looked at has nothing to take back; one that was found done has. */
Test(engine_home, a_row_that_was_not_attempted_is_not_taken_back)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider careful;
	RULES({"look/stop/a", .body = "failed"});

	memcpy(steps, toy_steps, sizeof(steps));
	steps[STOP].flags |= FF_LOOK_FIRST;
	world_open_table(&w, &careful, steps);
	world_finish(&w);
	expect_requests(&w, "claim:a look/stop/a look/release/a release:a");
}

Test(engine_home, a_claim_that_was_found_is_a_touch)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider careful;
	RULES({"look/claim/a", .body = "done"},
		{"POST https://toy.test/stop:a", .status = 403, .body = "failed=denied"});

	memcpy(steps, toy_steps, sizeof(steps));
	steps[CLAIM].flags |= FF_LOOK_FIRST;
	world_open_table(&w, &careful, steps);
	state_of(&w, "a")->claimed = true;
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "stop");
	cr_expect_eq(traced(&w, "/release:a"), 1, "the claim of the run that went before must not stay");
}
