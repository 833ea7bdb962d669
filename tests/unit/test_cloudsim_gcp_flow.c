/* The way home of one machine of GCP, as a proper client goes it, and as it should not be gone. */
#include "test_cloudsim_gcp.h"

#include <sys/wait.h>
#include <unistd.h>

#define FLEET                                                                                                          \
	GSCENE("'vms':["                                                                                               \
	       "{'name':'vm1','labels':{'env':'prod'},'external_ip':'ephemeral','display':true,'boot':{'bad':true}},"  \
	       "{'name':'vm2','boot':{'name':'disk2','device_name':'sda','auto_delete':false,'interface':'NVME'}},"    \
	       "{'name':'rescue1','os':'Linux','labels':{'fixfleet-role':'rescue'}}]")

static void take_out(struct kit *k, bool mend)
{
	gk_claim(k, "vm1", true);
	gk_must(k, GVM("vm1") "/stop", NULL);
	gk_must(k, GDISK("vm1") "/createSnapshot?guestFlush=false",
		"{\"name\":\"fixfleet-r1-vm1\",\"labels\":{\"fixfleet-run\":\"r1\"},\"storageLocations\":[\"us-"
		"central1\"]}");
	gk_must(k, GVM("vm1") "/detachDisk?deviceName=persistent-disk-0", NULL);
	gk_must(k, GVM("rescue1") "/attachDisk", ATTACH_VM1_TO_RESCUE);
	if (mend)
		cr_assert_eq(sim_set_bad(k->sim, "vm1", false), 0);
	gk_must(k, GVM("rescue1") "/detachDisk?deviceName=fixfleet-17", NULL);
}

static void go_home(struct kit *k)
{
	gk_must(k, GVM("vm1") "/attachDisk", VM1_HOME);
	gk_must(k, GVM("vm1") "/start", NULL);
	k->now += 60000;
}

static bool serial_says(struct kit *k, const char *words)
{
	cr_assert_eq(kit_ask(k, "GET", GVM("vm1") "/serialPort?port=1&start=0", NULL), 200);
	return strstr(ff_json_str(k->body, "contents"), words) != NULL;
}

Test(cloudsim_gcp_flow, a_machine_comes_home_mended_and_nothing_was_violated)
{
	struct kit k = gk_open(FLEET);

	cr_assert_not(serial_says(&k, "GCEGuestAgent"));
	take_out(&k, true);
	cr_assert_str_eq(gk_status(&k, GVM("vm1")), "TERMINATED");
	go_home(&k);
	cr_assert_str_eq(gk_status(&k, GVM("vm1")), "RUNNING");
	cr_assert(ff_json_bool(k.body, "disks/0/autoDelete", false));
	cr_assert_str_eq(ff_json_str(k.body, "disks/0/deviceName"), "persistent-disk-0");
	cr_assert(serial_says(&k, "GCEGuestAgent"), "the guest agent speaks");
	gk_claim(&k, "vm1", false);
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}

#define NEW_HOME                                                                                                       \
	"{\"source\":\"" ZONE_ID                                                                                       \
	"/disks/vm1-new\",\"boot\":true,\"deviceName\":\"persistent-disk-0\",\"autoDelete\":true}"

/* While it is away nothing else is its boot disk either: only the one that it had last must stay. */
Test(cloudsim_gcp_flow, the_boot_disk_that_is_away_must_not_be_deleted_the_one_that_it_replaced_may)
{
	struct kit k = gk_open(FLEET);

	take_out(&k, true);
	k.now += 60000;
	gk_must(&k, GZ "/disks",
		"{\"name\":\"vm1-new\",\"sourceSnapshot\":\"projects/p1/global/snapshots/fixfleet-r1-vm1\",\"labels\":{"
		"\"fixfleet-run\":\"r1\"}}");
	gk_must(&k, GVM("vm1") "/attachDisk", NEW_HOME);
	gk_must(&k, GVM("vm1") "/detachDisk?deviceName=persistent-disk-0", NULL);
	cr_assert_eq(kit_ask(&k, "DELETE", GDISK("vm1"), NULL), 200);
	gk_end(&k);
	cr_assert_not(kit_violated(&k, "has no other boot disk"));
	cr_assert_eq(kit_ask(&k, "DELETE", GDISK("vm1-new"), NULL), 200);
	cr_assert(kit_violated(&k, "disk 'vm1-new' was deleted while 'vm1' has no other boot disk"));
	kit_close(&k);
}

