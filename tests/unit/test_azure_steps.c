/* Each row's request, exactly, and its reading of answers. */
#include "azure_kit.h"
#include "providers/azure/found.h"

#define VM_URL ARM COMPUTE "/virtualMachines/web-1"

static struct ff_cloud *cloud;
static struct kit_vm k;
static char *copy_name, *copy_id;

static void setup(void)
{
	cloud = kit_cloud();
	kit_vm(&k, "web-1", 3);
	copy_name = azure_copy_name(&k.m);
	copy_id = azure_copy_id(&k.m);
}

static void teardown(void)
{
	free(copy_name);
	free(copy_id);
	kit_vm_free(&k);
	ff_azure.close(cloud);
}

TestSuite(azure_steps, .init = setup, .fini = teardown);

/* A VM's answer: OS disk, power, agent's word and time, more members. */
static char *vm_answer(const char *disk_id, const char *power, const char *agent, const char *time, const char *more)
{
	return ff_printf(
		"{\"id\":\"" COMPUTE "/virtualMachines/web-1\",\"etag\":\"\\\"7\\\"\"%s,\"properties\":{"
		"\"provisioningState\":\"Succeeded\",\"storageProfile\":{\"osDisk\":{\"managedDisk\":{\"id\":\"%s\"}}},"
		"\"instanceView\":{\"vmAgent\":{\"statuses\":[{\"displayStatus\":\"%s\",\"time\":\"%s\"}]},"
		"\"statuses\":[{"
		"\"code\":\"ProvisioningState/succeeded\"},{\"code\":\"PowerState/%s\"}]}}}",
		more, disk_id, agent, time, power);
}

static enum ff_meaning looked_vm(int step, const char *disk_id, const char *power, const char *more)
{
	ff_auto_free char *body = vm_answer(disk_id, power, "Not Ready", "2024-07-19T05:00:00Z", more);

	return kit_looked(cloud, &k, step, 200, body);
}

static const char original[] = COMPUTE "/disks/web-1-os";

static void expect_ask(struct ff_ask *ask, const char *method, const char *url)
{
	cr_assert_str_eq(ask->method, method);
	cr_assert_str_eq(ask->url, url);
	cr_assert_gt(ask->cost_count, 0);
}

/* ---- claim and release */

Test(azure_steps, claim_sends_the_whole_tag_map_with_if_match)
{
	struct ff_ask ask = kit_look(cloud, &k, AZ_CLAIM);

	expect_ask(&ask, "GET", VM_URL "?$expand=instanceView&api-version=2024-07-01");
	ff_ask_release(&ask);
	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", ",\"tags\":{\"env\":\"prod\",\"Fixfleet-Run\":\"\"}"),
		FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_CLAIM);
	expect_ask(&ask, "PATCH", VM_URL "?api-version=2024-07-01");
	cr_assert_str_eq(ff_headers_get(&ask.headers, "If-Match"), "\"7\"");
	kit_body_is(&ask, "{\"tags\":{\"env\":\"prod\",\"fixfleet-run\":\"run-1\",\"fixfleet-was\":\"running\"}}");
	cr_assert_str_eq(ask.costs[0].key, "azure/" SUB "/westeurope/PutVM");
	cr_assert_eq(ask.costs[1].capacity, 12);
	ff_ask_release(&ask);
	cr_assert_eq(kit_acted(cloud, &k, AZ_CLAIM, 200, "{}"), FF_M_DONE);
	cr_assert_null(json_object_get(k.facts, "tags")); /* facts stay small */
}

Test(azure_steps, claim_looks_before_it_believes)
{
	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", ",\"tags\":{\"FIXFLEET-run\":\"run-1\"}"), FF_M_DONE);
	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", ",\"tags\":{\"fixfleet-run\":\"run-2\"}"), FF_M_FAILED);
	cr_assert_str_eq(k.v.err.text,
		"the VM is claimed by run 'run-2': if that run is dead, its own resume goes on with it, or "
		"--take-over");
	cr_assert_eq(k.v.err.class, FF_E_CONFLICT);
	cr_assert_eq(looked_vm(AZ_CLAIM, COMPUTE "/disks/other", "running", ""), FF_M_FAILED);
	cr_assert_eq(k.v.err.class, FF_E_CONFLICT);
	cr_assert_eq(looked_vm(AZ_CLAIM, COMPUTE "/DISKS/WEB-1-OS", "running", ""), FF_M_NOT_DONE);
	cr_assert_eq(kit_looked(cloud, &k, AZ_CLAIM, 404, ""), FF_M_FAILED);
	cr_assert_eq(k.v.err.class, FF_E_GONE);
	cr_assert_eq(kit_looked(cloud, &k, AZ_CLAIM, 503, ""), FF_M_WAIT);
	cr_assert_eq(kit_looked(cloud, &k, AZ_CLAIM, 403, ""), FF_M_FAILED);
}

