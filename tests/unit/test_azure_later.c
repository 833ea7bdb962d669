/* What comes after a repair on the simulated Azure: the mark, a rollback, a cleanup. */
#include "azure_world.h"

/* web-1 repaired by run-1; facts as the run's end left them, to be freed. */
static json_t *repaired(void)
{
	struct one o;
	ff_auto_json json_t *rescue_facts = json_object();

	one_new(&o, "web-1", 3, rescue_facts);
	for (const int *row = ff_azure.forward; *row != FF_STEP_NONE; row++) {
		if (*row == AZ_REPAIR)
			mend(&o);
		else
			expect(&o, *row, FF_M_DONE);
	}
	world_look();
	return o.facts;
}

/* web-1's later flow, which the operator has asked for although the VM is well. */
static struct one later(json_t *facts, const char *run)
{
	ff_auto_json json_t *demand = kit_json("{\"op\":\"demand\",\"vm\":\"web-1\"}");
	struct one o = {.facts = facts};
	struct ff_err err;

	cr_assert_eq(sim_human(w.sim, w.now, demand, &err), 0, "%s", err.text);

	o.m = (struct ff_member){.vm = vm_of("web-1"), .facts = o.facts, .slot = -1, .run = run, .token = "t"};
	return o;
}

static json_t *recall(enum ff_flow flow, const char *run, const json_t *past, struct ff_err *err)
{
	*err = (struct ff_err){0};
	return ff_azure.recall(w.cloud, vm_of("web-1"), flow, run, false, past, NULL, err);
}

static json_t *recall_ok(enum ff_flow flow, const char *run, const json_t *past)
{
	struct ff_err err;
	json_t *facts = recall(flow, run, past, &err);

	cr_assert_not_null(facts, "%s", err.text);
	return facts;
}

static const json_t *sim_disk(const json_t *state, const char *name)
{
	const json_t *disk;
	size_t i;

	json_array_foreach (ff_json_at(state, "azure/disks"), i, disk)
		if (ff_streq(ff_json_str(disk, "name"), name))
			return disk;
	return NULL;
}

/* All rows of the order; those that do not apply are passed over as the driver does. */
static void walk(struct one *o, const int *order)
{
	for (; *order != FF_STEP_NONE; order++) {
		const struct ff_step *row = &ff_azure.steps[*order];

		o->m.step = *order;
		if (row->applies == NULL || row->applies(&o->m))
			expect(o, *order, FF_M_DONE);
	}
}

static void expect_where(const struct one *o, const char *words)
{
	ff_auto_buf where = {0};

	ff_azure.where(w.cloud, &o->m, &where);
	cr_expect_not_null(strstr(where.text, words), "%s", where.text);
}

Test(azure_later, the_original_is_marked_when_the_copy_has_taken_its_place)
{
	ff_auto_json json_t *past = NULL, *state = NULL;

	world("", "", "");
	past = repaired();
	state = sim_state(w.sim);
	cr_assert_str_eq(ff_json_str(sim_disk(state, "web-1-os"), "tags/fixfleet-run"), "run-1");
	cr_assert_str_eq(ff_json_str(sim_disk(state, "web-1-os"), "tags/fixfleet-vm"), "prod/web-1");
	cr_assert_str_eq(ff_json_str(sim_disk(state, "web-1-os"), "tags/cost"), "42");
	world_end();
}

Test(azure_later, a_rollback_swaps_the_original_in_and_marks_the_copy)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *copy = NULL;
	struct one o;

	world("", "", "");
	past = repaired();
	o = later(recall_ok(FF_FLOW_ROLLBACK, "run-1", past), "run-2");
	copy = ff_strdup(azure_id_name(vm_of("web-1")->disk_id));
	walk(&o, ff_azure.rollback);
	state = sim_state(w.sim);
	cr_expect_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), "web-1-os");
	cr_expect_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/delete_option"), "Delete");
	cr_expect_str_eq(ff_json_str(sim_vm(state, "web-1"), "power"), "running");
	cr_expect_null(ff_json_at(sim_vm(state, "web-1"), "tags/fixfleet-run"));
	cr_expect_str_eq(ff_json_str(sim_disk(state, copy), "tags/fixfleet-run"), "run-2");
	one_free(&o);
	world_end();
}

