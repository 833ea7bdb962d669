#include "test_aws.h"

#define DONE "<requestId>r</requestId>"
#define ROOT_VOLUME(id)                                                                                                \
	"<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/sda1</rootDeviceName><blockDeviceMapping><item>"     \
	"<deviceName>xvdb</deviceName><ebs><volumeId>vol-data</volumeId><status>attached</status></ebs></item><item>"  \
	"<deviceName>/dev/sda1</deviceName><ebs><volumeId>vol-" id                                                     \
	"</volumeId><status>attached</status><deleteOnTermination>true</deleteOnTermination></ebs></item>"             \
	"</blockDeviceMapping>"
#define INSTANCE(id, state, more)                                                                                      \
	"<item><instanceId>i-" id "</instanceId><instanceState><code>16</code><name>" state                            \
	"</name></instanceState><platform>Windows</platform><instanceType>m5.large</instanceType><placement>"          \
	"<availabilityZone>us-east-1a</availabilityZone></placement>" more "</item>"
#define NAMED(name)                                                                                                    \
	"<tagSet><item><key>Name</key><value>" name "</value></item><item><key>k</key><value/></item></tagSet>"
#define RESERVATIONS(items, token)                                                                                     \
	"<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">" DONE                          \
	"<reservationSet><item><instancesSet>" items "</instancesSet></item></reservationSet>" token                   \
	"</DescribeInstancesResponse>"
#define STATUS(id, instance, system)                                                                                   \
	"<item><instanceId>i-" id                                                                                      \
	"</instanceId><instanceState><name>running</name></instanceState><systemStatus><status>" system                \
	"</status></systemStatus><instanceStatus><status>" instance "</status></instanceStatus></item>"
#define STATUSES(items)                                                                                                \
	"<DescribeInstanceStatusResponse><instanceStatusSet>" items                                                    \
	"</instanceStatusSet></DescribeInstanceStatusResponse>"
#define VOLUME(id, more)                                                                                               \
	"<item><volumeId>vol-" id                                                                                      \
	"</volumeId><size>30</size><status>in-use</status><attachmentSet><item><instanceId>i-" id                      \
	"</instanceId><status>attached</status></item></attachmentSet>" more "</item>"
#define VOLUMES(items)	 "<DescribeVolumesResponse><volumeSet>" items "</volumeSet></DescribeVolumesResponse>"
#define TYPE(name, more) "<item><instanceType>" name "</instanceType><hypervisor>nitro</hypervisor>" more "</item>"
#define TYPES(items)                                                                                                   \
	"<DescribeInstanceTypesResponse><instanceTypeSet>" items "</instanceTypeSet></DescribeInstanceTypesResponse>"
#define NO_MEMBERS                                                                                                     \
	"<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances/>"            \
	"</DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>"
#define RESCUE                                                                                                         \
	"<item><instanceId>i-rescue</instanceId><instanceState><name>running</name></"                                 \
	"instanceState><platformDetails>Linux/UNIX"                                                                    \
	"</platformDetails><instanceType>m5.xlarge</instanceType><placement><availabilityZone>us-east-1a</"            \
	"availabilityZone>"                                                                                            \
	"</placement><rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</"                                  \
	"rootDeviceName><blockDeviceMapping><item>"                                                                    \
	"<deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-r</volumeId></ebs></item><item><deviceName>/dev/sdf</"   \
	"deviceName>"                                                                                                  \
	"<ebs><volumeId>vol-r2</volumeId></ebs></item></blockDeviceMapping><networkInterfaceSet><item/><item/>"        \
	"</networkInterfaceSet>" NAMED("rescue-1") "</item>"

/*
 * Discover with answers by a part of the body; "!400 <xml>" has that status, for "!000" none comes. Bodies asked are
 * appended to `asked`.
 */
static enum ff_turn discover(struct ff_cloud *cloud, const struct pairs *web, struct ff_buf *asked, struct ff_err *err)
{
	for (int i = 0; i < 100; i++) {
		struct ff_ask ask = {0};
		struct ff_answer answer;
		enum ff_turn turn = ff_aws.discover_next(cloud, &ask, err);
		const char *text = NULL;
		int status = 200, rc;

		if (turn != FF_TURN_ASK)
			return turn;
		for (size_t k = 0; web->items[k] != NULL && text == NULL; k += 2)
			if (strstr(ask.body, web->items[k]) != NULL)
				text = web->items[k + 1];
		cr_assert_not_null(text, "%s", ask.body);
		ff_buf_addf(asked, "%s\n", ask.body);
		cr_assert_eq(ff_aws.sign(cloud, WALL_MS, &ask, err), 0, "%s", err->text);
		if (text[0] == '!') {
			status = atoi(text + 1);
			text += 4;
		}
		if (status > 0)
			answer_with(&answer, status, text);
		else
			answer_broken(&answer, FF_T_NOT_SENT, 0);
		rc = ff_aws.discover_read(cloud, WALL_MS, &ask, &answer, err);
		ff_ask_release(&ask);
		ff_answer_release(&answer, false);
		if (rc < 0)
			return FF_TURN_FAILED;
	}
	cr_assert_fail("discovery does not come to an end");
	return FF_TURN_WAIT;
}

static const struct ff_vm *vm_of(struct ff_cloud *cloud, const char *id)
{
	struct ff_vm **vms;
	size_t n = ff_aws.vms(cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->id, id))
			return vms[i];
	return NULL;
}

