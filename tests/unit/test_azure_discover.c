/* Discovery: requests, paging and its guards, hazards, health, rescue VMs. */
#include "azure_kit.h"
#include "providers/azure/found.h"

#define LIST_VMS   RG "/providers/Microsoft.Compute/virtualMachines?api-version=2024-07-01"
#define LIST_DISKS RG "/providers/Microsoft.Compute/disks?api-version=2024-03-02"

/* What the scripted Resource Manager answers: the first entry whose text the URL contains. */
struct reply {
	const char *url;
	int status;
	const char *body;
};

static struct ff_err failure;
static struct ff_strv urls;

static const struct reply *reply_of(const struct reply *script, const char *url)
{
	for (; script->url != NULL; script++)
		if (strstr(url, script->url) != NULL)
			return script;
	return script;
}

/* Runs discovery to its end; what is not scripted is an empty list. */
static enum ff_turn run(struct ff_cloud *cloud, const struct reply *script)
{
	enum ff_turn turn;
	struct ff_ask ask = {0};

	ff_strv_free(&urls);
	failure = (struct ff_err){0};
	for (int n = 0; (turn = ff_azure.discover_next(cloud, &ask, &failure)) == FF_TURN_ASK; n++) {
		const struct reply *r = reply_of(script, ask.url);
		struct ff_answer answer = kit_answer(r->url ? r->status : 200, r->url ? r->body : "{\"value\":[]}");
		int rc;

		cr_assert_lt(n, 1000, "discovery does not end");
		cr_assert_gt(ask.cost_count, 0, "%s", ask.url);
		ff_strv_add(&urls, ask.url + strlen(ARM));
		rc = ff_azure.discover_read(cloud, NOW, &ask, &answer, &failure);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
		if (rc < 0)
			return FF_TURN_FAILED;
	}
	return turn;
}

static struct ff_vm *vm_of(struct ff_cloud *cloud, const char *name)
{
	struct ff_vm **vms;
	size_t n = ff_azure.vms(cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->name, name))
			return vms[i];
	return NULL;
}

#define VM(name, os, more, disk_more)                                                                                  \
	"{\"id\":\"/subscriptions/" SUB "/resourceGroups/PROD/providers/Microsoft.Compute/virtualMachines/" name "\"," \
	"\"name\":\"" name "\",\"location\":\"westeurope\",\"zones\":[\"1\"],\"tags\":{\"a\":\"b\"}" more              \
	",\"properties\":{\"provisioningState\":\"Succeeded\",\"hardwareProfile\":{\"vmSize\":\"Standard_D2s_v3\"},"   \
	"\"networkProfile\":{\"networkInterfaces\":[{\"id\":\"" RG                                                     \
	"/providers/Microsoft.Network/networkInterfaces/" name "-nic\"}]},\"storageProfile\":{\"osDisk\":{\"osType\":" \
	"\"" os "\",\"name\":\"" name "-os\",\"createOption\":\"FromImage\",\"diskSizeGB\":127" disk_more              \
	",\"managedDisk\":{\"id\":\"" COMPUTE "/disks/" name                                                           \
	"-os\"}},\"dataDisks\":[{\"lun\":0},{\"lun\":7},{\"lun\":"                                                     \
	"-1},{\"lun\":999},{}]}}}"
#define DISK(name, more, properties)                                                                                   \
	"{\"id\":\"" COMPUTE "/DISKS/" name "-OS\",\"location\":\"westeurope\",\"zones\":[\"1\"],\"sku\":{\"name\":"   \
	"\"Standard_LRS\"},\"managedBy\":\"x\"" more                                                                   \
	",\"properties\":{\"osType\":\"Windows\",\"hyperVGeneration\":\"V2\",\"diskSizeBytes\":4096,\"diskState\":"    \
	"\"Attached\",\"encryption\":{\"type\":\"EncryptionAtRestWithPlatformKey\"}" properties "}}"
#define VIEW(power, agent)                                                                                             \
	"{\"vmAgent\":{\"statuses\":[" agent "]},\"statuses\":[{\"code\":\"ProvisioningState/succeeded\"},{\"code\":"  \
	"\"PowerState/" power "\"}]}"
#define SICK                                                                                                           \
	"{\"code\":\"ProvisioningState/Unavailable\",\"level\":\"Warning\",\"displayStatus\":\"Not "                   \
	"Ready\",\"message\":"                                                                                         \
	"\"VM status blob not found.\",\"time\":\"2024-07-19T05:00:00Z\"}"
#define READY(time) "{\"code\":\"ProvisioningState/succeeded\",\"displayStatus\":\"Ready\",\"time\":\"" time "\"}"

