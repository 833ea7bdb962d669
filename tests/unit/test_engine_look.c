/* Looks of many VMs in one request: who goes together, and what each is told. */
#include "test_engine_world.h"

TestSuite(engine_look, .init = setup, .fini = teardown);

static struct ff_step steps[ROWS];
static struct ff_provider provider;

/* The toy cloud with a row that looks for up to `max` at once, and VMs "a", "b", ... */
static void open_with(int row, unsigned max, size_t vms)
{
	memcpy(steps, toy_steps, sizeof(steps));
	steps[row].look_max = max;
	steps[row].looks = toy_looks;
	steps[row].lookeds = toy_acted;
	steps[ATTACH].group_max = steps[DETACH].group_max = 256;
	world_open_table(&w, &provider, steps);
	for (size_t i = 1; i < vms; i++) {
		char name[16];

		snprintf(name, sizeof(name), vms <= 26 ? "%c" : "vm%d", vms <= 26 ? (int)('a' + i) : (int)i);
		toy_add(w.cloud, name, false);
	}
}

static int64_t tick_ms;
static int ticks;

static void count_ticks(struct world *world, const char *what)
{
	if (strstr(what, "/looks/verify") && world->now_ms != tick_ms) {
		tick_ms = world->now_ms;
		ticks++;
	}
}

Test(engine_look, three_hundred_vms_verify_with_three_requests_a_round)
{
	ticks = 0;
	w.on_send = count_ticks;
	w.up_ms = 120000;
	open_with(VERIFY, 100, 300);
	w.cloud->vms[0]->slots_max = 150;
	toy_add(w.cloud, "r2", true)->slots_max = 150;
	world_finish(&w);
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 300);
	cr_expect_gt(ticks, 5);
	/* a dozen rounds: 3600 looks of one VM each */
	cr_expect_leq(traced(&w, "/looks/verify"), 3 * ticks);
	cr_expect_lt(traced(&w, "/looks/verify"), 60);
	cr_expect_gt(traced(&w, "/looks/verify"), 30);
	cr_expect_eq(traced(&w, "GET https://toy.test/look/verify"), 0);
}

Test(engine_look, those_due_within_a_quarter_of_a_second_come_along)
{
	RULES({"POST https://toy.test/start:b", .latency_ms = 200},
		{"POST https://toy.test/start:c", .latency_ms = 300},
		{"POST https://toy.test/start:d", .latency_ms = 500});
	w.up_ms = 20000;
	open_with(VERIFY, 100, 4);
	world_finish(&w);
	for (const char *name = "a\0b\0c\0d\0"; *name != '\0'; name += 2)
		expect_outcome(&w, name, FF_O_REPAIRED, "");
	cr_expect_geq(traced(&w, "/looks/verify:a,verify:b,verify:c"), 1);
	cr_expect_eq(traced(&w, "verify:c,verify:d"), 0, "400 ms are too long");
}

Test(engine_look, each_member_is_told_its_own)
{
	RULES({"/looks/verify:a,verify:b,verify:c", .times = 1, .body = "done,failed=permanent,wait"});
	open_with(VERIFY, 100, 3);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "the toy cloud says no");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "/looks/verify"), 2);
}

Test(engine_look, one_unknown_id_does_not_spoil_the_others)
{
	RULES({"/looks/verify:a,verify:b,verify:c", .status = 404}, {"/looks/verify:b", .status = 404},
		{"/looks/verify:a", .times = 1, .body = "wait"}, {"/looks/verify:c", .times = 1, .body = "wait"});
	open_with(VERIFY, 100, 3);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "");
	cr_expect_eq(ended_of(&w, "b")->class, FF_E_GONE);
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "/looks/verify:a,verify:b,verify:c"), 1, "once together, once alone");
	cr_expect_eq(traced(&w, "/looks/verify:a,verify:c"), 1, "then together again, without the unknown one");
	cr_expect_eq(traced(&w, "/looks/verify:b"), 1);
}

Test(engine_look, a_request_that_is_split_is_made_for_each_alone)
{
	RULES({"/looks/verify:a,verify:b", .body = "split,split"}, {"/looks/verify:a", .body = "split"});
	open_with(VERIFY, 100, 2);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "somebody else is at it");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "/looks/verify"), 3);
}

Test(engine_look, a_request_that_cannot_be_built_together_is_built_alone)
{
	open_with(VERIFY, 100, 2);
	w.cloud->split_build = true;
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "/looks/verify"), 2);
}

