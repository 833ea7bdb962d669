/* What comes after a repair on the simulated GCP: a rollback, a cleanup. */
#include "gcp_world.h"

Test(gcp_later, a_rollback_puts_in_a_disk_like_the_one_that_it_replaces)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	const json_t *made, *replaced;
	struct one *o;

	world(",\"type\":\"pd-extreme\",\"iops\":9000,\"kms\":\"projects/p1/locations/us/keyRings/r/cryptoKeys/k\"",
		"");
	past = repaired();
	before = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(o, ff_gcp.rollback);
	state = sim_state(w.sim);
	made = state_disk(state, gcp_last(ff_json_str(o->facts, "new/path")));
	replaced = state_disk(state, before);
	is(state_vm(state), "boot/disk", gcp_last(ff_json_str(o->facts, "new/path")));
	is(state_vm(state), "boot/device_name", "Boot.Disk-1");
	cr_expect(ff_json_bool(state_vm(state), "boot/auto_delete", false));
	cr_expect(ff_json_bool(state_vm(state), "bad", false), "the snapshot is from before the repair");
	cr_expect(ff_json_bool(state_vm(state), "own_disk", false));
	is(state_vm(state), "power", "running");
	cr_expect_null(ff_json_at(state_vm(state), "labels/fixfleet-run"));
	is(made, "type", "pd-extreme");
	is(made, "kms", "projects/p1/locations/us/keyRings/r/cryptoKeys/k");
	cr_expect_eq(ff_json_int(made, "iops", 0), 9000);
	cr_expect_eq(ff_json_int(made, "size_gb", 0), 30);
	is(made, "labels/cost", "42");
	cr_expect_eq(json_object_size(ff_json_at(made, "labels")), 1, "no label of ours stays");
	cr_expect_null(ff_json_str(replaced, "attached_to"));
	is(replaced, "labels/fixfleet-run", "run-2");
	one_free(o);
	world_end();
}

Test(gcp_later, what_runs_have_left_is_deleted)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	struct one *back, *first, *second;

	world("", "");
	past = repaired();
	before = ff_strdup(gcp_last(vm_of("web")->disk_id));
	back = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(back, ff_gcp.rollback);
	world_look();
	first = later(FF_FLOW_CLEANUP, "run-1", false, past, "run-3");
	expect_where(first, "' is left over");
	walk(first, ff_gcp.cleanup);
	expect_where(first, "' is deleted");
	second = later(FF_FLOW_CLEANUP, "run-2", true, back->facts, "run-4");
	walk(second, ff_gcp.cleanup);
	walk(second, ff_gcp.cleanup); /* again: nothing to do */
	state = sim_state(w.sim);
	cr_expect_eq(json_array_size(ff_json_at(state, "gcp/snapshots")), 0);
	cr_expect_null(state_disk(state, before));
	one_free(back);
	one_free(first);
	one_free(second);
	world_end();
}

Test(gcp_later, what_fails_after_it_was_put_in_goes_home_with_the_mended_disk)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *before = NULL;
	struct one *o;

	world("", "");
	past = repaired();
	before = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	expect(o, GCP_CHECK);
	expect(o, GCP_CLAIM);
	expect(o, GCP_CLAIM_DISK);
	expect(o, GCP_MAKE);
	expect(o, GCP_STOP);
	expect(o, GCP_TAKE_OUT);
	expect(o, GCP_PUT_IN);
	expect_home(o, GCP_TAKE_NEW_OUT);
	expect_home(o, GCP_PUT_BACK);
	expect_home(o, GCP_START);
	expect_home(o, GCP_DELETE_MADE);
	expect_home(o, GCP_RELEASE_DISK);
	expect_home(o, GCP_RELEASE);
	state = sim_state(w.sim);
	is(state_vm(state), "boot/disk", before);
	is(state_vm(state), "power", "running");
	cr_expect_eq(json_array_size(ff_json_at(state, "gcp/disks")), 2, "the rescue VM's and this one");
	cr_expect_null(ff_json_at(state_disk(state, before), "labels/fixfleet-run"));
	one_free(o);
	world_end();
}

Test(gcp_later, a_disk_whose_answer_was_lost_is_found_by_its_name)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	struct one *o;

	world("", "{\"match\":{\"method\":\"POST\",\"path\":\"*/zones/us-central1-a/"
		  "disks\",\"nth\":1},\"answer\":{\"reset\":\"after\"}}");
	past = repaired();
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	expect(o, GCP_CHECK);
	expect(o, GCP_CLAIM);
	expect(o, GCP_CLAIM_DISK);
	expect(o, GCP_MAKE);
	state = sim_state(w.sim);
	cr_expect_eq(ff_json_int(state, "requests/disks.insert", 0), 1);
	cr_expect_not_null(ff_json_str(o->facts, "new/id"));
	one_free(o);
	world_end();
}

