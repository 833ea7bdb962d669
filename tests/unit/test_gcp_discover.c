/* Discovery: what is asked, pages and partial answers, evidence, hazards, rescue VMs. */
#include <ctype.h>

#include "test_gcp_kit.h"

/* ---------------------------------------------------------------- a project that answers */

/* Answers by the end of the URL's path and a part of its query; the first that fits. */
struct reply {
	const char *part;
	int status;
	const char *body;
};

static const char *rest_of(const struct ff_ask *ask)
{
	const char *url = ask->url ? ask->url : ask->path;

	return ff_has_prefix(url, BASE) ? url + strlen(BASE) : url;
}

/* Run discovery to its end; unknown questions are answered by an empty object. Returns how many were asked. */
static unsigned discover(struct ff_cloud *cloud, const struct reply *replies, struct ff_err *err, struct ff_buf *log)
{
	unsigned asked = 0;

	*err = (struct ff_err){0};
	for (;;) {
		struct ff_ask ask = {0};
		enum ff_turn turn = ff_gcp.discover_next(cloud, &ask, err);
		struct ff_answer answer;
		const struct reply *r = replies;
		int rc;

		if (turn == FF_TURN_DONE)
			return asked;
		cr_assert_eq(turn, FF_TURN_ASK, "turn %d after %u asks", turn, asked);
		cr_assert_lt(++asked, 1000u);
		cr_expect_not(ask.mutates);
		if (log != NULL)
			ff_buf_addf(log, "%s %s\n", ask.method ? ask.method : "FILE", rest_of(&ask));
		while (r->part != NULL && strstr(rest_of(&ask), r->part) == NULL)
			r++;
		answer = r->part ? kit_answer(r->status, r->body) : kit_answer(200, "{}");
		rc = ff_gcp.discover_read(cloud, NOW, &ask, &answer, err);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
		if (rc < 0)
			return asked;
	}
}

static const struct ff_vm *found(const struct ff_cloud *cloud, const char *name)
{
	struct ff_vm **vms = NULL;
	size_t n = ff_gcp.vms(cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->name, name))
			return vms[i];
	return NULL;
}

static bool noted(const struct ff_cloud *cloud, const char *part)
{
	const struct ff_strv *notes = ff_gcp.notes(cloud);

	for (size_t i = 0; i < notes->count; i++)
		if (strstr(notes->items[i], part) != NULL)
			return true;
	return false;
}

static bool has_hazard(const struct ff_vm *vm, const char *word)
{
	for (size_t i = 0; i < vm->hazards.count; i++)
		if (ff_has_prefix(vm->hazards.items[i], word) && vm->hazards.items[i][strlen(word)] == ':')
			return true;
	return false;
}

#define BOOT_DISK(name, more)                                                                                          \
	"{\"boot\":true,\"index\":0,\"autoDelete\":true,\"deviceName\":\"persistent-disk-0\",\"mode\":\"READ_WRITE\"," \
	"\"interface\":\"SCSI\",\"type\":\"PERSISTENT\",\"source\":\"" GOOGLE ZONE "/disks/" name                      \
	"\",\"diskSizeGb\":\"50\",\"guestOsFeatures\":[{\"type\":\"WINDOWS\"}]" more "}"
#define VM_AS(name, status, disks, more)                                                                               \
	"{\"id\":\"1"                                                                                                  \
	"\",\"name\":\"" name "\",\"selfLink\":\"" GOOGLE ZONE "/instances/" name "\",\"status\":\"" status            \
	"\",\"machineType\":\"" GOOGLE ZONE                                                                            \
	"/machineTypes/n2-standard-2\",\"labelFingerprint\":\"fp\",\"disks\":[" disks "]" more "}"
#define WINDOWS(name, more) VM_AS(name, "RUNNING", BOOT_DISK(name, ""), more)
#define DISK_AS(name, more)                                                                                            \
	"{\"id\":\"9\",\"name\":\"" name "\",\"selfLink\":\"" GOOGLE ZONE "/disks/" name                               \
	"\",\"status\":\"READY\",\"sizeGb\":\"50\",\"type\":\"" GOOGLE ZONE                                            \
	"/diskTypes/pd-balanced\",\"labelFingerprint\":\"dfp\",\"users\":[\"" GOOGLE ZONE "/instances/" name           \
	"\"]" more "}"
#define IN_ZONE(what, items) "{\"items\":{\"zones/us-central1-a\":{\"" what "\":[" items "]}}}"
#define LOOP                                                                                                           \
	"{\"contents\":\"SeaBIOS (version 1)\\nSeaBIOS (version 1)\\nSeaBIOS (version "                                \
	"1)\\n\",\"start\":\"0\",\"next\":\"60\"}"
#define WELL "{\"contents\":\"SeaBIOS (version 1)\\n GCEGuestAgent: up\\n\",\"start\":\"0\",\"next\":\"60\"}"

/* ---------------------------------------------------------------- asking */

