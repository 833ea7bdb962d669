/* Readings of what the real Azure said. The recordings are not part of this tree: without them the tests are skipped.
 */
#include "azure_kit.h"
#include "providers/azure/found.h"

static json_t *recording(const char *name)
{
	json_t *r = kit_recording(name);

	if (r == NULL)
		cr_skip_test("no recording '%s' beside this tree", name);
	return r;
}

static struct ff_cloud *cloud;
static struct kit_vm k;

static void setup(void)
{
	cloud = kit_cloud();
	kit_vm(&k, "vm1", 3);
}

static void teardown(void)
{
	kit_vm_free(&k);
	ff_azure.close(cloud);
}

TestSuite(azure_recorded, .init = setup, .fini = teardown);

/* The n-th exchange of that method whose URL contains the text. */
static const json_t *find(const json_t *r, const char *method, const char *text, int n)
{
	const json_t *exchange;
	size_t i;

	json_array_foreach (ff_json_at(r, "exchanges"), i, exchange)
		if (ff_streq(ff_json_str(exchange, "request/method"), method) &&
			strstr(ff_json_str(exchange, "request/url"), text) != NULL && n-- == 0)
			return exchange;
	cr_assert_fail("no %s %s", method, text);
	return NULL;
}

static enum ff_meaning polled(const json_t *exchange, const char *kind, int step)
{
	struct ff_answer answer = kit_recorded(exchange);

	kit_forget(&k);
	ff_json_set_new(
		k.facts, "op", json_pack("{s:s,s:s,s:I}", "url", ARM "/op", "kind", kind, "since", (json_int_t)NOW));
	k.m.step = step;
	ff_azure.polled(cloud, &k.m, 1, NOW, &answer, &k.v);
	ff_answer_release(&answer, false);
	return k.v.meaning;
}

Test(azure_recorded, the_swap_of_an_os_disk)
{
	ff_auto_json json_t *r = recording("os_disk_swap"), *model = NULL, *reduced = NULL, *copy = NULL;
	const json_t *stop = find(r, "POST", "/powerOff", 0), *put = find(r, "PUT", "/disks/disk1", 0);
	struct ff_answer answer = kit_recorded(stop);

	cr_assert_eq(kit_acted_with(cloud, &k, AZ_STOP, &answer), FF_M_STARTED);
	cr_assert_str_eq(ff_json_str(k.facts, "op/kind"), "async");
	cr_assert_str_eq(ff_json_str(k.facts, "op/url"), ff_json_str(stop, "response/headers/azure-asyncoperation"));
	cr_assert_eq(polled(find(r, "GET", "/operations/", 0), "async", AZ_STOP), FF_M_DONE);
	cr_assert_eq(polled(find(r, "GET", "monitor=true", 0), "location", AZ_STOP), FF_M_DONE);
	answer = kit_recorded(put);
	cr_assert_eq(kit_acted_with(cloud, &k, AZ_COPY, &answer), FF_M_STARTED);
	cr_assert_eq(polled(find(r, "GET", "/DiskOperations/", 0), "async", AZ_COPY), FF_M_DONE);
	answer = kit_recorded(find(r, "PUT", "/virtualMachines/vm1", 0));
	cr_assert_eq(kit_acted_with(cloud, &k, AZ_SWAP, &answer), FF_M_STARTED, "200 with a header is not done");
	model = kit_json(ff_json_str(find(r, "GET", "/virtualMachines/vm1", 0), "response/body"));
	reduced = azure_os_disk_reduce(ff_json_at(model, "properties/storageProfile/osDisk"));
	cr_assert_str_eq(ff_json_str(reduced, "managedDisk/storageAccountType"), "Premium_LRS");
	cr_assert_str_eq(ff_json_str(reduced, "deleteOption"), "Detach");
	cr_assert_null(ff_json_at(reduced, "diskSizeGB"));
	copy = kit_json(ff_json_str(find(r, "GET", "/disks/disk1", 0), "response/body"));
	ff_auto_json json_t *disk = azure_disk_reduce(copy);

	cr_assert_str_eq(ff_json_str(disk, "sku"), "Premium_LRS");
	cr_assert_str_eq(ff_json_str(disk, "generation"), "V1");
	cr_assert_eq(ff_json_int(disk, "bytes", 0), INT64_C(32212254720));
}

Test(azure_recorded, every_poll_of_the_power_operations_is_understood)
{
	ff_auto_json json_t *r = recording("vm_power_states");
	const json_t *exchange;
	size_t i, waits = 0, dones = 0;

	json_array_foreach (ff_json_at(r, "exchanges"), i, exchange) {
		const char *url = ff_json_str(exchange, "request/url");
		bool monitor = strstr(url, "monitor=true") != NULL;

		if (strstr(url, "/operations/") == NULL)
			continue;
		polled(exchange, monitor ? "location" : "async", AZ_STOP);
		waits += k.v.meaning == FF_M_WAIT;
		dones += k.v.meaning == FF_M_DONE;
		cr_assert(k.v.meaning == FF_M_WAIT || k.v.meaning == FF_M_DONE, "%s", url);
	}
	cr_assert_gt(waits, 5);
	cr_assert_gt(dones, 8);
}

