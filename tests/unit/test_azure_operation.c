/* Long-running operations: every combination of headers, every end. */
#include "azure_kit.h"

#define OP  ARM "/subscriptions/s/providers/Microsoft.Compute/locations/eu/operations/1?p=x&t=2&s=%2Fa%3D"
#define DOP ARM "/subscriptions/s/providers/Microsoft.Compute/locations/eu/DiskOperations/2?monitor=true"

static struct ff_cloud *cloud;
static struct kit_vm k;

static void setup(void)
{
	cloud = kit_cloud();
	kit_vm(&k, "web-1", 3);
}

static void teardown(void)
{
	kit_vm_free(&k);
	ff_azure.close(cloud);
}

TestSuite(azure_operation, .init = setup, .fini = teardown);

static enum ff_meaning acted(int step, int status, const char *body, const char *const *headers)
{
	struct ff_answer answer = kit_answer(status, body);

	for (size_t i = 0; headers != NULL && headers[i] != NULL; i += 2)
		ff_headers_add(&answer.headers, headers[i], headers[i + 1]);
	return kit_acted_with(cloud, &k, step, &answer);
}

Test(azure_operation, the_header_decides_where_to_poll)
{
	static const char *const both[] = {"location", DOP, "azure-asyncoperation", OP, "Retry-After", "10", NULL};
	static const char *const location[] = {"Location", DOP, NULL};
	static const char *const none[] = {NULL};
	static const struct {
		int step, status;
		const char *body, *const *headers;
		enum ff_meaning meaning;
		const char *url, *kind;
		unsigned wait_ms;
	} cases[] = {
		{AZ_STOP, 202, "", both, FF_M_STARTED, OP, "async", 10000},
		{AZ_STOP, 202, "", location, FF_M_STARTED, DOP, "location", 2000},
		{AZ_STOP, 202, "", none, FF_M_LOOK, NULL, NULL, 0},
		{AZ_STOP, 200, "", none, FF_M_DONE, NULL, NULL, 0},
		{AZ_CLAIM, 200, "{\"properties\":{\"provisioningState\":\"Succeeded\"}}", none, FF_M_DONE, NULL, NULL,
			0},
		{AZ_CLAIM, 200, "{\"properties\":{\"provisioningState\":\"Updating\"}}", none, FF_M_STARTED,
			COMPUTE "/virtualMachines/web-1?api-version=2024-07-01", "resource", 2000},
		{AZ_COPY, 202, "{\"properties\":{\"provisioningState\":\"Updating\"}}", both, FF_M_STARTED, OP, "async",
			10000},
		{AZ_COPY, 202, "", none, FF_M_STARTED, NULL, "resource", 2000},
		{AZ_DELETE_COPY, 204, "", none, FF_M_DONE, NULL, NULL, 0},
		{AZ_DELETE_COPY, 202, "", location, FF_M_STARTED, DOP, "location", 2000},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		const char *url;

		json_object_del(k.facts, "op");
		cr_assert_eq(acted(cases[i].step, cases[i].status, cases[i].body, cases[i].headers), cases[i].meaning,
			"case %zu: %d %s", i, (int)k.v.meaning, k.v.err.text);
		url = ff_json_str(k.facts, "op/url");
		if (cases[i].url != NULL)
			cr_assert(ff_has_suffix(url, cases[i].url), "case %zu: %s", i, url);
		cr_assert(ff_streq(ff_json_str(k.facts, "op/kind"), cases[i].kind), "case %zu", i);
		if (cases[i].meaning == FF_M_STARTED)
			cr_assert_eq(k.v.wait_ms, cases[i].wait_ms, "case %zu", i);
	}
}

Test(azure_operation, a_poll_url_elsewhere_never_gets_the_token)
{
	static const char *const evil[] = {"Azure-AsyncOperation", "https://evil.test/op", NULL};
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	cr_assert_eq(acted(AZ_STOP, 202, "", evil), FF_M_LOOK);
	cr_assert_eq(k.v.err.class, FF_E_BUG);
	cr_assert_null(json_object_get(k.facts, "op"));
	ff_json_set_new(k.facts, "op", kit_json("{\"url\":\"https://evil.test/op\",\"kind\":\"async\"}"));
	cr_assert_eq(ff_azure.poll(cloud, &k.m, 1, &ask, &err), -1);
	cr_assert_eq(err.class, FF_E_BUG);
}

