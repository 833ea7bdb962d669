/* The way home of one machine, as a proper client goes it. */
#include "cloudsim_kit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "fixfleet/clock.h"

#define FLEET                                                                                                          \
	"{'azure':{'client_secret':'s3cret','page_size':2,'retry_after_s':{'poll':30},'vms':["                         \
	"{'name':'vm-1','zone':'1','tags':{'env':'prod'},'identity':'both','public_ip':'dynamic',"                     \
	"'os_disk':{'bad':true,'delete_option':'Delete','encryption_set':'des1'}},"                                    \
	"{'name':'vm-2','zone':'1','public_ip':'static'},"                                                             \
	"{'name':'rescue-1','os':'Linux','zone':'1','size':'Standard_D4s_v3','tags':{'fixfleet-role':'rescue'}}],"     \
	"'locks':[{'name':'keep','group':'prod','vm':'vm-2','notes':'ask first'}]}}"

static int64_t agent_time(struct kit *k, const char *vm, const char **word)
{
	ff_auto_free char *target = ff_printf(RG "/virtualMachines/%s/instanceView" AV, vm);
	int64_t ms = 0;

	cr_assert_eq(kit_ask(k, "GET", target, NULL), 200);
	*word = ff_json_str(k->body, "vmAgent/statuses/0/displayStatus");
	if (*word != NULL)
		cr_assert_eq(ff_time_parse(ff_json_str(k->body, "vmAgent/statuses/0/time"), &ms), 0);
	return ms;
}

/* Take the copy out, mend it or not, and bring it back. */
static void take_out(struct kit *k, bool mend)
{
	kit_claim(k, "vm-1");
	must_do(k, "POST", VM("vm-1") "/powerOff" AV "&skipShutdown=true", NULL);
	must_do(k, "PUT", DISK("copy-1") DV,
		"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"sku\":{\"name\":\"Premium_LRS\"},\"tags\":{"
		"\"fixfleet-run\":\"r1\"},\"properties\":{\"osType\":\"Windows\",\"hyperVGeneration\":\"V2\","
		"\"encryption\":{"
		"\"type\":\"EncryptionAtRestWithCustomerKey\",\"diskEncryptionSetId\":\"" RG
		"/diskEncryptionSets/DES1\"},"
		"\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":\"" DISK("vm-1_OsDisk") "\"}}}");
	must_do(k, "POST", VM("rescue-1") "/attachDetachDataDisks" AV, ATTACH_BODY("copy-1", "3"));
	cr_assert_eq(ff_json_int(k->body, "dataDisks/0/lun", -1), 3);
	if (mend)
		cr_assert_eq(sim_set_bad(k->sim, "copy-1", false), 0);
	must_do(k, "POST", VM("rescue-1") "/attachDetachDataDisks" AV, DETACH_BODY("copy-1"));
}

static void go_home(struct kit *k)
{
	ff_auto_free char *etag = kit_etag(k, "vm-1");

	k->if_match = etag;
	must_do(k, "PATCH", VM("vm-1") AV, SWAP_BODY("copy-1"));
	cr_assert_eq(kit_ask(k, "GET", VM("vm-1") AV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k->body, "properties/storageProfile/osDisk/managedDisk/id"), DISK("copy-1"));
	cr_assert_str_eq(ff_json_str(k->body, "properties/storageProfile/osDisk/deleteOption"), "Delete");
	must_do(k, "POST", VM("vm-1") "/start" AV, NULL);
}

Test(cloudsim_flow, a_machine_comes_home_mended_and_nothing_was_violated)
{
	struct kit k = kit_open(FLEET);
	const char *word;
	int64_t started, seen;

	agent_time(&k, "vm-1", &word);
	cr_assert_str_eq(word, "Not Ready");
	take_out(&k, true);
	go_home(&k);
	started = k.now;
	agent_time(&k, "vm-1", &word);
	cr_assert_str_eq(word, "Not Ready", "it is still booting");
	k.now += 60000;
	seen = agent_time(&k, "vm-1", &word);
	cr_assert_str_eq(word, "Ready");
	cr_assert_gt(seen, started);
	must_do(&k, "PATCH", VM("vm-1") AV, "{\"tags\":{\"env\":\"prod\"}}");
	must_do(&k, "DELETE", DISK("vm-1_OsDisk") DV, NULL);
	cr_assert_eq(kit_ask(&k, "DELETE", DISK("vm-1_OsDisk") DV, NULL), 204);
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}

