/*
 * A rollback's new volume, made of the snapshot from before the repair and like the volume that it replaces: type,
 * rates, size, key, zone and tags are read off that one just before. CreateVolume has a client token; a volume whose
 * answer was lost is found by its tags all the same before another one is made.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS 2000

bool aws_is_made(const struct ff_member *m)
{
	return ff_json_str(m->facts, "made") != NULL;
}

/* Is it tagged as that run's, for this VM? */
static bool is_of(const struct ff_member *m, const xmlNode *node, const char *run)
{
	return ff_streq(aws_tag(node, AWS_TAG_RUN), run) && ff_streq(aws_tag(node, AWS_TAG_VM), m->vm->id);
}

/* ---------------------------------------------------------------- check */

/* Before anything is touched: is the snapshot there, whole, and of the run that is taken back? */
static void see_check(const struct ff_member *m, int64_t wall_ms, const xmlNode *root, struct ff_verdict *v)
{
	const xmlNode *item = aws_xml_at(root, "snapshotSet/item");
	const char *id = aws_text(m, "snapshot"), *state;

	(void)wall_ms;
	while (item != NULL && !ff_streq(aws_xml_str(item, "snapshotId"), id))
		item = aws_xml_next(item);
	state = item != NULL ? aws_xml_str(item, "status") : "";
	if (item == NULL)
		aws_failed(v, FF_E_GONE, "its snapshot '%s' does not exist any more", id);
	else if (!is_of(m, item, aws_text(m, "of")))
		aws_failed(v, FF_E_CONFLICT, "snapshot '%s' is not tagged as run '%s' made it", id, aws_text(m, "of"));
	else if (ff_streq(state, "completed"))
		aws_verdict(v, FF_M_DONE);
	else if (ff_streq(state, "pending"))
		aws_wait(v, LOOK_MS, "its snapshot '%s' is still pending", id);
	else
		aws_failed(v, FF_E_GONE, "its snapshot '%s' is in state '%.40s'", id, state);
}

const struct aws_view aws_check_view = {.first = AWS_SEE_LEFT_SNAPSHOT, .see_first = see_check};

/* ---------------------------------------------------------------- make */

static json_t *users_tags(const xmlNode *node)
{
	json_t *tags = json_object();

	for (const xmlNode *tag = aws_xml_at(node, "tagSet/item"); tag != NULL; tag = aws_xml_next(tag)) {
		const char *key = aws_xml_str(tag, "key");

		if (!ff_has_prefix(key, "aws:") && !ff_streq(key, AWS_TAG_RUN) && !ff_streq(key, AWS_TAG_VM) &&
			!ff_streq(key, AWS_TAG_ROOT) && !ff_streq(key, AWS_TAG_BY))
			ff_json_set_str(tags, key, aws_xml_str(tag, "value"));
	}
	return tags;
}

static void keep(json_t *like, const char *fact, const xmlNode *node, const char *path)
{
	const char *text = aws_xml_str(node, path);

	if (text[0] != '\0')
		ff_json_set_str(like, fact, text);
}

/* What the new one is to be like. */
static void see_replaced(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	static const char *const members[][2] = {{"type", "volumeType"}, {"iops", "iops"}, {"throughput", "throughput"},
		{"size_gib", "size"}, {"kms_key", "kmsKeyId"}, {"zone", "availabilityZone"}};
	json_t *like = json_object();

	(void)wall_ms;
	for (size_t i = 0; i < FF_COUNT(members); i++)
		keep(like, members[i][0], node, members[i][1]);
	ff_json_set_bool(like, "encrypted", aws_xml_true(node, "encrypted"));
	ff_json_set_new(like, "tags", users_tags(node));
	aws_other_side(v);
	if (json_equal(like, json_object_get(m->facts, "like")))
		json_decref(like);
	else
		ff_json_set_new(aws_patch(v), "like", like);
}

/* This run's volume for this VM among those made of the snapshot; NULL. */
static const xmlNode *find_made(const struct ff_member *m, const xmlNode *root)
{
	for (const xmlNode *item = aws_xml_at(root, "volumeSet/item"); item != NULL; item = aws_xml_next(item)) {
		const char *state = aws_xml_str(item, "status");

		if (is_of(m, item, m->run) && !ff_streq(state, "deleting") && !ff_streq(state, "deleted") &&
			!ff_streq(state, "error"))
			return item;
	}
	return NULL;
}

static void see_made(const struct ff_member *m, int64_t wall_ms, const xmlNode *root, struct ff_verdict *v)
{
	const xmlNode *item = find_made(m, root);

	if (item == NULL && aws_lags(m, "make_ms", wall_ms)) {
		aws_wait(v, LOOK_MS, "the new volume is not to be seen yet");
	} else if (item == NULL) {
		aws_verdict(v, FF_M_NOT_DONE);
	} else if (ff_streq(aws_xml_str(item, "status"), "creating")) {
		aws_wait(v, LOOK_MS, "the new volume is being made");
		ff_json_set_str(aws_patch(v), "made", aws_xml_str(item, "volumeId"));
	} else {
		aws_verdict(v, FF_M_DONE);
		ff_json_set_str(aws_patch(v), "made", aws_xml_str(item, "volumeId"));
	}
}