Test(gcp_discover, everything_is_listed_once_and_only_windows_is_looked_into)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200,
			IN_ZONE("instances",
				WINDOWS("sick",
					",\"labels\":{\"env\":\"prod\"},\"networkInterfaces\":[{\"accessConfigs\":[{"
					"\"natIP\":\"203.0.113.9\"}]}]") "," WINDOWS("well", "") "," VM_AS("off",
					"TERMINATED", BOOT_DISK("off", ""), "") "," VM_AS("penguin", "RUNNING",
					"{\"boot\":true,\"type\":\"PERSISTENT\",\"source\":\"" GOOGLE ZONE
					"/disks/penguin\",\"licenses\":[\"" GOOGLE
					"projects/ubuntu-os-cloud/global/licenses/u\"]}",
					"") "," VM_AS("rescue1", "RUNNING",
					"{\"boot\":true,\"type\":\"PERSISTENT\"},{\"type\":\"PERSISTENT\"},{\"type\":"
					"\"SCRATCH\"}",
					",\"labels\":{\"fixfleet-role\":\"rescue\"}"))},
		{"aggregated/disks", 200,
			IN_ZONE("disks", DISK_AS("sick", ",\"labels\":{\"a\":\"b\"}") "," DISK_AS(
						 "well", "") "," DISK_AS("off", ""))},
		{"sick/serialPort", 200, LOOP},
		{"well/serialPort", 200, WELL},
		{"machineTypes/n2-standard-2", 200, "{\"name\":\"n2-standard-2\",\"maximumPersistentDisks\":128}"},
		{NULL, 0, NULL},
	};
	static const char log_expected[] =
		"GET projects/p1/aggregated/instances?maxResults=500&returnPartialSuccess=true&includeAllScopes=true\n"
		"GET projects/p1/aggregated/disks?maxResults=500&returnPartialSuccess=true&includeAllScopes=true\n"
		"GET " ZONE "/instances/sick/serialPort?port=1&start=-65536\n"
		"GET " ZONE "/instances/well/serialPort?port=1&start=-65536\n"
		"GET " ZONE "/machineTypes/n2-standard-2\n"
		"GET "
		"projects/p1/aggregated/"
		"instanceGroupManagers?maxResults=500&returnPartialSuccess=true&includeAllScopes=true\n"
		"GET projects/p1/aggregated/addresses?maxResults=500&returnPartialSuccess=true&includeAllScopes=true\n";
	struct ff_cloud *cloud = kit_cloud();
	ff_auto_buf log = {0};
	const struct ff_vm *vm;
	struct ff_err err;

	discover(cloud, replies, &err, &log);
	cr_expect_str_eq(log.text, log_expected);
	cr_expect_eq(ff_gcp.notes(cloud)->count, 0);

	vm = found(cloud, "sick");
	cr_assert_not_null(vm);
	cr_expect_eq(vm->health, FF_AFFECTED, "%s", vm->reason);
	cr_expect_str_eq(vm->id, ZONE "/instances/sick");
	cr_expect_str_eq(vm->scope, "p1");
	cr_expect_str_eq(vm->region, "us-central1");
	cr_expect_str_eq(vm->zone, "us-central1-a");
	cr_expect_str_eq(vm->os, "windows");
	cr_expect_str_eq(vm->state, "running");
	cr_expect(vm->running);
	cr_expect_eq(vm->evidence.count, 1);
	cr_expect_str_eq(vm->disk_id, ZONE "/disks/sick");
	cr_expect_eq(vm->disk_bytes, INT64_C(50) << 30);
	cr_expect_str_eq(vm->disk_encryption, "platform");
	cr_expect_str_eq(ff_json_str(vm->tags, "env"), "prod");
	cr_expect(has_hazard(vm, "external-ip"), "not among the reserved addresses");
	cr_expect_str_eq(ff_json_str(vm->facts, "boot/deviceName"), "persistent-disk-0");
	cr_expect(ff_json_bool(vm->facts, "boot/autoDelete", false));
	cr_expect_str_eq(ff_json_str(vm->facts, "disk/fingerprint"), "dfp");
	cr_expect_str_eq(ff_json_str(vm->facts, "disk/labels/a"), "b");
	cr_expect_str_eq(ff_json_str(vm->facts, "disk/type"), "pd-balanced");
	cr_expect_str_eq(ff_json_str(vm->facts, "fingerprint"), "fp");

	cr_expect_eq(found(cloud, "well")->health, FF_HEALTHY);
	cr_expect_eq(found(cloud, "off")->health, FF_SUSPECT);
	cr_expect_not(found(cloud, "off")->running);
	cr_expect_eq(found(cloud, "penguin")->health, FF_SKIPPED);
	cr_expect_str_eq(found(cloud, "penguin")->os, "linux");

	vm = found(cloud, "rescue1");
	cr_expect(vm->rescue);
	cr_expect_eq(vm->health, FF_SKIPPED);
	cr_expect_eq(vm->slots_max, 127, "the limit counts the boot disk");
	cr_expect_eq(vm->slots_used[0], 1, "a data disk; a local SSD takes no slot");
	cr_expect_eq(vm->slots_used[1], 0);
	ff_gcp.close(cloud);
}

Test(gcp_discover, a_project_without_windows_costs_two_requests)
{
	struct ff_cloud *cloud = kit_cloud();
	struct ff_err err;

	cr_expect_eq(discover(cloud, (struct reply[]){{NULL, 0, NULL}}, &err, NULL), 2);
	ff_gcp.close(cloud);
}

