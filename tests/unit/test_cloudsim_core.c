/* What all clouds share: identity, budgets, faults, operations, the strict scenario, what must never happen. */
#include "cloudsim_kit.h"

#define TWO(more)                                                                                                      \
	"{'azure':{'client_secret':'s3cret','federated_token':'fed.er.ated'," more                                     \
	"'vms':[{'name':'vm-1','zone':'1','os_disk':{'bad':true}},{'name':'vm-2','zone':'1'},"                         \
	"{'name':'rescue-1','os':'Linux','zone':'1','size':'Standard_D4s_v3','rescue':true}]}}"

/* ---- identity */

#define FORM(client, rest)                                                                                             \
	"grant_type=client_credentials&client_id=" client "&scope=https%3A%2F%2Fmanagement.azure.com%2F.default&" rest
#define ME "00000000-0000-4000-8000-00000000000b"
#define ASSERTION                                                                                                      \
	"client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion="

Test(cloudsim_core, a_token_is_given_for_what_the_scenario_says_and_nothing_else)
{
	static const struct {
		const char *form;
		int status;
		const char *error, *words;
	} cases[] = {
		{FORM(ME, "client_secret=s3cret"), 200, NULL, NULL},
		{FORM(ME, "client_secret=wrong"), 401, "invalid_client", "AADSTS7000215"},
		{FORM(ME, ""), 401, "invalid_client", "AADSTS7000216"},
		{FORM("someone-else", "client_secret=s3cret"), 400, "unauthorized_client", "AADSTS700016"},
		{FORM(ME, ASSERTION "fed.er.ated"), 200, NULL, NULL},
		{FORM(ME, ASSERTION "another"), 401, "invalid_client", "AADSTS70021"},
		{"grant_type=password&client_id=" ME, 400, "unsupported_grant_type", "AADSTS70003"},
		{"grant_type=client_credentials&client_id=" ME "&scope=x&client_secret=s3cret", 400, "invalid_scope",
			"/.default"},
		{"%%%&&=&a=%0", 400, "unsupported_grant_type", "AADSTS"},
	};
	struct kit k = kit_open(TWO(""));

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		int status = kit_login_with(&k, cases[i].form);
		const char *error = ff_json_str(k.body, "error"), *text = ff_json_str(k.body, "error_description");

		cr_expect_eq(status, cases[i].status, "%s: %d", cases[i].form, status);
		cr_expect(ff_streq(error, cases[i].error), "%s: %s", cases[i].form, error ? error : "none");
		cr_expect(cases[i].words == NULL || strstr(text, cases[i].words) != NULL, "%s", text);
	}
	kit_close(&k);
}

Test(cloudsim_core, a_token_ends)
{
	struct kit k = kit_open(TWO("'token_seconds':60,"));

	cr_assert_eq(kit_ask(&k, "GET", RG "/virtualMachines" AV, NULL), 200);
	k.now += 60000;
	must_refuse(
		&k, "GET", RG "/virtualMachines" AV, NULL, 401, "ExpiredAuthenticationToken", "token expiry UTC time");
	cr_assert_not_null(ff_headers_get(&k.a.headers, "WWW-Authenticate"));
	kit_login_with(&k, LOGIN_FORM);
	cr_assert_eq(kit_ask(&k, "GET", RG "/virtualMachines" AV, NULL), 200);
	free(k.token);
	k.token = ff_strdup("made-up");
	must_refuse(&k, "GET", RG "/virtualMachines" AV, NULL, 401, "InvalidAuthenticationToken", "invalid");
	kit_close(&k);
}

Test(cloudsim_core, the_metadata_service_insists_on_its_header)
{
	static const char target[] =
		"/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
	struct kit k = kit_open(TWO(""));
	struct ff_headers h = {0};

	cr_assert_eq(kit_raw(&k, "GET", target, NULL, NULL), 400);
	ff_headers_add(&h, "Metadata", "true");
	cr_assert_eq(kit_raw(&k, "GET", target, &h, NULL), 200);
	cr_assert(json_is_string(json_object_get(k.body, "expires_on")), "all values are strings");
	free(k.token);
	k.token = ff_strdup(ff_json_str(k.body, "access_token"));
	cr_assert_eq(kit_raw(&k, "GET", "/metadata/instance?api-version=2021-02-01", &h, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "compute/resourceId"), VM("rescue-1"));
	cr_assert_eq(kit_ask(&k, "GET", VM("rescue-1") AV, NULL), 200);
	ff_headers_free(&h);
	kit_close(&k);
}

