/* What EC2 tells: lists, filters, pages, lags, status checks. */
#include "test_cloudsim_aws_kit.h"

#define LAGS "'lag_ms':{'instances':3000,'status':4000,'volumes':1000,'snapshots':2000,'tags':1500}"
#define FLEET                                                                                                          \
	"{'aws':{" LAGS ",'groups':[{'name':'g'}],'vms':["                                                             \
	"{'name':'bad','id':'i-0000000000000001','tags':{'Env':'a<b>&\\u0022c'},'public_ip':true,"                     \
	"'root':{'id':'vol-0000000000000001','bad':true,'size_gib':30,'encrypted':true}},"                             \
	"{'name':'good','id':'i-0000000000000002','type':'m7i.large','elastic_ip':true,"                               \
	"'root':{'id':'vol-0000000000000002','delete_on_termination':false}},"                                         \
	"{'name':'down','id':'i-0000000000000003','power':'stopped','hibernated':true,'zone':'us-east-1b'},"           \
	"{'name':'odd','id':'i-0000000000000004','marketplace':true,'spot':true,'managed':true,'tpm':true,"            \
	"'root':{'id':'vol-0000000000000004'}},"                                                                       \
	"{'name':'store','id':'i-0000000000000005','instance_store':true,'stop_protection':true},"                     \
	"{'name':'member','id':'i-0000000000000006','asg':'g','status':'insufficient-data'},"                          \
	"{'id':'i-000000000000000f','os':'Linux','rescue':true,'root':{'id':'vol-000000000000000f'}}],"                \
	"'volumes':[{'id':'vol-00000000000000a1','zone':'us-east-1b','multi_attach':true,'tags':{'k':'v*w'}}],"        \
	"'snapshots':[{'id':'snap-0000000000000001','volume':'vol-0000000000000001','tags':{'fixfleet-run':'r0'}}]}}"

#define INSTANCE "reservationSet/item/instancesSet/item"

Test(cloudsim_aws_describe, an_instance_has_all_that_a_repair_records)
{
	static const char *const wanted[][2] = {{"instanceId", I("1")}, {"instanceState/code", "16"},
		{"instanceState/name", "running"}, {"platform", "windows"}, {"platformDetails", "Windows"},
		{"usageOperation", "RunInstances:0002"}, {"rootDeviceName", "/dev/sda1"}, {"rootDeviceType", "ebs"},
		{"placement/availabilityZone", "us-east-1a"}, {"blockDeviceMapping/item/deviceName", "/dev/sda1"},
		{"blockDeviceMapping/item/ebs/volumeId", VOL("1")}, {"blockDeviceMapping/item/ebs/status", "attached"},
		{"blockDeviceMapping/item/ebs/deleteOnTermination", "true"}, {"hibernationOptions/configured", "false"},
		{"networkInterfaceSet/item/association/ipOwnerId", "amazon"}, {"productCodes", ""},
		{"tagSet/item/key", "Env"}, {"tagSet/item/value", "a<b>&\"c"}, {"tagSet/item/1/value", "bad"}};
	struct kit k = kit_open(FLEET);

	must_do(&k, "DescribeInstances&InstanceId.1=" I("1"));
	for (size_t i = 0; i < FF_COUNT(wanted); i++) {
		ff_auto_free char *path = ff_printf(INSTANCE "/%s", wanted[i][0]);

		must_say(&k, path, wanted[i][1]);
	}
	cr_assert_null(kit_node(&k, INSTANCE "/stateReason"));
	cr_assert_null(kit_node(&k, INSTANCE "/instanceLifecycle"));
	kit_close(&k);
}