Test(cloudsim_flow, a_copy_that_was_not_mended_boot_loops)
{
	struct kit k = kit_open(FLEET);
	const char *word;

	take_out(&k, false);
	go_home(&k);
	k.now += 600000;
	agent_time(&k, "vm-1", &word);
	cr_assert_str_eq(word, "Not Ready");
	kit_close(&k);
}

/* Ready with the time of before the stop is what a stopped machine shows, and one that has just been started. */
Test(cloudsim_flow, ready_is_stale_until_the_machine_has_booted)
{
	struct kit k = kit_open(FLEET);
	const char *word;
	int64_t before;

	kit_claim(&k, "vm-2");
	must_do(&k, "POST", VM("vm-2") "/powerOff" AV, NULL);
	before = agent_time(&k, "vm-2", &word);
	cr_assert_str_eq(word, "Ready");
	cr_assert_gt(before, BEGAN - 60000, "a heartbeat of just before the stop");
	cr_assert_leq(before, k.now);
	must_do(&k, "POST", VM("vm-2") "/start" AV, NULL);
	cr_assert_eq(agent_time(&k, "vm-2", &word), before);
	cr_assert_str_eq(word, "Ready");
	k.now += 46000;
	cr_assert_gt(agent_time(&k, "vm-2", &word), k.now - 46000);
	must_do(&k, "POST", VM("vm-2") "/deallocate" AV, NULL);
	agent_time(&k, "vm-2", &word);
	cr_assert_null(word, "a deallocated machine has no agent");
	kit_close(&k);
}

Test(cloudsim_flow, operations_are_told_by_both_headers_and_end_when_their_time_has_come)
{
	struct kit k = kit_open(FLEET);
	ff_auto_free char *async = NULL, *location = NULL;
	size_t skip = strlen("https://management.azure.com");

	kit_claim(&k, "vm-1");
	cr_assert_eq(kit_ask(&k, "POST", VM("vm-1") "/powerOff" AV, NULL), 202);
	async = ff_strdup(ff_headers_get(&k.a.headers, "Azure-AsyncOperation"));
	location = ff_strdup(ff_headers_get(&k.a.headers, "Location"));
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Retry-After"), "10");
	cr_assert_eq(sim_next_ms(k.sim), k.now + 6400);
	k.now += 6399;
	cr_assert_eq(kit_ask(&k, "GET", async + skip, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "InProgress");
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Retry-After"), "30", "on the first poll");
	cr_assert_eq(kit_ask(&k, "GET", location + skip, NULL), 202);
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") "/instanceView" AV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "statuses/1/code"), "PowerState/stopping");
	k.now += 1;
	cr_assert_eq(kit_ask(&k, "GET", async + skip, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "Succeeded");
	cr_assert_eq(kit_ask(&k, "GET", location + skip, NULL), 200);
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") "/instanceView" AV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "statuses/1/code"), "PowerState/stopped");
	kit_close(&k);
}

Test(cloudsim_flow, a_poll_url_must_come_back_as_it_went_out)
{
	struct kit k = kit_open(FLEET);
	ff_auto_free char *async = NULL;
	char *signature;

	kit_claim(&k, "vm-1");
	kit_ask(&k, "POST", VM("vm-1") "/start" AV, NULL);
	async = ff_strdup(ff_headers_get(&k.a.headers, "Azure-AsyncOperation"));
	cr_assert_gt(strlen(async), 400);
	signature = strstr(async, "&s=") + 3;
	signature[0] = signature[0] == '0' ? '1' : '0';
	cr_assert_eq(kit_ask(&k, "GET", async + strlen("https://management.azure.com"), NULL), 404);
	kit_close(&k);
}

Test(cloudsim_flow, lists_come_in_pages_with_upper_case_groups)
{
	struct kit k = kit_open(FLEET);
	const char *link;
	ff_auto_free char *next = NULL;

	cr_assert_eq(kit_ask(&k, "GET", SUB "/providers/Microsoft.Compute/virtualMachines" AV, NULL), 200);
	cr_assert_eq(json_array_size(json_object_get(k.body, "value")), 2);
	cr_assert_not_null(strstr(ff_json_str(k.body, "value/0/id"), "/resourceGroups/PROD/"));
	link = ff_json_str(k.body, "nextLink");
	cr_assert(ff_has_prefix(link, "https://management.azure.com" SUB));
	next = ff_strdup(link + strlen("https://management.azure.com"));
	cr_assert_eq(kit_ask(&k, "GET", next, NULL), 200);
	cr_assert_eq(json_array_size(json_object_get(k.body, "value")), 1);
	cr_assert_null(json_object_get(k.body, "nextLink"));
	kit_close(&k);
}

Test(cloudsim_flow, a_whole_model_may_be_put_back_with_the_copy_in_it)
{
	struct kit k = kit_open(FLEET);
	ff_auto_json json_t *model = NULL;
	ff_auto_free char *body = NULL, *etag = NULL;
	json_t *os;

	take_out(&k, true);
	etag = kit_etag(&k, "vm-1");
	model = json_deep_copy(k.body);
	os = json_object_get(json_object_get(json_object_get(model, "properties"), "storageProfile"), "osDisk");
	ff_json_set_str(os, "name", "copy-1");
	ff_json_set_str(json_object_get(os, "managedDisk"), "id", DISK("copy-1"));
	body = ff_json_text(model);
	k.if_match = etag;
	must_do(&k, "PUT", VM("vm-1") AV, body);
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "properties/storageProfile/osDisk/name"), "copy-1");
	cr_assert_str_eq(ff_json_str(k.body, "identity/type"), "SystemAssigned, UserAssigned");
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}