Test(azure_steps, a_claim_says_whose_it_is)
{
	struct ff_ask ask;

	k.m.by = "ops@bastion";
	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", ",\"tags\":{\"env\":\"prod\"}"), FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_CLAIM);
	kit_body_is(&ask, "{\"tags\":{\"env\":\"prod\",\"fixfleet-run\":\"run-1\",\"fixfleet-was\":\"running\","
			  "\"fixfleet-by\":\"ops@bastion\"}}");
	ff_ask_release(&ask);
	cr_assert_eq(looked_vm(AZ_RELEASE, original, "running",
			     ",\"tags\":{\"env\":\"prod\",\"fixfleet-run\":\"run-1\",\"fixfleet-was\":\"running\","
			     "\"fixfleet-by\":\"ops@bastion\"}"),
		FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_RELEASE);
	kit_body_is(&ask, "{\"tags\":{\"env\":\"prod\"}}");
	ff_ask_release(&ask);
}

#define CLAIMED_BY_EVE ",\"tags\":{\"fixfleet-run\":\"run-2\",\"fixfleet-by\":\"eve@laptop\"}"

Test(azure_steps, a_dead_runs_claim_is_taken_over_when_told_so)
{
	struct ff_ask ask;

	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", CLAIMED_BY_EVE), FF_M_FAILED);
	cr_assert(strstr(k.v.err.text, "claimed by run 'run-2' of eve@laptop") != NULL, "%s", k.v.err.text);
	k.m.take_over = true;
	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", CLAIMED_BY_EVE), FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_CLAIM);
	cr_assert_not_null(ff_headers_get(&ask.headers, "If-Match"), "two could take it over at once");
	kit_body_is(&ask, "{\"tags\":{\"fixfleet-run\":\"run-1\",\"fixfleet-was\":\"running\"}}");
	ff_ask_release(&ask);
}

Test(azure_steps, the_claim_of_the_run_that_is_rolled_back_is_nobodys)
{
	ff_json_set_str(k.facts, "of", "run-3");
	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", CLAIMED_BY_EVE), FF_M_FAILED);
	ff_json_set_str(k.facts, "of", "run-2");
	cr_assert_eq(looked_vm(AZ_CLAIM, original, "running", CLAIMED_BY_EVE), FF_M_NOT_DONE);
}

Test(azure_steps, a_vm_that_recovered_meanwhile_is_not_claimed)
{
	ff_auto_free char *body = vm_answer(original, "running", "Ready", "2024-07-19T05:59:00Z", "");

	cr_assert_eq(kit_looked(cloud, &k, AZ_CLAIM, 200, body), FF_M_FAILED);
	cr_assert_eq(k.v.err.class, FF_E_CONFLICT);
	k.vm.health = FF_HEALTHY; /* asked for with --all */
	cr_assert_eq(kit_looked(cloud, &k, AZ_CLAIM, 200, body), FF_M_NOT_DONE);
}

Test(azure_steps, an_etag_that_would_break_the_header_is_none)
{
	struct ff_ask ask;

	cr_assert_eq(kit_looked(cloud, &k, AZ_CLAIM, 200,
			     "{\"etag\":\"\\\"7\\\"\\r\\nX: "
			     "y\",\"properties\":{\"storageProfile\":{\"osDisk\":{\"managedDisk\":"
			     "{\"id\":\"" COMPUTE "/disks/web-1-os\"}}}}}"),
		FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_CLAIM);
	cr_assert_null(ff_headers_get(&ask.headers, "If-Match"));
	ff_ask_release(&ask);
}

Test(azure_steps, release_removes_the_claim_and_blanks_it_where_tags_merge)
{
	struct ff_ask ask;

	cr_assert_eq(looked_vm(AZ_RELEASE, original, "running", ",\"tags\":{\"a\":\"b\",\"fixfleet-run\":\"run-1\"}"),
		FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_RELEASE);
	kit_body_is(&ask, "{\"tags\":{\"a\":\"b\"}}");
	cr_assert_str_eq(ff_headers_get(&ask.headers, "If-Match"), "\"7\"");
	ff_ask_release(&ask);
	cr_assert_eq(kit_acted(cloud, &k, AZ_RELEASE, 200, "{\"tags\":{\"a\":\"b\",\"fixfleet-run\":\"run-1\"}}"),
		FF_M_LOOK);
	cr_assert_eq(looked_vm(AZ_RELEASE, original, "running", ",\"tags\":{\"a\":\"b\",\"fixfleet-run\":\"run-1\"}"),
		FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_RELEASE);
	kit_body_is(&ask, "{\"tags\":{\"a\":\"b\",\"fixfleet-run\":\"\"}}");
	ff_ask_release(&ask);
	cr_assert_eq(
		kit_acted(cloud, &k, AZ_RELEASE, 200, "{\"tags\":{\"a\":\"b\",\"fixfleet-run\":\"\"}}"), FF_M_DONE);
}

