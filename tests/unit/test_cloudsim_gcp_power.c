/* Machines of GCP starting and stopping, their operations, request ids, serial ports and groups. */
#include "test_cloudsim_gcp.h"

#define FLEET                                                                                                          \
	"'vms':[{'name':'vm1','labels':{'fixfleet-run':'r1'},'boot':{'bad':true}},"                                    \
	"{'name':'good','labels':{'fixfleet-run':'r1'}},"                                                              \
	"{'name':'off','power':'stopped','labels':{'fixfleet-run':'r1'}},"                                             \
	"{'name':'ssd','local_ssd':2,'labels':{'fixfleet-run':'r1'},'boot':{'bad':true}},"                             \
	"{'name':'spot','spot':true,'labels':{'fixfleet-run':'r1'},'boot':{'bad':true}},"                              \
	"{'name':'slow','graceful_shutdown_s':300,'labels':{'fixfleet-run':'r1'},'boot':{'bad':true}},"                \
	"{'name':'asleep','power':'suspended','labels':{'fixfleet-run':'r1'}},"                                        \
	"{'name':'locked','power':'stopped','start_restricted':true,'labels':{'fixfleet-run':'r1'}}]"

#define RID(n) "requestId=11111111-2222-4333-8555-" n

static int64_t stop_takes(struct kit *k, const char *target)
{
	int64_t from = k->now;

	gk_must(k, target, NULL);
	return k->now - from;
}

Test(cloudsim_gcp_power, a_guest_that_does_not_answer_is_switched_off_after_two_minutes)
{
	struct kit k = gk_open(GSCENE(FLEET));

	cr_assert_eq(stop_takes(&k, GVM("vm1") "/stop"), 120100);
	cr_assert_eq(stop_takes(&k, GVM("spot") "/stop"), 30100);
	cr_assert_eq(stop_takes(&k, GVM("good") "/stop"), 25100);
	cr_assert_eq(stop_takes(&k, GVM("off") "/stop"), 100, "it is off");
	cr_assert_eq(stop_takes(&k, GVM("slow") "/stop"), 420100);
	cr_assert(kit_violated(&k, "'good' was healthy when it was asked to stop"));
	cr_assert_eq(kit_violations(&k), 1);
	kit_close(&k);
}

Test(cloudsim_gcp_power, a_graceful_shutdown_is_pending_first_and_can_be_left_out)
{
	struct kit k = gk_open(GSCENE(FLEET));

	cr_assert_eq(kit_ask(&k, "POST", GVM("slow") "/stop", NULL), 200);
	cr_assert_str_eq(gk_status(&k, GVM("slow")), "PENDING_STOP");
	k.now += 300100;
	cr_assert_str_eq(gk_status(&k, GVM("slow")), "STOPPING");
	kit_settle(&k);
	gk_must(&k, GVM("slow") "/start", NULL);
	cr_assert_eq(stop_takes(&k, GVM("slow") "/stop?noGracefulShutdown=true"), 120100);
	kit_close(&k);
}

Test(cloudsim_gcp_power, local_ssds_are_only_lost_when_asked_for)
{
	struct kit k = gk_open(GSCENE(FLEET));

	gk_refuse(&k, "POST", GVM("ssd") "/stop", NULL, 400, "invalid", "undefined value for discard-local-ssd");
	cr_assert_str_eq(gk_status(&k, GVM("ssd")), "RUNNING");
	gk_must(&k, GVM("ssd") "/stop?discardLocalSsd=true", NULL);
	cr_assert_eq(kit_ask(&k, "GET", GVM("ssd"), NULL), 200);
	cr_assert_eq(json_array_size(json_object_get(k.body, "disks")), 1);
	kit_close(&k);
}

Test(cloudsim_gcp_power, starts_are_refused_where_nothing_can_come_of_them)
{
	struct kit k = gk_open(GSCENE(FLEET));

	gk_refuse(&k, "POST", GVM("asleep") "/start", NULL, 400, "resourceNotReady", "instances/asleep' is not ready");
	gk_refuse(&k, "POST", GVM("locked") "/start", NULL, 403, "forbidden", "restricted");
	gk_must(&k, GVM("off") "/detachDisk?deviceName=persistent-disk-0", NULL);
	gk_refuse(&k, "POST", GVM("off") "/start", NULL, 400, "invalidResourceUsage", "no boot disk");
	cr_assert_eq(kit_violations(&k), 1, "nobody should ask for that");
	gk_must(&k, GVM("good") "/start", NULL);
	cr_assert_eq(kit_violations(&k), 1);
	kit_close(&k);
}

/* ---- operations */