static bool has_hazard(const struct ff_vm *vm, const char *word)
{
	for (size_t i = 0; i < vm->hazards.count; i++)
		if (ff_has_prefix(vm->hazards.items[i], word) && vm->hazards.items[i][strlen(word)] == ':')
			return true;
	return false;
}

Test(aws_discover, a_fleet_is_found_page_by_page_with_its_evidence)
{
	static const struct pairs web = {{"NextToken=tok%2F2",
		RESERVATIONS(INSTANCE("5", "stopped", ROOT_VOLUME("5")), "<nextToken/>"), "tag%3Afixfleet-role",
		RESERVATIONS(RESCUE, ""), "Filter.1.Name=platform",
		RESERVATIONS(INSTANCE("1", "running", ROOT_VOLUME("1") NAMED("web-1")) INSTANCE(
				     "2", "running", ROOT_VOLUME("2")) INSTANCE("3", "running", ROOT_VOLUME("3"))
				     INSTANCE("4", "running", ROOT_VOLUME("4")) INSTANCE("9", "terminated", ""),
			"<nextToken>tok/2</nextToken>"),
		"DescribeInstanceStatus",
		STATUSES(STATUS("1", "impaired", "ok") STATUS("2", "ok", "ok")
				STATUS("3", "initializing", "initializing") STATUS("4", "impaired", "impaired")),
		"DescribeVolumes",
		VOLUMES(VOLUME("1", "<encrypted>true</encrypted><kmsKeyId>arn:k</kmsKeyId>") VOLUME("2", "")
				VOLUME("3", "") VOLUME("4", "") VOLUME("5", "")),
		"DescribeInstanceTypes",
		TYPES(TYPE("m5.large", "<ebsInfo><maximumEbsAttachments>27</maximumEbsAttachments></ebsInfo>") TYPE(
			"m5.xlarge", "<ebsInfo><maximumEbsAttachments>27</"
				     "maximumEbsAttachments><attachmentLimitType>shared</attachmentLimitType>"
				     "</ebsInfo>")),
		"DescribeAutoScalingInstances", NO_MEMBERS, "DescribeInstanceAttribute",
		"<DescribeInstanceAttributeResponse><disableApiStop><value>false</value></disableApiStop>"
		"</DescribeInstanceAttributeResponse>",
		NULL}};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_err err = {0};
	ff_auto_buf asked = {0};
	struct ff_vm **vms;
	const struct ff_vm *vm;

	cr_assert_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	cr_expect_eq(ff_aws.vms(cloud, &vms), 6);
	vm = vm_of(cloud, "i-1");
	cr_expect_str_eq(vm->name, "web-1");
	cr_expect_eq(vm->health, FF_AFFECTED);
	cr_expect_str_eq(vm->evidence.items[0], "instance status check is impaired");
	cr_expect_str_eq(vm->disk_id, "vol-1");
	cr_expect_eq(vm->disk_bytes, (int64_t)30 << 30);
	cr_expect_str_eq(vm->disk_encryption, "kms");
	cr_expect_str_eq(vm->zone, "us-east-1a");
	cr_expect_str_eq(vm->os, "windows");
	cr_expect(vm->running);
	cr_expect(has_hazard(vm, "encrypted"));
	cr_expect(ff_json_bool(vm->facts, "root/delete", false));
	cr_expect_str_eq(ff_json_str(vm->facts, "root/device"), "/dev/sda1");
	cr_expect_str_eq(ff_json_str(vm->facts, "pool"), "us-east-1a m5.large");
	cr_expect_eq(vm_of(cloud, "i-2")->health, FF_HEALTHY);
	cr_expect_str_eq(vm_of(cloud, "i-2")->name, "i-2");
	cr_expect_eq(vm_of(cloud, "i-3")->health, FF_SUSPECT);
	cr_expect_eq(vm_of(cloud, "i-4")->health, FF_SUSPECT);
	cr_expect_eq(vm_of(cloud, "i-5")->health, FF_SUSPECT);
	cr_expect_not(vm_of(cloud, "i-5")->running);
	cr_expect_null(vm_of(cloud, "i-9"));
	vm = vm_of(cloud, "i-rescue");
	cr_expect(vm->rescue);
	cr_expect_eq(vm->health, FF_SKIPPED);
	cr_expect_str_eq(vm->os, "linux");
	cr_expect_eq(vm->slots_max, 26); /* 27, and a second network card */
	cr_expect_eq(vm->slots_used[1], 1);
	cr_expect_eq(vm->slots_used[2], 0);
	cr_expect(strstr(asked.text,
			  "Action=DescribeInstances&Version=2016-11-15&Filter.1.Name=platform&Filter.1.Value.1=windows&"
			  "Filter.2.Name=instance-state-name&Filter.2.Value.1=running&Filter.2.Value.2=pending&"
			  "Filter.2.Value.3=stopping&Filter.2.Value.4=stopped&MaxResults=500\n") != NULL,
		"%s", asked.text);
	cr_expect(strstr(asked.text,
			  "Filter.1.Name=tag%3Afixfleet-role&Filter.1.Value.1=rescue&Filter.2.Name=instance-state-name&"
			  "Filter.2.Value.1=running&MaxResults=500\n") != NULL);
	cr_expect(
		strstr(asked.text, "Action=DescribeInstanceStatus&Version=2016-11-15&InstanceId.1=i-1&InstanceId.2=i-2&"
				   "InstanceId.3=i-3&InstanceId.4=i-4\n") != NULL);
	/* only who is affected */
	cr_expect(strstr(asked.text,
			  "DescribeInstanceAttribute&Version=2016-11-15&InstanceId=i-1&Attribute=disableApiStop\n") !=
		  NULL);
	cr_expect_null(strstr(asked.text, "DescribeInstanceAttribute&Version=2016-11-15&InstanceId=i-2"));
	ff_aws.close(cloud);
}

