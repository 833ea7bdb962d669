/*
 * Members of Auto Scaling groups (--asg standby): into Standby before they stop, so that the group does not replace
 * them, and back when they run and pass their checks. A VM that does not stays in Standby: back in the group it would
 * be terminated, and its disk with it.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_MS	 3000
#define CHECK_MS 10000

bool aws_standby_applies(const struct ff_member *m)
{
	return ff_json_str(m->facts, "asg") != NULL;
}

const char *aws_standby_group(const struct ff_member *m)
{
	return ff_json_str(m->facts, "asg");
}

static int ask_group(const struct ff_cloud *cloud, const struct ff_member *m, size_t n, const char *action,
	bool decrement, struct ff_ask *ask, struct ff_err *err)
{
	struct ff_buf form = {0};

	if (!aws_standby_applies(&m[0]))
		return ff_fail(err, FF_E_BUG, "'%s' is in no Auto Scaling group", m->vm->id);
	aws_form(&form, AWS_AUTOSCALING, action);
	for (size_t i = 0; i < n; i++)
		aws_form_nth(&form, "InstanceIds.member", i + 1, m[i].vm->id);
	ff_form_add(&form, "AutoScalingGroupName", aws_standby_group(&m[0]));
	if (decrement)
		ff_form_add(&form, "ShouldDecrementDesiredCapacity", "true");
	aws_ask(cloud, ask, AWS_AUTOSCALING, AWS_Q_STEP, &form);
	return 0;
}

AWS_ACT_FN(aws_standby)
{
	return ask_group(cloud, m, n, "EnterStandby", true, ask, err);
}

AWS_ACT_FN(aws_unstandby)
{
	return ask_group(cloud, m, n, "ExitStandby", false, ask, err);
}

AWS_ACTED_FN(aws_standby_acted)
{
	(void)cloud;
	aws_act_answered(m, n, wall_ms, answer, m->step == AWS_STANDBY ? "standby_ms" : "unstandby_ms", v);
}

static void see_entering(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *state = aws_xml_str(node, "LifecycleState");

	if (!aws_standby_applies(m) || node == NULL || ff_streq(state, "Standby"))
		aws_verdict(v, FF_M_DONE);
	else if (ff_streq(state, "InService") && !aws_lags(m, "standby_ms", wall_ms))
		aws_verdict(v, FF_M_NOT_DONE);
	else if (ff_streq(state, "InService") || ff_streq(state, "EnteringStandby"))
		aws_wait(v, LOOK_MS, "it is '%s' in its Auto Scaling group", state);
	else
		aws_failed(v, FF_E_CONFLICT, "it is '%.40s' in its Auto Scaling group", state);
}

static void see_well(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *state = aws_xml_str(node, "instanceState/name");

	(void)wall_ms;
	if (!aws_standby_applies(m) ||
		(ff_streq(state, "running") && ff_streq(aws_xml_str(node, "instanceStatus/status"), "ok")))
		aws_other_side(v);
	else if (ff_streq(state, "stopped") || ff_streq(state, "stopping"))
		aws_failed(v, FF_E_PERMANENT, "it is %s, so it stays in Standby of Auto Scaling group '%s'", state,
			aws_standby_group(m));
	else
		aws_wait(v, CHECK_MS, "it does not pass its status checks, so it stays in Standby of its group");
}

static void see_leaving(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *state = aws_xml_str(node, "LifecycleState");

	if (!aws_standby_applies(m) || node == NULL || ff_streq(state, "InService"))
		aws_verdict(v, FF_M_DONE);
	else if (ff_streq(state, "Standby") && !aws_lags(m, "unstandby_ms", wall_ms))
		aws_verdict(v, FF_M_NOT_DONE);
	else if (ff_streq(state, "Standby") || ff_streq(state, "EnteringStandby") || ff_has_prefix(state, "Pending"))
		aws_wait(v, LOOK_MS, "it is '%s' in its Auto Scaling group", state);
	else
		aws_failed(v, FF_E_CONFLICT, "it is '%.40s' in its Auto Scaling group", state);
}

const struct aws_view aws_standby_view = {.first = AWS_SEE_MEMBER, .see_first = see_entering};
const struct aws_view aws_unstandby_view = {AWS_SEE_STATUS, see_well, AWS_SEE_MEMBER, see_leaving};
