/* Scenarios of GCP are read strictly, and nonsense over the wire breaks nothing. */
#include "test_cloudsim_gcp.h"

Test(cloudsim_gcp_scenario, what_nobody_reads_is_refused)
{
	static const struct {
		const char *part, *words;
	} cases[] = {
		{"'projekt':'p1'", "gcp: unknown member 'projekt'"},
		{"'project':1", "'project' is not a text"},
		{"'vms':{}", "'vms' is not an array"},
		{"'vms':[{}]", "gcp.vms[0]: a good 'name'"},
		{"'vms':[{'name':'VM'}]", "gcp.vms[0]: a good 'name'"},
		{"'vms':[{'name':'a','zone':'mars'}]", "'zone'"},
		{"'vms':[{'name':'a','machine_type':'big'}]", "'machine_type'"},
		{"'vms':[{'name':'a'},{'name':'a'}]", "a second VM 'a'"},
		{"'vms':[{'name':'a','labels':{'b':1}}]", "tag 'b' is not a text"},
		{"'vms':[{'name':'a','mig':'m'}]", "'mig' names no group"},
		{"'vms':[{'name':'a','boot':{'bad':true,'image':'x'}}]", "leave 'bad' out"},
		{"'vms':[{'name':'a','boot':{'csek_sha256':'x','kms':'y'}}]", "not both"},
		{"'vms':[{'name':'a','boot':{'size_bytes':1000}}]", "not whole GiB"},
		{"'vms':[{'name':'a','boot':{'caching':'x'}}]", "gcp.vms[0].boot: unknown member 'caching'"},
		{"'vms':[{'name':'a','os':'BeOS'}]", "'os' is 'BeOS', not one of 'Windows', 'Linux'"},
		{"'vms':[{'name':'a'}],'disks':[{'name':'a'}]", "that of another disk"},
		{"'disks':[{'name':'a','zone':'x'}]", "zone 'x' is not among 'zones'"},
		{"'snapshots':[{'name':'s'}]", "'disk' in its 'zone'"},
		{"'groups':[{'name':'g'}]", "one of 'zone' and 'region'"},
		{"'unreachable_zones':['x']", "'x' is not among 'zones'"},
		{"'latency_ms':{'swap':1}", "gcp.latency_ms: unknown member 'swap'"},
		{"'latency_ms':{'stop':-1}", "'stop' is not a whole number"},
		{"'quotas':{'writes':1}", "gcp.quotas: unknown member 'writes'"},
		{"'deny':[{'action':'x'}]", "unknown member 'action'"},
		{"'service_account':{'private_key':'x'}", "no private key in PEM"},
		{"'user':{'client_id':'c'}", "gcp.user: needs"},
		{"'federation':{'audience':'c'}", "gcp.federation: needs"},
		{"'refusals':'never'", "'refusals' is 'never'"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *text = ff_printf("{'gcp':{%s}}", cases[i].part);
		struct ff_err err = {0};
		struct sim *sim;

		for (char *p = text; *p != '\0'; p++)
			*p = *p == '\'' ? '"' : *p;
		sim = kit_model(text, BEGAN, &err);
		cr_assert_null(sim, "%s", cases[i].part);
		cr_assert_eq(err.class, FF_E_USAGE);
		cr_assert_not_null(strstr(err.text, cases[i].words), "%s: %s", cases[i].part, err.text);
		sim_free(sim);
	}
}

Test(cloudsim_gcp_scenario, the_same_requests_at_the_same_times_get_the_same_answers)
{
	struct kit a = gk_open(GSCENE("'vms':[{'name':'vm1'}]")), b = gk_open(GSCENE("'vms':[{'name':'vm1'}]"));
	static const char target[] = GVM("vm1") "/stop";

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(kit_ask(&a, "POST", target, NULL), 200);
		cr_assert_eq(kit_ask(&b, "POST", target, NULL), 200);
		cr_assert_str_eq(a.a.body, b.a.body);
		a.now = b.now += 1000;
	}
	kit_close(&a);
	kit_close(&b);
}

