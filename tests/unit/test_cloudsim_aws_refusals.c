/* What AWS refuses, with its codes and words; and what a refused call must not have done. */
#include "test_cloudsim_aws_kit.h"

#define FLEET                                                                                                          \
	"{'aws':{'lag_ms':{'instances':0,'status':0,'volumes':0,'snapshots':0,'tags':0},"                              \
	"'groups':[{'name':'g','min':1}],'vms':["                                                                      \
	"{'name':'bad','id':'i-0000000000000001','root':{'id':'vol-0000000000000001','bad':true},"                     \
	"'tags':{'fixfleet-run':'r1','Env':'prod'}},"                                                                  \
	"{'name':'down','id':'i-0000000000000002','power':'stopped','root':{'id':'vol-0000000000000002'},"             \
	"'tags':{'fixfleet-run':'r1'}},"                                                                               \
	"{'name':'spot','id':'i-0000000000000003','spot':true,'status':'impaired'},"                                   \
	"{'name':'kept','id':'i-0000000000000004','stop_protection':true,'status':'impaired'},"                        \
	"{'name':'store','id':'i-0000000000000005','instance_store':true,'status':'impaired'},"                        \
	"{'name':'ours','id':'i-0000000000000006','managed':true,'status':'impaired'},"                                \
	"{'name':'coming','id':'i-0000000000000007','power':'pending'},"                                               \
	"{'name':'gone','id':'i-0000000000000008','power':'terminated'},"                                              \
	"{'name':'going','id':'i-0000000000000009','power':'stopping'},"                                               \
	"{'name':'member','id':'i-000000000000000a','asg':'g','status':'impaired'},"                                   \
	"{'name':'full','id':'i-000000000000000c','power':'stopped','start_fault':'refused','start_faults':1,"         \
	"'tags':{'fixfleet-run':'r1'}},"                                                                               \
	"{'name':'other-zone','id':'i-000000000000000e','os':'Linux','rescue':true,'zone':'us-east-1b'},"              \
	"{'name':'rescue','id':'i-000000000000000f','os':'Linux','rescue':true,'attachments_max':3,"                   \
	"'root':{'id':'vol-000000000000000f'}}],"                                                                      \
	"'volumes':[{'id':'vol-00000000000000a1','tags':{'fixfleet-run':'r1'}},"                                       \
	"{'id':'vol-00000000000000a2','tags':{'fixfleet-run':'r1'}},"                                                  \
	"{'id':'vol-00000000000000a3','tags':{'fixfleet-run':'r1'}},"                                                  \
	"{'id':'vol-00000000000000a4','marketplace':true,'tags':{'fixfleet-run':'r1'}},"                               \
	"{'id':'vol-00000000000000a5','managed':true,'tags':{'fixfleet-run':'r1'}}],"                                  \
	"'snapshots':[{'id':'snap-0000000000000001','tags':{'fixfleet-run':'r0'}}]}}"
#define LOOSE(n)	      "vol-00000000000000a" n
#define ATTACH(vol, vm, name) "AttachVolume&VolumeId=" vol "&InstanceId=" vm "&Device=" name
#define SDF		      "%2Fdev%2Fsdf"

struct refusal {
	const char *version, *action;
	int status;
	const char *code, *words;
};

static void all_refused(const struct refusal *cases, size_t count)
{
	struct kit k = kit_open(FLEET);
	ff_auto_json json_t *before = kit_state(&k), *after = NULL;

	for (size_t i = 0; i < count; i++)
		kit_refused(&k, cases[i].action, kit_ask(&k, cases[i].version, cases[i].action), cases[i].status,
			cases[i].code, cases[i].words);
	after = kit_state(&k);
	cr_assert(json_equal(json_object_get(before, "aws"), json_object_get(after, "aws")),
		"a refused call changes nothing");
	cr_assert_eq(json_array_size(json_object_get(after, "operations")), 0u);
	kit_close(&k);
}

