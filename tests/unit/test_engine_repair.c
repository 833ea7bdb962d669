/* The worker's protocol: what it is told, what is believed, what becomes of its disks when it dies. */
#include "test_engine_world.h"

TestSuite(engine_repair, .init = setup, .fini = teardown);

/* Where in the trace the n-th line with that text is; a big number when it is not. */
static size_t at(const char *text)
{
	for (size_t i = 0; i < w.trace.count; i++)
		if (strstr(w.trace.items[i], text) != NULL)
			return i;
	cr_expect(false, "'%s' never happened", text);
	return 1000000;
}

Test(engine_repair, kept_is_said_after_quarantine_and_journal_are_durable)
{
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_lt(at("keep 1-a 0 " TOY_FILE " 0+5"), at("kept-synced 1-a 1"));
	size_t kept = at("kept 1"), sync = 0;

	for (size_t i = at("kept-synced"); i < kept; i++)
		if (ff_streq(w.trace.items[i], "append") && ff_streq(w.trace.items[i + 1], "sync"))
			sync = i;
	cr_expect_gt(sync, 0, "the record of what was kept was not durable");
	cr_expect_str_eq(ff_json_str(ended_of(&w, "a")->removed, "0/path"), TOY_FILE);
}

Test(engine_repair, the_worker_is_told_what_it_needs)
{
	struct ff_engine_config config = {
		.dev_root = "/tmp/{rescue}/dev", .recipes = json_pack("[{s:s}]", "name", "x")};

	world_open(&w, 1, &config);
	world_repair(&w);
	world_run(&w, FF_PHASE_ENDED);
	json_decref(config.recipes);
	w.engine->recipes = NULL;
	cr_expect_eq(traced(&w, "worker r1 mend 1"), 1);
	cr_expect(strstr(w.journal.text, "\"recipes\":[{\"name\":\"x\"}]") != NULL);
}

static json_t *mended;

static void remember(struct world *world, const char *rescue, const json_t *line)
{
	if (ff_streq(ff_json_str(line, "op"), "probe"))
		worker_says(world, rescue, "{\"event\":\"hello\",\"version\":1}");
	if (ff_streq(ff_json_str(line, "op"), "mend"))
		mended = json_deep_copy(line);
	worker_hears(world, rescue, line);
}

Test(engine_repair, the_mend_line_names_the_disk_by_what_the_cloud_guarantees)
{
	struct ff_engine_config config = {.dev_root = "/tmp/{rescue}/dev"};
	ff_auto_json json_t *expected = json_pack("{s:s,s:s,s:s,s:s,s:[s],s:i,s:n,s:i,s:[],s:b}", "op", "mend", "job",
		"1", "name", "a", "dev_root", "/tmp/r1/dev", "paths", "lun0", "size_bytes", 4096, "serial", "wait_ms",
		60000, "recipes", "scan_only", 0);

	w.on_worker = remember;
	world_open(&w, 1, &config);
	world_finish(&w);
	cr_expect(json_equal(mended, expected));
	json_decref(mended);
}

Test(engine_repair, a_rescue_name_cannot_lead_to_another_folder)
{
	struct ff_engine_config config = {.dev_root = "/tmp/{rescue}/dev"};

	world_open(&w, 1, &config);
	free(w.cloud->vms[0]->name);
	w.cloud->vms[0]->name = ff_strdup("../..");
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "cannot be part of a path");
	cr_expect_eq(traced(&w, " mend "), 0);
}

Test(engine_repair, a_worker_that_dies_with_the_disk_open_is_tried_once_more)
{
	w.mood = DIES_OPEN;
	w.mood_times = 1;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "mend 1"), 2);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
}

Test(engine_repair, a_worker_that_dies_twice_of_a_disk_gives_it_up)
{
	w.mood = DIES_OPEN;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "mend 1"), 2);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: worker: killed by signal 9");
	cr_expect(!state_of(&w, "a")->swapped);
}

Test(engine_repair, a_disk_that_kills_the_worker_costs_its_neighbours_nothing)
{
	w.mood = DIES_OPEN;
	w.mood_of = "b";
	world_open(&w, 4, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "worker");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
	expect_outcome(&w, "d", FF_O_REPAIRED, "");
}