Test(aws_discover, where_nothing_is_no_question_names_no_id)
{
	static const struct pairs web = {{"Action=DescribeInstances&", RESERVATIONS("", ""), NULL}};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_err err = {0};
	ff_auto_buf asked = {0};

	cr_expect_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	cr_expect_null(strstr(asked.text, "DescribeInstanceStatus"));
	ff_aws.close(cloud);
}

Test(aws_discover, ids_are_asked_for_by_the_hundred_and_the_fifty)
{
	ff_auto_buf items = {0};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct pairs web = {{NULL}};
	struct ff_err err = {0};
	ff_auto_buf asked = {0};
	unsigned status = 0, members = 0;

	for (int i = 0; i < 101; i++)
		ff_buf_addf(&items,
			"<item><instanceId>i-%03d</instanceId><instanceState><name>running</name></instanceState></"
			"item>",
			i);
	ff_buf_adds(&items, "</instancesSet></item></reservationSet></DescribeInstancesResponse>");
	{
		ff_auto_free char *all =
			ff_printf("<DescribeInstancesResponse><reservationSet><item><instancesSet>%s", items.text);
		const struct pairs filled = {{"Name=platform", all, "fixfleet-role", RESERVATIONS("", ""),
			"DescribeInstanceStatus", STATUSES(""), "DescribeAutoScaling", NO_MEMBERS, NULL}};

		web = filled;
		cr_expect_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	}
	for (const char *p = asked.text; (p = strstr(p, "Action=DescribeInstanceStatus")) != NULL; p++)
		status++;
	for (const char *p = asked.text; (p = strstr(p, "Action=DescribeAutoScalingInstances")) != NULL; p++)
		members++;
	cr_expect_eq(status, 2);
	cr_expect_eq(members, 3);
	cr_expect(strstr(asked.text, "InstanceId.100=") != NULL);
	cr_expect_null(strstr(asked.text, "InstanceId.101="));
	cr_expect_null(strstr(asked.text, "InstanceIds.member.51="));
	ff_aws.close(cloud);
}

Test(aws_discover, an_id_that_is_gone_is_dropped_and_the_rest_asked_again)
{
	static const struct pairs web = {{"Name=platform",
		RESERVATIONS(INSTANCE("1", "running", ROOT_VOLUME("1")) INSTANCE("2", "running", ROOT_VOLUME("2")), ""),
		"fixfleet-role", RESERVATIONS("", ""), "InstanceId.2=i-2",
		"!400<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code><Message>The instance ID 'i-1' "
		"does not exist"
		"</Message></Error></Errors></Response>",
		"DescribeInstanceStatus", STATUSES(STATUS("2", "ok", "ok")), "VolumeId.2=vol-2",
		"!400<Response><Errors><Error><Code>InvalidVolume.NotFound</Code><Message>The volume 'vol-1' does not "
		"exist."
		"</Message></Error></Errors></Response>",
		"DescribeVolumes", VOLUMES(VOLUME("2", "")), "DescribeInstanceTypes", TYPES(TYPE("m5.large", "")),
		"DescribeAutoScaling",
		"!403<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
		NULL}};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_err err = {0};
	ff_auto_buf asked = {0};

	cr_expect_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	cr_expect_eq(vm_of(cloud, "i-2")->health, FF_HEALTHY);
	cr_expect_eq(vm_of(cloud, "i-1")->health, FF_SKIPPED);
	cr_expect(has_hazard(vm_of(cloud, "i-1"), "no-volume"));
	cr_expect_eq(ff_aws.notes(cloud)->count, 1);
	cr_expect(strstr(ff_aws.notes(cloud)->items[0], "Auto Scaling membership could not be read: AccessDenied") !=
		  NULL);
	ff_aws.close(cloud);
}

