/*
 * Stop, start and verify, many ids a request. Both calls may be repeated. One id that is refused fails the whole
 * request: see aws_act_refused().
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define STOP_LOOK_MS   3000
#define START_LOOK_MS  2000
#define VERIFY_LOOK_MS 5000
#define CAPACITY_MS    30000
#define STUCK_STOP_MS  ((int64_t)10 * 60 * 1000) /* then the host has a problem (facts section 4) */

static void add_ids(struct ff_buf *form, const struct ff_member *m, size_t n)
{
	for (size_t i = 0; i < n; i++)
		aws_form_nth(form, "InstanceId", i + 1, m[i].vm->id);
}

static void gone(const char *state, struct ff_verdict *v)
{
	aws_failed(v, FF_E_GONE, "it is '%.40s'", state);
}

/* ---------------------------------------------------------------- stop */

/*
 * What boot-loops cannot shut down: EC2 would wait for minutes and cut it off then, so the graceful part is left out.
 * What may be well is asked to shut down. Force is for a stop that hangs, never the first choice for Windows.
 */
const char *aws_stop_group(const struct ff_member *m)
{
	if (ff_json_bool(m->facts, "force", false))
		return "force";
	if (m->vm->health == FF_AFFECTED && !ff_json_bool(m->facts, "graceful", false))
		return "skip";
	return "plain";
}