Test(azure_recorded, a_stopped_vm_still_says_ready_and_proves_nothing)
{
	ff_auto_json json_t *r = recording("vm_power_states");
	const json_t *exchange;
	size_t i, stopped_but_ready = 0;

	json_array_foreach (ff_json_at(r, "exchanges"), i, exchange) {
		const char *text = ff_json_str(exchange, "response/body");
		ff_auto_json json_t *vm = text && *text == '{' ? json_loads(text, 0, NULL) : NULL;
		const json_t *view = ff_json_at(vm, "properties/instanceView");
		char power[32];

		if (view == NULL)
			continue;
		azure_power(view, power);
		cr_assert_neq(*power, '\0');
		if (ff_streq(power, "running") ||
			!ff_streq(ff_json_str(view, "vmAgent/statuses/0/displayStatus"), "Ready"))
			continue;
		stopped_but_ready++;
		ff_json_set_int(k.facts, "started_ms", 0);
		ff_json_set_new(k.facts, "os_disk", json_pack("{s:{s:s?}}", "managedDisk", "id", azure_os_disk_id(vm)));
		cr_assert_neq(kit_looked(cloud, &k, AZ_VERIFY, 200, text), FF_M_DONE);
	}
	cr_assert_gt(stopped_but_ready, 0);
}

Test(azure_recorded, errors_have_their_classes)
{
	ff_auto_json json_t *r = recording("error_responses");
	static const enum ff_class classes[] = {
		FF_E_PERMANENT, FF_E_CONFLICT, FF_E_GONE, FF_E_GONE, FF_E_TRANSIENT, FF_E_PERMANENT, FF_E_PERMANENT};

	for (size_t i = 0; i < FF_COUNT(classes); i++) {
		struct ff_answer answer = kit_recorded(json_array_get(ff_json_at(r, "exchanges"), i));
		struct ff_ask ask = {0};
		struct ff_err err;

		cr_assert_eq(ff_azure.judge(cloud, NOW, &ask, &answer, NULL, &err), classes[i], "%zu: %s", i, err.text);
		ff_answer_release(&answer, false);
	}
}

Test(azure_recorded, a_refusal_that_asks_to_deallocate_is_understood)
{
	ff_auto_json json_t *r = recording("net_deallocate_start_409");
	const json_t *exchange;
	size_t i, asked = 0;

	json_array_foreach (ff_json_at(r, "exchanges"), i, exchange) {
		const char *body = ff_json_str(exchange, "response/body");
		struct ff_answer answer;

		if (ff_json_int(exchange, "response/status", 0) != 409 || strstr(body, "deallocate") == NULL)
			continue;
		answer = kit_recorded(exchange);
		json_object_del(k.facts, "deallocate");
		cr_assert_eq(kit_acted_with(cloud, &k, AZ_SWAP, &answer), FF_M_LOOK, "%s", k.v.err.text);
		cr_assert(ff_json_bool(k.facts, "deallocate", false));
		asked++;
	}
	cr_assert_gt(asked, 0);
}

Test(azure_recorded, lists_and_models_become_vms_and_disks)
{
	static const struct {
		const char *name, *hazard; /* of the VM in it; NULL: none in particular */
	} cases[] = {{"vm_power_states", "unmanaged-disk:"}, {"trusted_launch_vm", NULL},
		{"confidential_vm_osdisk", NULL}, {"disk_attach_detach", NULL}};

	for (size_t c = 0; c < FF_COUNT(cases); c++) {
		ff_auto_json json_t *r = recording(cases[c].name);
		struct ff_cloud *fresh = kit_cloud();
		struct azure_found *found = fresh->found;
		const json_t *exchange;
		size_t i;

		json_array_foreach (ff_json_at(r, "exchanges"), i, exchange) {
			const char *text = ff_json_str(exchange, "response/body");
			ff_auto_json json_t *body = text && *text == '{' ? json_loads(text, 0, NULL) : NULL;
			ssize_t index = azure_found_vm(found, body);

			azure_found_disk(found, body);
			if (index >= 0)
				azure_found_view(
					found, (size_t)index, ff_json_at(body, "properties/instanceView"), NOW);
		}
		cr_assert_gt(found->count, 0, "%s", cases[c].name);
		azure_found_judge(fresh);
		cr_assert_eq(found->vms[0]->health, FF_SKIPPED, "Linux all of them");
		if (cases[c].hazard != NULL)
			cr_assert(ff_has_prefix(found->vms[0]->hazards.items[0], cases[c].hazard));
		ff_azure.close(fresh);
	}
}
