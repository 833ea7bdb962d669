/* What Azure refuses, with its status, code and words. */
#include "cloudsim_kit.h"

/* One machine of every kind that is refused something, two rescue VMs in different zones. */
#define FLEET(more)                                                                                                    \
	"{'azure':{'client_secret':'s3cret'," more "'latency_ms':{'vmTags':0},"                                        \
	"'vms':["                                                                                                      \
	"{'name':'vm-1','zone':'1','os_disk':{'bad':true}},"                                                           \
	"{'name':'stopped','zone':'1','power':'stopped','tags':{'fixfleet-run':'r1'},'os_disk':{'bad':true}},"         \
	"{'name':'off','zone':'1','power':'deallocated','tags':{'fixfleet-run':'r1'},'os_disk':{'bad':true}},"         \
	"{'name':'trusted','zone':'1','power':'stopped','security_type':'TrustedLaunch'},"                             \
	"{'name':'dual','zone':'1','power':'stopped','ade':'dual'},"                                                   \
	"{'name':'ade','zone':'1','power':'stopped','ade':'single'},"                                                  \
	"{'name':'keyed','zone':'1','power':'stopped','os_disk':{'encryption_set':'des1'}},"                           \
	"{'name':'linux','zone':'1','os':'Linux','power':'stopped'},"                                                  \
	"{'name':'general','zone':'1','power':'stopped','generalized':true},"                                          \
	"{'name':'cvm','zone':'1','security_type':'ConfidentialVM',"                                                   \
	"'os_disk':{'security_type':'ConfidentialVM_DiskEncryptedWithPlatformKey'}},"                                  \
	"{'name':'rescue-1','os':'Linux','zone':'1','rescue':true,'size':'Standard_D4s_v3','data_disks_max':2},"       \
	"{'name':'plain','os':'Linux','zone':'1','rescue':true,'size':'Standard_D2_v3'},"                              \
	"{'name':'regional','os':'Linux','rescue':true,'size':'Standard_D4s_v3'},"                                     \
	"{'name':'far','os':'Linux','rescue':true,'location':'eastus','zone':'1','size':'Standard_D4s_v3'},"           \
	"{'name':'rescue-2','os':'Linux','zone':'2','rescue':true,'size':'Standard_D4s_v3'}],"                         \
	"'disks':["                                                                                                    \
	"{'name':'copy','zone':'1','os':'Windows','generation':'V2'},"                                                 \
	"{'name':'copy-v1','zone':'1','os':'Windows','generation':'V1'},"                                              \
	"{'name':'copy-trusted','zone':'1','os':'Windows','generation':'V2','security_type':'TrustedLaunch'},"         \
	"{'name':'copy-keyed','zone':'1','os':'Windows','generation':'V2','encryption_set':'des2'},"                   \
	"{'name':'copy-z2','zone':'2','os':'Windows','generation':'V2'},"                                              \
	"{'name':'copy-regional','os':'Windows','generation':'V2'},"                                                   \
	"{'name':'copy-std','zone':'1','os':'Windows','generation':'V2','sku':'StandardSSD_LRS'},"                     \
	"{'name':'sas','zone':'1','os':'Windows','generation':'V2','state':'ActiveSAS'},"                              \
	"{'name':'d1','zone':'1'},{'name':'d2','zone':'1'},{'name':'d3','zone':'1'}]}}"

struct refusal {
	const char *name, *method, *target, *body;
	int status;
	const char *code, *words;
};

static void check(const char *scenario, const struct refusal *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct kit k = kit_open(scenario);
		const struct refusal *r = &cases[i];
		ff_auto_json json_t *before = sim_state(k.sim), *after = NULL;
		int status = kit_ask(&k, r->method, r->target, r->body);
		const char *code = ff_json_str(k.body, "error/code"), *message = ff_json_str(k.body, "error/message");

		cr_expect_eq(status, r->status, "%s: %d %s", r->name, status, k.a.body ? k.a.body : "");
		cr_expect(ff_streq(code, r->code), "%s: code %s", r->name, code ? code : "none");
		cr_expect(message != NULL && strstr(message, r->words) != NULL, "%s: %s", r->name,
			message ? message : "no message");
		kit_settle(&k);
		after = sim_state(k.sim);
		cr_expect(json_equal(json_object_get(before, "azure"), json_object_get(after, "azure")),
			"%s: a refusal changed something", r->name);
		kit_close(&k);
	}
}