/* ---- budgets */

Test(cloudsim_core, a_vm_takes_so_many_reads_and_then_asks_for_patience)
{
	struct kit k = kit_open(TWO("'buckets':{'vm.LowCostGet':{'capacity':3,'refill_per_min':12}},"));

	for (int i = 0; i < 3; i++)
		cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200);
	cr_assert_not_null(ff_headers_get(&k.a.headers, "x-ms-ratelimit-remaining-resource"));
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 429);
	cr_assert_str_eq(ff_json_str(k.body, "code"), "OperationNotAllowed", "no outer error");
	cr_assert_str_eq(ff_json_str(k.body, "details/0/code"), "TooManyRequests");
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Retry-After"), "5");
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-2") AV, NULL), 200, "another VM has its own");
	k.now += 5000;
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200);
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}

Test(cloudsim_core, asking_too_early_restarts_the_wait_and_is_noticed)
{
	struct kit k = kit_open(TWO("'buckets':{'subscription.HighCostGet':{'capacity':1,'refill_per_min':6}},"));

	cr_assert_eq(kit_ask(&k, "GET", RG "/disks" DV, NULL), 200);
	cr_assert_eq(kit_ask(&k, "GET", RG "/disks" DV, NULL), 429);
	k.now += 200;
	cr_assert_eq(kit_ask(&k, "GET", RG "/virtualMachines" AV, NULL), 429);
	cr_assert_eq(kit_violations(&k), 0, "it can have been on its way");
	k.now += 9000;
	cr_assert_eq(kit_ask(&k, "GET", RG "/virtualMachines" AV, NULL), 429);
	cr_assert(kit_violated(&k, "throttled"));
	k.now += 9000;
	cr_assert_eq(kit_ask(&k, "GET", RG "/virtualMachines" AV, NULL), 429, "the wait began anew");
	k.now += 10000;
	cr_assert_eq(kit_ask(&k, "GET", RG "/virtualMachines" AV, NULL), 200);
	kit_close(&k);
}

Test(cloudsim_core, resource_manager_has_limits_of_its_own)
{
	struct kit k = kit_open(TWO("'buckets':{'subscription.writes':{'capacity':1,'refill_per_min':6}},"));

	kit_claim(&k, "vm-1");
	must_refuse(&k, "POST", VM("vm-1") "/powerOff" AV, NULL, 429, "SubscriptionRequestsThrottled",
		"Number of write requests for subscription");
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200);
	kit_close(&k);
}

/* ---- faults */

#define WITH_FAULT(match, answer)                                                                                      \
	"{'azure':{'client_secret':'s3cret','vms':[{'name':'vm-1','zone':'1','tags':{'fixfleet-run':'r1'},"            \
	"'os_disk':{'bad':true}}]},'faults':[{'match':{" match "},'answer':{" answer "}}]}"

Test(cloudsim_core, the_third_request_that_fits_is_struck)
{
	struct kit k = kit_open(WITH_FAULT("'method':'get','path':'*/VIRTUALMACHINES/*','nth':3", "'status':500"));
	static const int wanted[] = {200, 200, 500, 200};

	for (size_t i = 0; i < FF_COUNT(wanted); i++) {
		cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), wanted[i]);
		cr_assert_eq(kit_ask(&k, "GET", RG "/disks" DV, NULL), 200, "does not fit");
	}
	kit_close(&k);
}

