/* The repair of VMs on the simulated Azure: whole, with its faults, and in groups. */
#include "azure_world.h"

static void whole_repair(const char *vm_members, const char *more, const char *faults)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *state = NULL;
	ff_auto_free char *copy = NULL;

	world(vm_members, more, faults);
	one_new(&o, "web-1", 3, rescue_facts);
	for (const int *row = ff_azure.forward; *row != FF_STEP_NONE; row++) {
		if (*row == AZ_REPAIR)
			mend(&o);
		else
			expect(&o, *row, FF_M_DONE);
	}
	copy = azure_copy_name(&o.m);
	state = sim_state(w.sim);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), copy);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "agent"), "ready");
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/delete_option"), "Delete");
	cr_assert_eq(json_array_size(ff_json_at(sim_vm(state, "rescue-1"), "data_disks")), 0);
	cr_assert_null(json_object_get(o.facts, "op"));
	one_free(&o);
	world_end();
}

Test(azure_flow, discovery_tells_affected_from_healthy_and_finds_the_rescue_vm)
{
	world("", "", "");
	cr_assert_eq(vm_of("web-1")->health, FF_AFFECTED, "%s", vm_of("web-1")->reason);
	cr_assert_eq(vm_of("good")->health, FF_HEALTHY, "%s", vm_of("good")->reason);
	cr_assert(vm_of("rescue-1")->rescue);
	cr_assert_eq(vm_of("rescue-1")->slots_max, 32);
	cr_assert_eq(vm_of("rescue-1")->health, FF_SKIPPED);
	cr_assert_eq(vm_of("web-1")->disk_bytes, INT64_C(4) << 30);
	world_end();
}

Test(azure_flow, a_vm_is_repaired)
{
	whole_repair("", "", "");
}

Test(azure_flow, tags_that_are_merged_are_blanked)
{
	whole_repair("", ",\"patch_tags\":\"merge\"", "");
}

Test(azure_flow, the_disk_list_is_patched_where_attach_detach_is_not_enabled)
{
	whole_repair("", ",\"attach_api\":\"region\"", "");
	whole_repair("", ",\"attach_api\":\"subscription\"", "");
}

Test(azure_flow, a_swap_that_needs_it_gets_the_vm_deallocated)
{
	whole_repair("", ",\"swap_needs_deallocate\":true", "");
}

Test(azure_flow, lost_answers_are_looked_after)
{
	whole_repair("", "",
		"{\"match\":{\"method\":\"PATCH\",\"nth\":1},\"answer\":{\"reset\":\"after\"}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/powerOff\",\"nth\":1},\"answer\":{\"reset\":\"before\"}},"
		"{\"match\":{\"method\":\"PUT\",\"path\":\"*/disks/*\",\"nth\":1},\"answer\":{\"reset\":\"after\"}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"attachDetachDataDisks\",\"nth\":1},\"answer\":{\"truncate\":true}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/start\",\"nth\":1},\"answer\":{\"reset\":\"after\"}}");
}

Test(azure_flow, errors_on_the_way_are_looked_after)
{
	whole_repair("", "",
		"{\"match\":{\"method\":\"PATCH\",\"nth\":1},\"answer\":{\"status\":412}},"
		"{\"match\":{\"method\":\"PATCH\",\"nth\":3},\"answer\":{\"status\":500}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"powerOff\",\"nth\":1},\"answer\":{\"status\":429,\"retry_after_s\":3}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"attachDetachDataDisks\",\"nth\":1},\"answer\":{\"status\":409,\"code\":"
		"\"Conflict\",\"message\":\"The request failed due to conflict with a concurrent request.\"}},"
		"{\"match\":{\"method\":\"POST\",\"path\":\"*/"
		"start\",\"nth\":1},\"answer\":{\"operation_fails\":{\"code\":"
		"\"AllocationFailed\",\"message\":\"Allocation failed.\"}}}");
}

Test(azure_flow, a_dynamic_address_is_not_lost_without_leave)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *state = NULL;

	world(",\"public_ip\":\"dynamic\"", ",\"swap_needs_deallocate\":true", "");
	one_new(&o, "web-1", 3, rescue_facts);
	expect(&o, AZ_CLAIM, FF_M_DONE);
	expect(&o, AZ_STOP, FF_M_DONE);
	expect(&o, AZ_COPY, FF_M_DONE);
	mend(&o);
	expect(&o, AZ_SWAP, FF_M_FAILED);
	cr_assert(strstr(o.v.err.text, "--allow-deallocate") != NULL, "%s", o.v.err.text);
	expect(&o, AZ_SWAP_BACK, FF_M_DONE);
	expect(&o, AZ_DELETE_COPY, FF_M_DONE);
	expect(&o, AZ_START, FF_M_DONE);
	expect(&o, AZ_RELEASE, FF_M_DONE);
	state = sim_state(w.sim);
	cr_assert_eq(ff_json_int(sim_vm(state, "web-1"), "deallocations", -1), 0);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), "web-1-os");
	one_free(&o);
	world_end();
}

