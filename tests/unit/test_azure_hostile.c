/*
 * Answers that make no sense: sound ones, mutated, go into every function that reads. Nothing may crash, every verdict
 * must be one of those that its reader may give, and failures must say something. Run under ASan and UBSan too.
 */
#include "azure_kit.h"

#define ROUNDS 4000

static uint64_t state;

static uint32_t rnd(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static json_t *strange(void)
{
	switch (rnd(12)) {
	case 0:
		return json_null();
	case 1:
		return json_true();
	case 2:
		return json_integer(-1);
	case 3:
		return json_integer(INT64_MAX);
	case 4:
		return json_integer(INT64_MIN);
	case 5:
		return json_real(1e300);
	case 6:
		return json_string("");
	case 7:
		return json_array();
	case 8:
		return json_object();
	case 9:
		return json_string("x\x1b[31m\r\nEvil: y");
	case 10:
		return json_string("PowerState/0123456789012345678901234567890123456789");
	default: {
		char *huge = ff_calloc(100001, 1);
		json_t *text;

		memset(huge, 'a', 100000);
		text = json_string(huge);
		free(huge);
		return text;
	}
	}
}

/* Puts something strange somewhere into it, or takes something out. */
static void mutate(json_t *j)
{
	size_t n = json_is_object(j) ? json_object_size(j) : json_array_size(j), at;
	void *iter;

	if (n == 0)
		return;
	at = rnd((uint32_t)n);
	if (json_is_array(j)) {
		if (rnd(2) && json_array_size(json_array_get(j, at)) + json_object_size(json_array_get(j, at)) > 0)
			mutate(json_array_get(j, at));
		else
			json_array_set_new(j, at, strange());
		return;
	}
	for (iter = json_object_iter(j); at > 0; at--)
		iter = json_object_iter_next(j, iter);
	if (rnd(3) &&
		json_array_size(json_object_iter_value(iter)) + json_object_size(json_object_iter_value(iter)) > 0)
		mutate(json_object_iter_value(iter));
	else if (rnd(4))
		json_object_iter_set_new(j, iter, strange());
	else
		json_object_del(j, json_object_iter_key(iter));
}

static const char *const seeds[] = {
	"{\"id\":\"" COMPUTE
	"/virtualMachines/web-1\",\"name\":\"web-1\",\"etag\":\"\\\"1\\\"\",\"location\":\"eu\",\"zones\":[\"1\"],"
	"\"tags\":{\"fixfleet-run\":\"run-1\",\"a\":\"b\"},\"managedBy\":null,\"properties\":{\"provisioningState\":"
	"\"Succeeded\","
	"\"hardwareProfile\":{\"vmSize\":\"S\"},\"networkProfile\":{\"networkInterfaces\":[{\"id\":\"/"
	"n\"}]},\"storageProfile\":{"
	"\"osDisk\":{\"osType\":\"Windows\",\"name\":\"web-1-os\",\"createOption\":\"FromImage\",\"diskSizeGB\":1,"
	"\"managedDisk\":{"
	"\"id\":\"" COMPUTE
	"/disks/web-1-os\"}},\"dataDisks\":[{\"lun\":3,\"name\":\"x\",\"managedDisk\":{\"id\":\"/x\"}}]},"
	"\"instanceView\":{\"hyperVGeneration\":\"V2\",\"disks\":[{\"name\":\"web-1-os\",\"encryptionSettings\":[{"
	"\"enabled\":false}]}],"
	"\"vmAgent\":{\"statuses\":[{\"code\":\"a\",\"displayStatus\":\"Ready\",\"time\":\"2024-07-19T06:00:00Z\"}]},"
	"\"statuses\":[{"
	"\"code\":\"PowerState/stopped\"}]}}}",
	"{\"id\":\"" COMPUTE
	"/disks/web-1-os\",\"location\":\"eu\",\"zones\":[\"1\"],\"sku\":{\"name\":\"P\"},\"managedBy\":\"/x\","
	"\"tags\":{\"fixfleet-run\":\"run-1\"},\"properties\":{\"osType\":\"Windows\",\"hyperVGeneration\":\"V2\","
	"\"diskSizeBytes\":5,"
	"\"diskState\":\"Attached\",\"creationData\":{\"sourceResourceId\":\"/s\"},\"encryption\":{\"type\":\"t\","
	"\"diskEncryptionSetId\":\"/d\"},\"provisioningState\":\"Succeeded\"}}",
	"{\"startTime\":\"x\",\"endTime\":\"2024-07-19T06:00:00Z\",\"status\":\"Succeeded\",\"properties\":{\"output\":"
	"{\"dataDisks\":[{"
	"\"lun\":3,\"managedDisk\":{\"id\":\"/x\"}}]}}}",
	"{\"status\":\"Failed\",\"error\":{\"code\":\"AllocationFailed\",\"message\":\"please "
	"deallocate\",\"details\":[{\"code\":\"c\","
	"\"message\":\"m\",\"target\":\"HighCostGet\"}]}}",
	"{\"code\":\"OperationNotAllowed\",\"message\":\"attach detach data disks API is not "
	"enabled\",\"details\":[{\"code\":\"x\"}]}",
	"{\"statuses\":[{\"code\":\"PowerState/running\"}],\"vmAgent\":{\"statuses\":[{\"displayStatus\":\"Not "
	"Ready\"}]}}",
	"{\"value\":[{\"name\":\"S\",\"maxDataDiskCount\":4,\"resourceDiskSizeInMB\":1}],\"nextLink\":\"" ARM
	"/more\"}",
	"{\"access_token\":\"t\",\"accessToken\":\"t\",\"expires_in\":3599,\"expires_on\":\"1\",\"subscription\":\"x\","
	"\"compute\":{"
	"\"subscriptionId\":\"x\"},\"error\":\"e\",\"error_description\":\"d\"}",
	"{\"id\":\"" RG "/providers/Microsoft.Authorization/locks/l\",\"properties\":{\"level\":\"ReadOnly\","
	"\"publicIPAllocationMethod\":\"Dynamic\",\"ipConfiguration\":{\"id\":\"/n/ipConfigurations/1\"}}}",
};

/* A strange answer: a mutated seed, or a text cut short, with some status and some headers. */
static struct ff_answer strange_answer(bool list)
{
	static const int statuses[] = {
		200, 200, 200, 200, 201, 202, 204, 400, 401, 403, 404, 409, 412, 429, 500, 503, 999, -1, 0};
	ff_auto_json json_t *j = kit_json(seeds[rnd(FF_COUNT(seeds))]);
	struct ff_answer answer = {.transport = rnd(10) ? FF_T_OK : (enum ff_transport)rnd(6)};

	for (uint32_t i = rnd(4); i > 0; i--)
		mutate(j);
	if (list && rnd(8))
		j = json_pack("{s:[o]}", "value", j);
	answer.body = ff_json_text(j);
	answer.body_len = strlen(answer.body);
	if (rnd(20) == 0)
		answer.body_len = rnd((uint32_t)answer.body_len + 1);
	answer.status = list && rnd(10) ? 200 : statuses[rnd(FF_COUNT(statuses))];
	if (rnd(4) == 0)
		ff_headers_add(&answer.headers, "Azure-AsyncOperation", rnd(2) ? ARM "/op" : "http://[::1");
	if (rnd(4) == 0)
		ff_headers_add(&answer.headers, "Location", rnd(2) ? ARM "/op?monitor=true" : "");
	if (rnd(4) == 0)
		ff_headers_add(&answer.headers, "Retry-After", rnd(2) ? "-5" : "99999999999999999999");
	if (rnd(4) == 0)
		ff_headers_add(
			&answer.headers, "x-ms-ratelimit-remaining-resource", rnd(2) ? ";;/,,;5" : "a/UpdateVM3Min;5");
	return answer;
}

static void sane(const struct ff_verdict *v, bool act, const char *of)
{
	cr_assert(v->meaning <= FF_M_FAILED, "%s", of);
	if (!act)
		cr_assert(v->meaning != FF_M_STARTED && v->meaning != FF_M_SPLIT, "%s", of);
	if (v->meaning == FF_M_FAILED) {
		cr_assert_neq(v->err.class, FF_E_NONE, "%s", of);
		cr_assert_neq(v->err.text[0], '\0', "%s", of);
	}
}

Test(azure_hostile, no_answer_breaks_a_row)
{
	struct ff_cloud *cloud = kit_cloud();

	for (unsigned round = 0; round < ROUNDS; round++) {
		int step = (int)rnd(AZ_STEP_COUNT);
		const struct ff_step *row = &ff_azure.steps[step];
		struct ff_answer answer = strange_answer(false);
		struct ff_ask ask = {0};
		struct ff_err err = {0};
		ff_auto_buf where = {0};
		struct kit_vm k;

		kit_vm(&k, "web-1", 3);
		k.m.step = step;
		if (rnd(3) == 0)
			mutate(k.facts); /* a journal of somewhere else */
		if (rnd(3) == 0)
			ff_json_set_new(k.rescue_facts, "attach_by_patch", json_true());
		if (rnd(2) && row->act != NULL) {
			row->acted(cloud, &k.m, 1, NOW, &answer, &k.v);
			sane(&k.v, true, row->name);
		} else if (rnd(2) && row->look != NULL) {
			row->looked(cloud, &k.m, NOW, &answer, &k.v);
			sane(&k.v, false, row->name);
		} else {
			static const char *const kinds[] = {"async", "location", "resource", "?"};

			ff_json_set_new(k.facts, "op", json_pack("{s:s,s:s}", "url", ARM "/op", "kind", kinds[rnd(4)]));
			ff_azure.polled(cloud, &k.m, 1, NOW, &answer, &k.v);
			sane(&k.v, true, "poll");
		}
		kit_learn(&k);
		if (row->act != NULL && row->act(cloud, &k.m, 1, &ask, &err) < 0)
			cr_assert_neq(err.text[0], '\0');
		for (size_t h = 0; h < ask.headers.count; h++)
			cr_assert_null(strpbrk(ask.headers.items[h].value, "\r\n"));
		if (ask.url != NULL)
			cr_assert_null(strpbrk(ask.url, " \r\n\x1b"));
		ff_ask_release(&ask);
		ff_azure.where(cloud, &k.m, &where);
		ff_answer_release(&answer, false);
		kit_vm_free(&k);
	}
	ff_azure.close(cloud);
}

Test(azure_hostile, no_answer_breaks_discovery)
{
	for (unsigned round = 0; round < ROUNDS / 40; round++) {
		struct ff_cloud *cloud = kit_cloud();
		struct ff_ask ask = {0};
		struct ff_err err = {0};
		enum ff_turn turn;
		int rc = 0;

		for (int n = 0; n < 100 && rc == 0; n++) {
			struct ff_answer answer;

			turn = ff_azure.discover_next(cloud, &ask, &err);
			if (turn != FF_TURN_ASK)
				break;
			answer = strange_answer(ask.tag <= AZ_Q_ADDRESSES);
			rc = ff_azure.discover_read(cloud, NOW, &ask, &answer, &err);
			if (rc < 0)
				cr_assert_neq(err.text[0], '\0');
			ff_answer_release(&answer, false);
			ff_ask_release(&ask);
		}
		ff_ask_release(&ask);
		ff_azure.close(cloud);
	}
}

Test(azure_hostile, no_answer_breaks_judging_and_signing_in)
{
	static const char *const envs[][7] = {{NULL},
		{"AZURE_TENANT_ID", "t", "AZURE_CLIENT_ID", "c", "AZURE_CLIENT_SECRET", "s"},
		{"AZURE_TENANT_ID", "t", "AZURE_CLIENT_ID", "c", "AZURE_FEDERATED_TOKEN_FILE", "f"},
		{"AZURE_TENANT_ID", "t", "AZURE_CLIENT_ID", "c", "AZURE_CLIENT_CERTIFICATE_PATH", "f"}};

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct ff_scope_options options = {.subscription = SUB};
		struct ff_err err;
		struct ff_cloud *cloud = kit_open_with(&options, envs[rnd(FF_COUNT(envs))], &err);
		struct ff_ask ask = {0};
		struct ff_hint hint;

		cr_assert_not_null(cloud);
		for (int n = 0; n < 6 && ff_azure.login_next(cloud, NOW, &ask, &err) == FF_TURN_ASK; n++) {
			struct ff_answer answer = strange_answer(false);

			ff_ask_cost(&ask, "azure/s/UpdateVM", 1, 1);
			ff_azure.judge(cloud, NOW, &ask, &answer, &hint, &err);
			ask.tag = ask.kind == FF_ASK_HTTP && rnd(2) ? AZ_Q_STEP : ask.tag;
			ff_azure.judge(cloud, NOW, &ask, &answer, &hint, &err);
			ff_azure.login_read(cloud, NOW, &ask, &answer);
			cr_assert_leq(ff_azure.login_renew_at(cloud), NOW + INT64_C(86400000));
			ff_answer_release(&answer, true);
			ff_ask_release(&ask);
		}
		ff_azure.close(cloud);
	}
}