AWS_ACT_FN(aws_stop)
{
	const char *how = aws_stop_group(&m[0]);
	struct ff_buf form = {0};

	(void)err;
	aws_form(&form, AWS_EC2, "StopInstances");
	add_ids(&form, m, n);
	if (ff_streq(how, "force"))
		ff_form_add(&form, "Force", "true");
	else if (ff_streq(how, "skip"))
		ff_form_add(&form, "SkipOsShutdown", "true");
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

/* Is it the parameter that this endpoint does not take? */
static bool refuses_skip(const struct ff_member *m, const struct aws_reply *reply)
{
	static const char *const codes[] = {"UnknownParameter", "InvalidParameterCombination", "InvalidParameterValue",
		"InvalidParameter", "UnsupportedOperation", "Unsupported"};

	for (size_t i = 0; i < FF_COUNT(codes); i++)
		if (ff_streq(reply->code, codes[i]))
			return ff_streq(aws_stop_group(m), "skip");
	return false;
}

AWS_ACTED_FN(aws_stop_acted)
{
	aws_auto_reply reply = {0};

	(void)cloud;
	aws_reply_read(&reply, answer);
	if (!refuses_skip(&m[0], &reply)) {
		aws_act_answered(m, n, wall_ms, answer, "stop_ms", v);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		ff_json_set_bool(aws_patch(&v[i]), "graceful", true);
		v[i].meaning = FF_M_LOOK;
		v[i].err = reply.err;
	}
}

static void see_stopping(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t since = aws_since(m, "stop_ms", wall_ms);

	if (since == INT64_MAX) /* somebody else's stop, or one whose answer was lost: count from here */
		ff_json_set_int(aws_patch(v), "stop_ms", wall_ms);
	if (since == INT64_MAX || since < STUCK_STOP_MS || ff_json_bool(m->facts, "force", false)) {
		aws_wait(v, STOP_LOOK_MS, "it is still stopping");
		return;
	}
	ff_json_set_bool(aws_patch(v), "force", true);
	aws_verdict(v, FF_M_NOT_DONE);
}

/* Another run has claimed it since (--take-over); a tag that this one has replaced may be seen for a while. */
static bool taken_over(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *run = aws_tag(node, AWS_TAG_RUN), *by = aws_tag(node, AWS_TAG_BY);
	ff_auto_free char *clean = ff_printable(run ? run : ""), *whose = ff_printable(by ? by : "");

	if (run == NULL || ff_streq(run, m->run) || aws_lags(m, "claim_ms", wall_ms))
		return false;
	aws_failed(v, FF_E_CONFLICT, "it was taken over by run '%.64s'%s%.128s", clean, by ? " of " : "", whose);
	return true;
}

static void see_stop(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *state = aws_xml_str(node, "instanceState/name");

	if (taken_over(m, wall_ms, node, v)) /* its volume is still in place: nothing more is done to it */
		return;
	if (ff_streq(state, "stopped") &&
		ff_streq(aws_xml_str(node, "stateReason/code"), "Client.UserInitiatedHibernate"))
		aws_failed(v, FF_E_CONFLICT, "it was hibernated: its memory image would undo what is mended");
	else if (ff_streq(state, "stopped"))
		aws_verdict(v, FF_M_DONE);
	else if (ff_streq(state, "stopping"))
		see_stopping(m, wall_ms, v);
	else if (ff_streq(state, "running") && !aws_lags(m, "stop_ms", wall_ms))
		aws_verdict(v, FF_M_NOT_DONE);
	else if (ff_streq(state, "running") || ff_streq(state, "pending"))
		aws_wait(v, STOP_LOOK_MS, "it is %s", state);
	else
		gone(state, v);
}

const struct aws_view aws_stop_view = {.first = AWS_SEE_INSTANCE, .see_first = see_stop};

/* ---------------------------------------------------------------- start */

/* Capacity is short for a type in a zone: those that would fail together go together. */
const char *aws_start_group(const struct ff_member *m)
{
	return ff_json_str(m->facts, "pool");
}

AWS_ACT_FN(aws_start)
{
	struct ff_buf form = {0};

	(void)err;
	aws_form(&form, AWS_EC2, "StartInstances");
	add_ids(&form, m, n);
	aws_ask(cloud, ask, AWS_EC2, AWS_Q_STEP, &form);
	return 0;
}

static bool is_capacity(const char *code)
{
	return ff_has_prefix(code, "Insufficient") || ff_has_prefix(code, "Server.Insufficient");
}

AWS_ACTED_FN(aws_start_acted)
{
	aws_auto_reply reply = {0};

	(void)cloud;
	aws_reply_read(&reply, answer);
	if (!is_capacity(reply.code)) {
		aws_act_answered(m, n, wall_ms, answer, "start_ms", v);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (n > 1) { /* for some of them there may be room */
			v[i].meaning = FF_M_SPLIT;
			v[i].err = reply.err;
		} else {
			aws_wait(&v[i], CAPACITY_MS, "its disk is home, but it cannot start: %s", reply.err.text);
		}
	}
}

static void forget_start(struct ff_verdict *v)
{
	ff_json_set_new(aws_patch(v), "start_ms", json_null());
	ff_json_set_new(aws_patch(v), "launching", json_null());
}

/* It stands still although it was to start: not yet begun, fallen back, or never asked to. */
static void see_standing(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *code = aws_xml_str(node, "stateReason/code");
	ff_auto_free char *why = ff_printable(aws_xml_str(node, "stateReason/message"));
	ff_auto_free char *clean = ff_printable(code);
	bool asked = aws_since(m, "start_ms", wall_ms) != INT64_MAX;
	bool ours = code[0] == '\0' || ff_has_prefix(code, "Client.UserInitiated"); /* the stop before */
	bool fell = asked && (ff_json_bool(m->facts, "launching", false) || !ours);

	if (fell && is_capacity(code)) {
		forget_start(v);
		aws_wait(v, CAPACITY_MS, "its disk is home, but it cannot start: %.300s", why);
	} else if (fell) {
		aws_failed(v, FF_E_PERMANENT, "it fell back to stopped: %.100s: %.300s%s", clean, why,
			ff_streq(code, "Client.InternalError")
				? " (is kms:CreateGrant missing on the key of its volumes?)"
				: "");
	} else if (asked && aws_lags(m, "start_ms", wall_ms)) {
		aws_wait(v, START_LOOK_MS, "it is still stopped");
	} else {
		if (asked)
			forget_start(v);
		aws_verdict(v, FF_M_NOT_DONE);
	}
}

/* It was put back; should it not be there, somebody or something has taken it out again. Reads may lag, so it is
 * waited. */
static bool has_root(const struct ff_member *m, const xmlNode *node, struct ff_verdict *v)
{
	const xmlNode *root = aws_mapping(node, aws_volume(m));
	bool there = ff_streq(aws_xml_str(root, "deviceName"), aws_root_device(m)) &&
		     ff_streq(aws_xml_str(root, "ebs/status"), "attached");

	if (there && ff_streq(ff_json_str(m->facts, "at"), "out"))
		ff_json_set_str(aws_patch(v), "at", "home");
	if (there)
		return true;
	aws_wait(v, START_LOOK_MS, "its root volume '%s' is not attached at %s", aws_volume(m), aws_root_device(m));
	ff_json_set_str(aws_patch(v), "at", "out");
	v->away = true;
	return false;
}

static void see_start(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *state = aws_xml_str(node, "instanceState/name");

	if (ff_streq(state, "running") && aws_since(m, "start_ms", wall_ms) == INT64_MAX &&
		aws_lags(m, "stop_ms", wall_ms)) { /* going home from a stop that reads may not show yet */
		aws_wait(v, STOP_LOOK_MS, "it is running, as far as can be seen so soon after its stop");
	} else if (ff_streq(state, "running")) {
		aws_verdict(v, FF_M_DONE);
		if (aws_since(m, "start_ms", wall_ms) != INT64_MAX)
			forget_start(v);
	} else if (ff_streq(state, "pending")) {
		aws_wait(v, START_LOOK_MS, "it is pending");
		ff_json_set_bool(aws_patch(v), "launching", true);
	} else if (ff_streq(state, "stopping")) {
		aws_wait(v, STOP_LOOK_MS, "it is stopping");
	} else if (!ff_streq(state, "stopped")) {
		gone(state, v);
	} else if (has_root(m, node, v)) {
		see_standing(m, wall_ms, node, v);
	}
}

const struct aws_view aws_start_view = {.first = AWS_SEE_INSTANCE, .see_first = see_start};

/* ---------------------------------------------------------------- verify */

static void see_verify(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v)
{
	const char *state = aws_xml_str(node, "instanceState/name");
	const char *instance = aws_xml_str(node, "instanceStatus/status"),
		   *system = aws_xml_str(node, "systemStatus/status");

	(void)m;
	(void)wall_ms;
	if (node == NULL || ff_streq(state, "pending"))
		aws_wait(v, VERIFY_LOOK_MS, "it is not running yet");
	else if (!ff_streq(state, "running"))
		aws_failed(v, FF_E_PERMANENT, "it is '%.40s' again", state);
	else if (ff_streq(instance, "ok") && ff_streq(system, "ok"))
		aws_verdict(v, FF_M_DONE);
	else
		aws_wait(v, VERIFY_LOOK_MS, "instance status check is '%.40s', system status check '%.40s'", instance,
			system);
}

const struct aws_view aws_verify_view = {.first = AWS_SEE_STATUS, .see_first = see_verify};
