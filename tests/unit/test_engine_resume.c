/*
 * Going on with a run: it dies after each record of its journal, and before and after each of its requests; gone on
 * with, it comes to the same end, and does nothing twice.
 */
#include "test_engine_world.h"

TestSuite(engine_resume, .init = setup, .fini = teardown);

static struct ff_err err;

/* ---------------------------------------------------------------- dying and going on */

/* The next process finds the fleet. What discovery shows of a VM under way is no guide: it looks hopeless. */
static void find_again(size_t vms)
{
	world_dies(&w);
	world_open(&w, vms, NULL);
	for (size_t i = 0; i < w.cloud->count; i++) {
		struct ff_vm *vm = w.cloud->vms[i];

		if (vm->rescue || state_of(&w, vm->name)->running)
			continue;
		vm->running = false;
		vm->health = FF_SKIPPED;
		vm->reason = (char *)"it has no OS disk";
	}
	world_run(&w, FF_PHASE_FOUND);
}

static int resume(void)
{
	return ff_engine_resume(w.engine, ff_source_of(w.journal.text, w.journal.len), &err);
}

/* To its end, or to its death. */
static void run_on(void)
{
	ff_engine_turn(w.engine);
	while (!w.dead && ff_engine_phase(w.engine) < FF_PHASE_ENDED) {
		cr_assert(world_step(&w), "nothing goes on at %" PRId64 " ms", w.now_ms);
		cr_assert(w.now_ms < 9 * (int64_t)A_DAY_MS, "no end within days");
	}
}

/* One VM is mended, one is clean, one cannot be swapped; and what else the rules say. */
struct story {
	struct rule *rules;
	size_t count;
	int64_t op_ms;
};

static void begin(const struct story *s)
{
	for (size_t i = 0; i < s->count; i++)
		s->rules[i].seen = 0;
	w.rules = s->rules;
	w.rule_count = s->count;
	w.op_ms = s->op_ms;
	world_open(&w, 3, NULL);
	w.mood = FINDS_NOTHING;
	w.mood_of = "b";
}

static void forget(void)
{
	cr_expect(!w.unsynced_send);
	world_close(&w);
	memset(&w, 0, sizeof(w));
}

static void expect_vm(const char *when, const char *name, bool swapped)
{
	const struct toy_state *s = state_of(&w, name);

	cr_expect(!s->claimed && s->running && !s->attached && s->swapped == swapped && s->copied == swapped,
		"%s: %s: claimed %d, running %d, attached %d, swapped %d, copied %d", when, name, s->claimed,
		s->running, s->attached, s->swapped, s->copied);
	cr_expect(s->twice == 0 && s->wrong == 0, "%s: %s: %d acts were done twice, %d must not have been", when, name,
		s->twice, s->wrong);
}

static void expect_end(const char *when)
{
	const struct ff_result *r = ff_engine_result(w.engine);
	static const char *const outcomes[] = {"repaired", "clean", "failed-home"};

	cr_assert_eq(r->count, 3);
	for (size_t i = 0; i < 3; i++)
		cr_expect_str_eq(ff_outcome_name(r->ended[i].outcome), outcomes[i], "%s: %s: %s", when,
			r->ended[i].vm->name, r->ended[i].reason);
	cr_expect_str_eq(r->ended[0].reason, "1 file removed", "%s", when);
	cr_expect_eq(json_array_size(r->ended[0].removed), 1, "%s", when);
	cr_expect(strstr(r->ended[2].reason, "swap: ") != NULL, "%s: %s", when, r->ended[2].reason);
	expect_vm(when, "a", true);
	expect_vm(when, "b", false);
	expect_vm(when, "c", false);
	cr_expect_eq(w.engine->under_way, 0);
	for (unsigned i = 0; i < w.engine->rescues[0]->slots; i++)
		cr_expect_eq(w.engine->rescues[0]->used[i], 0, "%s: slot %u is taken", when, i);
}

/* Going on once more with what is finished: nothing is written, nothing is sent. */
static void expect_nothing_more(const char *when)
{
	size_t len = w.journal.len, sends;

	find_again(3);
	sends = w.sends;
	cr_assert_eq(resume(), 0, "%s: %s", when, err.text);
	run_on();
	cr_expect_eq(w.journal.len, len, "%s", when);
	cr_expect_eq(w.sends, sends, "%s", when);
	expect_end(when);
}