Test(azure_steps, release_leaves_a_foreign_claim)
{
	cr_assert_eq(looked_vm(AZ_RELEASE, original, "running", ",\"tags\":{\"fixfleet-run\":\"run-2\"}"), FF_M_DONE);
	cr_assert_eq(looked_vm(AZ_RELEASE, original, "running", ""), FF_M_DONE);
	cr_assert_eq(kit_looked(cloud, &k, AZ_RELEASE, 404, ""), FF_M_DONE);
}

/* seed 50005205: an empty answer was taken for a VM without a claim */
Test(azure_steps, an_empty_answer_tells_nothing_of_a_resource)
{
	for (int step = 0; step < AZ_STEP_COUNT; step++)
		if (ff_azure.steps[step].looked != NULL)
			cr_expect_eq(kit_looked(cloud, &k, step, 200, ""), FF_M_WAIT, "%s", ff_azure.steps[step].name);
}

/* seed 41016626: the claim was a change that took long, and the VM went home meanwhile: it came after its release */
Test(azure_steps, a_claim_that_may_be_under_way_is_waited_for_before_the_release)
{
	cr_assert_eq(kit_looked(cloud, &k, AZ_RELEASE, 200, "{\"properties\":{\"provisioningState\":\"Updating\"}}"),
		FF_M_WAIT);
	cr_assert_eq(
		looked_vm(AZ_RELEASE, original, "running", ",\"tags\":{\"fixfleet-run\":\"run-1\"}"), FF_M_NOT_DONE);
}

/* ---- power */

Test(azure_steps, power_operations_are_bodyless_posts)
{
	struct ff_ask ask = kit_act(cloud, &k, AZ_STOP);

	expect_ask(&ask, "POST", VM_URL "/powerOff?skipShutdown=true&api-version=2024-07-01");
	cr_assert_null(ask.body);
	ff_ask_release(&ask);
	ask = kit_act(cloud, &k, AZ_START);
	expect_ask(&ask, "POST", VM_URL "/start?api-version=2024-07-01");
	cr_assert_str_eq(ask.costs[0].key, "azure/" SUB "/westeurope/UpdateVM");
	ff_ask_release(&ask);
	ask = kit_look(cloud, &k, AZ_STOP);
	expect_ask(&ask, "GET", VM_URL "/instanceView?api-version=2024-07-01");
	ff_ask_release(&ask);
}

Test(azure_steps, the_power_state_says_what_stop_and_start_have_done)
{
	static const struct {
		const char *power;
		enum ff_meaning stop, start;
	} cases[] = {
		{"running", FF_M_NOT_DONE, FF_M_DONE},
		{"starting", FF_M_NOT_DONE, FF_M_WAIT},
		{"stopping", FF_M_WAIT, FF_M_WAIT},
		{"stopped", FF_M_DONE, FF_M_NOT_DONE},
		{"deallocating", FF_M_WAIT, FF_M_WAIT},
		{"deallocated", FF_M_DONE, FF_M_NOT_DONE},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *body = ff_printf("{\"statuses\":[{\"code\":\"PowerState/%s\"}]}", cases[i].power);

		cr_assert_eq(kit_looked(cloud, &k, AZ_STOP, 200, body), cases[i].stop, "%s", cases[i].power);
		cr_assert_eq(kit_looked(cloud, &k, AZ_START, 200, body), cases[i].start, "%s", cases[i].power);
	}
	cr_assert_eq(kit_looked(cloud, &k, AZ_STOP, 200, "{}"), FF_M_WAIT);
	cr_assert_eq(ff_json_int(k.facts, "started_ms", 0), NOW);
}

