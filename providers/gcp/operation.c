/*
 * Long-running operations, section 5 of the facts, and what verdicts have in common.
 *
 * Every mutation answers an Operation. It is waited for by zoneOperations.wait, which answers when it is done or after
 * two minutes, or sooner: hence the pause between two waits, and the patience of the HTTP exchange. DONE with an error
 * is a failure although HTTP says 200; the same requestId would answer the same operation again, so the way goes
 * through a look to a new intent.
 */
#include "gcp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_TIMEOUT_MS 150000 /* the server holds a wait for up to 120 s */
#define PAUSE_MIN_MS	2000
#define PAUSE_MAX_MS	15000
#define AT_ONCE_MS	1
#define AGAIN_MS	5000
#define CONFLICT_MS	5000
#define TRANSIENT_MS	20000 /* the zone has no room for the machine */
#define THROTTLED_MS	60000
#define RETRY_MAX_MS	240000
#define UNSURE_MS	60000 /* a request of which nothing was heard may still arrive, and begin */

/* ---------------------------------------------------------------- verdicts */

json_t *gcp_patch(struct ff_verdict *v)
{
	if (v->facts == NULL)
		v->facts = json_object();
	return v->facts;
}

void gcp_failed(struct ff_verdict *v, enum ff_class class, const char *fmt, ...)
{
	va_list ap;

	v->meaning = FF_M_FAILED;
	v->err.class = class;
	va_start(ap, fmt);
	vsnprintf(v->err.text, sizeof(v->err.text), fmt, ap);
	va_end(ap);
}

void gcp_wait(struct ff_verdict *v, unsigned wait_ms)
{
	v->meaning = FF_M_WAIT;
	v->wait_ms = wait_ms;
}

void gcp_forget(const struct ff_member *m, struct ff_verdict *v, const char *key)
{
	if (json_object_get(m->facts, key) != NULL || json_object_get(v->facts, key) != NULL)
		ff_json_set_new(gcp_patch(v), key, json_null());
}

void gcp_see(const struct ff_member *m, struct ff_verdict *v, const char *what)
{
	if (what != NULL)
		ff_json_set_str(gcp_patch(v), "see", what);
	else
		gcp_forget(m, v, "see");
	gcp_wait(v, AT_ONCE_MS);
}

/* Where the disk is now that this step's effect is there; journaled so that `where` can tell after a crash. */
static void note_place(const struct ff_member *m, struct ff_verdict *v, bool sure)
{
	switch (m->step) {
	case GCP_TAKE_NEW_OUT:
		if (sure)
			gcp_forget(m, v, "in");
		/* fall through */
	case GCP_TAKE_OUT:
		ff_json_set_str(gcp_patch(v), "at", sure ? "loose" : "leaving");
		break;
	case GCP_ATTACH: {
		ff_auto_free char *device = gcp_device_name(m);

		ff_json_set_str(gcp_patch(v), "at", sure ? "rescue" : "arriving");
		ff_json_set_str(gcp_patch(v), "device", device);
		ff_json_set_str(gcp_patch(v), "rescue", gcp_rescue_path(m));
		break;
	}
	case GCP_DETACH:
		if (sure)
			ff_json_set_str(gcp_patch(v), "at", "loose");
		break;
	case GCP_PUT_IN:
	case GCP_PUT_BACK:
		if (!sure)
			ff_json_set_str(gcp_patch(v), "at", "returning");
		break;
	default:
		break;
	}
}

void gcp_done(const struct ff_member *m, struct ff_verdict *v)
{
	static const char *const passing[] = {"op", "retry_at", "tries", "see", "cure", "unsure"};

	v->meaning = FF_M_DONE;
	for (size_t i = 0; i < FF_COUNT(passing); i++)
		gcp_forget(m, v, passing[i]);
	note_place(m, v, true);
}

void gcp_not_done(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t left = ff_json_int(m->facts, "retry_at", 0) - wall_ms;

	if (left > 0) {
		gcp_wait(v, (unsigned)(left < RETRY_MAX_MS ? left : RETRY_MAX_MS));
		return;
	}
	v->meaning = FF_M_NOT_DONE;
}

void gcp_unseen(struct ff_verdict *v, enum ff_class class, const struct ff_err *err)
{
	v->err = *err;
	v->meaning = FF_M_FAILED;
	/* nonsense may pass as well: a disk that is away is not given up for one bad answer */
	if (class == FF_E_TRANSIENT || class == FF_E_THROTTLED || class == FF_E_CONFLICT || class == FF_E_BUG)
		gcp_wait(v, AGAIN_MS);
}

/* ---------------------------------------------------------------- failures */

/*
 * It passes: look, and act again when some time is over. The driver counts rounds, so the few tries are spread over
 * minutes: each wait is three times the one before.
 */