Test(gcp_later, there_is_no_way_back_without_its_snapshot)
{
	ff_auto_json json_t *past = NULL;
	struct ff_err err = {0};
	struct one *o, *tidy;

	world("", "");
	past = repaired();
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	tidy = later(FF_FLOW_CLEANUP, "run-1", false, past, "run-3");
	walk(tidy, ff_gcp.cleanup);
	cr_assert_eq(step(o, GCP_CHECK, false), FF_M_FAILED);
	cr_expect_eq(o->v.err.class, FF_E_GONE, "%s", o->v.err.text);
	json_object_del(past, "snapshot");
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_ROLLBACK, "run-1", false, past, NULL, &err));
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_CLEANUP, "run-1", false, past, NULL, &err));
	ff_json_set_str(past, "id", "1");
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_CLEANUP, "run-1", false, past, NULL, &err));
	cr_expect_str_eq(err.text, "it was deleted and made again since the run");
	one_free(o);
	one_free(tidy);
	world_end();
}

/* The answer to the attach is lost, and so is the flag: the request that sets it is another one, with an id of its own.
 */
Test(gcp_later, a_flag_that_was_lost_with_the_answer_is_set_again)
{
	ff_auto_json json_t *state = NULL;
	struct one *o;

	world_with("", ",\"loses_auto_delete\":true,\"latency_ms\":{\"attach\":10}",
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/instances/web/attachDisk\",\"nth\":1},"
		"\"answer\":{\"reset\":\"after\"}}");
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-1");
	walk(o, ff_gcp.forward);
	state = sim_state(w.sim);
	cr_expect(ff_json_bool(state_vm(state), "boot/auto_delete", false));
	cr_expect_eq(ff_json_int(state, "requests/instances.attachDisk", 0), 2, "to the rescue VM, and home");
	cr_expect_eq(ff_json_int(state, "requests/instances.setDiskAutoDelete", 0), 1);
	one_free(o);
	world_end();
}

/* ---------------------------------------------------------------- what the rows read */

#define OURS	"\"labels\":{\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"web\"}"
#define NEW_ONE "\"labels\":{\"fixfleet-run\":\"run-9\",\"fixfleet-vm\":\"web\"}"

struct reading {
	int row;
	const char *see, *answer;
	enum ff_meaning meaning;
	enum ff_class class; /* of a failure */
};

static void read_as(const struct reading *c, json_t **facts, struct ff_verdict *v)
{
	struct ff_member m = {.vm = vm_of("web"), .step = c->row, .run = "run-9", .slot = -1};
	struct ff_answer answer = {.status = 200, .body = ff_strdup(c->answer), .body_len = strlen(c->answer)};

	*facts = json_deep_copy(vm_of("web")->facts);
	m.facts = *facts;
	ff_json_set_str(*facts, "of", "run-1");
	ff_json_set_str(*facts, "snapshot", "projects/p1/global/snapshots/s");
	ff_json_set_str(*facts, "see", c->see);
	ff_gcp.steps[c->row].looked(w.cloud, &m, w.now, &answer, v);
	ff_answer_release(&answer, false);
}