Test(engine_repair, disks_that_kill_the_worker_one_after_the_other_do_not_condemn_it)
{
	w.mood = DIES_OPEN;
	world_open(&w, 5, NULL);
	world_finish(&w);
	cr_expect_eq(w.engine->ended[FF_O_FAILED_HOME], 5);
	cr_expect_eq(said(&w, "cannot be used any more"), 0);
}

/* Both disks open, then it dies. Its successor gets one of them, and speaks of the other. */
static int mends;

static void confused(struct world *world, const char *rescue, const json_t *line)
{
	const char *job = ff_json_str(line, "job");

	if (mends == 0 || (mends == 2 && world->started.count == 1))
		worker_says(world, rescue, "{\"event\":\"hello\",\"version\":1}");
	if (ff_streq(ff_json_str(line, "op"), "probe")) {
		worker_says(world, rescue, "{\"event\":\"ready\"}");
		return;
	}
	if (++mends <= 2) {
		worker_says(world, rescue, "{\"event\":\"begin\",\"job\":\"%s\"}", job);
		if (mends == 2)
			worker_ends(world, rescue);
		return;
	}
	worker_says(world, rescue, "{\"event\":\"done\",\"job\":\"%s\",\"result\":\"clean\"}",
		ff_streq(job, "1") ? "2" : "1");
	worker_says(world, rescue, "{\"event\":\"done\",\"job\":\"%s\",\"result\":\"failed\",\"reason\":\"x\"}", job);
}

Test(engine_repair, a_word_about_a_disk_that_was_not_sent_again_yet_does_not_count)
{
	mends = 0;
	w.on_worker = confused;
	world_open(&w, 2, NULL);
	world_finish(&w);
	cr_expect_eq(mends, 4);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: x");
	expect_outcome(&w, "b", FF_O_FAILED_HOME, "repair: x");
}

Test(engine_repair, a_worker_that_dies_after_kept_is_not_tried_again)
{
	w.mood = DIES_AFTER_KEPT;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "mend 1"), 1, "the copy may be half mended");
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: worker");
	cr_expect_not_null(
		strstr(ended_of(&w, "a")->reason, "; it had been told to remove 1 file, which is in the quarantine"),
		"%s", ended_of(&w, "a")->reason);
	cr_expect(!state_of(&w, "a")->swapped);
}

Test(engine_repair, a_worker_that_hangs_is_killed_when_patience_ends)
{
	w.mood = HANGS;
	w.mood_of = "a";
	world_open(&w, 2, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "kill r1"), 1);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "does not come to an end");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	cr_expect_geq(w.now_ms, FF_REPAIR_PATIENCE_MS);
}

Test(engine_repair, a_worker_that_always_dies_before_it_begins_is_given_up)
{
	w.mood = DIES_AT_ONCE;
	world_open(&w, 10, NULL); /* 8 slots: two are still waiting */
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: worker");
	expect_outcome(&w, "j", FF_O_SKIPPED, "not begun: rescue VM 'r1': worker: killed by signal 9");
	cr_expect_eq(w.engine->ended[FF_O_FAILED_HOME], 8);
}

Test(engine_repair, files_that_cannot_be_kept_are_not_removed)
{
	w.keep_fails = true;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "worker r1 drop 1"), 1);
	cr_expect_eq(traced(&w, "worker r1 kept"), 0);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: cannot keep '" TOY_FILE "': no space left");
}

/* ---------------------------------------------------------------- a hostile worker */

static const char *const *script;

static void scripted(struct world *world, const char *rescue, const json_t *line)
{
	const char *op = ff_json_str(line, "op");

	if (ff_streq(op, "probe")) {
		worker_says(world, rescue, "{\"event\":\"hello\",\"version\":1}");
		worker_says(world, rescue, "{\"event\":\"ready\"}");
		return;
	}
	for (size_t i = 0; ff_streq(op, "mend") && script[i] != NULL; i++)
		worker_says(world, rescue, "%s", script[i]);
}

#define KEEP(index, offset, data)                                                                                      \
	"{\"event\":\"keep\",\"job\":\"1\",\"index\":" #index ",\"path\":\"" TOY_FILE "\",\"offset\":" #offset         \
	",\"data\":\"" data "\"}"