Test(aws_discover, what_cannot_be_read_ends_it)
{
	static const struct {
		struct pairs web;
		enum ff_class class;
		const char *why;
	} cases[] = {
		{{{"Describe",
			 "!403<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></"
			 "Error></Errors></Response>",
			 NULL}},
			FF_E_DENIED, "Windows instances: UnauthorizedOperation: no"},
		{{{"Describe", "<html", NULL}}, FF_E_BUG, "not XML"},
		{{{"Describe", RESERVATIONS("", "<nextToken>same</nextToken>"), NULL}}, FF_E_BUG,
			"does not come to an end"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_scope_options options = {0};
		struct ff_cloud *cloud = signed_in(&options);
		struct ff_err err = {0};
		ff_auto_buf asked = {0};

		cr_expect_eq(discover(cloud, &cases[i].web, &asked, &err), FF_TURN_FAILED);
		cr_expect_eq(err.class, cases[i].class, "%s", err.text);
		cr_expect(strstr(err.text, cases[i].why) != NULL, "%s", err.text);
		ff_aws.close(cloud);
	}
}

#define MEMBER(state)                                                                                                  \
	"<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances><member>"     \
	"<InstanceId>i-1</InstanceId><AutoScalingGroupName>asg1</AutoScalingGroupName><LifecycleState>" state          \
	"</LifecycleState></member></AutoScalingInstances></DescribeAutoScalingInstancesResult>"                       \
	"</DescribeAutoScalingInstancesResponse>"
#define NETWORK(owner)                                                                                                 \
	"<ipAddress>1.2.3.4</ipAddress><networkInterfaceSet><item><association><ipOwnerId>" owner                      \
	"</ipOwnerId></association></item></networkInterfaceSet>"

static const struct hazard_case {
	const char *instance, *volume, *type, *member, *protection;
	struct ff_scope_options options;
	const char *hazard; /* NULL: none of these words */
	enum ff_health health;
} hazard_cases[] = {
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "", "", NULL, NULL, {0}, NULL, FF_AFFECTED},
	{INSTANCE(
		 "1", "running", ROOT_VOLUME("1") "<productCodes><item><type>marketplace</type></item></productCodes>"),
		"", "", NULL, NULL, {0}, "marketplace", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1") "<productCodes><item><type>devpay</type></item></productCodes>"), "",
		"", NULL, NULL, {0}, NULL, FF_AFFECTED},
	{INSTANCE("1", "running", "<rootDeviceType>instance-store</rootDeviceType>"), "", "", NULL, NULL, {0},
		"instance-store-root", FF_SKIPPED},
	{INSTANCE("1", "running", "<rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/sda1</rootDeviceName>"), "",
		"", NULL, NULL, {0}, "no-root", FF_SKIPPED},
	{INSTANCE("1", "stopped",
		 ROOT_VOLUME("1") "<stateReason><code>Client.UserInitiatedHibernate</code></stateReason>"),
		"", "", NULL, NULL, {0}, "hibernated", FF_SKIPPED},
	{INSTANCE("1", "running",
		 ROOT_VOLUME("1") "<hibernationOptions><configured>true</configured></hibernationOptions>"),
		"", "", NULL, NULL, {0}, "hibernation", FF_AFFECTED},
	{INSTANCE("1", "running", ROOT_VOLUME("1") "<instanceLifecycle>spot</instanceLifecycle>"), "", "", NULL, NULL,
		{0}, "spot", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1") "<operator><managed>true</managed></operator>"), "", "", NULL, NULL,
		{0}, "managed", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "<operator><managed>true</managed></operator>", "", NULL, NULL,
		{0}, "managed", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "<multiAttachEnabled>true</multiAttachEnabled>", "", NULL, NULL,
		{0}, "multi-attach", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "", "", MEMBER("InService"), NULL, {0}, "auto-scaling",
		FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "", "", MEMBER("InService"), NULL, {.asg_standby = true},
		"auto-scaling", FF_AFFECTED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "", "", MEMBER("Terminating:Wait"), NULL, {.asg_standby = true},
		"auto-scaling", FF_SKIPPED},
	{INSTANCE("1", "running",
		 ROOT_VOLUME("1") "<tagSet><item><key>aws:autoscaling:groupName</key><value>g</value></item></tagSet>"),
		"", "", NULL, NULL, {0}, "auto-scaling", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "", "", NULL,
		"<DescribeInstanceAttributeResponse><disableApiStop><value>true</value></disableApiStop>"
		"</DescribeInstanceAttributeResponse>",
		{0}, "stop-protection", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "",
		"<instanceStorageSupported>true</instanceStorageSupported><instanceStorageInfo><disks><item><count>2</"
		"count></item>"
		"</disks></instanceStorageInfo>",
		NULL, NULL, {0}, "instance-store", FF_SKIPPED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "", "<instanceStorageSupported>true</instanceStorageSupported>",
		NULL, NULL, {.discard_local_ssd = true}, NULL, FF_AFFECTED},
	{INSTANCE("1", "running", ROOT_VOLUME("1") NETWORK("amazon")), "", "", NULL, NULL, {0}, "public-ip",
		FF_AFFECTED},
	{INSTANCE("1", "running", ROOT_VOLUME("1") NETWORK("123456789012")), "", "", NULL, NULL, {0}, NULL,
		FF_AFFECTED},
	{INSTANCE("1", "running", ROOT_VOLUME("1")), "<encrypted>true</encrypted>", "", NULL, NULL, {0}, "encrypted",
		FF_AFFECTED},
	{INSTANCE("1", "running",
		 ROOT_VOLUME("1") "<tagSet><item><key>fixfleet-run</key><value>x</value></item></tagSet>"),
		"", "", NULL, NULL, {0}, "claimed", FF_AFFECTED},
};

