/* Lists of GCP: scopes, pages, filters, zones that do not answer; and the way of a request before them. */
#include "test_cloudsim_gcp.h"

#define FLEET                                                                                                          \
	"'page_size':2,'zones':['us-central1-a','us-central1-b','us-east1-b'],"                                        \
	"'groups':[{'name':'mig1','zone':'us-central1-a'},{'name':'mig2','region':'us-central1'}],'vms':["             \
	"{'name':'vm1','labels':{'env':'prod'},'mig':'mig1'},{'name':'vm2','mig':'mig2','power':'stopped'},"           \
	"{'name':'vm3','labels':{'env':'test'},'external_ip':'static'},"                                               \
	"{'name':'vm4','zone':'us-central1-b','external_ip':'ephemeral','spot':true,'local_ssd':1},"                   \
	"{'name':'vm5','zone':'us-east1-b','os':'Linux','boot':{'type':'hyperdisk-balanced','kms':'key1'}}],"          \
	"'disks':[{'name':'loose','size_gib':10,'labels':{'a':'b'}},{'name':'both','regional':true}]"

#define AGG GP "/aggregated/instances?returnPartialSuccess=true&includeAllScopes=true"

/* Names on all pages, in order, with a slash after each; "|" between pages. */
static char *all_pages(struct kit *k, const char *target, const char *member)
{
	ff_auto_buf names = {0};
	ff_auto_free char *token = NULL;
	int pages = 0;

	do {
		ff_auto_free char *full =
			token != NULL ? ff_printf("%s&pageToken=%s", target, token) : ff_strdup(target);
		const char *scope;
		json_t *part;

		cr_assert_eq(kit_ask(k, "GET", full, NULL), 200, "%s", full);
		json_object_foreach (json_object_get(k->body, "items"), scope, part) {
			size_t i;
			json_t *o;

			json_array_foreach (json_object_get(part, member), i, o)
				ff_buf_addf(&names, "%s/", ff_json_str(o, "name"));
		}
		free(token);
		token = ff_strdup(ff_json_str(k->body, "nextPageToken"));
		ff_buf_adds(&names, token != NULL ? "|" : "");
	} while (token != NULL && ++pages < 20);
	return ff_buf_take(&names);
}

Test(cloudsim_gcp_lists, aggregated_lists_come_in_pages_with_a_word_for_each_empty_zone)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *names = all_pages(&k, AGG, "instances");

	cr_assert_str_eq(names, "vm1/vm2/|vm3/vm4/|vm5/");
	cr_assert_str_eq(
		ff_json_str(json_object_get(json_object_get(k.body, "items"), "zones/us-central1-a"), "warning/code"),
		"NO_RESULTS_ON_PAGE");
	cr_assert_not_null(json_object_get(json_object_get(k.body, "items"), "regions/us-east1"), "all scopes");
	cr_assert_null(json_object_get(k.body, "unreachables"));
	kit_close(&k);
}

Test(cloudsim_gcp_lists, a_page_may_be_empty_and_have_a_next_one)
{
	struct kit k = gk_open(GSCENE("'empty_pages':true," FLEET));
	ff_auto_free char *names = all_pages(&k, AGG, "instances");

	cr_assert_str_eq(names, "|vm1/vm2/||vm3/vm4/||vm5/");
	kit_close(&k);
}

Test(cloudsim_gcp_lists, an_unreachable_zone_is_not_an_empty_zone)
{
	struct kit k = gk_open(GSCENE("'unreachable_zones':['us-east1-b']," FLEET));
	ff_auto_free char *names = all_pages(&k, AGG, "instances");

	cr_assert_str_eq(names, "vm1/vm2/|vm3/vm4/");
	cr_assert_str_eq(ff_json_str(k.body, "unreachables/0"), "projects/p1/zones/us-east1-b");
	cr_assert_str_eq(ff_json_str(k.body, "warning/code"), "PARTIAL_SUCCESS");
	cr_assert_str_eq(
		ff_json_str(json_object_get(json_object_get(k.body, "items"), "zones/us-east1-b"), "warning/code"),
		"UNREACHABLE");
	gk_refuse(&k, "GET", GP "/aggregated/instances", NULL, 503, "backendError", "currently unavailable");
	gk_refuse(&k, "GET", GP "/zones/us-east1-b/instances/vm5", NULL, 503, "backendError", "");
	kit_close(&k);
}

Test(cloudsim_gcp_lists, filters_choose)
{
	static const struct {
		const char *filter;
		size_t count;
	} cases[] = {
		{"labels.env%3Dprod", 1},
		{"labels.env=%22test%22", 1},
		{"labels.env:*", 2},
		{"labels.fixfleet-run=%22r1%22", 0},
		{"name%20eq%20vm%5B12%5D", 2},
		{"name%20ne%20vm1", 2},
		{"status=TERMINATED", 1},
		{"(status=RUNNING)%20AND%20(name!=vm1)", 1},
		{"scheduling.preemptible=true", 0},
	};
	struct kit k = gk_open(GSCENE("'vms':[{'name':'vm1','labels':{'env':'prod'}},{'name':'vm2','labels':{'env':"
				      "'test'}},{'name':'vm3','power':'stopped'}]"));

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *target = ff_printf(GZ "/instances?filter=%s", cases[i].filter);

		cr_assert_eq(kit_ask(&k, "GET", target, NULL), 200);
		cr_assert_eq(json_array_size(json_object_get(k.body, "items")), cases[i].count, "%s", cases[i].filter);
	}
	gk_refuse(&k, "GET", GZ "/instances?filter=nonsense", NULL, 400, "invalid", "Invalid list filter expression");
	gk_refuse(&k, "GET", GZ "/instances?filter=a=%22b", NULL, 400, "invalid", "Invalid list filter expression");
	kit_close(&k);
}