Test(gcp_discover, zones_are_listed_one_by_one)
{
	struct ff_scope_options options = {.project = "p1"};
	struct ff_cloud *cloud;
	ff_auto_buf log = {0};
	struct ff_err err;
	static const struct reply replies[] = {
		{"us-central1-a/instances?", 200, "{\"items\":[" WINDOWS("a1", "") "]}"},
		{"us-central1-a/disks?", 200, "{\"items\":[" DISK_AS("a1", "") "]}"},
		{NULL, 0, NULL},
	};

	ff_strv_add(&options.zones, "us-central1-a");
	ff_strv_add(&options.zones, "us-central1-b");
	cloud = kit_cloud_of(&options);
	discover(cloud, replies, &err, &log);
	cr_expect_not_null(
		strstr(log.text,
			"GET projects/p1/zones/us-central1-a/instances?maxResults=500&returnPartialSuccess=true\n"
			"GET projects/p1/zones/us-central1-b/instances?maxResults=500&returnPartialSuccess=true\n"
			"GET projects/p1/zones/us-central1-a/disks?maxResults=500&returnPartialSuccess=true\n"),
		"%s", log.text);
	cr_expect_not_null(found(cloud, "a1"));
	ff_gcp.close(cloud);
	ff_strv_free(&options.zones);
}

Test(gcp_discover, many_asks_may_be_out_at_once)
{
	struct ff_cloud *cloud = kit_cloud();
	struct ff_ask a = {0}, b = {0}, c = {0};
	struct ff_answer empty = kit_answer(200, "{}");
	struct ff_err err;

	cr_expect_eq(ff_gcp.discover_next(cloud, &a, &err), FF_TURN_ASK);
	cr_expect_eq(ff_gcp.discover_next(cloud, &b, &err), FF_TURN_ASK);
	cr_expect_eq(ff_gcp.discover_next(cloud, &c, &err), FF_TURN_WAIT);
	cr_expect_eq(ff_gcp.discover_read(cloud, NOW, &b, &empty, &err), 0);
	cr_expect_eq(ff_gcp.discover_next(cloud, &c, &err), FF_TURN_WAIT);
	cr_expect_eq(ff_gcp.discover_read(cloud, NOW, &a, &empty, &err), 0);
	cr_expect_eq(ff_gcp.discover_next(cloud, &c, &err), FF_TURN_DONE);
	ff_answer_release(&empty, false);
	ff_ask_release(&a);
	ff_ask_release(&b);
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- pages */

Test(gcp_discover, pages_are_followed_even_empty_ones)
{
	static const struct reply replies[] = {
		{"instances?maxResults=500&returnPartialSuccess=true&includeAllScopes=true&pageToken=b%2B%2F%3D", 200,
			IN_ZONE("instances", WINDOWS("last", ""))},
		{"instances?maxResults=500&returnPartialSuccess=true&includeAllScopes=true&pageToken=a", 200,
			"{\"nextPageToken\":\"b+/=\"}"},
		{"aggregated/instances", 200,
			"{\"items\":{\"zones/"
			"x-a\":{\"warning\":{\"code\":\"NO_RESULTS_ON_PAGE\",\"message\":\"none\"}}},"
			"\"nextPageToken\":\"a\"}"},
		{"aggregated/disks", 200, IN_ZONE("disks", DISK_AS("last", ""))},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	struct ff_err err;

	discover(cloud, replies, &err, NULL);
	cr_expect_not_null(found(cloud, "last"));
	cr_expect_eq(ff_gcp.notes(cloud)->count, 0, "an empty zone is worth no note");
	ff_gcp.close(cloud);
}

Test(gcp_discover, a_page_that_names_itself_ends_with_an_error)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200, "{\"nextPageToken\":\"again\"}"},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	struct ff_err err;

	discover(cloud, replies, &err, NULL);
	cr_expect_eq(err.class, FF_E_BUG);
	cr_expect_not_null(strstr(err.text, "does not end"), "%s", err.text);
	ff_gcp.close(cloud);
}

Test(gcp_discover, what_could_not_be_reached_is_said)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200,
			"{\"items\":{\"zones/us-east1-b\":{\"warning\":{\"code\":\"UNREACHABLE\",\"message\":\"zone "
			"down\"}}},"
			"\"unreachables\":[\"projects/p1/zones/"
			"us-west1-a\",5],\"warning\":{\"code\":\"PARTIAL_SUCCESS\"}}"},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	struct ff_err err;

	discover(cloud, replies, &err, NULL);
	cr_expect(noted(cloud, "us-west1-a could not be reached"));
	cr_expect(noted(cloud, "zones/us-east1-b may be incomplete: UNREACHABLE: zone down"));
	cr_expect(noted(cloud, "PARTIAL_SUCCESS"));
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- refusals */

Test(gcp_discover, without_instances_there_is_nothing)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 403,
			HTTP_ERROR("403", "forbidden", "Required 'compute.instances.list' permission")},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	struct ff_err err;

	discover(cloud, replies, &err, NULL);
	cr_expect_eq(err.class, FF_E_DENIED);
	cr_expect_not_null(strstr(err.text, "compute.instances.list"), "%s", err.text);
	ff_gcp.close(cloud);
}

/* simulation, seed 200718: a disk that was away could not be read, and "no disk bears its labels" was said */
Test(gcp_discover, without_disks_no_lost_run_is_brought_home)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200, IN_ZONE("instances", WINDOWS("v", ""))},
		{"aggregated/disks", 403, HTTP_ERROR("403", "forbidden", "no")},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud_of(&(struct ff_scope_options){.project = "p1", .claims = true});
	struct ff_err err;

	discover(cloud, replies, &err, NULL);
	cr_expect_eq(err.class, FF_E_DENIED);
	cr_expect(ff_has_prefix(err.text, "disks: "), "%s", err.text);
	ff_gcp.close(cloud);
}