#define ATTACH_TO(vm) VM(vm) "/attachDetachDataDisks" AV

Test(cloudsim_refusals, attaching)
{
	static const struct refusal cases[] = {
		{"unknown disk", "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("nosuch", "0"), 404, "NotFound",
			"is not found"},
		{"disk of another VM", "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("vm-1_OsDisk", "0"), 409,
			"ConflictingUserInput", "is already owned by VM"},
		{"zone", "POST", ATTACH_TO("rescue-2"), ATTACH_BODY("copy", "0"), 400, "BadRequest",
			"not in the same zone as the VM. VM zone: '2'. Disk zone: '1'."},
		{"regional disk", "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("copy-regional", "0"), 400, "BadRequest",
			"because it is not in zone '1'."},
		{"regional VM", "POST", ATTACH_TO("regional"), ATTACH_BODY("copy", "0"), 400, "BadRequest",
			"not in the same zone as the VM"},
		{"region", "POST", ATTACH_TO("far"), ATTACH_BODY("copy", "0"), 400, "InvalidParameter",
			"different from the location"},
		{"LUN twice", "POST", ATTACH_TO("rescue-1"),
			"{\"dataDisksToAttach\":[{\"diskId\":\"" DISK("d1") "\",\"lun\":1},{\"diskId\":\"" DISK(
				"d2") "\",\"lun\":1}]}",
			400, "InvalidParameter", "A disk at LUN 1 already exists."},
		{"LUN out of range", "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("d1", "2"), 400, "InvalidParameter",
			"is out of range"},
		{"too many", "POST", ATTACH_TO("rescue-1"),
			"{\"dataDisksToAttach\":[{\"diskId\":\"" DISK("d1") "\"},{\"diskId\":\"" DISK(
				"d2") "\"},{\"diskId\":\"" DISK("d3") "\"}]}",
			409, "OperationNotAllowed",
			"The maximum number of data disks allowed to be attached to a VM of this size is 2."},
		{"premium", "POST", ATTACH_TO("plain"), ATTACH_BODY("d1", "0"), 400, "InvalidParameter",
			"does not support the storage account type Premium_LRS"},
		{"disk with a SAS", "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("sas", "0"), 409, "OperationNotAllowed",
			"ActiveSAS"},
		{"not attached", "POST", ATTACH_TO("rescue-1"), DETACH_BODY("d1"), 400, "InvalidParameter",
			"is not attached"},
		{"nothing asked", "POST", ATTACH_TO("rescue-1"), "{}", 400, "InvalidParameter", "dataDisksToAttach"},
		{"misspelt", "POST", ATTACH_TO("rescue-1"), "{\"disksToAttach\":[]}", 400, "BadRequest",
			"disksToAttach"},
	};
	static const struct refusal off[] = {
		{"subscription", "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("d1", "0"), 400, "BadRequest",
			"The subscription is not enabled for using the attach detach data disks API."},
	};

	check(FLEET(""), cases, FF_COUNT(cases));
	check(FLEET("'attach_api':'subscription',"), off, FF_COUNT(off));
}

#define PATCH_OS(vm, disk, more)                                                                                       \
	"PATCH", VM(vm) AV,                                                                                            \
		"{\"properties\":{\"storageProfile\":{\"osDisk\":{\"name\":\"" disk "\"," more                         \
		"\"managedDisk\":{\"id\":\"" DISK(disk) "\"}}}}}"
#define SAME "\"createOption\":\"FromImage\","