Test(cloudsim_aws_refusals, forms_are_read_strictly)
{
	static const struct refusal cases[] = {
		{EC2, "NoSuchThing", 400, "InvalidAction", "NoSuchThing"},
		{EC2, "GetCallerIdentity", 400, "InvalidAction", "not valid for this web service"},
		{"2010-01-01", "DescribeInstances", 400, "NoSuchVersion", "2010-01-01"},
		{EC2, "DescribeInstances&InstanceIds.1=i-1", 400, "UnknownParameter", "InstanceIds.1"},
		{EC2, "StopInstances&InstanceId=" I("1"), 400, "UnknownParameter", "InstanceId is not recognized"},
		{EC2, "StopInstances&InstanceId.0=" I("1"), 400, "UnknownParameter", "InstanceId.0"},
		{EC2, "StopInstances&InstanceId.2=" I("1"), 400, "InvalidParameterValue", "InstanceId.2"},
		{EC2, "StopInstances&InstanceId.1=" I("1") "&InstanceId.1=" I("2"), 400, "InvalidParameterValue",
			"given twice"},
		{EC2, "StopInstances", 400, "MissingParameter", "InstanceId"},
		{EC2, "StopInstances&Force=yes&InstanceId.1=" I("1"), 400, "InvalidParameterValue", "true or false"},
		{EC2, "DescribeInstances&Filter.1.Name=color&Filter.1.Value.1=red", 400, "InvalidParameterValue",
			"The filter 'color' is invalid"},
		{EC2, "DescribeInstances&Filter.1.Name=platform", 400, "InvalidParameterValue", "no value"},
		{EC2, "DescribeInstances&Filter.1.Value.1=x", 400, "InvalidParameterValue", "null"},
		{EC2, "DescribeVolumes&Filter.1.Name=platform&Filter.1.Value.1=windows", 400, "InvalidParameterValue",
			"platform"},
		{EC2, "DescribeInstances&InstanceId.1=%zz", 400, "MalformedQueryString", "syntax"},
		{EC2, "DescribeInstances&InstanceId.1=%4", 400, "MalformedQueryString", "syntax"},
		{EC2, "DescribeInstances&InstanceId.1=%ff", 400, "MalformedQueryString", "syntax"},
		{EC2, "DescribeInstances&InstanceId.1=a%00", 400, "MalformedQueryString", "syntax"},
		{EC2, "DescribeInstances&InstanceId.1=foobar", 400, "InvalidInstanceID.Malformed",
			"Invalid id: \"foobar\""},
		{EC2, "DescribeInstances&InstanceId.1=" I("1") "&InstanceId.2=i-00000000000000ff", 400,
			"InvalidInstanceID.NotFound", "The instance ID 'i-00000000000000ff' does not exist"},
		{EC2, "DescribeVolumes&VolumeId.1=vol-00000000000000ff", 400, "InvalidVolume.NotFound",
			"The volume 'vol-00000000000000ff' does not exist."},
		{EC2, "DescribeVolumes&VolumeId.1=disk", 400, "InvalidParameterValue", "volumeId"},
		{EC2, "DescribeSnapshots&SnapshotId.1=snap-00000000000000ff", 400, "InvalidSnapshot.NotFound",
			"snap-00000000000000ff"},
		{EC2, "DescribeSnapshots&SnapshotId.1=x", 400, "InvalidSnapshotID.Malformed", "x"},
		{EC2, "DescribeInstanceTypes&InstanceType.1=x9.huge", 400, "InvalidInstanceType", "x9.huge"},
		{EC2, "DescribeInstanceAttribute&Attribute=color&InstanceId=" I("1"), 400, "InvalidParameterValue",
			"color"},
		{EC2, "DescribeInstanceAttribute&Attribute=disableApiStop", 400, "MissingParameter", "InstanceId"},
		{EC2, "GetConsoleOutput", 400, "MissingParameter", "InstanceId"},
	};

	all_refused(cases, FF_COUNT(cases));
}