Test(aws_discover, hazards_are_decided_before_anything_is_touched)
{
	for (size_t i = 0; i < FF_COUNT(hazard_cases); i++) {
		const struct hazard_case *c = &hazard_cases[i];
		ff_auto_free char *instances = ff_printf(RESERVATIONS("%s", ""), c->instance);
		ff_auto_free char *volumes = ff_printf(VOLUMES(VOLUME("1", "%s")), c->volume);
		ff_auto_free char *types = ff_printf(TYPES(TYPE("m5.large", "%s")), c->type);
		struct pairs web = {{"Name=platform", instances, "fixfleet-role", RESERVATIONS("", ""),
			"DescribeInstanceStatus", STATUSES(STATUS("1", "impaired", "ok")), "DescribeVolumes", volumes,
			"DescribeInstanceTypes", types, "DescribeAutoScaling", c->member ? c->member : NO_MEMBERS,
			"DescribeInstanceAttribute",
			c->protection ? c->protection : "<DescribeInstanceAttributeResponse/>", NULL}};
		struct ff_cloud *cloud = signed_in(&c->options);
		struct ff_err err = {0};
		ff_auto_buf asked = {0};
		const struct ff_vm *vm;

		cr_assert_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%zu: %s", i, err.text);
		vm = vm_of(cloud, "i-1");
		if (c->hazard != NULL)
			cr_expect(has_hazard(vm, c->hazard), "%zu %s: %zu hazards", i, c->hazard, vm->hazards.count);
		else
			cr_expect_eq(vm->hazards.count, 0, "%zu: %s", i, vm->hazards.count ? vm->hazards.items[0] : "");
		cr_expect_eq(vm->health, c->health, "%zu: %s (%s)", i, ff_health_name(vm->health), vm->reason);
		if (c->health == FF_SKIPPED)
			cr_expect(strlen(vm->reason) > 10);
		/* nobody is asked about stop protection who is skipped anyway */
		if (c->health == FF_SKIPPED && c->protection == NULL)
			cr_expect_null(strstr(asked.text, "disableApiStop"), "%zu", i);
		ff_aws.close(cloud);
	}
}

Test(aws_discover, rescue_vms_are_found_by_name_and_id_and_missing_ones_named)
{
	static const struct pairs web = {
		{"Name=platform", RESERVATIONS("", ""), "Name=instance-id", RESERVATIONS("", ""), "Name=tag%3AName",
			RESERVATIONS(RESCUE, ""), "DescribeInstanceTypes", TYPES(""), NULL}};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud;
	struct ff_err err = {0};
	ff_auto_buf asked = {0};

	ff_strv_add(&options.rescues, "rescue-1");
	ff_strv_add(&options.rescues, "i-2");
	cloud = signed_in(&options);
	ff_strv_free(&options.rescues);
	cr_assert_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	cr_expect(strstr(asked.text, "Filter.1.Name=tag%3AName&Filter.1.Value.1=rescue-1&") != NULL, "%s", asked.text);
	cr_expect(strstr(asked.text, "Filter.1.Name=instance-id&Filter.1.Value.1=i-2&") != NULL);
	cr_expect_null(strstr(asked.text, "fixfleet-role"));
	cr_expect(vm_of(cloud, "i-rescue")->rescue);
	cr_expect_eq(vm_of(cloud, "i-rescue")->slots_max, 26); /* what every Nitro type has, less a second card */
	cr_expect_eq(ff_aws.notes(cloud)->count, 1);
	cr_expect_str_eq(ff_aws.notes(cloud)->items[0], "rescue VM 'i-2' is not in region us-east-1");
	ff_aws.close(cloud);
}

Test(aws_discover, a_rescue_vm_fits_in_its_zone_and_runs_no_windows)
{
	static const struct {
		const char *id, *zone, *os;
		bool fits;
	} cases[] = {
		{"i-r", "us-east-1a", "linux", true},
		{"i-r", "us-east-1a", "", true},
		{"i-r", "us-east-1b", "linux", false},
		{"i-r", "us-east-1a", "windows", false},
		{"i-1", "us-east-1a", "linux", false},
	};
	struct ff_vm vm = {.id = (char *)"i-1", .zone = (char *)"us-east-1a", .os = (char *)"windows"};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_vm rescue = {
			.id = (char *)cases[i].id, .zone = (char *)cases[i].zone, .os = (char *)cases[i].os};
		struct ff_err err = {0};

		cr_expect_eq(ff_aws.fits(&vm, &rescue, &err) == 0, cases[i].fits, "%zu", i);
		cr_expect(cases[i].fits || err.text[0] != '\0');
	}
}

Test(aws_discover, device_names_differ_between_slots_and_rotate_within_one)
{
	ff_auto_json json_t *devices = json_pack("[s,s]", "/dev/xvdf", "/dev/sda1");
	ff_auto_json json_t *seen = json_object();
	char name[AWS_DEVICE_BYTES];

	for (unsigned slot = 0; slot < 27; slot++)
		for (unsigned used = 0; used < 2; used++) {
			aws_device_name(NULL, slot, 27, used, name);
			cr_expect(ff_has_prefix(name, "/dev/sd") || ff_has_prefix(name, "/dev/xvd"), "%s", name);
			cr_expect_null(json_object_get(seen, name), "%s twice", name);
			ff_json_set_bool(seen, name, true);
		}
	cr_expect_str_eq(aws_device_name(NULL, 0, 27, 0, name), "/dev/sdf");
	cr_expect_str_eq(aws_device_name(NULL, 10, 27, 0, name), "/dev/sdp");
	cr_expect_str_eq(aws_device_name(NULL, 11, 27, 0, name), "/dev/xvdba");
	cr_expect_str_neq(aws_device_name(devices, 0, 27, 0, name), "/dev/sdf"); /* xvdf is the same place on Xen */
	cr_expect_neq(name[0], '\0');
	cr_expect_str_eq(aws_device_name(NULL, 27, 27, 0, name), "");
	cr_expect_str_eq(aws_device_name(NULL, 0, 0, 0, name), "");
}