Test(cloudsim_refusals, swapping)
{
	static const struct refusal cases[] = {
		{"running", PATCH_OS("vm-1", "copy", SAME), 409, "OperationNotAllowed", "'running'"},
		{"generation", PATCH_OS("stopped", "copy-v1", SAME), 409, "PropertyChangeNotAllowed",
			"Swapping OS Disk is not supported since HyperVisor property on the OSDisk and VM do not "
			"match"},
		{"create option", PATCH_OS("stopped", "copy", "\"createOption\":\"Attach\","), 409,
			"PropertyChangeNotAllowed", "Changing property 'osDisk.createOption' is not allowed."},
		{"no create option", PATCH_OS("stopped", "copy", ""), 400, "InvalidParameter", "createOption"},
		{"security type", PATCH_OS("stopped", "copy-trusted", SAME), 409, "BadRequest",
			"Security type of VM is not compatible"},
		{"security type, other way", PATCH_OS("trusted", "copy", SAME), 409, "BadRequest",
			"Security type of VM is not compatible"},
		{"encryption set", PATCH_OS("keyed", "copy-keyed", SAME), 409, "BadRequest",
			"both disks should belong to same Disk Encryption set"},
		{"zone", PATCH_OS("stopped", "copy-z2", SAME), 400, "BadRequest", "not in the same zone"},
		{"os type", PATCH_OS("linux", "copy", SAME), 409, "PropertyChangeNotAllowed", "osDisk.osType"},
		{"disk of another", PATCH_OS("stopped", "vm-1_OsDisk", SAME), 409, "ConflictingUserInput",
			"already owned"},
		{"size down", PATCH_OS("stopped", "copy", SAME "\"diskSizeGB\":100,"), 400, "BadRequest",
			"cannot be resized down"},
		{"double pass encryption", PATCH_OS("dual", "copy", SAME), 409,
			"OSDiskSwapNotSupportedForVMsUsingDiskEncryption", "disk encryption"},
		{"storage type", "PATCH", VM("stopped") AV, SWAP_BODY("copy-std"), 409, "PropertyChangeNotAllowed",
			"storageAccountType"},
		{"name alone", "PATCH", VM("stopped") AV,
			"{\"properties\":{\"storageProfile\":{\"osDisk\":{\"name\":\"copy\",\"createOption\":"
			"\"FromImage\"}}}}",
			409, "PropertyChangeNotAllowed", "Changing property 'osDisk.name' is not allowed."},
		{"id alone", "PATCH", VM("stopped") AV,
			"{\"properties\":{\"storageProfile\":{\"osDisk\":{\"name\":\"stopped_OsDisk\",\"createOption\":"
			"\"FromImage\",\"managedDisk\":{\"id\":\"" DISK("copy") "\"}}}}}",
			409, "PropertyChangeNotAllowed", "osDisk.name"},
		{"no such disk", PATCH_OS("stopped", "nosuch", SAME), 404, "NotFound", "is not found"},
		{"PUT without zone", "PUT", VM("stopped") AV,
			"{\"location\":\"westeurope\",\"properties\":{\"storageProfile\":{\"osDisk\":{\"createOption\":"
			"\"FromImage\"}}}}",
			409, "PropertyChangeNotAllowed", "zones"},
		{"PUT elsewhere", "PUT", VM("stopped") AV, "{\"location\":\"eastus\",\"zones\":[\"1\"]}", 409,
			"InvalidResourceLocation", "already exists in location 'westeurope'"},
	};
	static const struct refusal allocated[] = {
		{"allocated", PATCH_OS("stopped", "copy", SAME), 409, "OperationNotAllowed",
			"is currently allocated. Please deallocate and try again"},
	};

	check(FLEET(""), cases, FF_COUNT(cases));
	check(FLEET("'swap_needs_deallocate':true,"), allocated, FF_COUNT(allocated));
}

Test(cloudsim_refusals, a_swap_that_is_refused_when_stopped_is_done_when_deallocated)
{
	struct kit k = kit_open(FLEET("'swap_needs_deallocate':true,"));

	must_do(&k, "PATCH", VM("off") AV, SWAP_BODY("copy"));
	cr_assert_eq(kit_ask(&k, "GET", DISK("copy") DV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "properties/diskState"), "Reserved");
	kit_close(&k);
}

#define PUT_COPY(name) "PUT", DISK(name) DV