Test(gcp_later, a_look_tells_whole_ones_of_ours_from_all_others)
{
	static const struct reading cases[] = {
		{GCP_CHECK, NULL, "{" OURS ",\"status\":\"READY\"}", FF_M_DONE, FF_E_NONE},
		{GCP_CHECK, NULL, "{" OURS ",\"status\":\"UPLOADING\"}", FF_M_WAIT, FF_E_NONE},
		{GCP_CHECK, NULL, "{" OURS ",\"status\":\"FAILED\"}", FF_M_FAILED, FF_E_GONE},
		{GCP_CHECK, NULL, "{" OURS ",\"status\":\"DELETING\"}", FF_M_FAILED, FF_E_GONE},
		{GCP_CHECK, NULL, "{" NEW_ONE ",\"status\":\"READY\"}", FF_M_FAILED, FF_E_CONFLICT},
		{GCP_CHECK, NULL,
			"{\"labels\":{\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"web-2\"},\"status\":\"READY\"}",
			FF_M_FAILED, FF_E_CONFLICT},
		{GCP_CHECK, NULL, "{\"status\":\"READY\"}", FF_M_FAILED, FF_E_CONFLICT},
		{GCP_MAKE, "new", "{" NEW_ONE ",\"status\":\"READY\"}", FF_M_DONE, FF_E_NONE},
		{GCP_MAKE, "new", "{" NEW_ONE ",\"status\":\"CREATING\"}", FF_M_WAIT, FF_E_NONE},
		{GCP_MAKE, "new", "{" NEW_ONE ",\"status\":\"FAILED\"}", FF_M_FAILED, FF_E_PERMANENT},
		{GCP_MAKE, "new", "{" OURS ",\"status\":\"READY\"}", FF_M_FAILED, FF_E_CONFLICT},
		{GCP_DELETE_MADE, NULL, "{" NEW_ONE ",\"status\":\"READY\"}", FF_M_NOT_DONE, FF_E_NONE},
		{GCP_DELETE_MADE, NULL, "{" NEW_ONE ",\"users\":[\"https://x/projects/p1/zones/z/instances/i\"]}",
			FF_M_WAIT, FF_E_NONE},
		{GCP_DELETE_MADE, NULL, "{" OURS ",\"name\":\"d\"}", FF_M_FAILED, FF_E_CONFLICT},
	};

	world("", "");
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_verdict v = {0};
		json_t *facts;

		read_as(&cases[i], &facts, &v);
		cr_expect_eq(v.meaning, cases[i].meaning, "case %zu: %d %s", i, (int)v.meaning, v.err.text);
		cr_expect_eq(v.err.class, cases[i].class, "case %zu: %s", i, v.err.text);
		json_decref(v.facts);
		json_decref(facts);
	}
	world_end();
}

/* Running, with the disk that was put in. */
Test(gcp_later, a_rollback_is_confirmed_by_a_vm_that_runs_with_its_disk)
{
	static const struct {
		const char *status, *disk;
		enum ff_meaning meaning;
	} cases[] = {
		{"RUNNING", "web", FF_M_DONE},
		{"STAGING", "web", FF_M_WAIT},
		{"TERMINATED", "web", FF_M_FAILED},
		{"SUSPENDED", "web", FF_M_FAILED},
		{"RUNNING", "other", FF_M_FAILED},
	};

	world("", "");
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *body =
			ff_printf("{\"id\":\"%s\",\"status\":\"%s\",\"disks\":[{\"boot\":true,\"source\":"
				  "\"https://x/projects/p1/zones/us-central1-a/disks/%s\"}]}",
				ff_json_str(vm_of("web")->facts, "id"), cases[i].status, cases[i].disk);
		struct reading c = {.row = GCP_CONFIRM, .answer = body};
		struct ff_verdict v = {0};
		json_t *facts;

		read_as(&c, &facts, &v);
		cr_expect_eq(v.meaning, cases[i].meaning, "case %zu: %d %s", i, (int)v.meaning, v.err.text);
		json_decref(v.facts);
		json_decref(facts);
	}
	world_end();
}

/* What the replaced disk says goes into the request for the new one: a key without its version, no label of ours. */
Test(gcp_later, the_new_disk_is_asked_for_as_the_old_one_is)
{
	static const struct reading old = {.row = GCP_MAKE,
		.answer = "{\"type\":\"https://x/projects/p1/zones/z/diskTypes/hyperdisk-balanced\",\"sizeGb\":\"64\","
			  "\"provisionedIops\":\"5000\",\"provisionedThroughput\":\"300\",\"diskEncryptionKey\":"
			  "{\"kmsKeyName\":\"projects/p1/locations/us/keyRings/r/cryptoKeys/k/cryptoKeyVersions/3\"},"
			  "\"labels\":{\"cost\":\"42\",\"fixfleet-run\":\"run-9\",\"fixfleet-vm\":\"web\",\"fixfleet-"
			  "by\":\"ops\","
			  "\"fixfleet-boot\":\"keep_unsaid_unsaid_unsaid\",\"fixfleet-device\":\"d\"}}"};
	struct ff_member m;
	struct ff_verdict v = {0};
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	ff_auto_json json_t *body = NULL, *want = NULL;
	ff_auto_free char *text = NULL;
	json_t *facts;

	world(",\"auto_delete\":true", "");
	read_as(&old, &facts, &v);
	ff_json_merge(facts, v.facts);
	m = (struct ff_member){.vm = vm_of("web"), .facts = facts, .step = GCP_MAKE, .run = "run-9", .token = "t"};
	cr_assert_eq(ff_gcp.steps[GCP_MAKE].act(w.cloud, &m, 1, &ask, &err), 0, "%s", err.text);
	cr_expect_not(ask.secret);
	body = ff_json_parse(ask.body, ask.body_len, 65536, &err);
	text = ff_printf(
		"{\"name\":\"%s\",\"type\":\"https://x/projects/p1/zones/z/diskTypes/hyperdisk-balanced\","
		"\"sourceSnapshot\":\"projects/p1/global/snapshots/s\",\"sizeGb\":\"64\",\"provisionedIops\":\"5000\","
		"\"provisionedThroughput\":\"300\",\"diskEncryptionKey\":{\"kmsKeyName\":"
		"\"projects/p1/locations/us/keyRings/r/cryptoKeys/k\"},\"labels\":{\"cost\":\"42\","
		"\"fixfleet-run\":\"run-9\",\"fixfleet-vm\":\"web\",\"fixfleet-boot\":"
		"\"delete_read-write_scsi_persistent\",\"fixfleet-device\":\"_boot_-_disk-1\"}}",
		ff_json_str(body, "name"));
	want = ff_json_parse(text, strlen(text), 65536, &err);
	cr_expect(json_equal(body, want), "\nis   %s\nwant %s", ask.body, text);
	cr_expect(ff_has_prefix(ff_json_str(body, "name"), "web-"));
	ff_ask_release(&ask);
	json_decref(v.facts);
	json_decref(facts);
	world_end();
}