Test(azure_steps, verify_wants_the_agents_word_of_after_the_start)
{
	static const struct {
		const char *disk, *power, *agent, *time;
		enum ff_meaning meaning;
	} cases[] = {
		{"copy", "running", "Ready", "2024-07-19T06:00:01Z", FF_M_DONE},
		{"copy", "running", "Ready", "2024-07-19T06:00:00Z", FF_M_WAIT}, /* stale: of before */
		{"copy", "running", "Ready", "2024-07-19T05:00:00Z", FF_M_WAIT},
		{"copy", "running", "Ready", "soon", FF_M_WAIT},
		{"copy", "running", "Not Ready", "2024-07-19T06:01:00Z", FF_M_WAIT},
		{"copy", "stopped", "Ready", "2024-07-19T06:01:00Z", FF_M_WAIT},
		{"original", "running", "Ready", "2024-07-19T06:01:00Z", FF_M_FAILED},
	};

	ff_json_set_int(k.facts, "started_ms", NOW);
	ff_json_set_bool(k.facts, "swapped", true);
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *body = vm_answer(ff_streq(cases[i].disk, "copy") ? copy_id : original,
			cases[i].power, cases[i].agent, cases[i].time, "");

		cr_assert_eq(
			kit_looked(cloud, &k, AZ_VERIFY, 200, body), cases[i].meaning, "case %zu: %s", i, k.v.err.text);
	}
	json_object_del(k.facts, "started_ms");
	ff_auto_free char *body = vm_answer(copy_id, "running", "Ready", "2024-07-19T06:01:00Z", "");

	cr_assert_eq(kit_looked(cloud, &k, AZ_VERIFY, 200, body), FF_M_WAIT, "a start that nobody saw proves nothing");
}

/* What azure says of a VM whose agent does not answer, or does, and whose last change ended then. */
static char *view_of(const char *agent, const char *changed)
{
	return ff_printf(
		"{\"vmAgent\":{\"statuses\":[{\"displayStatus\":\"%s\",\"time\":\"%s\"}]},\"statuses\":[{"
		"\"code\":\"ProvisioningState/succeeded\",\"time\":\"%s\"},{\"code\":\"PowerState/running\"}]}",
		agent, changed, changed);
}

/* The evidence it was chosen for may be hours old: another may have mended it, a human may have started it. */
Test(azure_steps, a_vm_that_is_well_or_may_be_by_now_is_neither_claimed_nor_stopped)
{
	static const struct {
		const char *agent, *changed, *run; /* run: whose claim it bears */
		int64_t claim_ago_ms;		   /* of ours, as far as this process knows; -1: it does not */
		enum ff_meaning claim, stop;
	} cases[] = {
		{"Not Ready", "2024-07-19T05:00:00Z", "", -1, FF_M_NOT_DONE, FF_M_NOT_DONE},
		{"Not Ready", "2024-07-19T05:59:00Z", "", -1, FF_M_WAIT, FF_M_WAIT},
		{"Not Ready", "2024-07-19T05:55:00Z", "", -1, FF_M_NOT_DONE, FF_M_NOT_DONE},
		{"Ready", "2024-07-19T05:00:00Z", "", -1, FF_M_FAILED, FF_M_FAILED},
		{"Ready", "2024-07-19T05:59:00Z", "", -1, FF_M_FAILED, FF_M_FAILED},
		/* our claim is the last change: it says as little as before */
		{"Not Ready", "2024-07-19T05:59:05Z", "run-1", 60000, FF_M_DONE, FF_M_NOT_DONE},
		/* somebody has changed it since */
		{"Not Ready", "2024-07-19T05:59:05Z", "run-1", 180000, FF_M_WAIT, FF_M_WAIT},
		/* of a process that has died */
		{"Not Ready", "2024-07-19T05:59:05Z", "run-1", -1, FF_M_WAIT, FF_M_WAIT},
		{"Not Ready", "2024-07-19T05:50:00Z", "run-1", -1, FF_M_DONE, FF_M_NOT_DONE},
		{"Ready", "2024-07-19T05:59:05Z", "run-1", 60000, FF_M_FAILED, FF_M_FAILED},
		/* the claim was refused: the change that is seen is another's */
		{"Not Ready", "2024-07-19T05:59:05Z", "", 60000, FF_M_WAIT, FF_M_NOT_DONE},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *view = view_of(cases[i].agent, cases[i].changed);
		ff_auto_free char *vm = ff_printf(
			"{\"tags\":{\"fixfleet-run\":\"%s\"},\"properties\":{\"provisioningState\":\"Succeeded\","
			"\"storageProfile\":{\"osDisk\":{\"managedDisk\":{\"id\":\"%s\"}}},\"instanceView\":%s}}",
			cases[i].run, original, view);

		json_object_del(k.facts, "claim_ms");
		if (cases[i].claim_ago_ms >= 0)
			ff_json_set_int(k.facts, "claim_ms", NOW - cases[i].claim_ago_ms);
		cr_expect_eq(kit_looked(cloud, &k, AZ_CLAIM, 200, vm), cases[i].claim, "case %zu: %s", i, k.v.err.text);
		cr_expect_eq(kit_looked(cloud, &k, AZ_STOP, 200, view), cases[i].stop, "case %zu: %s", i, k.v.err.text);
	}
}