#define KEEP_END(files) "{\"event\":\"keep-end\",\"job\":\"1\",\"files\":" files "}"
#define DONE(result)	"{\"event\":\"done\",\"job\":\"1\",\"result\":\"" result "\",\"removed\":" TOY_FILES "}"

struct hostile {
	const char *name;
	const char *lines[6];
	const char *reason;
	bool killed;
};

static const struct hostile hostile[] = {
	{"not an object", {"7"}, "something that is no event", true},
	{"no event", {"{}"}, "something that is no event", true},
	{"unknown event", {"{\"event\":\"explode\",\"job\":\"1\"}"}, "'explode', which is no event", true},
	{"index too high", {KEEP(1, 0, "aGVsbG8=")}, "a piece of a file that cannot be", true},
	{"offset not 0", {KEEP(0, 5, "aGVsbG8=")}, "a piece of a file that cannot be", true},
	{"a hole", {KEEP(0, 0, "aGVsbG8="), KEEP(0, 6, "aGVsbG8=")}, "a piece of a file that cannot be", true},
	{"negative", {KEEP(-1, 0, "aGVsbG8=")}, "a piece of a file that cannot be", true},
	{"not base64", {KEEP(0, 0, "!!!!")}, "a piece of a file that cannot be", true},
	{"no data", {"{\"event\":\"keep\",\"job\":\"1\",\"index\":0,\"path\":\"x\",\"offset\":0}"},
		"a piece of a file that cannot be", true},
	{"kept another file", {KEEP(0, 0, "aGVsbG8h"), KEEP_END(TOY_FILES)}, "the list of files is not what was sent",
		true},
	{"same size, other bytes", {KEEP(0, 0, "d29ybGQ="), KEEP_END(TOY_FILES)},
		"the list of files is not what was sent", true},
	{"kept nothing", {KEEP_END(TOY_FILES)}, "the list of files is not what was sent", true},
	{"no list", {KEEP(0, 0, "aGVsbG8="), KEEP_END("7")}, "the list of files is not what was sent", true},
	{"more after the list", {KEEP(0, 0, "aGVsbG8="), KEEP_END(TOY_FILES), KEEP(1, 0, "aGVsbG8=")},
		"a piece of a file that cannot be", true},
	{"mended too soon", {"{\"event\":\"mended\",\"job\":\"1\"}"}, "was mended before its files were kept", true},
	{"repaired from nothing", {DONE("repaired")}, "never said 'mended'", false},
	{"a result that is none", {DONE("wonderful")}, "ends with no result", false},
	{"no result", {"{\"event\":\"done\",\"job\":\"1\"}"}, "ends with no result", false},
	{"a second hello", {"{\"event\":\"hello\",\"version\":9}"}, "speaks version 9", true},
};

Test(engine_repair, nonsense_from_a_worker_is_never_believed)
{
	for (size_t i = 0; i < FF_COUNT(hostile); i++) {
		script = hostile[i].lines;
		w.on_worker = scripted;
		world_open(&w, 1, NULL);
		world_repair(&w);
		while (!ended_of(&w, "a")->outcome && traced(&w, "kill") < 3 &&
			ff_engine_phase(w.engine) != FF_PHASE_ENDED)
			world_step(&w);
		cr_expect_eq(traced(&w, "kill r1") > 0, hostile[i].killed, "%s", hostile[i].name);
		cr_expect(said(&w, hostile[i].reason) > 0, "%s: '%s' was not said", hostile[i].name, hostile[i].reason);
		cr_expect(!state_of(&w, "a")->swapped, "%s", hostile[i].name);
		cr_expect_eq(traced(&w, "worker r1 kept"), ff_streq(hostile[i].name, "more after the list"), "%s",
			hostile[i].name);
		world_close(&w);
		memset(&w, 0, sizeof(w));
	}
	world_open(&w, 0, NULL);
}