Test(aws_discover, recorded_instances_of_the_real_service_are_read_rightly)
{
	ff_auto_free char *text = shared_text("recorded/aws/ec2-xml/test_ec2_stop_hibernate__DescribeInstances_2.xml");
	ff_auto_free char *windows =
		shared_text("recorded/aws/ec2-xml/test_ec2_set_md_access__DescribeInstances_1.xml");
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct pairs web = {{"Name=platform", text, "fixfleet-role", windows, "DescribeInstanceStatus", STATUSES(""),
		"DescribeVolumes", VOLUMES(""), "DescribeInstanceTypes", TYPES(""), "DescribeAutoScaling", NO_MEMBERS,
		NULL}};
	struct ff_err err = {0};
	ff_auto_buf asked = {0};
	const struct ff_vm *vm;

	if (text == NULL || windows == NULL)
		cr_skip_test("no ../shared/recorded/aws");
	cr_assert_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	vm = vm_of(cloud, "i-0b368f4b8fbd34f3a");
	cr_assert_not_null(vm);
	cr_expect_str_eq(vm->state, "stopping");
	cr_expect_str_eq(vm->disk_id, "vol-0a392ef8ccd01f06a");
	cr_expect(has_hazard(vm, "hibernated"));
	vm = vm_of(cloud, "i-07c27e1f49b65196b");
	cr_expect_str_eq(vm->state, "stopped");
	cr_expect_str_eq(vm->zone, "us-west-2b");
	cr_expect_str_eq(ff_json_str(vm->tags, "Testing"), "yes");
	cr_expect_not(has_hazard(vm, "hibernated"));
	ff_aws.close(cloud);
}

/* ---------------------------------------------------------------- keys of volumes */

#define KEY(n)	       "arn:aws:kms:us-east-1:123456789012:key/" n
#define SEALED(n)      "<encrypted>true</encrypted><kmsKeyId>" n "</kmsKeyId>"
#define KEY_IS(state)  "{\"KeyMetadata\":{\"KeyId\":\"k\",\"KeyState\":\"" state "\"}}"
#define KEY_NOT(error) "!400{\"__type\":\"" error "\",\"message\":\"because\"}"

static unsigned times(const char *text, const char *part)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, part)) != NULL; p++)
		n++;
	return n;
}

/* VMs 1 (affected) and 2 (well) have roots encrypted with `key`, which is answered so. */
static struct ff_cloud *with_key(const char *key, const char *answer, struct ff_buf *asked)
{
	ff_auto_free char *volumes = ff_printf(VOLUMES(VOLUME("1", SEALED("%s")) VOLUME("2", SEALED("%s"))), key, key);
	struct pairs web = {{"KeyId", answer, "Name=platform",
		RESERVATIONS(INSTANCE("1", "running", ROOT_VOLUME("1")) INSTANCE("2", "running", ROOT_VOLUME("2")), ""),
		"fixfleet-role", RESERVATIONS("", ""), "DescribeInstanceStatus",
		STATUSES(STATUS("1", "impaired", "ok") STATUS("2", "ok", "ok")), "DescribeVolumes", volumes,
		"DescribeInstanceTypes", TYPES(""), "DescribeAutoScaling", NO_MEMBERS, "DescribeInstanceAttribute",
		"<DescribeInstanceAttributeResponse/>", NULL}};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_err err = {0};

	cr_assert_eq(discover(cloud, &web, asked, &err), FF_TURN_DONE, "%s", err.text);
	return cloud;
}