Test(cloudsim_aws_describe, hazards_show_where_ec2_shows_them)
{
	struct kit k = kit_open(FLEET);

	must_do(&k, "DescribeInstances&InstanceId.1=" I("2"));
	must_say(&k, INSTANCE "/networkInterfaceSet/item/association/ipOwnerId", "123456789012");
	must_say(&k, INSTANCE "/blockDeviceMapping/item/ebs/deleteOnTermination", "false");
	must_do(&k, "DescribeInstances&InstanceId.1=" I("3"));
	must_say(&k, INSTANCE "/stateReason/code", "Client.UserInitiatedHibernate");
	must_say(&k, INSTANCE "/hibernationOptions/configured", "true");
	must_do(&k, "DescribeInstances&InstanceId.1=" I("4"));
	must_say(&k, INSTANCE "/productCodes/item/type", "marketplace");
	must_say(&k, INSTANCE "/instanceLifecycle", "spot");
	must_say(&k, INSTANCE "/operator/managed", "true");
	must_say(&k, INSTANCE "/tpmSupport", "v2.0");
	must_do(&k, "DescribeInstances&InstanceId.1=" I("5"));
	must_say(&k, INSTANCE "/rootDeviceType", "instance-store");
	must_say(&k, INSTANCE "/blockDeviceMapping", "");
	must_do(&k, "DescribeInstances&InstanceId.1=" I("6"));
	must_say(&k, INSTANCE "/tagSet/item/1/key", "aws:autoscaling:groupName");
	must_do(&k, "DescribeInstances&InstanceId.1=" I("f"));
	cr_assert_null(kit_node(&k, INSTANCE "/platform"));
	cr_assert_null(kit_node(&k, INSTANCE "/tagSet"), "no Name, no tags");
	must_do(&k, "DescribeInstanceAttribute&Attribute=disableApiStop&InstanceId=" I("5"));
	must_say(&k, "disableApiStop/value", "true");
	must_do(&k, "DescribeInstanceAttribute&Attribute=rootDeviceName&InstanceId=" I("1"));
	must_say(&k, "rootDeviceName/value", "/dev/sda1");
	must_do(&k, "DescribeVolumes&VolumeId.1=" VOL("1"));
	must_say(&k, "volumeSet/item/encrypted", "true");
	must_say(&k, "volumeSet/item/kmsKeyId",
		"arn:aws:kms:us-east-1:123456789012:key/11111111-2222-4333-8444-555555555555");
	must_say(&k, "volumeSet/item/size", "30");
	must_say(&k, "volumeSet/item/attachmentSet/item/device", "/dev/sda1");
	kit_close(&k);
}

Test(cloudsim_aws_describe, filters_choose)
{
	static const struct {
		const char *action, *list;
		size_t count;
	} cases[] = {
		{"DescribeInstances", "reservationSet", 7},
		{"DescribeInstances&Filter.1.Name=platform&Filter.1.Value.1=windows", "reservationSet", 6},
		{"DescribeInstances&Filter.1.Name=platform&Filter.1.Value.1=Windows", "reservationSet", 0},
		{"DescribeInstances&Filter.1.Name=instance-state-name&Filter.1.Value.1=stopped&Filter.1.Value.2="
		 "pending",
			"reservationSet", 1},
		{"DescribeInstances&Filter.1.Name=platform&Filter.1.Value.1=windows&Filter.2.Name=tag%3AEnv&"
		 "Filter.2.Value.1=a%3C*",
			"reservationSet", 1},
		{"DescribeInstances&Filter.1.Name=tag%3AName&Filter.1.Value.1=%3Food", "reservationSet", 1},
		{"DescribeInstances&Filter.1.Name=tag-key&Filter.1.Value.1=Env", "reservationSet", 1},
		{"DescribeInstances&Filter.1.Name=instance-id&Filter.1.Value.1=i-0123456789abcdef0&Filter.1.Value.2=" I(
			 "1"),
			"reservationSet", 1},
		{"DescribeInstances&Filter.1.Name=availability-zone&Filter.1.Value.1=us-east-1b", "reservationSet", 1},
		{"DescribeInstances&Filter.1.Name=block-device-mapping.volume-id&Filter.1.Value.1=" VOL("2"),
			"reservationSet", 1},
		{"DescribeInstances&Filter.1.Name=instance-lifecycle&Filter.1.Value.1=spot", "reservationSet", 1},
		{"DescribeVolumes&Filter.1.Name=attachment.instance-id&Filter.1.Value.1=" I("1"), "volumeSet", 1},
		{"DescribeVolumes&Filter.1.Name=status&Filter.1.Value.1=available", "volumeSet", 1},
		{"DescribeVolumes&Filter.1.Name=tag%3Ak&Filter.1.Value.1=v%5C*w", "volumeSet", 1},
		{"DescribeVolumes&Filter.1.Name=tag%3Ak&Filter.1.Value.1=%5C*", "volumeSet", 0},
		{"DescribeSnapshots&Owner.1=self", "snapshotSet", 1},
		{"DescribeSnapshots&Owner.1=123456789012&Filter.1.Name=volume-id&Filter.1.Value.1=" VOL("1"),
			"snapshotSet", 1},
		{"DescribeSnapshots&Owner.1=amazon", "snapshotSet", 0},
		{"DescribeSnapshots&Filter.1.Name=tag%3Afixfleet-run&Filter.1.Value.1=r1", "snapshotSet", 0},
		{"DescribeInstanceTypes&InstanceType.1=m5.large&InstanceType.2=m7i.large", "instanceTypeSet", 2},
	};
	struct kit k = kit_open(FLEET);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		must_do(&k, cases[i].action);
		cr_assert_eq(kit_count(&k, cases[i].list), cases[i].count, "%s: %zu", cases[i].action,
			kit_count(&k, cases[i].list));
	}
	kit_close(&k);
}

