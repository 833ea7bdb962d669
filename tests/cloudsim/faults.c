/* Fault rules: which request something happens to, and what. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static int read_match(const json_t *rule, const char *where, struct sim_fault *f, struct ff_err *err)
{
	static const char *const members[] = {"method", "path", "body", "nth", "from", "every", "times", NULL};
	const json_t *match = json_object_get(rule, "match");
	const char *method = NULL, *path = NULL, *body = NULL;

	if (sim_only(match, where, members, err) < 0 || sim_text(match, where, "method", &method, err) < 0 ||
		sim_text(match, where, "path", &path, err) < 0 || sim_text(match, where, "body", &body, err) < 0 ||
		sim_int(match, where, "nth", 1, INT32_MAX, &f->nth, err) < 0 ||
		sim_int(match, where, "from", 1, INT32_MAX, &f->from, err) < 0 ||
		sim_int(match, where, "every", 1, INT32_MAX, &f->every, err) < 0 ||
		sim_int(match, where, "times", 1, INT32_MAX, &f->times, err) < 0)
		return -1;
	f->method = ff_strdup(method);
	f->path = ff_strdup(path);
	f->body = ff_strdup(body);
	return 0;
}

static int read_failing(const json_t *answer, const char *where, struct sim_fault *f, struct ff_err *err)
{
	static const char *const members[] = {"code", "message", "status", NULL};
	const json_t *fails = json_object_get(answer, "operation_fails");
	const char *code = "InternalExecutionError", *message = "An internal execution error occurred.";
	int64_t status = 409;

	if (sim_only(fails, where, members, err) < 0 || sim_text(fails, where, "code", &code, err) < 0 ||
		sim_text(fails, where, "message", &message, err) < 0 ||
		sim_int(fails, where, "status", 400, 599, &status, err) < 0)
		return -1;
	f->kind = SIM_F_OP_FAILS;
	f->status = (int)status;
	f->code = ff_strdup(code);
	f->message = ff_strdup(message);
	return 0;
}

static int read_status(const json_t *answer, const char *where, struct sim_fault *f, struct ff_err *err)
{
	const char *code = NULL, *message = NULL;
	int64_t status = 0;

	if (sim_int(answer, where, "status", 400, 599, &status, err) < 0 ||
		sim_int(answer, where, "retry_after_s", 0, 86400, &f->retry_after_s, err) < 0 ||
		sim_text(answer, where, "code", &code, err) < 0 ||
		sim_text(answer, where, "message", &message, err) < 0)
		return -1;
	f->kind = SIM_F_STATUS;
	f->status = (int)status;
	f->code = ff_strdup(code);
	f->message = ff_strdup(message);
	return 0;
}

static int read_answer(const json_t *rule, const char *where, struct sim_fault *f, struct ff_err *err)
{
	static const char *const members[] = {"status", "retry_after_s", "code", "message", "reset", "hang_ms",
		"truncate", "operation_fails", "operation_hangs", "operation_late_ms", NULL};
	static const char *const when[] = {"before", "after", NULL};
	const json_t *a = json_object_get(rule, "answer");
	bool truncate = false, hangs = false;
	int64_t late_ms = 0;
	int reset = -1;

	if (sim_only(a, where, members, err) < 0 || sim_word(a, where, "reset", when, &reset, err) < 0 ||
		sim_int(a, where, "hang_ms", 1, 86400000, &f->hang_ms, err) < 0 ||
		sim_bool(a, where, "truncate", &truncate, err) < 0 ||
		sim_int(a, where, "operation_late_ms", 1, 86400000, &late_ms, err) < 0 ||
		sim_bool(a, where, "operation_hangs", &hangs, err) < 0)
		return -1;
	if ((json_object_get(a, "status") != NULL) + (reset >= 0) + (f->hang_ms > 0) + truncate + hangs +
			(late_ms > 0) + (json_object_get(a, "operation_fails") != NULL) !=
		1)
		return ff_fail(err, FF_E_USAGE,
			"%s: needs exactly one of status, reset, hang_ms, truncate, operation_fails, "
			"operation_hangs, operation_late_ms",
			where);
	if (json_object_get(a, "operation_fails") != NULL)
		return read_failing(a, where, f, err);
	if (json_object_get(a, "status") != NULL)
		return read_status(a, where, f, err);
	f->kind = reset == 0	   ? SIM_F_RESET_BEFORE
		  : reset == 1	   ? SIM_F_RESET_AFTER
		  : truncate	   ? SIM_F_TRUNCATE
		  : f->hang_ms > 0 ? SIM_F_HANG
		  : late_ms > 0	   ? SIM_F_OP_LATE
				   : SIM_F_OP_HANGS;
	if (late_ms > 0)
		f->hang_ms = late_ms;
	return 0;
}

int sim_faults_read(struct sim *sim, const json_t *faults, struct ff_err *err)
{
	static const char *const members[] = {"match", "answer", NULL};
	size_t i;
	json_t *rule;

	sim->faults = ff_calloc(json_array_size(faults) + 1, sizeof(*sim->faults));
	json_array_foreach (faults, i, rule) {
		struct sim_fault *f = &sim->faults[sim->fault_count++];
		ff_auto_free char *where = ff_printf("faults[%zu]", i);

		f->retry_after_s = -1;
		if (sim_only(rule, where, members, err) < 0 || read_match(rule, where, f, err) < 0 ||
			read_answer(rule, where, f, err) < 0)
			return -1;
	}
	return 0;
}

static bool fits(const struct sim_fault *f, const struct sim_request *r)
{
	ff_auto_free char *path = ff_strndup(r->target, strcspn(r->target, "?"));
	ff_auto_free char *body = ff_strndup(r->body != NULL ? r->body : "", r->body_len);

	return (f->method == NULL || ff_strcaseeq(f->method, r->method)) &&
	       (f->path == NULL || ff_glob(f->path, path)) && (f->body == NULL || ff_glob(f->body, body));
}

/* Is it this rule's turn? `seen` counts the requests that fit, the present one included. */
static bool its_turn(const struct sim_fault *f)
{
	if (f->times > 0 && f->done >= f->times)
		return false;
	if (f->nth > 0)
		return f->seen == f->nth;
	if (f->from > 0 && f->seen < f->from)
		return false;
	return f->every == 0 || f->seen % f->every == 0;
}

const struct sim_fault *sim_fault_match(struct sim *sim, const struct sim_request *request)
{
	struct sim_fault *struck = NULL;

	for (size_t i = 0; i < sim->fault_count; i++) {
		struct sim_fault *f = &sim->faults[i];

		if (!fits(f, request))
			continue;
		f->seen++;
		if (struck == NULL && its_turn(f))
			struck = f;
	}
	if (struck != NULL)
		struck->done++;
	return struck;
}

void sim_faults_free(struct sim *sim)
{
	for (size_t i = 0; i < sim->fault_count; i++) {
		struct sim_fault *f = &sim->faults[i];

		free(f->method);
		free(f->path);
		free(f->body);
		free(f->code);
		free(f->message);
	}
	free(sim->faults);
}