Test(cloudsim_flow, a_list_of_data_disks_replaces_what_is_there)
{
	struct kit k = kit_open(FLEET);

	must_do(&k, "PUT", DISK("copy-1") DV, COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"));
	must_do(&k, "PATCH", VM("rescue-1") AV,
		"{\"properties\":{\"storageProfile\":{\"dataDisks\":[{\"lun\":5,\"name\":\"copy-1\",\"createOption\":"
		"\"Attach\","
		"\"managedDisk\":{\"id\":\"" DISK("copy-1") "\"}}]}}}");
	cr_assert_eq(kit_ask(&k, "GET", DISK("copy-1") DV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "properties/diskState"), "Attached");
	cr_assert_not_null(strstr(ff_json_str(k.body, "managedBy"), "/resourceGroups/PROD/"));
	must_do(&k, "PATCH", VM("rescue-1") AV, "{\"properties\":{\"storageProfile\":{\"dataDisks\":[]}}}");
	cr_assert_eq(kit_ask(&k, "GET", DISK("copy-1") DV, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "properties/diskState"), "Unattached");
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}

static void ask_elsewhere(struct kit *k)
{
	struct ff_headers h = {0};

	ff_headers_add(&h, "Metadata", "true");
	cr_assert_eq(kit_raw(k, "GET",
			     "/metadata/identity/oauth2/"
			     "token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F",
			     &h, NULL),
		200);
	cr_assert_eq(kit_raw(k, "GET", "/metadata/instance?api-version=2021-02-01", &h, NULL), 200);
	ff_headers_free(&h);
	cr_assert_eq(kit_login_with(k, "grant_type=client_credentials&client_id=00000000-0000-4000-8000-00000000000b&"
				       "client_secret=wrong&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"),
		401);
	cr_assert_eq(kit_ask(k, "GET", VM("vm-1") AV, NULL), 401);
	cr_assert_eq(kit_login_with(k, LOGIN_FORM), 200);
	for (int i = 0; i < 40; i++)
		kit_ask(k, "GET", VM("vm-2") AV, NULL);
	cr_assert_eq(k->a.status, 429);
}

/* The original back in its place, by the whole model. */
static void put_back(struct kit *k)
{
	ff_auto_json json_t *model = NULL;
	ff_auto_free char *body = NULL, *etag = NULL;
	json_t *os;

	must_do(k, "POST", VM("vm-1") "/powerOff" AV, NULL);
	etag = kit_etag(k, "vm-1");
	model = json_deep_copy(k->body);
	os = json_object_get(json_object_get(json_object_get(model, "properties"), "storageProfile"), "osDisk");
	ff_json_set_str(os, "name", "vm-1_OsDisk");
	ff_json_set_str(json_object_get(os, "managedDisk"), "id", DISK("vm-1_OsDisk"));
	body = ff_json_text(model);
	k->if_match = etag;
	must_do(k, "PUT", VM("vm-1") AV, body);
}

/* Everything that can be asked, once, so that the clouds' own descriptions can judge the answers. */
static void ask_the_rest(struct kit *k)
{
	static const char *const reads[] = {SUB "/providers/Microsoft.Compute/virtualMachines" AV,
		SUB "/providers/Microsoft.Compute/virtualMachines" AV "&statusOnly=true",
		SUB "/providers/Microsoft.Compute/locations/westeurope/virtualMachines" AV, RG "/virtualMachines" AV,
		VM("vm-1") AV "&$expand=instanceView", VM("rescue-1") "/vmSizes" AV,
		SUB "/providers/Microsoft.Compute/disks" DV, RG "/disks" DV, RG "/snapshots" DV, RG "/snapshots/s1" DV,
		SUB "/providers/Microsoft.Compute/skus?api-version=2021-07-01&$filter=location%20eq%20%27westeurope%27",
		SUB "/providers/Microsoft.Authorization/locks?api-version=2016-09-01",
		SUB "/providers/Microsoft.Network/publicIPAddresses?api-version=2023-09-01"};

	must_do(k, "PUT", RG "/snapshots/s1" DV,
		"{\"location\":\"westeurope\",\"sku\":{\"name\":\"Standard_LRS\"},\"tags\":{\"fixfleet-run\":\"r1\"},"
		"\"properties\":{\"incremental\":true,\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":"
		"\"" DISK("vm-2_OsDisk") "\"}}}");
	for (size_t i = 0; i < FF_COUNT(reads); i++)
		cr_assert_eq(kit_ask(k, "GET", reads[i], NULL), 200, "%s: %s", reads[i], k->a.body);
	cr_assert_eq(kit_ask(k, "POST", VM("vm-1") "/retrieveBootDiagnosticsData" AV, NULL), 200);
	must_do(k, "PATCH", DISK("copy-1") DV, "{\"tags\":{\"fixfleet-run\":\"r1\",\"done\":\"yes\"}}");
	must_do(k, "DELETE", RG "/snapshots/s1" DV, NULL);
	kit_claim(k, "vm-2");
	must_do(k, "POST", VM("vm-2") "/deallocate" AV, NULL);
	must_do(k, "POST", VM("vm-2") "/start" AV, NULL);
	must_do(k, "POST", VM("vm-2") "/restart" AV, NULL);
	cr_assert_eq(kit_ask(k, "GET", VM("nosuch") AV, NULL), 404);
	k->if_match = "\"0\"";
	cr_assert_eq(kit_ask(k, "PATCH", VM("vm-1") AV, "{\"tags\":{}}"), 412);
	cr_assert_eq(kit_ask(k, "DELETE", DISK("copy-1") DV, NULL), 409);
	cr_assert_eq(kit_ask(k, "POST", VM("rescue-1") "/attachDetachDataDisks" AV, ATTACH_BODY("copy-1", "1")), 409);
}

Test(cloudsim_flow, the_published_descriptions_find_nothing_wrong, .timeout = 120)
{
	char path[] = "/tmp/cloudsim-traffic-XXXXXX", command[1024];
	struct kit k;
	int rc;

	if (access(FF_SOURCE_DIR "/../shared/contract/check", X_OK) < 0)
		cr_skip_test("no checker beside this project");
	k = kit_open(FLEET);
	k.traffic = fdopen(mkstemp(path), "w");
	cr_assert_not_null(k.traffic);
	kit_login_with(&k, LOGIN_FORM);
	take_out(&k, true);
	go_home(&k);
	ask_the_rest(&k);
	ask_elsewhere(&k);
	put_back(&k);
	fclose(k.traffic);
	snprintf(command, sizeof(command),
		"specs=$(mktemp -d) && %s/tests/contract/join-specs $specs && "
		"%s/../shared/contract/check --specs $specs --no-notes %s >&2; rc=$?; rm -rf $specs; exit $rc",
		FF_SOURCE_DIR, FF_SOURCE_DIR, path);
	rc = system(command);
	unlink(path);
	cr_assert_eq(rc, 0, "the checker ended with %d", WEXITSTATUS(rc));
	kit_close(&k);
}
