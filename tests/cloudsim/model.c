#include "model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

#define VIOLATIONS_MAX 200

/* splitmix64: small, good enough for names and jitter, the same everywhere. */
uint64_t sim_random(struct sim *sim)
{
	uint64_t z = (sim->random += 0x9E3779B97F4A7C15u);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

void sim_uuid(struct sim *sim, char out[SIM_UUID_BYTES])
{
	uint64_t a = sim_random(sim), b = sim_random(sim);

	snprintf(out, SIM_UUID_BYTES, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16) & 0xFFFF,
		(unsigned)a & 0xFFF, 0x8000 | ((unsigned)(b >> 48) & 0x3FFF), (unsigned long long)(b & 0xFFFFFFFFFFFF));
}

int64_t sim_scaled(const struct sim *sim, int64_t ms)
{
	return (int64_t)((double)ms / sim->scale);
}

int64_t sim_scaled_s(const struct sim *sim, int64_t seconds)
{
	int64_t s = (int64_t)((double)seconds / sim->scale + 0.5);

	return seconds <= 0 ? 0 : s < 1 ? 1 : s;
}

void sim_violation(struct sim *sim, const char *fmt, ...)
{
	char when[SIM_TIME_BYTES];
	ff_auto_free char *text = NULL, *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	line = ff_printf("%s %s", sim_time(sim->now_ms, when), text);
	if (json_array_size(sim->violations) < VIOLATIONS_MAX)
		json_array_append_new(sim->violations, json_string(line));
}

void sim_count_request(struct sim *sim, const char *kind)
{
	ff_json_set_int(sim->requests, kind, ff_json_int(sim->requests, kind, 0) + 1);
}

void sim_effect(struct sim *sim, int64_t delay_ms, enum sim_effect_kind kind, const char *from, const char *image,
	const char *vm, int lun)
{
	struct sim_timed_effect *e;

	sim->effects = ff_realloc(sim->effects, sim->effect_count + 1, sizeof(*sim->effects));
	e = &sim->effects[sim->effect_count++];
	e->due_ms = sim->now_ms + delay_ms;
	e->effect = (struct sim_effect){kind, ff_strdup(from), ff_strdup(image), ff_strdup(vm), lun, NULL};
}

void sim_effect_link(struct sim *sim, int64_t delay_ms, enum sim_effect_kind kind, const char *image, const char *vm,
	const char *link)
{
	sim_effect(sim, delay_ms, kind, NULL, image, vm, -1);
	sim->effects[sim->effect_count - 1].effect.link = ff_strdup(link);
}

struct sim_effect *sim_take_effects(struct sim *sim, size_t *count)
{
	struct sim_effect *due = NULL;
	size_t kept = 0;

	*count = 0;
	for (size_t i = 0; i < sim->effect_count; i++) {
		if (sim->effects[i].due_ms > sim->now_ms) {
			sim->effects[kept++] = sim->effects[i];
			continue;
		}
		due = ff_realloc(due, *count + 1, sizeof(*due));
		due[(*count)++] = sim->effects[i].effect;
	}
	sim->effect_count = kept;
	return due;
}

void sim_effects_free(struct sim_effect *effects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(effects[i].from);
		free(effects[i].image);
		free(effects[i].vm);
		free(effects[i].link);
	}
	free(effects);
}

/* ---- index */