Test(azure_discover, the_questions_are_the_documented_ones)
{
	static const struct reply script[] = {
		{"virtualMachines?", 200,
			"{\"value\":[" VM("web", "Windows", "", "") "," VM("lin", "Linux", "", "") "," VM(
				"res", "Linux", ",\"tags\":{\"Fixfleet-Role\":\"rescue\"},\"x\":{}", "") "]}"},
		{"/disks?", 200, "{\"value\":[" DISK("web", "", "") "]}"},
		{"/web/instanceView", 200, VIEW("running", SICK)},
		{"/res/instanceView", 200, VIEW("running", "")},
		{"/vmSizes", 200,
			"{\"value\":[{\"name\":\"standard_d2s_v3\",\"maxDataDiskCount\":4,\"resourceDiskSizeInMB\":"
			"16384}]}"},
		{NULL, 0, NULL},
	};
	static const char *const expected[] = {LIST_VMS, LIST_DISKS,
		"/subscriptions/" SUB "/providers/Microsoft.Authorization/locks?api-version=2016-09-01",
		"/subscriptions/" SUB "/providers/Microsoft.Network/publicIPAddresses?api-version=2023-09-01",
		"/subscriptions/" SUB "/resourceGroups/PROD/providers/Microsoft.Compute/virtualMachines/web/"
		"instanceView?api-version=2024-07-01",
		"/subscriptions/" SUB "/resourceGroups/PROD/providers/Microsoft.Compute/virtualMachines/res/"
		"instanceView?api-version=2024-07-01",
		"/subscriptions/" SUB "/resourceGroups/PROD/providers/Microsoft.Compute/virtualMachines/res/"
		"vmSizes?api-version=2024-07-01"};
	struct ff_cloud *cloud;
	struct ff_vm *web, *res;

	/* "tags" twice would be no JSON: the rescue VM's own come from "more" */
	struct reply own[FF_COUNT(script)];
	ff_auto_free char *body = ff_strdup(script[0].body);
	char *at = strstr(body, "\"tags\":{\"a\":\"b\"},\"tags\"");

	cr_assert_not_null(at);
	memmove(at, at + strlen("\"tags\":{\"a\":\"b\"},"), strlen(at + strlen("\"tags\":{\"a\":\"b\"},")) + 1);
	memcpy(own, script, sizeof(own));
	own[0].body = body;
	cloud = kit_cloud();
	cr_assert_eq(run(cloud, own), FF_TURN_DONE, "%s", failure.text);
	cr_assert_eq(urls.count, FF_COUNT(expected));
	for (size_t i = 0; i < urls.count; i++)
		cr_assert_str_eq(urls.items[i], expected[i]);
	web = vm_of(cloud, "web");
	res = vm_of(cloud, "res");
	cr_assert_eq(web->health, FF_AFFECTED);
	cr_assert_str_eq(web->reason, "it is running and its VM agent does not answer");
	cr_assert_str_eq(web->state, "running");
	cr_assert(web->running);
	cr_assert_str_eq(web->os, "windows");
	cr_assert_str_eq(web->scope, "prod");
	cr_assert_str_eq(web->zone, "1");
	cr_assert_eq(web->disk_bytes, 4096);
	cr_assert_str_eq(web->disk_encryption, "platform");
	cr_assert_eq(web->evidence.count, 2);
	cr_assert(ff_strv_has(
		&web->hazards, "temp-disk: the temporary disk's content is lost if the VM has to be deallocated"));
	cr_assert_str_eq(ff_json_str(web->facts, "disk/generation"), "V2");
	cr_assert_null(ff_json_at(web->facts, "disk/state"));
	cr_assert_null(ff_json_at(web->facts, "os_disk/diskSizeGB"));
	cr_assert(web->slots_used[0] && web->slots_used[7] && !web->slots_used[1]);
	cr_assert_eq(vm_of(cloud, "lin")->health, FF_SKIPPED);
	cr_assert_str_eq(vm_of(cloud, "lin")->reason, "it is not a Windows VM");
	cr_assert(res->rescue);
	cr_assert_eq(res->slots_max, 4);
	cr_assert_eq(ff_azure.notes(cloud)->count, 0);
	ff_azure.close(cloud);
}