Test(gcp_discover, without_the_lists_of_disks_groups_and_addresses_it_goes_on)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200,
			IN_ZONE("instances",
				WINDOWS("v",
					",\"networkInterfaces\":[{\"accessConfigs\":[{\"natIP\":\"203.0.113.9\"}]}]"))},
		{"aggregated/disks", 403, HTTP_ERROR("403", "forbidden", "no")},
		{"aggregated/instanceGroupManagers", 403, HTTP_ERROR("403", "forbidden", "no")},
		{"aggregated/addresses", 403, HTTP_ERROR("403", "forbidden", "no")},
		{"disks/v", 200, DISK_AS("v", "")},
		{"serialPort", 403, HTTP_ERROR("403", "forbidden", "no")},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	const struct ff_vm *vm;
	struct ff_err err;

	discover(cloud, replies, &err, NULL);
	cr_expect(noted(cloud, "disks cannot be read"));
	cr_expect(noted(cloud, "managed instance groups cannot be read"));
	cr_expect(noted(cloud, "addresses cannot be read"));
	cr_expect(noted(cloud, "serial output cannot be read: permission is missing"));
	vm = found(cloud, "v");
	cr_expect_eq(vm->health, FF_SUSPECT, "its disk was asked for by itself");
	cr_expect_not(has_hazard(vm, "external-ip"), "nobody knows");
	ff_gcp.close(cloud);
}

Test(gcp_discover, hostile_answers_do_no_harm)
{
	static const char *const bodies[] = {
		"{\"items\":[5,null,{},{\"name\":5},[]]}",
		"{\"items\":{\"zones/a\":5,\"b\":{\"instances\":{}},\"c\":{\"instances\":[{\"selfLink\":\"projects/p/"
		"zones/z/instances/../x\",\"name\":\"x\"}]}}}",
		"{\"items\":{\"c\":{\"instances\":[{\"selfLink\":\"projects/p/zones/z-a/instances/"
		"x\",\"name\":\"y\"}]}}}",
		"{\"items\":{\"c\":{\"instances\":[{\"selfLink\":\"projects/p/zones/z-a/instances/x\",\"name\":\"x\","
		"\"disks\":[5,{\"boot\":true,\"source\":5,\"diskSizeGb\":\"99999999999999999999\",\"guestOsFeatures\":"
		"5,"
		"\"licenses\":[5]}],\"labels\":{\"a\":5},\"status\":5,\"metadata\":{\"items\":[5]},"
		"\"networkInterfaces\":5}]}}}",
		"{\"items\":5,\"nextPageToken\":5,\"unreachables\":5,\"warning\":5}",
	};

	for (size_t i = 0; i < FF_COUNT(bodies); i++) {
		struct ff_cloud *cloud = kit_cloud();
		struct reply replies[] = {{"aggregated/", 200, bodies[i]}, {NULL, 0, NULL}};
		struct ff_vm **vms;
		struct ff_err err;

		discover(cloud, replies, &err, NULL);
		for (size_t n = 0; n < ff_gcp.vms(cloud, &vms); n++)
			cr_expect_eq(vms[n]->health, FF_SKIPPED);
		ff_gcp.close(cloud);
	}
	static const char *const broken[] = {"", "[]", "{", "<html>", "{\"a\":1,\"a\":2}"};

	for (size_t i = 0; i < FF_COUNT(broken); i++) {
		struct ff_cloud *cloud = kit_cloud();
		struct reply replies[] = {{"aggregated/", 200, broken[i]}, {NULL, 0, NULL}};
		struct ff_err err;

		discover(cloud, replies, &err, NULL);
		cr_expect_eq(err.class, FF_E_BUG, "%s", broken[i]);
		ff_gcp.close(cloud);
	}
}

/* ---------------------------------------------------------------- hazards */

