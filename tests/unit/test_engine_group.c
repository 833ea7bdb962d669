/* Many VMs in one request: who joins, who waits, who is refused. */
#include "test_engine_world.h"

TestSuite(engine_group, .init = setup, .fini = teardown);

Test(engine_group, what_is_ready_in_the_same_turn_leaves_in_one_request_up_to_the_limit)
{
	world_open(&w, 6, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/attach:a,attach:b,attach:c,attach:d"), 1);
	cr_expect_eq(traced(&w, "/attach:e,attach:f"), 1);
	for (const char *name = "a\0b\0c\0d\0e\0f\0"; *name != '\0'; name += 2)
		expect_outcome(&w, name, FF_O_REPAIRED, "");
}

Test(engine_group, a_key_has_one_act_in_flight_and_the_next_takes_all_that_came_meanwhile)
{
	RULES({"POST https://toy.test/copy:b", .latency_ms = 2500},
		{"POST https://toy.test/copy:c", .latency_ms = 2600},
		{"POST https://toy.test/attach:a", .latency_ms = 1000});
	world_open(&w, 3, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/attach:b,attach:c"), 1);
	cr_expect_eq(traced(&w, "POST https://toy.test/attach"), 2);
}

static bool overlap;
static int moves_out;

static void count_moves(struct world *world, const char *what)
{
	(void)world;
	if (strstr(what, "POST https://toy.test/attach") || strstr(what, "POST https://toy.test/detach"))
		overlap = overlap || moves_out++ > 0;
	if (strstr(what, "/poll/attach") || strstr(what, "/poll/detach"))
		moves_out = 0; /* the operation is over with this poll's answer */
}

Test(engine_group, the_operation_keeps_the_key_busy_until_it_is_over)
{
	w.op_ms = 5000;
	w.on_send = count_moves;
	overlap = false;
	moves_out = 0;
	RULES({"POST https://toy.test/copy:b", .latency_ms = 500, .body = "done", .after = true},
		{"POST https://toy.test/copy:a", .body = "done", .after = true});
	world_open(&w, 2, NULL);
	world_finish(&w);
	cr_expect(!overlap);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
}

Test(engine_group, rows_of_the_same_act_go_together)
{
	/* b's copy is slow: a is mended by then, and its detach waits a moment for b's attach */
	RULES({"POST https://toy.test/copy:b", .latency_ms = 5000});
	world_open(&w, 2, NULL);
	world_finish(&w);
	cr_expect(traced(&w, "detach:a,attach:b") + traced(&w, "attach:b,detach:a") == 1);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
}

Test(engine_group, a_group_that_is_refused_goes_one_by_one)
{
	RULES({"/attach:a,attach:b,attach:c", .body = "split,split,split"},
		{"POST https://toy.test/attach:b", .body = "failed"});
	world_open(&w, 3, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "POST https://toy.test/attach:a"), 2); /* together and alone */
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "attach");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}

Test(engine_group, members_are_told_different_things)
{
	RULES({"/attach:a,attach:b,attach:c,attach:d", .body = "done,failed,look,started", .after = true},
		{"/poll/attach:d", .times = 1, .body = "wait"});
	world_open(&w, 4, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "poll/attach:d"), 2, "only those whose operation goes on are polled");
	cr_expect_eq(traced(&w, "look/attach/c"), 1);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "attach");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
	expect_outcome(&w, "d", FF_O_REPAIRED, "");
}

Test(engine_group, a_member_alone_that_is_still_refused_fails)
{
	RULES({"POST https://toy.test/attach:a", .body = "split"});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "POST https://toy.test/attach:a"), 2);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "attach: somebody else is at it");
}

Test(engine_group, a_request_that_cannot_be_built_together_is_built_alone)
{
	world_open(&w, 3, NULL);
	w.cloud->split_build = true;
	world_finish(&w);
	cr_expect_eq(traced(&w, ",attach"), 0);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}

Test(engine_group, a_request_that_is_repeated_stays_as_it_was)
{
	world_open(&w, 3, NULL);
	RULES({"POST https://toy.test/attach:a", .times = 1, .status = 429, .retry_after = "10"},
		{"POST https://toy.test/copy:b", .latency_ms = 3000},
		{"POST https://toy.test/copy:c", .latency_ms = 3000});
	world_finish(&w);
	/* a's own request is the same again; b and c gather behind it */
	cr_expect_eq(traced(&w, "POST https://toy.test/attach:a"), 2);
	cr_expect_eq(traced(&w, "POST https://toy.test/attach:b,attach:c"), 1);
}

Test(engine_group, a_request_that_waits_for_its_budget_is_filled_before_it_leaves)
{
	world_open(&w, 3, NULL);
	w.cloud->moves = 1;
	w.worker_ms = 20000;
	RULES({"POST https://toy.test/copy:b", .latency_ms = 3000},
		{"POST https://toy.test/copy:c", .latency_ms = 5500});
	world_finish(&w);
	cr_expect_eq(traced(&w, "POST https://toy.test/attach:b,attach:c"), 1);
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}

