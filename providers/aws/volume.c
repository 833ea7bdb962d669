/*
 * The root volume on its way: off the VM, to the rescue VM, off it again. Each request is accepted long before it has
 * happened; the volume's own attachment says when it has.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS	   1500
#define RUNNING_MS 5000
#define STUCK_MS   ((int64_t)10 * 60 * 1000)

struct aws_held aws_held_by(const struct ff_member *m, const xmlNode *volume)
{
	const xmlNode *item = aws_xml_at(volume, "attachmentSet/item");
	const char *status = aws_xml_str(volume, "status");
	struct aws_held held = {.state = "", .device = "", .instance = ""};

	while (item != NULL && ff_streq(aws_xml_str(item, "status"), "detached"))
		item = aws_xml_next(item);
	if (ff_streq(status, "deleting") || ff_streq(status, "deleted") || ff_streq(status, "error")) {
		held.holder = AWS_HELD_GOING;
		held.state = status;
		return held;
	}
	if (item == NULL) {
		held.state = status;
		return held;
	}
	held.state = aws_xml_str(item, "status");
	held.device = aws_xml_str(item, "device");
	held.instance = aws_xml_str(item, "instanceId");
	if (ff_streq(held.instance, m->vm->id))
		held.holder = AWS_HELD_BY_VM;
	else if (m->rescue != NULL && ff_streq(held.instance, m->rescue->id))
		held.holder = AWS_HELD_BY_RESCUE;
	else
		held.holder = AWS_HELD_BY_OTHER;
	return held;
}

static bool is(const struct aws_held *held, const char *state)
{
	return ff_streq(held->state, state);
}

static void wait_for(const struct ff_member *m, const struct aws_held *held, struct ff_verdict *v)
{
	aws_wait(v, LOOK_MS, "volume '%s' is '%.40s'%s%.40s", aws_volume(m), held->state,
		held->instance[0] ? " at " : "", held->instance);
}

static void elsewhere(const struct ff_member *m, const struct aws_held *held, struct ff_verdict *v)
{
	if (held->holder == AWS_HELD_GOING)
		aws_failed(v, FF_E_GONE, "volume '%s' is in state '%s'", aws_volume(m), held->state);
	else
		aws_failed(v, FF_E_CONFLICT, "volume '%s' is attached to '%.40s' as %.40s", aws_volume(m),
			held->instance, held->device);
}

static void done_at(struct ff_verdict *v, const char *at)
{
	aws_verdict(v, FF_M_DONE);
	ff_json_set_str(aws_patch(v), "at", at);
}

static int ask_detach(
	const struct ff_cloud *cloud, const struct ff_member *m, const char *instance, bool force, struct ff_ask *ask)
{
	struct ff_buf form = {0};

	aws_form(&form, AWS_EC2, "DetachVolume");
	ff_form_add(&form, "VolumeId", aws_volume(m));
	ff_form_add(&form, "InstanceId", instance);
	if (force)
		ff_form_add(&form, "Force", "true");
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

/* ---------------------------------------------------------------- take out */

/* Never by force: EC2 lets a root volume go from a stopped VM only, and that is what keeps a running one whole. */
AWS_ACT_FN(aws_take_out)
{
	(void)n;
	(void)err;
	return ask_detach(cloud, m, m->vm->id, false, ask);
}

AWS_ACTED_FN(aws_take_out_acted)
{
	const char *fact = m->step == AWS_TAKE_NEW_OUT ? "take_new_out_ms" : "take_out_ms";
	aws_auto_reply reply = {0};

	(void)cloud;
	aws_reply_read(&reply, answer);
	if (reply.class == FF_E_CONFLICT && strstr(reply.message, "Unable to detach root volume") != NULL) {
		aws_wait(v, RUNNING_MS, "%s", reply.err.text); /* not stopped yet, as this call sees it */
		return;
	}
	aws_act_answered(m, n, wall_ms, answer, fact, v);
	if (reply.class == FF_E_NONE || reply.unknown)
		ff_json_set_str(aws_patch(v), "at", "out");
}

static void see_take_out(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *fact = m->step == AWS_TAKE_NEW_OUT ? "take_new_out_ms" : "take_out_ms";
	struct aws_held held = aws_held_by(m, node);

	switch (held.holder) {
	case AWS_HELD_BY_NONE:
		/* the attach of a new volume whose answer was lost may only not show yet */
		if (!is(&held, "available") || (m->step == AWS_TAKE_NEW_OUT && aws_lags(m, "put_in_ms", wall_ms) &&
						       aws_since(m, fact, wall_ms) == INT64_MAX)) {
			wait_for(m, &held, v);
			break;
		}
		done_at(v, "out");
		if (m->step == AWS_TAKE_NEW_OUT)
			ff_json_set_new(aws_patch(v), "in", json_null());
		break;
	case AWS_HELD_BY_RESCUE:
		done_at(v, "rescue");
		break;
	case AWS_HELD_BY_VM:
		if (is(&held, "attached") && !aws_lags(m, fact, wall_ms))
			aws_verdict(v, FF_M_NOT_DONE);
		else
			wait_for(m, &held, v);
		break;
	default:
		elsewhere(m, &held, v);
	}
}

const struct aws_view aws_take_out_view = {.first = AWS_SEE_VOLUME, .see_first = see_take_out};
const struct aws_view aws_take_new_out_view = {.first = AWS_SEE_VOLUME, .see_first = see_take_out};

/* ---------------------------------------------------------------- attach to the rescue VM */

static unsigned names_used(const struct ff_member *m)
{
	ff_auto_free char *key = ff_printf("slot-%d", m->slot);

	return (unsigned)ff_json_int(m->rescue_facts, key, 0);
}