static const struct {
	const char *what, *instance, *disk, *hazard;
	bool decisive;
} hazards[] = {
	{"spot", WINDOWS("v", ",\"scheduling\":{\"provisioningModel\":\"SPOT\"}"), DISK_AS("v", ""), "spot", true},
	{"preemptible", WINDOWS("v", ",\"scheduling\":{\"preemptible\":true}"), DISK_AS("v", ""), "spot", true},
	{"flex start", WINDOWS("v", ",\"scheduling\":{\"provisioningModel\":\"FLEX_START\"}"), DISK_AS("v", ""), "spot",
		true},
	{"deleted at its end", WINDOWS("v", ",\"scheduling\":{\"instanceTerminationAction\":\"DELETE\"}"),
		DISK_AS("v", ""), "deleted-on-stop", true},
	{"max run duration", WINDOWS("v", ",\"scheduling\":{\"maxRunDuration\":{\"seconds\":\"60\"}}"),
		DISK_AS("v", ""), "max-run-duration", true},
	{"suspended", VM_AS("v", "SUSPENDED", BOOT_DISK("v", ""), ""), DISK_AS("v", ""), "suspended", true},
	{"changing", VM_AS("v", "STOPPING", BOOT_DISK("v", ""), ""), DISK_AS("v", ""), "changing", true},
	{"start restricted", WINDOWS("v", ",\"startRestricted\":true"), DISK_AS("v", ""), "start-restricted", true},
	{"key revocation", WINDOWS("v", ",\"keyRevocationActionType\":\"STOP\""), DISK_AS("v", ""), "key-revocation",
		true},
	{"local SSD", VM_AS("v", "RUNNING", BOOT_DISK("v", "") ",{\"type\":\"SCRATCH\"}", ""), DISK_AS("v", ""),
		"local-ssd", true},
	{"csek", VM_AS("v", "RUNNING", BOOT_DISK("v", ",\"diskEncryptionKey\":{\"sha256\":\"" KEY_SHA256 "\"}"), ""),
		DISK_AS("v", ""), "csek", true},
	{"csek of a data disk",
		VM_AS("v", "RUNNING",
			BOOT_DISK("v", "") ",{\"type\":\"PERSISTENT\",\"source\":\"" GOOGLE ZONE
					   "/disks/data\",\"diskEncryptionKey\":{\"sha256\":\"x\"}}",
			""),
		DISK_AS("v", ""), "csek", true},
	{"cmek",
		VM_AS("v", "RUNNING", BOOT_DISK("v", ",\"diskEncryptionKey\":{\"kmsKeyName\":\"k\",\"sha256\":\"x\"}"),
			""),
		DISK_AS("v", ""), "cmek", false},
	{"regional disk",
		VM_AS("v", "RUNNING",
			"{\"boot\":true,\"deviceName\":\"d\",\"source\":\"" GOOGLE
			"projects/p1/regions/us-central1/disks/v\",\"guestOsFeatures\":[{\"type\":\"WINDOWS\"}]}",
			""),
		DISK_AS("v", ""), "regional-disk", true},
	{"shared disk", WINDOWS("v", ""), DISK_AS("v", ",\"accessMode\":\"READ_WRITE_MANY\""), "shared-disk", true},
	{"busy disk", WINDOWS("v", ""), "{\"selfLink\":\"" GOOGLE ZONE "/disks/v\",\"status\":\"RESTORING\"}",
		"busy-disk", true},
	{"confidential disk", WINDOWS("v", ""), DISK_AS("v", ",\"enableConfidentialCompute\":true"),
		"confidential-disk", true},
	{"snapshot schedule", WINDOWS("v", ""), DISK_AS("v", ",\"resourcePolicies\":[\"x\"]"), "snapshot-schedule",
		false},
	{"deletion protection", WINDOWS("v", ",\"deletionProtection\":true"), DISK_AS("v", ""), "deletion-protection",
		false},
	{"resource policies", WINDOWS("v", ",\"resourcePolicies\":[\"x\"]"), DISK_AS("v", ""), "resource-policies",
		false},
	{"claimed", WINDOWS("v", ",\"labels\":{\"fixfleet-run\":\"r0\"}"), DISK_AS("v", ""), "claimed", false},
	{"created by a group",
		WINDOWS("v", ",\"metadata\":{\"items\":[{\"key\":\"created-by\",\"value\":\"projects/1/zones/z/"
			     "instanceGroupManagers/web\"}]}"),
		DISK_AS("v", ""), "instance-group", true},
	{"no device name",
		VM_AS("v", "RUNNING",
			"{\"boot\":true,\"source\":\"" GOOGLE ZONE
			"/disks/v\",\"guestOsFeatures\":[{\"type\":\"WINDOWS\"}]}",
			""),
		DISK_AS("v", ""), "unknown-disk", true},
	{"unreadable disk", WINDOWS("v", ""), "{}", "unknown-disk", true},
};

Test(gcp_hazards, each_is_named_and_the_decisive_ones_skip)
{
	for (size_t i = 0; i < FF_COUNT(hazards); i++) {
		struct ff_cloud *cloud = kit_cloud();
		ff_auto_free char *instances = ff_printf(IN_ZONE("instances", "%s"), hazards[i].instance);
		ff_auto_free char *disks = ff_printf(IN_ZONE("disks", "%s"), hazards[i].disk);
		struct reply replies[] = {{"aggregated/instances", 200, instances}, {"aggregated/disks", 200, disks},
			{"serialPort", 200, LOOP}, {"disks/v", 404, HTTP_ERROR("404", "notFound", "no")},
			{NULL, 0, NULL}};
		const struct ff_vm *vm;
		struct ff_err err;

		discover(cloud, replies, &err, NULL);
		vm = found(cloud, "v");
		cr_assert_not_null(vm);
		cr_expect(has_hazard(vm, hazards[i].hazard), "%s: %s", hazards[i].what,
			vm->hazards.count ? vm->hazards.items[0] : "none");
		cr_expect_eq(vm->health, hazards[i].decisive ? FF_SKIPPED : FF_AFFECTED, "%s: %s", hazards[i].what,
			vm->reason);
		cr_expect_neq(vm->reason[0], '\0');
		ff_gcp.close(cloud);
	}
}

Test(gcp_hazards, a_vm_without_any_has_none)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200, IN_ZONE("instances", WINDOWS("v", ""))},
		{"aggregated/disks", 200, IN_ZONE("disks", DISK_AS("v", ""))},
		{"serialPort", 200, LOOP},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	struct ff_err err;

	discover(cloud, replies, &err, NULL);
	cr_expect_eq(found(cloud, "v")->hazards.count, 0);
	cr_expect_eq(found(cloud, "v")->health, FF_AFFECTED);
	ff_gcp.close(cloud);
}