Test(cloudsim_aws_describe, pages_lead_to_the_end_and_show_each_once)
{
	struct kit k = kit_open("{'aws':{'page_size':2,'vms':[{'name':'a'},{'name':'b'},{'name':'c'},{'name':'d'},"
				"{'name':'e','os':'Linux'}]}}");
	ff_auto_free char *token = NULL;
	size_t seen = 0, pages = 0;

	do {
		ff_auto_free char *more = ff_percent_encode(token != NULL ? token : "");
		ff_auto_free char *ask = ff_printf(
			"DescribeInstances&MaxResults=500&Filter.1.Name=platform&Filter.1.Value.1=windows%s%s",
			token != NULL ? "&NextToken=" : "", more);

		must_do(&k, ask);
		seen += kit_count(&k, "reservationSet");
		free(token);
		token = kit_text(&k, "nextToken");
		cr_assert_leq(++pages, 3u, "it ends");
	} while (token != NULL && *token != '\0');
	cr_assert_eq(seen, 4u);
	cr_assert_geq(pages, 2u);
	must_refuse(&k, "DescribeInstances&NextToken=nonsense", 400, "InvalidParameterValue", "pagination token");
	must_refuse(&k, "DescribeInstances&MaxResults=500&InstanceId.1=" I("1"), 400, "InvalidParameterCombination",
		"cannot be used with");
	must_refuse(&k, "DescribeInstances&MaxResults=4", 400, "InvalidParameterValue", "maxResults");
	must_refuse(&k, "DescribeInstances&MaxResults=1001", 400, "InvalidParameterValue", "maxResults");
	kit_close(&k);
}

static void status_is(struct kit *k, const char *id, const char *instance, const char *system)
{
	ff_auto_free char *ask = ff_printf("DescribeInstanceStatus&IncludeAllInstances=true&InstanceId.1=%s", id);

	must_do(k, ask);
	must_say(k, "instanceStatusSet/item/instanceStatus/status", instance);
	must_say(k, "instanceStatusSet/item/systemStatus/status", system);
}

Test(cloudsim_aws_describe, a_boot_loop_is_impaired_on_a_host_that_is_well)
{
	struct kit k = kit_open(FLEET);

	status_is(&k, I("1"), "impaired", "ok");
	must_say(&k, "instanceStatusSet/item/instanceStatus/details/item/status", "failed");
	status_is(&k, I("2"), "ok", "ok");
	status_is(&k, I("3"), "not-applicable", "not-applicable");
	status_is(&k, I("6"), "insufficient-data", "ok");
	must_do(&k, "DescribeInstanceStatus");
	cr_assert_eq(kit_count(&k, "instanceStatusSet"), 6u, "no ids: every one that runs");
	must_do(&k, "DescribeInstanceStatus&IncludeAllInstances=true");
	cr_assert_eq(kit_count(&k, "instanceStatusSet"), 7u);
	must_do(&k, "DescribeInstanceStatus&Filter.1.Name=instance-status.status&Filter.1.Value.1=impaired");
	cr_assert_eq(kit_count(&k, "instanceStatusSet"), 1u);
	must_do(&k, "DescribeInstanceStatus&Filter.1.Name=instance-status.reachability&Filter.1.Value.1=passed");
	cr_assert_eq(kit_count(&k, "instanceStatusSet"), 4u);
	kit_close(&k);
}

Test(cloudsim_aws_describe, more_than_a_hundred_ids_are_too_many_for_a_status)
{
	struct kit k = kit_open(FLEET);
	ff_auto_buf ask = {0};

	ff_buf_adds(&ask, "DescribeInstanceStatus");
	for (int i = 1; i <= 101; i++)
		ff_buf_addf(&ask, "&InstanceId.%d=" I("1"), i);
	must_refuse(&k, ask.text, 400, "InvalidParameterValue", "No more than 100");
	kit_close(&k);
}

