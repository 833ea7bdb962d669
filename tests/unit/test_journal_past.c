/* A run told by its journal is the run that was: outcomes, facts, places; and no secrets in it. */
#include "test_engine_world.h"

TestSuite(journal_past, .init = setup, .fini = teardown);

static struct ff_past past;

static void read_past(void)
{
	struct ff_err err;

	cr_assert_eq(ff_past_read(ff_source_of(w.journal.text, w.journal.len), &past, &err), 0, "%s", err.text);
}

Test(journal_past, the_replayed_run_is_the_run)
{
	RULES({"POST https://toy.test/copy:b", .body = "failed"},
		{"POST https://toy.test/stop:c", .times = 1, .status = 500},
		{"poll/copy:a", .times = 1, .body = "wait=9"});
	w.op_ms = 3000;
	world_open(&w, 4, NULL);
	w.cloud->vms[4]->zone = (char *)"3";
	world_finish(&w);
	read_past();
	cr_expect_str_eq(past.run, "run-1");
	cr_expect(ff_has_prefix(past.started, "2024-07-19T04:00:00"));
	cr_expect(past.ended != NULL);
	cr_expect(!past.torn);
	cr_assert_eq(past.count, 4);
	for (size_t i = 0; i < past.count; i++) {
		const struct ff_one *one = &w.engine->ones[i];
		const struct ff_past_vm *vm = &past.vms[i];
		ff_auto_free char *where = ff_one_where(w.engine, one);

		cr_expect(json_equal(vm->facts, one->facts), "%s: facts differ", vm->name);
		cr_expect_str_eq(vm->outcome, ff_outcome_name((enum ff_outcome)one->outcome));
		cr_expect_str_eq(vm->reason, one->reason);
		cr_expect_str_eq(vm->where, where);
		cr_expect_str_eq(vm->id, one->vm->id);
		cr_expect_eq(vm->took_ms, one->took_ms);
		cr_expect(json_equal(vm->removed, one->removed ? one->removed : w.engine->no_files));
	}
	cr_expect_str_eq(ff_json_str(past.vms[0].facts, "waited"), "9");
	cr_expect_str_eq(past.vms[1].outcome, "failed-home");
	ff_past_forget_vms(&past);
	cr_expect_eq(past.count, 0);
	cr_expect_null(past.vms);
	cr_expect_str_eq(past.run, "run-1");
	ff_past_release(&past);
}

Test(journal_past, a_run_that_is_cut_short_anywhere_can_be_read)
{
	size_t lines = 0;

	world_open(&w, 2, NULL);
	world_finish(&w);
	for (size_t len = 1; len <= w.journal.len; len++) {
		struct ff_err err;

		if (w.journal.text[len - 1] != '\n')
			continue;
		cr_assert_eq(ff_past_read(ff_source_of(w.journal.text, len), &past, &err), 0, "%s", err.text);
		cr_expect(!past.torn);
		cr_expect_eq(past.ended != NULL, len == w.journal.len);
		ff_past_release(&past);
		cr_assert_eq(ff_past_read(ff_source_of(w.journal.text, len + (len < w.journal.len)), &past, &err), 0);
		cr_expect_eq(past.torn, len < w.journal.len);
		ff_past_release(&past);
		lines++;
	}
	cr_expect_gt(lines, 30);
}

Test(journal_past, an_open_run_tells_where_each_vm_stands)
{
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (traced(&w, "/swap:a") == 0)
		world_step(&w);
	read_past();
	cr_expect(past.ended == NULL);
	cr_expect(past.vms[0].outcome == NULL);
	cr_expect_str_eq(past.vms[0].step, "swap");
	cr_expect_str_eq(past.vms[0].where, "disk of 'a' in slot 0");
	ff_past_release(&past);
	world_run(&w, FF_PHASE_ENDED);
}

Test(journal_past, the_records_are_those_that_resume_needs)
{
	static const char *const kinds[] = {"run", "scope", "plan", "rescue", "admit", "intent", "result", "step",
		"job", "keep-end", "mended", "done", "end", "finish"};

	world_open(&w, 1, NULL);
	world_finish(&w);
	for (size_t i = 0; i < FF_COUNT(kinds); i++) {
		ff_auto_free char *text = ff_printf("\"k\":\"%s\"", kinds[i]);

		cr_expect(strstr(w.journal.text, text) != NULL, "no record '%s'", kinds[i]);
	}
}

Test(journal_past, secrets_and_query_texts_never_reach_the_journal_or_the_events)
{
	RULES({"POST https://toy.test/stop:a", .times = 1, .status = 401});
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect(strstr(w.journal.text, "secret-") == NULL, "a token");
	cr_expect(strstr(w.journal.text, "SECRET") == NULL, "a query");
	cr_expect(strstr(w.journal.text, "\"path\":\"/stop:a\"") != NULL);
	cr_expect_eq(said(&w, "secret-") + said(&w, "SECRET"), 0);
}

Test(journal_past, records_about_vms_that_no_plan_names_are_an_error)
{
	static const char *const kinds[] = {"step", "end", "turn", "job", "result", "plan"};

	for (size_t i = 0; i < FF_COUNT(kinds); i++) {
		struct ff_buf text = {0};
		struct ff_chain chain = {0};
		struct ff_err err;
		ff_auto_json json_t *run = json_pack(
					    "{s:s,s:i,s:s}", "k", "run", "version", FF_JOURNAL_VERSION, "run", "r"),
				    *bad = json_pack("{s:s,s:i,s:[{s:i}]}", "k", kinds[i], "vm", 7, "members", "vm", 7);

		ff_journal_line(&chain, 0, run, &text);
		ff_journal_line(&chain, 0, bad, &text);
		cr_expect_eq(ff_past_read(ff_source_of(text.text, text.len), &past, &err), -1, "%s", kinds[i]);
		cr_expect(strstr(err.text, "journal record 2") != NULL, "%s", err.text);
		ff_buf_free(&text);
	}
	world_open(&w, 0, NULL);
}

Test(journal_past, an_empty_journal_holds_no_run)
{
	struct ff_err err;

	world_open(&w, 0, NULL);
	cr_expect_eq(ff_past_read(ff_source_of("", 0), &past, &err), -1);
	cr_expect_eq(ff_past_read(ff_source_of("{\"n\":1", 6), &past, &err), -1);
}
