/* AWS's part of a scenario: README.md is its description. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static int read_latencies(struct sim *sim, struct aws *aws, const json_t *part, struct ff_err *err)
{
	/* what people report; AWS publishes no figures. Status checks begin as "initializing" for some minutes */
	static const struct {
		const char *name;
		int64_t usual;
	} known[AW_L_COUNT] = {
		[AW_L_STOP] = {"stop", 30000},
		[AW_L_FORCE] = {"force_stop", 10000},
		[AW_L_START] = {"start", 15000},
		[AW_L_ATTACH] = {"attach", 4000},
		[AW_L_DETACH] = {"detach", 6000},
		[AW_L_SNAPSHOT] = {"snapshot", 60000},
		[AW_L_CREATE] = {"create", 3000},
		[AW_L_STANDBY] = {"standby", 5000},
		[AW_L_REPLACE] = {"replace", 60000},
		[AW_L_BOOT] = {"boot", 120000},
	};
	const char *names[AW_L_COUNT + 1] = {0};
	const json_t *o;

	for (int i = 0; i < AW_L_COUNT; i++)
		names[i] = known[i].name;
	if (sim_object(part, "aws", "latency_ms", &o, err) < 0 ||
		(o != NULL && sim_only(o, "aws.latency_ms", names, err) < 0))
		return -1;
	for (int i = 0; i < AW_L_COUNT; i++) {
		int64_t ms = known[i].usual;

		if (sim_int(o, "aws.latency_ms", names[i], 0, 86400000, &ms, err) < 0)
			return -1;
		aws->latency[i] = sim_scaled(sim, ms);
	}
	return 0;
}

static int read_lags(struct sim *sim, struct aws *aws, const json_t *part, struct ff_err *err)
{
	static const char *const names[] = {"instances", "status", "volumes", "snapshots", "tags", NULL};
	static const int64_t usual[AW_LAG_COUNT] = {2000, 5000, 500, 1000, 1000};
	int64_t link = 1000;
	const json_t *o;

	if (sim_object(part, "aws", "lag_ms", &o, err) < 0 ||
		(o != NULL && sim_only(o, "aws.lag_ms", names, err) < 0) ||
		sim_int(part, "aws", "link_delay_ms", 0, 3600000, &link, err) < 0)
		return -1;
	for (int i = 0; i < AW_LAG_COUNT; i++) {
		int64_t ms = usual[i];

		if (sim_int(o, "aws.lag_ms", names[i], 0, AW_LAG_MAX_MS, &ms, err) < 0)
			return -1;
		aws->lag[i] = sim_scaled(sim, ms);
	}
	aws->link_delay_ms = sim_scaled(sim, link);
	return 0;
}

static bool is_bucket(const char *name)
{
	for (size_t i = 0; i < aw_action_count; i++) {
		const struct aw_action *a = &aw_actions[i];
		size_t len = strlen(a->name);

		if (a->budget == AW_NO_BUDGET || strncmp(name, a->name, len) != 0)
			continue;
		if (name[len] == '\0' || (a->budget == AW_READS && ff_streq(name + len, ".unfiltered")) ||
			(a->id_capacity > 0 && ff_streq(name + len, ".resources")))
			return true;
	}
	return false;
}

static int read_buckets(struct aws *aws, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"capacity", "refill_per_s", NULL};
	const json_t *o;
	const char *key;
	json_t *b;

	if (sim_object(part, "aws", "buckets", &o, err) < 0)
		return -1;
	json_object_foreach ((json_t *)o, key, b) {
		if (!is_bucket(key))
			return ff_fail(err, FF_E_USAGE, "aws.buckets: unknown member '%s'", key);
		if (sim_only(b, "aws.buckets", members, err) < 0)
			return -1;
		if (!(json_number_value(json_object_get(b, "capacity")) >= 1) ||
			!(json_number_value(json_object_get(b, "refill_per_s")) > 0))
			return ff_fail(err, FF_E_USAGE,
				"aws.buckets: '%s' needs numbers 'capacity' >= 1 and 'refill_per_s' > 0", key);
	}
	aws->buckets = o != NULL ? json_deep_copy(o) : json_object();
	return 0;
}