Test(cloudsim_aws_refusals, stop_and_start_ask_for_the_right_state)
{
	static const struct refusal cases[] = {
		{EC2, "StopInstances&InstanceId.1=" I("3"), 400, "UnsupportedOperation", "Spot Instance"},
		{EC2, "StopInstances&InstanceId.1=" I("4"), 400, "OperationNotPermitted",
			"may not be stopped. Modify its 'disableApiStop' instance attribute and try again."},
		{EC2, "StopInstances&InstanceId.1=" I("5"), 400, "UnsupportedOperation", "'ebs' root device"},
		{EC2, "StopInstances&InstanceId.1=" I("6"), 400, "UnsupportedOperation", "managed"},
		{EC2, "StopInstances&InstanceId.1=" I("7"), 400, "IncorrectInstanceState",
			"never reached the 'running' state"},
		{EC2, "StopInstances&InstanceId.1=" I("8"), 400, "IncorrectInstanceState", "can be stopped"},
		{EC2, "StopInstances&InstanceId.1=" I("1") "&InstanceId.2=" I("4"), 400, "OperationNotPermitted",
			I("4")}, /* one bad id fails the batch */
		{EC2, "StopInstances&InstanceId.1=" I("1") "&InstanceId.2=i-00000000000000ff", 400,
			"InvalidInstanceID.NotFound", "i-00000000000000ff"},
		{EC2, "StartInstances&InstanceId.1=" I("9"), 400, "IncorrectInstanceState",
			"is not in a state from which it can be started."},
		{EC2, "StartInstances&InstanceId.1=" I("8"), 400, "IncorrectInstanceState", "can be started"},
		{EC2, "StartInstances&InstanceId.1=" I("2") "&InstanceId.2=" I("9"), 400, "IncorrectInstanceState",
			I("9")},
		{EC2, "StartInstances&InstanceId.1=" I("c"), 500, "InsufficientInstanceCapacity",
			"sufficient m5.large capacity"},
		{EC2, "StartInstances&DryRun=true&InstanceId.1=" I("9"), 412, "DryRunOperation", "would have"},
	};

	all_refused(cases, FF_COUNT(cases));
}

Test(cloudsim_aws_refusals, volumes_go_only_where_they_may)
{
	static const struct refusal cases[] = {
		{EC2, "DetachVolume&VolumeId=" VOL("1"), 400, "IncorrectState",
			"Unable to detach root volume '" VOL("1") "' from instance '" I("1") "'"},
		{EC2, "DetachVolume&Force=true&VolumeId=" VOL("1"), 400, "IncorrectState", "Unable to detach root"},
		{EC2, "DetachVolume&VolumeId=" LOOSE("1"), 400, "IncorrectState",
			"Volume '" LOOSE("1") "' is in the 'available' state."},
		{EC2, "DetachVolume&VolumeId=" VOL("2") "&InstanceId=" I("1"), 400, "InvalidAttachment.NotFound",
			"is not attached to '" I("1") "'"},
		{EC2, "DetachVolume&VolumeId=" VOL("2") "&Device=" SDF, 400, "InvalidAttachment.NotFound", "/dev/sdf"},
		{EC2, ATTACH(VOL("2"), I("f"), SDF), 400, "VolumeInUse", "is already attached to an instance"},
		{EC2, ATTACH(LOOSE("1"), I("e"), SDF), 400, "InvalidVolume.ZoneMismatch",
			"is not in the same availability zone as instance"},
		{EC2, ATTACH(LOOSE("1"), I("9"), SDF), 400, "IncorrectState", "is not 'running'"},
		{EC2, ATTACH(LOOSE("1"), I("f"), "%2Fdev%2Fxvda"), 400, "InvalidParameterValue",
			"Invalid value '/dev/xvda' for unixDevice. Attachment point /dev/xvda is already in use"},
		{EC2, ATTACH(LOOSE("1"), I("f"), "%2Fdev%2Fnvme1n1"), 400, "InvalidParameterValue",
			"not a valid EBS device name"},
		{EC2, ATTACH(LOOSE("1"), I("f"), "%2Fdev%2Fsd"), 400, "InvalidParameterValue", "not a valid EBS"},
		{EC2, ATTACH(LOOSE("1"), I("f"), "%2Fdev%2Fsda10x"), 400, "InvalidParameterValue", "not a valid EBS"},
		{EC2, "AttachVolume&VolumeId=" LOOSE("1") "&InstanceId=" I("f"), 400, "MissingParameter", "Device"},
		{EC2, ATTACH(LOOSE("4"), I("f"), SDF), 400, "IncorrectInstanceState", "with Marketplace codes"},
		{EC2, ATTACH(LOOSE("5"), I("f"), SDF), 400, "UnsupportedOperation", "managed"},
		{EC2, "CreateSnapshot&VolumeId=" VOL("1") "&TagSpecification.1.ResourceType=volume", 400,
			"InvalidParameterValue", "'volume' is not a valid taggable resource type"},
		{EC2,
			"CreateSnapshot&VolumeId=" VOL("1") "&TagSpecification.1.ResourceType=snapshot&"
							    "TagSpecification.1.Tag.1.Key=aws%3Ax",
			400, "InvalidParameterValue", "reserved"},
		{EC2, "DeleteSnapshot&SnapshotId=snap-00000000000000ff", 400, "InvalidSnapshot.NotFound", "snap-"},
		{EC2, "ModifyInstanceAttribute&InstanceId=" I("1"), 400, "InvalidParameterCombination",
			"No attributes"},
		{EC2,
			"ModifyInstanceAttribute&InstanceId=" I("1") "&DisableApiStop.Value=true&"
								     "BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1",
			400, "InvalidParameterCombination", "multiple"},
		{EC2,
			"ModifyInstanceAttribute&InstanceId=" I("1") "&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1&"
								     "BlockDeviceMapping.1.Ebs.DeleteOnTermination="
								     "false&BlockDeviceMapping.2.DeviceName=" SDF,
			400, "InvalidInstanceAttributeValue", "No device is currently mapped at /dev/sdf"},
	};

	all_refused(cases, FF_COUNT(cases));
}