Test(aws_discover, a_key_that_cannot_be_used_is_a_reason_to_touch_nothing)
{
	static const struct {
		const char *answer, *reason;
	} cases[] = {
		{KEY_IS("Disabled"), "is disabled"},
		{KEY_IS("PendingDeletion"), "about to be deleted"},
		{KEY_IS("PendingReplicaDeletion"), "about to be deleted"},
		{KEY_IS("PendingImport"), "no key material"},
		{KEY_IS("Unavailable"), "not connected"},
		{KEY_NOT("NotFoundException"), "does not exist"},
		{KEY_NOT("com.amazonaws.kms#NotFoundException"), "does not exist"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_buf asked = {0};
		struct ff_cloud *cloud = with_key(KEY("k/1"), cases[i].answer, &asked);

		for (int n = 0; n < 2; n++) {
			const struct ff_vm *vm = vm_of(cloud, n ? "i-2" : "i-1");

			cr_expect_eq(vm->health, FF_SKIPPED, "%zu: %s", i, ff_health_name(vm->health));
			cr_expect(has_hazard(vm, "key"), "%zu", i);
			cr_expect_not(has_hazard(vm, "key-unknown"), "%zu", i);
			cr_expect(strstr(vm->reason, cases[i].reason) != NULL, "%zu: %s", i, vm->reason);
			cr_expect(strstr(vm->reason, "root volume") != NULL && strstr(vm->reason, KEY("k/1")) != NULL,
				"%zu: %s", i, vm->reason);
		}
		cr_expect_eq(
			times(asked.text, "{\"KeyId\":\"" KEY("k/1") "\"}\n"), 1, "one question a key: %s", asked.text);
		cr_expect_eq(ff_aws.notes(cloud)->count, 0);
		ff_aws.close(cloud);
	}
}

Test(aws_discover, a_key_of_which_nothing_is_known_stays_a_note)
{
	static const struct {
		const char *key, *answer;
		bool unknown;
		const char *note; /* NULL: none */
	} cases[] = {
		{KEY("k1"), KEY_IS("Enabled"), false, NULL},
		{KEY("k1"), KEY_IS("Updating"), true, NULL},
		{KEY("k1"), KEY_IS("Sleeping"), true, NULL},
		{KEY("k1"), KEY_NOT("AccessDeniedException"), true,
			"the state of 1 of 1 KMS keys could not be read: AccessDeniedException: because"},
		{KEY("k1"), "!000", true, "the state of 1 of 1 KMS keys could not be read: it broke"},
		{KEY("k1"), "!500<html>", true, "HTTP 500"},
		{KEY("k1"), "{}", true, "without the key's state"},
		{KEY("k1"), "{", true, "without the key's state"},
		/* of another region it cannot be, and "not found" would be no wonder */
		{"arn:aws:kms:us-east-10:123456789012:key/k1", KEY_NOT("NotFoundException"), true, NULL},
		{"arn:aws:kms:us-east-1:key/k1", KEY_NOT("NotFoundException"), true, NULL},
		{"arn:aws:kms:us-east-1:123456789012:alias/k1", KEY_NOT("NotFoundException"), true, NULL},
		{"", KEY_NOT("NotFoundException"), true, NULL},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_buf asked = {0};
		struct ff_cloud *cloud = with_key(cases[i].key, cases[i].answer, &asked);
		const struct ff_strv *notes = ff_aws.notes(cloud);
		const struct ff_vm *vm = vm_of(cloud, "i-1");

		cr_expect_eq(vm->health, FF_AFFECTED, "%zu: %s", i, vm->reason);
		cr_expect(has_hazard(vm, "encrypted"), "%zu", i);
		cr_expect_eq(has_hazard(vm, "key-unknown"), cases[i].unknown, "%zu", i);
		cr_expect_eq(notes->count, cases[i].note != NULL, "%zu: %zu notes", i, notes->count);
		if (cases[i].note != NULL && notes->count > 0)
			cr_expect(strstr(notes->items[0], cases[i].note) != NULL, "%zu: %s", i, notes->items[0]);
		ff_aws.close(cloud);
	}
}

/* A machine that is started again needs the keys of its other volumes, too; one that stays off does not. */
Test(aws_discover, the_keys_of_other_volumes_count_where_the_vm_is_started_again)
{
	static const struct pairs web = {{"KeyId", KEY_IS("Disabled"), "Name=platform",
		RESERVATIONS(INSTANCE("1", "running", ROOT_VOLUME("1")) INSTANCE("2", "stopped", ROOT_VOLUME("2")), ""),
		"fixfleet-role", RESERVATIONS("", ""), "DescribeInstanceStatus",
		STATUSES(STATUS("1", "impaired", "ok")), "VolumeId.1=vol-data",
		VOLUMES(VOLUME("data", SEALED(KEY("k2")))), "DescribeVolumes", VOLUMES(VOLUME("1", "") VOLUME("2", "")),
		"DescribeInstanceTypes", TYPES(""), "DescribeAutoScaling", NO_MEMBERS, "DescribeInstanceAttribute",
		"<DescribeInstanceAttributeResponse/>", NULL}};
	struct ff_scope_options options = {0};
	struct ff_cloud *cloud = signed_in(&options);
	struct ff_err err = {0};
	ff_auto_buf asked = {0};

	cr_assert_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
	cr_expect_eq(vm_of(cloud, "i-1")->health, FF_SKIPPED);
	cr_expect(strstr(vm_of(cloud, "i-1")->reason, "another volume is disabled") != NULL, "%s",
		vm_of(cloud, "i-1")->reason);
	cr_expect(has_hazard(vm_of(cloud, "i-1"), "encrypted"));
	cr_expect_str_eq(vm_of(cloud, "i-1")->disk_encryption, "none");
	cr_expect_eq(vm_of(cloud, "i-2")->health, FF_SUSPECT);
	cr_expect_eq(vm_of(cloud, "i-2")->hazards.count, 0);
	ff_aws.close(cloud);
}

Test(aws_discover, the_question_about_a_key_is_signed_for_kms_and_may_stay_unanswered)
{
	struct ff_cloud *cloud = signed_in(&(struct ff_scope_options){0});
	struct ff_ask ask;
	struct ff_err err = {0};

	aws_key_ask(cloud, KEY("k1"), &ask);
	cr_expect_str_eq(ask.method, "POST");
	cr_expect_str_eq(ask.url, "https://kms.us-east-1.amazonaws.com/");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "X-Amz-Target"), "TrentService.DescribeKey");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "Content-Type"), "application/x-amz-json-1.1");
	cr_expect(ask.optional && !ask.mutates);
	cr_assert_eq(ff_aws.sign(cloud, WALL_MS, &ask, &err), 0, "%s", err.text);
	cr_expect(strstr(ff_headers_get(&ask.headers, "Authorization"), "/us-east-1/kms/aws4_request") != NULL);
	ff_ask_release(&ask);
	ff_aws.close(cloud);
}

/* ---------------------------------------------------------------- permissions */

#define REFUSED(code) "<Response><Errors><Error><Code>" code "</Code><Message>m</Message></Error></Errors></Response>"