const struct aws_view aws_make_view = {AWS_SEE_VOLUME, see_replaced, AWS_SEE_MADE, see_made};

static void add_text(struct ff_buf *form, const struct ff_member *m, const char *parameter, const char *fact)
{
	const char *text = aws_text(m, fact);

	if (text[0] != '\0')
		ff_form_add(form, parameter, text);
}

static void add_tag(struct ff_buf *form, size_t n, const char *key, const char *value)
{
	ff_auto_free char *key_name = ff_printf("TagSpecification.1.Tag.%zu.Key", n);
	ff_auto_free char *value_name = ff_printf("TagSpecification.1.Tag.%zu.Value", n);

	ff_form_add(form, key_name, key);
	ff_form_add(form, value_name, value);
}

static void add_tags(struct ff_buf *form, const struct ff_member *m)
{
	ff_auto_free char *root = aws_root_tag(m);
	const json_t *tags = ff_json_at(m->facts, "like/tags"), *value;
	const char *key;
	size_t n = 0;

	ff_form_add(form, "TagSpecification.1.ResourceType", "volume");
	json_object_foreach ((json_t *)tags, key, value)
		if (json_is_string(value))
			add_tag(form, ++n, key, json_string_value(value));
	add_tag(form, ++n, AWS_TAG_RUN, m->run);
	add_tag(form, ++n, AWS_TAG_VM, m->vm->id);
	add_tag(form, ++n, AWS_TAG_ROOT, root);
}

/* Rates go along where the type takes them; gp2's are made of its size. */
static void add_rates(struct ff_buf *form, const struct ff_member *m)
{
	const char *type = aws_text(m, "like/type");

	if (ff_streq(type, "gp3") || ff_streq(type, "io1") || ff_streq(type, "io2"))
		add_text(form, m, "Iops", "like/iops");
	if (ff_streq(type, "gp3"))
		add_text(form, m, "Throughput", "like/throughput");
}

AWS_ACT_FN(aws_make)
{
	struct ff_buf form = {0};

	(void)n;
	if (aws_text(m, "like/zone")[0] == '\0' || aws_text(m, "snapshot")[0] == '\0')
		return ff_fail(err, FF_E_BUG, "the replaced volume's record is incomplete");
	aws_form(&form, AWS_EC2, "CreateVolume");
	add_text(&form, m, "AvailabilityZone", "like/zone");
	add_text(&form, m, "SnapshotId", "snapshot");
	add_text(&form, m, "VolumeType", "like/type");
	add_text(&form, m, "Size", "like/size_gib");
	add_rates(&form, m);
	if (ff_json_bool(m->facts, "like/encrypted", false)) {
		ff_form_add(&form, "Encrypted", "true");
		add_text(&form, m, "KmsKeyId", "like/kms_key");
	}
	ff_form_add(&form, "ClientToken", m->token);
	add_tags(&form, m);
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

AWS_ACTED_FN(aws_make_acted)
{
	aws_auto_reply reply = {0};
	const char *id;

	(void)cloud;
	aws_reply_read(&reply, answer);
	aws_act_answered(m, n, wall_ms, answer, "make_ms", v);
	id = reply.class == FF_E_NONE ? aws_xml_str(reply.root, "volumeId") : "";
	if (id[0] != '\0')
		ff_json_set_str(aws_patch(v), "made", id);
}

/* ---------------------------------------------------------------- taking it back */

static void see_delete_made(const struct ff_member *m, int64_t wall_ms, const xmlNode *root, struct ff_verdict *v)
{
	const xmlNode *item = find_made(m, root);

	if (item == NULL && aws_lags(m, "make_ms", wall_ms) && !aws_lags(m, "delete_ms", wall_ms)) {
		aws_wait(v, LOOK_MS, "the new volume is not to be seen yet");
	} else if (item == NULL) {
		aws_verdict(v, FF_M_DONE);
		if (aws_is_made(m))
			ff_json_set_new(aws_patch(v), "made", json_null());
	} else if (ff_streq(aws_xml_str(item, "status"), "available") && !aws_lags(m, "delete_ms", wall_ms)) {
		aws_verdict(v, FF_M_NOT_DONE);
		ff_json_set_str(aws_patch(v), "made", aws_xml_str(item, "volumeId"));
	} else {
		aws_wait(v, LOOK_MS, "new volume '%s' is '%.40s'", aws_xml_str(item, "volumeId"),
			aws_xml_str(item, "status"));
	}
}

const struct aws_view aws_delete_made_view = {.first = AWS_SEE_MADE, .see_first = see_delete_made};

AWS_ACT_FN(aws_delete_made)
{
	struct ff_buf form = {0};

	(void)n;
	if (!aws_is_made(m))
		return ff_fail(err, FF_E_BUG, "no new volume is recorded");
	aws_form(&form, AWS_EC2, "DeleteVolume");
	ff_form_add(&form, "VolumeId", aws_text(m, "made"));
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

AWS_ACTED_FN(aws_delete_made_acted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, "delete_ms", v);
	if (v->meaning == FF_M_DONE)
		ff_json_set_new(aws_patch(v), "made", json_null());
}