/* Live until it dies as it was told; go on; expect the same end. `kept`: what was not synced is lost otherwise. */
static void die_and_go_on(const char *when, bool kept)
{
	world_repair(&w);
	run_on();
	cr_assert(w.dead, "%s: it did not die", when);
	if (!kept)
		w.journal.len = w.synced;
	find_again(3);
	cr_assert_eq(resume(), 0, "%s: %s", when, err.text);
	run_on();
	expect_end(when);
	expect_nothing_more(when);
}

static void die_everywhere(const struct story *story)
{
	size_t lines, sends;
	char when[64];

	begin(story);
	world_finish(&w);
	expect_end("undisturbed");
	lines = w.lines;
	sends = w.sends;
	cr_assert_gt(lines, 60);
	/* run, scope and three plans come first: without them nothing was begun */
	for (size_t at = 5; at < lines; at++) {
		snprintf(when, sizeof(when), "after record %zu", at);
		forget();
		begin(story);
		w.dies_at_line = at;
		die_and_go_on(when, true);
	}
	/* signing in and the list come first */
	for (size_t i = 2 * 3; i < 2 * sends; i++) {
		snprintf(when, sizeof(when), "%s request %zu", i % 2 ? "after" : "before", i / 2);
		forget();
		begin(story);
		w.dies_at_send = i / 2;
		w.effect_stays = i % 2;
		die_and_go_on(when, i % 2);
	}
}

#define REFUSED                                                                                                        \
	{                                                                                                              \
		.url = "POST https://toy.test/swap:c", .status = 403                                                   \
	}

Test(engine_resume, a_run_that_dies_anywhere_comes_to_the_same_end)
{
	struct rule rules[] = {REFUSED};

	die_everywhere(&(struct story){rules, FF_COUNT(rules), 0});
}

Test(engine_resume, so_does_one_whose_requests_start_operations)
{
	struct rule rules[] = {REFUSED};

	die_everywhere(&(struct story){rules, FF_COUNT(rules), 5000});
}

Test(engine_resume, so_does_one_in_trouble)
{
	struct rule rules[] = {REFUSED,
		{"POST https://toy.test/stop:a", .times = 1, .transport = FF_T_BROKEN, .after = true},
		{"POST https://toy.test/copy:b", .times = 1, .status = 500},
		{"POST https://toy.test/attach", .times = 1, .body = "split,split,split"},
		{"POST https://toy.test/start:b", .times = 1, .body = "look"},
		{"look/release/a", .times = 1, .status = 503},
		{"POST https://toy.test/claim:c", .times = 1, .status = 429, .retry_after = "2"}};

	die_everywhere(&(struct story){rules, FF_COUNT(rules), 0});
}

/* ---------------------------------------------------------------- one thing at a time */

/* Two VMs, one at a time, dead when that request is about to be sent; found again. */
static void die_before(const char *what, struct ff_engine_config *config)
{
	world_open(&w, 2, config);
	world_repair(&w);
	ff_engine_turn(w.engine);
	while (traced(&w, what) == 0)
		cr_assert(world_step(&w), "'%s' never comes", what);
	find_again(2);
}

static void resume_and_run(void)
{
	cr_assert_eq(resume(), 0, "%s", err.text);
	run_on();
}

/* How many different tokens the journal's intents of that step have. */
static size_t tokens_of(const char *step)
{
	ff_auto_free char *head = ff_printf("\"k\":\"intent\",\"step\":\"%s\"", step);
	struct ff_strv tokens = {0};
	const char *at = w.journal.text;
	size_t n;

	while ((at = strstr(at, head)) != NULL) {
		ff_auto_free char *token = ff_strndup(strstr(at, "\"token\":\"") + 9, 36);

		if (!ff_strv_has(&tokens, token))
			ff_strv_add(&tokens, token);
		at += strlen(head);
	}
	n = tokens.count;
	ff_strv_free(&tokens);
	return n;
}

