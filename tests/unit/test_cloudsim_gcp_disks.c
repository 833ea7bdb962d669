/* Disks of GCP: attach, detach, keys, labels, snapshots; each refusal in its words. */
#include "test_cloudsim_gcp.h"

/* base64 of 32 bytes "0123456789abcdef0123456789abcdef" and of their SHA-256; another key; one that is too short */
#define KEY	  "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
#define OTHER	  "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWc="
#define SHORT	  "MDEyMw=="
#define RAW(k)	  "{\"rawKey\":\"" k "\"}"
#define SRC(d)	  "\"source\":\"" ZONE_ID "/disks/" d "\""
#define ATTACH(d) "{" SRC(d) "}"

static char *key_hash(void)
{
	char hex[65];
	unsigned char bytes[32];

	ff_sha256_hex("0123456789abcdef0123456789abcdef", 32, hex);
	for (int i = 0; i < 32; i++)
		bytes[i] = (unsigned char)strtol((char[]){hex[2 * i], hex[2 * i + 1], '\0'}, NULL, 16);
	return ff_base64(bytes, 32);
}

static struct kit open_fleet(const char *more)
{
	ff_auto_free char *hash = key_hash();
	ff_auto_free char *scene = ff_printf(
		"{'gcp':{" GUSER
		",%s'vms':[{'name':'vm1','labels':{'fixfleet-run':'r1','env':'prod'},'boot':{'bad':true}},"
		"{'name':'vm2','power':'stopped','labels':{'fixfleet-run':'r1'}},"
		"{'name':'secret','power':'stopped','labels':{'fixfleet-run':'r1'},'boot':{'csek_sha256':'%s'}},"
		"{'name':'small','machine_type':'e2-micro','max_disks':2,'rescue':true,'os':'Linux'},"
		"{'name':'modern','machine_type':'n4-standard-4','rescue':true,'os':'Linux'},"
		"{'name':'rescue1','rescue':true,'os':'Linux'},{'name':'ssd','local_ssd':1,'labels':{'fixfleet-run':'"
		"r1'}}],"
		"'disks':[{'name':'a'},{'name':'b'},{'name':'far','zone':'us-central1-b'},{'name':'new','status':'"
		"CREATING'},"
		"{'name':'wide','regional':true},{'name':'many','multi_writer':true}],"
		"'snapshots':[{'name':'theirs','disk':'a'}]}}",
		more, hash);

	return gk_open(scene);
}

/* In both manners of the cloud: at once as an HTTP error, or as the end of the operation. */
static void refused_both_ways(
	const char *target, const char *body, int status, const char *reason, const char *code, const char *words)
{
	struct kit k = open_fleet("");

	gk_refuse(&k, "POST", target, body, status, reason, words);
	kit_close(&k);
	k = open_fleet("'refusals':'operation',");
	cr_assert_str_eq(gk_do(&k, target, body), code, "%s", target);
	cr_assert_not_null(strstr(ff_json_str(k.body, "error/errors/0/message"), words), "%s", k.a.body);
	cr_assert_eq(ff_json_int(k.body, "httpErrorStatusCode", 0), status);
	cr_assert_not_null(ff_json_str(k.body, "httpErrorMessage"));
	kit_close(&k);
}