Test(cloudsim_refusals, copying_and_deleting)
{
	static const struct refusal cases[] = {
		{"security profile", PUT_COPY("new"),
			"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"properties\":{\"securityProfile\":{"
			"\"securityType\":"
			"\"TrustedLaunch\"},\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":\"" DISK(
				"trusted_OsDisk") "\"}}}",
			400, "BadRequest", "Security Type 'TrustedLaunch' is not supported for CreateOption 'Copy'"},
		{"zone", PUT_COPY("new"), COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"2\"],"), 400, "BadRequest",
			"zone '1'"},
		{"no source", PUT_COPY("new"), COPY_BODY("nosuch", "V2", "\"zones\":[\"1\"],"), 404, "NotFound",
			"is not found"},
		{"region", PUT_COPY("new"), COPY_BODY("far_OsDisk", "V2", "\"zones\":[\"1\"],"), 400, "BadRequest",
			"location 'eastus'"},
		{"name", PUT_COPY("new+disk"), COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"), 400,
			"InvalidParameter", "is not valid"},
		{"other source under that name", PUT_COPY("copy"), COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"),
			409, "PropertyChangeNotAllowed", "creationData"},
		{"no location", PUT_COPY("new"), "{\"properties\":{\"creationData\":{\"createOption\":\"Copy\"}}}", 400,
			"LocationRequired", "location"},
		{"no creation data", PUT_COPY("new"), "{\"location\":\"westeurope\"}", 400, "InvalidParameter",
			"creationData"},
		{"misspelt", PUT_COPY("new"), "{\"location\":\"westeurope\",\"zone\":\"1\"}", 400, "BadRequest",
			"zone"},
		{"delete in use", "DELETE", DISK("vm-1_OsDisk") DV, NULL, 409, "OperationNotAllowed",
			"is attached to VM"},
		{"generalized", "POST", VM("general") "/start" AV, NULL, 409, "OperationNotAllowed", "generalized"},
		{"no such VM", "POST", VM("nosuch") "/start" AV, NULL, 404, "ResourceNotFound",
			"The Resource 'Microsoft.Compute/virtualMachines/nosuch' under resource group 'prod' was not "
			"found."},
		{"no such disk", "GET", DISK("nosuch") DV, NULL, 404, "ResourceNotFound", "disks/nosuch"},
		{"list with instance view", "GET", RG "/virtualMachines" AV "&$expand=instanceView", NULL, 400,
			"BadRequest", "only supported with the filter"},
	};
	static const struct refusal policy[] = {
		{"policy", PUT_COPY("new"), COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"), 403,
			"RequestDisallowedByPolicy", "was disallowed by policy"},
	};

	check(FLEET(""), cases, FF_COUNT(cases));
	check(FLEET("'required_tags':['cost'],"), policy, FF_COUNT(policy));
}

Test(cloudsim_refusals, special_disks_as_data_disks)
{
	struct kit k = kit_open(FLEET("'ade_attach_refused':true,"));

	kit_claim(&k, "ade");
	must_do(&k, "PUT", DISK("c1") DV, COPY_BODY("ade_OsDisk", "V2", "\"zones\":[\"1\"],"));
	must_refuse(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("c1", "0"), 409, "NotSupported",
		"contains encryption settings and cannot be used as a data disk");
	must_do(&k, "PATCH", DISK("c1") DV,
		"{\"properties\":{\"encryptionSettingsCollection\":{\"enabled\":false,\"encryptionSettings\":[]}}}");
	must_do(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("c1", "0"));
	must_do(&k, "PUT", DISK("c2") DV, COPY_BODY("cvm_OsDisk", "V2", "\"zones\":[\"1\"],"));
	must_refuse(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("c2", "1"), 409, "OperationNotAllowed",
		"ConfidentialVM_DiskEncryptedWithPlatformKey");
	kit_close(&k);
}