Test(azure_steps, evidence_does_not_keep_a_rollback_nor_who_was_chosen_without_it_from_its_stop)
{
	ff_auto_free char *view = view_of("Ready", "2024-07-19T05:59:00Z");

	k.vm.health = FF_SUSPECT;
	cr_expect_eq(kit_looked(cloud, &k, AZ_STOP, 200, view), FF_M_NOT_DONE);
	k.vm.health = FF_AFFECTED;
	ff_json_set_str(k.facts, "of", "run-0");
	cr_expect_eq(kit_looked(cloud, &k, AZ_STOP, 200, view), FF_M_NOT_DONE);
}

Test(azure_steps, when_it_claimed_is_kept_whatever_became_of_it)
{
	static const int statuses[] = {200, 202, 412, 500};

	json_object_del(k.facts, "claim_ms");
	cr_expect_eq(looked_vm(AZ_CLAIM, original, "running", ""), FF_M_NOT_DONE);
	cr_expect_eq(ff_json_int(k.facts, "claim_ms", 0), NOW, "it may die before it has an answer");
	for (size_t i = 0; i < FF_COUNT(statuses); i++) {
		json_object_del(k.facts, "claim_ms");
		kit_acted(cloud, &k, AZ_CLAIM, statuses[i], "{}");
		cr_expect_eq(ff_json_int(k.facts, "claim_ms", 0), NOW, "%d", statuses[i]);
	}
	json_object_del(k.facts, "claim_ms");
	kit_acted(cloud, &k, AZ_RELEASE, 200, "{}");
	cr_expect_null(json_object_get(k.facts, "claim_ms"));
}

/* ---- the copy */

Test(azure_steps, the_copys_name_is_valid_short_and_its_own)
{
	static const char *const names[] = {
		"web-1", "a", "Ünïcode vm with a very long name indeed, longer than that", "x.y_z"};
	struct kit_vm other;
	ff_auto_free char *theirs = NULL;

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		struct ff_vm vm = {.name = (char *)names[i], .id = k.vm.id};
		struct ff_member m = {.vm = &vm, .run = "r234567890123456789012345678901234567890"};
		ff_auto_free char *name = azure_copy_name(&m);

		cr_assert_leq(strlen(name), 80);
		cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
			strlen(name), "%s", name);
	}
	kit_vm(&other, "web-1", 0);
	free(other.vm.id);
	other.vm.id = ff_strdup(
		"/subscriptions/" SUB "/resourceGroups/TEST/providers/Microsoft.Compute/virtualMachines/web-1");
	theirs = azure_copy_name(&other.m);
	cr_assert_str_neq(theirs, copy_name);
	kit_vm_free(&other);
}

Test(azure_steps, the_copy_carries_what_the_source_has)
{
	struct ff_ask ask = kit_act(cloud, &k, AZ_COPY);
	ff_auto_free char *url = ff_printf(ARM "%s?api-version=2024-03-02", copy_id);

	expect_ask(&ask, "PUT", url);
	kit_body_is(&ask,
		"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"sku\":{\"name\":\"Premium_LRS\"},\"tags\":{\"cost\":"
		"\"42\",\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"prod/"
		"web-1\"},\"properties\":{\"osType\":\"Windows\","
		"\"hyperVGeneration\":\"V2\",\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":"
		"\"" COMPUTE
		"/disks/web-1-os\"},\"networkAccessPolicy\":\"AllowAll\",\"publicNetworkAccess\":\"Enabled\"}}");
	ff_ask_release(&ask);
	ff_json_set_new(k.facts, "disk",
		kit_json("{\"location\":\"eu\",\"sku\":\"Standard_LRS\",\"osType\":\"Windows\",\"generation\":\"V1\","
			 "\"encryption\":"
			 "\"EncryptionAtRestWithCustomerKey\",\"diskEncryptionSetId\":\"/des\",\"networkAccessPolicy\":"
			 "\"AllowPrivate\",\"diskAccessId\":\"/da\"}"));
	ask = kit_act(cloud, &k, AZ_COPY);
	kit_body_is(&ask,
		"{\"location\":\"eu\",\"sku\":{\"name\":\"Standard_LRS\"},\"tags\":{\"fixfleet-run\":\"run-1\","
		"\"fixfleet-vm\":\"prod/web-1\"},\"properties\":{\"osType\":\"Windows\",\"hyperVGeneration\":\"V1\","
		"\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":\"" COMPUTE "/disks/web-1-os\"},"
		"\"encryption\":{\"type\":\"EncryptionAtRestWithCustomerKey\",\"diskEncryptionSetId\":\"/des\"},"
		"\"networkAccessPolicy\":\"AllowPrivate\",\"diskAccessId\":\"/da\"}}");
	ff_ask_release(&ask);
}