static void retry_later(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t tries = ff_json_int(m->facts, "tries", 0), wait_ms = CONFLICT_MS;

	if (v->err.class == FF_E_TRANSIENT)
		wait_ms = TRANSIENT_MS;
	else if (v->err.class == FF_E_THROTTLED)
		wait_ms = THROTTLED_MS;
	for (int64_t i = 0; i < tries && wait_ms < RETRY_MAX_MS; i++)
		wait_ms *= 3;
	wait_ms = wait_ms < RETRY_MAX_MS ? wait_ms : RETRY_MAX_MS;
	ff_json_set_int(gcp_patch(v), "retry_at", wall_ms + wait_ms);
	ff_json_set_int(gcp_patch(v), "tries", tries < 16 ? tries + 1 : tries);
	v->meaning = FF_M_LOOK;
}

/* Going home the disk may be held still by the rescue VM, whose operations can take long. */
static bool in_use_passes(const struct ff_member *m)
{
	return m->step == GCP_PUT_BACK;
}

/* "No such device name", "is attached already": an earlier request of which nothing was heard may have done it. A look
 * tells, and a disk away is not given up at a word. */
static bool moves_disk(const struct ff_member *m)
{
	switch (m->step) {
	case GCP_TAKE_OUT:
	case GCP_TAKE_NEW_OUT:
	case GCP_DETACH:
	case GCP_FETCH:
	case GCP_PUT_BACK:
	case GCP_PUT_IN:
		return true;
	default:
		return false;
	}
}

/* What is not there any more is deleted: an earlier request of which nothing sensible was heard may have done it. */
static bool deletes(const struct ff_member *m)
{
	return m->step == GCP_DELETE_LEFT || m->step == GCP_DELETE_MADE;
}

/* The cloud says no, to the request or at the end of its operation. */
static void refused(const struct ff_member *m, int64_t wall_ms, bool busy, struct ff_verdict *v)
{
	gcp_forget(m, v, "op");
	gcp_forget(m, v, "see");
	if (busy) {
		v->meaning = FF_M_LOOK;
		v->busy = true;
		return;
	}
	switch (v->err.class) {
	case FF_E_CONFLICT:
	case FF_E_THROTTLED:
	case FF_E_TRANSIENT:
		retry_later(m, wall_ms, v);
		break;
	case FF_E_PERMANENT:
	case FF_E_GONE:
		if (moves_disk(m)) {
			retry_later(m, wall_ms, v);
			break;
		}
		if (v->err.class == FF_E_GONE && deletes(m)) {
			v->meaning = FF_M_LOOK;
			break;
		}
		/* fall through */
	default:
		v->meaning = FF_M_FAILED;
	}
	if (v->meaning == FF_M_FAILED && m->step == GCP_START) {
		char text[sizeof(v->err.text)];

		memcpy(text, v->err.text, sizeof(text));
		gcp_failed(v, v->err.class, "its disk is home, but it cannot be started: %.900s", text);
	}
}

/* ---------------------------------------------------------------- operations */

/* An Operation, after act or poll. `path` is where it is polled when the answer does not say it. */
static void read_operation(
	const struct ff_member *m, int64_t wall_ms, const json_t *operation, bool from_poll, struct ff_verdict *v)
{
	ff_auto_free char *path = gcp_path(ff_json_str(operation, "selfLink"));
	const char *status = ff_json_str(operation, "status");
	int64_t since = from_poll ? ff_json_int(m->facts, "op/since", wall_ms) : wall_ms;

	if (status == NULL || (!from_poll && path == NULL && !ff_streq(status, "DONE"))) {
		ff_fail(&v->err, FF_E_BUG, "the answer is no operation");
		v->meaning = FF_M_LOOK;
		return;
	}
	if (ff_streq(status, "DONE")) {
		if (gcp_operation_error(operation, &v->err) != FF_E_NONE)
			refused(m, wall_ms, gcp_operation_busy(operation, in_use_passes(m)), v);
		else
			gcp_done(m, v);
		return;
	}
	if (from_poll) {
		int64_t pause = (wall_ms - since) / 8;

		gcp_wait(v, pause < PAUSE_MIN_MS   ? PAUSE_MIN_MS
			    : pause > PAUSE_MAX_MS ? PAUSE_MAX_MS
						   : (unsigned)pause);
		return;
	}
	v->meaning = FF_M_STARTED;
	v->wait_ms = AT_ONCE_MS; /* the server holds the wait */
	gcp_forget(m, v, "see"); /* what was seen before the act proves nothing after it */
	ff_json_set_new(gcp_patch(v), "op",
		json_pack(
			"{s:s, s:s, s:I}", "of", ff_gcp.steps[m->step].name, "path", path, "since", (json_int_t)since));
	note_place(m, v, false);
}

