/*
 * Readings of what the real EC2 said. The recordings are not part of this tree: without them the tests are skipped.
 * What the provider reads is compared with what XPath finds in the same answer.
 */
#include <dirent.h>
#include <libxml/xpath.h>

#include "test_aws.h"

#define FOLDER "recorded/aws/ec2-xml"

/* Call `each` for every recorded answer to that action. How many there were. */
static size_t recordings(const char *action, void (*each)(const char *name, const char *text))
{
	ff_auto_free char *path = ff_printf("%s/../shared/" FOLDER, FF_SOURCE_DIR), *mark = ff_printf("__%s_", action);
	DIR *folder = opendir(path);
	const struct dirent *entry;
	size_t n = 0;

	if (folder == NULL)
		cr_skip_test("no ../shared/" FOLDER);
	while ((entry = readdir(folder)) != NULL) {
		ff_auto_free char *file = ff_printf(FOLDER "/%s", entry->d_name), *text = NULL;

		if (strstr(entry->d_name, mark) == NULL || strstr(entry->d_name, ".http400.") != NULL)
			continue;
		text = shared_text(file);
		cr_assert_not_null(text, "%s", file);
		each(entry->d_name, text);
		n++;
	}
	closedir(folder);
	return n;
}

/* The text that an XPath finds, "" for nothing; {x} stands for an element of that name in any namespace. */
static char *at(xmlNode *node, const char *path)
{
	ff_auto_buf xpath = {0};
	xmlXPathContext *context = xmlXPathNewContext(node->doc);
	xmlXPathObject *found;
	char *text;

	for (const char *p = path; *p != '\0'; p++)
		if (*p == '{')
			ff_buf_adds(&xpath, "*[local-name()='");
		else if (*p == '}')
			ff_buf_adds(&xpath, "']");
		else
			ff_buf_add(&xpath, p, 1);
	found = xmlXPathNodeEval(node, (const xmlChar *)xpath.text, context);
	cr_assert_not_null(found, "%s", xpath.text);
	text = (char *)xmlXPathCastToString(found);
	xmlXPathFreeObject(found);
	xmlXPathFreeContext(context);
	return text;
}

static void answer_all(struct ff_cloud *cloud, const char *instances)
{
	struct ff_err err = {0};
	struct ff_ask ask = {0};

	while (ff_aws.discover_next(cloud, &ask, &err) == FF_TURN_ASK) {
		bool windows = strstr(ask.body, "Filter.1.Name=platform") != NULL;
		struct ff_answer answer;

		answer_with(&answer, 200, windows ? instances : "<R/>");
		cr_assert_eq(ff_aws.discover_read(cloud, WALL_MS, &ask, &answer, &err), 0, "%s", err.text);
		ff_answer_release(&answer, false);
		ff_ask_release(&ask);
	}
}

static const struct ff_vm *vm_of(const struct ff_cloud *cloud, const char *id)
{
	struct ff_vm **vms;
	size_t n = ff_aws.vms(cloud, &vms);

	for (size_t i = 0; i < n; i++)
		if (ff_streq(vms[i]->id, id))
			return vms[i];
	return NULL;
}

static void is_read(const struct ff_cloud *cloud, xmlNode *item, const char *file)
{
	ff_auto_free char *id = at(item, "{instanceId}"), *state = at(item, "{instanceState}/{name}");
	ff_auto_free char *zone = at(item, "{placement}/{availabilityZone}"),
			  *name = at(item, "{tagSet}/{item}[{key}='Name']/{value}");
	ff_auto_free char *root =
		at(item, "{blockDeviceMapping}/{item}[{deviceName}=../../{rootDeviceName}]/{ebs}/{volumeId}");
	ff_auto_free char *flag = at(
		item, "{blockDeviceMapping}/{item}[{deviceName}=../../{rootDeviceName}]/{ebs}/{deleteOnTermination}");
	const struct ff_vm *vm = vm_of(cloud, id);

	if (ff_streq(state, "terminated") || ff_streq(state, "shutting-down")) {
		cr_expect_null(vm, "%s: %s is on its way out", file, id);
		return;
	}
	cr_assert_not_null(vm, "%s: %s", file, id);
	cr_expect_str_eq(vm->state, state, "%s: %s", file, id);
	cr_expect_str_eq(vm->zone, zone, "%s: %s", file, id);
	cr_expect_str_eq(vm->name, *name ? name : id, "%s: %s", file, id);
	cr_expect_str_eq(vm->disk_id, root, "%s: %s", file, id);
	cr_expect_str_eq(ff_json_str(vm->facts, "root/volume"), root, "%s: %s", file, id);
	cr_expect_eq(ff_json_bool(vm->facts, "root/delete", false), ff_streq(flag, "true"), "%s: %s", file, id);
}