Test(cloudsim_aws_refusals, tags_and_groups_have_their_rules)
{
	static const struct refusal cases[] = {
		{EC2, "CreateTags&Tag.1.Key=a", 400, "MissingParameter", "resourceIdSet"},
		{EC2, "CreateTags&ResourceId.1=" I("1"), 400, "MissingParameter", "tagSet"},
		{EC2, "CreateTags&ResourceId.1=x&Tag.1.Key=a", 400, "InvalidID", "The ID 'x' is not valid"},
		{EC2, "CreateTags&ResourceId.1=" I("1") "&ResourceId.2=vol-00000000000000ff&Tag.1.Key=a", 400,
			"InvalidVolume.NotFound", "vol-00000000000000ff"},
		{EC2, "CreateTags&ResourceId.1=" I("1") "&Tag.1.Key=aws%3Aa", 400, "InvalidParameterValue", "reserved"},
		{EC2, "CreateTags&ResourceId.1=" I("1") "&Tag.1.Key=", 400, "InvalidParameterValue", "Tag key"},
		{EC2, "DeleteTags&ResourceId.1=snap-00000000000000ff&Tag.1.Key=a", 400, "InvalidSnapshot.NotFound",
			"snap-"},
		{ASG,
			"EnterStandby&InstanceIds.member.1=" I("a") "&AutoScalingGroupName=g&"
								    "ShouldDecrementDesiredCapacity=true",
			400, "ValidationError", "min-size=1"},
		{ASG, "EnterStandby&InstanceIds.member.1=" I("a") "&AutoScalingGroupName=g", 400, "MissingParameter",
			"ShouldDecrementDesiredCapacity"},
		{ASG,
			"EnterStandby&InstanceIds.member.1=" I("1") "&AutoScalingGroupName=g&"
								    "ShouldDecrementDesiredCapacity=true",
			400, "ValidationError", "is not part of Auto Scaling group g"},
		{ASG, "ExitStandby&InstanceIds.member.1=" I("a") "&AutoScalingGroupName=g", 400, "ValidationError",
			"is not in Standby"},
		{ASG, "ExitStandby&InstanceIds.member.1=" I("a") "&AutoScalingGroupName=h", 400, "ValidationError",
			"h not found"},
		{ASG, "ExitStandby&InstanceId.1=" I("a"), 400, "UnknownParameter", "InstanceId.1"},
	};

	all_refused(cases, FF_COUNT(cases));
}