static void poll_of(const char *kind, int step)
{
	json_t *op = json_object();

	ff_json_set_str(op, "url", OP);
	ff_json_set_str(op, "kind", kind);
	ff_json_set_int(op, "since", NOW - 8000);
	ff_json_set_new(k.facts, "op", op);
	k.m.step = step;
}

Test(azure_operation, the_poll_url_is_used_verbatim_and_costs)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	poll_of("async", AZ_STOP);
	cr_assert_eq(ff_azure.poll(cloud, &k.m, 1, &ask, &err), 0);
	cr_assert_str_eq(ask.method, "GET");
	cr_assert_str_eq(ask.url, OP);
	cr_assert_eq(ask.cost_count, 2);
	cr_assert_str_eq(ask.costs[0].key, "azure/" SUB "/westeurope/GetOperation");
	cr_assert_eq(ask.costs[1].capacity, 45);
	ff_ask_release(&ask);
	poll_of("location", AZ_ATTACH);
	cr_assert_eq(ff_azure.poll(cloud, &k.m, 1, &ask, &err), 0);
	cr_assert(ff_has_suffix(ask.costs[1].key, "/virtualmachines/rescue-1/GetOperation"), "%s", ask.costs[1].key);
	ff_ask_release(&ask);
	json_object_del(k.facts, "op");
	cr_assert_eq(ff_azure.poll(cloud, &k.m, 1, &ask, &err), -1);
}

Test(azure_operation, every_poll_has_its_meaning)
{
	static const struct {
		const char *kind;
		int step, status;
		const char *body;
		enum ff_meaning meaning;
		bool over; /* "op" is forgotten */
	} cases[] = {
		{"async", AZ_STOP, 200, "{\"status\":\"InProgress\"}", FF_M_WAIT, false},
		{"async", AZ_STOP, 200, "{\"status\":\"Updating\"}", FF_M_WAIT, false},
		{"async", AZ_STOP, 202, "", FF_M_WAIT, false},
		{"async", AZ_STOP, 200, "{\"status\":\"succeeded\"}", FF_M_DONE, true},
		{"async", AZ_STOP, 200,
			"{\"status\":\"Failed\",\"error\":{\"code\":\"NotSupported\",\"message\":\"x\"}}", FF_M_FAILED,
			true},
		{"async", AZ_STOP, 200, "{\"status\":\"Failed\"}", FF_M_FAILED, true},
		{"async", AZ_STOP, 200, "{\"status\":\"Canceled\"}", FF_M_FAILED, true},
		{"async", AZ_STOP, 200,
			"{\"status\":\"Failed\",\"error\":{\"code\":\"OperationPreempted\",\"message\":\"x\"}}",
			FF_M_LOOK, true},
		{"async", AZ_STOP, 200,
			"{\"status\":\"Failed\",\"error\":{\"code\":\"InternalExecutionError\",\"message\":\"x\"}}",
			FF_M_LOOK, true},
		{"async", AZ_STOP, 404, "", FF_M_LOOK, true},
		{"async", AZ_STOP, 500, "", FF_M_WAIT, false},
		{"async", AZ_STOP, 429, "", FF_M_WAIT, false},
		{"async", AZ_STOP, 401, "", FF_M_WAIT, false},
		{"async", AZ_STOP, 200, "<html>", FF_M_LOOK, true},
		{"location", AZ_STOP, 202, "", FF_M_WAIT, false},
		{"location", AZ_STOP, 200, "", FF_M_DONE, true},
		{"location", AZ_STOP, 204, "", FF_M_DONE, true},
		{"location", AZ_STOP, 400, "{\"error\":{\"code\":\"BadRequest\",\"message\":\"x\"}}", FF_M_FAILED,
			true},
		{"location", AZ_STOP, 409, "{\"error\":{\"code\":\"Conflict\",\"message\":\"x\"}}", FF_M_LOOK, true},
		{"location", AZ_STOP, 404, "", FF_M_LOOK, true},
		{"resource", AZ_CLAIM, 200, "{\"properties\":{\"provisioningState\":\"Updating\"}}", FF_M_WAIT, false},
		{"resource", AZ_CLAIM, 200, "{\"properties\":{\"provisioningState\":\"Succeeded\"}}", FF_M_DONE, true},
		{"resource", AZ_CLAIM, 200, "{\"properties\":{\"provisioningState\":\"Failed\"}}", FF_M_FAILED, true},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		poll_of(cases[i].kind, cases[i].step);
		cr_assert_eq(kit_polled(cloud, &k, cases[i].status, cases[i].body), cases[i].meaning, "case %zu: %d %s",
			i, (int)k.v.meaning, k.v.err.text);
		cr_assert_eq(json_object_get(k.facts, "op") == NULL, cases[i].over, "case %zu", i);
		if (k.v.meaning != FF_M_DONE)
			cr_assert_neq(k.v.err.text[0], '\0', "case %zu says nothing", i);
	}
}

