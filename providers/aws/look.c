/*
 * Looking: what the rows' looks and verdicts share. Looks are gathered: a hundred ids a request, by id and not by
 * filter, since EC2 answers for the healthy zones when ids are named. One id that is gone fails the whole request, so
 * from then on, for a while, its row asks by filter, which leaves out what it does not know.
 */
#include "aws.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OTHER_SIDE_MS 1
#define MISSING_MS    3000
#define NEIGHBOUR_MS  200

/* ---------------------------------------------------------------- verdicts */

void aws_verdict(struct ff_verdict *v, enum ff_meaning meaning)
{
	v->meaning = meaning;
}

void aws_failed(struct ff_verdict *v, enum ff_class class, const char *fmt, ...)
{
	va_list ap;

	v->meaning = FF_M_FAILED;
	v->err.class = class;
	va_start(ap, fmt);
	vsnprintf(v->err.text, sizeof(v->err.text), fmt, ap);
	va_end(ap);
}

void aws_wait(struct ff_verdict *v, unsigned wait_ms, const char *fmt, ...)
{
	va_list ap;

	v->meaning = FF_M_WAIT;
	v->wait_ms = wait_ms;
	v->err.class = FF_E_TRANSIENT;
	va_start(ap, fmt);
	vsnprintf(v->err.text, sizeof(v->err.text), fmt, ap);
	va_end(ap);
}

json_t *aws_patch(struct ff_verdict *v)
{
	if (v->facts == NULL)
		v->facts = json_object();
	return v->facts;
}

void aws_other_side(struct ff_verdict *v)
{
	v->meaning = FF_M_WAIT;
	v->wait_ms = OTHER_SIDE_MS;
	ff_json_set_bool(aws_patch(v), "side", true);
}

int64_t aws_since(const struct ff_member *m, const char *fact, int64_t wall_ms)
{
	int64_t at = ff_json_int(m->facts, fact, -1);

	if (at < 0)
		return INT64_MAX;
	return wall_ms > at ? wall_ms - at : 0;
}

bool aws_lags(const struct ff_member *m, const char *fact, int64_t wall_ms)
{
	return aws_since(m, fact, wall_ms) < AWS_LAG_MS;
}

/* ---------------------------------------------------------------- what is asked */

const char *aws_volume(const struct ff_member *m)
{
	const char *volume = ff_json_str(m->facts, "root/volume"), *made = ff_json_str(m->facts, "made");
	bool of_made = m->step == AWS_PUT_IN || m->step == AWS_TAKE_NEW_OUT;

	/* a rollback: which of the two is meant is the row's matter, and then which one is in place */
	if (made != NULL && (of_made || (ff_json_bool(m->facts, "in", false) && m->step != AWS_TAKE_OUT &&
						m->step != AWS_PUT_BACK && m->step != AWS_RELEASE)))
		return made;
	return volume ? volume : "";
}

const char *aws_text(const struct ff_member *m, const char *fact)
{
	const char *text = ff_json_str(m->facts, fact);

	return text ? text : "";
}

const char *aws_root_device(const struct ff_member *m)
{
	const char *device = ff_json_str(m->facts, "root/device");

	return device ? device : "";
}

static enum aws_side wanted(const struct aws_view *view, const struct ff_member *m)
{
	return view->see_second != NULL && ff_json_bool(m->facts, "side", false) ? view->second : view->first;
}

static const char *id_of(enum aws_side side, const struct ff_member *m)
{
	switch (side) {
	case AWS_SEE_VOLUME:
	case AWS_SEE_SNAPSHOT:
		return aws_volume(m);
	case AWS_SEE_MADE:
		return aws_text(m, "snapshot");
	case AWS_SEE_LEFT_VOLUME:
		return aws_text(m, "left");
	case AWS_SEE_LEFT_SNAPSHOT:
		return ff_json_str(m->facts, "left") ? aws_text(m, "left") : aws_text(m, "snapshot");
	case AWS_SEE_RESCUE:
		return m->rescue ? m->rescue->id : "";
	default:
		return m->vm->id;
	}
}

