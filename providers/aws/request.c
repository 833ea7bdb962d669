/*
 * Asks: the form, where it goes, and what it costs.
 *
 * Budgets are token buckets per account, region and action (facts section 7). A read with neither filter nor paging
 * draws on a smaller bucket of its own, also when it names ids. StartInstances and StopInstances draw on a second one,
 * a token for each id (1000, then 2 or 20 a second): an ask draws one token of a bucket whatever it carries, so that
 * one is not told; within the first thousand VMs of a region it never runs out, and after that EC2's refusals teach the
 * request's bucket. For Auto Scaling nothing is published; what EC2 allows is taken.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *version;
} services[AWS_SERVICE_COUNT] = {
	[AWS_EC2] = {"ec2", "2016-11-15"},
	[AWS_STS] = {"sts", "2011-06-15"},
	[AWS_AUTOSCALING] = {"autoscaling", "2011-01-01"},
	[AWS_SECRETS] = {"secretsmanager", ""},
	[AWS_KMS] = {"kms", ""},
	[AWS_SSO] = {"awsssoportal", ""},
};

static const struct {
	const char *action;
	double capacity, refill_per_s;
} buckets[] = {
	{"StartInstances", 5, 2},
	{"StopInstances", 50, 5},
	{"CreateSnapshot", 100, 5},
	{"CreateVolume", 100, 5},
	{"DeleteVolume", 100, 5},
	{"DeleteSnapshot", 100, 5},
	{"CreateTags", 100, 10},
};

const char *aws_service_name(enum aws_service service)
{
	return services[service].name;
}

void aws_form(struct ff_buf *form, enum aws_service service, const char *action)
{
	ff_form_add(form, "Action", action);
	ff_form_add(form, "Version", services[service].version);
}

void aws_form_nth(struct ff_buf *form, const char *key, size_t n, const char *value)
{
	ff_auto_free char *full = ff_printf("%s.%zu", key, n);

	ff_form_add(form, full, value);
}

void aws_form_filter(struct ff_buf *form, size_t n, const char *name, const char *value)
{
	ff_auto_free char *name_key = ff_printf("Filter.%zu.Name", n), *value_key = ff_printf("Filter.%zu.Value.1", n);

	ff_form_add(form, name_key, name);
	ff_form_add(form, value_key, value);
}

/* "DescribeInstances" of "Action=DescribeInstances&..." */
static char *action_of(const char *body)
{
	return ff_has_prefix(body, "Action=") ? ff_strndup(body + 7, strcspn(body + 7, "&")) : ff_strdup("");
}

static void add_cost(const struct ff_cloud *cloud, struct ff_ask *ask)
{
	ff_auto_free char *action = action_of(ask->body), *key = NULL;
	bool reads = ff_has_prefix(action, "Describe") || ff_has_prefix(action, "Get");
	bool small = ff_streq(action, "DescribeInstances") || ff_streq(action, "DescribeInstanceStatus") ||
		     ff_streq(action, "DescribeVolumes") || ff_streq(action, "DescribeSnapshots");
	double capacity = reads ? 100 : 50, refill = reads ? 20 : 5;

	small = small && strstr(ask->body, "&Filter.") == NULL && strstr(ask->body, "&MaxResults=") == NULL;
	if (small) {
		capacity = 50;
		refill = 10;
	}
	for (size_t i = 0; i < FF_COUNT(buckets); i++) {
		if (ff_streq(action, buckets[i].action)) {
			capacity = buckets[i].capacity;
			refill = buckets[i].refill_per_s;
		}
	}
	key = ff_printf("aws/%s%s%s/%s%s", cloud->account ? cloud->account : "", cloud->account ? "/" : "",
		cloud->region, action, small ? "/unfiltered" : "");
	ff_ask_cost(ask, key, capacity, refill);
}

void aws_ask(const struct ff_cloud *cloud, struct ff_ask *ask, enum aws_service service, enum aws_question question,
	struct ff_buf *form)
{
	ff_ask_http(ask, "POST", "%s/", cloud->endpoints[service]);
	ff_ask_body(ask, AWS_FORM, ff_buf_take(form));
	ask->tag = AWS_TAG(service, question);
	ask->ca_file = ff_strdup(aws_settings_ca(&cloud->login->settings));
	if (service != AWS_STS)
		add_cost(cloud, ask);
}

void aws_json_ask(const struct ff_cloud *cloud, struct ff_ask *ask, enum aws_service service,
	enum aws_question question, const char *target, const json_t *body)
{
	ff_ask_http(ask, "POST", "%s/", cloud->endpoints[service]);
	ff_ask_body(ask, "application/x-amz-json-1.1", ff_json_text(body));
	ff_headers_add(&ask->headers, "X-Amz-Target", target);
	ask->tag = AWS_TAG(service, question);
	ask->ca_file = ff_strdup(aws_settings_ca(&cloud->login->settings));
}