Test(engine_resume, what_is_repeated_is_the_same_request)
{
	world_open(&w, 1, NULL);
	w.dies_at_send = 4; /* stop */
	world_repair(&w);
	run_on();
	find_again(1);
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "POST https://toy.test/stop:a"), 1);
	cr_expect_eq(tokens_of("stop"), 1);
}

Test(engine_resume, an_operation_that_was_begun_is_the_same_request_too)
{
	RULES({"look/stop/a", .body = "not-done", .times = 1});
	w.op_ms = 5000;
	world_open(&w, 1, NULL);
	world_repair(&w);
	ff_engine_turn(w.engine);
	while (traced(&w, "poll/stop:a") == 0)
		world_step(&w);
	find_again(1);
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "POST https://toy.test/stop:a"), 2);
	cr_expect_eq(tokens_of("stop"), 1);
}

Test(engine_resume, after_an_answer_the_next_request_is_a_new_one)
{
	RULES({"POST https://toy.test/copy:a", .times = 1, .body = "look"});
	world_open(&w, 1, NULL);
	world_repair(&w);
	ff_engine_turn(w.engine);
	while (traced(&w, "look/copy/a") == 0)
		world_step(&w);
	find_again(1);
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	cr_expect_eq(tokens_of("copy"), 2);
}

Test(engine_resume, who_was_not_begun_is_looked_at_anew)
{
	struct ff_vm *b;

	die_before("POST https://toy.test/stop:a", &(struct ff_engine_config){.parallel = 1});
	b = w.cloud->vms[2];
	b->health = FF_HEALTHY;
	b->reason = (char *)"its agent is ready";
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_SKIPPED, "not begun: its agent is ready");
	cr_expect_eq(traced(&w, "stop:b"), 0);
}

/* One VM, dead after that record, and mended by hand before the run was gone on with. */
static void die_and_be_mended(size_t at)
{
	world_open(&w, 1, NULL);
	w.dies_at_line = at;
	world_repair(&w);
	run_on();
	find_again(1);
	w.cloud->vms[1]->health = FF_HEALTHY;
	w.cloud->vms[1]->reason = (char *)"its agent is ready";
	resume_and_run();
}

Test(engine_resume, who_was_claimed_and_is_well_by_now_is_not_stopped)
{
	size_t claimed = 0;

	/* run, scope, plan and rescue VM come first */
	for (size_t at = 5;; at++) {
		die_and_be_mended(at);
		if (traced(&w, "POST https://toy.test/copy:a") > 0) /* it had been about to be stopped */
			break;
		expect_outcome(&w, "a", FF_O_SKIPPED,
			traced(&w, "release:a") > 0 ? "it is left alone: its agent is ready"
						    : "not begun: its agent is ready");
		claimed += traced(&w, "POST https://toy.test/release:a");
		cr_expect_eq(traced(&w, "POST https://toy.test/stop:a"), 0, "after record %zu", at);
		cr_expect(state_of(&w, "a")->running && !state_of(&w, "a")->claimed, "after record %zu", at);
		forget();
	}
	cr_expect_geq(claimed, 2, "after the claim's intent, and after its step");
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

/* It was claimed by a process that has died since, and may have been started: its provider is asked before it goes
 * down. */
Test(engine_resume, who_was_claimed_is_looked_at_before_it_is_stopped)
{
	size_t begun = 0;

	for (size_t at = 5;; at++) {
		size_t claims;

		world_open(&w, 1, NULL);
		w.dies_at_line = at;
		world_repair(&w);
		run_on();
		if (traced(&w, "POST https://toy.test/stop:a") > 0)
			break;
		claims = tokens_of("claim");
		begun += claims;
		find_again(1);
		resume_and_run();
		expect_outcome(&w, "a", FF_O_REPAIRED, "");
		cr_expect_eq(traced(&w, "GET https://toy.test/look/stop/a"), (int)claims, "after record %zu", at);
		forget();
	}
	cr_expect_geq(begun, 2, "after the claim's intent, and after its step");
}

Test(engine_resume, who_was_taken_down_is_mended_whatever_it_looks_like)
{
	die_before("POST https://toy.test/copy:a", NULL);
	w.cloud->vms[1]->health = FF_HEALTHY;
	w.cloud->vms[1]->reason = (char *)"its agent is ready";
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_resume, who_was_not_begun_and_is_gone_is_skipped)
{
	die_before("POST https://toy.test/stop:a", &(struct ff_engine_config){.parallel = 1});
	w.cloud->vms[2]->id[5] = 'X';
	resume_and_run();
	expect_outcome(&w, "b", FF_O_SKIPPED, "not begun: it is gone");
}

Test(engine_resume, who_was_not_begun_begins)
{
	die_before("POST https://toy.test/stop:a", &(struct ff_engine_config){.parallel = 1});
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	cr_expect_eq(traced(&w, "stop:b"), 1);
}

Test(engine_resume, what_failed_on_the_way_is_still_told)
{
	RULES({"POST https://toy.test/swap:a", .status = 403}, {"POST https://toy.test/delete:a", .status = 403});
	die_before("POST https://toy.test/start:a", &(struct ff_engine_config){.parallel = 1});
	resume_and_run();
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "swap: the toy cloud says no; delete: the toy cloud says no");
	cr_expect_eq(traced(&w, "delete:a"), 1);
}

