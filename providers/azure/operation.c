/*
 * Long-running operations, section 5 of the facts.
 *
 * Any of 200, 201, 202, 204 may start one. Azure-AsyncOperation goes before Location; with neither, after PUT and
 * PATCH, the resource's provisioningState tells. The poll URL is kept as it came, in facts: "op" {url, kind, since}.
 */
#include "attach.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Without Retry-After: 2 s, growing to 15 s, but a VM's poll bucket refills once in 4 s. */
#define FIRST_WAIT_MS 2000
#define LEAST_WAIT_MS 4000
#define MOST_WAIT_MS  15000

void azure_begin(
	struct azure_reply *reply, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = (struct ff_verdict){0};
	azure_reply_read(reply, wall_ms, answer);
}

void azure_begin_look(struct azure_reply *reply, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v)
{
	azure_begin(reply, wall_ms, answer, v, 1);
	if (reply->class != FF_E_NONE || reply->body != NULL)
		return;
	reply->unknown = true;
	reply->class = FF_E_BUG;
	ff_fail(&reply->err, FF_E_BUG, "azure answered %d without the resource", reply->status);
}

void azure_done(const struct ff_member *m, struct ff_verdict *v)
{
	v->meaning = FF_M_DONE;
	if (json_object_get(m->facts, "op") != NULL) /* left by a process that died */
		ff_json_set_new(azure_patch(v), "op", json_null());
}

void azure_failed(struct ff_verdict *v, enum ff_class class, const char *fmt, ...)
{
	va_list ap;

	v->meaning = FF_M_FAILED;
	v->err.class = class;
	va_start(ap, fmt);
	vsnprintf(v->err.text, sizeof(v->err.text), fmt, ap);
	va_end(ap);
}

void azure_wait(struct ff_verdict *v, unsigned wait_ms, const char *fmt, ...)
{
	va_list ap;

	v->meaning = FF_M_WAIT;
	v->wait_ms = wait_ms;
	v->err.class = FF_E_TRANSIENT;
	va_start(ap, fmt);
	vsnprintf(v->err.text, sizeof(v->err.text), fmt, ap);
	va_end(ap);
}

json_t *azure_patch(struct ff_verdict *v)
{
	if (v->facts == NULL)
		v->facts = json_object();
	return v->facts;
}

bool azure_state_terminal(const char *state)
{
	return state == NULL || ff_strcaseeq(state, "Succeeded") || ff_strcaseeq(state, "Failed") ||
	       ff_strcaseeq(state, "Canceled");
}

static unsigned retry_wait(const struct azure_reply *reply)
{
	return reply->retry_ms > 0 ? (unsigned)reply->retry_ms : 0;
}

void azure_unhappy(const struct azure_reply *reply, enum azure_asked asked, struct ff_verdict *v)
{
	v->err = reply->err;
	v->wait_ms = retry_wait(reply);
	v->meaning = FF_M_FAILED;
	switch (reply->class) {
	case FF_E_THROTTLED: /* refused at the door: surely without effect */
		v->meaning = FF_M_WAIT;
		break;
	case FF_E_TRANSIENT:
	case FF_E_CONFLICT:
	case FF_E_AUTH:
		v->meaning = asked == AZ_ACT ? FF_M_LOOK : FF_M_WAIT;
		if (asked == AZ_ACT && reply->class == FF_E_TRANSIENT && reply->status == 0 && !reply->unknown)
			v->meaning = FF_M_WAIT; /* never left this machine */
		break;
	case FF_E_GONE: /* an expired poll URL: the resource tells */
		if (asked == AZ_POLL)
			v->meaning = FF_M_LOOK;
		break;
	default:
		break;
	}
	if (reply->unknown)
		v->meaning = asked == AZ_LOOK ? FF_M_WAIT : FF_M_LOOK;
}

/* ---------------------------------------------------------------- begun */

static void remember(struct ff_verdict *v, const char *url, const char *kind, int64_t wall_ms)
{
	json_t *op = json_object();

	ff_json_set_str(op, "url", url);
	ff_json_set_str(op, "kind", kind);
	ff_json_set_int(op, "since", wall_ms);
	ff_json_set_new(azure_patch(v), "op", op);
	v->meaning = FF_M_STARTED;
}