Test(azure_later, a_rollback_is_taken_back_and_cleaned_up_after)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *copy = NULL;
	struct one o, again, tidy;
	struct ff_err err;

	world("", "", "");
	past = repaired();
	copy = ff_strdup(azure_id_name(vm_of("web-1")->disk_id));
	o = later(recall_ok(FF_FLOW_ROLLBACK, "run-1", past), "run-2");
	walk(&o, ff_azure.rollback);
	world_look();
	cr_expect_null(recall(FF_FLOW_ROLLBACK, "run-1", past, &err));
	cr_expect_str_eq(err.text, "it has the disk that it had before the run: 'web-1-os'");
	cr_expect_null(recall(FF_FLOW_CLEANUP, "run-1", past, &err), "its original is in use");
	again = later(recall_ok(FF_FLOW_ROLLBACK, "run-2", o.facts), "run-3");
	walk(&again, ff_azure.rollback);
	world_look();
	tidy = later(recall_ok(FF_FLOW_CLEANUP, "run-3", again.facts), "run-4");
	walk(&tidy, ff_azure.cleanup);
	state = sim_state(w.sim);
	cr_expect_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), copy);
	cr_expect_null(sim_disk(state, "web-1-os"));
	one_free(&o);
	one_free(&again);
	one_free(&tidy);
	world_end();
}

Test(azure_later, a_rollback_whose_disk_is_gone_touches_nothing)
{
	ff_auto_json json_t *past = NULL;
	struct one o, tidy;

	world("", "", "");
	past = repaired();
	o = later(recall_ok(FF_FLOW_ROLLBACK, "run-1", past), "run-2");
	tidy = later(recall_ok(FF_FLOW_CLEANUP, "run-1", past), "run-3");
	expect_where(&tidy, "disk 'web-1-os' is left over");
	walk(&tidy, ff_azure.cleanup);
	expect_where(&tidy, "disk 'web-1-os' is deleted");
	expect(&o, AZ_CHECK, FF_M_FAILED);
	cr_expect_eq(o.v.err.class, FF_E_GONE);
	one_free(&o);
	one_free(&tidy);
	world_end();
}

Test(azure_later, a_refused_swap_back_leaves_the_mended_disk)
{
	ff_auto_json json_t *past = NULL, *state = NULL;
	ff_auto_free char *copy = NULL;
	struct one o;

	world("", "",
		"{\"match\":{\"method\":\"PATCH\",\"path\":\"*/virtualMachines/web-1\",\"body\":"
		"\"*disks/web-1-os*\"},\"answer\":{\"status\":400,\"code\":\"BadRequest\",\"message\":\"no\"}}");
	past = repaired();
	copy = ff_strdup(azure_id_name(vm_of("web-1")->disk_id));
	o = later(recall_ok(FF_FLOW_ROLLBACK, "run-1", past), "run-2");
	expect(&o, AZ_CHECK, FF_M_DONE);
	expect(&o, AZ_CLAIM, FF_M_DONE);
	expect(&o, AZ_STOP, FF_M_DONE);
	expect(&o, AZ_RESTORE, FF_M_FAILED);
	cr_assert_eq(step(&o, AZ_SWAP_BACK, true), FF_M_DONE);
	cr_assert_eq(step(&o, AZ_START, true), FF_M_DONE);
	cr_assert_eq(step(&o, AZ_RELEASE, true), FF_M_DONE);
	state = sim_state(w.sim);
	cr_expect_str_eq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), copy);
	one_free(&o);
	world_end();
}