Test(cloudsim_gcp_lists, machines_show_what_makes_them_hazards)
{
	struct kit k = gk_open(GSCENE(FLEET));

	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	cr_assert(json_is_string(json_object_get(k.body, "id")), "uint64 is a string");
	cr_assert_str_eq(ff_json_str(k.body, "disks/0/diskSizeGb"), "50");
	cr_assert_str_eq(ff_json_str(k.body, "metadata/items/0/key"), "created-by");
	cr_assert_str_eq(ff_json_str(k.body, "disks/0/guestOsFeatures/4/type"), "WINDOWS");
	cr_assert_not_null(strstr(ff_json_str(k.body, "disks/0/licenses/0"), "/windows-cloud/"));
	cr_assert_eq(kit_ask(&k, "GET", GP "/zones/us-central1-b/instances/vm4", NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "disks/1/type"), "SCRATCH");
	cr_assert_null(ff_json_at(k.body, "disks/1/source"));
	cr_assert_str_eq(ff_json_str(k.body, "scheduling/provisioningModel"), "SPOT");
	cr_assert_eq(kit_ask(&k, "GET", GP "/zones/us-east1-b/instances/vm5", NULL), 200);
	cr_assert_not_null(strstr(ff_json_str(k.body, "disks/0/diskEncryptionKey/kmsKeyName"), "/cryptoKeys/key1"));
	cr_assert_eq(kit_ask(&k, "GET", GP "/regions/us-central1/disks/both", NULL), 200);
	cr_assert_not_null(strstr(ff_json_str(k.body, "selfLink"), "/regions/us-central1/disks/both"));
	kit_close(&k);
}

Test(cloudsim_gcp_lists, groups_tell_their_members)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *groups =
		all_pages(&k, GP "/aggregated/instanceGroupManagers?maxResults=1", "instanceGroupManagers");

	cr_assert_str_eq(groups, "mig1/|mig2/");
	cr_assert_eq(
		kit_ask(&k, "POST", GZ "/instanceGroupManagers/mig1/listManagedInstances?maxResults=500", NULL), 200);
	cr_assert(ff_has_suffix(
		ff_json_str(k.body, "managedInstances/0/instance"), "/zones/us-central1-a/instances/vm1"));
	cr_assert_str_eq(ff_json_str(k.body, "managedInstances/0/instanceStatus"), "RUNNING");
	cr_assert_eq(
		kit_ask(&k, "POST", GP "/regions/us-central1/instanceGroupManagers/mig2/listManagedInstances", NULL),
		200);
	cr_assert_eq(json_array_size(json_object_get(k.body, "managedInstances")), 1);
	gk_refuse(&k, "POST", GZ "/instanceGroupManagers/mig2/listManagedInstances", NULL, 404, "notFound",
		"mig2' was not found");
	cr_assert_eq(kit_ask(&k, "GET", GZ "/instanceGroupManagers/mig1", NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "instanceLifecyclePolicy/defaultActionOnFailure"), "REPAIR");
	kit_close(&k);
}

Test(cloudsim_gcp_lists, only_reserved_addresses_are_listed)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *names = all_pages(&k, GP "/aggregated/addresses?includeAllScopes=true", "addresses");

	cr_assert_str_eq(names, "vm3-ip/");
	kit_close(&k);
}

Test(cloudsim_gcp_lists, machine_types_tell_how_many_disks_they_take)
{
	static const struct {
		const char *type;
		int64_t disks;
	} cases[] = {{"n2-standard-4", 128}, {"e2-micro", 16}, {"n4-standard-4", 16}, {"c4-standard-2", 8}};
	struct kit k = gk_open(GSCENE(FLEET));

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *target = ff_printf(GZ "/machineTypes/%s", cases[i].type);

		cr_assert_eq(kit_ask(&k, "GET", target, NULL), 200);
		cr_assert_eq(ff_json_int(k.body, "maximumPersistentDisks", 0), cases[i].disks, "%s", cases[i].type);
	}
	gk_refuse(&k, "GET", GZ "/machineTypes/z9-huge", NULL, 404, "notFound", "machineTypes/z9-huge' was not found");
	kit_close(&k);
}

/* ---- what is refused before any handler sees it */