Test(engine_group, two_rescue_vms_do_not_wait_for_one_another)
{
	world_open(&w, 2, NULL);
	toy_add(w.cloud, "r2", true)->zone = (char *)"2";
	w.cloud->vms[2]->zone = (char *)"2";
	world_finish(&w);
	cr_expect_eq(traced(&w, "attach:a,"), 0);
	cr_expect_eq(traced(&w, "worker r2 mend 2"), 1);
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
}

Test(engine_group, who_goes_alone_does_not_join_those_that_came_meanwhile)
{
	RULES({"/attach:a,attach:b,attach:c", .body = "split,split,split", .latency_ms = 1000},
		{"POST https://toy.test/copy:d", .latency_ms = 2600});
	world_open(&w, 4, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "attach:d,") + traced(&w, ",attach:d"), 0);
	expect_outcome(&w, "d", FF_O_REPAIRED, "");
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

/* ---------------------------------------------------------------- waiting for others */

static int64_t attached_ms, copied_ms;

static void note_times(struct world *world, const char *what)
{
	if (strstr(what, "POST https://toy.test/copy:a"))
		copied_ms = world->now_ms + 100;
	if (strstr(what, "POST https://toy.test/attach:a"))
		attached_ms = world->now_ms;
}

Test(engine_group, those_that_come_within_two_seconds_go_together)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider provider;

	memcpy(steps, toy_steps, sizeof(steps));
	steps[ATTACH].group_max = 8;
	RULES({"POST https://toy.test/copy:b", .latency_ms = 400}, {"POST https://toy.test/copy:c", .latency_ms = 700},
		{"POST https://toy.test/copy:d", .latency_ms = 1000},
		{"POST https://toy.test/copy:e", .latency_ms = 1300},
		{"POST https://toy.test/copy:f", .latency_ms = 1600});
	w.on_send = note_times;
	world_open_table(&w, &provider, steps);
	for (const char *name = "b\0c\0d\0e\0f\0"; *name != '\0'; name += 2)
		toy_add(w.cloud, name, false);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/attach:a,attach:b,attach:c,attach:d,attach:e,attach:f"), 1);
	cr_expect_eq(attached_ms - copied_ms, 1500,
		"it left %" PRId64 " ms after the first was ready, not when all were", attached_ms - copied_ms);
}