Test(engine_resume, a_rescue_vm_that_is_gone_keeps_nobody_away)
{
	die_before("POST https://toy.test/detach:a", &(struct ff_engine_config){.parallel = 1});
	w.cloud->vms[0]->rescue = false;
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_SKIPPED, "not begun: there is no rescue VM");
	cr_expect(state_of(&w, "a")->running && state_of(&w, "a")->swapped);
}

Test(engine_resume, without_a_worker_the_disk_goes_home)
{
	die_before("worker r1 mend 1", &(struct ff_engine_config){.parallel = 1});
	w.mood = IS_UNABLE;
	resume_and_run();
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: no appliance");
	expect_outcome(&w, "b", FF_O_SKIPPED, "rescue VM 'r1': no appliance");
	cr_expect(state_of(&w, "a")->running && !state_of(&w, "a")->attached && !state_of(&w, "a")->copied);
}

Test(engine_resume, the_slot_of_a_vm_under_way_is_its_own)
{
	die_before("worker r1 mend 1", NULL);
	w.cloud->vms[0]->slots_max = 3;
	memset(w.cloud->vms[0]->slots_used, 1, 2); /* a's and b's copies, as discovery sees them */
	cr_assert_eq(resume(), 0, "%s", err.text);
	cr_expect_eq(w.engine->rescues[0]->free, 1);
	cr_expect_eq(w.engine->ones[0].slot, 0);
	cr_expect_eq(w.engine->ones[1].slot, 1);
	run_on();
	cr_expect_eq(w.engine->rescues[0]->free, 3);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

/* A scope whose VMs cannot be listed now: they stay as they are, and the run stays open. */
Test(engine_resume, a_cloud_that_cannot_be_read_is_left_as_it_is)
{
	RULES({"GET https://toy.test/list", .skip = 1, .times = 1, .status = 403});
	die_before("worker r1 mend 1", NULL);
	cr_expect(ff_engine_scope_error(w.engine, 0) != NULL);
	w.sends = 0;
	resume_and_run();
	cr_expect_eq(w.sends, 0);
	cr_expect_eq(ended_of(&w, "a")->outcome, FF_O_NONE);
	cr_expect_str_eq(ended_of(&w, "a")->step, "repair");
	find_again(2);
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_resume, an_interrupt_brings_home_what_was_taken_up)
{
	die_before("worker r1 mend 1", &(struct ff_engine_config){.parallel = 1});
	cr_assert_eq(resume(), 0, "%s", err.text);
	ff_engine_interrupt(w.engine);
	run_on();
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "interrupted before it was mended");
	cr_expect_eq(ended_of(&w, "b")->outcome, FF_O_NONE);
	cr_expect(state_of(&w, "a")->running);
	find_again(2);
	resume_and_run();
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
}