static enum ff_meaning looked_copy(
	int step, const char *tags, const char *generation, const char *zone, const char *state, const char *more)
{
	ff_auto_free char *body =
		ff_printf("{\"tags\":%s,\"sku\":{\"name\":\"Premium_LRS\"},\"zones\":[\"%s\"]%s,\"properties\":{"
			  "\"hyperVGeneration\":\"%s\","
			  "\"creationData\":{\"sourceResourceId\":\"%s\"},\"provisioningState\":\"%s\"}}",
			tags, zone, more, generation, original, state);

	return kit_looked(cloud, &k, step, 200, body);
}

#define OURS   "{\"fixfleet-run\":\"run-1\",\"fixfleet-vm\":\"PROD/web-1\"}"
#define THEIRS "{\"fixfleet-run\":\"run-2\",\"fixfleet-vm\":\"prod/web-1\"}"

Test(azure_steps, a_copy_is_done_only_when_it_can_go_home)
{
	cr_assert_eq(kit_looked(cloud, &k, AZ_COPY, 404, ""), FF_M_NOT_DONE);
	cr_assert_eq(looked_copy(AZ_COPY, OURS, "V2", "1", "Succeeded", ""), FF_M_DONE, "%s", k.v.err.text);
	cr_assert_eq(looked_copy(AZ_COPY, OURS, "V2", "1", "Updating", ""), FF_M_WAIT);
	cr_assert_eq(looked_copy(AZ_COPY, OURS, "V2", "1", "Failed", ""), FF_M_NOT_DONE);
	cr_assert_eq(looked_copy(AZ_COPY, OURS, "V1", "1", "Succeeded", ""), FF_M_FAILED);
	cr_assert(strstr(k.v.err.text, "generation") != NULL);
	cr_assert_eq(looked_copy(AZ_COPY, OURS, "V2", "2", "Succeeded", ""), FF_M_FAILED);
	cr_assert_eq(looked_copy(AZ_COPY, THEIRS, "V2", "1", "Succeeded", ""), FF_M_FAILED);
	cr_assert_eq(k.v.err.class, FF_E_CONFLICT);
	cr_assert_eq(looked_copy(AZ_COPY, "{}", "V2", "1", "Succeeded", ""), FF_M_FAILED);
}

Test(azure_steps, only_a_free_copy_of_our_own_is_deleted)
{
	struct ff_ask ask = kit_act(cloud, &k, AZ_DELETE_COPY);
	ff_auto_free char *url = ff_printf(ARM "%s?api-version=2024-03-02", copy_id);

	expect_ask(&ask, "DELETE", url);
	ff_ask_release(&ask);
	ff_json_set_bool(k.facts, "copied", true);
	cr_assert_eq(looked_copy(AZ_DELETE_COPY, OURS, "V2", "1", "Succeeded", ""), FF_M_NOT_DONE);
	cr_assert_eq(
		looked_copy(AZ_DELETE_COPY, OURS, "V2", "1", "Succeeded", ",\"managedBy\":\"/x/web-1\""), FF_M_WAIT);
	cr_assert(
		strstr(k.v.err.text, copy_name) != NULL && strstr(k.v.err.text, "web-1'") != NULL, "%s", k.v.err.text);
	cr_assert_eq(looked_copy(AZ_DELETE_COPY, THEIRS, "V2", "1", "Succeeded", ""), FF_M_FAILED);
	cr_assert(strstr(k.v.err.text, copy_name) != NULL, "%s", k.v.err.text);
	cr_assert_eq(kit_acted(cloud, &k, AZ_DELETE_COPY, 403, ""), FF_M_FAILED);
	cr_assert(strstr(k.v.err.text, copy_name) != NULL, "%s", k.v.err.text);
	cr_assert_eq(kit_looked(cloud, &k, AZ_DELETE_COPY, 404, ""), FF_M_DONE);
	cr_assert_null(json_object_get(k.facts, "copied"));
}

/* ---- the swap */

#define SWAP_BODY(name, id)                                                                                            \
	"{\"properties\":{\"storageProfile\":{\"osDisk\":{\"osType\":\"Windows\",\"name\":\"%s\",\"createOption\":"    \
	"\"FromImage\",\"caching\":\"ReadWrite\",\"writeAcceleratorEnabled\":false,\"deleteOption\":\"Delete\","       \
	"\"managedDisk\":{\"id\":\"%s\",\"storageAccountType\":\"Premium_LRS\"}}}}}",                                  \
		name, id