static const struct {
	enum aws_service service;
	const char *action, *key, *filter, *path, *id;
} sides[] = {
	[AWS_SEE_INSTANCE] = {AWS_EC2, "DescribeInstances", "InstanceId", "instance-id", NULL, "instanceId"},
	[AWS_SEE_RESCUE] = {AWS_EC2, "DescribeInstances", "InstanceId", "instance-id", NULL, "instanceId"},
	[AWS_SEE_STATUS] = {AWS_EC2, "DescribeInstanceStatus", "InstanceId", NULL, "instanceStatusSet/item",
		"instanceId"},
	[AWS_SEE_VOLUME] = {AWS_EC2, "DescribeVolumes", "VolumeId", "volume-id", "volumeSet/item", "volumeId"},
	[AWS_SEE_MEMBER] = {AWS_AUTOSCALING, "DescribeAutoScalingInstances", "InstanceIds.member", NULL,
		"DescribeAutoScalingInstancesResult/AutoScalingInstances/member", "InstanceId"},
	[AWS_SEE_SNAPSHOT] = {AWS_EC2, "DescribeSnapshots", NULL, "volume-id", NULL, NULL},
	[AWS_SEE_MADE] = {AWS_EC2, "DescribeVolumes", NULL, "snapshot-id", NULL, NULL},
	[AWS_SEE_LEFT_VOLUME] = {AWS_EC2, "DescribeVolumes", NULL, "volume-id", NULL, NULL},
	[AWS_SEE_LEFT_SNAPSHOT] = {AWS_EC2, "DescribeSnapshots", NULL, "snapshot-id", NULL, NULL},
};

/* Is the whole answer shown? What is asked for may not be there. */
static bool is_whole(enum aws_side side)
{
	return side >= AWS_SEE_SNAPSHOT;
}

int aws_view_looks(const struct aws_view *view, const struct ff_cloud *cloud, const struct ff_member *m, size_t n,
	struct ff_ask *ask)
{
	enum aws_side side = wanted(view, &m[0]);
	bool by_filter = sides[side].key == NULL;
	struct ff_strv ids = {0};
	struct ff_buf form = {0};

	for (size_t i = 0; i < n; i++) {
		by_filter = by_filter || (sides[side].filter && ff_json_at(m[i].facts, "missing_ms"));
		if (!ff_strv_has(&ids, id_of(side, &m[i])))
			ff_strv_add(&ids, id_of(side, &m[i]));
	}
	aws_form(&form, sides[side].service, sides[side].action);
	if (side == AWS_SEE_SNAPSHOT || side == AWS_SEE_LEFT_SNAPSHOT)
		aws_form_nth(&form, "Owner", 1, "self");
	if (side == AWS_SEE_SNAPSHOT || side == AWS_SEE_MADE)
		aws_form_filter(&form, 2, "tag-key", AWS_TAG_RUN); /* whose it is: see backup.c, later.c */
	if (by_filter)
		ff_form_add(&form, "Filter.1.Name", sides[side].filter);
	for (size_t i = 0; i < ids.count; i++)
		aws_form_nth(&form, by_filter ? "Filter.1.Value" : sides[side].key, i + 1, ids.items[i]);
	if (side == AWS_SEE_STATUS)
		ff_form_add(&form, "IncludeAllInstances", "true");
	ff_strv_free(&ids);
	aws_ask(cloud, ask, sides[side].service, AWS_Q_STEP, &form);
	return 0;
}

/* ---------------------------------------------------------------- what is answered */

static const xmlNode *find(const xmlNode *node, const char *id_path, const char *id)
{
	for (; node != NULL; node = aws_xml_next(node))
		if (ff_streq(aws_xml_str(node, id_path), id))
			return node;
	return NULL;
}

/* The member's element; an instance may be in any reservation. */
static const xmlNode *node_of(enum aws_side side, const xmlNode *root, const char *id)
{
	const xmlNode *reservation, *node = NULL;

	if (is_whole(side))
		return root;
	if (sides[side].path != NULL)
		return find(aws_xml_at(root, sides[side].path), sides[side].id, id);
	reservation = aws_xml_at(root, "reservationSet/item");
	for (; reservation != NULL && node == NULL; reservation = aws_xml_next(reservation))
		node = find(aws_xml_at(reservation, "instancesSet/item"), sides[side].id, id);
	return node;
}

/* EC2 does not know it. Believed when it goes on for a while: reads lag (facts section 5). */
static void missing(enum aws_side side, const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t since = aws_since(m, "missing_ms", wall_ms);

	if (since == INT64_MAX)
		ff_json_set_int(aws_patch(v), "missing_ms", wall_ms);
	if (since == INT64_MAX || since < AWS_LAG_MS)
		aws_wait(v, MISSING_MS, "'%s' is not to be seen", id_of(side, m));
	else
		aws_failed(v, FF_E_GONE, "'%s' does not exist any more", id_of(side, m));
}

/* Does the message mean this member? */
static bool names(const struct aws_reply *reply, const struct ff_member *m)
{
	if (strstr(reply->message, m->vm->id) != NULL)
		return true;
	return aws_volume(m)[0] != '\0' && strstr(reply->message, aws_volume(m)) != NULL;
}

static bool names_any(const struct aws_reply *reply, const struct ff_member *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (names(reply, &m[i]))
			return true;
	return false;
}