Test(cloudsim_core, rules_by_from_every_times_and_body)
{
	struct kit k = kit_open(WITH_FAULT("'method':'GET','from':2,'every':2,'times':2", "'status':503"));
	static const int wanted[] = {200, 503, 200, 503, 200, 200};

	for (size_t i = 0; i < FF_COUNT(wanted); i++)
		cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), wanted[i], "%zu", i);
	kit_close(&k);
	k = kit_open(WITH_FAULT("'body':'*osDisk*'", "'status':409,'code':'Odd','message':'very'"));
	must_do(&k, "PATCH", VM("vm-1") AV, "{\"tags\":{\"fixfleet-run\":\"r1\"}}");
	must_refuse(&k, "PATCH", VM("vm-1") AV, "{\"properties\":{\"storageProfile\":{\"osDisk\":{}}}}", 409, "Odd",
		"very");
	kit_close(&k);
}

Test(cloudsim_core, a_reset_comes_before_or_after_the_effect)
{
	struct kit k = kit_open(WITH_FAULT("'path':'*/powerOff'", "'reset':'before'"));

	cr_assert_eq(kit_ask(&k, "POST", VM("vm-1") "/powerOff" AV, NULL), 0);
	cr_assert_eq(sim_next_ms(k.sim), INT64_MAX, "nothing was begun");
	kit_close(&k);
	k = kit_open(WITH_FAULT("'path':'*/powerOff'", "'reset':'after'"));
	cr_assert_eq(kit_ask(&k, "POST", VM("vm-1") "/powerOff" AV, NULL), 0);
	kit_settle(&k);
	kit_ask(&k, "GET", VM("vm-1") "/instanceView" AV, NULL);
	cr_assert_str_eq(ff_json_str(k.body, "statuses/1/code"), "PowerState/stopped");
	kit_close(&k);
}

Test(cloudsim_core, answers_hang_break_off_and_ask_for_patience)
{
	struct kit k = kit_open(WITH_FAULT("'method':'GET'", "'hang_ms':5000"));

	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200);
	cr_assert_eq(k.a.hold_ms, 5000);
	kit_close(&k);
	k = kit_open(WITH_FAULT("'method':'GET'", "'truncate':true"));
	kit_ask(&k, "GET", VM("vm-1") AV, NULL);
	cr_assert_eq(k.a.end, SIM_TRUNCATED);
	kit_close(&k);
	k = kit_open(WITH_FAULT("'method':'GET','nth':1", "'status':429,'retry_after_s':20"));
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 429);
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Retry-After"), "20");
	k.now += 10000;
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200);
	cr_assert(kit_violated(&k, "throttled"), "ten seconds too early");
	kit_close(&k);
}