Test(gcp_later, what_cannot_be_rolled_back_or_cleaned_up_says_why)
{
	static const struct recall_case cases[] = {
		{FF_FLOW_ROLLBACK, false, "{}", NULL},
		{FF_FLOW_ROLLBACK, true, "{}", "that run was a rollback"},
		{FF_FLOW_ROLLBACK, false, "{\"snapshot\":null}", "took no snapshot"},
		{FF_FLOW_ROLLBACK, false, "{\"snapshot\":\"../x\"}", "does not tell its disks"},
		{FF_FLOW_ROLLBACK, false, "{\"disk\":{\"path\":\"projects/p1/zones/z/disks/d\"}}",
			"did not leave there"},
		{FF_FLOW_ROLLBACK, false, "{\"id\":\"1\"}", "deleted and made again"},
		{FF_FLOW_CLEANUP, false, "{}", NULL},
		{FF_FLOW_CLEANUP, false, "{\"snapshot\":null}", "took no snapshot"},
		{FF_FLOW_CLEANUP, true, "{}", "is its boot disk"},
		{FF_FLOW_CLEANUP, true, "{\"disk\":{\"path\":\"projects/p1/zones/z/disks/d\"}}", NULL},
		{FF_FLOW_CLEANUP, true, "{\"disk\":null}", "not known"},
		{FF_FLOW_CLEANUP, true, "{\"disk\":{\"path\":\"projects/p1/zones/z/disks/../d\"}}",
			"does not tell its disks"},
	};

	world("", "");
	check_recall("projects/p1/global/snapshots/s", cases, FF_COUNT(cases));
	world_end();
}

/* ---------------------------------------------------------------- customer-supplied keys */

/* 32 bytes of "k", and their SHA-256 */
#define KEY	   "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
#define KEY_SHA256 "XjGPjPnL4kmjCBK4yhMtaR3tepGZFBNVjbV1hXX14B8="
#define KEYS                                                                                                           \
	"[{\"uri\":\"https://www.googleapis.com/compute/v1/projects/p1/zones/us-central1-a/disks/web\","               \
	"\"key\":\"" KEY "\",\"key-type\":\"raw\"}]"

Test(gcp_later, a_disk_with_a_key_of_its_own_gives_it_to_the_new_one)
{
	static const struct ff_scope_options with_keys = {.csek_file = KEYS};
	ff_auto_json json_t *past = NULL, *state = NULL;
	struct ff_err err = {0};
	struct one *o;

	world(",\"csek_sha256\":\"" KEY_SHA256 "\"", "");
	world_look_with(&with_keys);
	past = repaired();
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_ROLLBACK, "run-1", false, past, NULL, &err));
	cr_expect_not_null(strstr(err.text, "--csek-key-file"), "%s", err.text);
	world_look_with(&with_keys);
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk(o, ff_gcp.rollback);
	state = sim_state(w.sim);
	is(state_vm(state), "boot/disk", gcp_last(ff_json_str(o->facts, "new/path")));
	is(state_vm(state), "power", "running");
	cr_expect(ff_json_bool(state_vm(state), "bad", false), "the snapshot is from before the repair");
	expect_where(o, "has the customer-supplied key of 'web'");
	one_free(o);
	world_look_with(&with_keys); /* the file does not name the new disk */
	cr_expect_str_eq(vm_of("web")->disk_encryption, "csek");
	cr_expect_eq(vm_of("web")->health, FF_SKIPPED);
	world_end();
}