Test(gcp_hazards, members_of_groups_are_found_by_the_groups_lists)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200, IN_ZONE("instances", WINDOWS("member", "") "," WINDOWS("free", ""))},
		{"aggregated/disks", 200, IN_ZONE("disks", DISK_AS("member", "") "," DISK_AS("free", ""))},
		{"aggregated/instanceGroupManagers", 200,
			"{\"items\":{\"regions/"
			"us-central1\":{\"instanceGroupManagers\":[{\"name\":\"web\",\"selfLink\":\"" GOOGLE
			"projects/p1/regions/us-central1/instanceGroupManagers/web\"},{\"selfLink\":\"projects/p1/"
			"x\"}]}}}"},
		{"listManagedInstances?maxResults=500&pageToken=2", 200,
			"{\"managedInstances\":[{\"instance\":\"" GOOGLE ZONE "/instances/member\"}]}"},
		{"listManagedInstances", 200, "{\"managedInstances\":[{\"instance\":5}],\"nextPageToken\":\"2\"}"},
		{"serialPort", 200, LOOP},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud = kit_cloud();
	ff_auto_buf log = {0};
	struct ff_err err;

	discover(cloud, replies, &err, &log);
	cr_expect_not_null(strstr(log.text, "POST projects/p1/regions/us-central1/instanceGroupManagers/web/"
					    "listManagedInstances?maxResults=500\n"),
		"%s", log.text);
	cr_expect(has_hazard(found(cloud, "member"), "instance-group"));
	cr_expect_eq(found(cloud, "member")->health, FF_SKIPPED);
	cr_expect_eq(found(cloud, "free")->health, FF_AFFECTED);
	ff_gcp.close(cloud);
}

Test(gcp_hazards, what_the_operator_gives_up_is_no_reason_to_skip)
{
	static const char keys[] = "[{\"uri\":\"" GOOGLE ZONE "/disks/v\",\"key\":\"" KEY "\",\"key-type\":\"raw\"}]";
	static const char wrong[] =
		"[{\"uri\":\"" GOOGLE ZONE
		"/disks/v\",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"key-type\":\"raw\"}]";
	struct ff_scope_options options = {.project = "p1", .discard_local_ssd = true, .csek_file = "/keys.json"};

	for (int right = 0; right < 2; right++) {
		struct reply replies[] = {
			{"/keys.json", 0, right ? keys : wrong},
			{"aggregated/instances", 200,
				IN_ZONE("instances",
					VM_AS("v", "RUNNING",
						BOOT_DISK("v", ",\"diskEncryptionKey\":{\"sha256\":\"" KEY_SHA256
							       "\"}") ",{\"type\":\"SCRATCH\"}",
						""))},
			{"aggregated/disks", 200, IN_ZONE("disks", DISK_AS("v", ""))},
			{"serialPort", 200, LOOP},
			{NULL, 0, NULL},
		};
		struct ff_cloud *cloud = kit_cloud_of(&options);
		const struct ff_vm *vm;
		struct ff_err err;

		discover(cloud, replies, &err, NULL);
		vm = found(cloud, "v");
		cr_expect(has_hazard(vm, "local-ssd"), "still said");
		cr_expect_eq(has_hazard(vm, "csek"), !right);
		cr_expect_eq(vm->health, right ? FF_AFFECTED : FF_SKIPPED, "%s", vm->reason);
		cr_expect_str_eq(vm->disk_encryption, "csek");
		cr_expect(ff_json_bool(vm->facts, "local_ssd", false));
		cr_expect_str_eq(ff_json_str(vm->facts, "csek/0"), GOOGLE ZONE "/disks/v");
		ff_auto_free char *facts = ff_json_text(vm->facts);
		cr_expect_null(strstr(facts, KEY), "keys never come into facts");
		ff_gcp.close(cloud);
	}
}

Test(gcp_hazards, a_key_file_that_cannot_be_read_ends_discovery)
{
	struct ff_scope_options options = {.project = "p1", .csek_file = "/keys.json"};
	struct ff_cloud *cloud = kit_cloud_of(&options);
	struct ff_err err;

	discover(cloud, (struct reply[]){{"/keys.json", 0, "nonsense"}, {NULL, 0, NULL}}, &err, NULL);
	cr_expect_eq(err.class, FF_E_USAGE);
	cr_expect_not_null(strstr(err.text, "--csek-key-file '/keys.json'"), "%s", err.text);
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- rescue VMs */

Test(gcp_rescue, one_may_be_named_in_any_way)
{
	static const char *const names[] = {"named", ZONE "/instances/named", GOOGLE ZONE "/instances/named", "1"};
	static const struct reply replies[] = {
		{"aggregated/instances", 200, IN_ZONE("instances", VM_AS("named", "RUNNING", "", ""))},
		{NULL, 0, NULL},
	};

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		struct ff_scope_options options = {.project = "p1"};
		struct ff_cloud *cloud;
		struct ff_err err;

		ff_strv_add(&options.rescues, names[i]);
		cloud = kit_cloud_of(&options);
		discover(cloud, replies, &err, NULL);
		cr_expect(found(cloud, "named")->rescue, "%s", names[i]);
		cr_expect_eq(found(cloud, "named")->slots_max, 15, "its machine type is not known");
		cr_expect_not(noted(cloud, "is not in"), "%s", names[i]);
		ff_gcp.close(cloud);
		ff_strv_free(&options.rescues);
	}
}