void gcp_acted(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *body = NULL;
	enum ff_class class;

	(void)cloud, (void)n; /* no row of this table gathers: Compute moves one disk, stops one VM a call */
	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &body, &v->err);
	if (class == FF_E_NONE) {
		read_operation(m, wall_ms, body, false, v);
	} else if (answer->transport != FF_T_OK || class == FF_E_BUG || answer->status == 408 ||
		   answer->status >= 500) {
		v->meaning = FF_M_LOOK; /* the effect is unknown */
		note_place(m, v, false);
	} else {
		refused(m, wall_ms, gcp_answer_busy(answer, in_use_passes(m)), v);
	}
}

int gcp_poll(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *path = gcp_path(ff_json_str(m->facts, "op/path"));
	ff_auto_free char *zone = path ? gcp_segment(path, "zones") : NULL;

	(void)n;
	if (path == NULL)
		return ff_fail(err, FF_E_BUG, "no operation is recorded");
	if (zone == NULL) {
		gcp_ask(cloud, ask, GCP_OPERATION, "GET", path, "");
		return 0;
	}
	gcp_ask(cloud, ask, GCP_OPERATION, "POST", path, "/wait");
	ask->timeout_ms = WAIT_TIMEOUT_MS;
	ask->held = true;
	return 0;
}

void gcp_polled(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *body = NULL;
	enum ff_class class;

	(void)cloud, (void)n;
	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &body, &v->err);
	if (class == FF_E_NONE) {
		read_operation(m, wall_ms, body, true, v);
	} else if (class == FF_E_TRANSIENT || class == FF_E_THROTTLED || class == FF_E_BUG) {
		gcp_wait(v, AGAIN_MS); /* nonsense on the way is no end of the operation */
	} else {
		/* the operation cannot be read (gone after two weeks, no permission): the resource itself tells */
		gcp_forget(m, v, "op");
		v->meaning = FF_M_LOOK;
	}
}

/* ---------------------------------------------------------------- what may still be under way */

/* The disk was on its way when the VM turned home. */
static bool on_its_way(const struct ff_member *m)
{
	const char *at = ff_json_str(m->facts, "at");

	return ff_streq(at, "arriving") || ff_streq(at, "leaving");
}

/*
 * A stop that is not over may end after the start found the VM running, and it would stand still then; a claim may come
 * after its release, and the disk of a rollback after the one of before was put back. Of a snapshot that does not get
 * done no start needs to know.
 */
static bool may_be_pending(const struct ff_member *m)
{
	static const int behind[][2] = {{GCP_START, GCP_STOP}, {GCP_RELEASE, GCP_CLAIM},
		{GCP_RELEASE_DISK, GCP_CLAIM_DISK}, {GCP_TAKE_NEW_OUT, GCP_PUT_IN}};
	const char *of = ff_json_str(m->facts, "op/of");

	for (size_t i = 0; i < FF_COUNT(behind); i++)
		if (m->step == behind[i][0] && ff_streq(of, ff_gcp.steps[behind[i][1]].name))
			return true;
	return on_its_way(m);
}

bool gcp_pending_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask)
{
	ff_auto_free char *path = may_be_pending(m) ? gcp_path(ff_json_str(m->facts, "op/path")) : NULL;

	if (path == NULL)
		return false;
	gcp_ask(cloud, ask, GCP_OPERATION, "GET", path, "");
	return true;
}

bool gcp_pending_looked(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *operation = NULL;
	bool arriving = ff_streq(ff_json_str(m->facts, "at"), "arriving");
	enum ff_class class;

	if (!may_be_pending(m) || ff_json_str(m->facts, "op/path") == NULL)
		return false;
	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &operation, &v->err);
	if (class == FF_E_TRANSIENT || class == FF_E_THROTTLED || class == FF_E_BUG ||
		(class == FF_E_NONE && !ff_streq(ff_json_str(operation, "status"), "DONE"))) {
		gcp_wait(v, AGAIN_MS);
		return true;
	}
	gcp_forget(m, v, "op");
	if (on_its_way(m) && class == FF_E_NONE && gcp_operation_error(operation, &v->err) == FF_E_NONE)
		ff_json_set_str(gcp_patch(v), "at", arriving ? "rescue" : "loose");
	v->err = (struct ff_err){0};
	gcp_wait(v, AT_ONCE_MS);
	return true;
}

bool gcp_unheard(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	int64_t since = ff_json_int(m->facts, "unsure", INT64_MAX);

	if (since > wall_ms) { /* never, or the clock was put back */
		ff_json_set_int(gcp_patch(v), "unsure", wall_ms);
		since = wall_ms;
	}
	if (wall_ms - since >= UNSURE_MS)
		return false;
	gcp_wait(v, AGAIN_MS);
	return true;
}

bool gcp_unsure(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v)
{
	return on_its_way(m) && gcp_unheard(m, wall_ms, v);
}