Test(cloudsim_aws_describe, the_console_shows_the_crash)
{
	struct kit k = kit_open(FLEET);
	ff_auto_free char *output = NULL, *text = NULL, *image = NULL;
	ff_auto_free unsigned char *jpeg = NULL;
	size_t len;

	must_do(&k, "GetConsoleOutput&InstanceId=" I("1"));
	output = kit_text(&k, "output");
	text = ff_base64_decode(output, &len);
	cr_assert_not_null(strstr(text, "csagent.sys"));
	must_do(&k, "GetConsoleScreenshot&InstanceId=" I("1"));
	image = kit_text(&k, "imageData");
	jpeg = ff_base64_decode(image, &len);
	cr_assert(len > 4 && jpeg[0] == 0xFF && jpeg[1] == 0xD8);
	must_refuse(&k, "GetConsoleScreenshot&InstanceId=" I("3"), 400, "IncorrectInstanceState", I("3"));
	kit_close(&k);
}

static void volume_says(struct kit *k, const char *status, const char *attachment)
{
	must_do(k, "DescribeVolumes&VolumeId.1=" VOL("1"));
	must_say(k, "volumeSet/item/status", status);
	if (attachment != NULL)
		must_say(k, "volumeSet/item/attachmentSet/item/status", attachment);
	else
		must_say(k, "volumeSet/item/attachmentSet", "");
}

static void instance_says(struct kit *k, const char *power, const char *attachment)
{
	must_do(k, "DescribeInstances&InstanceId.1=" I("1"));
	must_say(k, INSTANCE "/instanceState/name", power);
	if (attachment != NULL)
		must_say(k, INSTANCE "/blockDeviceMapping/item/ebs/status", attachment);
	else
		must_say(k, INSTANCE "/blockDeviceMapping", "");
}

Test(cloudsim_aws_describe, the_two_sides_of_a_detach_disagree_for_a_while)
{
	struct kit k = kit_open(FLEET);

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, "StopInstances&InstanceId.1=" I("1"));
	must_say(&k, "instancesSet/item/currentState/name", "stopping");
	instance_says(&k, "running", "attached"); /* three seconds behind */
	k.now += 3000;
	instance_says(&k, "stopping", "attached");
	kit_settle(&k);
	instance_says(&k, "stopped", "attached");
	must_do(&k, "DetachVolume&VolumeId=" VOL("1"));
	volume_says(&k, "in-use", "attached");
	k.now += 1000;
	volume_says(&k, "in-use", "detaching");
	instance_says(&k, "stopped", "attached");
	k.now += 5000; /* six seconds after the call it is off */
	volume_says(&k, "in-use", "detaching");
	k.now += 1000;
	volume_says(&k, "available", NULL);
	instance_says(&k, "stopped", "detaching");
	k.now += 2000;
	instance_says(&k, "stopped", NULL);
	kit_close(&k);
}

Test(cloudsim_aws_describe, tags_and_new_snapshots_are_seen_later)
{
	struct kit k = kit_open(FLEET);
	ff_auto_free char *id = NULL, *by_id = NULL;

	must_do(&k, CLAIM(I("1"), VOL("1")));
	must_do(&k, "DescribeInstances&Filter.1.Name=tag%3Afixfleet-run&Filter.1.Value.1=r1");
	cr_assert_eq(kit_count(&k, "reservationSet"), 0u);
	must_do(&k, "CreateSnapshot&Description=a%20b&VolumeId=" VOL(
			    "1") "&TagSpecification.1.ResourceType=snapshot&"
				 "TagSpecification.1.Tag.1.Key=fixfleet-run&TagSpecification.1.Tag.1.Value=r1");
	must_say(&k, "status", "pending");
	must_say(&k, "tagSet/item/value", "r1");
	id = kit_text(&k, "snapshotId");
	by_id = ff_printf("DescribeSnapshots&SnapshotId.1=%s", id);
	must_refuse(&k, by_id, 400, "InvalidSnapshot.NotFound", "does not exist");
	k.now += 2000;
	must_do(&k, by_id);
	must_say(&k, "snapshotSet/item/description", "a b");
	must_say(&k, "snapshotSet/item/status", "pending");
	must_do(&k, "DescribeInstances&Filter.1.Name=tag%3Afixfleet-run&Filter.1.Value.1=r1");
	cr_assert_eq(kit_count(&k, "reservationSet"), 1u);
	k.now += 60000;
	must_do(&k, by_id);
	must_say(&k, "snapshotSet/item/status", "completed");
	must_say(&k, "snapshotSet/item/progress", "100%");
	cr_assert_eq(kit_violations(&k), 0u);
	kit_close(&k);
}