/* A request with a key in it is a secret; without the key there is none. */
Test(gcp_later, the_request_with_a_key_is_a_secret)
{
	static const struct ff_scope_options with_keys = {.csek_file = KEYS};
	ff_auto_json json_t *facts = NULL;
	struct ff_member m;
	struct ff_err err = {0};

	world(",\"csek_sha256\":\"" KEY_SHA256 "\"", "");
	for (int given = 0; given <= 1; given++) {
		struct ff_ask ask = {0};

		world_look_with(given ? &with_keys : &(struct ff_scope_options){0});
		json_decref(facts);
		facts = json_deep_copy(vm_of("web")->facts);
		ff_json_set_str(facts, "snapshot", "projects/p1/global/snapshots/s");
		ff_json_set_new(facts, "like", json_pack("{s:b,s:{}}", "csek", 1, "labels"));
		m = (struct ff_member){.vm = vm_of("web"), .facts = facts, .step = GCP_MAKE, .run = "r", .token = "t"};
		cr_assert_eq(ff_gcp.steps[GCP_MAKE].act(w.cloud, &m, 1, &ask, &err), given - 1, "%s", err.text);
		if (!given)
			cr_expect_not_null(strstr(err.text, "give --csek-key-file"), "%s", err.text);
		else
			cr_expect(ask.secret && strstr(ask.body, KEY) != NULL);
		ff_ask_release(&ask);
	}
	world_end();
}

/* Home again, should the new one not go in; its key goes along there too. */
Test(gcp_later, what_fails_after_it_was_put_in_goes_home_with_its_key)
{
	static const struct ff_scope_options with_keys = {.csek_file = KEYS};
	ff_auto_json json_t *past = NULL, *state = NULL;
	struct one *o;

	world(",\"csek_sha256\":\"" KEY_SHA256 "\"", "");
	world_look_with(&with_keys);
	past = repaired();
	world_look_with(&with_keys);
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk_some(o, ff_gcp.rollback, 7);
	expect_home(o, GCP_TAKE_NEW_OUT);
	expect_home(o, GCP_PUT_BACK);
	expect_home(o, GCP_START);
	state = sim_state(w.sim);
	is(state_vm(state), "boot/disk", "web");
	is(state_vm(state), "power", "running");
	one_free(o);
	ff_gcp.close(w.cloud);
	sim_free(w.sim);
}

/* The reading before each delete: what bears no label of the run, or is attached, stays. */
Test(gcp_later, only_what_the_run_has_left_is_deleted)
{
#define LABELS(run, vm) "\"labels\":{\"fixfleet-run\":\"" run "\",\"fixfleet-vm\":\"" vm "\"}"
	static const struct {
		const char *answer;
		enum ff_meaning meaning;
	} cases[] = {
		{"{" LABELS("run-1", "web") "}", FF_M_NOT_DONE},
		{"{" LABELS("run-1", "web") ",\"users\":[\"https://x/projects/p1/zones/z/instances/i\"]}", FF_M_FAILED},
		{"{" LABELS("run-2", "web") "}", FF_M_FAILED},
		{"{" LABELS("run-1", "web-2") "}", FF_M_FAILED},
		{"{}", FF_M_FAILED},
		{"{" LABELS("run-1", "web") ",\"status\":\"DELETING\"}", FF_M_WAIT},
	};

	world("", "");
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_json json_t *facts = json_deep_copy(vm_of("web")->facts);
		struct ff_member m = {.vm = vm_of("web"), .facts = facts, .step = GCP_DELETE_LEFT, .run = "run-9"};
		struct ff_answer answer = {.status = 200, .body = ff_strdup(cases[i].answer)};
		struct ff_verdict v = {0};

		answer.body_len = strlen(answer.body);
		ff_json_set_str(facts, "of", "run-1");
		ff_json_set_str(facts, "left", "projects/p1/zones/us-central1-a/disks/old");
		gcp_delete_left_looked(w.cloud, &m, w.now, &answer, &v);
		cr_expect_eq(v.meaning, cases[i].meaning, "case %zu: %d %s", i, (int)v.meaning, v.err.text);
		json_decref(v.facts);
		ff_answer_release(&answer, false);
	}
	world_end();
}