static char *lower(const char *key)
{
	char *text = ff_strdup(key);

	for (char *p = text; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return text;
}

void sim_index_put(json_t *index, const char *key, size_t number)
{
	ff_auto_free char *k = lower(key);

	json_object_set_new_nocheck(index, k, json_integer((json_int_t)number));
}

void sim_index_drop(json_t *index, const char *key)
{
	ff_auto_free char *k = lower(key);

	json_object_del(index, k);
}

bool sim_index_get(const json_t *index, const char *key, size_t *number)
{
	ff_auto_free char *k = key != NULL ? lower(key) : NULL;
	const json_t *found = k != NULL ? json_object_get(index, k) : NULL;

	if (found == NULL)
		return false;
	*number = (size_t)json_integer_value(found);
	return true;
}

const char *sim_time(int64_t ms, char out[SIM_TIME_BYTES])
{
	char text[FF_TIME_BYTES];

	ff_time_format(ms, 1, text); /* 2024-07-19T06:01:00.123Z */
	snprintf(out, SIM_TIME_BYTES, "%.23s0000+00:00", text);
	return out;
}

/* ---- making and ending */

static const struct sim_cloud *const clouds[] = {&sim_azure, &sim_aws, &sim_gcp};

static int read_head(struct sim *sim, const json_t *scenario, struct ff_err *err)
{
	static const char *const members[] = {"seed", "time_scale", "azure", "aws", "gcp", "faults", NULL};
	int64_t seed = 1;
	const json_t *scale, *faults;

	if (sim_only(scenario, "scenario", members, err) < 0 ||
		sim_int(scenario, "scenario", "seed", 0, INT64_MAX, &seed, err) < 0 ||
		sim_array(scenario, "scenario", "faults", &faults, err) < 0)
		return -1;
	sim->random = (uint64_t)seed;
	sim->scale = 1;
	scale = json_object_get(scenario, "time_scale");
	if (scale != NULL) {
		sim->scale = json_number_value(scale);
		if (!json_is_number(scale) || !(sim->scale >= 0.001 && sim->scale <= 1e6))
			return ff_fail(err, FF_E_USAGE, "scenario: 'time_scale' is not a number from 0.001 to 1000000");
	}
	return sim_faults_read(sim, faults, err);
}

static int open_clouds(struct sim *sim, const json_t *scenario, struct ff_err *err)
{
	for (size_t i = 0; i < FF_COUNT(clouds); i++) {
		const json_t *part = json_object_get(scenario, clouds[i]->name);
		void *self = json_is_object(part) ? clouds[i]->open(sim, part, err) : NULL;

		if (part == NULL)
			continue;
		if (!json_is_object(part))
			return ff_fail(err, FF_E_USAGE, "scenario: no object '%s'", clouds[i]->name);
		if (self == NULL)
			return -1;
		sim->parts[sim->part_count++] = (struct sim_part){clouds[i], self};
	}
	return sim->part_count > 0 ? 0 : ff_fail(err, FF_E_USAGE, "scenario: no object 'azure' or of another cloud");
}

struct sim *sim_new(const json_t *scenario, int64_t now_ms, const struct sim_hooks *hooks, struct ff_err *err)
{
	struct sim *sim = ff_calloc(1, sizeof(*sim));

	sim->now_ms = sim->began_ms = now_ms;
	if (hooks != NULL)
		sim->hooks = *hooks;
	sim->op_index = json_object();
	sim->bucket_index = json_object();
	sim->requests = json_object();
	sim->violations = json_array();
	if (read_head(sim, scenario, err) == 0 && open_clouds(sim, scenario, err) == 0)
		return sim;
	sim_free(sim);
	return NULL;
}

void sim_free(struct sim *sim)
{
	if (sim == NULL)
		return;
	sim_ops_free(sim);
	for (size_t i = 0; i < sim->part_count; i++)
		sim->parts[i].cloud->close(sim->parts[i].self);
	sim_faults_free(sim);
	sim_buckets_free(sim);
	for (size_t i = 0; i < sim->effect_count; i++) {
		free(sim->effects[i].effect.from);
		free(sim->effects[i].effect.image);
		free(sim->effects[i].effect.vm);
		free(sim->effects[i].effect.link);
	}
	free(sim->effects);
	json_decref(sim->op_index);
	json_decref(sim->bucket_index);
	json_decref(sim->requests);
	json_decref(sim->violations);
	free(sim);
}

void sim_answer_release(struct sim_answer *answer)
{
	ff_headers_free(&answer->headers);
	free(answer->body);
	*answer = (struct sim_answer){0};
}

/* What becomes of an answer on its way. */
static void spoil(const struct sim_fault *fault, struct sim_answer *answer)
{
	if (fault->kind == SIM_F_RESET_AFTER)
		answer->end = SIM_RESET;
	else if (fault->kind == SIM_F_HANG)
		answer->hold_ms = fault->hang_ms;
	else if (fault->kind == SIM_F_TRUNCATE)
		answer->end = answer->body_len > 0 ? SIM_TRUNCATED : SIM_RESET;
}

const struct sim_part *sim_part_of(const struct sim *sim, const struct sim_request *request)
{
	const struct sim_part *rest = &sim->parts[0];

	for (size_t i = 0; i < sim->part_count; i++) {
		if (sim->parts[i].cloud->serves == NULL)
			rest = &sim->parts[i];
		else if (sim->parts[i].cloud->serves(request))
			return &sim->parts[i];
	}
	return rest;
}

void sim_answer(struct sim *sim, int64_t now_ms, const struct sim_request *request, struct sim_answer *answer)
{
	const struct sim_part *part = sim_part_of(sim, request);
	const struct sim_fault *fault;

	*answer = (struct sim_answer){0};
	sim_advance(sim, now_ms);
	sim_note_request(sim, request);
	fault = sim_fault_match(sim, request);
	if (fault != NULL && fault->kind == SIM_F_RESET_BEFORE) {
		answer->end = SIM_RESET;
		return;
	}
	if (fault != NULL && fault->kind == SIM_F_STATUS) {
		if (fault->retry_after_s > 0)
			sim_note_refusal(sim, request, fault->retry_after_s * 1000);
		part->cloud->refuse(part->self, fault, answer);
		return;
	}
	sim->op_fault = fault;
	part->cloud->answer(sim, part->self, request, answer);
	sim->op_fault = NULL;
	if (fault != NULL)
		spoil(fault, answer);
}

void sim_answer_leaves(struct sim *sim, int64_t now_ms, const struct sim_request *request, struct sim_answer *answer)
{
	const struct sim_part *part = sim_part_of(sim, request);

	sim_advance(sim, now_ms);
	if (part->cloud->leave != NULL && answer->end == SIM_ANSWERED)
		part->cloud->leave(sim, part->self, request, answer);
}

json_t *sim_state(const struct sim *sim)
{
	char when[SIM_TIME_BYTES];
	json_t *state = json_object();

	ff_json_set_str(state, "now", sim_time(sim->now_ms, when));
	for (size_t i = 0; i < sim->part_count; i++)
		ff_json_set_new(state, sim->parts[i].cloud->name, sim->parts[i].cloud->state(sim, sim->parts[i].self));
	ff_json_set_new(state, "operations", sim_ops_state(sim));
	ff_json_set_new(state, "requests", json_deep_copy(sim->requests));
	ff_json_set_new(state, "violations", json_deep_copy(sim->violations));
	return state;
}

int sim_human(struct sim *sim, int64_t now_ms, const json_t *act, struct ff_err *err)
{
	ff_auto_json json_t *rest = json_is_object(act) ? json_copy((json_t *)act) : json_null();
	const char *cloud = ff_json_str(act, "cloud");
	int rc = ff_fail(err, FF_E_USAGE, "human: no cloud '%s'", cloud != NULL ? cloud : "");

	sim_advance(sim, now_ms);
	json_object_del(rest, "cloud");
	for (size_t i = 0; i < sim->part_count && rc < 0; i++)
		if (cloud == NULL || ff_streq(cloud, sim->parts[i].cloud->name))
			rc = sim->parts[i].cloud->human(sim, sim->parts[i].self, rest, err);
	return rc;
}

int sim_set_bad(struct sim *sim, const char *disk_name, bool bad)
{
	int rc = -1;

	for (size_t i = 0; i < sim->part_count && rc < 0; i++)
		rc = sim->parts[i].cloud->set_bad(sim->parts[i].self, disk_name, bad);
	return rc;
}