/* What was kept before the crash may be of what was removed: nothing is written over it. */
Test(engine_resume, files_that_are_kept_again_have_a_folder_of_their_own)
{
	size_t line = 1;

	world_open(&w, 1, NULL);
	world_finish(&w);
	for (const char *at = w.journal.text; at < strstr(w.journal.text, "\"k\":\"keep-end\""); at++)
		line += *at == '\n';
	forget();
	world_open(&w, 1, NULL);
	w.dies_at_line = line;
	world_repair(&w);
	run_on();
	find_again(1);
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "1 file removed");
	cr_expect_eq(traced(&w, "keep 1-a 0"), 1);
	cr_expect_eq(traced(&w, "keep 1-a.2 0"), 1);
}

Test(engine_resume, a_run_that_was_stopped_at_once_goes_on)
{
	world_open(&w, 2, NULL);
	world_repair(&w);
	ff_engine_turn(w.engine);
	while (traced(&w, "worker r1 mend 1") == 0)
		world_step(&w);
	ff_engine_interrupt(w.engine);
	ff_engine_interrupt(w.engine);
	run_on();
	cr_expect_not_null(strstr(w.journal.text, "\"k\":\"stop\",\"why\":\"interrupted\""));
	cr_expect(state_of(&w, "a")->attached, "it was to be stopped, not brought home");
	find_again(2);
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
}

/* The caller cuts the file; the engine must not count the torn record as one. */
Test(engine_resume, a_torn_record_is_passed_over)
{
	ff_auto_buf torn = {0};

	die_before("POST https://toy.test/stop:a", NULL);
	ff_buf_add(&torn, w.journal.text, w.journal.len);
	ff_buf_adds(&torn, "{\"n\":99,\"t\":\"2024-07-19T04");
	cr_assert_eq(ff_engine_resume(w.engine, ff_source_of(torn.text, torn.len), &err), 0, "%s", err.text);
	run_on();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	find_again(2); /* the records written after it follow those before it */
	cr_expect_eq(resume(), 0, "%s", err.text);
}

Test(engine_resume, a_canary_under_way_is_still_the_canary)
{
	struct ff_engine_config config = {.canary = 1};

	world_open(&w, 3, &config);
	world_repair(&w);
	ff_engine_turn(w.engine);
	while (traced(&w, "worker r1 mend 1") == 0)
		world_step(&w);
	world_dies(&w);
	world_open(&w, 3, &config);
	world_run(&w, FF_PHASE_FOUND);
	cr_assert_eq(resume(), 0, "%s", err.text);
	ff_engine_turn(w.engine);
	while (w.engine->ended[FF_O_REPAIRED] == 0) {
		cr_expect_eq(w.engine->under_way, 1);
		world_step(&w);
	}
	run_on();
	cr_expect_eq(w.engine->ended[FF_O_REPAIRED], 3);
}

Test(engine_resume, who_is_stuck_stays_stuck_with_its_commands)
{
	RULES({"POST https://toy.test/swap:a", .body = "failed", .after = true},
		{"POST https://toy.test/swap-back:a", .status = 403});
	die_before("POST https://toy.test/stop:b", &(struct ff_engine_config){.parallel = 1});
	resume_and_run();
	expect_outcome(&w, "a", FF_O_STUCK, "swap-back");
	cr_expect_str_eq(json_string_value(json_array_get(ended_of(&w, "a")->by_hand, 0)), "toy swap-back a");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
}

/* ---------------------------------------------------------------- what is refused */

static void refused(const char *text)
{
	size_t sends = w.sends, len = w.journal.len;

	cr_assert_eq(resume(), -1, "it was not refused: %s", text);
	cr_expect(strstr(err.text, text) != NULL, "'%s' is not in '%s'", text, err.text);
	cr_expect_eq(w.sends, sends);
	cr_expect_eq(w.journal.len, len);
}

Test(engine_resume, another_account_is_refused)
{
	die_before("POST https://toy.test/stop:a", NULL);
	w.cloud->account = "toy-2";
	refused("the run is of toy cloud (toy-1), but these credentials are of toy-2");
}

/* simulation, seeds 701996 and 700645: who is signed in was not to be learned, now or when the run was begun */
Test(engine_resume, an_account_that_cannot_be_told_now_is_waited_for)
{
	die_before("POST https://toy.test/stop:a", NULL);
	w.cloud->account = "";
	refused("whose these credentials are could not be learned this time: try again; nothing was changed");
	cr_expect_eq(err.class, FF_E_TRANSIENT);
}