/* The trap that az vm repair fell into: the wrong generation is taken, and shows only at the swap. */
Test(cloudsim_refusals, a_copy_with_the_wrong_generation_cannot_go_home)
{
	struct kit k = kit_open(FLEET(""));

	must_do(&k, "PUT", DISK("c1") DV, COPY_BODY("stopped_OsDisk", "V1", "\"zones\":[\"1\"],"));
	cr_assert_eq(kit_ask(&k, "GET", DISK("c1") DV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "properties/hyperVGeneration"), "V1");
	must_refuse(&k, "PATCH", VM("stopped") AV, SWAP_BODY("c1"), 409, "PropertyChangeNotAllowed", "Generation 'V2'");
	kit_close(&k);
}

Test(cloudsim_refusals, a_disk_that_is_being_moved_is_not_moved_again)
{
	struct kit k = kit_open(FLEET(""));

	cr_assert_eq(kit_ask(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("d1", "0")), 202);
	must_refuse(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("d2", "1"), 409, "Conflict", "concurrent request");
	must_refuse(&k, "POST", ATTACH_TO("regional"), ATTACH_BODY("d1", "0"), 409, "ConflictingUserInput", "rescue-1");
	kit_settle(&k);
	must_refuse(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("d2", "0"), 400, "InvalidParameter", "LUN 0");
	cr_assert_eq(kit_ask(&k, "POST", ATTACH_TO("rescue-1"), DETACH_BODY("d1")), 202);
	must_refuse(&k, "PATCH", VM("stopped") AV, SWAP_BODY("d1"), 409, "AttachDiskWhileBeingDetached",
		"is currently being detached or the last detach operation failed");
	kit_settle(&k);
	must_do(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("d2", "0"));
	kit_close(&k);
}

Test(cloudsim_refusals, a_disk_that_is_being_deleted_goes_nowhere)
{
	struct kit k = kit_open(FLEET(""));

	must_do(&k, "PUT", DISK("c1") DV, COPY_BODY("stopped_OsDisk", "V2", "\"zones\":[\"1\"],"));
	cr_assert_eq(kit_ask(&k, "DELETE", DISK("c1") DV, NULL), 202);
	cr_assert_eq(kit_ask(&k, "GET", DISK("c1") DV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "properties/provisioningState"), "Deleting");
	must_refuse(&k, "PATCH", VM("stopped") AV, SWAP_BODY("c1"), 409, "OperationNotAllowed", "is being deleted");
	kit_settle(&k);
	cr_assert_eq(kit_ask(&k, "GET", DISK("c1") DV, NULL), 404);
	kit_close(&k);
}

Test(cloudsim_refusals, a_batch_is_refused_as_a_whole_or_in_part)
{
	static const char both[] =
		"{\"dataDisksToAttach\":[{\"diskId\":\"" DISK("d1") "\"},{\"diskId\":\"" DISK("copy-z2") "\"}]}";
	struct kit k = kit_open(FLEET(""));

	must_refuse(&k, "POST", ATTACH_TO("rescue-1"), both, 400, "BadRequest", "Disk zone: '2'");
	must_do(&k, "POST", ATTACH_TO("rescue-1"), ATTACH_BODY("d1", "0"));
	kit_close(&k);

	k = kit_open(FLEET("'attach_batch':'partial',"));
	cr_assert_str_eq(kit_do(&k, "POST", ATTACH_TO("rescue-1"), both), "Failed");
	cr_assert_eq(k.a.status, 400);
	cr_assert_str_eq(ff_json_str(k.body, "error/code"), "BadRequest");
	cr_assert_eq(kit_ask(&k, "GET", DISK("d1") DV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "properties/diskState"), "Attached");
	kit_close(&k);
}