/* The answer that was held leaves. */
static void leave(struct kit *k, const char *target)
{
	struct sim_request r = {.method = "POST", .base = "https://compute.googleapis.com", .target = target};

	sim_answer_leaves(k->sim, k->now, &r, &k->a);
	json_decref(k->body);
	k->body = ff_json_parse(k->a.body, k->a.body_len, 1 << 22, NULL);
}

Test(cloudsim_gcp_power, operations_are_pending_then_running_then_done)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *self = NULL, *by_id = NULL, *wait = NULL;

	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop?" RID("000000000001"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "PENDING");
	cr_assert_null(ff_json_at(k.body, "startTime"));
	cr_assert_str_eq(ff_json_str(k.body, "operationType"), "stop");
	cr_assert_str_eq(ff_json_str(k.body, "clientOperationId"), "11111111-2222-4333-8555-000000000001");
	cr_assert(ff_has_suffix(ff_json_str(k.body, "targetLink"), ZONE_ID "/instances/vm1"));
	self = ff_strdup(gk_path(ff_json_str(k.body, "selfLink")));
	wait = ff_printf("%s/wait", self);
	by_id = ff_printf(GZ "/operations/%s", ff_json_str(k.body, "id"));
	k.now += 200;
	cr_assert_eq(kit_ask(&k, "GET", by_id, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "RUNNING");
	cr_assert_eq(ff_json_int(k.body, "progress", -1), 0);
	cr_assert_str_eq(gk_status(&k, GVM("vm1")), "STOPPING");
	cr_assert_eq(kit_ask(&k, "POST", wait, NULL), 200);
	cr_assert_eq(k.a.hold_ms, 119900, "it answers when the operation ends");
	k.now += 119900;
	leave(&k, wait);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "DONE", "as it is when it leaves");
	cr_assert_eq(kit_ask(&k, "POST", wait, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "DONE");
	cr_assert_eq(ff_json_int(k.body, "progress", -1), 100);
	cr_assert_eq(k.a.hold_ms, 0);
	cr_assert_eq(
		kit_ask(&k, "GET", GZ "/operations?filter=clientOperationId=%2211111111-2222-4333-8555-000000000001%22",
			NULL),
		200);
	cr_assert_eq(json_array_size(json_object_get(k.body, "items")), 1);
	gk_refuse(&k, "GET", GZ "/operations/operation-1", NULL, 404, "notFound",
		"operations/operation-1' was not found");
	kit_close(&k);
}

Test(cloudsim_gcp_power, a_wait_is_two_minutes_at_most)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *wait = NULL;

	cr_assert_eq(kit_ask(&k, "POST", GVM("slow") "/stop", NULL), 200);
	wait = ff_printf("%s/wait", gk_path(ff_json_str(k.body, "selfLink")));
	cr_assert_eq(kit_ask(&k, "POST", wait, NULL), 200);
	cr_assert_eq(k.a.hold_ms, 120000);
	cr_assert_str_neq(ff_json_str(k.body, "status"), "DONE");
	kit_close(&k);
}

Test(cloudsim_gcp_power, a_request_id_begins_one_operation)
{
	struct kit k = gk_open(GSCENE(FLEET ",'latency_ms':{'pending':0}"));
	ff_auto_free char *name = NULL;

	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop?" RID("000000000002"), NULL), 200);
	name = ff_strdup(ff_json_str(k.body, "name"));
	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop?" RID("000000000002"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "name"), name);
	kit_settle(&k);
	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop?" RID("000000000002"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "DONE");
	cr_assert_eq(kit_violations(&k), 0);
	kit_ask(&k, "POST", GVM("vm1") "/start?" RID("000000000002"), NULL);
	cr_assert(kit_violated(&k, "was used again for"));
	gk_refuse(&k, "POST", GVM("vm1") "/start?requestId=00000000-0000-0000-0000-000000000000", NULL, 400, "invalid",
		"zero UUID");
	gk_refuse(&k, "POST", GVM("vm1") "/start?requestId=again", NULL, 400, "invalid", "valid UUID");
	kit_close(&k);
}

#define STOPS_FAIL                                                                                                     \
	"{'gcp':{" GUSER "," FLEET                                                                                     \
	"},'faults':[{'match':{'path':'*/stop','nth':1},'answer':{'operation_fails':{'code':"                          \
	"'ZONE_RESOURCE_POOL_EXHAUSTED','message':'no room','status':503}}},"                                          \
	"{'match':{'path':'*/start'},'answer':{'status':403}},"                                                        \
	"{'match':{'path':'*/detachDisk'},'answer':{'operation_hangs':true}}]}"