Test(cloudsim_aws_refusals, limits_of_lists_are_kept)
{
	struct kit k = kit_open(FLEET);
	ff_auto_buf members = {0}, tags = {0};
	ff_auto_free char *key = ff_calloc(1, 129), *long_key = NULL;

	ff_buf_adds(&members, "DescribeAutoScalingInstances");
	for (int i = 1; i <= 51; i++)
		ff_buf_addf(&members, "&InstanceIds.member.%d=" I("a"), i);
	kit_refused(&k, "51 members", kit_ask(&k, ASG, members.text), 400, "ValidationError", "limited to 50");
	memset(key, 'k', 128);
	long_key = ff_printf("CreateTags&ResourceId.1=" I("1") "&Tag.1.Key=%s", key);
	must_refuse(&k, long_key, 400, "InvalidParameterValue", "127");
	ff_buf_adds(&tags, "CreateTags&ResourceId.1=" I("1"));
	for (int i = 1; i <= 48; i++) /* it has Name, Env and the claim */
		ff_buf_addf(&tags, "&Tag.%d.Key=t%d", i, i);
	must_refuse(&k, tags.text, 400, "TagLimitExceeded", "50");
	kit_close(&k);
}

Test(cloudsim_aws_refusals, hibernation_is_never_granted_and_noted)
{
	struct kit k = kit_open(FLEET);

	must_refuse(&k, "StopInstances&Hibernate=true&InstanceId.1=" I("1"), 400, "UnsupportedHibernationConfiguration",
		I("1"));
	cr_assert(kit_violated(&k, "asked to hibernate"));
	kit_close(&k);
}

Test(cloudsim_aws_refusals, a_rescue_vm_has_so_many_slots)
{
	struct kit k = kit_open(FLEET);

	must_do(&k, ATTACH(LOOSE("1"), I("f"), SDF));
	must_say(&k, "status", "attaching");
	must_refuse(&k, ATTACH(LOOSE("2"), I("f"), SDF), 400, "InvalidParameterValue", "/dev/sdf is already in use");
	must_refuse(&k, ATTACH(LOOSE("1"), I("f"), "%2Fdev%2Fsdg"), 400, "VolumeInUse", "already attached");
	must_do(&k, ATTACH(LOOSE("2"), I("f"), "%2Fdev%2Fsdg"));
	must_refuse(&k, ATTACH(LOOSE("3"), I("f"), "%2Fdev%2Fsdh"), 400, "AttachmentLimitExceeded",
		"You may attach up to 3 devices for this instance type.");
	kit_settle(&k);
	must_do(&k, "DetachVolume&VolumeId=" LOOSE("1"));
	must_refuse(&k, "DetachVolume&VolumeId=" LOOSE("1"), 400, "IncorrectState", "'detaching'");
	must_refuse(&k, ATTACH(LOOSE("1"), I("f"), SDF), 400, "VolumeInUse", "already attached");
	cr_assert_eq(kit_violations(&k), 0u);
	kit_close(&k);
}

Test(cloudsim_aws_refusals, a_marketplace_volume_attaches_to_a_stopped_machine)
{
	struct kit k = kit_open(FLEET);

	must_do(&k, ATTACH(LOOSE("4"), I("2"), SDF));
	kit_settle(&k);
	must_do(&k, "DescribeVolumes&VolumeId.1=" LOOSE("4"));
	must_say(&k, "volumeSet/item/attachmentSet/item/status", "attached");
	kit_close(&k);
}