Test(azure_steps, the_swap_changes_name_and_id_and_nothing_else)
{
	struct ff_ask ask;
	ff_auto_free char *there = ff_printf(SWAP_BODY(copy_name, copy_id)),
			  *back = ff_printf(SWAP_BODY("web-1-os", original));

	cr_assert_eq(looked_vm(AZ_SWAP, original, "stopped", ""), FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_SWAP);
	expect_ask(&ask, "PATCH", VM_URL "?api-version=2024-07-01");
	cr_assert_str_eq(ff_headers_get(&ask.headers, "If-Match"), "\"7\"");
	kit_body_is(&ask, there);
	ff_ask_release(&ask);
	cr_assert_eq(kit_acted(cloud, &k, AZ_SWAP, 200, "{}"), FF_M_DONE);
	cr_assert_eq(looked_vm(AZ_SWAP, copy_id, "stopped", ""), FF_M_DONE);
	cr_assert(ff_json_bool(k.facts, "swapped", false));
	cr_assert_eq(looked_vm(AZ_SWAP_BACK, copy_id, "stopped", ""), FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_SWAP_BACK);
	kit_body_is(&ask, back);
	ff_ask_release(&ask);
	cr_assert_eq(looked_vm(AZ_SWAP_BACK, original, "stopped", ""), FF_M_DONE);
	cr_assert_null(json_object_get(k.facts, "swapped"));
}

/* Another run was told to take it over, and has a copy of its own: this one's is not swapped in, or is taken back. */
Test(azure_steps, a_vm_that_was_taken_over_is_not_swapped)
{
	static const char taken[] = ",\"tags\":{\"fixfleet-run\":\"run-2\",\"fixfleet-by\":\"eve@laptop\"}";

	cr_expect_eq(looked_vm(AZ_SWAP, original, "stopped", ",\"tags\":{\"fixfleet-run\":\"run-1\"}"), FF_M_NOT_DONE);
	cr_expect_eq(looked_vm(AZ_SWAP, original, "stopped", taken), FF_M_FAILED);
	cr_expect_eq(k.v.err.class, FF_E_CONFLICT);
	cr_expect_str_eq(k.v.err.text, "it was taken over by run 'run-2' of eve@laptop");
	cr_expect_eq(looked_vm(AZ_SWAP_BACK, copy_id, "stopped", taken), FF_M_NOT_DONE);
}

Test(azure_steps, a_swap_keeps_encryption_set_and_security_profile)
{
	struct ff_ask ask;
	ff_auto_json json_t *model =
		kit_json("{\"name\":\"o\",\"createOption\":\"Attach\",\"diskSizeGB\":127,\"managedDisk\":{"
			 "\"id\":\"/o\",\"diskEncryptionSet\":{\"id\":\"/DES\"},\"securityProfile\":{"
			 "\"securityEncryptionType\":\"VMGuestStateOnly\"}}}");
	ff_auto_free char *want =
		ff_printf("{\"properties\":{\"storageProfile\":{\"osDisk\":{\"name\":\"%s\",\"createOption\":"
			  "\"Attach\",\"managedDisk\":{\"id\":\"%s\",\"diskEncryptionSet\":{\"id\":\"/DES\"},"
			  "\"securityProfile\":{\"securityEncryptionType\":\"VMGuestStateOnly\"}}}}}}",
			copy_name, copy_id);

	ff_json_set_new(k.facts, "os_disk", azure_os_disk_reduce(model));
	ask = kit_act(cloud, &k, AZ_SWAP);
	kit_body_is(&ask, want);
	ff_ask_release(&ask);
}

Test(azure_steps, nothing_is_swapped_on_a_vm_that_runs)
{
	static const struct {
		const char *power;
		enum ff_meaning meaning;
	} cases[] = {{"running", FF_M_FAILED}, {"starting", FF_M_FAILED}, {"stopping", FF_M_WAIT},
		{"stopped", FF_M_NOT_DONE}, {"deallocated", FF_M_NOT_DONE}, {"", FF_M_WAIT}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_assert_eq(looked_vm(AZ_SWAP, original, cases[i].power, ""), cases[i].meaning, "%s", cases[i].power);
		cr_assert_eq(
			looked_vm(AZ_SWAP_BACK, copy_id, cases[i].power, ""), cases[i].meaning, "%s", cases[i].power);
	}
	cr_assert_eq(looked_vm(AZ_SWAP, COMPUTE "/disks/third", "stopped", ""), FF_M_FAILED);
	cr_assert_eq(looked_vm(AZ_SWAP_BACK, COMPUTE "/disks/third", "stopped", ""), FF_M_FAILED);
}

#define DEALLOCATE                                                                                                     \
	"{\"error\":{\"code\":\"OperationNotAllowed\",\"message\":\"the VM is currently allocated. Please "            \
	"deallocate\"}}"