Test(cloudsim_gcp_power, after_a_failed_operation_a_new_request_id_is_needed)
{
	struct kit k = gk_open(STOPS_FAIL);

	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop?" RID("000000000003"), NULL), 200);
	cr_assert_str_eq(gk_end(&k), "ZONE_RESOURCE_POOL_EXHAUSTED");
	cr_assert_eq(ff_json_int(k.body, "httpErrorStatusCode", 0), 503);
	cr_assert_str_eq(gk_status(&k, GVM("vm1")), "RUNNING", "as it was");
	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop?" RID("000000000003"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "error/errors/0/message"), "no room", "the old one again");
	gk_must(&k, GVM("vm1") "/stop", NULL);
	gk_refuse(&k, "POST", GVM("vm1") "/start", NULL, 403, "rateLimitExceeded", "Rate Limit Exceeded");
	kit_close(&k);
}

Test(cloudsim_gcp_power, what_waits_for_an_operation_that_hangs_never_begins)
{
	struct kit k = gk_open(STOPS_FAIL);
	ff_auto_free char *self = NULL;

	cr_assert_eq(kit_ask(&k, "POST", GVM("off") "/detachDisk?deviceName=persistent-disk-0", NULL), 200);
	cr_assert_eq(kit_ask(&k, "POST", GVM("off") "/stop", NULL), 200);
	self = ff_strdup(gk_path(ff_json_str(k.body, "selfLink")));
	k.now += 3000000;
	cr_assert_eq(kit_ask(&k, "GET", self, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "PENDING");
	kit_close(&k);
}

Test(cloudsim_gcp_power, a_second_operation_waits_and_meets_what_the_first_left)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *stop = NULL, *detach = NULL, *again = NULL;

	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop", NULL), 200);
	stop = ff_strdup(gk_path(ff_json_str(k.body, "selfLink")));
	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/detachDisk?deviceName=persistent-disk-0", NULL), 200);
	detach = ff_strdup(gk_path(ff_json_str(k.body, "selfLink")));
	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/detachDisk?deviceName=persistent-disk-0", NULL), 200);
	again = ff_strdup(gk_path(ff_json_str(k.body, "selfLink")));
	k.now += 60000;
	cr_assert_eq(kit_ask(&k, "GET", detach, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "status"), "PENDING");
	kit_settle(&k);
	cr_assert_eq(kit_ask(&k, "GET", stop, NULL), 200);
	cr_assert_null(ff_json_at(k.body, "error"));
	cr_assert_eq(kit_ask(&k, "GET", detach, NULL), 200);
	cr_assert_null(ff_json_at(k.body, "error"), "by then the machine was off");
	cr_assert_eq(kit_ask(&k, "GET", again, NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "error/errors/0/code"), "INVALID");
	kit_close(&k);
}

Test(cloudsim_gcp_power, or_a_second_operation_is_refused)
{
	struct kit k = gk_open(GSCENE("'concurrent':'refuse'," FLEET));

	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop", NULL), 200);
	gk_refuse(&k, "POST", GVM("vm1") "/start", NULL, 400, "resourceNotReady", "instances/vm1' is not ready");
	kit_close(&k);
}

Test(cloudsim_gcp_power, only_so_many_operations_may_be_under_way)
{
	struct kit k = gk_open(GSCENE(FLEET ",'quotas':{'concurrent_operations':1}"));

	cr_assert_eq(kit_ask(&k, "POST", GVM("vm1") "/stop", NULL), 200);
	gk_refuse(&k, "POST", GVM("ssd") "/stop?discardLocalSsd=true", NULL, 403, "rateLimitExceeded",
		"Rate Limit Exceeded");
	cr_assert_str_eq(ff_json_str(k.body, "error/details/0/reason"), "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED");
	kit_settle(&k);
	cr_assert_eq(kit_ask(&k, "POST", GVM("ssd") "/stop?discardLocalSsd=true", NULL), 200);
	kit_close(&k);
}

/* ---- serial port */

static json_int_t serial(struct kit *k, const char *target)
{
	cr_assert_eq(kit_ask(k, "GET", target, NULL), 200);
	cr_assert(json_is_string(json_object_get(k->body, "next")), "int64 is a string");
	return ff_json_int(k->body, "next", -1);
}

Test(cloudsim_gcp_power, the_serial_port_is_read_from_where_one_left_off)
{
	struct kit k = gk_open(GSCENE(FLEET));
	ff_auto_free char *more = NULL;
	int64_t next = serial(&k, GVM("vm1") "/serialPort");

	cr_assert_gt(next, 1000);
	more = ff_printf(GVM("vm1") "/serialPort?port=1&start=%lld", (long long)next);
	cr_assert_eq(serial(&k, more), next);
	cr_assert_str_eq(ff_json_str(k.body, "contents"), "");
	k.now += 40000;
	cr_assert_gt(serial(&k, more), next);
	cr_assert_not_null(strstr(ff_json_str(k.body, "contents"), "BdsDxe: starting Boot"));
	serial(&k, GVM("vm1") "/serialPort?start=-10");
	cr_assert_eq(strlen(ff_json_str(k.body, "contents")), 10);
	serial(&k, GVM("vm1") "/serialPort?start=-99999999");
	cr_assert_eq(ff_json_int(k.body, "start", -1), 0);
	cr_assert_eq(serial(&k, GVM("vm1") "/serialPort?port=2"), 0);
	gk_refuse(&k, "GET", GVM("off") "/serialPort", NULL, 400, "resourceNotReady", "is not ready");
	kit_close(&k);
}