Test(cloudsim_gcp_scenario, clouds_of_one_scenario_do_not_take_each_others_requests)
{
	struct kit k = gk_open("{'azure':{'client_secret':'s3cret','vms':[{'name':'vm-1','zone':'1'}]},'gcp':{" GUSER
			       ",'vms':[{'name':'vm1'}]}}");

	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 401, "Azure does not know Google's token");
	cr_assert_eq(kit_login_with(&k, LOGIN_FORM), 200);
	cr_assert_eq(kit_ask(&k, "GET", VM("vm-1") AV, NULL), 200);
	gk_refuse(&k, "GET", GVM("vm1"), NULL, 401, "authError", "");
	kit_close(&k);
}

/* ---- hostile */

static unsigned dice(unsigned *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 16;
}

/* A request of pieces that make sense alone, some of them bent. */
static void hurl(struct kit *k, unsigned *state)
{
	static const char *const methods[] = {"GET", "POST", "DELETE", "PATCH", "PUT", ""};
	static const char *const paths[] = {GVM("vm1") "/stop", GVM("vm1") "/attachDisk", GVM("vm1") "/serialPort", GP,
		GP "/aggregated/instances", GDISK("vm1") "/createSnapshot", GDISK("vm1") "/setLabels", "/token",
		"/v1/token", "/computeMetadata/v1/instance/service-accounts/", "/", "//", "",
		"/compute/v1/projects/p1/zones//instances", "/v1/projects/-/serviceAccounts/",
		GP "/global/snapshots/%00", GZ "/operations/%ff%fe", "/compute/v1/%2e%2e"};
	static const char *const queries[] = {"", "?", "?requestId=", "?start=-9223372036854775808", "?pageToken=c2lt",
		"?filter=((((a", "?filter=a%20eq%20%5B", "?maxResults=99999999999999999999",
		"?deviceName=%00&&&=&=", "?autoDelete=2&deviceName=persistent-disk-0", "?pageToken=c2ltOnA5OTk5OQ"};
	static const char *const bodies[] = {"", "{", "[]", "{}", "null", "{\"source\":1}", "{\"labels\":{\"a\":{}}}",
		"{\"source\":\"projects/\",\"deviceName\":\"\"}", "{\"disks\":[1,{},null]}",
		"{\"name\":\"\",\"labels\":[]}", "{\"source\":\"zones/us-central1-a/disks/\"}", "grant_type=%",
		"{\"permissions\":[1,null,{}]}",
		"{\"name\":\"s\",\"storageLocations\":[1],\"labels\":{\"fixfleet-run\":1}}"};
	ff_auto_free char *target =
		ff_printf("%s%s", paths[dice(state) % FF_COUNT(paths)], queries[dice(state) % FF_COUNT(queries)]);

	if (dice(state) % 4 == 0 && *target != '\0')
		target[dice(state) % strlen(target)] = (char)(1 + dice(state) % 255);
	kit_ask(k, methods[dice(state) % FF_COUNT(methods)], target, bodies[dice(state) % FF_COUNT(bodies)]);
}

Test(cloudsim_gcp_scenario, nonsense_over_the_wire_breaks_nothing)
{
	struct kit k = gk_open(GSCENE("'vms':[{'name':'vm1'},{'name':'rescue1','rescue':true}]"));
	unsigned state = 7;

	for (int i = 0; i < 20000; i++) {
		hurl(&k, &state);
		cr_assert(k.a.status >= 200 && k.a.status < 600, "status %d", k.a.status);
		k.now += dice(&state) % 1000;
		if (i % 1000 == 0)
			cr_assert_eq(gk_login(&k), 200);
	}
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL) == 200 || k.a.status == 401, true);
	kit_close(&k);
}