Test(cloudsim_refusals, the_front_end_and_resource_manager)
{
	static const struct refusal cases[] = {
		{"subscription", "GET", "/subscriptions/nosuch/providers/Microsoft.Compute/disks" DV, NULL, 404,
			"SubscriptionNotFound", "nosuch"},
		{"group", "GET", SUB "/resourceGroups/nosuch/providers/Microsoft.Compute/disks" DV, NULL, 404,
			"ResourceGroupNotFound", "Resource group 'nosuch' could not be found."},
		{"api-version", "GET", RG "/disks", NULL, 400, "MissingApiVersionParameter", "api-version"},
		{"path", "GET", SUB "/nothing" AV, NULL, 404, "InvalidResourceType", "could not be found"},
		{"method", "DELETE", VM("vm-1") AV, NULL, 405, "MethodNotAllowed", "DELETE"},
		{"no JSON", "PATCH", VM("vm-1") AV, "{tags", 400, "InvalidRequestContent", "could not be deserialized"},
		{"no object", "PATCH", VM("vm-1") AV, "[]", 400, "InvalidRequestContent", "not an object"},
		{"no body", "PATCH", VM("vm-1") AV, NULL, 400, "MissingRequestBody", "empty"},
	};
	struct kit k = kit_open(FLEET(""));
	struct ff_headers h = {0};
	ff_auto_free char *bearer = ff_printf("Bearer %s", k.token);

	check(FLEET(""), cases, FF_COUNT(cases));
	ff_headers_add(&h, "Authorization", bearer);
	cr_assert_eq(kit_raw(&k, "POST", VM("vm-1") "/start" AV, &h, NULL), 411, "a POST without a length");
	ff_headers_free(&h);
	kit_close(&k);
}

Test(cloudsim_refusals, locks_and_permissions)
{
	static const char scenario[] =
		FLEET("'locks':[{'name':'ro','level':'ReadOnly','group':'prod','vm':'vm-1'},"
		      "{'name':'cnd','group':'prod','disk':'copy'}],"
		      "'deny':[{'action':'microsoft.compute/virtualmachines/start/*','scope':'*/stopped'},"
		      "{'action':'Microsoft.Compute/disks/beginGetAccess/action','scope':'*/STOPPED_OSDISK'},"
		      "{'action':'*/networkInterfaces/join/action'}],");
	static const struct refusal cases[] = {
		{"read-only", "PATCH", VM("vm-1") AV, "{\"tags\":{}}", 409, "ScopeLocked",
			"cannot perform write operation because following scope(s) are locked"},
		{"read-only action", "POST", VM("vm-1") "/powerOff" AV, NULL, 409, "ScopeLocked", "write operation"},
		{"can not delete", "DELETE", DISK("copy") DV, NULL, 409, "ScopeLocked",
			"cannot perform delete operation"},
		{"action", "POST", VM("stopped") "/start" AV, NULL, 403, "AuthorizationFailed",
			"does not have authorization to perform action "
			"'Microsoft.Compute/virtualMachines/start/action'"},
		{"copy's source", PUT_COPY("new"), COPY_BODY("stopped_OsDisk", "V2", "\"zones\":[\"1\"],"), 403,
			"LinkedAuthorizationFailed",
			"does not have permission to perform action 'Microsoft.Compute/disks/beginGetAccess/action' on "
			"the "
			"linked scope(s)"},
		{"PUT's NIC", "PUT", VM("off") AV,
			"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"properties\":{\"storageProfile\":{\"osDisk\":"
			"{"
			"\"createOption\":\"FromImage\"}}}}",
			403, "LinkedAuthorizationFailed", "networkInterfaces/off-nic"},
	};
	struct kit k = kit_open(scenario);

	check(scenario, cases, FF_COUNT(cases));
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200, "reading is not locked");
	must_do(&k, "POST", VM("off") "/start" AV, NULL);
	must_do(&k, "PATCH", DISK("copy") DV, "{\"tags\":{\"a\":\"b\"}}");
	kit_close(&k);
}

Test(cloudsim_refusals, an_etag_of_yesterday)
{
	struct kit k = kit_open(FLEET(""));
	ff_auto_free char *etag = kit_etag(&k, "stopped");

	k.if_match = etag;
	must_do(&k, "PATCH", VM("stopped") AV, "{\"tags\":{\"fixfleet-run\":\"r1\"}}");
	k.if_match = etag;
	must_refuse(&k, "PATCH", VM("stopped") AV, "{\"tags\":{}}", 412, "PreconditionFailed", "does not match");
	k.if_match = "\"7\"";
	must_refuse(&k, "PUT", VM("gone") AV, "{}", 412, "PreconditionFailed", "does not exist");
	kit_close(&k);
}