Test(cloudsim_gcp_disks, states_are_refused_at_once_or_by_the_operation)
{
	static const struct {
		const char *target, *body;
		int status;
		const char *reason, *code, *words;
	} cases[] = {
		{GVM("vm1") "/detachDisk?deviceName=persistent-disk-0", NULL, 400, "invalidResourceUsage",
			"INVALID_RESOURCE_USAGE", "To detach the boot disk, the instance must be in TERMINATED state"},
		{GVM("vm1") "/detachDisk?deviceName=nothing", NULL, 400, "invalid", "INVALID",
			"No attached disk found with device name 'nothing'"},
		{GVM("ssd") "/detachDisk?deviceName=local-ssd-0", NULL, 400, "invalidResourceUsage",
			"INVALID_RESOURCE_USAGE", "local SSD"},
		{GVM("vm1") "/setDiskAutoDelete?autoDelete=true&deviceName=nothing", NULL, 400, "invalid", "INVALID",
			"No attached disk found"},
		{GVM("rescue1") "/attachDisk", ATTACH("vm1"), 400, "resourceInUseByAnotherResource",
			"RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
			"The disk resource '" ZONE_ID "/disks/vm1' is already being used by '" ZONE_ID
			"/instances/vm1'"},
		{GVM("rescue1") "/attachDisk", "{\"source\":\"projects/p1/zones/us-central1-b/disks/far\"}", 400,
			"invalid", "INVALID", "same zone"},
		{GVM("rescue1") "/attachDisk", ATTACH("new"), 400, "resourceNotReady", "RESOURCE_NOT_READY",
			"is not ready"},
		{GVM("rescue1") "/attachDisk?forceAttach=true", ATTACH("a"), 400, "invalid", "INVALID", "Force attach"},
		{GVM("modern") "/attachDisk", ATTACH("a"), 400, "badRequest", "BAD_REQUEST", "[pd-balanced]"},
		{GVM("rescue1") "/attachDisk", "{" SRC("a") ",\"deviceName\":\"persistent-disk-0\"}", 400, "invalid",
			"INVALID", "already in use on the instance"},
		{GVM("rescue1") "/attachDisk", "{" SRC("a") ",\"boot\":true}", 400, "invalidResourceUsage",
			"INVALID_RESOURCE_USAGE", "must be in TERMINATED state"},
		{GVM("vm2") "/attachDisk", "{" SRC("a") ",\"boot\":true}", 400, "invalidResourceUsage",
			"INVALID_RESOURCE_USAGE", "already has a boot disk"},
		{GVM("rescue1") "/attachDisk", "{" SRC("a") ",\"diskEncryptionKey\":" RAW(KEY) "}", 400,
			"resourceIsNotEncryptedWithCustomerEncryptionKey",
			"RESOURCE_IS_NOT_ENCRYPTED_WITH_CUSTOMER_ENCRYPTION_KEY", "is not protected"},
		{GDISK("new") "/createSnapshot", "{\"name\":\"s1\"}", 400, "resourceNotReady", "RESOURCE_NOT_READY",
			"is not ready"},
		{GDISK("secret") "/createSnapshot", "{\"name\":\"s1\"}", 400,
			"resourceIsEncryptedWithCustomerEncryptionKey",
			"RESOURCE_IS_ENCRYPTED_WITH_CUSTOMER_ENCRYPTION_KEY", "none was provided"},
		{GVM("vm1") "/setLabels", "{\"labels\":{},\"labelFingerprint\":\"AAAA\"}", 412, "conditionNotMet",
			"CONDITION_NOT_MET", "Labels fingerprint either invalid or resource labels have changed"},
		{GVM("vm1") "/setLabels", "{\"labels\":{}}", 412, "conditionNotMet", "CONDITION_NOT_MET",
			"fingerprint"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		refused_both_ways(cases[i].target, cases[i].body, cases[i].status, cases[i].reason, cases[i].code,
			cases[i].words);
}

Test(cloudsim_gcp_disks, bodies_are_read_strictly)
{
	static const struct {
		const char *target, *body;
		int status;
		const char *reason, *words;
	} cases[] = {
		{GVM("rescue1") "/attachDisk", "{\"sorce\":\"x\"}", 400, "invalid",
			"Unknown name \"sorce\" at 'resource'"},
		{GVM("rescue1") "/attachDisk", "{}", 400, "required", "'resource.source' not specified"},
		{GVM("rescue1") "/attachDisk", NULL, 400, "required", "'resource.source' not specified"},
		{GVM("rescue1") "/attachDisk", "[1]", 400, "parseError", "Root element must be a message"},
		{GVM("rescue1") "/attachDisk", "{\"a\":1,\"a\":2", 400, "parseError", "Invalid JSON payload"},
		{GVM("rescue1") "/attachDisk", ATTACH("nobody"), 404, "notFound",
			"'" ZONE_ID "/disks/nobody' was not found"},
		{GVM("rescue1") "/attachDisk", "{\"source\":\"projects/p2/zones/us-central1-a/disks/a\"}", 404,
			"notFound", "p2"},
		{GVM("rescue1") "/attachDisk", "{\"source\":\"a\"}", 404, "notFound", "'a'"},
		{GVM("rescue1") "/attachDisk", "{" SRC("a") ",\"mode\":\"WRITE\"}", 400, "invalid",
			"'resource.mode': 'WRITE'"},
		{GVM("rescue1") "/attachDisk", "{" SRC("a") ",\"interface\":\"IDE\"}", 400, "invalid", "interface"},
		{GVM("rescue1") "/attachDisk", "{" SRC("a") ",\"type\":\"SCRATCH\"}", 400, "invalid",
			"'resource.type'"},
		{GVM("rescue1") "/attachDisk", "{" SRC("a") ",\"deviceName\":\"/dev/sdb\"}", 400, "invalid",
			"Must be a match of regex"},
		{GVM("rescue1") "/attachDisk",
			"{" SRC("a") ",\"deviceName\":"
				     "\"a23456789012345678901234567890123456789012345678901234567890wxyz\"}",
			400, "invalid", "deviceName"},
		{GVM("rescue1") "/detachDisk", NULL, 400, "required", "deviceName"},
		{GVM("rescue1") "/setDiskAutoDelete?deviceName=x", NULL, 400, "required", "autoDelete"},
		{GVM("nobody") "/attachDisk", ATTACH("a"), 404, "notFound", "instances/nobody"},
		{GDISK("a") "/createSnapshot", "{}", 400, "required", "'resource.name' not specified"},
		{GDISK("a") "/createSnapshot", "{\"name\":\"Bad_Name\"}", 400, "invalid", "Must be a match of regex"},
		{GDISK("a") "/createSnapshot", "{\"name\":\"theirs\"}", 409, "alreadyExists", "already exists"},
		{GVM("vm1") "/setLabels", "{\"labels\":{\"Env\":\"x\"}}", 400, "invalid", "Label key 'Env' violates"},
		{GVM("vm1") "/setLabels", "{\"labels\":{\"env\":\"X Y\"}}", 400, "invalid",
			"Label value 'X Y' violates"},
		{GVM("vm1") "/setLabels", "{\"labels\":{\"env\":1}}", 400, "invalid", "Label value"},
		{GVM("vm1") "/setLabels", "{\"labels\":[]}", 400, "invalid", "not a map"},
	};
	struct kit k = open_fleet("");

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		gk_refuse(&k, "POST", cases[i].target, cases[i].body, cases[i].status, cases[i].reason, cases[i].words);
	kit_close(&k);
}

/* ---- what works */

Test(cloudsim_gcp_disks, attach_without_names_gets_the_defaults)
{
	struct kit k = open_fleet("");

	gk_must(&k, GVM("rescue1") "/attachDisk", ATTACH("a"));
	gk_must(&k, GVM("rescue1") "/attachDisk", ATTACH("b"));
	cr_assert_eq(kit_ask(&k, "GET", GVM("rescue1"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "disks/1/deviceName"), "persistent-disk-1");
	cr_assert_str_eq(ff_json_str(k.body, "disks/2/deviceName"), "persistent-disk-2");
	cr_assert_str_eq(ff_json_str(k.body, "disks/1/mode"), "READ_WRITE");
	cr_assert_str_eq(ff_json_str(k.body, "disks/1/interface"), "SCSI");
	cr_assert_not(ff_json_bool(k.body, "disks/1/autoDelete", true));
	cr_assert_eq(kit_ask(&k, "GET", GDISK("a"), NULL), 200);
	cr_assert(ff_has_suffix(ff_json_str(k.body, "users/0"), ZONE_ID "/instances/rescue1"));
	cr_assert_not_null(ff_json_str(k.body, "lastAttachTimestamp"));
	gk_must(&k, GVM("rescue1") "/detachDisk?deviceName=persistent-disk-1", NULL);
	cr_assert_eq(kit_ask(&k, "GET", GDISK("a"), NULL), 200);
	cr_assert_null(ff_json_at(k.body, "users"));
	kit_close(&k);
}

Test(cloudsim_gcp_disks, regional_and_shared_disks_may_go_where_others_may_not)
{
	struct kit k = open_fleet("");

	gk_must(&k, GVM("rescue1") "/attachDisk?forceAttach=true",
		"{\"source\":\"projects/p1/regions/us-central1/disks/wide\"}");
	gk_must(&k, GVM("rescue1") "/attachDisk", ATTACH("many"));
	gk_must(&k, GVM("small") "/attachDisk", ATTACH("many"));
	gk_refuse(&k, "POST", GVM("small") "/attachDisk", ATTACH("many"), 400, "resourceInUseByAnotherResource",
		"already being");
	kit_close(&k);
}

Test(cloudsim_gcp_disks, a_machine_takes_only_so_many_disks)
{
	struct kit k = open_fleet("");

	gk_must(&k, GVM("small") "/attachDisk", ATTACH("a"));
	gk_refuse(&k, "POST", GVM("small") "/attachDisk", ATTACH("b"), 400, "unsupportedOperation",
		"less than or equal to [2], Requested : [3]");
	kit_close(&k);
}

Test(cloudsim_gcp_disks, customer_supplied_keys_are_needed_everywhere)
{
	struct kit k = open_fleet("");

	gk_must(&k, GVM("secret") "/detachDisk?deviceName=persistent-disk-0", NULL);
	gk_refuse(&k, "POST", GVM("rescue1") "/attachDisk", ATTACH("secret"), 400,
		"resourceIsEncryptedWithCustomerEncryptionKey", "'" ZONE_ID "/disks/secret' is protected");
	gk_refuse(&k, "POST", GVM("rescue1") "/attachDisk", "{" SRC("secret") ",\"diskEncryptionKey\":" RAW(OTHER) "}",
		400, "customerEncryptionKeyIsIncorrect", "does not match");
	gk_refuse(&k, "POST", GVM("rescue1") "/attachDisk", "{" SRC("secret") ",\"diskEncryptionKey\":" RAW(SHORT) "}",
		400, "invalid", "256 bit");
	gk_must(&k, GVM("rescue1") "/attachDisk",
		"{" SRC("secret") ",\"deviceName\":\"x\",\"diskEncryptionKey\":" RAW(KEY) "}");
	gk_must(&k, GVM("rescue1") "/detachDisk?deviceName=x", NULL);
	gk_must(&k, GVM("secret") "/attachDisk",
		"{" SRC("secret") ",\"boot\":true,\"autoDelete\":true,\"diskEncryptionKey\":" RAW(KEY) "}");
	gk_must(&k, GDISK("secret") "/createSnapshot",
		"{\"name\":\"s1\",\"labels\":{\"fixfleet-run\":\"r1\"},\"sourceDiskEncryptionKey\":" RAW(KEY) "}");
	gk_refuse(&k, "POST", GVM("secret") "/start", NULL, 400, "resourceIsEncryptedWithCustomerEncryptionKey",
		"none was provided");
	gk_refuse(&k, "POST", GVM("secret") "/startWithEncryptionKey", "{}", 400,
		"resourceIsEncryptedWithCustomerEncryptionKey", "none was provided");
	gk_refuse(&k, "POST", GVM("secret") "/startWithEncryptionKey",
		"{\"disks\":[{" SRC("secret") ",\"diskEncryptionKey\":" RAW(OTHER) "}]}", 400,
		"customerEncryptionKeyIsIncorrect", "does not match");
	gk_refuse(&k, "POST", GVM("secret") "/startWithEncryptionKey",
		"{\"disks\":[{" SRC("a") ",\"diskEncryptionKey\":" RAW(KEY) "}]}", 400, "invalid", "not attached");
	gk_refuse(&k, "POST", GVM("vm2") "/startWithEncryptionKey",
		"{\"disks\":[{" SRC("vm2") ",\"diskEncryptionKey\":" RAW(KEY) "}]}", 400, "invalid", "not protected");
	gk_must(&k, GVM("secret") "/startWithEncryptionKey",
		"{\"disks\":[{" SRC("secret") ",\"diskEncryptionKey\":" RAW(KEY) "}]}");
	cr_assert_str_eq(gk_status(&k, GVM("secret")), "RUNNING");
	cr_assert_eq(kit_violations(&k), 0);
	cr_assert_null(strstr(k.a.body, "rawKey"), "keys are never shown");
	kit_close(&k);
}

/* ---- labels */

#define SET(labels, print) "{\"labels\":{" labels "},\"labelFingerprint\":\"" print "\"}"

Test(cloudsim_gcp_disks, labels_are_replaced_as_a_whole_and_what_that_costs_is_seen)
{
	struct kit k = open_fleet("");
	ff_auto_free char *print = NULL, *body = NULL;

	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	print = ff_strdup(ff_json_str(k.body, "labelFingerprint"));
	body = ff_printf("{\"labels\":{\"fixfleet-run\":\"r2\"},\"labelFingerprint\":\"%s\"}", print);
	gk_must(&k, GVM("vm1") "/setLabels", body);
	cr_assert(kit_violated(&k, "'vm1' lost the label 'env' of somebody else"));
	cr_assert(kit_violated(&k, "'vm1' was claimed by 'r1' when 'r2' took it"));
	gk_refuse(&k, "POST", GVM("vm1") "/setLabels", body, 412, "conditionNotMet", "changed");
	cr_assert_str_eq(ff_json_str(k.body, "error/errors/0/location"), "If-Match");
	kit_close(&k);
}

Test(cloudsim_gcp_disks, of_two_with_one_fingerprint_one_wins)
{
	struct kit k = open_fleet("");
	ff_auto_free char *first = NULL, *second = NULL;

	cr_assert_eq(kit_ask(&k, "POST", GDISK("a") "/setLabels", SET("\"fixfleet-run\":\"r1\"", "42WmSpB8rSM=")), 200);
	first = ff_strdup(gk_path(ff_json_str(k.body, "selfLink")));
	cr_assert_eq(kit_ask(&k, "POST", GDISK("a") "/setLabels", SET("\"fixfleet-run\":\"r2\"", "42WmSpB8rSM=")), 200);
	second = ff_strdup(gk_path(ff_json_str(k.body, "selfLink")));
	kit_settle(&k);
	cr_assert_eq(kit_ask(&k, "GET", first, NULL), 200);
	cr_assert_null(ff_json_at(k.body, "error"));
	cr_assert_eq(kit_ask(&k, "GET", second, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "error/errors/0/code"), "CONDITION_NOT_MET");
	cr_assert_eq(kit_ask(&k, "GET", GDISK("a"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "labels/fixfleet-run"), "r1");
	kit_close(&k);
}

Test(cloudsim_gcp_disks, a_fingerprint_may_come_back_in_the_alphabet_for_urls)
{
	struct kit k = gk_open(GSCENE("'vms':[{'name':'vm1','labels':{'env':'prod'}}]"));

	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "labelFingerprint"), "/fZbwPys4tk=");
	gk_must(&k, GVM("vm1") "/setLabels", SET("\"env\":\"prod\"", "_fZbwPys4tk="));
	gk_refuse(&k, "POST", GVM("vm1") "/setLabels", SET("", "-fZbwPys4tk="), 412, "conditionNotMet", "");
	kit_close(&k);
}

/* ---- deletion */

Test(cloudsim_gcp_disks, what_is_being_deleted_is_not_attached_nor_taken_a_snapshot_of)
{
	struct kit k = open_fleet("");

	cr_assert_eq(kit_ask(&k, "DELETE", GDISK("a"), NULL), 200);
	cr_assert_str_eq(gk_status(&k, GDISK("a")), "DELETING");
	gk_refuse(&k, "POST", GVM("vm2") "/attachDisk", "{" SRC("a") "}", 400, "resourceNotReady", "is not ready");
	gk_refuse(
		&k, "POST", GDISK("a") "/createSnapshot", "{\"name\":\"s1\"}", 400, "resourceNotReady", "is not ready");
	kit_settle(&k);
	gk_refuse(&k, "GET", GDISK("a"), NULL, 404, "notFound", "disks/a' was not found");
	kit_close(&k);
}

/* ---- snapshots */

Test(cloudsim_gcp_disks, snapshots_are_made_shown_labelled_and_deleted)
{
	struct kit k = open_fleet("");
	ff_auto_free char *body = NULL;

	cr_assert_eq(kit_ask(&k, "POST", GDISK("a") "/createSnapshot",
			     "{\"name\":\"s1\",\"labels\":{\"fixfleet-run\":\"r1\"}}"),
		200);
	cr_assert_eq(kit_ask(&k, "GET", GSNAP("s1"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "CREATING");
	gk_refuse(&k, "DELETE", GSNAP("s1"), NULL, 400, "resourceNotReady", "snapshots/s1' is not ready");
	kit_settle(&k);
	cr_assert_eq(kit_ask(&k, "GET", GSNAP("s1"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "UPLOADING");
	k.now += 30000;
	cr_assert_eq(kit_ask(&k, "GET", GSNAP("s1"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "READY");
	cr_assert(ff_has_suffix(ff_json_str(k.body, "sourceDisk"), ZONE_ID "/disks/a"));
	body = ff_printf("{\"labels\":{},\"labelFingerprint\":\"%s\"}", ff_json_str(k.body, "labelFingerprint"));
	cr_assert_eq(kit_ask(&k, "POST", GSNAP("s1") "/setLabels", body), 200, "which has no request id");
	cr_assert_str_eq(gk_end(&k), "DONE");
	cr_assert_eq(kit_ask(&k, "GET", GP "/global/snapshots?filter=name=s1", NULL), 200);
	cr_assert_eq(json_array_size(json_object_get(k.body, "items")), 1);
	cr_assert_eq(kit_ask(&k, "DELETE", GSNAP("s1"), NULL), 200);
	cr_assert_not_null(strstr(ff_json_str(k.body, "selfLink"), "/global/operations/"));
	gk_end(&k);
	gk_refuse(&k, "GET", GSNAP("s1"), NULL, 404, "notFound", "global/snapshots/s1' was not found");
	cr_assert_eq(kit_violations(&k), 0);
	cr_assert_eq(kit_ask(&k, "DELETE", GSNAP("theirs"), NULL), 200);
	cr_assert(kit_violated(&k, "snapshot 'theirs' was deleted, which no run has made"));
	kit_close(&k);
}

Test(cloudsim_gcp_disks, a_disk_has_only_so_many_snapshots_an_hour)
{
	struct kit k = open_fleet("'quotas':{'snapshots_per_hour':2},");

	gk_must(&k, GDISK("a") "/createSnapshot", "{\"name\":\"s1\"}");
	gk_must(&k, GDISK("a") "/createSnapshot", "{\"name\":\"s2\"}");
	gk_refuse(&k, "POST", GDISK("a") "/createSnapshot", "{\"name\":\"s3\"}", 429, "resourceOperationRateExceeded",
		"Too frequent operations from the source resource");
	gk_must(&k, GDISK("b") "/createSnapshot", "{\"name\":\"s3\"}");
	k.now += 3600000;
	cr_assert_eq(gk_login(&k), 200);
	gk_must(&k, GDISK("a") "/createSnapshot", "{\"name\":\"s4\"}");
	kit_close(&k);
}