static const char *next_device(const struct ff_member *m, char out[AWS_DEVICE_BYTES])
{
	return aws_device_name(
		ff_json_at(m->rescue_facts, "devices"), (unsigned)m->slot, m->rescue->slots_max, names_used(m), out);
}

AWS_ACT_FN(aws_attach)
{
	char device[AWS_DEVICE_BYTES];
	struct ff_buf form = {0};

	(void)n;
	if (m->rescue == NULL || m->slot < 0)
		return ff_fail(err, FF_E_BUG, "no rescue VM is assigned");
	if (next_device(m, device)[0] == '\0')
		return ff_fail(err, FF_E_CONFLICT, "no device name is free on rescue VM '%s'", m->rescue->id);
	aws_form(&form, AWS_EC2, "AttachVolume");
	ff_form_add(&form, "VolumeId", aws_volume(m));
	ff_form_add(&form, "InstanceId", m->rescue->id);
	ff_form_add(&form, "Device", device);
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

/* Whatever came of it, the name is not taken again while there are others: see kubernetes/kubernetes#31891. */
AWS_ACTED_FN(aws_attach_acted)
{
	ff_auto_free char *key = ff_printf("slot-%d", m->slot);
	aws_auto_reply reply = {0};
	char device[AWS_DEVICE_BYTES];

	(void)cloud;
	next_device(m, device);
	aws_reply_read(&reply, answer);
	aws_act_answered(m, n, wall_ms, answer, "attach_ms", v);
	if (reply.class == FF_E_NONE || reply.unknown) {
		ff_json_set_str(aws_patch(v), "at", "rescue");
		ff_json_set_str(aws_patch(v), "device", device);
	}
	v->rescue_facts = json_object();
	ff_json_set_int(v->rescue_facts, key, (int64_t)names_used(m) + 1);
	if (ff_streq(reply.code, "AttachmentLimitExceeded"))
		aws_failed(v, FF_E_CONFLICT, "rescue VM '%s' takes no more volumes: %s", m->rescue->id, reply.err.text);
}

static void see_attach(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	struct aws_held held = aws_held_by(m, node);

	switch (held.holder) {
	case AWS_HELD_BY_NONE:
		if (is(&held, "available") && !aws_lags(m, "attach_ms", wall_ms))
			aws_verdict(v, FF_M_NOT_DONE);
		else
			wait_for(m, &held, v);
		break;
	case AWS_HELD_BY_RESCUE:
		if (is(&held, "attached")) {
			aws_other_side(v);
			ff_json_set_str(aws_patch(v), "device", held.device);
		} else {
			wait_for(m, &held, v);
		}
		break;
	case AWS_HELD_BY_VM:
		if (!is(&held, "attached") || aws_lags(m, "take_out_ms", wall_ms))
			wait_for(m, &held, v); /* a read from before the detach */
		else
			elsewhere(m, &held, v);
		break;
	default:
		elsewhere(m, &held, v);
	}
}

static void see_rescue(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const xmlNode *item = aws_mapping(node, aws_volume(m));

	(void)wall_ms;
	if (ff_streq(aws_xml_str(item, "ebs/status"), "attached"))
		done_at(v, "rescue");
	else
		aws_wait(v, LOOK_MS, "rescue VM '%s' does not show volume '%s' yet", m->rescue->id, aws_volume(m));
}

const struct aws_view aws_attach_view = {AWS_SEE_VOLUME, see_attach, AWS_SEE_RESCUE, see_rescue};

/* ---------------------------------------------------------------- detach from it */

/* The worker has closed the disk. Force is for a rescue VM that failed meanwhile. */
AWS_ACT_FN(aws_detach)
{
	(void)n;
	if (m->rescue == NULL)
		return ff_fail(err, FF_E_BUG, "no rescue VM is assigned");
	return ask_detach(cloud, m, m->rescue->id, ff_json_bool(m->facts, "force_detach", false), ask);
}

AWS_ACTED_FN(aws_detach_acted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, "detach_ms", v);
}

/* Still at the rescue VM: `attaching` is taken back too, others are on their way or stuck. */
static void see_held_there(
	const struct ff_member *m, int64_t wall_ms, const struct aws_held *held, struct ff_verdict *v)
{
	int64_t since = aws_since(m, "detach_ms", wall_ms);

	if (is(held, "attached") || is(held, "attaching")) {
		if (since < AWS_LAG_MS)
			wait_for(m, held, v);
		else
			aws_verdict(v, FF_M_NOT_DONE);
		return;
	}
	if (since == INT64_MAX)
		ff_json_set_int(aws_patch(v), "detach_ms", wall_ms);
	if (since == INT64_MAX || since < STUCK_MS || ff_json_bool(m->facts, "force_detach", false)) {
		wait_for(m, held, v);
		return;
	}
	ff_json_set_bool(aws_patch(v), "force_detach", true);
	aws_verdict(v, FF_M_NOT_DONE);
}

static void see_detach(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	struct aws_held held = aws_held_by(m, node);

	switch (held.holder) {
	case AWS_HELD_BY_NONE:
		if (!is(&held, "available"))
			wait_for(m, &held, v);
		else if (aws_lags(m, "attach_ms", wall_ms) && aws_since(m, "detach_ms", wall_ms) == INT64_MAX)
			wait_for(m, &held, v); /* an attach whose answer was lost may only not show yet */
		else
			done_at(v, "out");
		break;
	case AWS_HELD_BY_RESCUE:
		see_held_there(m, wall_ms, &held, v);
		break;
	case AWS_HELD_BY_VM:
		done_at(v, "home");
		break;
	default:
		elsewhere(m, &held, v);
	}
}

const struct aws_view aws_detach_view = {.first = AWS_SEE_VOLUME, .see_first = see_detach};
