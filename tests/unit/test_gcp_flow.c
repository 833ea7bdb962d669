/* What answers mean: every row's readings, operations, retries, and a whole way there and back. */
#include "test_gcp_kit.h"

#define LOST(why) kit_lost(FF_T_BROKEN, why)

static struct ff_cloud *cloud;
static struct kit_vm k;

static void setup(void)
{
	cloud = kit_cloud();
	kit_vm(&k);
}

static void teardown(void)
{
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

TestSuite(gcp_flow, .init = setup, .fini = teardown);

static const char *fact(const char *path)
{
	return ff_json_str(k.facts, path);
}

/* ---------------------------------------------------------------- operations */

Test(gcp_flow, an_accepted_operation_is_waited_for_until_done)
{
	cr_expect_eq(ACTED(GCP_STOP, 200, OPERATION("PENDING", "")), FF_M_STARTED);
	cr_expect_str_eq(fact("op/path"), ZONE "/operations/operation-1");
	cr_expect_gt(k.v.wait_ms, 0);
	cr_expect_eq(POLLED(GCP_STOP, 200, OPERATION("RUNNING", "")), FF_M_WAIT);
	cr_expect_geq(k.v.wait_ms, 2000, "the server may have answered at once");
	k.wall_ms += 3600000;
	cr_expect_eq(POLLED(GCP_STOP, 200, OPERATION("RUNNING", "")), FF_M_WAIT);
	cr_expect_leq(k.v.wait_ms, 15000);
	cr_expect_eq(POLLED(GCP_STOP, 200, OPERATION("DONE", "")), FF_M_DONE);
	cr_expect_null(json_object_get(k.facts, "op"));
}

Test(gcp_flow, an_operation_may_be_done_at_once)
{
	cr_expect_eq(ACTED(GCP_CLAIM, 200, OPERATION("DONE", "")), FF_M_DONE);
	cr_expect_null(json_object_get(k.facts, "op"));
}

Test(gcp_flow, done_with_an_error_is_a_failure_although_http_says_200)
{
	cr_expect_eq(ACTED(GCP_STOP, 200, OPERATION_ERROR("PERMISSIONS_ERROR", "no")), FF_M_FAILED);
	cr_expect_eq(k.v.err.class, FF_E_DENIED);
	ACTED(GCP_STOP, 200, OPERATION("PENDING", ""));
	cr_expect_eq(POLLED(GCP_STOP, 200, OPERATION_ERROR("RESOURCE_NOT_READY", "not ready")), FF_M_LOOK);
	cr_expect_eq(k.v.err.class, FF_E_CONFLICT);
	cr_expect_not_null(strstr(k.v.err.text, "RESOURCE_NOT_READY: not ready"), "%s", k.v.err.text);
	cr_expect_null(json_object_get(k.facts, "op"), "the same operation would be answered for ever");
}

/* A rollback turned home with its attach under way: the disk of before would find the place taken. */
Test(gcp_flow, the_new_disk_is_waited_for_before_the_old_one_is_put_back)
{
	struct ff_ask ask;

	ACTED(GCP_PUT_IN, 200, OPERATION("PENDING", ""));
	ask = kit_look(cloud, &k, GCP_TAKE_NEW_OUT);
	cr_expect_not_null(strstr(ask.url, "/operations/operation-1"), "%s", ask.url);
	ff_ask_release(&ask);
	cr_expect_eq(LOOKED(GCP_TAKE_NEW_OUT, 200, OPERATION("RUNNING", "")), FF_M_WAIT);
	cr_expect_eq(LOOKED(GCP_TAKE_NEW_OUT, 200, OPERATION("DONE", "")), FF_M_WAIT);
	cr_expect_null(json_object_get(k.facts, "op"));
	/* and where nothing was heard of the attach */
	cr_expect_eq(LOOKED(GCP_TAKE_NEW_OUT, 200, INSTANCE("TERMINATED", "")), FF_M_WAIT);
	k.wall_ms += 60000;
	cr_expect_eq(LOOKED(GCP_TAKE_NEW_OUT, 200, INSTANCE("TERMINATED", "")), FF_M_DONE);
}

/* The deletion before, of whose answer nothing could be read, was under way. */
Test(gcp_flow, what_a_deletion_does_not_find_any_more_is_looked_for)
{
	static const int steps[] = {GCP_DELETE_LEFT, GCP_DELETE_MADE};

	for (size_t i = 0; i < FF_COUNT(steps); i++) {
		ACTED(steps[i], 200, OPERATION("PENDING", ""));
		cr_expect_eq(POLLED(steps[i], 200, OPERATION_ERROR("RESOURCE_NOT_FOUND", "gone")), FF_M_LOOK);
		cr_expect_eq(ACTED(steps[i], 404, HTTP_ERROR("404", "notFound", "gone")), FF_M_LOOK);
		cr_expect_eq(ACTED(steps[i], 403, HTTP_ERROR("403", "forbidden", "no")), FF_M_FAILED);
	}
}

Test(gcp_flow, a_resource_with_another_operation_is_busy_and_no_uncertainty)
{
	static const struct {
		int step, status;
		const char *body;
		bool busy;
	} cases[] = {
		{GCP_DETACH, 400, HTTP_ERROR("400", "resourceNotReady", "not ready"), true},
		{GCP_ATTACH, 400, HTTP_ERROR("400", "resourceNotReady", "not ready"), true},
		{GCP_STOP, 200, OPERATION_ERROR("RESOURCE_NOT_READY", "not ready"), true},
		/* the rescue VM has it still; of an attach there the holder may be anybody */
		{GCP_PUT_BACK, 400, HTTP_ERROR("400", "resourceInUseByAnotherResource", "in use"), true},
		{GCP_PUT_BACK, 200, OPERATION_ERROR("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "in use"), true},
		{GCP_ATTACH, 200, OPERATION_ERROR("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "in use"), false},
		{GCP_CLAIM, 412, HTTP_ERROR("412", "conditionNotMet", "fingerprint"), false},
		{GCP_DETACH, 400, HTTP_ERROR("400", "invalid", "no such device"), false},
		{GCP_DETACH, 503, HTTP_ERROR("503", "resourceNotReady", "nobody knows"), false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_expect_eq(ACTED(cases[i].step, cases[i].status, cases[i].body), FF_M_LOOK, "%zu", i);
		cr_expect_eq(k.v.busy, cases[i].busy, "%zu", i);
		cr_expect_eq(json_object_get(k.facts, "retry_at") == NULL, cases[i].busy || cases[i].status == 503,
			"%zu: what is busy is waited for by the engine", i);
		json_object_del(k.facts, "retry_at");
	}
}

Test(gcp_flow, a_failure_that_passes_is_tried_again_later_and_later)
{
	static const int64_t waits_s[] = {20, 60, 180, 240, 240};

	for (size_t i = 0; i < FF_COUNT(waits_s); i++) {
		ACTED(GCP_START, 200, OPERATION("PENDING", ""));
		cr_expect_eq(
			POLLED(GCP_START, 200, OPERATION_ERROR("ZONE_RESOURCE_POOL_EXHAUSTED", "no room")), FF_M_LOOK);
		cr_expect_eq(ff_json_int(k.facts, "retry_at", 0), k.wall_ms + waits_s[i] * 1000);
		ff_json_set_int(k.facts, "serial_mark", 5);
		cr_expect_eq(LOOKED(GCP_START, 200, INSTANCE("TERMINATED", ATTACHED)), FF_M_WAIT);
		cr_expect_eq(k.v.wait_ms, waits_s[i] * 1000);
		k.wall_ms += waits_s[i] * 1000;
		cr_expect_eq(LOOKED(GCP_START, 200, INSTANCE("TERMINATED", ATTACHED)), FF_M_NOT_DONE);
	}
	cr_expect_eq(ACTED(GCP_START, 200, OPERATION("DONE", "")), FF_M_DONE);
	cr_expect_null(json_object_get(k.facts, "retry_at"));
	cr_expect_null(json_object_get(k.facts, "tries"));
}

Test(gcp_flow, a_request_that_is_refused_is_judged_by_its_class)
{
	static const struct {
		int step, status;
		const char *body;
		enum ff_meaning meaning;
		enum ff_class class;
	} cases[] = {
		{GCP_CLAIM, 412, HTTP_ERROR("412", "conditionNotMet", "labels have changed"), FF_M_LOOK, FF_E_CONFLICT},
		{GCP_STOP, 403, HTTP_ERROR("403", "forbidden", "no"), FF_M_FAILED, FF_E_DENIED},
		{GCP_STOP, 404, HTTP_ERROR("404", "notFound", "no"), FF_M_FAILED, FF_E_GONE},
		{GCP_STOP, 400, HTTP_ERROR("400", "invalid", "no"), FF_M_FAILED, FF_E_PERMANENT},
		{GCP_STOP, 500, "{}", FF_M_LOOK, FF_E_TRANSIENT},
		{GCP_STOP, 503, "<html>", FF_M_LOOK, FF_E_TRANSIENT},
		{GCP_BACKUP, 409, HTTP_ERROR("409", "alreadyExists", "no"), FF_M_LOOK, FF_E_CONFLICT},
		{GCP_TAKE_OUT, 400, HTTP_ERROR("400", "invalidResourceUsage", "must be in TERMINATED state"), FF_M_LOOK,
			FF_E_CONFLICT},
		{GCP_ATTACH, 400, HTTP_ERROR("400", "resourceInUseByAnotherResource", "used"), FF_M_LOOK,
			FF_E_CONFLICT},
		{GCP_ATTACH, 400, HTTP_ERROR("400", "unsupportedOperation", "Maximum"), FF_M_LOOK, FF_E_CONFLICT},
		{GCP_DETACH, 400, HTTP_ERROR("400", "invalid", "no such device"), FF_M_LOOK, FF_E_PERMANENT},
		{GCP_PUT_BACK, 400, HTTP_ERROR("400", "invalid", "is attached already"), FF_M_LOOK, FF_E_PERMANENT},
		{GCP_PUT_BACK, 403, HTTP_ERROR("403", "forbidden", "no"), FF_M_FAILED, FF_E_DENIED},
		{GCP_STOP, 200, "{}", FF_M_LOOK, FF_E_BUG},
		{GCP_STOP, 200, "nonsense", FF_M_LOOK, FF_E_BUG},
		{GCP_STOP, 200, "{\"status\":\"RUNNING\",\"selfLink\":\"https://evil/projects/../x\"}", FF_M_LOOK,
			FF_E_BUG},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_expect_eq(ACTED(cases[i].step, cases[i].status, cases[i].body), cases[i].meaning, "%zu %s", i,
			k.v.err.text);
		cr_expect_eq(k.v.err.class, cases[i].class, "%zu %s", i, k.v.err.text);
	}
	json_object_del(k.facts, "retry_at");
	ACTED(GCP_STOP, 500, "{}");
	cr_expect_null(json_object_get(k.facts, "retry_at"), "the effect is not known: looked for at once");
	cr_expect_eq(kit_read(cloud, &k, KIT_ACTED, GCP_TAKE_OUT, LOST("reset")), FF_M_LOOK);
	cr_expect_str_eq(fact("at"), "leaving", "it may be on its way");
}

Test(gcp_flow, a_start_that_is_refused_says_that_the_disk_is_home)
{
	cr_expect_eq(ACTED(GCP_START, 403, HTTP_ERROR("403", "quotaExceeded", "CPUS")), FF_M_FAILED);
	cr_expect(ff_has_prefix(k.v.err.text, "its disk is home, but it cannot be started: "), "%s", k.v.err.text);
}

Test(gcp_flow, an_operation_that_cannot_be_read_is_told_by_its_resource)
{
	static const struct {
		int status;
		enum ff_meaning meaning;
	} cases[] = {{404, FF_M_LOOK}, {403, FF_M_LOOK}, {500, FF_M_WAIT}, {429, FF_M_WAIT}};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ACTED(GCP_STOP, 200, OPERATION("PENDING", ""));
		cr_expect_eq(POLLED(GCP_STOP, cases[i].status, "{}"), cases[i].meaning, "%d", cases[i].status);
		cr_expect_eq(json_object_get(k.facts, "op") == NULL, cases[i].meaning == FF_M_LOOK);
	}
}

Test(gcp_flow, nothing_of_a_failed_look_is_believed)
{
	for (int step = 0; step < GCP_STEP_COUNT; step++) {
		if (ff_gcp.steps[step].looked == NULL)
			continue;
		cr_expect_eq(LOOKED(step, 403, HTTP_ERROR("403", "forbidden", "no")), FF_M_FAILED, "%s",
			ff_gcp.steps[step].name);
		cr_expect_eq(k.v.err.class, FF_E_DENIED);
		cr_expect_eq(LOOKED(step, 200, "[5]"), FF_M_WAIT, "%s", ff_gcp.steps[step].name);
		cr_expect_eq(k.v.err.class, FF_E_BUG);
		cr_expect_eq(LOOKED(step, 503, ""), FF_M_WAIT, "%s", ff_gcp.steps[step].name);
	}
}

/* Found by the simulation: the poll of an attach was garbled, the VM turned home, and its disk was seen nowhere yet. */
Test(gcp_flow, an_attach_under_way_is_waited_for_before_the_disk_counts_as_off_the_rescue_vm)
{
	ACTED(GCP_ATTACH, 200, OPERATION("PENDING", ""));
	cr_expect_str_eq(fact("at"), "arriving");
	cr_expect_eq(POLLED(GCP_ATTACH, 200, "\x94nonsense"), FF_M_WAIT, "nonsense is no end of the operation");
	cr_expect_eq(LOOKED(GCP_DETACH, 200, OPERATION("RUNNING", "")), FF_M_WAIT);
	cr_expect_str_eq(fact("at"), "arriving");
	cr_expect_eq(LOOKED(GCP_DETACH, 200, OPERATION("DONE", "")), FF_M_WAIT);
	cr_expect_str_eq(fact("at"), "rescue");
	cr_expect_null(json_object_get(k.facts, "op"));
	cr_expect_eq(
		LOOKED(GCP_DETACH, 200, "{\"users\":[\"" GOOGLE RESCUE "\"],\"status\":\"READY\"}"), FF_M_NOT_DONE);
}

Test(gcp_flow, an_attach_whose_answer_was_lost_may_still_arrive)
{
	kit_read(cloud, &k, KIT_ACTED, GCP_ATTACH, LOST("reset"));
	cr_expect_str_eq(fact("at"), "arriving");
	cr_expect_eq(LOOKED(GCP_DETACH, 200, "{\"status\":\"READY\"}"), FF_M_WAIT);
	k.wall_ms += 59000;
	cr_expect_eq(LOOKED(GCP_DETACH, 200, "{\"status\":\"READY\"}"), FF_M_WAIT);
	k.wall_ms += 1000;
	cr_expect_eq(LOOKED(GCP_DETACH, 200, "{\"status\":\"READY\"}"), FF_M_DONE);
	cr_expect_null(json_object_get(k.facts, "unsure"));
}

Test(gcp_flow, a_disk_that_may_be_leaving_is_not_home)
{
	kit_read(cloud, &k, KIT_ACTED, GCP_TAKE_OUT, LOST("reset"));
	cr_expect_str_eq(fact("at"), "leaving");
	cr_expect_eq(LOOKED(GCP_PUT_BACK, 200, INSTANCE("TERMINATED", ATTACHED)), FF_M_WAIT);
	cr_expect_null(json_object_get(k.facts, "see"));
	k.wall_ms += 60000;
	cr_expect_eq(LOOKED(GCP_PUT_BACK, 200, INSTANCE("TERMINATED", ATTACHED)), FF_M_WAIT);
	cr_expect_str_eq(fact("see"), "disk");
}

/* ---------------------------------------------------------------- claims */

#define LABELLED_AS(id, labels, print) "{\"id\":\"" id "\",\"labels\":{" labels "},\"labelFingerprint\":\"" print "\"}"
#define LABELLED(id, labels)	       LABELLED_AS(id, labels, "bmV3")
#define VM_ID			       "513480616758239408"
#define DISK_ID			       "6065357928630931884"

Test(gcp_flow, a_claim_is_told_by_the_label)
{
	cr_expect_eq(LOOKED(GCP_CLAIM, 200, LABELLED(VM_ID, "\"env\":\"dev\"")), FF_M_NOT_DONE);
	cr_expect_str_eq(fact("labels/env"), "dev", "fresh labels, fresh fingerprint");
	cr_expect_str_eq(fact("fingerprint"), "bmV3");
	cr_expect_eq(LOOKED(GCP_CLAIM, 200, LABELLED(VM_ID, "\"fixfleet-run\":\"r1\"")), FF_M_DONE);
	cr_expect_eq(LOOKED(GCP_CLAIM, 200, LABELLED(VM_ID, "\"fixfleet-run\":\"r0\"")), FF_M_FAILED);
	cr_expect_eq(k.v.err.class, FF_E_CONFLICT);
	cr_expect_not_null(strstr(k.v.err.text, "'r0'"));
	ff_json_set_str(k.facts, "of", "r0");
	cr_expect_eq(LOOKED(GCP_CLAIM, 200, LABELLED(VM_ID, "\"fixfleet-run\":\"r0\"")), FF_M_NOT_DONE, "it has ended");
	json_object_del(k.facts, "of");
	cr_expect_eq(LOOKED(GCP_CLAIM, 200, LABELLED("1", "\"fixfleet-run\":\"r1\"")), FF_M_FAILED, "another VM");
	cr_expect_eq(k.v.err.class, FF_E_GONE);
}

Test(gcp_flow, a_claim_of_the_disk_leaves_the_rest_of_its_record)
{
	cr_expect_eq(LOOKED(GCP_CLAIM_DISK, 200, LABELLED(DISK_ID, "\"x\":\"y\"")), FF_M_NOT_DONE);
	cr_expect_str_eq(fact("disk/labels/x"), "y");
	cr_expect_str_eq(fact("disk/fingerprint"), "bmV3");
	cr_expect_str_eq(fact("disk/path"), DISK);
	cr_expect_eq(ff_json_int(k.facts, "disk/size_gb", 0), 50);
	cr_expect_str_eq(fact("labels/env"), "prod", "the VM's are its own");
	cr_expect_eq(LOOKED(GCP_CLAIM_DISK, 200, LABELLED(VM_ID, "\"x\":\"y\"")), FF_M_FAILED, "another disk");
}

Test(gcp_flow, a_release_ends_when_no_claim_of_ours_is_there)
{
	cr_expect_eq(LOOKED(GCP_RELEASE, 200, LABELLED(VM_ID, "\"fixfleet-run\":\"r1\"")), FF_M_NOT_DONE);
	cr_expect_str_eq(fact("fingerprint"), "bmV3");
	cr_expect_eq(LOOKED(GCP_RELEASE, 200, LABELLED_AS(VM_ID, "", "b2xk")), FF_M_DONE);
	cr_expect_eq(
		LOOKED(GCP_RELEASE, 200, LABELLED(VM_ID, "\"fixfleet-run\":\"r0\"")), FF_M_DONE, "not ours to remove");
	cr_expect_eq(LOOKED(GCP_RELEASE, 404, "{}"), FF_M_DONE);
	cr_expect_eq(LOOKED(GCP_RELEASE, 200, LABELLED("1", "\"fixfleet-run\":\"r1\"")), FF_M_DONE, "another VM's");
	cr_expect_eq(LOOKED(GCP_RELEASE_DISK, 200, LABELLED(DISK_ID, "\"fixfleet-run\":\"r1\"")), FF_M_NOT_DONE);
}

/* seed 900001289: the answer to the claim was cut off, and the claim came when its release had found none */
Test(gcp_flow, a_claim_whose_answer_was_lost_may_still_come)
{
	kit_read(cloud, &k, KIT_ACTED, GCP_CLAIM, LOST("reset"));
	cr_expect_eq(LOOKED(GCP_RELEASE, 200, LABELLED_AS(VM_ID, "\"env\":\"prod\"", "42WmSpB8rSM=")), FF_M_WAIT);
	k.wall_ms += 59000;
	cr_expect_eq(LOOKED(GCP_RELEASE, 200, LABELLED_AS(VM_ID, "\"env\":\"prod\"", "42WmSpB8rSM=")), FF_M_WAIT);
	k.wall_ms += 1000;
	cr_expect_eq(LOOKED(GCP_RELEASE, 200, LABELLED_AS(VM_ID, "\"env\":\"prod\"", "42WmSpB8rSM=")), FF_M_DONE);
	cr_expect_null(json_object_get(k.facts, "unsure"));
}

/* The operation that the act began is asked for by the look of what undoes it, until it is over. */
static void expect_waits_for_what_is_under_way(int act, int look)
{
	struct ff_ask ask;

	cr_assert_eq(ACTED(act, 200, OPERATION("PENDING", "")), FF_M_STARTED);
	ask = kit_look(cloud, &k, look);
	kit_ask_is(&ask, "GET", ZONE "/operations/operation-1");
	ff_ask_release(&ask);
	cr_expect_eq(LOOKED(look, 200, OPERATION("RUNNING", "")), FF_M_WAIT);
	cr_expect_not_null(fact("op/path"));
	cr_expect_eq(LOOKED(look, 200, OPERATION("DONE", "")), FF_M_WAIT);
	cr_expect_null(fact("op/path"));
}

/* seed 900003402: the claim took longer than patience for it, and its release found none */
Test(gcp_flow, a_claim_that_is_under_way_is_waited_for_before_its_release)
{
	expect_waits_for_what_is_under_way(GCP_CLAIM, GCP_RELEASE);
	cr_expect_eq(LOOKED(GCP_RELEASE, 200, LABELLED(VM_ID, "\"fixfleet-run\":\"r1\"")), FF_M_NOT_DONE);
}

/* ---------------------------------------------------------------- stop, take out */

#define OTHER_DISK "{\"boot\":true,\"deviceName\":\"x\",\"source\":\"" GOOGLE ZONE "/disks/other\"}"
#define AS_DATA	   "{\"boot\":false,\"deviceName\":\"x\",\"source\":\"" GOOGLE DISK "\"}"
#define NO_DISK	   ""

Test(gcp_flow, only_the_vm_that_was_found_is_stopped)
{
	static const struct {
		const char *body;
		enum ff_meaning meaning;
	} cases[] = {
		{INSTANCE("RUNNING", ATTACHED), FF_M_WAIT}, /* its serial output comes next */
		{INSTANCE("TERMINATED", ATTACHED), FF_M_DONE},
		{INSTANCE("STOPPED", ATTACHED), FF_M_DONE},
		{INSTANCE("STOPPING", ATTACHED), FF_M_WAIT},
		{INSTANCE("PENDING_STOP", ATTACHED), FF_M_WAIT},
		{INSTANCE("REPAIRING", ATTACHED), FF_M_WAIT},
		{INSTANCE("A_NEW_ONE", ATTACHED), FF_M_WAIT},
		{INSTANCE("SUSPENDED", ATTACHED), FF_M_FAILED},
		{INSTANCE("RUNNING", OTHER_DISK), FF_M_FAILED},
		{INSTANCE("RUNNING", AS_DATA), FF_M_FAILED},
		{INSTANCE("RUNNING", NO_DISK), FF_M_FAILED},
		{"{\"id\":\"1\",\"status\":\"RUNNING\"}", FF_M_FAILED},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_expect_eq(LOOKED(GCP_STOP, 200, cases[i].body), cases[i].meaning, "%s", cases[i].body);
		cr_expect_eq(fact("see") != NULL, i == 0, "%s", cases[i].body);
		json_object_del(k.facts, "see");
	}
}

#define SERIAL(text) "{\"contents\":\"" text "\",\"start\":\"0\",\"next\":\"1000\"}"
#define BOOT	     "SeaBIOS (version 1)\\n"

Test(gcp_flow, what_has_come_up_since_it_was_found_is_not_stopped)
{
	static const struct {
		int status;
		const char *body;
		enum ff_meaning meaning;
	} cases[] = {
		{200, SERIAL(BOOT BOOT BOOT), FF_M_NOT_DONE},
		{200, SERIAL(BOOT), FF_M_WAIT}, /* started again: it may be mended */
		{200, SERIAL("GCEGuestAgent: old\\n" BOOT BOOT BOOT), FF_M_NOT_DONE},
		{200, SERIAL(BOOT BOOT BOOT "GCEGuestAgent: up\\n"), FF_M_FAILED},
		{503, "{}", FF_M_WAIT},
		{403, HTTP_ERROR("403", "forbidden", "no"), FF_M_FAILED},
	};
	struct ff_ask ask = {0};
	struct ff_err err;

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		json_object_del(k.facts, "see");
		LOOKED(GCP_STOP, 200, INSTANCE("RUNNING", ATTACHED));
		cr_expect_eq(LOOKED(GCP_STOP, cases[i].status, cases[i].body), cases[i].meaning, "%s", cases[i].body);
	}
	LOOKED(GCP_STOP, 200, SERIAL(BOOT "GCEGuestAgent: up\\n"));
	cr_expect_eq(k.v.err.class, FF_E_CONFLICT);
	cr_assert_eq(gcp_stop_look(cloud, &k.m, &ask, &err), 0);
	cr_expect_not_null(strstr(ask.url, "/serialPort?"), "%s", ask.url);
	ff_ask_release(&ask);
	LOOKED(GCP_STOP, 200, SERIAL(BOOT BOOT BOOT));
	cr_expect_null(fact("see"), "the next look is at the VM again");
}

Test(gcp_flow, who_is_repaired_in_any_case_is_not_asked_how_it_is)
{
	k.vm.health = FF_SUSPECT;
	cr_expect_eq(LOOKED(GCP_STOP, 200, INSTANCE("RUNNING", ATTACHED)), FF_M_NOT_DONE);
	k.vm.health = FF_AFFECTED;
	ff_json_set_str(k.facts, "of", "r0");
	cr_expect_eq(LOOKED(GCP_STOP, 200, INSTANCE("RUNNING", ATTACHED)), FF_M_NOT_DONE, "a rollback");
}

Test(gcp_flow, the_attachment_is_recorded_afresh_before_the_stop)
{
	LOOKED(GCP_STOP, 200,
		INSTANCE("RUNNING",
			"{\"boot\":true,\"deviceName\":\"renamed\",\"interface\":\"NVME\",\"mode\":\"READ_WRITE\","
			"\"type\":\"PERSISTENT\",\"source\":\"" BASE DISK "\"}"));
	cr_expect_str_eq(fact("boot/deviceName"), "renamed");
	cr_expect_str_eq(fact("boot/interface"), "NVME");
	cr_expect_not(ff_json_bool(k.facts, "boot/autoDelete", true));
	cr_expect_str_eq(fact("boot/source"), BASE DISK, "the URL that was read");
}

Test(gcp_flow, only_a_stopped_vms_own_boot_disk_is_taken_out)
{
	static const struct {
		const char *body;
		enum ff_meaning meaning;
	} cases[] = {
		{INSTANCE("TERMINATED", ATTACHED), FF_M_NOT_DONE},
		{INSTANCE("STOPPING", ATTACHED), FF_M_WAIT},
		{INSTANCE("RUNNING", ATTACHED), FF_M_FAILED},
		{INSTANCE("TERMINATED", NO_DISK), FF_M_DONE},
		{INSTANCE("TERMINATED", OTHER_DISK), FF_M_FAILED},
		{INSTANCE("TERMINATED", AS_DATA), FF_M_FAILED},
		{INSTANCE("TERMINATED", "{\"boot\":true,\"deviceName\":\"other\",\"source\":\"" GOOGLE DISK "\"}"),
			FF_M_FAILED},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++)
		cr_expect_eq(LOOKED(GCP_TAKE_OUT, 200, cases[i].body), cases[i].meaning, "%s", cases[i].body);
}

#define CLAIMED(status, disks, run)                                                                                    \
	"{\"id\":\"513480616758239408\",\"name\":\"vm1\",\"status\":\"" status                                         \
	"\",\"labels\":{\"fixfleet-run\":\"" run                                                                       \
	"\",\"fixfleet-by\":\"eve\"},\"labelFingerprint\":\"bmV3\",\"disks\":[" disks "]}"

/* Another run was told to take it over: what this one has not begun it leaves alone, and a disk on its way comes home.
 */
Test(gcp_flow, a_vm_that_was_taken_over_is_left_alone_until_its_disk_is_out)
{
	static const struct {
		int row;
		const char *at, *body;
		enum ff_meaning meaning;
	} cases[] = {
		{GCP_STOP, NULL, CLAIMED("RUNNING", ATTACHED, "r2"), FF_M_FAILED},
		{GCP_STOP, NULL, CLAIMED("TERMINATED", ATTACHED, "r2"), FF_M_FAILED},
		{GCP_STOP, NULL, CLAIMED("TERMINATED", ATTACHED, "r1"), FF_M_DONE},
		{GCP_TAKE_OUT, NULL, CLAIMED("TERMINATED", ATTACHED, "r2"), FF_M_FAILED},
		{GCP_TAKE_OUT, NULL, CLAIMED("TERMINATED", NO_DISK, "r2"), FF_M_FAILED},
		{GCP_TAKE_OUT, NULL, CLAIMED("TERMINATED", ATTACHED, "r1"), FF_M_NOT_DONE},
		{GCP_TAKE_OUT, "leaving", CLAIMED("TERMINATED", NO_DISK, "r2"), FF_M_DONE},
		{GCP_PUT_BACK, "loose", CLAIMED("TERMINATED", NO_DISK, "r2"), FF_M_NOT_DONE},
		{GCP_TAKE_NEW_OUT, NULL, CLAIMED("TERMINATED", ATTACHED, "r2"), FF_M_NOT_DONE},
	};

	ff_json_set_new(k.facts, "new", json_pack("{s:s}", "source", GOOGLE DISK));
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		json_object_del(k.facts, "at");
		ff_json_set_str(k.facts, "at", cases[i].at);
		cr_expect_eq(
			LOOKED(cases[i].row, 200, cases[i].body), cases[i].meaning, "case %zu: %s", i, k.v.err.text);
		if (cases[i].meaning == FF_M_FAILED) {
			cr_expect_eq(k.v.err.class, FF_E_CONFLICT, "case %zu", i);
			cr_expect_str_eq(k.v.err.text, "it was taken over by run 'r2' of eve", "case %zu", i);
		}
	}
}

/* ---------------------------------------------------------------- backup */

static char *snapshot(const char *status, const char *run, const char *disk)
{
	return ff_printf("{\"status\":\"%s\",\"labels\":{\"fixfleet-run\":\"%s\"},\"sourceDisk\":\"" GOOGLE "%s\"}",
		status, run, disk);
}

Test(gcp_flow, a_backup_is_there_when_it_is_ready_and_ours)
{
	static const struct {
		const char *status, *run, *disk;
		enum ff_meaning meaning;
	} cases[] = {
		{"READY", "r1", DISK, FF_M_DONE},
		{"CREATING", "r1", DISK, FF_M_WAIT},
		{"UPLOADING", "r1", DISK, FF_M_WAIT},
		{"FAILED", "r1", DISK, FF_M_FAILED},
		{"READY", "r0", DISK, FF_M_FAILED},
		{"READY", "r1", ZONE "/disks/other", FF_M_FAILED},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *body = snapshot(cases[i].status, cases[i].run, cases[i].disk);

		cr_expect_eq(LOOKED(GCP_BACKUP, 200, body), cases[i].meaning, "%s", body);
	}
	cr_expect_eq(LOOKED(GCP_BACKUP, 404, "{}"), FF_M_NOT_DONE);
	cr_expect_eq(k.v.err.text[0], '\0', "nothing went wrong");
}

Test(gcp_flow, without_a_backup_the_step_is_done_by_its_look)
{
	cloud->no_backup = true;
	cr_expect_eq(LOOKED(GCP_BACKUP, 200, DISK_OF("READY", "")), FF_M_DONE);
	cr_expect_eq(LOOKED(GCP_BACKUP, 404, "{}"), FF_M_FAILED, "the disk is gone");
}

/* ---------------------------------------------------------------- attach, detach */

#define BY(who) "\"" GOOGLE who "\""

Test(gcp_flow, who_has_the_disk_decides)
{
	static const struct {
		const char *body;
		enum ff_meaning attach, detach;
	} cases[] = {
		{DISK_OF("READY", ""), FF_M_NOT_DONE, FF_M_DONE},
		{DISK_OF("RESTORING", ""), FF_M_WAIT, FF_M_DONE},
		{DISK_OF("READY", BY(RESCUE)), FF_M_DONE, FF_M_NOT_DONE},
		{DISK_OF("READY", BY(VM_PATH)), FF_M_WAIT, FF_M_DONE},
		{DISK_OF("READY", BY(ZONE "/instances/other")), FF_M_FAILED, FF_M_FAILED},
		{DISK_OF("READY", BY(RESCUE) "," BY(ZONE "/instances/other")), FF_M_FAILED, FF_M_FAILED},
		{DISK_OF("READY", "5"), FF_M_FAILED, FF_M_FAILED},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		cr_expect_eq(LOOKED(GCP_ATTACH, 200, cases[i].body), cases[i].attach, "%s", cases[i].body);
		cr_expect_eq(LOOKED(GCP_DETACH, 200, cases[i].body), cases[i].detach, "%s", cases[i].body);
	}
}

/* ---------------------------------------------------------------- put back */

Test(gcp_flow, the_disk_is_home_when_vm_and_disk_agree_on_it)
{
	cr_expect_eq(LOOKED(GCP_PUT_BACK, 200, INSTANCE("TERMINATED", ATTACHED)), FF_M_WAIT);
	cr_expect_str_eq(fact("see"), "disk");
	cr_expect_eq(LOOKED(GCP_PUT_BACK, 200, DISK_OF("READY", "")), FF_M_WAIT, "not yet");
	cr_expect_null(fact("see"), "both are asked again");
	LOOKED(GCP_PUT_BACK, 200, INSTANCE("TERMINATED", ATTACHED));
	ff_json_set_str(k.facts, "at", "returning");
	cr_expect_eq(LOOKED(GCP_PUT_BACK, 200, DISK_OF("READY", BY(VM_PATH))), FF_M_DONE);
	cr_expect_null(fact("at"));
	cr_expect_null(fact("see"));
}

#define ATTACHED_AS(device, mode, interface, more)                                                                     \
	"{\"boot\":true,\"deviceName\":\"" device "\",\"mode\":\"" mode                                                \
	"\",\"interface\":\"" interface "\",\"type\":\"PERSISTENT\",\"source\":\"" GOOGLE DISK "\"" more "}"

Test(gcp_flow, every_attribute_is_compared)
{
	static const struct {
		const char *body;
		enum ff_meaning meaning;
		const char *text;
	} cases[] = {
		{INSTANCE("TERMINATED", ATTACHED_AS("persistent-disk-0", "READ_WRITE", "SCSI", ",\"autoDelete\":true")),
			FF_M_WAIT, ""},
		{INSTANCE("TERMINATED", ATTACHED_AS("other", "READ_WRITE", "SCSI", ",\"autoDelete\":true")),
			FF_M_FAILED, "its deviceName is 'other' and was 'persistent-disk-0'"},
		{INSTANCE("TERMINATED", ATTACHED_AS("persistent-disk-0", "READ_ONLY", "SCSI", ",\"autoDelete\":true")),
			FF_M_FAILED, "its mode is 'READ_ONLY'"},
		{INSTANCE("TERMINATED", ATTACHED_AS("persistent-disk-0", "READ_WRITE", "NVME", ",\"autoDelete\":true")),
			FF_M_FAILED, "its interface is 'NVME'"},
		{INSTANCE("TERMINATED", OTHER_DISK), FF_M_FAILED, "another boot disk"},
		{INSTANCE("TERMINATED", AS_DATA), FF_M_FAILED, "as a data disk"},
		{INSTANCE("TERMINATED", NO_DISK), FF_M_NOT_DONE, ""},
		{INSTANCE("STOPPING", NO_DISK), FF_M_WAIT, ""},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		json_object_del(k.facts, "see");
		cr_expect_eq(LOOKED(GCP_PUT_BACK, 200, cases[i].body), cases[i].meaning, "%s", cases[i].body);
		cr_expect_not_null(strstr(k.v.err.text, cases[i].text), "%s", k.v.err.text);
	}
}

Test(gcp_flow, a_lost_auto_delete_is_set_again)
{
	struct ff_ask ask;

	cr_expect_eq(LOOKED(GCP_PUT_BACK, 200,
			     INSTANCE("TERMINATED", ATTACHED_AS("persistent-disk-0", "READ_WRITE", "SCSI", ""))),
		FF_M_NOT_DONE);
	ask = kit_act(cloud, &k, GCP_PUT_BACK);
	cr_expect_not_null(strstr(ask.url, "/setDiskAutoDelete?autoDelete=true&"), "%s", ask.url);
	ff_ask_release(&ask);
	ACTED(GCP_PUT_BACK, 200, OPERATION("DONE", ""));
	cr_expect_null(fact("cure"));
	/* and should the disk be gone again, it is attached, not flagged */
	ff_json_set_str(k.facts, "cure", "auto-delete");
	LOOKED(GCP_PUT_BACK, 200, INSTANCE("TERMINATED", NO_DISK));
	ask = kit_act(cloud, &k, GCP_PUT_BACK);
	cr_expect_not_null(strstr(ask.url, "/attachDisk?"), "%s", ask.url);
	ff_ask_release(&ask);
}

Test(gcp_flow, what_was_seen_before_an_act_proves_nothing_after_it)
{
	LOOKED(GCP_PUT_BACK, 200, INSTANCE("TERMINATED", ATTACHED));
	cr_expect_str_eq(fact("see"), "disk");
	ACTED(GCP_PUT_BACK, 200, OPERATION("PENDING", ""));
	cr_expect_null(fact("see"));
	cr_expect_str_eq(fact("at"), "returning");
}

/* ---------------------------------------------------------------- start, verify */

Test(gcp_flow, a_vm_whose_boot_disk_is_not_back_is_not_started)
{
	static const struct {
		const char *body;
		enum ff_meaning meaning;
	} cases[] = {
		{INSTANCE("TERMINATED", NO_DISK), FF_M_FAILED},
		{INSTANCE("TERMINATED", OTHER_DISK), FF_M_FAILED},
		{INSTANCE("TERMINATED", AS_DATA), FF_M_FAILED},
		{INSTANCE("RUNNING", ATTACHED), FF_M_DONE},
		{INSTANCE("STAGING", ATTACHED), FF_M_WAIT},
		{INSTANCE("TERMINATED", ATTACHED), FF_M_WAIT},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		json_object_del(k.facts, "see");
		cr_expect_eq(LOOKED(GCP_START, 200, cases[i].body), cases[i].meaning, "%s", cases[i].body);
		cr_expect_eq(k.v.away, cases[i].meaning == FF_M_FAILED, "%s", cases[i].body);
	}
	cr_expect_str_eq(fact("see"), "serial", "then where its output ends");
	cr_expect_eq(
		LOOKED(GCP_START, 200, "{\"contents\":\"x\",\"start\":\"142670\",\"next\":\"142671\"}"), FF_M_NOT_DONE);
	cr_expect_eq(ff_json_int(k.facts, "serial_mark", -1), 142671);
	cr_expect_null(fact("see"));
}

Test(gcp_flow, a_stop_that_is_under_way_is_waited_for_before_the_start)
{
	expect_waits_for_what_is_under_way(GCP_STOP, GCP_START);
	cr_expect_eq(LOOKED(GCP_START, 200, INSTANCE("RUNNING", ATTACHED)), FF_M_DONE);
}

/* a snapshot that did not get done kept its VM from being started */
Test(gcp_flow, a_snapshot_that_is_under_way_keeps_no_vm_from_its_start)
{
	struct ff_ask ask;

	cr_assert_eq(ACTED(GCP_BACKUP, 200, OPERATION("PENDING", "")), FF_M_STARTED);
	ask = kit_look(cloud, &k, GCP_START);
	kit_ask_is(&ask, "GET", VM_PATH);
	ff_ask_release(&ask);
	cr_expect_eq(LOOKED(GCP_START, 200, INSTANCE("TERMINATED", ATTACHED)), FF_M_WAIT);
	cr_expect_str_eq(fact("see"), "serial");
}

Test(gcp_flow, a_stopped_vm_may_have_no_serial_output)
{
	ff_json_set_str(k.facts, "see", "serial");
	cr_expect_eq(LOOKED(GCP_START, 400, HTTP_ERROR("400", "resourceNotReady", "not ready")), FF_M_NOT_DONE);
	cr_expect_eq(ff_json_int(k.facts, "serial_mark", -1), 0);
}

#define OUTPUT(text, start, next) "{\"contents\":\"" text "\",\"start\":\"" start "\",\"next\":\"" next "\"}"

Test(gcp_flow, only_output_after_the_start_proves_that_windows_is_up)
{
	ff_json_set_int(k.facts, "serial_mark", 1000);
	cr_expect_eq(LOOKED(GCP_VERIFY, 200, INSTANCE("RUNNING", ATTACHED)), FF_M_WAIT);
	cr_expect_str_eq(fact("see"), "serial");
	cr_expect_eq(LOOKED(GCP_VERIFY, 200, OUTPUT("GCEGuestAgent: old\\n", "900", "1000")), FF_M_WAIT);
	cr_expect_gt(k.v.wait_ms, 1000);
	cr_expect_eq(LOOKED(GCP_VERIFY, 200, OUTPUT("SeaBIOS (version 1)\\n", "1000", "1020")), FF_M_WAIT);
	cr_expect_eq(LOOKED(GCP_VERIFY, 200, OUTPUT("SeaBIOS (version 1)\\nGCEGuestAgent: new\\n", "1000", "1040")),
		FF_M_DONE);
	cr_expect_null(json_object_get(k.facts, "serial_mark"));
	cr_expect_null(fact("see"));
}

Test(gcp_flow, the_vm_itself_is_looked_at_again_now_and_then)
{
	int rounds = 0;

	LOOKED(GCP_VERIFY, 200, INSTANCE("RUNNING", ATTACHED));
	while (fact("see") != NULL && rounds < 100) {
		LOOKED(GCP_VERIFY, 200, OUTPUT("", "0", "0"));
		rounds++;
	}
	cr_expect_lt(rounds, 10);
	cr_expect_gt(rounds, 2);
	cr_expect_eq(LOOKED(GCP_VERIFY, 200, INSTANCE("TERMINATED", ATTACHED)), FF_M_FAILED);
	cr_expect_not_null(strstr(k.v.err.text, "TERMINATED"));
}

Test(gcp_flow, without_serial_output_nothing_is_claimed_to_be_proved)
{
	LOOKED(GCP_VERIFY, 200, INSTANCE("RUNNING", ATTACHED));
	cr_expect_eq(LOOKED(GCP_VERIFY, 403, HTTP_ERROR("403", "forbidden", "no")), FF_M_FAILED);
	cr_expect_not_null(strstr(k.v.err.text, "cannot be read"), "%s", k.v.err.text);
	json_object_del(k.facts, "see");
	cr_expect_eq(LOOKED(GCP_VERIFY, 200, INSTANCE("RUNNING", OTHER_DISK)), FF_M_FAILED);
}

/* ---------------------------------------------------------------- there and back */

static void through(int step)
{
	cr_expect_eq(ACTED(step, 200, OPERATION("RUNNING", "")), FF_M_STARTED, "%s", ff_gcp.steps[step].name);
	cr_expect_eq(POLLED(step, 200, OPERATION("DONE", "")), FF_M_DONE, "%s", ff_gcp.steps[step].name);
}

Test(gcp_flow, where_the_disk_is_is_known_at_every_moment)
{
	ff_auto_json json_t *before = json_deep_copy(k.facts);

	cr_expect_null(fact("at"));
	ACTED(GCP_TAKE_OUT, 200, OPERATION("PENDING", ""));
	cr_expect_str_eq(fact("at"), "leaving");
	through(GCP_TAKE_OUT);
	cr_expect_str_eq(fact("at"), "loose");
	ACTED(GCP_ATTACH, 200, OPERATION("PENDING", ""));
	cr_expect_str_eq(fact("at"), "arriving");
	cr_expect_str_eq(fact("rescue"), RESCUE);
	through(GCP_ATTACH);
	cr_expect_str_eq(fact("at"), "rescue");
	through(GCP_DETACH);
	cr_expect_str_eq(fact("at"), "loose");
	through(GCP_PUT_BACK);
	cr_expect_str_eq(fact("at"), "returning", "until it was read again");
	LOOKED(GCP_PUT_BACK, 200, INSTANCE("TERMINATED", ATTACHED));
	LOOKED(GCP_PUT_BACK, 200, DISK_OF("READY", BY(VM_PATH)));
	cr_expect_null(fact("at"));
	cr_expect(json_equal(k.facts, before), "nothing is left over");
}

/* ---------------------------------------------------------------- recorded answers, which only some machines have */

Test(gcp_flow, recorded_operations_are_read)
{
	static const struct {
		const char *file;
		int step;
		enum ff_meaning meaning;
		const char *op;
	} cases[] = {
		{"instance-stop/"
		 "post-compute-v1-projects-cloud-custodian-zones-us-central1-c-instances-instance-1-stop_1",
			GCP_STOP, FF_M_STARTED,
			"projects/cloud-custodian/zones/us-central1-c/operations/"
			"operation-1533298821393-57286f3956a69-7fe72172-a282995b"},
		{"instance-detach-disks/"
		 "post-compute-v1-projects-cloud-custodian-zones-us-central1-a-instances-test-ingwar-detachDisk_1",
			GCP_DETACH, FF_M_STARTED,
			"projects/cloud-custodian/zones/us-central1-a/operations/"
			"operation-1581376532153-59e40ea748515-ab1d82f7-abc42cd4"},
		{"disk-label/"
		 "post-compute-v1-projects-cloud-custodian-zones-us-central1-c-disks-test-ingwar-setLabels_1",
			GCP_CLAIM_DISK, FF_M_DONE, NULL},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *path = ff_printf("recorded/gcp/flights/%s.json", cases[i].file), *body = NULL;
		ff_auto_json json_t *recorded = kit_shared(path);

		if (recorded == NULL)
			cr_skip_test("no ../shared/recorded/gcp");
		body = ff_json_text(json_object_get(recorded, "body"));
		cr_expect_eq(ACTED(cases[i].step, 200, body), cases[i].meaning, "%s", cases[i].file);
		cr_expect(ff_streq(fact("op/path"), cases[i].op), "%s", fact("op/path"));
		json_object_del(k.facts, "op");
	}
}

Test(gcp_flow, a_recorded_instance_is_read)
{
	ff_auto_json json_t *recorded =
		kit_shared("recorded/gcp/flights/instance-get/"
			   "get-compute-v1-projects-cloud-custodian-zones-us-central1-b-instances-c7n-jenkins_1.json");
	ff_auto_free char *body = NULL;
	const json_t *attached = NULL;
	json_t *instance;

	if (recorded == NULL)
		cr_skip_test("no ../shared/recorded/gcp");
	instance = json_object_get(recorded, "body");
	ff_json_set_str(k.facts, "id", ff_json_str(instance, "id"));
	ff_json_set_new(k.facts, "boot", gcp_boot_record(ff_json_at(instance, "disks/0")));
	cr_expect_eq(gcp_home_of(instance, fact("boot/source"), &attached), GCP_HOME);
	body = ff_json_text(instance);
	cr_expect_eq(LOOKED(GCP_STOP, 200, body), FF_M_WAIT);
	cr_expect_eq(LOOKED(GCP_PUT_BACK, 200, body), FF_M_WAIT, "home, with all its attributes");
	cr_expect_str_eq(fact("see"), "disk");
}
