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
	walk(first, ff_gcp.cleanup);
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