Test(azure_flow, a_swap_is_taken_back)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *state = NULL;

	world("", "", "");
	one_new(&o, "web-1", 3, rescue_facts);
	expect(&o, AZ_CLAIM, FF_M_DONE);
	expect(&o, AZ_STOP, FF_M_DONE);
	expect(&o, AZ_COPY, FF_M_DONE);
	mend(&o);
	expect(&o, AZ_SWAP, FF_M_DONE);
	cr_assert(ff_json_bool(o.facts, "swapped", false));
	o.m.step = AZ_DELETE_COPY; /* the copy is the OS disk: it must not go */
	cr_assert_eq(w.sent[AZ_DELETE_COPY], 0);
	expect(&o, AZ_SWAP_BACK, FF_M_DONE);
	expect(&o, AZ_DELETE_COPY, FF_M_DONE);
	cr_assert_eq(w.sent[AZ_DELETE_COPY], 1);
	expect(&o, AZ_START, FF_M_DONE);
	expect(&o, AZ_RELEASE, FF_M_DONE);
	state = sim_state(w.sim);
	cr_assert_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), "web-1-os");
	one_free(&o);
	world_end();
}

Test(azure_flow, attach_and_detach_go_in_one_request)
{
	struct one a, b, *both[] = {&a, &b};
	ff_auto_json json_t *rescue_facts = json_object();

	world("", "", "");
	one_new(&a, "web-1", 3, rescue_facts);
	one_new(&b, "web-2", 0, rescue_facts);
	for (int i = 0; i < 2; i++) {
		expect(both[i], AZ_CLAIM, FF_M_DONE);
		expect(both[i], AZ_STOP, FF_M_DONE);
		expect(both[i], AZ_COPY, FF_M_DONE);
	}
	expect(&a, AZ_ATTACH, FF_M_DONE);
	a.m.step = AZ_DETACH;
	b.m.step = AZ_ATTACH;
	memset(w.sent, 0, sizeof(w.sent));
	act(both, 2);
	cr_assert_eq(a.v.meaning, FF_M_DONE, "%s", a.v.err.text);
	cr_assert_eq(b.v.meaning, FF_M_DONE, "%s", b.v.err.text);
	look(&a);
	look(&b);
	cr_assert_eq(a.v.meaning, FF_M_DONE);
	cr_assert_eq(b.v.meaning, FF_M_DONE);
	one_free(&a);
	one_free(&b);
	world_end();
}

Test(azure_flow, one_bad_disk_does_not_fail_its_neighbour)
{
	struct one a, b, *both[] = {&a, &b};
	ff_auto_json json_t *rescue_facts = json_object();

	world("", "", "");
	one_new(&a, "web-1", 3, rescue_facts);
	one_new(&b, "web-2", 0, rescue_facts);
	expect(&a, AZ_CLAIM, FF_M_DONE);
	expect(&a, AZ_STOP, FF_M_DONE);
	expect(&a, AZ_COPY, FF_M_DONE);
	a.m.step = b.m.step = AZ_ATTACH; /* b has no copy */
	act(both, 2);
	cr_assert_neq(a.v.meaning, FF_M_FAILED, "%s", a.v.err.text);
	expect(&a, AZ_ATTACH, FF_M_DONE);
	expect(&b, AZ_ATTACH, FF_M_FAILED);
	one_free(&a);
	one_free(&b);
	world_end();
}

Test(azure_flow, two_runs_do_not_both_claim)
{
	struct one a, b;
	ff_auto_json json_t *rescue_facts = json_object();

	world("", "", "");
	one_new(&a, "web-1", 3, rescue_facts);
	one_new(&b, "web-1", 4, rescue_facts);
	b.m.run = "run-2";
	a.m.step = b.m.step = AZ_CLAIM;
	look(&a);
	look(&b);
	cr_assert_eq(a.v.meaning, FF_M_NOT_DONE);
	cr_assert_eq(b.v.meaning, FF_M_NOT_DONE);
	expect(&a, AZ_CLAIM, FF_M_DONE);
	struct one *second = &b;

	act(&second, 1); /* with the etag of before */
	cr_assert_eq(b.v.meaning, FF_M_LOOK, "%s", b.v.err.text);
	expect(&b, AZ_CLAIM, FF_M_FAILED);
	cr_assert(strstr(b.v.err.text, "run-1") != NULL, "%s", b.v.err.text);
	one_free(&a);
	one_free(&b);
	world_end();
}

Test(azure_flow, a_vm_that_somebody_started_is_not_swapped)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object(), *human = kit_json("{\"op\":\"start\",\"vm\":\"web-1\"}");
	struct ff_err err = {0};

	world("", "", "");
	one_new(&o, "web-1", 3, rescue_facts);
	expect(&o, AZ_CLAIM, FF_M_DONE);
	expect(&o, AZ_STOP, FF_M_DONE);
	expect(&o, AZ_COPY, FF_M_DONE);
	mend(&o);
	cr_assert_eq(sim_human(w.sim, w.now, human, &err), 0, "%s", err.text);
	expect(&o, AZ_SWAP, FF_M_FAILED);
	cr_assert_eq(o.v.err.class, FF_E_CONFLICT);
	cr_assert_eq(w.sent[AZ_SWAP], 0);
	expect(&o, AZ_DELETE_COPY, FF_M_DONE);
	expect(&o, AZ_RELEASE, FF_M_DONE);
	one_free(&o);
	world_end();
}