static int read_deny(struct aws *aws, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"action", "resource", NULL};
	const char *action = "*", *resource = "*";

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "action", &action, err) < 0 ||
		sim_text(o, where, "resource", &resource, err) < 0)
		return -1;
	aws->deny = ff_realloc(aws->deny, aws->deny_count + 1, sizeof(*aws->deny));
	aws->deny[aws->deny_count++] = (struct aw_deny){ff_strdup(action), ff_strdup(resource)};
	return 0;
}

static int read_group(struct aws *aws, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "min", NULL};
	const char *name = NULL;
	int64_t min = 0;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_int(o, where, "min", 0, 100000, &min, err) < 0)
		return -1;
	if (name == NULL || aw_group(aws, name) != NULL)
		return ff_fail(err, FF_E_USAGE, "%s: 'name' is missing or given twice", where);
	aws->groups = ff_realloc(aws->groups, aws->group_count + 1, sizeof(*aws->groups));
	aws->groups[aws->group_count++] = (struct aw_group){.name = ff_strdup(name), .min = min};
	return 0;
}

static int read_identity(struct aws *aws, const json_t *part, struct ff_err *err)
{
	const char *region = SIM_AWS_REGION, *account = AW_ACCOUNT, *key = SIM_AWS_KEY, *secret = SIM_AWS_SECRET,
		   *role = "fixfleet";
	const char *external = NULL, *token = NULL, *imds = NULL;
	int64_t skew = 0;

	aws->session_s = 3600;
	aws->page_size = 1000;
	if (sim_text(part, "aws", "region", &region, err) < 0 || sim_text(part, "aws", "account", &account, err) < 0 ||
		sim_text(part, "aws", "access_key_id", &key, err) < 0 ||
		sim_text(part, "aws", "secret_access_key", &secret, err) < 0 ||
		sim_text(part, "aws", "role", &role, err) < 0 ||
		sim_text(part, "aws", "external_id", &external, err) < 0 ||
		sim_text(part, "aws", "web_identity_token", &token, err) < 0 ||
		sim_text(part, "aws", "imds_vm", &imds, err) < 0 ||
		sim_bool(part, "aws", "imds_v1", &aws->imds_v1, err) < 0 ||
		sim_int(part, "aws", "session_seconds", 1, 43200, &aws->session_s, err) < 0 ||
		sim_int(part, "aws", "clock_skew_s", -86400, 86400, &skew, err) < 0 ||
		sim_int(part, "aws", "page_size", 1, 1000, &aws->page_size, err) < 0)
		return -1;
	if (strlen(account) != 12 || strspn(account, "0123456789") != 12)
		return ff_fail(err, FF_E_USAGE, "aws: 'account' is not 12 digits");
	aws->skew_ms = skew * 1000;
	aws->region = ff_strdup(region);
	aws->account = ff_strdup(account);
	aws->key = ff_strdup(key);
	aws->secret = ff_strdup(secret);
	aws->role = ff_strdup(role);
	aws->external_id = ff_strdup(external);
	aws->web_token = ff_strdup(token);
	aws->imds_vm = ff_strdup(imds);
	return 0;
}

/* Groups come before the machines that are in them. */
static int read_lists(struct sim *sim, struct aws *aws, const json_t *part, struct ff_err *err)
{
	static const char *const names[] = {"groups", "deny", "vms", "volumes", "snapshots"};

	for (size_t k = 0; k < FF_COUNT(names); k++) {
		const json_t *list;
		size_t i;
		json_t *o;

		if (sim_array(part, "aws", names[k], &list, err) < 0)
			return -1;
		json_array_foreach (list, i, o) {
			ff_auto_free char *where = ff_printf("aws.%s[%zu]", names[k], i);

			if ((k == 0 && read_group(aws, o, where, err) < 0) ||
				(k == 1 && read_deny(aws, o, where, err) < 0) ||
				(k == 2 && aw_read_vm(sim, aws, o, where, err) < 0) ||
				(k == 3 && aw_read_volume(sim, aws, o, where, err) < 0) ||
				(k == 4 && aw_read_snap(sim, aws, o, where, err) < 0))
				return -1;
		}
	}
	return 0;
}