void azure_accepted(const struct ff_cloud *cloud, const struct azure_reply *reply, const struct ff_answer *answer,
	int64_t wall_ms, const char *resource_url, struct ff_verdict *v)
{
	const char *async = ff_headers_get(&answer->headers, "Azure-AsyncOperation");
	const char *location = ff_headers_get(&answer->headers, "Location");
	const char *url = async ? async : location;
	const char *state = ff_json_str(reply->body, "properties/provisioningState");

	v->wait_ms = reply->retry_ms >= 0 ? retry_wait(reply) : FIRST_WAIT_MS;
	if (url != NULL && (!azure_url_is_arm(cloud, url) || strlen(url) > AZ_URL_BYTES)) {
		/* The request was accepted, but the token must not go there: what came of it is looked up instead. */
		v->meaning = FF_M_LOOK;
		ff_fail(&v->err, FF_E_BUG, "the operation's poll URL is not Resource Manager's: '%.200s'", url);
	} else if (url != NULL) {
		remember(v, url, async ? "async" : "location", wall_ms);
	} else if (resource_url != NULL && (!azure_state_terminal(state) || (state == NULL && reply->status == 202))) {
		remember(v, resource_url, "resource", wall_ms);
	} else if (reply->status == 202 && resource_url == NULL) {
		v->meaning = FF_M_LOOK; /* accepted, and nothing said where to ask */
		ff_fail(&v->err, FF_E_BUG, "azure accepted the request but named no operation to poll");
	} else {
		v->meaning = FF_M_DONE;
		v->wait_ms = 0;
	}
}

/* ---------------------------------------------------------------- running */

/* An operation of the VM that has the disks. */
static bool is_of_attach(const struct ff_member *m)
{
	return m->step == AZ_ATTACH || m->step == AZ_DETACH || m->step == AZ_FREE_COPY;
}

static enum azure_cost poll_cost(const struct ff_member *m)
{
	bool disk = m->step == AZ_COPY || m->step == AZ_DELETE_COPY || m->step == AZ_DROP_COPY || m->step == AZ_MARK ||
		    m->step == AZ_DELETE_LEFT;

	return disk ? AZ_COST_POLL_DISK : AZ_COST_POLL_VM;
}

int azure_poll(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	const char *url = ff_json_str(m->facts, "op/url");
	bool on_holder = is_of_attach(m) && azure_holder(m) != NULL;

	(void)n;
	if (url == NULL)
		return ff_fail(err, FF_E_BUG, "no operation is known to poll");
	if (!azure_url_is_arm(cloud, url))
		return ff_fail(err, FF_E_BUG, "the poll URL '%.200s' is not Resource Manager's", url);
	ff_ask_http(ask, "GET", "%s", url);
	azure_cost(cloud, ask, poll_cost(m), m->vm->region, on_holder ? azure_holder(m) : m->vm->id);
	return 0;
}

/* Not done yet: Retry-After, or a wait that grows with the operation's age. */
static void still_running(
	const struct ff_member *m, const struct azure_reply *reply, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t age = wall_ms - ff_json_int(m->facts, "op/since", wall_ms);
	int64_t wait = age / 2;

	if (wait < LEAST_WAIT_MS)
		wait = LEAST_WAIT_MS;
	if (wait > MOST_WAIT_MS)
		wait = MOST_WAIT_MS;
	azure_wait(
		v, reply->retry_ms > 0 ? (unsigned)reply->retry_ms : (unsigned)wait, "the operation is still running");
}

enum progress { RUNNING, ENDED_WELL, ENDED_BADLY, ODD };

/* Where an operation stands by an answer of its kind. ODD: the answer is not about the operation. */
static enum progress progress_of(const char *kind, const struct azure_reply *reply)
{
	const char *status = ff_json_str(reply->body, "status");
	const char *state = ff_json_str(reply->body, "properties/provisioningState");