Test(cloudsim_core, operations_fail_or_hang_and_leave_everything_as_it_was)
{
	struct kit k = kit_open(WITH_FAULT(
		"'path':'*/powerOff'", "'operation_fails':{'code':'AllocationFailed','message':'No room.'}"));
	ff_auto_free char *async = NULL;

	cr_assert_str_eq(kit_do(&k, "POST", VM("vm-1") "/powerOff" AV, NULL), "Failed");
	cr_assert_eq(k.a.status, 200, "a failure is a 200");
	cr_assert_str_eq(ff_json_str(k.body, "error/code"), "AllocationFailed");
	kit_ask(&k, "GET", VM("vm-1") AV "&$expand=instanceView", NULL);
	cr_assert_str_eq(ff_json_str(k.body, "properties/provisioningState"), "Failed");
	cr_assert_str_eq(ff_json_str(k.body, "properties/instanceView/statuses/1/code"), "PowerState/running");
	kit_close(&k);
	k = kit_open(WITH_FAULT("'method':'PUT'", "'operation_fails':{'code':'X','message':'y'}"));
	cr_assert_str_eq(
		kit_do(&k, "PUT", DISK("c1") DV, COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],")), "Failed");
	cr_assert_eq(kit_ask(&k, "GET", DISK("c1") DV, NULL), 404);
	kit_close(&k);
	k = kit_open(WITH_FAULT("'path':'*/powerOff'", "'operation_hangs':true"));
	cr_assert_eq(kit_ask(&k, "POST", VM("vm-1") "/powerOff" AV, NULL), 202);
	async = ff_strdup(ff_headers_get(&k.a.headers, "Azure-AsyncOperation"));
	k.now += 3000000;
	cr_assert_eq(kit_ask(&k, "GET", async + strlen("https://management.azure.com"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "InProgress");
	kit_close(&k);
}

Test(cloudsim_core, an_operation_ends_late)
{
	struct kit k = kit_open(WITH_FAULT("'path':'*/powerOff'", "'operation_late_ms':600000"));
	ff_auto_free char *async = NULL;

	cr_assert_eq(kit_ask(&k, "POST", VM("vm-1") "/powerOff" AV, NULL), 202);
	async = ff_strdup(ff_headers_get(&k.a.headers, "Azure-AsyncOperation"));
	k.now += 600000;
	kit_ask(&k, "GET", async + strlen("https://management.azure.com"), NULL);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "InProgress");
	k.now += 60000;
	kit_ask(&k, "GET", async + strlen("https://management.azure.com"), NULL);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "Succeeded");
	kit_close(&k);
}

Test(cloudsim_core, a_later_one_preempts_where_the_scenario_says_so)
{
	struct kit k = kit_open(TWO("'concurrent':'preempt',"));
	ff_auto_free char *first = NULL;

	kit_claim(&k, "vm-1");
	cr_assert_eq(kit_ask(&k, "POST", VM("vm-1") "/powerOff" AV, NULL), 202);
	first = ff_strdup(ff_headers_get(&k.a.headers, "Azure-AsyncOperation"));
	must_do(&k, "POST", VM("vm-1") "/deallocate" AV, NULL);
	cr_assert_eq(kit_ask(&k, "GET", first + strlen("https://management.azure.com"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "Failed");
	cr_assert_str_eq(ff_json_str(k.body, "error/code"), "OperationPreempted");
	kit_ask(&k, "GET", VM("vm-1") "/instanceView" AV, NULL);
	cr_assert_str_eq(ff_json_str(k.body, "statuses/1/code"), "PowerState/deallocated");
	kit_close(&k);
}

Test(cloudsim_core, the_same_seed_gives_the_same_answers)
{
	struct kit a = kit_open(TWO("")), b = kit_open(TWO(""));

	for (int i = 0; i < 3; i++) {
		kit_ask(&a, "GET", VM("vm-1") AV, NULL);
		kit_ask(&b, "GET", VM("vm-1") AV, NULL);
		cr_assert_str_eq(a.a.body, b.a.body);
		cr_assert_str_eq(ff_headers_get(&a.a.headers, "x-ms-request-id"),
			ff_headers_get(&b.a.headers, "x-ms-request-id"));
	}
	kit_close(&a);
	kit_close(&b);
}

Test(cloudsim_core, time_scale_divides_latencies_and_waits)
{
	struct kit k =
		kit_open("{'time_scale':10,'azure':{'client_secret':'s3cret','vms':[{'name':'vm-1','os_disk':{'bad':"
			 "true},'tags':{'fixfleet-run':'r'}}]}}");

	kit_ask(&k, "POST", VM("vm-1") "/powerOff" AV, NULL);
	cr_assert_str_eq(ff_headers_get(&k.a.headers, "Retry-After"), "1");
	cr_assert_eq(sim_next_ms(k.sim), BEGAN + 640);
	kit_close(&k);
}

Test(cloudsim_core, an_endless_list_links_to_itself)
{
	struct kit k = kit_open(TWO("'endless_next_link':true,'page_size':10,"));
	ff_auto_free char *link = NULL;

	kit_ask(&k, "GET", RG "/virtualMachines" AV, NULL);
	link = ff_strdup(ff_json_str(k.body, "nextLink"));
	cr_assert_not_null(link);
	kit_ask(&k, "GET", link + strlen("https://management.azure.com"), NULL);
	cr_assert_str_eq(ff_json_str(k.body, "nextLink"), link);
	kit_close(&k);
}

Test(cloudsim_core, a_swap_may_be_ignored_or_reboot_the_machine)
{
	struct kit k = kit_open(TWO("'swap_ignored':true,'swap_on_running':'reboot',"));

	must_do(&k, "PUT", DISK("c1") DV, COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"));
	kit_claim(&k, "vm-1");
	must_do(&k, "PATCH", VM("vm-1") AV, SWAP_BODY("c1"));
	kit_ask(&k, "GET", VM("vm-1") AV, NULL);
	cr_assert_str_eq(ff_json_str(k.body, "properties/storageProfile/osDisk/name"), "vm-1_OsDisk");
	kit_close(&k);
	k = kit_open(TWO("'swap_on_running':'reboot',"));
	must_do(&k, "PUT", DISK("c1") DV, COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"));
	kit_claim(&k, "vm-1");
	must_do(&k, "PATCH", VM("vm-1") AV, SWAP_BODY("c1"));
	kit_ask(&k, "GET", VM("vm-1") AV, NULL);
	cr_assert_str_eq(ff_json_str(k.body, "properties/storageProfile/osDisk/name"), "c1");
	kit_close(&k);
}

/* ---- what must never happen */

Test(cloudsim_core, each_is_noticed)
{
	struct kit k = kit_open(TWO(""));

	must_do(&k, "POST", VM("vm-1") "/powerOff" AV, NULL);
	cr_assert(kit_violated(&k, "without a claim"));
	kit_close(&k);

	k = kit_open(TWO(""));
	kit_claim(&k, "vm-2");
	cr_assert_eq(kit_violations(&k), 0, "the claim itself");
	must_do(&k, "POST", VM("vm-2") "/powerOff" AV, NULL);
	cr_assert(kit_violated(&k, "'vm-2' was healthy"));
	kit_close(&k);

	k = kit_open(TWO(""));
	kit_claim(&k, "vm-1");
	must_do(&k, "PUT", DISK("c2") DV, COPY_BODY("vm-2_OsDisk", "V2", "\"zones\":[\"1\"],"));
	must_do(&k, "POST", VM("vm-1") "/powerOff" AV, NULL);
	must_do(&k, "PATCH", VM("vm-1") AV, SWAP_BODY("c2"));
	cr_assert_eq(kit_violations(&k), 0, "it does not run");
	must_do(&k, "POST", VM("vm-1") "/start" AV, NULL);
	cr_assert(kit_violated(&k, "neither its own nor a copy"));
	kit_close(&k);

	k = kit_open(TWO(""));
	kit_claim(&k, "vm-1");
	must_do(&k, "PATCH", VM("vm-1") AV, "{\"tags\":{\"fixfleet-run\":\"other\"}}");
	cr_assert(kit_violated(&k, "was overwritten by 'other'"));
	kit_close(&k);

	k = kit_open(TWO(""));
	must_do(&k, "PUT", DISK("c1") DV,
		"{\"location\":\"westeurope\",\"zones\":[\"1\"],\"properties\":{\"creationData\":{\"createOption\":"
		"\"Copy\","
		"\"sourceResourceId\":\"" DISK("vm-1_OsDisk") "\"}}}");
	cr_assert(kit_violated(&k, "without the run's tag"));
	must_do(&k, "DELETE", DISK("c1") DV, NULL);
	cr_assert(kit_violated(&k, "which no run has made, was deleted"));
	kit_close(&k);

	k = kit_open("{'azure':{'client_secret':'s3cret','vms':[{'name':'vm-1','identity':'system','tags':{'fixfleet-"
		     "run':'r1'}}]}}");
	must_do(&k, "PUT", VM("vm-1") AV,
		"{\"location\":\"westeurope\",\"tags\":{\"fixfleet-run\":\"r1\"},\"properties\":{\"storageProfile\":{"
		"\"osDisk\":{"
		"\"createOption\":\"FromImage\"}}}}");
	cr_assert(kit_violated(&k, "lost its identity"));
	kit_ask(&k, "GET", VM("vm-1") AV, NULL);
	cr_assert_null(json_object_get(k.body, "identity"));
	kit_close(&k);

	k = kit_open(TWO(""));
	kit_ask(&k, "PUT", VM("nosuch") AV, "{}");
	cr_assert(kit_violated(&k, "would have created"));
	kit_close(&k);
}

Test(cloudsim_core, humans_may_do_what_programs_may_not)
{
	struct kit k = kit_open(TWO(""));
	ff_auto_json json_t *stop = json_pack("{s:s,s:s}", "op", "stop", "vm", "vm-2");
	ff_auto_json json_t *start = json_pack("{s:s,s:s}", "op", "start", "vm", "vm-2");
	ff_auto_json json_t *tags = json_pack("{s:s,s:s,s:{s:s}}", "op", "touch-tags", "vm", "vm-2", "tags", "a", "b");
	ff_auto_json json_t *detach = json_pack("{s:s,s:s}", "op", "detach", "vm", "rescue-1");
	ff_auto_json json_t *wrong = json_pack("{s:s,s:s}", "op", "explode", "vm", "vm-2");
	struct ff_err err = {0};
	ff_auto_free char *etag = kit_etag(&k, "vm-2");

	cr_assert_eq(sim_human(k.sim, k.now, stop, &err), 0);
	kit_ask(&k, "GET", VM("vm-2") "/instanceView" AV, NULL);
	cr_assert_str_eq(ff_json_str(k.body, "statuses/1/code"), "PowerState/stopped");
	cr_assert_eq(sim_human(k.sim, k.now, start, &err), 0);
	cr_assert_eq(sim_human(k.sim, k.now, tags, &err), 0);
	k.if_match = etag;
	cr_assert_eq(kit_ask(&k, "PATCH", VM("vm-2") AV, "{\"tags\":{\"fixfleet-run\":\"r\"}}"), 412);
	must_do(&k, "PUT", DISK("c1") DV, COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"));
	must_do(&k, "POST", VM("rescue-1") "/attachDetachDataDisks" AV, ATTACH_BODY("c1", "0"));
	cr_assert_eq(sim_human(k.sim, k.now, detach, &err), 0);
	kit_ask(&k, "GET", DISK("c1") DV, NULL);
	cr_assert_str_eq(ff_json_str(k.body, "properties/diskState"), "Unattached");
	cr_assert_eq(sim_human(k.sim, k.now, wrong, &err), -1);
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}

Test(cloudsim_core, files_are_copied_linked_unlinked_and_deleted)
{
	static const enum sim_effect_kind wanted[] = {SIM_LINK, SIM_UNLINK};
	struct kit k = kit_open(TWO("'link_delay_ms':700,"));
	struct sim_effect *e;
	size_t n;

	must_do(&k, "PUT", DISK("c1") DV, COPY_BODY("vm-1_OsDisk", "V2", "\"zones\":[\"1\"],"));
	for (size_t i = 0; i < FF_COUNT(wanted); i++) {
		kit_ask(&k, "POST", VM("rescue-1") "/attachDetachDataDisks" AV,
			i == 0 ? ATTACH_BODY("c1", "2") : DETACH_BODY("c1"));
		k.now = sim_next_ms(k.sim);
		sim_advance(k.sim, k.now);
		e = sim_take_effects(k.sim, &n);
		cr_assert_eq(n, i, "a link takes its time, its end does not");
		sim_effects_free(e, n);
		if (i == 1)
			break;
		k.now += 700;
		sim_advance(k.sim, k.now);
		e = sim_take_effects(k.sim, &n);
		cr_assert_eq(n, 1);
		cr_assert_eq(e[0].kind, wanted[i]);
		cr_assert_str_eq(e[0].vm, "rescue-1");
		cr_assert_eq(e[0].lun, 2);
		sim_effects_free(e, n);
	}
	kit_close(&k);
}

/* ---- the scenario */

Test(cloudsim_core, mistakes_are_named)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"{}", "no object 'azure'"},
		{"{\"azure\":[]}", "no object 'azure'"},
		{"{\"azure\":{},\"seeds\":1}", "unknown member 'seeds'"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\",\"colour\":1}]}}", "azure.vms[0]: unknown member 'colour'"},
		{"{\"azure\":{\"vms\":[{}]}}", "'name' is missing"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a/../b\"}]}}", "has a slash"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\"},{\"name\":\"A\"}]}}", "a second VM"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\",\"group\":\"x\"}]}}", "is not among 'groups'"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\",\"power\":\"on\"}]}}", "'power' is 'on', not one of 'running'"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\",\"os_disk\":{\"size_gib\":1,\"size_bytes\":5000}}]}}",
			"'size_gib' is 1, but"},
		{"{\"azure\":{\"vms\":[{\"name\":\"a\",\"os_disk\":{\"image\":\"x\",\"bad\":true}}]}}",
			"leave 'bad' out"},
		{"{\"azure\":{\"latency_ms\":{\"poweroff\":1}}}", "unknown member 'poweroff'"},
		{"{\"azure\":{\"buckets\":{\"vm.UpdateVM\":{\"capacity\":0}}}}", "needs numbers"},
		{"{\"azure\":{\"locks\":[{\"vm\":\"a\"}]}}", "need 'group'"},
		{"{\"azure\":{},\"faults\":[{\"match\":{},\"answer\":{}}]}", "needs exactly one of"},
		{"{\"azure\":{},\"faults\":[{\"match\":{\"nth\":0},\"answer\":{\"status\":500}}]}", "faults[0]: 'nth'"},
		{"{\"azure\":{},\"faults\":[{\"answer\":{\"status\":500}}]}", "faults[0] is not an object"},
		{"{\"azure\":{},\"time_scale\":0}", "time_scale"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};
		struct sim *sim = kit_model(cases[i].text, BEGAN, &err);

		cr_expect_null(sim, "%s", cases[i].text);
		cr_expect(strstr(err.text, cases[i].words) != NULL, "%s: %s", cases[i].text, err.text);
		sim_free(sim);
	}
}

/* ---- anything may come in */

static char random_byte(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (char)(*state >> 56);
}

Test(cloudsim_core, nonsense_gets_an_answer_and_never_a_crash, .timeout = 60)
{
	static const char *const methods[] = {"GET", "PUT", "PATCH", "POST", "DELETE", "BREW", ""};
	static const char *const targets[] = {"", "/", "//", "?", "/%", "/%0", "/%00", "/%zz", "/subscriptions",
		"/subscriptions/", SUB "/", RG "/disks/%2e%2e" DV, RG "/disks//x" DV,
		VM("vm-1") AV "&&&=&$skiptoken=!!!", RG "/disks" DV "&$skiptoken=LTE",
		RG "/virtualMachines" AV "&$skiptoken=OTk5OTk5OTk5",
		SUB "/providers/Microsoft.Compute/locations/x/operations/x" AV, VM("vm-1") "/attachDetachDataDisks" AV,
		VM("vm-1") AV, DISK("x") DV, "/metadata/identity/oauth2/token", "/a/oauth2/v2.0/token"};
	static const char *const bodies[] = {NULL, "", "{", "[]", "null", "{\"tags\":5}", "{\"tags\":{\"a\":5}}",
		"{\"properties\":[]}", "{\"properties\":{\"storageProfile\":{\"osDisk\":{\"createOption\":5}}}}",
		"{\"properties\":{\"storageProfile\":{\"dataDisks\":[null,5,{}]}}}",
		"{\"dataDisksToAttach\":[null,{\"diskId\":5},{\"lun\":\"x\"}],\"dataDisksToDetach\":{}}",
		"{\"dataDisksToAttach\":[{\"diskId\":\"\",\"lun\":-9223372036854775808}]}",
		"{\"location\":5,\"properties\":{\"creationData\":{\"createOption\":\"Copy\",\"sourceResourceId\":5}}}",
		"{\"location\":\"westeurope\",\"zones\":[5],\"sku\":[],\"properties\":{\"diskSizeGB\":"
		"9223372036854775807,"
		"\"creationData\":{\"createOption\":\"Empty\"}}}"};
	struct kit k = kit_open(TWO(""));
	uint64_t state = 7;

	for (size_t m = 0; m < FF_COUNT(methods); m++)
		for (size_t t = 0; t < FF_COUNT(targets); t++)
			for (size_t b = 0; b < FF_COUNT(bodies); b++)
				cr_assert_geq(kit_ask(&k, methods[m], targets[t], bodies[b]), 200, "%s %s %s",
					methods[m], targets[t], bodies[b] ? bodies[b] : "");
	for (int i = 0; i < 2000; i++) {
		char target[64], body[64];

		for (size_t j = 0; j < sizeof(target) - 1; j++) {
			target[j] = random_byte(&state);
			body[j] = random_byte(&state);
		}
		target[63] = body[63] = '\0';
		target[0] = '/';
		cr_assert_geq(kit_ask(&k, methods[i % 7], target, body), 200);
	}
	kit_close(&k);
}