Test(cloudsim_gcp_flow, a_disk_that_was_not_mended_boot_loops)
{
	struct kit k = gk_open(FLEET);
	const char *text;
	size_t banners = 0;

	take_out(&k, false);
	go_home(&k);
	k.now += 600000;
	cr_assert_not(serial_says(&k, "GCEGuestAgent"));
	text = ff_json_str(k.body, "contents");
	while ((text = strstr(text, "BdsDxe: starting Boot")) != NULL) {
		text++;
		banners++;
	}
	cr_assert_geq(banners, 10, "one every forty seconds, %zu seen", banners);
	kit_close(&k);
}

Test(cloudsim_gcp_flow, attach_without_its_attributes_loses_them_and_is_seen)
{
	struct kit k = gk_open(FLEET);

	take_out(&k, true);
	gk_must(&k, GVM("vm1") "/attachDisk",
		"{\"source\":\"projects/p1/zones/us-central1-a/disks/vm1\",\"boot\":true}");
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	cr_assert_str_eq(ff_json_str(k.body, "disks/0/deviceName"), "persistent-disk-0", "the default");
	cr_assert_not(ff_json_bool(k.body, "disks/0/autoDelete", true));
	cr_assert_eq(kit_violations(&k), 0, "not yet at rest");
	gk_must(&k, GVM("vm1") "/start", NULL);
	cr_assert(kit_violated(&k, "another attachment of its boot disk"));
	kit_close(&k);
}

#define ODD_HOME(device, boot_auto, mode, interface)                                                                   \
	"{\"source\":\"" ZONE_ID "/disks/odd\",\"boot\":true,\"deviceName\":\"" device "\",\"autoDelete\":" boot_auto  \
	",\"mode\":\"" mode "\",\"interface\":\"" interface "\"}"