/* The first rows of a repair, so many; then its journal is lost, and its tags bring the VM home. */
static void recover_after(size_t rows, const char *cloud)
{
	ff_auto_json json_t *state = NULL, *rescue_facts = json_object();
	struct one o, lost;
	struct ff_err err;
	bool swapped;

	world("", cloud, "");
	one_new(&o, "web-1", 3, rescue_facts);
	for (size_t i = 0; i < rows; i++) {
		if (ff_azure.forward[i] == AZ_REPAIR)
			mend(&o);
		else
			expect(&o, ff_azure.forward[i], FF_M_DONE);
	}
	swapped = ff_json_bool(o.facts, "swapped", false);
	one_free(&o);
	world_look();
	cr_assert_str_eq(ff_json_str(vm_of("web-1")->facts, "claim/was"), "running");
	cr_expect_null(recall(FF_FLOW_RECOVER, "run-2", NULL, &err));
	lost = later(recall_ok(FF_FLOW_RECOVER, "run-1", NULL), "run-1");
	expect_where(&lost, "may be in resource group 'prod'");
	walk(&lost, ff_azure.recover);
	expect_where(&lost,
		swapped ? "is the OS disk; the original 'web-1-os' is unattached" : "OS disk 'web-1-os' is on the VM");
	cr_expect_eq(ff_json_at(lost.facts, "copied") == NULL, !swapped);
	state = sim_state(w.sim);
	cr_expect_str_eq(ff_json_str(sim_vm(state, "web-1"), "power"), "running");
	cr_expect_eq(ff_streq(ff_json_str(sim_vm(state, "web-1"), "os_disk/name"), "web-1-os"), !swapped);
	cr_expect_eq(json_object_size(ff_json_at(sim_vm(state, "web-1"), "tags")), 1, "after %zu rows", rows);
	cr_expect_eq(json_array_size(ff_json_at(sim_vm(state, "rescue-1"), "data_disks")), 0);
	cr_expect_eq(json_array_size(ff_json_at(state, "azure/disks")), swapped ? 5 : 4, "after %zu rows", rows);
	cr_expect_eq(ff_streq(ff_json_str(sim_disk(state, "web-1-os"), "tags/fixfleet-run"), "run-1"), swapped,
		"after %zu rows: the original is not marked", rows);
	one_free(&lost);
	world_end();
}

Test(azure_later, a_run_whose_journal_is_lost_comes_home_by_its_tags_from_every_row)
{
	for (size_t rows = 1; ff_azure.forward[rows - 1] != AZ_RELEASE; rows++)
		recover_after(rows, "");
}

Test(azure_later, a_copy_comes_off_the_rescue_vm_where_the_attach_api_is_not_enabled)
{
	for (size_t rows = 1; ff_azure.forward[rows - 1] != AZ_RELEASE; rows++)
		recover_after(rows, ",\"attach_api\":\"subscription\"");
}

/* Each by itself they would be refused: a rescue VM takes one change at a time. */
Test(azure_later, copies_of_one_rescue_vm_come_off_together)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm one, two, other;
	struct ff_member both[2];
	struct ff_ask ask = {0};
	struct ff_err err;

	kit_vm(&one, "web-1", -1);
	kit_vm(&two, "web-2", -1);
	kit_vm(&other, "web-3", -1);
	one.m.step = two.m.step = other.m.step = AZ_FREE_COPY;
	one.m.rescue = two.m.rescue = other.m.rescue = NULL;
	ff_json_set_str(one.facts, "holder", COMPUTE "/virtualMachines/rescue-1");
	ff_json_set_str(two.facts, "holder", COMPUTE "/virtualMachines/rescue-1");
	ff_json_set_str(other.facts, "holder", COMPUTE "/virtualMachines/rescue-2");
	cr_expect_str_eq(azure_steps[AZ_FREE_COPY].group(&one.m), azure_steps[AZ_FREE_COPY].group(&two.m));
	cr_expect_str_neq(azure_steps[AZ_FREE_COPY].group(&one.m), azure_steps[AZ_FREE_COPY].group(&other.m));
	both[0] = one.m;
	both[1] = two.m;
	cr_assert_eq(azure_steps[AZ_FREE_COPY].act(cloud, both, 2, &ask, &err), 0, "%s", err.text);
	cr_expect_not_null(strstr(ask.url, "/virtualMachines/rescue-1/attachDetachDataDisks"), "%s", ask.url);
	cr_expect_not_null(strstr(ask.body, "ff-web-1-"), "%s", ask.body);
	cr_expect_not_null(strstr(ask.body, "ff-web-2-"), "%s", ask.body);
	cr_expect_null(strstr(ask.body, "Attach\""), "%s", ask.body);
	ff_ask_release(&ask);
	kit_vm_free(&one);
	kit_vm_free(&two);
	kit_vm_free(&other);
	ff_azure.close(cloud);
}

/* ---------------------------------------------------------------- what the rows read */

