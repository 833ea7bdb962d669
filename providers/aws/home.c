/*
 * Put back: attach the volume at the recorded root device name, then restore DeleteOnTermination, which an attach
 * resets to false whatever it was. Two requests, so the row acts twice: which one is due is in the fact `flag`, written
 * by the look before. Done is only what both sides show: the volume attached to this VM at this name, and the VM's
 * mapping with the flag as recorded.
 */
#include "aws.h"

#include <stdlib.h>

#define LOOK_MS 1500

static bool recorded_flag(const struct ff_member *m)
{
	return ff_json_bool(m->facts, "root/delete", false);
}

static bool flag_is_due(const struct ff_member *m)
{
	return ff_json_bool(m->facts, "flag", false);
}

static void fill_attach(const struct ff_member *m, struct ff_buf *form)
{
	aws_form(form, AWS_EC2, "AttachVolume");
	ff_form_add(form, "VolumeId", aws_volume(m));
	ff_form_add(form, "InstanceId", m->vm->id);
	ff_form_add(form, "Device", aws_root_device(m));
}

/* The value is always said: left out it would mean true. */
static void fill_flag(const struct ff_member *m, struct ff_buf *form)
{
	aws_form(form, AWS_EC2, "ModifyInstanceAttribute");
	ff_form_add(form, "InstanceId", m->vm->id);
	ff_form_add(form, "BlockDeviceMapping.1.DeviceName", aws_root_device(m));
	ff_form_add(form, "BlockDeviceMapping.1.Ebs.DeleteOnTermination", recorded_flag(m) ? "true" : "false");
}

/* A rollback's new volume is put in by the same functions: when was the attach accepted? */
static const char *attach_fact(const struct ff_member *m)
{
	return m->step == AWS_PUT_IN ? "put_in_ms" : "put_back_ms";
}

AWS_ACT_FN(aws_put_back)
{
	struct ff_buf form = {0};

	(void)n;
	(void)err;
	(flag_is_due(m) ? fill_flag : fill_attach)(m, &form);
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

AWS_ACTED_FN(aws_put_back_acted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, flag_is_due(m) ? "flag_ms" : attach_fact(m), v);
	if (!flag_is_due(m) && v->meaning == FF_M_DONE)
		aws_verdict(v, FF_M_LOOK); /* half done: the look says when the flag is due */
}

/* A detach whose answer was lost may still be about to happen: what is seen from before it proves nothing. */
static bool may_still_leave(const struct ff_member *m, int64_t wall_ms)
{
	return m->step != AWS_PUT_IN && aws_lags(m, "take_out_ms", wall_ms) &&
	       ff_json_at(m->facts, "put_back_ms") == NULL;
}

static void see_volume(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	struct aws_held held = aws_held_by(m, node);
	bool right = ff_streq(held.device, aws_root_device(m));

	if (held.holder == AWS_HELD_BY_NONE && ff_streq(held.state, "available") &&
		!aws_lags(m, attach_fact(m), wall_ms)) {
		aws_verdict(v, FF_M_NOT_DONE);
		if (flag_is_due(m))
			ff_json_set_new(aws_patch(v), "flag", json_null());
	} else if (held.holder == AWS_HELD_BY_VM && ff_streq(held.state, "attached") && may_still_leave(m, wall_ms)) {
		aws_wait(v, LOOK_MS, "volume '%s' may still be on its way out", aws_volume(m));
	} else if (held.holder == AWS_HELD_BY_VM && ff_streq(held.state, "attached") && right) {
		aws_other_side(v);
	} else if (held.holder == AWS_HELD_BY_VM && ff_streq(held.state, "attached")) {
		aws_failed(v, FF_E_CONFLICT, "volume '%s' is attached as %.40s, not as %s", aws_volume(m), held.device,
			aws_root_device(m));
	} else if (held.holder == AWS_HELD_GOING) {
		aws_failed(v, FF_E_GONE, "volume '%s' is in state '%s'", aws_volume(m), held.state);
	} else if (held.holder == AWS_HELD_BY_OTHER) {
		aws_failed(v, FF_E_CONFLICT, "volume '%s' is attached to '%.40s'", aws_volume(m), held.instance);
	} else { /* on its way, or still shown at the rescue VM */
		aws_wait(v, LOOK_MS, "volume '%s' is '%.40s'%s%.40s", aws_volume(m), held.state,
			held.instance[0] ? " at " : "", held.instance);
	}
}

static void see_instance(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const xmlNode *item = aws_mapping(node, aws_volume(m));
	const char *device = aws_xml_str(item, "deviceName");

	if (!ff_streq(device, aws_root_device(m)) || !ff_streq(aws_xml_str(item, "ebs/status"), "attached")) {
		aws_wait(v, LOOK_MS, "'%s' does not show volume '%s' at %s yet", m->vm->id, aws_volume(m),
			aws_root_device(m));
	} else if (aws_xml_true(item, "ebs/deleteOnTermination") == recorded_flag(m)) {
		aws_verdict(v, FF_M_DONE);
		ff_json_set_str(aws_patch(v), "at", "home");
		if (m->step == AWS_PUT_IN)
			ff_json_set_bool(aws_patch(v), "in", true);
		if (flag_is_due(m))
			ff_json_set_new(aws_patch(v), "flag", json_null());
	} else if (flag_is_due(m) && aws_lags(m, "flag_ms", wall_ms)) {
		aws_wait(v, LOOK_MS, "DeleteOnTermination of volume '%s' is not as it was yet", aws_volume(m));
	} else {
		ff_json_set_bool(aws_patch(v), "flag", true);
		ff_json_set_str(aws_patch(v), "at", "home");
		aws_verdict(v, FF_M_NOT_DONE);
	}
}

const struct aws_view aws_put_back_view = {AWS_SEE_VOLUME, see_volume, AWS_SEE_INSTANCE, see_instance};