	if (reply->class != FF_E_NONE && (reply->status < 200 || reply->status > 299 || reply->unknown)) {
		/* a Location monitor ends a failed operation with the failure's own status */
		bool refusal = ff_streq(kind, "location") && reply->status >= 400 && reply->status < 500;

		return refusal && (reply->class == FF_E_PERMANENT || reply->class == FF_E_CONFLICT) ? ENDED_BADLY : ODD;
	}
	if (reply->class != FF_E_NONE)
		return ENDED_BADLY;
	if (ff_streq(kind, "async"))
		return ff_strcaseeq(status, "Succeeded") ? ENDED_WELL : RUNNING;
	if (ff_streq(kind, "location"))
		return reply->status == 202 ? RUNNING : ENDED_WELL;
	if (!azure_state_terminal(state))
		return RUNNING;
	return state == NULL || ff_strcaseeq(state, "Succeeded") ? ENDED_WELL : ENDED_BADLY;
}

/* When the operation ended, by Azure's own clock where it says so: the agent's times are of that clock too. */
static int64_t end_of(const struct azure_reply *reply, int64_t wall_ms)
{
	int64_t end;

	return ff_time_parse(ff_json_str(reply->body, "endTime"), &end) == 0 ? end : wall_ms;
}

static void ended_well(
	const struct ff_member *m, const struct azure_reply *reply, int64_t wall_ms, struct ff_verdict *v)
{
	v->meaning = FF_M_DONE;
	switch (m->step) {
	case AZ_START:
		ff_json_set_int(azure_patch(v), "started_ms", end_of(reply, wall_ms));
		break;
	case AZ_SWAP:
	case AZ_RESTORE:
	case AZ_SWAP_BACK:
		if (ff_json_bool(m->facts, "deallocating", false)) { /* only the way is free; now the swap itself */
			v->meaning = FF_M_LOOK;
			ff_fail(&v->err, FF_E_CONFLICT, "the VM is deallocated, its OS disk is yet to be swapped");
		}
		break;
	case AZ_DELETE_COPY:
		ff_json_set_new(azure_patch(v), "copied", json_null());
		break;
	default:
		break;
	}
}

/* A failure that tells nothing (provisioningState Failed) is one all the same. */
static void name_failure(struct azure_reply *reply)
{
	if (reply->class != FF_E_NONE)
		return;
	reply->class = FF_E_PERMANENT;
	ff_fail(&reply->err, FF_E_PERMANENT, "the operation failed, and azure does not say why");
}

static void polled_one(const struct ff_cloud *cloud, const struct ff_member *m, const struct azure_reply *reply,
	enum progress progress, int64_t wall_ms, struct ff_verdict *v)
{
	switch (progress) {
	case RUNNING:
		still_running(m, reply, wall_ms, v);
		break;
	case ODD:
		azure_unhappy(reply, AZ_POLL, v);
		break;
	case ENDED_WELL:
		ended_well(m, reply, wall_ms, v);
		break;
	case ENDED_BADLY:
		if (m->step == AZ_SWAP || m->step == AZ_RESTORE || m->step == AZ_SWAP_BACK)
			azure_swap_refused(cloud, m, reply, v);
		else if (m->step == AZ_START || m->step == AZ_STOP)
			azure_power_refused(m, reply, wall_ms, v);
		else /* as the refusal of the act: a transient one is looked at and tried again */
			azure_unhappy(reply, AZ_ACT, v);
		break;
	}
}

void azure_polled(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	azure_auto_reply reply = {0};
	const char *kind = ff_json_str(m->facts, "op/kind");
	bool attaching = is_of_attach(m);
	enum progress progress;

	azure_begin(&reply, wall_ms, answer, v, n);
	progress = progress_of(kind ? kind : "", &reply);
	if (progress == ENDED_BADLY)
		name_failure(&reply);
	if (attaching && (progress == ENDED_WELL || progress == ENDED_BADLY)) {
		const json_t *output = ff_json_at(reply.body, "properties/output");

		azure_attach_ended(m, n, &reply, output ? output : reply.body, AZ_POLL, v);
	} else {
		for (size_t i = 0; i < n; i++)
			polled_one(cloud, &m[i], &reply, progress, wall_ms, &v[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (v[i].meaning != FF_M_WAIT)
			ff_json_set_new(azure_patch(&v[i]), "op", json_null());
}