Test(aws_discover, before_a_repair_permissions_are_tried_without_effect)
{
	struct pairs web = {{"DryRun=true", "!412" REFUSED("DryRunOperation"), "DryRun=true",
		"!412" REFUSED("DryRunOperation"), "tag%3Afixfleet-role", RESERVATIONS(RESCUE, ""),
		"Filter.1.Name=platform", RESERVATIONS(INSTANCE("1", "running", ROOT_VOLUME("1")), ""),
		"DescribeInstanceStatus", STATUSES(STATUS("1", "impaired", "ok")), "DescribeVolumes",
		VOLUMES(VOLUME("1", "")), "DescribeInstanceTypes", TYPES(""), "DescribeAutoScalingInstances",
		NO_MEMBERS, "DescribeInstanceAttribute", "<R/>", NULL}};
	static const char *const asked_of[] = {"Action=StopInstances&Version=2016-11-15&DryRun=true&InstanceId.1=i-1\n",
		"Action=StartInstances&Version=2016-11-15&DryRun=true&InstanceId.1=i-1\n",
		"Action=DetachVolume&Version=2016-11-15&DryRun=true&VolumeId=vol-1&InstanceId=i-1\n",
		"Action=AttachVolume&Version=2016-11-15&DryRun=true&VolumeId=vol-1&InstanceId=i-rescue&Device=%2Fdev%"
		"2Fsdf\n",
		"Action=AttachVolume&Version=2016-11-15&DryRun=true&VolumeId=vol-1&InstanceId=i-1&Device=%2Fdev%"
		"2Fsda1\n",
		"Action=CreateSnapshot&Version=2016-11-15&DryRun=true&VolumeId=vol-1\n"};

	for (int round = 0; round < 4; round++) { /* list; a repair; one without a snapshot; without a permission */
		struct ff_scope_options options = {.preflight = round > 0, .no_backup = round == 2};
		struct ff_cloud *cloud = signed_in(&options);
		ff_auto_buf asked = {0};
		struct ff_err err = {0};

		if (round == 3) {
			web.items[0] =
				"Action=AttachVolume&Version=2016-11-15&DryRun=true&VolumeId=vol-1&InstanceId=i-1";
			web.items[1] = "!403" REFUSED("UnauthorizedOperation");
		}
		cr_assert_eq(discover(cloud, &web, &asked, &err), FF_TURN_DONE, "%s", err.text);
		for (size_t i = 0; i < FF_COUNT(asked_of); i++)
			cr_expect_eq(strstr(asked.text, asked_of[i]) != NULL, round > 0 && !(round == 2 && i == 5),
				"round %d: %s", round, asked_of[i]);
		cr_expect_eq(vm_of(cloud, "i-1")->health, round == 3 ? FF_SKIPPED : FF_AFFECTED);
		if (round == 3)
			cr_expect_not_null(strstr(vm_of(cloud, "i-1")->reason, "permission is missing: "));
		ff_aws.close(cloud);
	}
}

/* ---------------------------------------------------------------- evidence */

static int exhibit_of(unsigned n, int status, const char *body, struct ff_exhibit *out, struct ff_err *err)
{
	ff_auto_json json_t *state = json_object();
	struct ff_answer answer;
	int rc;

	answer_with(&answer, status, body);
	*out = (struct ff_exhibit){0};
	rc = aws_evidence_read(&answer, n, state, out, err);
	ff_answer_release(&answer, true);
	return rc;
}

Test(aws_discover, console_and_screen_are_asked_for_and_read)
{
	struct ff_cloud *cloud = signed_in(&(struct ff_scope_options){0});
	struct ff_vm vm = {.id = (char *)"i-1", .state = (char *)"running"}, off = {.state = (char *)"stopped"};
	ff_auto_json json_t *state = json_object();
	struct ff_exhibit out;
	struct ff_err err;
	struct ff_ask ask = {0};

	cr_assert_eq(aws_evidence_ask(cloud, &vm, 0, state, &ask), FF_EVIDENCE_SIGNED);
	cr_expect_str_eq(ask.body, "Action=GetConsoleOutput&Version=2016-11-15&InstanceId=i-1");
	ff_ask_release(&ask);
	cr_assert_eq(aws_evidence_ask(cloud, &vm, 1, state, &ask), FF_EVIDENCE_SIGNED);
	cr_expect_str_eq(ask.body, "Action=GetConsoleScreenshot&Version=2016-11-15&InstanceId=i-1");
	ff_ask_release(&ask);
	cr_expect_eq(aws_evidence_ask(cloud, &vm, 2, state, &ask), FF_EVIDENCE_NONE);
	cr_expect_eq(aws_evidence_ask(cloud, &off, 0, state, &ask), FF_EVIDENCE_NONE);
	/* base64 with broken lines, as encoders for people write it */
	cr_assert_eq(exhibit_of(0, 200, "<R><output>Qm9v\r\nbSE=\n</output></R>", &out, &err), 0);
	cr_expect_str_eq(out.name, "console.txt");
	cr_expect_str_eq(out.bytes, "Boom!");
	cr_expect_eq(out.len, 5);
	ff_exhibit_release(&out);
	cr_assert_eq(exhibit_of(1, 200, "<R><imageData>/9j/</imageData></R>", &out, &err), 0);
	cr_expect_str_eq(out.name, "screen.jpg");
	cr_expect(out.len == 3 && memcmp(out.bytes, "\xff\xd8\xff", 3) == 0);
	ff_exhibit_release(&out);
	cr_assert_eq(exhibit_of(0, 200, "<R><output/></R>", &out, &err), 0, "nothing was written yet");
	cr_expect_null(out.name);
	cr_expect_eq(exhibit_of(0, 200, "<R><output>!!</output></R>", &out, &err), -1);
	cr_expect_eq(exhibit_of(0, 403,
			     "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error>"
			     "</Errors></Response>",
			     &out, &err),
		-1);
	cr_expect_eq(err.class, FF_E_DENIED);
	ff_aws.close(cloud);
}