#define MARKED(run)	"\"tags\":{\"fixfleet-run\":\"" run "\",\"fixfleet-vm\":\"prod/web-1\"}"
#define HELD_BY(vm)	"\"managedBy\":\"" COMPUTE "/virtualMachines/" vm "\""
#define STATE(state)	"\"properties\":{\"provisioningState\":\"Succeeded\",\"diskState\":\"" state "\"}"
#define CHANGING(state) "\"properties\":{\"provisioningState\":\"" state "\",\"diskState\":\"Unattached\"}"
#define RUNS(power, d)                                                                                                 \
	"{\"properties\":{\"provisioningState\":\"Succeeded\",\"storageProfile\":{\"osDisk\":{\"managedDisk\":"        \
	"{\"id\":\"" COMPUTE "/disks/" d "\"}}},\"instanceView\":{\"statuses\":[{\"code\":\"PowerState/" power         \
	"\"}]}}}"

Test(azure_later, a_look_tells_what_may_be_done_from_what_may_not)
{
	static const struct {
		int row, status;
		const char *answer;
		enum ff_meaning meaning;
		const char *text;
	} cases[] = {
		{AZ_MARK, 200, "{" MARKED("run-9") "}", FF_M_DONE, ""},
		{AZ_MARK, 200, "{" MARKED("run-1") "," STATE("Unattached") "}", FF_M_NOT_DONE, ""},
		{AZ_MARK, 200, "{" HELD_BY("web-1") "," STATE("Attached") "}", FF_M_WAIT, "still attached to 'web-1'"},
		{AZ_CHECK, 200, "{" STATE("Unattached") "}", FF_M_DONE, ""},
		{AZ_CHECK, 200, "{" STATE("Reserved") "}", FF_M_DONE, ""},
		{AZ_CHECK, 200, "{" STATE("ActiveSAS") "}", FF_M_FAILED, "is in state 'ActiveSAS'"},
		/* simulation: a cleanup deleted the disk while it was rolled back to it */
		{AZ_CHECK, 200, "{" CHANGING("Deleting") "}", FF_M_FAILED, "is being deleted"},
		{AZ_CHECK, 200, "{" CHANGING("Updating") "}", FF_M_WAIT, "another change of its original disk"},
		{AZ_CHECK, 200, "{" HELD_BY("web-1") "," STATE("Attached") "}", FF_M_FAILED,
			"has its original disk 'old' already"},
		{AZ_CHECK, 200, "{" HELD_BY("other") "," STATE("Attached") "}", FF_M_FAILED, "is attached to 'other'"},
		{AZ_CHECK, 200, "{" HELD_BY("other") "}", FF_M_FAILED, "is attached to 'other'"},
		{AZ_CHECK, 404, "{\"error\":{\"code\":\"ResourceNotFound\",\"message\":\"no\"}}", FF_M_FAILED,
			"its original disk 'old' does not exist any more"},
		/* the swap of a run that is lost may be under way still, and the copy be the OS disk next */
		{AZ_SETTLE, 200, "{\"properties\":{\"provisioningState\":\"Updating\"}}", FF_M_WAIT,
			"a change of the VM is under way"},
		{AZ_SETTLE, 200, RUNS("stopped", "copy"), FF_M_DONE, ""},
		{AZ_FREE_COPY, 200, "{" MARKED("run-9") "," HELD_BY("web-1") "," STATE("Attached") "}", FF_M_DONE, ""},
		{AZ_FREE_COPY, 200, "{" MARKED("run-9") "," HELD_BY("rescue-1") "," STATE("Attached") "}",
			FF_M_NOT_DONE, ""},
		{AZ_FREE_COPY, 200, "{" MARKED("run-9") "," STATE("Unattached") "}", FF_M_DONE, ""},
		{AZ_FREE_COPY, 200, "{" MARKED("run-8") "," HELD_BY("rescue-1") "}", FF_M_DONE, ""},
		{AZ_DROP_COPY, 200, "{" MARKED("run-9") "," HELD_BY("web-1") "," STATE("Attached") "}", FF_M_DONE, ""},
		{AZ_DROP_COPY, 200, "{" MARKED("run-9") "," HELD_BY("rescue-1") "," STATE("Attached") "}", FF_M_WAIT,
			"it is attached to 'rescue-1'"},
		{AZ_DROP_COPY, 200, "{" MARKED("run-9") "," STATE("Unattached") "}", FF_M_NOT_DONE, ""},
		{AZ_DROP_COPY, 200, "{" MARKED("run-8") "," STATE("Unattached") "}", FF_M_FAILED,
			"stays in resource group 'prod': it is not tagged as this run's"},
		{AZ_CONFIRM, 200, RUNS("running", "old"), FF_M_DONE, ""},
		{AZ_CONFIRM, 200, RUNS("starting", "old"), FF_M_WAIT, "the VM is starting"},
		{AZ_CONFIRM, 200, RUNS("running", "another"), FF_M_FAILED, "which this run did not put there"},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer answer = kit_answer(cases[i].status, cases[i].answer);
		struct kit_vm k;

		kit_vm(&k, "web-1", -1);
		ff_json_set_str(k.facts, "of", "run-1");
		ff_json_set_str(k.facts, "target", COMPUTE "/disks/old");
		ff_json_set_bool(k.facts, "swapped", true);
		k.m.run = "run-9";
		k.m.step = cases[i].row;
		ff_azure.steps[cases[i].row].looked(cloud, &k.m, NOW, &answer, &k.v);
		cr_expect_eq(k.v.meaning, cases[i].meaning, "case %zu: %d", i, (int)k.v.meaning);
		cr_expect_not_null(strstr(k.v.err.text, cases[i].text), "case %zu: %s", i, k.v.err.text);
		ff_answer_release(&answer, false);
		kit_vm_free(&k);
	}
	ff_azure.close(cloud);
}