Test(engine_group, a_full_request_does_not_wait_for_more)
{
	RULES({"POST https://toy.test/copy:e", .latency_ms = 1600});
	w.on_send = note_times;
	world_open(&w, 5, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/attach:a,attach:b,attach:c,attach:d"), 1);
	cr_expect_eq(attached_ms, copied_ms);
}

Test(engine_group, nobody_waits_longer_than_two_seconds)
{
	RULES({"POST https://toy.test/copy:b", .latency_ms = 1100},
		{"POST https://toy.test/copy:c", .latency_ms = 60000});
	w.on_send = note_times;
	world_open(&w, 3, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/attach:a,attach:b"), 1);
	cr_expect_eq(attached_ms - copied_ms, 2000, "counted from the first, not from the last that came");
}

Test(engine_group, a_single_vm_does_not_wait)
{
	w.on_send = note_times;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(attached_ms, copied_ms);
}

Test(engine_group, nobody_waits_for_a_vm_on_another_rescue_vm)
{
	RULES({"POST https://toy.test/copy:b", .latency_ms = 1000});
	w.on_send = note_times;
	world_open(&w, 2, NULL);
	toy_add(w.cloud, "r2", true)->zone = (char *)"2";
	w.cloud->vms[2]->zone = (char *)"2";
	world_finish(&w);
	cr_expect_eq(attached_ms, copied_ms);
}

static int64_t detached_ms, done_ms;

/* a is mended a second before b, whose disk is in the same appliance, and c's is not looked at for a long time. */
static void mends_in_turn(struct world *world, const char *rescue, const json_t *line)
{
	const char *op = ff_json_str(line, "op"), *job = ff_json_str(line, "job");
	int64_t usual_ms = world->worker_ms;

	if (!ff_streq(op, "kept")) {
		if (!ff_streq(job, "3"))
			worker_hears(world, rescue, line);
		else {
			world->worker_ms = 30000;
			worker_hears(world, rescue, line);
		}
		world->worker_ms = usual_ms;
		return;
	}
	worker_says(world, rescue, "{\"event\":\"mended\",\"job\":\"%s\"}", job);
	if (ff_streq(job, "1"))
		done_ms = world->now_ms + 2 * usual_ms;
	world->worker_ms = ff_streq(job, "1") ? 2 * usual_ms : 3 * usual_ms;
	worker_says(world, rescue,
		"{\"event\":\"done\",\"job\":\"%s\",\"result\":\"repaired\",\"removed\":" TOY_FILES "}", job);
	world->worker_ms = usual_ms;
}

static void note_detach(struct world *world, const char *what)
{
	if (strstr(what, "POST https://toy.test/detach:a"))
		detached_ms = world->now_ms;
}

static void starts_then_mends(struct world *world, const char *rescue, const json_t *line)
{
	if (ff_streq(ff_json_str(line, "op"), "probe"))
		worker_says(world, rescue, "{\"event\":\"hello\",\"version\":1}");
	mends_in_turn(world, rescue, line);
}

Test(engine_group, disks_mended_in_one_appliance_leave_together_and_wait_for_no_other)
{
	w.on_worker = starts_then_mends;
	w.on_send = note_detach;
	world_open(&w, 3, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/detach:a,detach:b"), 1);
	cr_expect_eq(detached_ms - done_ms, 1000, "it left %" PRId64 " ms after a was done", detached_ms - done_ms);
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}

Test(engine_group, a_disk_at_the_worker_is_not_waited_for)
{
	w.mood = HANGS;
	w.mood_of = "b";
	w.on_send = note_detach;
	world_open(&w, 2, NULL);
	world_repair(&w);
	while (traced(&w, "POST https://toy.test/detach:a") == 0)
		cr_assert(world_step(&w) && w.now_ms < 60000);
	cr_expect_lt(w.now_ms, 4000);
	world_run(&w, FF_PHASE_ENDED);
}

Test(engine_group, those_on_the_way_home_go_together)
{
	RULES({"look/detach/b", .latency_ms = 900});
	w.mood = FINDS_NOTHING;
	world_open(&w, 3, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/detach:a,detach:c,detach:b"), 1);
	expect_outcome(&w, "b", FF_O_CLEAN, "");
}

/* ---------------------------------------------------------------- keys and polls */

static int64_t last_attach_ms, shortest_gap_ms;

static void note_gap(struct world *world, const char *what)
{
	if (!strstr(what, "POST https://toy.test/attach"))
		return;
	if (last_attach_ms > 0 && world->now_ms - last_attach_ms < shortest_gap_ms)
		shortest_gap_ms = world->now_ms - last_attach_ms;
	last_attach_ms = world->now_ms;
}

/* Three VMs, whose disks go one by one, each in an operation of half a minute. */
static void open_one_by_one(struct ff_provider *provider, struct ff_step *steps, unsigned flags)
{
	last_attach_ms = 0;
	shortest_gap_ms = INT64_MAX;
	memcpy(steps, toy_steps, sizeof(toy_steps));
	steps[ATTACH].group_max = 1;
	steps[ATTACH].flags |= flags;
	w.op_ms = 30000;
	w.on_send = note_gap;
	world_open_table(&w, provider, steps);
	toy_add(w.cloud, "b", false);
	toy_add(w.cloud, "c", false);
}

Test(engine_group, a_free_key_is_held_for_the_request_only)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider provider;

	RULES({"POST https://toy.test/attach", .latency_ms = 5000});
	open_one_by_one(&provider, steps, FF_KEY_FREE);
	world_repair(&w);
	while (traced(&w, "POST https://toy.test/attach") < 3)
		cr_assert(world_step(&w));
	cr_expect_eq(traced(&w, "worker r1 mend"), 0, "none of the operations is over");
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_eq(shortest_gap_ms, 5000, "the next leaves when the one before is answered, and not before");
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}

Test(engine_group, a_key_that_is_not_free_is_held_for_the_operation)
{
	static struct ff_step steps[ROWS];
	static struct ff_provider provider;

	RULES({"POST https://toy.test/attach", .latency_ms = 5000});
	open_one_by_one(&provider, steps, 0);
	world_repair(&w);
	while (traced(&w, "POST https://toy.test/attach") < 3)
		cr_assert(world_step(&w));
	cr_expect_geq(traced(&w, "worker r1 mend"), 1);
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}

Test(engine_group, who_is_done_or_failed_leaves_a_polled_group_at_once)
{
	RULES({"POST https://toy.test/attach:a", .body = "started,started,started", .after = true},
		{"/poll/attach:a,attach:b,attach:c", .body = "done,failed,wait"},
		{"/poll/attach:c", .times = 3, .body = "wait=60000"});
	world_open(&w, 3, NULL);
	world_repair(&w);
	while (traced(&w, "poll/attach:c") < 3)
		cr_assert(world_step(&w));
	cr_expect_eq(traced(&w, "poll/attach:a"), 1);
	cr_expect_eq(traced(&w, "worker r1 mend 1"), 1, "a is mended while c's operation goes on");
	world_run(&w, FF_PHASE_ENDED);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "attach");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}