Test(cloudsim_aws_refusals, the_root_has_to_be_at_its_device_to_start)
{
	struct kit k = kit_open(FLEET);

	must_do(&k, "DetachVolume&VolumeId=" VOL("2"));
	must_refuse(&k, "StartInstances&InstanceId.1=" I("2"), 400, "InvalidParameterValue",
		"Instance does not have a volume attached at root (/dev/sda1)");
	kit_settle(&k);
	must_do(&k, ATTACH(VOL("2"), I("2"), SDF));
	kit_settle(&k);
	must_refuse(&k, "StartInstances&InstanceId.1=" I("2"), 400, "InvalidParameterValue",
		"Invalid value '" I("2") "' for instanceId. Instance does not have a volume attached at root");
	kit_close(&k);
}

Test(cloudsim_aws_refusals, what_is_no_query_is_no_action)
{
	struct kit k = kit_open(FLEET);
	struct sim_request get = {.method = "GET", .base = "https://x", .target = "/"};
	struct sim_request query = {.method = "POST", .base = "https://x", .target = "/?Action=DescribeInstances"};
	static const char *const roots[] = {"Response", "Response"};
	struct sim_request *both[] = {&get, &query};

	for (size_t i = 0; i < FF_COUNT(both); i++) {
		cr_assert_eq(kit_send(&k, both[i]), 400);
		cr_assert_not_null(k.xml);
		cr_assert_str_eq((const char *)xmlDocGetRootElement(k.xml)->name, roots[i]);
	}
	kit_close(&k);
}

Test(cloudsim_aws_refusals, mistakes_of_a_scenario_are_named)
{
	static const char *const cases[][2] = {
		{"{'aws':{'colour':1}}", "unknown member 'colour'"},
		{"{'aws':{'vms':[{'nam':'a'}]}}", "aws.vms[0]: unknown member 'nam'"},
		{"{'aws':{'vms':[{'name':'a','id':'j-1'}]}}", "'j-1' is no id"},
		{"{'aws':{'vms':[{'id':'i-00000001'},{'id':'i-00000001'}]}}", "is there twice"},
		{"{'aws':{'vms':[{'type':'z1.none'}]}}", "type 'z1.none'"},
		{"{'aws':{'vms':[{'asg':'g'}]}}", "group 'g' is not among"},
		{"{'aws':{'vms':[{'name':'a/b'}]}}", "slash"},
		{"{'aws':{'vms':[{'hibernated':true}]}}", "needs power 'stopped'"},
		{"{'aws':{'vms':[{'root':{'image':'x','bad':true}}]}}", "leave 'bad' out"},
		{"{'aws':{'vms':[{'root':{'id':'vol-1'}}]}}", "'vol-1' is no id"},
		{"{'aws':{'vms':[{'root':{'size_gib':1,'size_bytes':5000}}]}}", "but it has"},
		{"{'aws':{'vms':[{'start_fault':'x'}]}}", "not one of"},
		{"{'aws':{'account':'12'}}", "12 digits"},
		{"{'aws':{'lag_ms':{'cache':1}}}", "unknown member 'cache'"},
		{"{'aws':{'latency_ms':{'stop':-1}}}", "'stop' is not a whole number"},
		{"{'aws':{'buckets':{'GetCallerIdentity':{'capacity':1,'refill_per_s':1}}}}", "unknown member"},
		{"{'aws':{'buckets':{'StopInstances.unfiltered':{'capacity':1,'refill_per_s':1}}}}", "unknown member"},
		{"{'aws':{'buckets':{'StopInstances':{'capacity':0,'refill_per_s':1}}}}", "needs numbers"},
		{"{'aws':{'deny':[{'scope':'*'}]}}", "unknown member 'scope'"},
		{"{'aws':{'groups':[{'min':1}]}}", "'name' is missing"},
		{"{'aws':{'snapshots':[{'id':'snap-x'}]}}", "no id such as"},
		{"{'aws':3}", "no object 'aws'"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};
		struct sim *sim = kit_model(cases[i][0], &err);

		cr_assert_null(sim, "%s", cases[i][0]);
		cr_assert(strstr(err.text, cases[i][1]) != NULL, "%s: %s", cases[i][0], err.text);
	}
}