Test(azure_steps, a_swap_that_asks_for_it_deallocates_first)
{
	struct ff_ask ask;

	looked_vm(AZ_SWAP, original, "stopped", "");
	cr_assert_eq(kit_acted(cloud, &k, AZ_SWAP, 409, DEALLOCATE), FF_M_LOOK);
	cr_assert_eq(looked_vm(AZ_SWAP, original, "stopped", ""), FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_SWAP);
	expect_ask(&ask, "POST", VM_URL "/deallocate?api-version=2024-07-01");
	cr_assert_null(ask.body);
	cr_assert_str_eq(ask.costs[0].key, "azure/" SUB "/westeurope/DeleteVM");
	ff_ask_release(&ask);
	cr_assert_eq(kit_acted(cloud, &k, AZ_SWAP, 200, ""), FF_M_LOOK, "the way is free, nothing is swapped");
	cr_assert_eq(looked_vm(AZ_SWAP, original, "deallocated", ""), FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, AZ_SWAP);
	cr_assert_str_eq(ask.method, "PATCH");
	ff_ask_release(&ask);
	cr_assert_eq(kit_acted(cloud, &k, AZ_SWAP, 409, DEALLOCATE), FF_M_FAILED, "once is enough");
}

Test(azure_steps, a_refused_swap_is_permanent_and_keeps_its_words)
{
	cr_assert_eq(kit_acted(cloud, &k, AZ_SWAP, 409,
			     "{\"error\":{\"code\":\"PropertyChangeNotAllowed\",\"message\":\"HyperVisor property do "
			     "not match\"}}"),
		FF_M_FAILED);
	cr_assert_eq(k.v.err.class, FF_E_PERMANENT);
	cr_assert(strstr(k.v.err.text, "HyperVisor") != NULL);
	cr_assert_eq(kit_acted(cloud, &k, AZ_SWAP, 412, ""), FF_M_LOOK);
}

/* ---- places */

Test(azure_steps, the_disk_is_found_by_its_lun)
{
	struct ff_disk_place place;
	struct ff_err err = {0};

	cr_assert_eq(ff_azure.place(cloud, &k.m, &place, &err), 0);
	cr_assert_eq(place.paths.count, 3);
	cr_assert_str_eq(place.paths.items[0], "disk/azure/data/by-lun/3");
	cr_assert_str_eq(place.paths.items[1], "disk/azure/scsi1/lun3");
	cr_assert_str_eq(place.paths.items[2], "disk/azure/datadisks/lun3");
	cr_assert_null(place.serial);
	cr_assert_eq(place.size_bytes, 1 << 30);
	ff_disk_place_release(&place);
	k.m.slot = -1;
	cr_assert_eq(ff_azure.place(cloud, &k.m, &place, &err), -1);
}

static void where_is(const char *expected)
{
	ff_auto_buf text = {0};

	ff_azure.where(cloud, &k.m, &text);
	cr_assert_str_eq(text.text, expected);
}

Test(azure_steps, where_names_every_disk)
{
	ff_auto_free char *copied =
		ff_printf("OS disk 'web-1-os' is on the VM; copy '%s' is in resource group 'prod'", copy_name);
	ff_auto_free char *attached =
		ff_printf("OS disk 'web-1-os' is on the VM; copy '%s' is on 'rescue-1', LUN 3", copy_name);
	ff_auto_free char *swapped =
		ff_printf("copy '%s' is the OS disk; the original 'web-1-os' is unattached", copy_name);

	where_is("OS disk 'web-1-os' is on the VM");
	ff_json_set_bool(k.facts, "copied", true);
	where_is(copied);
	ff_json_set_bool(k.facts, "attached", true);
	where_is(attached);
	ff_json_set_bool(k.facts, "swapped", true);
	where_is(swapped);
}

/* Whatever became of the swap, this ends with the VM's own disk. */
Test(azure_steps, what_brings_the_disk_home_by_hand)
{
	static const char vm[] =
		"/subscriptions/" SUB "/resourceGroups/prod/providers/Microsoft.Compute/virtualMachines/web-1";
	struct ff_strv commands = {0};
	ff_auto_free char *swap = ff_printf("az vm update --ids %s --os-disk %s", k.vm.id, original);

	ff_azure.by_hand(cloud, &k.m, &commands);
	cr_assert_eq(commands.count, 3);
	cr_expect(strcasecmp(k.vm.id, vm) == 0, "%s", k.vm.id);
	cr_expect(ff_has_prefix(commands.items[0], "az vm deallocate --ids /subscriptions/"), "%s", commands.items[0]);
	cr_expect_str_eq(commands.items[1], swap);
	cr_expect(ff_has_prefix(commands.items[2], "az vm start --ids /subscriptions/"), "%s", commands.items[2]);
	ff_strv_free(&commands);
	k.vm.running = false; /* it is not started that did not run */
	ff_azure.by_hand(cloud, &k.m, &commands);
	cr_expect_eq(commands.count, 2);
	ff_strv_free(&commands);
}