/* The dead run may have asked it for something that is not over yet: it is waited for, and not asked again and again.
 */
Test(azure_later, a_rescue_vm_that_is_busy_says_when_a_copy_can_come_off)
{
	struct ff_answer refused = kit_answer(409, "{\"error\":{\"code\":\"Conflict\",\"message\":\"busy\"}}"),
			 busy = kit_answer(200, "{\"properties\":{\"provisioningState\":\"Updating\","
						"\"storageProfile\":{\"dataDisks\":[]}}}");
	struct ff_cloud *cloud = kit_cloud();
	struct ff_ask ask = {0};
	struct ff_err err;
	struct kit_vm k;

	kit_vm(&k, "web-1", -1);
	k.m.rescue = NULL;
	k.m.step = AZ_FREE_COPY;
	ff_json_set_str(k.facts, "holder", COMPUTE "/virtualMachines/rescue-1");
	azure_steps[AZ_FREE_COPY].acted(cloud, &k.m, 1, NOW, &refused, &k.v);
	cr_assert_eq(k.v.meaning, FF_M_LOOK);
	kit_learn(&k);
	json_decref(FF_STEAL(k.v.facts));
	cr_assert_eq(azure_steps[AZ_FREE_COPY].look(cloud, &k.m, &ask, &err), 0, "%s", err.text);
	cr_expect_not_null(strstr(ask.url, "/virtualMachines/rescue-1?"), "%s", ask.url);
	azure_steps[AZ_FREE_COPY].looked(cloud, &k.m, NOW, &busy, &k.v);
	cr_expect_eq(k.v.meaning, FF_M_WAIT, "%d", (int)k.v.meaning);
	cr_expect_not_null(strstr(k.v.err.text, "'rescue-1' is being changed"), "%s", k.v.err.text);
	ff_ask_release(&ask);
	ff_answer_release(&refused, false);
	ff_answer_release(&busy, false);
	kit_vm_free(&k);
	ff_azure.close(cloud);
}

/* 49 tags and two of ours are one too many. */
Test(azure_later, a_disk_without_room_for_the_mark_is_not_marked)
{
	struct ff_cloud *cloud = kit_cloud();
	json_t *tags = json_object();
	struct ff_err err = {0};
	struct kit_vm k;

	kit_vm(&k, "web-1", -1);
	for (int i = 0; i <= 48; i++) {
		struct ff_ask ask = {0};
		ff_auto_free char *key = ff_printf("k%d", i);

		ff_json_set_str(tags, key, "x");
		if (i < 47)
			continue;
		ff_json_set_new(k.facts, "disk_tags", json_deep_copy(tags));
		k.m.step = AZ_MARK;
		cr_expect_eq(ff_azure.steps[AZ_MARK].act(cloud, &k.m, 1, &ask, &err), i == 47 ? 0 : -1, "%d: %s", i,
			err.text);
		ff_ask_release(&ask);
	}
	cr_expect_not_null(strstr(err.text, "no room for two more tags"), "%s", err.text);
	json_decref(tags);
	kit_vm_free(&k);
	ff_azure.close(cloud);
}