Test(cloudsim_gcp_power, the_serial_buffer_forgets_what_is_more_than_a_mebibyte)
{
	struct kit k = gk_open(GSCENE("'latency_ms':{'bootCycle':100}," FLEET));
	int64_t first = serial(&k, GVM("vm1") "/serialPort");

	k.now += 500000;
	cr_assert_gt(serial(&k, GVM("vm1") "/serialPort?start=0"), first + 1048576);
	cr_assert_gt(ff_json_int(k.body, "start", -1), 0, "moved forward");
	cr_assert_eq(strlen(ff_json_str(k.body, "contents")), 1048576);
	kit_close(&k);
}

static void stop_and_start(struct kit *k)
{
	gk_must(k, GVM("vm1") "/stop", NULL);
	sim_set_bad(k->sim, "vm1", false);
	gk_must(k, GVM("vm1") "/start", NULL);
}

Test(cloudsim_gcp_power, serial_output_begins_anew_with_a_start_or_goes_on)
{
	struct kit k = gk_open(GSCENE(FLEET));
	int64_t before = serial(&k, GVM("vm1") "/serialPort");

	stop_and_start(&k);
	cr_assert_lt(serial(&k, GVM("vm1") "/serialPort?start=0"), before);
	cr_assert_null(strstr(ff_json_str(k.body, "contents"), "GCEGuestAgent"), "it is still booting");
	k.now += 45000;
	serial(&k, GVM("vm1") "/serialPort?start=0");
	cr_assert_not_null(strstr(ff_json_str(k.body, "contents"), "GCEGuestAgent"));
	kit_close(&k);
	k = gk_open(GSCENE("'serial':'keep'," FLEET));
	before = serial(&k, GVM("vm1") "/serialPort");
	stop_and_start(&k);
	cr_assert_gt(serial(&k, GVM("vm1") "/serialPort?start=0"), before);
	kit_close(&k);
}

Test(cloudsim_gcp_power, a_screen_is_only_shown_where_there_is_one)
{
	struct kit k =
		gk_open(GSCENE("'vms':[{'name':'vm1','display':true},{'name':'vm2'},{'name':'vm3','display':true,"
			       "'power':'stopped'}]"));
	size_t n = 0;
	ff_auto_free char *png = NULL;

	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1") "/screenshot", NULL), 200);
	png = ff_base64_decode(ff_json_str(k.body, "contents"), &n);
	cr_assert(n > 8 && memcmp(png, "\x89PNG\r\n\x1a\n", 8) == 0);
	gk_refuse(&k, "GET", GVM("vm2") "/screenshot", NULL, 400, "invalidResourceUsage", "not enabled");
	gk_refuse(&k, "GET", GVM("vm3") "/screenshot", NULL, 400, "resourceNotReady", "not ready");
	kit_close(&k);
}

/* ---- groups */

#define GROUPED(action)                                                                                                \
	"'groups':[{'name':'mig1','zone':'us-central1-a'" action "}],'vms':[{'name':'vm1','mig':'mig1',"               \
	"'labels':{'fixfleet-run':'r1'},'boot':{'bad':true}}]"

Test(cloudsim_gcp_power, a_group_makes_a_stopped_member_again)
{
	struct kit k = gk_open(GSCENE(GROUPED("")));
	ff_auto_free char *id = NULL;

	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	id = ff_strdup(ff_json_str(k.body, "id"));
	gk_must(&k, GVM("vm1") "/stop", NULL);
	cr_assert(kit_violated(&k, "member of managed instance group 'mig1' and was stopped"));
	cr_assert(kit_violated(&k, "boot disk 'vm1' of 'vm1' was deleted"));
	cr_assert_str_eq(gk_status(&k, GVM("vm1")), "RUNNING");
	cr_assert_str_neq(ff_json_str(k.body, "id"), id, "another machine by that name");
	gk_refuse(&k, "GET", GDISK("vm1"), NULL, 404, "notFound", "disks/vm1");
	kit_close(&k);
}

Test(cloudsim_gcp_power, a_group_that_does_nothing_leaves_it_stopped)
{
	struct kit k = gk_open(GSCENE(GROUPED(",'on_failure':'DO_NOTHING'")));

	gk_must(&k, GVM("vm1") "/stop", NULL);
	cr_assert_str_eq(gk_status(&k, GVM("vm1")), "TERMINATED");
	kit_close(&k);
}