Test(engine_resume, an_account_that_was_never_told_is_not_compared)
{
	static const struct {
		const char *was, *is;
		enum ff_class class;
	} cases[] = {
		{"/east", "1234/east", FF_E_NONE},
		{"/east", "/east", FF_E_NONE},
		{"/east", "1234/west", FF_E_USAGE},
		{"1234/east", "/west", FF_E_USAGE},
		{"1234/east", "/east", FF_E_TRANSIENT},
		{"1234/east", "123/east", FF_E_USAGE},
		{"1234/east", "1234", FF_E_USAGE},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		world_open(&w, 1, NULL);
		w.cloud->account = cases[i].was;
		world_repair(&w);
		ff_engine_turn(w.engine);
		find_again(1);
		w.cloud->account = cases[i].is;
		err = (struct ff_err){0};
		cr_expect_eq(resume(), cases[i].class == FF_E_NONE ? 0 : -1, "%zu: %s", i, err.text);
		cr_expect_eq(err.class, cases[i].class, "%zu: %s", i, err.text);
		forget();
	}
}

Test(engine_resume, another_run_is_refused)
{
	die_before("POST https://toy.test/stop:a", NULL);
	free(w.engine->run);
	w.engine->run = ff_strdup("run-2");
	refused("the journal is that of run 'run-1', not of 'run-2'");
}

/* The journal with one text in place of another of the same length, sums made anew. */
static void forge(const char *from, const char *to)
{
	ff_auto_buf out = {0};
	struct ff_chain chain = {0};
	char *line, *end;

	for (line = w.journal.text; line < w.journal.text + w.journal.len; line = end + 1) {
		char *hit;
		ff_auto_json json_t *record = NULL;

		end = strchr(line, '\n');
		*end = '\0';
		hit = strstr(line, from);
		if (hit != NULL)
			memcpy(hit, to, strlen(to));
		record = json_loads(line, 0, NULL);
		cr_assert(record != NULL);
		json_object_del(record, "n");
		json_object_del(record, "t");
		json_object_del(record, "sum");
		ff_journal_line(&chain, 1721361600000, record, &out);
		*end = '\n';
	}
	ff_buf_free(&w.journal);
	ff_buf_add(&w.journal, out.text, out.len);
}

Test(engine_resume, another_program_is_refused)
{
	die_before("POST https://toy.test/stop:a", NULL);
	forge("\"fixfleet 0", "\"fixfleet 9");
	refused("the run was begun by 'fixfleet 9");
}

Test(engine_resume, another_version_of_the_journal_is_refused)
{
	die_before("POST https://toy.test/stop:a", NULL);
	forge("\"version\":2", "\"version\":3");
	refused("is of version 3, this program reads 2");
}

Test(engine_resume, a_record_that_contradicts_the_others_is_refused)
{
	die_before("POST https://toy.test/stop:a", NULL);
	forge("\"step\":\"claim\",\"way\"", "\"step\":\"clais\",\"way\"");
	refused("VM 1 cannot be at step 'clais'");
}

Test(engine_resume, no_flipped_byte_is_believed)
{
	ff_auto_free char *text = NULL;
	size_t len, last;

	die_before("POST https://toy.test/stop:a", NULL);
	len = w.journal.len;
	text = ff_strndup(w.journal.text, len);
	for (last = len - 1; text[last - 1] != '\n'; last--)
		;
	for (size_t i = 0; i < last; i++) {
		text[i] ^= 1 << i % 7;
		cr_assert_eq(ff_engine_resume(w.engine, ff_source_of(text, len), &err), -1, "byte %zu", i);
		cr_assert(strstr(err.text, "damaged at byte ") != NULL, "byte %zu: %s", i, err.text);
		text[i] ^= 1 << i % 7;
	}
	resume_and_run();
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_resume, what_is_home_is_not_taken_away_again)
{
	RULES({"look/verify/a", .body = "not-done"});
	die_before("look/verify/a", &(struct ff_engine_config){.parallel = 1});
	resume_and_run();
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "mended and home, but it did not prove that it came up");
	cr_expect(state_of(&w, "a")->swapped && state_of(&w, "a")->running && !state_of(&w, "a")->claimed);
}