/* It would be taken for stopped, and be found running when its disk is to be swapped. */
Test(azure_later, who_may_run_or_not_is_not_rolled_back)
{
	ff_auto_json json_t *past = NULL, *tidy = NULL;
	struct ff_err err;
	struct ff_vm *vm;

	world("", "", "");
	past = repaired();
	tidy = recall_ok(FF_FLOW_ROLLBACK, "run-1", past);
	json_decref(tidy);
	vm = vm_of("web-1");
	vm->state[0] = '\0'; /* as found where the instance view could not be read */
	cr_expect_null(ff_azure.recall(w.cloud, vm, FF_FLOW_ROLLBACK, "run-1", false, past, NULL, &err));
	cr_expect_eq(err.class, FF_E_TRANSIENT);
	cr_expect_not_null(strstr(err.text, "power state could not be read"), "%s", err.text);
	tidy = ff_azure.recall(w.cloud, vm, FF_FLOW_CLEANUP, "run-1", false, past, NULL, &err);
	cr_expect_not_null(tidy, "%s", err.text);
	world_end();
}

Test(azure_later, what_cannot_be_rolled_back_or_cleaned_up_says_why)
{
	ff_auto_json json_t *past = NULL, *facts = NULL;
	struct ff_err err;

	world("", "", "");
	past = repaired();
	facts = recall_ok(FF_FLOW_ROLLBACK, "run-1", past);
	cr_expect_null(recall(FF_FLOW_ROLLBACK, "run-8", past, &err)); /* whose copy would have another name */
	cr_expect_not_null(strstr(err.text, "which the run did not put there"), "%s", err.text);
	ff_json_set_str(json_object_get(json_object_get(past, "os_disk"), "managedDisk"), "id", "/../x");
	cr_expect_null(recall(FF_FLOW_CLEANUP, "run-1", past, &err));
	cr_expect_not_null(strstr(err.text, "does not tell its disks"), "%s", err.text);
	json_object_del(past, "os_disk");
	cr_expect_null(recall(FF_FLOW_CLEANUP, "run-1", past, &err));
	cr_expect_not_null(strstr(err.text, "does not tell its disks"), "%s", err.text);
	world_end();
}

/* The reading before each delete: what is attached or bears no tag of the run stays, whatever the facts say. */
Test(azure_later, only_a_free_disk_with_the_runs_tag_is_deleted)
{
	static const struct {
		const char *answer;
		enum ff_meaning meaning;
		const char *text;
	} cases[] = {
		{"{\"tags\":{\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"prod/web-1\"}}", FF_M_NOT_DONE, ""},
		{"{\"managedBy\":\"" COMPUTE
		 "/virtualMachines/x\",\"tags\":{\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"prod/web-1\"}}",
			FF_M_FAILED, "disk 'old' is attached to 'x': it stays"},
		{"{\"tags\":{\"fixfleet-run\":\"run-2\",\"fixfleet-vm\":\"prod/web-1\"}}", FF_M_FAILED,
			"disk 'old' is not tagged as run 'run-1' has left it: it stays"},
		{"{\"tags\":{\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"prod/web-2\"}}", FF_M_FAILED,
			"disk 'old' is not tagged as run 'run-1' has left it: it stays"},
		{"{}", FF_M_FAILED, "disk 'old' is not tagged as run 'run-1' has left it: it stays"},
		{"{\"tags\":{\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"prod/web-1\"},\"properties\":"
		 "{\"provisioningState\":\"Updating\"}}",
			FF_M_WAIT, "another change of disk 'old' is under way"},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_answer answer = kit_answer(200, cases[i].answer);
		struct kit_vm k;

		kit_vm(&k, "web-1", -1);
		ff_json_set_str(k.facts, "of", "run-1");
		ff_json_set_str(k.facts, "left", COMPUTE "/disks/old");
		k.m.run = "run-9";
		azure_delete_left_looked(cloud, &k.m, NOW, &answer, &k.v);
		cr_expect_eq(k.v.meaning, cases[i].meaning, "case %zu: %d", i, (int)k.v.meaning);
		cr_expect_str_eq(k.v.err.text, cases[i].text);
		ff_answer_release(&answer, false);
		kit_vm_free(&k);
	}
	ff_azure.close(cloud);
}