Test(azure_operation, waits_follow_retry_after_or_grow)
{
	struct ff_answer answer = kit_answer(200, "{\"status\":\"InProgress\"}");

	poll_of("async", AZ_STOP);
	ff_azure.polled(cloud, &k.m, 1, NOW, &answer, &k.v);
	cr_assert_eq(k.v.wait_ms, 4000); /* 8 s old */
	ff_azure.polled(cloud, &k.m, 1, NOW + 12000, &answer, &k.v);
	cr_assert_eq(k.v.wait_ms, 10000);
	ff_azure.polled(cloud, &k.m, 1, NOW + 600000, &answer, &k.v);
	cr_assert_eq(k.v.wait_ms, 15000);
	ff_headers_add(&answer.headers, "Retry-After", "36");
	ff_azure.polled(cloud, &k.m, 1, NOW, &answer, &k.v);
	cr_assert_eq(k.v.wait_ms, 36000);
	ff_answer_release(&answer, false);
}

Test(azure_operation, the_end_of_a_start_is_by_azures_clock)
{
	poll_of("async", AZ_START);
	kit_polled(cloud, &k, 200, "{\"status\":\"Succeeded\",\"endTime\":\"2024-07-19T05:00:00.5+00:00\"}");
	cr_assert_eq(ff_json_int(k.facts, "started_ms", 0), NOW - 3600000 + 500);
	poll_of("location", AZ_START);
	kit_polled(cloud, &k, 200, "");
	cr_assert_eq(ff_json_int(k.facts, "started_ms", 0), NOW);
}

Test(azure_operation, refusals_of_an_act_have_meanings)
{
	static const struct {
		int status;
		const char *body;
		enum ff_meaning meaning;
	} cases[] = {
		{429, "", FF_M_WAIT},
		{500, "", FF_M_LOOK},
		{409, "", FF_M_LOOK},
		{412, "", FF_M_LOOK},
		{401, "", FF_M_LOOK},
		{403, "", FF_M_FAILED},
		{404, "", FF_M_FAILED},
		{400, "", FF_M_FAILED},
		{200, "<html>", FF_M_LOOK},
		{409, "{\"error\":{\"code\":\"ScopeLocked\",\"message\":\"x\"}}", FF_M_FAILED},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		cr_assert_eq(acted(AZ_STOP, cases[i].status, cases[i].body, NULL), cases[i].meaning, "case %zu", i);
	static const struct {
		enum ff_transport transport;
		enum ff_meaning meaning;
	} lost[] = {{FF_T_BROKEN, FF_M_LOOK}, {FF_T_TOO_LARGE, FF_M_LOOK}, {FF_T_NOT_SENT, FF_M_WAIT},
		{FF_T_UNTRUSTED, FF_M_FAILED}};

	for (size_t i = 0; i < FF_COUNT(lost); i++) {
		struct ff_answer answer = kit_lost(lost[i].transport, "x");

		cr_assert_eq(kit_acted_with(cloud, &k, AZ_STOP, &answer), lost[i].meaning, "lost %zu", i);
	}
}

Test(azure_operation, no_capacity_to_start_waits_longer_each_time)
{
	for (int i = 0; i < 3; i++) {
		poll_of("async", AZ_START);
		cr_assert_eq(kit_polled(cloud, &k, 200,
				     "{\"status\":\"Failed\",\"error\":{\"code\":\"ZonalAllocationFailed\",\"message\":"
				     "\"x\"}}"),
			FF_M_LOOK);
		cr_assert_eq(
			kit_looked(cloud, &k, AZ_START, 200, "{\"statuses\":[{\"code\":\"PowerState/deallocated\"}]}"),
			FF_M_WAIT);
		cr_assert_eq(k.v.wait_ms, 60000u << i);
	}
	ff_json_set_int(k.facts, "start_after_ms", NOW);
	cr_assert_eq(kit_looked(cloud, &k, AZ_START, 200, "{\"statuses\":[{\"code\":\"PowerState/deallocated\"}]}"),
		FF_M_NOT_DONE);
}