struct aws *aw_scenario(struct sim *sim, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"region", "account", "access_key_id", "secret_access_key", "role",
		"external_id", "web_identity_token", "session_seconds", "clock_skew_s", "imds_vm", "imds_v1",
		"page_size", "groups", "vms", "volumes", "snapshots", "latency_ms", "lag_ms", "link_delay_ms",
		"buckets", "deny", "secrets", "keys", NULL};
	struct aws *aws = ff_calloc(1, sizeof(*aws));

	aws->index = json_object();
	aws->secrets = json_deep_copy(json_object_get(part, "secrets"));
	aws->keys = json_deep_copy(json_object_get(part, "keys"));
	if (sim_only(part, "aws", members, err) < 0 || read_identity(aws, part, err) < 0 ||
		read_latencies(sim, aws, part, err) < 0 || read_lags(sim, aws, part, err) < 0 ||
		read_buckets(aws, part, err) < 0 || read_lists(sim, aws, part, err) < 0) {
		aw_free(aws);
		return NULL;
	}
	return aws;
}

/* ---- the end */

static void free_vm(struct aw_vm *vm)
{
	free(vm->id);
	free(vm->name);
	free(vm->zone);
	free(vm->asg);
	free(vm->root_device);
	free(vm->known);
	aw_past_free(&vm->power);
	aw_past_free(&vm->tags);
	ff_strv_free(&vm->stuck);
	free(vm);
}

static void free_vol(struct aw_vol *vol)
{
	free(vol->id);
	free(vol->zone);
	free(vol->type);
	free(vol->kms_key);
	free(vol->snapshot);
	free(vol->client_token);
	free(vol->image);
	aw_past_free(&vol->held);
	aw_past_free(&vol->tags);
	free(vol);
}

static void free_snap(struct aw_snap *s)
{
	free(s->id);
	free(s->volume);
	free(s->description);
	free(s->run);
	free(s->image);
	aw_past_free(&s->tags);
	free(s);
}

static void free_identity(struct aws *aws)
{
	for (size_t i = 0; i < aws->session_count; i++) {
		free(aws->sessions[i].token);
		free(aws->sessions[i].arn);
		free(aws->sessions[i].user_id);
	}
	free(aws->sessions);
	for (size_t i = 0; i < aws->deny_count; i++) {
		free(aws->deny[i].action);
		free(aws->deny[i].resource);
	}
	free(aws->deny);
	ff_strv_free(&aws->imds_tokens);
	free(aws->imds_until);
	free(aws->region);
	free(aws->account);
	free(aws->key);
	free(aws->secret);
	free(aws->role);
	free(aws->external_id);
	free(aws->web_token);
	free(aws->imds_vm);
}

void aw_free(struct aws *aws)
{
	for (size_t i = 0; i < aws->vm_count; i++)
		free_vm(aws->vms[i]);
	for (size_t i = 0; i < aws->vol_count; i++)
		free_vol(aws->vols[i]);
	for (size_t i = 0; i < aws->snap_count; i++)
		free_snap(aws->snaps[i]);
	for (size_t i = 0; i < aws->group_count; i++)
		free(aws->groups[i].name);
	free(aws->vms);
	free(aws->vols);
	free(aws->snaps);
	free(aws->groups);
	free_identity(aws);
	json_decref(aws->buckets);
	json_decref(aws->index);
	json_decref(aws->secrets);
	json_decref(aws->keys);
	free(aws);
}