/* One Windows VM with these particulars. */
static struct ff_cloud *one_vm(const char *vm, const char *disk, const char *view, const char *locks, int locks_status)
{
	ff_auto_free char *vms = ff_printf("{\"value\":[%s]}", vm), *disks = ff_printf("{\"value\":[%s]}", disk);
	const struct reply script[] = {
		{"virtualMachines?", 200, vms},
		{"/disks?", 200, disks},
		{"/locks?", locks_status, locks},
		{"/instanceView", 200, view},
		{"/publicIPAddresses", 200,
			"{\"value\":[{\"properties\":{\"publicIPAllocationMethod\":\"Dynamic\",\"ipConfiguration\":{"
			"\"id\":\"" RG
			"/providers/Microsoft.Network/networkInterfaces/DYN-nic/ipConfigurations/1\"}}}]}"},
		{"/disks/", 404, ""},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();

	cr_assert_eq(run(cloud, script), FF_TURN_DONE, "%s", failure.text);
	return cloud;
}

#define NO_LOCKS "{\"value\":[]}", 200

Test(azure_discover, health_follows_power_and_agent)
{
	static const struct {
		const char *view;
		enum ff_health health;
		bool running;
	} cases[] = {
		{VIEW("running", SICK), FF_AFFECTED, true},
		{VIEW("running", READY("2024-07-19T05:59:00Z")), FF_HEALTHY, true},
		{VIEW("running", READY("2024-07-19T04:00:00Z")), FF_SUSPECT, true}, /* stale */
		{VIEW("running", READY("yesterday")), FF_SUSPECT, true},
		{VIEW("running", ""), FF_SUSPECT, true},
		{VIEW("running", "{\"displayStatus\":\"Unknown\"}"), FF_SUSPECT, true},
		{VIEW("starting", SICK), FF_SUSPECT, true},
		{VIEW("stopped", SICK), FF_SUSPECT, false},
		{VIEW("deallocated", ""), FF_SUSPECT, false},
		{"{}", FF_SUSPECT, false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_cloud *cloud =
			one_vm(VM("web", "Windows", "", ""), DISK("web", "", ""), cases[i].view, NO_LOCKS);
		struct ff_vm *vm = vm_of(cloud, "web");

		cr_assert_eq(vm->health, cases[i].health, "case %zu: %s", i, vm->reason);
		cr_assert_eq(vm->running, cases[i].running);
		cr_assert_neq(*vm->reason, '\0');
		ff_azure.close(cloud);
	}
}

#define VIEW_OF(changed)                                                                                               \
	"{\"vmAgent\":{\"statuses\":[" SICK "]},\"statuses\":[{\"code\":\"ProvisioningState/succeeded\"" changed       \
	"},{\"code\":\"PowerState/running\"}]}"
#define CHANGED(time) VIEW_OF(",\"time\":\"" time "\"")

/* The recorded vm_power_states: that time is when the last start, stop or other change ended. */
Test(azure_discover, of_a_vm_that_may_be_booting_it_is_said)
{
	static const struct {
		const char *view;
		bool doubted;
	} cases[] = {
		{CHANGED("2024-07-19T05:55:01Z"), true},
		{CHANGED("2024-07-19T05:59:59.1668727+00:00"), true},
		{CHANGED("2024-07-19T06:00:30Z"), true}, /* clocks differ */
		{CHANGED("2024-07-19T05:55:00Z"), false},
		{CHANGED("2024-07-18T05:59:59Z"), false},
		{CHANGED("2024-07-19T06:05:00Z"), false}, /* one of the clocks is wrong */
		{CHANGED("just now"), false},
		{VIEW_OF(""), false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_cloud *cloud =
			one_vm(VM("web", "Windows", "", ""), DISK("web", "", ""), cases[i].view, NO_LOCKS);
		struct ff_vm *web = vm_of(cloud, "web");
		bool told = false;

		for (size_t k = 0; k < web->evidence.count; k++)
			told = told || ff_has_prefix(web->evidence.items[k], "the VM's last change ended at 20");
		cr_assert_eq(web->health, FF_AFFECTED, "case %zu: %s", i, web->reason);
		cr_assert_eq(told, cases[i].doubted, "case %zu", i);
		cr_assert_eq(strstr(web->reason, "may be booting") != NULL, cases[i].doubted, "case %zu: %s", i,
			web->reason);
		ff_azure.close(cloud);
	}
}

Test(azure_discover, hazards_are_named_and_those_that_forbid_skip)
{
#define PLAIN	     VIEW("running", SICK)
#define ADE_KEY(url) "\"diskEncryptionKey\":{\"secretUrl\":\"" url "\",\"sourceVault\":{\"id\":\"/x\"}}"
#define ADE(version, url)                                                                                              \
	",\"encryptionSettingsCollection\":{\"enabled\":true,\"encryptionSettingsVersion\":\"" version                 \
	"\",\"encryptionSettings\":[{" ADE_KEY(url) "}]}"
#define P(text) "\"provisioningState\":\"Succeeded\"," text
	static const struct {
		const char *word;
		const char *put_before, *put; /* what is put into the VM's model, and before what */
		const char *disk, *view;
		bool skipped;
	} cases[] = {
		{"ephemeral-os-disk", "\"createOption\"", "\"diffDiskSettings\":{\"option\":\"Local\"},",
			DISK("web", "", ""), PLAIN, true},
		{"unmanaged-disk", NULL, "vhd", DISK("web", "", ""), PLAIN, true},
		{"scale-set", "\"hardwareProfile\"", "\"virtualMachineScaleSet\":{\"id\":\"/x\"},", DISK("web", "", ""),
			PLAIN, true},
		{"scale-set", "\"location\"", "\"managedBy\":\"/x\",", DISK("web", "", ""), PLAIN, true},
		{"ade-dual-pass", "\"createOption\"", "\"encryptionSettings\":{\"enabled\":true},", DISK("web", "", ""),
			PLAIN, true},
		/* nobody knows where its key is */
		{"ade", NULL, NULL, DISK("web", "", ",\"encryptionSettingsCollection\":{\"enabled\":true}"), PLAIN,
			true},
		{"ade", NULL, NULL, DISK("web", "", ""),
			"{\"disks\":[{\"name\":\"WEB-os\",\"encryptionSettings\":[{\"enabled\":true}]}]}", true},
		{"ade", NULL, NULL, DISK("web", "", ADE("1.1", "https://evil.example/secrets/a/b")), PLAIN, true},
		{"ade-dual-pass", NULL, NULL, DISK("web", "", ADE("1.0", "https://v.vault.azure.net/secrets/a/b")),
			PLAIN, true},
		{"ade", NULL, NULL, DISK("web", "", ADE("1.1", "https://v.vault.azure.net/secrets/a/b")), PLAIN, false},
		{"ade", NULL, NULL, DISK("web", "", ""),
			"{\"disks\":[{\"name\":\"WEB-os\",\"encryptionSettings\":[{\"enabled\":true," ADE_KEY(
				"https://v.vault.azure.net/secrets/a/b") "}]}]}",
			false},
		{"ade-no-version", NULL, NULL,
			DISK("web", "",
				",\"encryptionSettingsCollection\":{\"enabled\":true,\"encryptionSettings\":[{" ADE_KEY(
					"https://v.vault.azure.net/secrets/a/b") "}]}"),
			PLAIN, false},
		{"confidential", NULL, NULL,
			DISK("web", "",
				",\"securityProfile\":{\"securityType\":\"ConfidentialVM_"
				"DiskEncryptedWithPlatformKey\"}"),
			PLAIN, true},
		{"hibernated", NULL, NULL, DISK("web", "", ""),
			"{\"statuses\":[{\"code\":\"HibernationState/Hibernated\"}]}", true},
		{"generalized", NULL, NULL, DISK("web", "", ""), "{\"statuses\":[{\"code\":\"OSState/generalized\"}]}",
			true},
		{"spot", "\"hardwareProfile\"", "\"priority\":\"Spot\",", DISK("web", "", ""), PLAIN, true},
		{"provisioning", "\"hardwareProfile\"", "DELETING", DISK("web", "", ""), PLAIN, true},
		{"disk-busy", NULL, NULL, DISK("web", ",\"x\":1", ",\"x\":2"), PLAIN, true},
		{"claimed", "\"a\":\"b\"", "\"FixFleet-run\":\"other\",", DISK("web", "", ""), PLAIN, true},
		{"hibernation", "\"hardwareProfile\"", "\"additionalCapabilities\":{\"hibernationEnabled\":true},",
			DISK("web", "", ""), PLAIN, false},
		{"trusted-launch", NULL, NULL,
			DISK("web", "", ",\"securityProfile\":{\"securityType\":\"TrustedLaunch\"}"), PLAIN, false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *model = ff_strdup(VM("web", "Windows", "", "")), *disk = ff_strdup(cases[i].disk);
		struct ff_cloud *cloud;
		struct ff_vm *vm;
		bool named = false;

		if (ff_streq(cases[i].word, "disk-busy")) {
			ff_auto_json json_t *j = kit_json(disk);

			ff_json_set_str(json_object_get(j, "properties"), "diskState", "ActiveSAS");
			free(disk);
			disk = ff_json_text(j);
		}
		if (cases[i].put != NULL) {
			ff_auto_json json_t *j = NULL;
			char *at = cases[i].put_before ? strstr(model, cases[i].put_before) : model;
			char *more = ff_streq(cases[i].put, "vhd") || ff_streq(cases[i].put, "DELETING")
					     ? ff_strdup(model)
					     : ff_printf("%.*s%s%s", (int)(at - model), model, cases[i].put, at);

			free(model);
			j = kit_json(more);
			free(more);
			if (ff_streq(cases[i].put, "vhd"))
				json_object_del(
					(json_t *)ff_json_at(j, "properties/storageProfile/osDisk"), "managedDisk");
			if (ff_streq(cases[i].put, "DELETING"))
				ff_json_set_str((json_t *)ff_json_at(j, "properties"), "provisioningState", "Deleting");
			model = ff_json_text(j);
		}
		cloud = one_vm(model, disk, cases[i].view, NO_LOCKS);
		vm = vm_of(cloud, "web");
		cr_assert_not_null(vm);
		for (size_t h = 0; h < vm->hazards.count; h++) {
			size_t len = strlen(cases[i].word);

			named = named || (ff_has_prefix(vm->hazards.items[h], cases[i].word) &&
						 ff_has_prefix(vm->hazards.items[h] + len, ": "));
		}
		cr_assert(named, "case %zu %s", i, cases[i].word);
		cr_assert_eq(
			vm->health == FF_SKIPPED, cases[i].skipped, "case %zu %s: %s", i, cases[i].word, vm->reason);
		ff_azure.close(cloud);
	}
}

/* What the chain of questions begins with: the disk's own record before the view's. */
Test(azure_discover, where_the_keys_of_an_encrypted_disk_are_is_kept)
{
	struct ff_cloud *cloud = one_vm(VM("web", "Windows", "", ""),
		DISK("web", "", ADE("1.1", "https://v.vault.azure.net/secrets/a/b")),
		"{\"disks\":[{\"name\":\"web-os\",\"encryptionSettings\":[{\"enabled\":true," ADE_KEY(
			"https://v.vault.azure.net/secrets/c/d") ",\"keyEncryptionKey\":{\"keyUrl\":\"k\"}}]}]}",
		NO_LOCKS);
	struct ff_vm *vm = vm_of(cloud, "web");

	cr_expect_str_eq(
		ff_json_str(azure_ade_settings(vm->facts), "keys/0/secret"), "https://v.vault.azure.net/secrets/a/b");
	cr_expect_str_eq(ff_json_str(vm->facts, "ade/keys/0/kek"), "k");
	cr_expect_str_eq(vm->disk_encryption, "ade");
	ff_azure.close(cloud);
}

static bool has_hazard(const struct ff_vm *vm, const char *prefix)
{
	for (size_t i = 0; i < vm->hazards.count; i++)
		if (ff_has_prefix(vm->hazards.items[i], prefix))
			return true;
	return false;
}

Test(azure_discover, locks_count_where_they_reach)
{
	static const struct {
		const char *scope, *level;
		bool read_only, no_delete;
	} cases[] = {
		{"/subscriptions/" SUB, "ReadOnly", true, false},
		{RG, "ReadOnly", true, false},
		{"/SUBSCRIPTIONS/" SUB "/resourcegroups/Prod", "CanNotDelete", false, true},
		{COMPUTE "/virtualMachines/web", "ReadOnly", true, false},
		{COMPUTE "/virtualMachines/web", "CanNotDelete", false, false},
		{COMPUTE "/disks/web-os", "ReadOnly", true, false},
		{COMPUTE "/virtualMachines/we", "ReadOnly", false, false},
		{"/subscriptions/" SUB "/resourceGroups/pro", "ReadOnly", false, false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *locks = ff_printf("{\"value\":[{\"id\":\"%s/providers/Microsoft.Authorization/locks/"
						     "l\",\"properties\":{\"level\":\"%s\"}}]}",
			cases[i].scope, cases[i].level);
		struct ff_cloud *cloud =
			one_vm(VM("web", "Windows", "", ""), DISK("web", "", ""), VIEW("running", SICK), locks, 200);
		struct ff_vm *vm = vm_of(cloud, "web");

		cr_assert_eq(has_hazard(vm, "read-only-lock:"), cases[i].read_only, "case %zu", i);
		cr_assert_eq(has_hazard(vm, "can-not-delete-lock:"), cases[i].no_delete, "case %zu", i);
		cr_assert_eq(vm->health == FF_SKIPPED, cases[i].read_only, "case %zu", i);
		ff_azure.close(cloud);
	}
}

Test(azure_discover, unreadable_locks_are_a_note)
{
	struct ff_cloud *cloud = one_vm(VM("web", "Windows", "", ""), DISK("web", "", ""), VIEW("running", SICK),
		"{\"error\":{\"code\":\"AuthorizationFailed\",\"message\":\"no\"}}", 403);

	cr_assert_eq(ff_azure.notes(cloud)->count, 1);
	cr_assert_str_eq(
		ff_azure.notes(cloud)->items[0], "locks could not be read: azure answered 403 AuthorizationFailed: no");
	cr_assert_eq(vm_of(cloud, "web")->health, FF_AFFECTED);
	ff_azure.close(cloud);
}

Test(azure_discover, a_dynamic_address_is_a_hazard_of_its_vm_only)
{
	struct ff_cloud *cloud = one_vm(VM("dyn", "Windows", "", "") "," VM("web", "Windows", "", ""),
		DISK("web", "", "") "," DISK("dyn", "", ""), VIEW("running", SICK), NO_LOCKS);

	cr_assert(has_hazard(vm_of(cloud, "dyn"), "dynamic-public-ip:"));
	cr_assert(ff_json_bool(vm_of(cloud, "dyn")->facts, "dynamic_ip", false));
	cr_assert(!has_hazard(vm_of(cloud, "web"), "dynamic-public-ip:"));
	cr_assert_null(ff_json_at(vm_of(cloud, "web")->facts, "dynamic_ip"));
	ff_azure.close(cloud);
}

Test(azure_discover, what_cannot_be_read_is_not_touched)
{
	struct ff_cloud *cloud = one_vm(VM("web", "Windows", "", ""), "{}", VIEW("running", SICK), NO_LOCKS);
	struct ff_vm *vm = vm_of(cloud, "web");

	cr_assert_eq(vm->health, FF_SKIPPED);
	cr_assert(ff_has_prefix(vm->reason, "its OS disk could not be read: azure answered 404"), "%s", vm->reason);
	ff_azure.close(cloud);
}

/* ---- paging */

Test(azure_discover, pages_are_followed_verbatim_until_there_is_none)
{
	static const struct reply script[] = {
		{"$skiptoken=2%20", 200,
			"{\"value\":[" VM("b", "Linux", "", "") "," VM("a", "Linux", "", "") "],\"nextLink\":\"\"}"},
		{"virtualMachines?", 200,
			"{\"value\":[" VM("a", "Linux", "",
				"") "],\"nextLink\":\"https://Management.azure.com:443/x?$skiptoken=2%20\"}"},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	struct ff_vm **vms;

	cr_assert_eq(run(cloud, script), FF_TURN_DONE, "%s", failure.text);
	cr_assert_eq(ff_azure.vms(cloud, &vms), 2, "a VM that two pages hold is one VM");
	ff_azure.close(cloud);
}

Test(azure_discover, bad_pages_end_it_with_a_sentence)
{
	static const struct {
		struct reply reply;
		enum ff_class class;
		const char *text;
	} cases[] = {
		{{"virtualMachines", 200, "{\"value\":[],\"nextLink\":\"" ARM "/virtualMachines?p=1\"}"}, FF_E_BUG,
			"the list of VMs repeats a page"},
		{{"virtualMachines", 200, "{\"value\":[],\"nextLink\":\"https://evil.test/\"}"}, FF_E_BUG,
			"the list of VMs goes on at 'https://evil.test/', which is not Resource Manager"},
		{{"virtualMachines", 200, "{\"value\":{}}"}, FF_E_BUG, "the list of VMs holds no array \"value\""},
		{{"virtualMachines", 200, "[]"}, FF_E_BUG,
			"listing the VMs of resource group 'prod': azure answered 200 with something else than a JSON "
			"object"},
		{{"virtualMachines", 403, "{\"error\":{\"code\":\"AuthorizationFailed\",\"message\":\"m\"}}"},
			FF_E_DENIED,
			"listing the VMs of resource group 'prod': azure answered 403 AuthorizationFailed: m"},
		{{"/disks", 404, "{\"error\":{\"code\":\"ResourceGroupNotFound\",\"message\":\"m\"}}"}, FF_E_GONE,
			"listing the disks of resource group 'prod': azure answered 404 ResourceGroupNotFound: m"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		const struct reply script[] = {cases[i].reply, {NULL, 0, NULL}};
		struct ff_cloud *cloud = kit_cloud();

		cr_assert_eq(run(cloud, script), FF_TURN_FAILED);
		cr_assert_eq(failure.class, cases[i].class);
		cr_assert_str_eq(failure.text, cases[i].text);
		ff_azure.close(cloud);
	}
}

Test(azure_discover, without_a_group_the_subscription_is_listed)
{
	static const struct reply none[] = {{NULL, 0, NULL}};
	struct ff_cloud *cloud = kit_cloud_of((struct ff_scope_options){0});

	cr_assert_eq(run(cloud, none), FF_TURN_DONE);
	cr_assert_str_eq(urls.items[0],
		"/subscriptions/" SUB "/providers/Microsoft.Compute/virtualMachines?api-version=2024-07-01");
	ff_azure.close(cloud);
}

/* ---- rescue VMs */

static struct ff_cloud *rescue_cloud(const char *rescue)
{
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud;

	ff_strv_add(&options.groups, "prod");
	ff_strv_add(&options.rescues, rescue);
	cloud = kit_cloud_of(options);
	ff_strv_free(&options.rescues);
	return cloud;
}

Test(azure_discover, a_named_rescue_vm_outside_the_scope_is_read)
{
	static const char other[] =
		"/subscriptions/" SUB "/resourceGroups/tools/providers/Microsoft.Compute/virtualMachines/fixer";
	ff_auto_free char *vm = ff_strdup(VM("fixer", "Linux", "", ""));
	char *at = strstr(vm, "PROD/");
	ff_auto_free char *body = NULL;

	cr_assert_not_null(at);
	ff_auto_json json_t *j = kit_json(vm), *view = kit_json(VIEW("running", ""));

	ff_json_set_str(j, "id", other);
	ff_json_set_new((json_t *)ff_json_at(j, "properties"), "instanceView", json_incref(view));
	body = ff_json_text(j);
	const struct reply script[] = {
		{"/fixer?$expand=instanceView&", 200, body},
		{"/fixer/vmSizes", 200, "{\"value\":[{\"name\":\"Standard_D2s_v3\",\"maxDataDiskCount\":100000}]}"},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = rescue_cloud(other);

	cr_assert_eq(run(cloud, script), FF_TURN_DONE, "%s", failure.text);
	cr_assert_not_null(vm_of(cloud, "fixer"));
	cr_assert(vm_of(cloud, "fixer")->rescue);
	cr_assert_eq(vm_of(cloud, "fixer")->slots_max, FF_SLOTS_MAX);
	cr_assert_eq(vm_of(cloud, "fixer")->health, FF_SKIPPED);
	ff_azure.close(cloud);
}

Test(azure_discover, rescue_vms_that_cannot_be_used_are_noted)
{
	static const struct reply stopped[] = {
		{"virtualMachines?", 200, "{\"value\":[" VM("fixer", "Linux", "", "") "]}"},
		{"/instanceView", 200, VIEW("deallocated", "")},
		{"/vmSizes", 403, ""},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = rescue_cloud("FIXER");

	cr_assert_eq(run(cloud, stopped), FF_TURN_DONE);
	cr_assert(!vm_of(cloud, "fixer")->rescue);
	cr_assert(ff_strv_has(ff_azure.notes(cloud), "rescue VM 'fixer' is not used: it is not running"));
	ff_azure.close(cloud);
	cloud = rescue_cloud("nobody");
	cr_assert_eq(run(cloud, stopped), FF_TURN_DONE);
	cr_assert(ff_strv_has(ff_azure.notes(cloud), "rescue VM 'nobody' was not found"));
	ff_azure.close(cloud);
}

Test(azure_discover, a_rescue_vm_fits_by_region_and_zone)
{
	static const struct {
		const char *disk_zone, *sku, *region, *zone;
		bool availability_set, good;
	} cases[] = {
		{"1", "Premium_LRS", "westeurope", "1", false, true},
		{"1", "Premium_LRS", "WestEurope", "1", false, true},
		{"1", "Premium_LRS", "westeurope", "2", false, false},
		{"1", "Premium_LRS", "westeurope", "", false, false},
		{NULL, "Premium_LRS", "westeurope", "", false, true},
		{NULL, "Premium_LRS", "westeurope", "1", false, false},
		{NULL, "Premium_LRS", "westeurope", "", true, false},
		{NULL, "Premium_ZRS", "westeurope", "3", false, true},
		{NULL, "StandardSSD_ZRS", "westeurope", "", true, true},
		{"1", "Premium_LRS", "northeurope", "1", false, false},
		{NULL, "Premium_ZRS", "northeurope", "", false, false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct kit_vm k;
		json_t *disk = json_object();
		struct ff_err err = {0};

		kit_vm(&k, "web-1", 0);
		ff_json_set_str(disk, "sku", cases[i].sku);
		if (cases[i].disk_zone != NULL)
			ff_json_set_new(disk, "zones", json_pack("[s]", cases[i].disk_zone));
		ff_json_set_new(k.facts, "disk", disk);
		k.vm.facts = k.facts;
		k.rescue.region = (char *)cases[i].region;
		k.rescue.zone = (char *)cases[i].zone;
		k.rescue.facts = k.rescue_facts;
		ff_json_set_bool(k.rescue_facts, "availability_set", cases[i].availability_set);
		cr_assert_eq(ff_azure.fits(&k.vm, &k.rescue, &err) == 0, cases[i].good, "case %zu: %s", i, err.text);
		if (!cases[i].good)
			cr_assert_neq(err.text[0], '\0');
		kit_vm_free(&k);
	}
}

Test(azure_discover, what_is_the_same_is_kept_once)
{
	struct ff_cloud *cloud = one_vm(VM("a", "Windows", "", "") "," VM("b", "Windows", "", ""),
		DISK("a", "", "") "," DISK("b", "", ""), VIEW("running", SICK), NO_LOCKS);

	cr_assert_eq(vm_of(cloud, "a")->tags, vm_of(cloud, "b")->tags);
	cr_assert_eq(ff_json_at(vm_of(cloud, "a")->facts, "disk"), ff_json_at(vm_of(cloud, "b")->facts, "disk"));
	cr_assert_str_eq(ff_json_str(vm_of(cloud, "b")->facts, "os_disk/name"), "b-os");
	ff_azure.close(cloud);
}

/* ---------------------------------------------------------------- evidence */

#define BLOBS "https://x.blob.core.windows.net/"

static int places(const char *body, json_t *state, struct ff_err *err)
{
	struct ff_answer answer = kit_answer(200, body);
	struct ff_exhibit out = {0};
	int rc = azure_evidence_read(&answer, 0, state, &out, err);

	cr_assert_null(out.name);
	ff_answer_release(&answer, true);
	return rc;
}

Test(azure_discover, boot_diagnostics_are_read_where_they_are_said_to_lie)
{
	struct ff_cloud *cloud = kit_cloud();
	ff_auto_json json_t *state = json_object(), *none = json_object();
	struct ff_vm vm = {.id = (char *)COMPUTE "/virtualMachines/v1", .region = (char *)"", .running = true},
		     off = vm;
	struct ff_answer answer;
	struct ff_exhibit out = {0};
	struct ff_err err;
	struct ff_ask ask = {0};

	off.running = false;
	cr_expect_eq(azure_evidence_ask(cloud, &off, 0, state, &ask), FF_EVIDENCE_NONE);
	cr_assert_eq(azure_evidence_ask(cloud, &vm, 0, state, &ask), FF_EVIDENCE_SIGNED);
	cr_expect_str_eq(ask.method, "POST");
	cr_expect_str_eq(ask.url, ARM COMPUTE "/virtualMachines/v1/retrieveBootDiagnosticsData?api-version=" AZ_VM_API);
	ff_ask_release(&ask);
	cr_assert_eq(places("{\"consoleScreenshotBlobUri\":\"" BLOBS "s?sig=1\"}", state, &err), 0);
	cr_assert_eq(azure_evidence_ask(cloud, &vm, 1, state, &ask), FF_EVIDENCE_PLAIN, "without our token");
	cr_expect_str_eq(ask.url, BLOBS "s?sig=1");
	ff_ask_release(&ask);
	cr_expect_eq(azure_evidence_ask(cloud, &vm, 2, state, &ask), FF_EVIDENCE_NONE);
	answer = kit_answer(200, "BM");
	cr_assert_eq(azure_evidence_read(&answer, 1, state, &out, &err), 0);
	cr_expect_str_eq(out.name, "screen.bmp");
	cr_expect(out.len == 2 && memcmp(out.bytes, "BM", 2) == 0);
	ff_exhibit_release(&out);
	ff_answer_release(&answer, true);
	cr_expect_eq(places("{}", none, &err), -1);
	cr_expect_not_null(strstr(err.text, "not switched on"));
	cr_expect_eq(places("{\"serialConsoleLogBlobUri\":\"http://x.test/l\"}", none, &err), -1);
	cr_expect_eq(azure_evidence_ask(cloud, &vm, 1, none, &ask), FF_EVIDENCE_NONE);
	ff_azure.close(cloud);
}

/* Gone on with between its claim and its stop, a run finds its own tag on the VM. */
Test(azure_discover, a_claim_is_a_hazard_unless_it_is_of_the_run_that_is_gone_on_with)
{
	static const struct {
		const char *own_run;
		bool hazard;
	} cases[] = {{NULL, true}, {"another", true}, {"r1", false}};
	ff_auto_json json_t *model = json_object();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_vm vm = {.tags = json_pack("{s:s}", "fixfleet-run", "r1"), .disk_id = (char *)""};
		bool claimed = false;

		azure_hazards_of_vm(&vm, model, false, cases[i].own_run);
		for (size_t h = 0; h < vm.hazards.count; h++)
			claimed = claimed || ff_has_prefix(vm.hazards.items[h], "claimed: ");
		cr_expect_eq(claimed, cases[i].hazard, "case %zu", i);
		ff_strv_free(&vm.hazards);
		free(vm.reason);
		json_decref(vm.tags);
	}
}