Test(cloudsim_gcp_lists, nonsense_gets_the_answer_that_the_cloud_gives_to_it)
{
	static const struct {
		const char *target;
		int status;
		const char *reason, *words;
	} cases[] = {
		{GZ "/instances?maxResults=501", 400, "invalid", "'maxResults': '501'"},
		{GZ "/instances?maxResults=-1", 400, "invalid", "'maxResults'"},
		{GZ "/instances?pageToken=zzzz", 400, "invalid", "Invalid page token"},
		{GZ "/instances?returnPartialSuccess=maybe", 400, "invalid", "TYPE_BOOL"},
		{GZ "/instances?fields2=x", 400, "invalid", "Unknown name \"fields2\""},
		{GVM("vm1") "?requestId=x", 400, "invalid", "Unknown name \"requestId\""},
		{GP "/zones/mars-a/instances", 400, "invalid", "'zone': 'mars-a'. Unknown zone."},
		{GP "/regions/mars/disks", 400, "invalid", "'region': 'mars'"},
		{"/compute/v1/projects/p2/zones/us-central1-a/instances", 404, "notFound",
			"'projects/p2' was not found"},
		{GVM("VM1"), 404, "notFound", "was not found"},
		{GVM("vm1") "/serialPort?port=5", 400, "invalid", "'port': '5'"},
		{GVM("vm1") "/serialPort?start=x", 400, "invalid", "'start'"},
	};
	struct kit k = gk_open(GSCENE(FLEET));

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		gk_refuse(&k, "GET", cases[i].target, NULL, cases[i].status, cases[i].reason, cases[i].words);
	cr_assert_eq(kit_ask(&k, "GET", "/compute/v1/projects/628364689359/zones", NULL), 200, "by its number, too");
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1") "?alt=json&prettyPrint=false", NULL), 200);
	cr_assert_eq(kit_ask(&k, "GET", GP "/nothing", NULL), 404);
	cr_assert_null(k.body, "the front end's page is no JSON");
	cr_assert_eq(kit_ask(&k, "PUT", GVM("vm1"), "{}"), 404);
	kit_close(&k);
}

Test(cloudsim_gcp_lists, a_post_without_length_is_refused_by_the_front_end)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *bearer = ff_printf("Bearer %s", k.token);
	struct ff_headers h = {0};

	ff_headers_add(&h, "Authorization", bearer);
	cr_assert_eq(kit_raw(&k, "POST", GVM("vm1") "/start", &h, NULL), 411);
	cr_assert_not_null(strstr(k.a.body, "Length Required"));
	ff_headers_free(&h);
	kit_close(&k);
}

Test(cloudsim_gcp_lists, permissions_are_refused_and_told)
{
	struct kit k =
		gk_open(GSCENE(FLEET ",'deny':[{'permission':'compute.instances.stop','resource':'*/vm1'},"
				     "{'permission':'compute.disks.use'},{'permission':'compute.snapshots.*'}]"));

	gk_refuse(&k, "POST", GVM("vm1") "/stop", NULL, 403, "forbidden",
		"Required 'compute.instances.stop' permission for '" ZONE_ID "/instances/vm1'");
	gk_refuse(&k, "POST", GVM("vm2") "/attachDisk", "{\"source\":\"" ZONE_ID "/disks/loose\"}", 403, "forbidden",
		"Required 'compute.disks.use' permission for '" ZONE_ID "/disks/loose'");
	gk_refuse(&k, "POST", GDISK("loose") "/createSnapshot", "{\"name\":\"s\"}", 403, "forbidden",
		"compute.snapshots.create");
	gk_refuse(&k, "GET", GP "/global/snapshots", NULL, 403, "forbidden", "permission for 'projects/p1'");
	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/testIamPermissions",
			     "{\"permissions\":[\"compute.instances.stop\",\"compute.instances.start\"]}"),
		200);
	cr_assert_eq(json_array_size(json_object_get(k.body, "permissions")), 1);
	cr_assert_str_eq(ff_json_str(k.body, "permissions/0"), "compute.instances.start");
	kit_close(&k);
}

/* ---- quotas */

Test(cloudsim_gcp_lists, a_quota_is_full_until_the_minute_ends)
{
	struct kit k = gk_open(GSCENE(FLEET ",'quotas':{'lists':2}"));

	k.now = BEGAN + 30000;
	for (int i = 0; i < 2; i++)
		cr_assert_eq(kit_ask(&k, "GET", GZ "/instances", NULL), 200);
	gk_refuse(&k, "GET", GZ "/instances", NULL, 403, "rateLimitExceeded", "Rate Limit Exceeded");
	cr_assert_str_eq(ff_json_str(k.body, "error/errors/0/domain"), "usageLimits");
	cr_assert_str_eq(ff_json_str(k.body, "error/details/0/reason"), "RATE_LIMIT_EXCEEDED");
	cr_assert_eq(kit_ask(&k, "GET", GP "/zones/us-east1-b/instances", NULL), 200, "another region");
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200, "another kind");
	k.now = BEGAN + 59999;
	cr_assert_eq(kit_ask(&k, "GET", GZ "/instances", NULL), 403);
	k.now = BEGAN + 60000;
	cr_assert_eq(kit_ask(&k, "GET", GZ "/instances", NULL), 200, "all at once again");
	kit_close(&k);
}
