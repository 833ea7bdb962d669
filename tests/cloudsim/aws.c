/*
 * The way of a request through AWS: the form, who asks (Signature Version 4), may he, does his budget allow it, are the
 * parameters known, and the handler of the action. One endpoint serves EC2, STS and Auto Scaling, told apart by
 * Version, and what speaks JSON.
 */
#include "aws.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

#define FILTERS	 "Filter.#.Name Filter.#.Value.# "
#define PAGES	 "MaxResults NextToken "
#define DRY	 "DryRun "
#define TAGS	 "Tag.#.Key Tag.#.Value "
#define TAG_SPEC "TagSpecification.#.ResourceType TagSpecification.#.Tag.#.Key TagSpecification.#.Tag.#.Value "

/* Budgets are those that AWS publishes: size and refill a second, for requests and for the ids in them. */
#define READ(ids)	     AW_READS, 0, 0, ids, 0, 0
#define CHANGE(size, refill) AW_MUTATES, size, refill, NULL, 0, 0
#define FREE		     AW_NO_BUDGET, 0, 0, NULL, 0, 0
/* clang-format off */
const struct aw_action aw_actions[] = {
	{AW_EC2, "DescribeInstances", DRY FILTERS PAGES "InstanceId.#", aw_describe_instances, READ("InstanceId")},
	{AW_EC2, "DescribeInstanceStatus", DRY FILTERS PAGES "InstanceId.# IncludeAllInstances", aw_describe_status, READ("InstanceId")},
	{AW_EC2, "DescribeInstanceAttribute", DRY "InstanceId Attribute", aw_describe_attribute, READ("InstanceId")},
	{AW_EC2, "DescribeInstanceTypes", DRY FILTERS PAGES "InstanceType.#", aw_describe_types, READ("InstanceType")},
	{AW_EC2, "DescribeVolumes", DRY FILTERS PAGES "VolumeId.#", aw_describe_volumes, READ("VolumeId")},
	{AW_EC2, "DescribeSnapshots", DRY FILTERS PAGES "SnapshotId.# Owner.#", aw_describe_snapshots, READ("SnapshotId")},
	{AW_EC2, "GetConsoleOutput", DRY "InstanceId Latest", aw_console_output, READ("InstanceId")},
	{AW_EC2, "GetConsoleScreenshot", DRY "InstanceId WakeUp", aw_console_screenshot, READ("InstanceId")},
	{AW_EC2, "StopInstances", DRY "InstanceId.# Force Hibernate SkipOsShutdown", aw_stop, AW_MUTATES, 50, 5, "InstanceId", 1000, 20},
	{AW_EC2, "StartInstances", DRY "InstanceId.#", aw_start, AW_MUTATES, 5, 2, "InstanceId", 1000, 2},
	{AW_EC2, "ModifyInstanceAttribute", DRY "InstanceId BlockDeviceMapping.#.DeviceName BlockDeviceMapping.#.Ebs.DeleteOnTermination BlockDeviceMapping.#.Ebs.VolumeId DisableApiStop.Value", aw_modify_attribute, CHANGE(50, 5)},
	{AW_EC2, "AttachVolume", DRY "VolumeId InstanceId Device", aw_attach, CHANGE(50, 5)},
	{AW_EC2, "DetachVolume", DRY "VolumeId InstanceId Device Force", aw_detach, CHANGE(50, 5)},
	{AW_EC2, "CreateVolume", DRY TAG_SPEC "AvailabilityZone SnapshotId VolumeType Size Iops Throughput Encrypted KmsKeyId MultiAttachEnabled ClientToken", aw_create_volume, CHANGE(100, 5)},
	{AW_EC2, "DeleteVolume", DRY "VolumeId", aw_delete_volume, CHANGE(100, 5)},
	{AW_EC2, "CreateSnapshot", DRY TAG_SPEC "VolumeId Description", aw_create_snapshot, CHANGE(100, 5)},
	{AW_EC2, "DeleteSnapshot", DRY "SnapshotId", aw_delete_snapshot, CHANGE(100, 5)},
	{AW_EC2, "CreateTags", DRY TAGS "ResourceId.#", aw_create_tags, CHANGE(100, 10)},
	{AW_EC2, "DeleteTags", DRY TAGS "ResourceId.#", aw_delete_tags, CHANGE(100, 10)},
	{AW_STS, "GetCallerIdentity", "", aw_caller_identity, FREE},
	{AW_STS, "AssumeRole", "RoleArn RoleSessionName DurationSeconds ExternalId SerialNumber TokenCode", aw_assume_role, FREE},
	{AW_STS, "AssumeRoleWithWebIdentity", "RoleArn RoleSessionName DurationSeconds WebIdentityToken", aw_assume_web, FREE},
	{AW_SCALING, "DescribeAutoScalingInstances", "InstanceIds.member.# MaxRecords NextToken", aw_scaling_instances, FREE},
	{AW_SCALING, "EnterStandby", "InstanceIds.member.# AutoScalingGroupName ShouldDecrementDesiredCapacity", aw_enter_standby, FREE},
	{AW_SCALING, "ExitStandby", "InstanceIds.member.# AutoScalingGroupName", aw_exit_standby, FREE},
};
/* clang-format on */
const size_t aw_action_count = FF_COUNT(aw_actions);