Test(gcp_rescue, where_one_is_named_labels_do_not_count)
{
	static const struct reply replies[] = {
		{"aggregated/instances", 200,
			IN_ZONE("instances", VM_AS("named", "RUNNING", "", "") "," VM_AS("labelled", "RUNNING", "",
						     ",\"labels\":{\"fixfleet-role\":\"rescue\"}"))},
		{NULL, 0, NULL},
	};
	struct ff_scope_options options = {.project = "p1"};
	struct ff_cloud *cloud;
	struct ff_err err;

	ff_strv_add(&options.rescues, "named");
	cloud = kit_cloud_of(&options);
	discover(cloud, replies, &err, NULL);
	cr_expect(found(cloud, "named")->rescue);
	cr_expect_not(found(cloud, "labelled")->rescue);
	ff_gcp.close(cloud);
	ff_strv_free(&options.rescues);
}

Test(gcp_rescue, one_that_is_off_is_said_to_be)
{
	struct ff_scope_options options = {.project = "p1"};
	static const struct reply replies[] = {
		{"aggregated/instances", 200, IN_ZONE("instances", VM_AS("named", "TERMINATED", "", ""))},
		{NULL, 0, NULL},
	};
	struct ff_cloud *cloud;
	struct ff_err err;

	ff_strv_add(&options.rescues, "named");
	cloud = kit_cloud_of(&options);
	discover(cloud, replies, &err, NULL);
	cr_expect_not(found(cloud, "named")->rescue);
	cr_expect(noted(cloud, "the rescue VM 'named' is terminated"));
	ff_gcp.close(cloud);
	ff_strv_free(&options.rescues);
}

Test(gcp_rescue, it_fits_in_its_zone_and_for_its_kinds_of_disk)
{
	static const struct {
		const char *zone, *scope, *machine, *type;
		bool fits;
	} pairs[] = {
		{"us-central1-a", "p1", "n2-standard-4", "pd-balanced", true},
		{"us-central1-b", "p1", "n2-standard-4", "pd-balanced", false},
		{"us-central1-a", "p2", "n2-standard-4", "pd-balanced", false},
		{"us-central1-a", "p1", "n4-standard-4", "pd-balanced", false},
		{"us-central1-a", "p1", "n4-standard-4", "hyperdisk-balanced", true},
		{"us-central1-a", "p1", "c3-standard-4", "hyperdisk-balanced", true},
		{"us-central1-a", "p1", "f1-micro", "hyperdisk-balanced", false},
		{"us-central1-a", "p1", "n4-standard-4", "", true},
	};

	for (size_t i = 0; i < FF_COUNT(pairs); i++) {
		struct kit_vm k;
		struct ff_err err = {0};

		kit_vm(&k);
		k.rescue.zone = (char *)pairs[i].zone;
		k.rescue.scope = (char *)pairs[i].scope;
		ff_json_set_str(k.rescue_facts, "machine", pairs[i].machine);
		ff_json_set_str(json_object_get(k.facts, "disk"), "type", pairs[i].type);
		cr_expect_eq(ff_gcp.fits(&k.vm, &k.rescue, &err) == 0, pairs[i].fits, "%zu: %s", i, err.text);
		kit_vm_free(&k);
	}
}

/* ---------------------------------------------------------------- recorded answers, which only some machines have */

Test(gcp_discover, recorded_lists_are_read)
{
	static const struct {
		const char *file, *name, *zone, *state, *os;
	} recordings[] = {
		{"instance-detach-disks/get-compute-v1-projects-cloud-custodian-aggregated-instances_1", "test-ingwar",
			"us-central1-a", NULL, NULL},
		{"instance-query/get-compute-v1-projects-cloud-custodian-aggregated-instances_1", NULL, NULL, NULL,
			NULL},
		{"instance-stop/get-compute-v1-projects-cloud-custodian-aggregated-instances_1", "instance-1",
			"us-central1-c", NULL, "linux"},
	};

	for (size_t i = 0; i < FF_COUNT(recordings); i++) {
		ff_auto_free char *path = ff_printf("recorded/gcp/flights/%s.json", recordings[i].file), *body = NULL;
		ff_auto_json json_t *recorded = kit_shared(path);
		struct ff_cloud *cloud;
		struct ff_vm **vms;
		struct ff_err err;

		if (recorded == NULL)
			cr_skip_test("no ../shared/recorded/gcp");
		body = ff_json_text(json_object_get(recorded, "body"));
		cloud = kit_cloud();
		discover(cloud, (struct reply[]){{"aggregated/instances", 200, body}, {NULL, 0, NULL}}, &err, NULL);
		cr_expect_gt(ff_gcp.vms(cloud, &vms), 0, "%s", recordings[i].file);
		for (size_t n = 0; n < ff_gcp.vms(cloud, &vms); n++) {
			cr_expect(gcp_is_name(vms[n]->name));
			for (const char *p = vms[n]->state; *p != '\0'; p++)
				cr_expect(islower((unsigned char)*p));
			cr_expect_neq(vms[n]->disk_id[0], '\0', "%s", vms[n]->name);
			cr_expect_not_null(ff_json_str(vms[n]->facts, "boot/deviceName"));
		}
		if (recordings[i].name != NULL) {
			const struct ff_vm *vm = found(cloud, recordings[i].name);

			cr_assert_not_null(vm, "%s", recordings[i].name);
			cr_expect_str_eq(vm->zone, recordings[i].zone);
			if (recordings[i].os != NULL)
				cr_expect_str_eq(vm->os, recordings[i].os);
		}
		ff_gcp.close(cloud);
	}
}

/* ---------------------------------------------------------------- permissions */

