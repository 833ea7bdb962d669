/* Stop, start, and the proof that the VM came up. */
#include "azure.h"

#include <string.h>

#define VERIFY_WAIT_MS	   10000
#define POWER_WAIT_MS	   5000
#define ALLOCATE_WAIT_MS   60000 /* no capacity: first wait, doubled each time */
#define ALLOCATE_WAITS_MAX 4

static int post(const struct ff_cloud *cloud, const struct ff_member *m, const char *tail, struct ff_ask *ask,
	struct ff_err *err)
{
	if (azure_ask_resource(cloud, ask, "POST", m->vm->id, tail, AZ_VM_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, AZ_COST_UPDATE_VM, m->vm->region, m->vm->id);
	return 0;
}

/* A boot loop has nothing to shut down; powerOff keeps capacity, address and temporary disk, deallocate would not. */
AZ_ACT_FN(azure_stop)
{
	(void)n;
	return post(cloud, m, "/powerOff?skipShutdown=true&", ask, err);
}

AZ_ACT_FN(azure_start)
{
	(void)n;
	return post(cloud, m, "/start?", ask, err);
}

AZ_ACTED_FN(azure_power_acted)
{
	azure_auto_reply reply = {0};

	azure_begin(&reply, wall_ms, answer, v, n);
	if (reply.class == FF_E_NONE)
		azure_accepted(cloud, &reply, answer, wall_ms, NULL, v);
	else
		azure_power_refused(m, &reply, wall_ms, v);
	if (v->meaning == FF_M_DONE && m->step == AZ_START)
		ff_json_set_int(azure_patch(v), "started_ms", wall_ms);
}

/* No capacity passes by itself, but not within seconds: the look waits before it lets the start be tried again. */
void azure_power_refused(
	const struct ff_member *m, const struct azure_reply *reply, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t tries = ff_json_int(m->facts, "start_tries", 0);

	azure_unhappy(reply, AZ_ACT, v);
	if (m->step != AZ_START || v->meaning != FF_M_LOOK || reply->class != FF_E_TRANSIENT ||
		(reply->status != 200 && reply->status != 409))
		return;
	if (tries < 0 || tries > ALLOCATE_WAITS_MAX)
		tries = ALLOCATE_WAITS_MAX;
	ff_json_set_int(azure_patch(v), "start_tries", tries + 1);
	ff_json_set_int(azure_patch(v), "start_after_ms", wall_ms + ((int64_t)ALLOCATE_WAIT_MS << tries));
}

AZ_LOOK_FN(azure_look_view)
{
	if (azure_ask_resource(cloud, ask, "GET", m->vm->id, "/instanceView?", AZ_VM_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, AZ_COST_GET_VM, m->vm->region, m->vm->id);
	return 0;
}

AZ_LOOKED_FN(azure_stop_looked)
{
	azure_auto_reply reply = {0};
	char power[32];

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
		return;
	}
	azure_power(reply.body, power);
	if (ff_streq(power, "stopped") || ff_streq(power, "deallocated"))
		azure_done(m, v);
	else if (ff_streq(power, "stopping") || ff_streq(power, "deallocating"))
		azure_wait(v, POWER_WAIT_MS, "the VM is %s", power);
	else if (*power == '\0')
		azure_wait(v, POWER_WAIT_MS, "azure does not say the VM's power state");
	else if (!azure_is_well_again(m, reply.body, true, wall_ms, v))
		v->meaning = FF_M_NOT_DONE;
}

/* Stopped: may it be started at once? After an allocation failure not before its time. */
static void start_again(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t wait = ff_json_int(m->facts, "start_after_ms", 0) - wall_ms;

	if (wait > 0 && wait <= (int64_t)ALLOCATE_WAIT_MS << ALLOCATE_WAITS_MAX)
		azure_wait(v, (unsigned)wait, "azure has no capacity to start the VM");
	else
		v->meaning = FF_M_NOT_DONE;
}

AZ_LOOKED_FN(azure_start_looked)
{
	azure_auto_reply reply = {0};
	char power[32];

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
		return;
	}
	azure_power(reply.body, power);
	if (ff_streq(power, "running")) {
		azure_done(m, v);
		ff_json_set_int(azure_patch(v), "started_ms", wall_ms);
	} else if (ff_streq(power, "stopped") || ff_streq(power, "deallocated")) {
		start_again(m, wall_ms, v);
	} else {
		azure_wait(
			v, POWER_WAIT_MS, "the VM is %s", *power ? power : "in no power state that azure would tell");
	}
}

/* ---------------------------------------------------------------- verify */

/* "Ready" goes stale: just after a start Azure still tells the agent's word of before the stop, with its time. */
static bool agent_is_back(const struct ff_member *m, const json_t *view)
{
	const json_t *status = ff_json_at(view, "vmAgent/statuses/0");
	int64_t time, started = ff_json_int(m->facts, "started_ms", INT64_MAX);

	return ff_strcaseeq(ff_json_str(status, "displayStatus"), "Ready") &&
	       ff_time_parse(ff_json_str(status, "time"), &time) == 0 && time > started;
}

AZ_LOOKED_FN(azure_verify_looked)
{
	azure_auto_reply reply = {0};
	const json_t *view;
	const char *disk;
	char power[32];

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
		return;
	}
	view = ff_json_at(reply.body, "properties/instanceView");
	disk = azure_os_disk_id(reply.body);
	azure_power(view, power);
	if (!azure_is_expected_disk(m, disk)) {
		azure_failed(v, FF_E_CONFLICT, "the VM's OS disk is '%s', which this run did not put there",
			azure_id_name(disk));
	} else if (!ff_streq(power, "running")) {
		azure_wait(v, VERIFY_WAIT_MS, "the VM is %s", *power ? power : "in an unknown power state");
	} else if (!agent_is_back(m, view)) {
		ff_auto_free char *said = azure_squeeze(ff_json_str(view, "vmAgent/statuses/0/message"), 200);

		azure_wait(v, VERIFY_WAIT_MS, "the VM agent is not ready yet%s%s", *said ? ": " : "", said);
	} else {
		azure_done(m, v);
	}
}