static const struct {
	const char *version, *prefix, *name;
} services[AW_SERVICES] = {
	[AW_EC2] = {"2016-11-15", "ec2", "AmazonEC2"},
	[AW_STS] = {"2011-06-15", "sts", "AWSSecurityTokenService"},
	[AW_SCALING] = {"2011-01-01", "autoscaling", "AutoScaling"},
	/* without a query API */
	[AW_SECRETS] = {NULL, "secretsmanager", "AWSSecretsManager"},
	[AW_KMS] = {NULL, "kms", "AWSKMS"},
};

/* ---- errors */

static void error_into(struct sim_answer *ans, enum aw_service service, int status, const char *code,
	const char *message, const char *request_id)
{
	struct ff_buf out = {0};

	ff_buf_adds(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
	if (service == AW_EC2)
		ff_buf_adds(&out, "<Response><Errors><Error><Code>");
	else
		ff_buf_addf(&out, "<ErrorResponse xmlns=\"%s\"><Error><Type>%s</Type><Code>",
			service == AW_STS ? "https://sts.amazonaws.com/doc/2011-06-15/"
					  : "http://autoscaling.amazonaws.com/doc/2011-01-01/",
			status >= 500 ? "Receiver" : "Sender");
	aw_escape(&out, code);
	ff_buf_adds(&out, "</Code><Message>");
	aw_escape(&out, message);
	if (service == AW_EC2)
		ff_buf_addf(&out, "</Message></Error></Errors><RequestID>%s</RequestID></Response>", request_id);
	else
		ff_buf_addf(&out, "</Message></Error><RequestId>%s</RequestId></ErrorResponse>", request_id);
	ff_headers_set(&ans->headers, "Content-Type", "text/xml;charset=UTF-8");
	ans->status = status;
	free(ans->body);
	ans->body_len = out.len;
	ans->body = ff_buf_take(&out);
}

int aw_refuse(struct aw_call *c, int status, const char *code, const char *fmt, ...)
{
	ff_auto_free char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = ff_vprintf(fmt, ap);
	va_end(ap);
	if (services[c->service].version == NULL)
		aw_json_refuse(c, code, message);
	else
		error_into(c->ans, c->service, status, code, message, c->request_id);
	return -1;
}

/* What a fault that names only a status looks like from AWS. It does not know the service; EC2's form it is. */
static void refuse(void *self, const struct sim_fault *f, struct sim_answer *ans)
{
	const char *code = f->code, *message = f->message;
	ff_auto_free char *seconds = ff_printf("%lld", (long long)f->retry_after_s);

	(void)self;
	if (f->retry_after_s >= 0)
		ff_headers_add(&ans->headers, "Retry-After", seconds);
	if (code == NULL && (f->status == 502 || f->status == 504)) { /* a front end's own */
		ans->status = f->status;
		ff_headers_add(&ans->headers, "Content-Type", "text/html");
		ans->body = ff_strdup("<html><body><h1>The server is on fire</h1></body></html>");
		ans->body_len = strlen(ans->body);
		return;
	}
	if (code == NULL) {
		code = f->status == 503	  ? "RequestLimitExceeded"
		       : f->status >= 500 ? "InternalError"
		       : f->status == 403 ? "UnauthorizedOperation"
					  : "InvalidRequest";
		message = message != NULL    ? message
			  : f->status == 503 ? "Request limit exceeded."
			  : f->status >= 500 ? "An internal error has occurred"
			  : f->status == 403 ? "You are not authorized to perform this operation."
					     : "The request received was invalid";
	}
	error_into(
		ans, AW_EC2, f->status, code, message != NULL ? message : code, "00000000-0000-4000-8000-000000000000");
}

/* ---- may he? */

int aw_allowed(struct aw_call *c, const char *resource)
{
	const char *service = services[c->service].prefix;
	ff_auto_free char *action = ff_printf("%s:%s", service, c->action->name);
	ff_auto_free char *arn = ff_printf(
		"arn:aws:%s:%s:%s:%s", service, c->aws->region, c->aws->account, resource != NULL ? resource : "*");

	for (size_t i = 0; i < c->aws->deny_count; i++) {
		const struct aw_deny *d = &c->aws->deny[i];

		if (!ff_glob(d->action, action) || !ff_glob(d->resource, resource != NULL ? arn : "*"))
			continue;
		if (c->service != AW_EC2)
			return aw_refuse(c, 403, "AccessDenied",
				"User: %s is not authorized to perform: %s on resource: %s", c->arn, action, arn);
		return aw_refuse(c, 403, "UnauthorizedOperation",
			"You are not authorized to perform this operation. User: %s is not authorized to perform: %s "
			"on resource: %s because no identity-based policy allows the %s action. Encoded authorization "
			"failure message: cloudsim-%s",
			c->arn, action, arn, action, c->request_id);
	}
	return 0;
}

/* Permissions of the things that the request names, before anything is said of their states. */
static int allowed_ids(struct aw_call *c)
{
	static const char *const single[][2] = {
		{"InstanceId", "instance"}, {"VolumeId", "volume"}, {"SnapshotId", "snapshot"}};

	if (aw_allowed(c, NULL) < 0)
		return -1;
	for (size_t k = 0; c->service == AW_EC2 && c->action->budget == AW_MUTATES && k < FF_COUNT(single); k++) {
		struct ff_strv ids = aw_list(c, single[k][0]);
		int rc = 0;

		if (aw_get(c, single[k][0]) != NULL)
			ff_strv_add(&ids, aw_get(c, single[k][0]));
		for (size_t i = 0; i < ids.count && rc == 0; i++) {
			ff_auto_free char *resource = ff_printf("%s/%s", single[k][1], ids.items[i]);

			rc = aw_allowed(c, resource);
		}
		ff_strv_free(&ids);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int aw_dry(struct aw_call *c)
{
	bool dry = false;

	if (aw_bool(c, "DryRun", &dry) < 0)
		return -1;
	return dry ? aw_refuse(c, 412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.") : 0;
}

/* ---- the way of a request */

static int find_action(struct aw_call *c)
{
	const char *name = aw_get(c, "Action"), *version = aw_get(c, "Version");
	size_t s = 0;

	while (s < AW_SERVICES && (services[s].version == NULL || !ff_streq(version, services[s].version)))
		s++;
	if (name == NULL)
		return aw_refuse(c, 400, "MissingAction", "The request must contain the parameter Action");
	if (s == AW_SERVICES)
		return aw_refuse(c, 400, "NoSuchVersion", "The requested version (%s) of service %s does not exist",
			version != NULL ? version : "", services[AW_EC2].name);
	c->service = (enum aw_service)s;
	for (size_t i = 0; i < aw_action_count; i++) {
		if (aw_actions[i].service == c->service && ff_streq(aw_actions[i].name, name)) {
			ff_auto_free char *kind = ff_printf("aws %s", name);

			c->action = &aw_actions[i];
			sim_count_request(c->sim, kind);
			return 0;
		}
	}
	sim_count_request(c->sim, "aws unknown");
	return aw_refuse(c, 400, "InvalidAction", "The action %s is not valid for this web service.", name);
}

static void answer_query(struct aw_call *c)
{
	if (aw_read_form(c) < 0 || find_action(c) < 0)
		return;
	if (c->action->handler != aw_assume_web && aw_authenticate(c) < 0)
		return;
	if (allowed_ids(c) < 0 || aw_throttle(c) < 0 || aw_check_params(c) < 0 || aw_dry(c) < 0)
		return;
	c->action->handler(c);
}

/* The clock of the cloud is in every answer: clients find out by it that theirs is wrong. */
static void add_date(struct aw_call *c)
{
	static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
	static const char *const months[] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64_t ms = c->sim->now_ms + c->aws->skew_ms, month = 1;
	char text[FF_TIME_BYTES];
	ff_auto_free char *value = NULL, *number = NULL;

	ff_time_format(ms, 0, text); /* 2024-07-19T07:00:00Z */
	number = ff_strndup(text + 5, 2);
	ff_parse_i64(number[0] == '0' ? number + 1 : number, 1, 12, &month);
	value = ff_printf(
		"%s, %.2s %s %.4s %.8s GMT", days[ms / 86400000 % 7], text + 8, months[month - 1], text, text + 11);
	ff_headers_set(&c->ans->headers, "Date", value);
}

static bool serves(const struct sim_request *request)
{
	return ff_streq(request->target, "/") || ff_has_prefix(request->target, "/?") ||
	       ff_has_prefix(request->target, "/latest/");
}

static void answer(struct sim *sim, void *self, const struct sim_request *request, struct sim_answer *ans)
{
	struct aw_call c = {.sim = sim, .aws = self, .req = request, .ans = ans};
	ff_auto_free char *arn = ff_printf("arn:aws:iam::%s:user/fixfleet", c.aws->account);

	c.arn = arn;
	c.user_id = "AIDAEXAMPLEFIXFLEETID";
	sim_uuid(sim, c.request_id);
	ff_headers_set(&ans->headers, "x-amzn-RequestId", c.request_id);
	add_date(&c);
	if (!aw_imds(&c) && !aw_json(&c)) {
		if (ff_streq(request->target, "/"))
			answer_query(&c);
		else
			aw_refuse(&c, 400, "InvalidRequest", "The request received was invalid");
	}
	json_decref(c.form);
	json_decref(c.prefix);
	ff_buf_free(&c.out);
}

static void *open_aws(struct sim *sim, const json_t *part, struct ff_err *err)
{
	return aw_scenario(sim, part, err);
}

static void close_aws(void *self)
{
	aw_free(self);
}

const struct sim_cloud sim_aws = {
	.name = "aws",
	.open = open_aws,
	.close = close_aws,
	.serves = serves,
	.answer = answer,
	.refuse = refuse,
	.finish = aw_finish,
	.abandon = aw_abandon,
	.free_job = aw_free_job,
	.state = aw_state,
	.human = aw_human,
	.set_bad = aw_set_bad,
};