static void refused(enum aws_side side, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct aws_reply *reply, struct ff_verdict *v)
{
	bool told_apart = names_any(reply, m, n);

	for (size_t i = 0; i < n; i++) {
		switch (reply->class) {
		case FF_E_GONE:
			if (told_apart && !names(reply, &m[i]))
				aws_wait(&v[i], NEIGHBOUR_MS, "%s", reply->err.text);
			else
				missing(side, &m[i], wall_ms, &v[i]);
			break;
		case FF_E_TRANSIENT:
		case FF_E_THROTTLED:
		case FF_E_CONFLICT:
		case FF_E_BUG:
			aws_wait(&v[i], 0, "%s", reply->err.text);
			break;
		default:
			aws_failed(&v[i], reply->class, "%s", reply->err.text);
		}
	}
}

/* What is of this look only goes with its end. */
static void tidy(const struct ff_member *m, bool seen, struct ff_verdict *v)
{
	if (v->meaning != FF_M_WAIT && ff_json_bool(m->facts, "side", false))
		ff_json_set_new(aws_patch(v), "side", json_null());
	if (seen && ff_json_at(m->facts, "missing_ms") != NULL)
		ff_json_set_new(aws_patch(v), "missing_ms", json_null());
}

static void see(const struct aws_view *view, enum aws_side side, const struct ff_member *m, int64_t wall_ms,
	const xmlNode *root, struct ff_verdict *v)
{
	const xmlNode *node = node_of(side, root, id_of(side, m));
	bool may_be_absent = side == AWS_SEE_STATUS || side == AWS_SEE_MEMBER;
	bool second = side == view->second && view->see_second != NULL && ff_json_bool(m->facts, "side", false);

	if (node == NULL && !may_be_absent)
		missing(side, m, wall_ms, v);
	else
		(second ? view->see_second : view->see_first)(m, wall_ms, node, v);
	tidy(m, node != NULL, v);
}

void aws_view_lookeds(const struct aws_view *view, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	enum aws_side side = wanted(view, &m[0]);
	aws_auto_reply reply = {0};

	aws_reply_read(&reply, answer);
	if (reply.class != FF_E_NONE) {
		refused(side, m, n, wall_ms, &reply, v);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (wanted(view, &m[i]) != side)
			aws_wait(&v[i], OTHER_SIDE_MS, "its other side is to be read");
		else
			see(view, side, &m[i], wall_ms, reply.root, &v[i]);
	}
}

const xmlNode *aws_mapping(const xmlNode *instance, const char *volume)
{
	return find(aws_xml_at(instance, "blockDeviceMapping/item"), "ebs/volumeId", volume);
}

const char *aws_tag(const xmlNode *node, const char *key)
{
	const xmlNode *tag = find(aws_xml_at(node, "tagSet/item"), "key", key);

	return tag ? aws_xml_str(tag, "value") : NULL;
}

/* ---------------------------------------------------------------- acts */

static void refused_one(const struct aws_reply *reply, struct ff_verdict *v)
{
	bool look = reply->unknown || reply->class == FF_E_TRANSIENT || reply->class == FF_E_CONFLICT ||
		    reply->class == FF_E_GONE;

	v->meaning = look ? FF_M_LOOK : FF_M_FAILED;
	v->err = reply->err;
}

void aws_act_refused(const struct ff_member *m, size_t n, const struct aws_reply *reply, struct ff_verdict *v)
{
	bool told_apart = n > 1 && names_any(reply, m, n);

	for (size_t i = 0; i < n; i++) {
		if (n == 1 || reply->unknown || (told_apart && names(reply, &m[i]))) {
			refused_one(reply, &v[i]);
		} else if (told_apart) { /* nothing was done for it: again, without the culprit */
			aws_wait(&v[i], NEIGHBOUR_MS, "%s", reply->err.text);
		} else {
			v[i].meaning = FF_M_SPLIT;
			v[i].err = reply->err;
		}
	}
}

void aws_act_answered(const struct ff_member *m, size_t n, int64_t wall_ms, const struct ff_answer *answer,
	const char *fact, struct ff_verdict *v)
{
	aws_auto_reply reply = {0};

	aws_reply_read(&reply, answer);
	for (size_t i = 0; i < n; i++)
		if (reply.class == FF_E_NONE || reply.unknown)
			ff_json_set_int(aws_patch(&v[i]), fact, wall_ms);
	if (reply.class != FF_E_NONE) {
		aws_act_refused(m, n, &reply, v);
		return;
	}
	for (size_t i = 0; i < n; i++)
		aws_verdict(&v[i], FF_M_DONE);
}