Test(engine_repair, a_disk_begun_again_is_kept_again_from_its_first_byte)
{
	static const char *const lines[] = {"{\"event\":\"begin\",\"job\":\"1\"}", KEEP(0, 0, "aGVs"),
		"{\"event\":\"begin\",\"job\":\"1\"}", KEEP(0, 0, "aGVsbG8="), KEEP_END(TOY_FILES), NULL};

	script = lines;
	w.on_worker = scripted;
	world_open(&w, 1, NULL);
	world_repair(&w);
	while (traced(&w, "worker r1 kept 1") == 0)
		cr_assert(world_step(&w));
	cr_expect_eq(traced(&w, "kill"), 0);
}

Test(engine_repair, lines_about_other_jobs_are_nobodys)
{
	static const char *const lines[] = {"{\"event\":\"done\",\"job\":\"2\",\"result\":\"clean\"}",
		"{\"event\":\"done\",\"job\":\"0\",\"result\":\"clean\"}",
		"{\"event\":\"done\",\"job\":\"99999999999999999999\",\"result\":\"clean\"}",
		"{\"event\":\"done\",\"job\":7,\"result\":\"clean\"}", "{\"event\":\"done\",\"result\":\"clean\"}",
		"{\"event\":\"done\",\"job\":\"1\",\"result\":\"failed\",\"reason\":\"true word\"}", NULL};

	script = lines;
	w.on_worker = scripted;
	world_open(&w, 1, NULL);
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_FAILED_HOME, "repair: true word");
	cr_expect_eq(traced(&w, "kill"), 0);
}

/* ---------------------------------------------------------------- probing */

Test(engine_repair, nothing_is_begun_when_no_worker_can_work)
{
	w.mood = IS_UNABLE;
	world_open(&w, 2, NULL);
	world_finish(&w);
	const struct ff_result *r = ff_engine_result(w.engine);

	cr_expect_eq(r->broken.class, FF_E_LOCAL);
	cr_expect(strstr(r->broken.text, "no rescue VM can be used: 'r1': no appliance") != NULL, "%s", r->broken.text);
	cr_expect(r->nothing_started);
	expect_requests(&w, "");
	expect_outcome(&w, "a", FF_O_SKIPPED, "not begun: rescue VM 'r1': no appliance");
}

Test(engine_repair, a_worker_that_cannot_be_started_is_no_worker)
{
	w.mood = NEVER_STARTS;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect(strstr(ff_engine_result(w.engine)->broken.text, "cannot start the worker") != NULL);
}

static void silent(struct world *world, const char *rescue, const json_t *line)
{
	(void)world;
	(void)rescue;
	(void)line;
}

Test(engine_repair, a_worker_that_says_nothing_is_given_up)
{
	w.on_worker = silent;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect_eq(traced(&w, "kill r1"), 1);
	cr_expect(strstr(ff_engine_result(w.engine)->broken.text, "no appliance after 5 minutes") != NULL);
}

static void rude(struct world *world, const char *rescue, const json_t *line)
{
	(void)line;
	worker_says(world, rescue, "{\"event\":\"ready\"}");
}

Test(engine_repair, a_worker_that_does_not_say_hello_first_is_not_trusted)
{
	w.on_worker = rude;
	world_open(&w, 1, NULL);
	world_finish(&w);
	cr_expect(strstr(ff_engine_result(w.engine)->broken.text, "did not say hello first") != NULL);
}

static void half_able(struct world *world, const char *rescue, const json_t *line)
{
	if (!ff_streq(ff_json_str(line, "op"), "probe")) {
		worker_hears(world, rescue, line);
		return;
	}
	worker_says(world, rescue, "{\"event\":\"hello\",\"version\":1}");
	worker_says(world, rescue,
		ff_streq(rescue, "r1") ? "{\"event\":\"unable\",\"reason\":\"no appliance\"}"
				       : "{\"event\":\"ready\"}");
}

Test(engine_repair, the_vms_of_an_unusable_rescue_vm_go_to_another_that_fits)
{
	w.on_worker = half_able;
	world_open(&w, 3, NULL);
	toy_add(w.cloud, "r2", true);
	world_finish(&w);
	cr_expect_eq(traced(&w, "worker r1 mend"), 0);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	expect_outcome(&w, "b", FF_O_REPAIRED, "");
	expect_outcome(&w, "c", FF_O_REPAIRED, "");
}