static size_t instances_seen;

static void each_list(const char *file, const char *text)
{
	struct ff_cloud *cloud = signed_in(&(struct ff_scope_options){0});
	xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL, XML_PARSE_NONET);
	xmlXPathContext *context = xmlXPathNewContext(doc);
	xmlXPathObject *items =
		xmlXPathEval((const xmlChar *)"//*[local-name()='instancesSet']/*[local-name()='item']", context);

	answer_all(cloud, text);
	for (int i = 0; items->nodesetval != NULL && i < items->nodesetval->nodeNr; i++, instances_seen++)
		is_read(cloud, items->nodesetval->nodeTab[i], file);
	xmlXPathFreeObject(items);
	xmlXPathFreeContext(context);
	xmlFreeDoc(doc);
	ff_aws.close(cloud);
}

Test(aws_recorded, every_instance_of_every_list_is_read_as_xpath_reads_it)
{
	cr_expect_geq(recordings("DescribeInstances", each_list), 40);
	cr_expect_geq(instances_seen, 40);
}

static void each_success(const char *file, const char *text)
{
	aws_auto_reply reply = {0};
	struct ff_answer answer;

	answer_with(&answer, 200, text);
	aws_reply_read(&reply, &answer);
	cr_expect_eq(reply.class, FF_E_NONE, "%s: %s", file, reply.err.text);
	cr_expect_not_null(reply.root, "%s", file);
	ff_answer_release(&answer, false);
}

Test(aws_recorded, answers_to_acts_are_successes)
{
	static const char *const actions[] = {"AttachVolume", "DetachVolume", "CreateSnapshot", "StartInstances",
		"StopInstances", "DescribeVolumes", "DescribeInstanceAttribute"};

	for (size_t i = 0; i < FF_COUNT(actions); i++)
		cr_expect_geq(recordings(actions[i], each_success), 1, "%s", actions[i]);
}

/* Codes and texts of the real service, as quoted in public: each has the class that the flow needs. */
Test(aws_recorded, real_errors_have_their_classes)
{
	static const struct {
		const char *code, *part;
		enum ff_class class;
	} expected[] = {
		{"IncorrectState", "is in the 'available' state", FF_E_CONFLICT},
		{"IncorrectState", "Unable to detach root volume", FF_E_CONFLICT},
		{"VolumeInUse", "already attached", FF_E_CONFLICT},
		{"InvalidVolume.ZoneMismatch", "", FF_E_PERMANENT},
		{"InvalidParameterValue", "already in use", FF_E_CONFLICT},
		{"IncorrectInstanceState", "Marketplace codes", FF_E_PERMANENT},
		{"InvalidParameterValue", "volume attached at root", FF_E_PERMANENT},
		{"IncorrectInstanceState", "from which it can be started", FF_E_CONFLICT},
		{"OperationNotPermitted", "may not be stopped", FF_E_PERMANENT},
		{"InvalidVolume.NotFound", "", FF_E_GONE},
		{"InvalidInstanceID.Malformed", "", FF_E_PERMANENT},
		{"RequestLimitExceeded", "", FF_E_THROTTLED},
	};
	ff_auto_free char *text = shared_text("recorded/aws/real-error-messages.json");
	ff_auto_json json_t *all = text ? json_loads(text, 0, NULL) : NULL;
	const json_t *entry;
	size_t i;

	if (text == NULL)
		cr_skip_test("no ../shared/recorded/aws");
	cr_assert_geq(json_array_size(json_object_get(all, "ec2")), FF_COUNT(expected));
	json_array_foreach (json_object_get(all, "ec2"), i, entry) {
		const char *code = ff_json_str(entry, "code"), *message = ff_json_str(entry, "message");
		size_t k = 0;

		while (k < FF_COUNT(expected) &&
			(!ff_streq(code, expected[k].code) || strstr(message, expected[k].part) == NULL))
			k++;
		cr_assert_lt(k, FF_COUNT(expected), "a new one: %s: %s", code, message);
		cr_expect_eq(aws_classify((int)ff_json_int(entry, "http", 400), code, message), expected[k].class,
			"%s: %s", code, message);
	}
}