Test(gcp_discover, before_a_repair_permissions_are_asked_for)
{
#define OF_VM                                                                                                          \
	"\"compute.instances.setLabels\",\"compute.instances.stop\",\"compute.instances.start\","                      \
	"\"compute.instances.detachDisk\",\"compute.instances.getSerialPortOutput\""
	struct reply replies[] = {
		{"aggregated/instances", 200,
			IN_ZONE("instances", WINDOWS("sick", "") "," VM_AS("rescue1", "RUNNING",
						     "{\"boot\":true,\"type\":\"PERSISTENT\"}",
						     ",\"labels\":{\"fixfleet-role\":\"rescue\"}"))},
		{"aggregated/disks", 200, IN_ZONE("disks", DISK_AS("sick", ""))},
		{"sick/serialPort", 200, LOOP},
		{"instances/sick/testIamPermissions", 200,
			"{\"permissions\":[" OF_VM ",\"compute.instances.attachDisk\"]}"},
		{"disks/sick/testIamPermissions", 200,
			"{\"permissions\":[\"compute.disks.setLabels\",\"compute.disks.use\"]}"},
		{NULL, 0, NULL},
	};
	static const struct {
		bool preflight, no_backup, no_attach;
		const char *missing; /* NULL: nothing */
	} cases[] = {{false, false, true, NULL}, {true, false, false, "compute.disks.createSnapshot"},
		{true, true, false, NULL}, {true, true, true, "compute.instances.attachDisk"}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_cloud *cloud = kit_cloud_of(&(struct ff_scope_options){
			.project = "p1", .preflight = cases[i].preflight, .no_backup = cases[i].no_backup});
		ff_auto_buf log = {0};
		struct ff_err err;

		replies[3].body = cases[i].no_attach ? "{\"permissions\":[" OF_VM "]}"
						     : "{\"permissions\":[" OF_VM ",\"compute.instances.attachDisk\"]}";
		discover(cloud, replies, &err, &log);
		cr_expect_eq(strstr(log.text, "POST " ZONE "/instances/sick/testIamPermissions") != NULL,
			cases[i].preflight, "%zu", i);
		cr_expect_eq(found(cloud, "sick")->health, cases[i].missing ? FF_SKIPPED : FF_AFFECTED, "%zu", i);
		if (cases[i].missing != NULL)
			cr_expect(strstr(found(cloud, "sick")->reason, cases[i].missing) != NULL, "%s",
				found(cloud, "sick")->reason);
		ff_gcp.close(cloud);
	}
}

/* ---------------------------------------------------------------- evidence */

Test(gcp_discover, serial_port_and_screen_are_asked_for_and_read)
{
	struct ff_cloud *cloud = kit_cloud();
	ff_auto_json json_t *facts = json_pack("{s:s, s:b}", "vm", VM_PATH, "display", 1);
	ff_auto_json json_t *state = json_object(), *blind = json_pack("{s:s}", "vm", VM_PATH);
	struct ff_vm vm = {.running = true, .facts = facts}, off = {.facts = facts};
	struct ff_answer answer;
	struct ff_exhibit out = {0};
	struct ff_err err;
	struct ff_ask ask = {0};

	cr_assert_eq(gcp_evidence_ask(cloud, &vm, 0, state, &ask), FF_EVIDENCE_SIGNED);
	cr_expect_str_eq(ask.url, BASE VM_PATH "/serialPort?port=1&start=-65536");
	ff_ask_release(&ask);
	cr_assert_eq(gcp_evidence_ask(cloud, &vm, 1, state, &ask), FF_EVIDENCE_SIGNED);
	cr_expect_str_eq(ask.url, BASE VM_PATH "/screenshot");
	ff_ask_release(&ask);
	cr_expect_eq(gcp_evidence_ask(cloud, &vm, 2, state, &ask), FF_EVIDENCE_NONE);
	cr_expect_eq(gcp_evidence_ask(cloud, &off, 0, state, &ask), FF_EVIDENCE_NONE);
	vm.facts = blind;
	cr_expect_eq(gcp_evidence_ask(cloud, &vm, 1, state, &ask), FF_EVIDENCE_NONE, "no display device");

	answer = kit_answer(200, "{\"contents\":\"BdsDxe\\r\\n\",\"next\":\"8\"}");
	cr_assert_eq(gcp_evidence_read(&answer, 0, state, &out, &err), 0);
	cr_expect_str_eq(out.name, "serial.txt");
	cr_expect_str_eq(out.bytes, "BdsDxe\r\n");
	ff_exhibit_release(&out);
	ff_answer_release(&answer, true);
	answer = kit_answer(200, "{\"contents\":\"iVBORw==\"}");
	cr_assert_eq(gcp_evidence_read(&answer, 1, state, &out, &err), 0);
	cr_expect_str_eq(out.name, "screen.png");
	cr_expect(out.len == 4 && memcmp(out.bytes, "\x89PNG", 4) == 0);
	ff_exhibit_release(&out);
	ff_answer_release(&answer, true);
	answer = kit_answer(200, "{\"contents\":7}");
	cr_expect_eq(gcp_evidence_read(&answer, 1, state, &out, &err), 0);
	cr_expect_null(out.name);
	ff_answer_release(&answer, true);
	answer = kit_answer(200, "{\"contents\":\"!\"}");
	cr_expect_eq(gcp_evidence_read(&answer, 1, state, &out, &err), -1);
	ff_answer_release(&answer, true);
	ff_gcp.close(cloud);
}