Test(cloudsim_gcp_flow, each_attribute_that_is_lost_is_seen)
{
	static const struct {
		const char *body;
		bool same;
	} cases[] = {
		{ODD_HOME("sda", "false", "READ_ONLY", "NVME"), true},
		{ODD_HOME("sdb", "false", "READ_ONLY", "NVME"), false},
		{ODD_HOME("sda", "true", "READ_ONLY", "NVME"), false},
		{ODD_HOME("sda", "false", "READ_WRITE", "NVME"), false},
		{ODD_HOME("sda", "false", "READ_ONLY", "SCSI"), false},
		{"{\"source\":\"" ZONE_ID "/disks/odd\",\"boot\":true}", false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct kit k = gk_open(
			GSCENE("'vms':[{'name':'odd','power':'stopped','labels':{'fixfleet-run':'r1'},'boot':{"
			       "'device_name':'sda','auto_delete':false,'mode':'READ_ONLY','interface':'NVME'}}]"));

		gk_must(&k, GVM("odd") "/detachDisk?deviceName=sda", NULL);
		gk_must(&k, GVM("odd") "/attachDisk", cases[i].body);
		gk_must(&k, GVM("odd") "/start", NULL);
		cr_assert_eq(kit_violated(&k, "another attachment of its boot disk"), !cases[i].same, "case %zu", i);
		kit_close(&k);
	}
}

Test(cloudsim_gcp_flow, the_flag_alone_can_be_set_afterwards)
{
	struct kit k = gk_open(FLEET);

	take_out(&k, true);
	gk_must(&k, GVM("vm1") "/attachDisk",
		"{\"source\":\"projects/p1/zones/us-central1-a/disks/vm1\",\"boot\":true}");
	gk_must(&k, GVM("vm1") "/setDiskAutoDelete?autoDelete=true&deviceName=persistent-disk-0", NULL);
	gk_must(&k, GVM("vm1") "/start", NULL);
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}

Test(cloudsim_gcp_flow, another_boot_disk_than_its_own_is_a_violation)
{
	struct kit k = gk_open(FLEET);

	take_out(&k, true);
	gk_claim(&k, "vm2", true);
	cr_assert_eq(kit_violations(&k), 0);
	gk_must(&k, GVM("vm2") "/stop", NULL);
	cr_assert(kit_violated(&k, "'vm2' was healthy when it was asked to stop"));
	gk_must(&k, GVM("vm2") "/detachDisk?deviceName=sda", NULL);
	gk_must(&k, GVM("vm1") "/attachDisk",
		"{\"source\":\"projects/p1/zones/us-central1-a/disks/disk2\",\"boot\":true}");
	gk_must(&k, GVM("vm1") "/start", NULL);
	cr_assert(kit_violated(&k, "boot disk 'disk2', which is not its own"));
	kit_close(&k);
}

Test(cloudsim_gcp_flow, what_nobody_claimed_may_not_be_changed)
{
	static const struct {
		const char *target, *body, *words;
	} acts[] = {
		{GVM("vm1") "/stop", NULL, "(stop) without a claim"},
		{GVM("vm1") "/start", NULL, "(start) without a claim"},
		{GVM("vm1") "/setDiskAutoDelete?autoDelete=true&deviceName=persistent-disk-0", NULL,
			"(setDiskAutoDelete)"},
		{GDISK("vm1") "/createSnapshot", "{\"name\":\"s1\"}", "(createSnapshot of its boot disk)"},
	};

	for (size_t i = 0; i < FF_COUNT(acts); i++) {
		struct kit k = gk_open(FLEET);

		gk_do(&k, acts[i].target, acts[i].body);
		cr_assert(kit_violated(&k, acts[i].words), "%s", acts[i].target);
		kit_close(&k);
	}
}

Test(cloudsim_gcp_flow, a_victim_on_the_rescue_machine_with_autoDelete_is_a_violation)
{
	struct kit k = gk_open(FLEET);

	gk_claim(&k, "vm1", true);
	gk_must(&k, GVM("vm1") "/stop", NULL);
	gk_must(&k, GVM("vm1") "/detachDisk?deviceName=persistent-disk-0", NULL);
	gk_must(&k, GVM("rescue1") "/attachDisk",
		"{\"source\":\"projects/p1/zones/us-central1-a/disks/vm1\",\"autoDelete\":true}");
	cr_assert(kit_violated(&k, "attached to 'rescue1' with autoDelete"));
	kit_close(&k);
}

Test(cloudsim_gcp_flow, an_ephemeral_address_is_another_one_after_the_start)
{
	struct kit k = gk_open(FLEET);
	ff_auto_free char *before = NULL;
	ff_auto_json json_t *state = NULL;

	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	before = ff_strdup(ff_json_str(k.body, "networkInterfaces/0/accessConfigs/0/natIP"));
	cr_assert_not_null(before);
	take_out(&k, true);
	go_home(&k);
	cr_assert_eq(kit_ask(&k, "GET", GVM("vm1"), NULL), 200);
	cr_assert_str_neq(ff_json_str(k.body, "networkInterfaces/0/accessConfigs/0/natIP"), before);
	state = sim_state(k.sim);
	cr_assert(ff_json_bool(state, "gcp/vms/0/lost_ip", false));
	kit_close(&k);
}

Test(cloudsim_gcp_flow, humans_stop_detach_label_and_delete)
{
	struct kit k = gk_open(FLEET);
	struct ff_err err = {0};
	ff_auto_json json_t *stop = json_pack("{s:s,s:s}", "op", "stop", "vm", "vm2");
	ff_auto_json json_t *touch = json_pack("{s:s,s:s}", "op", "touch-tags", "vm", "vm2");
	ff_auto_json json_t *detach = json_pack("{s:s,s:s}", "op", "detach", "vm", "vm2");
	ff_auto_json json_t *gone = json_pack("{s:s,s:s}", "op", "delete", "vm", "vm1");

	cr_assert_eq(sim_human(k.sim, k.now, stop, &err), 0);
	cr_assert_eq(sim_human(k.sim, k.now, touch, &err), 0);
	cr_assert_eq(sim_human(k.sim, k.now, detach, &err), -1, "there is no data disk");
	cr_assert_eq(sim_human(k.sim, k.now, gone, &err), 0);
	cr_assert_str_eq(gk_status(&k, GVM("vm2")), "TERMINATED");
	cr_assert_str_eq(ff_json_str(k.body, "labels/touched-by"), "human");
	gk_refuse(&k, "GET", GVM("vm1"), NULL, 404, "notFound", "'" ZONE_ID "/instances/vm1' was not found");
	gk_refuse(&k, "GET", GDISK("vm1"), NULL, 404, "notFound", "was not found");
	cr_assert_eq(kit_ask(&k, "GET", GDISK("disk2"), NULL), 200, "its autoDelete is off");
	cr_assert_eq(kit_violations(&k), 0, "humans may");
	kit_close(&k);
}

/* ---- judged from outside */

static int judge(const char *traffic)
{
	ff_auto_free char *check = ff_strdup(FF_SOURCE_DIR "/../shared/contract/check");
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		execl(check, check, "--no-notes", traffic, (char *)NULL);
		_exit(127);
	}
	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* All that a client reads, in good and bad: each answer must be one that the API description knows. */
static void read_all(struct kit *k)
{
	static const char *const targets[] = {
		GP,
		GP "/zones",
		GZ,
		GP "/aggregated/instances?maxResults=1&returnPartialSuccess=true&includeAllScopes=true",
		GP "/aggregated/disks",
		GP "/aggregated/instanceGroupManagers",
		GP "/aggregated/addresses?includeAllScopes=true",
		GZ "/instances?maxResults=2",
		GZ "/disks",
		GZ "/operations",
		GZ "/instanceGroupManagers",
		GP "/regions/us-central1/instanceGroupManagers",
		GP "/global/operations",
		GP "/global/snapshots",
		GZ "/machineTypes/n2-standard-4",
		GVM("vm1"),
		GVM("vm1") "/serialPort?port=1&start=-100",
		GVM("vm1") "/screenshot",
		GVM("rescue1") "/screenshot",
		GVM("nobody"),
		GP "/zones/nowhere/instances",
	};

	for (size_t i = 0; i < FF_COUNT(targets); i++)
		kit_ask(k, "GET", targets[i], NULL);
	kit_ask(k, "POST", GVM("vm1") "/testIamPermissions", "{\"permissions\":[\"compute.instances.stop\"]}");
	kit_ask(k, "POST", GVM("vm2") "/detachDisk?deviceName=sda&requestId=11111111-2222-4333-9444-000000000001",
		NULL);
	kit_ask(k, "POST", GVM("vm2") "/attachDisk?requestId=11111111-2222-4333-9444-000000000002", VM1_HOME);
	kit_ask(k, "POST", GVM("vm2") "/setLabels?requestId=11111111-2222-4333-9444-000000000003",
		"{\"labels\":{},\"labelFingerprint\":\"AAAAAAAAAAA=\"}");
}

Test(cloudsim_gcp_flow, the_checker_finds_nothing_wrong_with_a_repair)
{
	char name[] = "/tmp/cloudsim-gcp-XXXXXX";
	struct kit k = gk_model(FLEET);
	int fd = mkstemp(name);

	if (access(FF_SOURCE_DIR "/../shared/contract/check", X_OK) != 0) {
		close(fd);
		unlink(name);
		kit_close(&k);
		cr_skip_test("no contract checker beside this tree");
	}
	k.traffic = fdopen(fd, "w");
	cr_assert_eq(gk_login(&k), 200);
	read_all(&k);
	take_out(&k, true);
	read_all(&k);
	go_home(&k);
	read_all(&k);
	gk_claim(&k, "vm1", false);
	cr_assert_eq(
		kit_ask(&k, "DELETE", GSNAP("fixfleet-r1-vm1") "?requestId=11111111-2222-4333-9444-000000000009", NULL),
		200);
	gk_end(&k);
	fclose(k.traffic);
	cr_assert_eq(judge(name), 0);
	unlink(name);
	cr_assert_eq(kit_violations(&k), 0);
	kit_close(&k);
}