Test(engine_look, a_request_that_fails_fails_all_its_members)
{
	RULES({"/looks/verify", .transport = FF_T_UNTRUSTED});
	open_with(VERIFY, 100, 3);
	world_finish(&w);
	cr_expect_eq(traced(&w, "/looks/verify"), 1);
	for (const char *name = "a\0b\0c\0"; *name != '\0'; name += 2) {
		expect_outcome(&w, name, FF_O_FAILED_HOME, "mended and home");
		cr_expect_eq(ended_of(&w, name)->class, FF_E_PERMANENT);
	}
}

Test(engine_look, a_request_that_waits_for_its_budget_is_filled_before_it_leaves)
{
	RULES({"POST https://toy.test/start:b", .latency_ms = 400},
		{"POST https://toy.test/start:c", .latency_ms = 900});
	open_with(VERIFY, 100, 3);
	w.cloud->many = 1;
	world_finish(&w);
	cr_expect_eq(traced(&w, "/looks/verify:b,verify:c"), 1);
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}

Test(engine_look, an_interrupt_reaches_who_waits_to_look)
{
	RULES({"/looks/stop", .body = "wait=600000"});
	open_with(STOP, 100, 1);
	steps[STOP].flags |= FF_LOOK_AFTER;
	world_repair(&w);
	while (traced(&w, "/looks/stop") == 0 || w.engine->ones[0].state != FF_ONE_PAUSED)
		cr_assert(world_step(&w));
	ff_engine_interrupt(w.engine);
	world_run(&w, FF_PHASE_ENDED);
	cr_expect_lt(w.now_ms, 60000);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "interrupted");
}

/* What is not to be seen yet may be later. */
static void looked_patiently(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	toy_acted(cloud, m, n, wall_ms, answer, v);
	if (answer->status == 404)
		v[0] = (struct ff_verdict){.meaning = FF_M_WAIT};
	for (size_t i = 0; i < n; i++)
		v[i].wait_ms = 2000; /* all in step */
}

Test(engine_look, who_is_unknown_alone_stays_alone_until_it_is_seen)
{
	RULES({"verify:b", .times = 4, .status = 404});
	w.up_ms = 60000;
	open_with(VERIFY, 100, 3);
	steps[VERIFY].lookeds = looked_patiently;
	world_finish(&w);
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "/looks/verify:a,verify:b,verify:c"), 1, "it spoils one request, not each");
	cr_expect_geq(traced(&w, "/looks/verify:a,verify:c"), 2);
	cr_expect_geq(traced(&w, "/looks/verify:b"), 4);
}

/* How often the copy of "a" was looked at, with a look that is good for so long, and its request throttled. */
static int looks_at_a_throttled_copy(int64_t fresh_ms)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .status = 429, .retry_after = "17"});
	open_with(VERIFY, 100, 1);
	steps[COPY].flags |= FF_LOOK_FIRST;
	steps[COPY].fresh_ms = fresh_ms;
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "send POST https://toy.test/copy:a"), 2);
	return traced(&w, "/look/copy/a");
}

Test(engine_look, what_was_seen_too_long_ago_is_looked_at_again_before_the_act)
{
	cr_expect_eq(looks_at_a_throttled_copy(16000), 2);
}

Test(engine_look, what_is_fresh_is_not_looked_at_again)
{
	cr_expect_eq(looks_at_a_throttled_copy(18000), 1);
}

Test(engine_look, who_looks_again_has_not_drawn_on_the_budget_in_vain)
{
	RULES({"POST https://toy.test/attach:", .latency_ms = 100});
	open_with(VERIFY, 100, 3);
	w.cloud->moves = 1;
	steps[ATTACH].group_max = steps[DETACH].group_max = 1;
	steps[ATTACH].flags |= FF_LOOK_FIRST;
	steps[ATTACH].fresh_ms = 4000;
	world_finish(&w);
	cr_expect_gt(traced(&w, "/look/attach/"), 3);
	for (const char *name = "a\0b\0c\0"; *name != '\0'; name += 2)
		expect_outcome(&w, name, FF_O_REPAIRED, "");
	cr_expect_lt(w.now_ms, 120000, "%" PRId64, w.now_ms);
}

Test(engine_look, who_waited_too_long_for_its_turn_looks_again_and_keeps_it)
{
	RULES({"POST https://toy.test/copy:", .latency_ms = 100});
	open_with(VERIFY, 100, 12);
	w.cloud->moves = 1;
	steps[COPY].act = toy_move;
	steps[ATTACH].act = steps[DETACH].act = toy_act;
	steps[COPY].flags |= FF_LOOK_FIRST;
	steps[COPY].fresh_ms = 4000;
	world_finish(&w);
	for (char name[] = "a"; name[0] <= 'l'; name[0]++)
		expect_outcome(&w, name, FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "/look/copy/a"), 1);
	cr_expect_eq(traced(&w, "/look/copy/l"), 2, "however long the line is");
	cr_expect_lt(w.now_ms, 100000, "%" PRId64, w.now_ms);
}
