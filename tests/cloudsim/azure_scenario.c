/* Azure's part of a scenario: README.md is its description. */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

void az_set(char **text, const char *value)
{
	char *copy = ff_strdup(value);

	free(*text);
	*text = copy;
}

char *az_id(const struct azure *az, const char *group, const char *type, const char *name)
{
	return ff_printf("/subscriptions/%s/resourceGroups/%s/providers/%s/%s", az->subscription, group, type, name);
}

struct az_vm *az_find_vm(const struct azure *az, const char *id)
{
	size_t i;

	return sim_index_get(az->vm_index, id, &i) ? az->vms[i] : NULL;
}

struct az_vm *az_vm_named(const struct azure *az, const char *name)
{
	for (size_t i = 0; i < az->vm_count; i++)
		if (ff_strcaseeq(az->vms[i]->name, name))
			return az->vms[i];
	return NULL;
}

struct az_disk *az_find_disk(const struct azure *az, const char *id)
{
	size_t i;

	return sim_index_get(az->disk_index, id, &i) ? az->disks[i] : NULL;
}

struct az_disk *az_new_disk(
	struct sim *sim, struct azure *az, bool snapshot, const char *group, const char *name, const char *location)
{
	struct az_disk *d = ff_calloc(1, sizeof(*d));

	d->az = az;
	d->id = az_id(az, group, snapshot ? "Microsoft.Compute/snapshots" : "Microsoft.Compute/disks", name);
	d->name = ff_strdup(name);
	d->group = ff_strdup(group);
	d->location = ff_strdup(location);
	d->sku = ff_strdup("Premium_LRS");
	d->network_policy = ff_strdup("AllowAll");
	d->create_option = ff_strdup("FromImage");
	d->family = ff_strdup(d->id);
	d->snapshot = snapshot;
	d->created_ms = sim->now_ms;
	d->tags = json_object();
	sim_uuid(sim, d->unique_id);
	az->disks = ff_realloc(az->disks, az->disk_count + 1, sizeof(*az->disks));
	sim_index_put(az->disk_index, d->id, az->disk_count);
	az->disks[az->disk_count++] = d;
	return d;
}

/* ---- locks, denials, numbers */

static int read_lock(struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"name", "level", "group", "vm", "disk", "notes", NULL};
	static const char *const levels[] = {"CanNotDelete", "ReadOnly", NULL};
	const char *name = "lock", *group = NULL, *vm = NULL, *disk = NULL, *notes = NULL;
	struct az_lock *l;
	int level = 0;

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "name", &name, err) < 0 ||
		sim_word(o, where, "level", levels, &level, err) < 0 || sim_text(o, where, "group", &group, err) < 0 ||
		sim_text(o, where, "vm", &vm, err) < 0 || sim_text(o, where, "disk", &disk, err) < 0 ||
		sim_text(o, where, "notes", &notes, err) < 0)
		return -1;
	if (group == NULL && (vm != NULL || disk != NULL))
		return ff_fail(err, FF_E_USAGE, "%s: 'vm' and 'disk' need 'group'", where);
	az->locks = ff_realloc(az->locks, az->lock_count + 1, sizeof(*az->locks));
	l = &az->locks[az->lock_count++];
	*l = (struct az_lock){.name = ff_strdup(name), .level = level, .notes = ff_strdup(notes)};
	l->scope = vm != NULL	   ? az_id(az, group, "Microsoft.Compute/virtualMachines", vm)
		   : disk != NULL  ? az_id(az, group, "Microsoft.Compute/disks", disk)
		   : group != NULL ? ff_printf("/subscriptions/%s/resourceGroups/%s", az->subscription, group)
				   : ff_printf("/subscriptions/%s", az->subscription);
	return 0;
}

static int read_deny(struct azure *az, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const members[] = {"action", "scope", NULL};
	const char *action = "*", *scope = "*";

	if (sim_only(o, where, members, err) < 0 || sim_text(o, where, "action", &action, err) < 0 ||
		sim_text(o, where, "scope", &scope, err) < 0)
		return -1;
	az->deny = ff_realloc(az->deny, az->deny_count + 1, sizeof(*az->deny));
	az->deny[az->deny_count++] = (struct az_deny){ff_strdup(action), ff_strdup(scope)};
	return 0;
}

static int read_latencies(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	/* what was recorded: medians, or what one recording shows */
	static const struct {
		const char *name;
		int64_t usual;
	} known[AZ_L_COUNT] = {
		[AZ_L_POWER_OFF] = {"powerOff", 6400},
		[AZ_L_START] = {"start", 8000},
		[AZ_L_DEALLOCATE] = {"deallocate", 25700},
		[AZ_L_RESTART] = {"restart", 10000},
		[AZ_L_VM_PUT] = {"vmPut", 9700},
		[AZ_L_VM_TAGS] = {"vmTags", 800},
		[AZ_L_ATTACH] = {"attach", 8000},
		[AZ_L_DISK_COPY] = {"diskCopy", 700},
		[AZ_L_DISK_UPDATE] = {"diskUpdate", 500},
		[AZ_L_DISK_DELETE] = {"diskDelete", 1000},
		[AZ_L_BOOT] = {"boot", 45000},
	};
	const char *names[AZ_L_COUNT + 1] = {0};
	const json_t *o;

	if (sim_object(part, "azure", "latency_ms", &o, err) < 0)
		return -1;
	for (int i = 0; i < AZ_L_COUNT; i++)
		names[i] = known[i].name;
	if (o != NULL && sim_only(o, "azure.latency_ms", names, err) < 0)
		return -1;
	for (int i = 0; i < AZ_L_COUNT; i++) {
		int64_t ms = known[i].usual;

		if (sim_int(o, "azure.latency_ms", names[i], 0, 86400000, &ms, err) < 0)
			return -1;
		az->latency[i] = sim_scaled(sim, ms);
	}
	return 0;
}

static int read_waits(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"vm", "disk", "poll", NULL};
	int64_t vm = 10, disk = 2, poll = 0, link = 500;
	const json_t *o;

	if (sim_object(part, "azure", "retry_after_s", &o, err) < 0 ||
		sim_int(part, "azure", "link_delay_ms", 0, 3600000, &link, err) < 0)
		return -1;
	if (o != NULL && (sim_only(o, "azure.retry_after_s", members, err) < 0 ||
				 sim_int(o, "azure.retry_after_s", "vm", 0, 3600, &vm, err) < 0 ||
				 sim_int(o, "azure.retry_after_s", "disk", 0, 3600, &disk, err) < 0 ||
				 sim_int(o, "azure.retry_after_s", "poll", 0, 3600, &poll, err) < 0))
		return -1;
	az->retry_vm_s = sim_scaled_s(sim, vm);
	az->retry_disk_s = sim_scaled_s(sim, disk);
	az->retry_poll_s = sim_scaled_s(sim, poll);
	az->link_delay_ms = sim_scaled(sim, link);
	return 0;
}

static int read_buckets(struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const names[] = {"vm.PutVM", "vm.UpdateVM", "vm.DeleteVM", "vm.LowCostGet",
		"vm.GetOperation", "subscription.PutVM", "subscription.UpdateVM", "subscription.DeleteVM",
		"subscription.LowCostGet", "subscription.HighCostGet", "subscription.GetOperation",
		"subscription.CreateUpdateDisks", "subscription.DeleteDisks", "subscription.reads",
		"subscription.writes", "subscription.deletes", NULL};
	static const char *const members[] = {"capacity", "refill_per_min", NULL};
	const json_t *o;
	const char *key;
	json_t *b;

	if (sim_object(part, "azure", "buckets", &o, err) < 0)
		return -1;
	if (o != NULL && sim_only(o, "azure.buckets", names, err) < 0)
		return -1;
	json_object_foreach ((json_t *)o, key, b) {
		if (sim_only(b, "azure.buckets", members, err) < 0)
			return -1;
		if (!(json_number_value(json_object_get(b, "capacity")) >= 1) ||
			!(json_number_value(json_object_get(b, "refill_per_min")) > 0))
			return ff_fail(err, FF_E_USAGE,
				"azure.buckets: '%s' needs numbers 'capacity' >= 1 and 'refill_per_min' > 0", key);
	}
	az->buckets = o != NULL ? json_deep_copy(o) : json_object();
	return 0;
}

static int read_switches(struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const refusals[] = {"allowed", "subscription", "region", NULL};
	static const char *const batches[] = {"atomic", "partial", NULL};
	static const char *const concurrent[] = {"conflict", "preempt", NULL};
	static const char *const running[] = {"refuse", "reboot", NULL};
	static const char *const patches[] = {"replace", "merge", NULL};
	static const char *const statuses[] = {"full", "power", NULL};

	if (sim_word(part, "azure", "attach_api", refusals, &az->attach_refusal, err) < 0 ||
		sim_word(part, "azure", "attach_batch", batches, &az->attach_batch, err) < 0 ||
		sim_word(part, "azure", "concurrent", concurrent, &az->concurrent, err) < 0 ||
		sim_word(part, "azure", "swap_on_running", running, &az->swap_on_running, err) < 0 ||
		sim_word(part, "azure", "patch_tags", patches, &az->patch_tags, err) < 0 ||
		sim_word(part, "azure", "status_only", statuses, &az->status_only, err) < 0 ||
		sim_bool(part, "azure", "swap_needs_deallocate", &az->swap_needs_deallocate, err) < 0 ||
		sim_bool(part, "azure", "swap_ignored", &az->swap_ignored, err) < 0 ||
		sim_bool(part, "azure", "ade_attach_refused", &az->ade_attach_refused, err) < 0 ||
		sim_bool(part, "azure", "endless_next_link", &az->endless_next_link, err) < 0)
		return -1;
	return 0;
}

/* A list of texts, at least one when `usual` is given for an absent one. */
static int read_texts(const json_t *part, const char *name, const char *usual, struct ff_strv *out, struct ff_err *err)
{
	const json_t *list;
	size_t i;
	json_t *item;

	if (sim_array(part, "azure", name, &list, err) < 0)
		return -1;
	json_array_foreach (list, i, item) {
		if (!json_is_string(item) || json_string_length(item) == 0)
			return ff_fail(err, FF_E_USAGE, "azure: '%s' holds something that is no text", name);
		ff_strv_add(out, json_string_value(item));
	}
	if (out->count == 0 && usual != NULL)
		ff_strv_add(out, usual);
	return 0;
}

static int read_identity_part(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	const char *sub = SIM_AZURE_SUBSCRIPTION, *tenant = SIM_AZURE_TENANT;
	const char *client = SIM_AZURE_CLIENT, *secret = NULL, *cert = NULL, *token = NULL;
	const char *imds = NULL;
	char object_id[SIM_UUID_BYTES];

	az->token_seconds = 3599;
	az->page_size = 50;
	if (sim_text(part, "azure", "subscription", &sub, err) < 0 ||
		sim_text(part, "azure", "tenant", &tenant, err) < 0 ||
		sim_text(part, "azure", "client_id", &client, err) < 0 ||
		sim_text(part, "azure", "client_secret", &secret, err) < 0 ||
		sim_text(part, "azure", "certificate", &cert, err) < 0 ||
		sim_text(part, "azure", "federated_token", &token, err) < 0 ||
		sim_text(part, "azure", "imds_vm", &imds, err) < 0 ||
		sim_int(part, "azure", "token_seconds", 1, 86400, &az->token_seconds, err) < 0 ||
		sim_int(part, "azure", "page_size", 1, 10000, &az->page_size, err) < 0)
		return -1;
	az->subscription = ff_strdup(sub);
	az->tenant = ff_strdup(tenant);
	az->client_id = ff_strdup(client);
	az->client_secret = ff_strdup(secret);
	az->certificate = ff_strdup(cert);
	az->federated_token = ff_strdup(token);
	az->imds_vm = ff_strdup(imds);
	sim_uuid(sim, object_id);
	az->object_id = ff_strdup(object_id);
	return 0;
}

static int read_lists(struct sim *sim, struct azure *az, const json_t *part, struct ff_err *err)
{
	static const char *const names[] = {"vms", "disks", "locks", "deny"};

	for (size_t k = 0; k < FF_COUNT(names); k++) {
		const json_t *list;
		size_t i;
		json_t *o;

		if (sim_array(part, "azure", names[k], &list, err) < 0)
			return -1;
		json_array_foreach (list, i, o) {
			ff_auto_free char *where = ff_printf("azure.%s[%zu]", names[k], i);

			if ((k == 0 && az_read_vm(sim, az, o, where, err) < 0) ||
				(k == 1 && az_read_loose_disk(sim, az, o, where, err) < 0) ||
				(k == 2 && read_lock(az, o, where, err) < 0) ||
				(k == 3 && read_deny(az, o, where, err) < 0))
				return -1;
		}
	}
	return 0;
}

struct azure *az_scenario(struct sim *sim, const json_t *part, struct ff_err *err)
{
	static const char *const members[] = {"subscription", "tenant", "client_id", "client_secret", "certificate",
		"federated_token", "imds_vm", "token_seconds", "page_size", "groups", "required_tags", "vms", "disks",
		"locks", "deny", "latency_ms", "retry_after_s", "link_delay_ms", "buckets", "attach_api",
		"attach_batch", "concurrent", "swap_on_running", "swap_needs_deallocate", "swap_ignored", "patch_tags",
		"status_only", "ade_attach_refused", "endless_next_link", "graph_keys", NULL};
	struct azure *az = ff_calloc(1, sizeof(*az));
	const json_t *graph_keys = NULL;

	az->vm_index = json_object();
	az->disk_index = json_object();
	az->secrets = json_object();
	if (sim_only(part, "azure", members, err) < 0 || read_identity_part(sim, az, part, err) < 0 ||
		read_texts(part, "groups", "prod", &az->groups, err) < 0 ||
		read_texts(part, "required_tags", NULL, &az->required_tags, err) < 0 ||
		read_latencies(sim, az, part, err) < 0 || read_waits(sim, az, part, err) < 0 ||
		read_buckets(az, part, err) < 0 || sim_object(part, "azure", "graph_keys", &graph_keys, err) < 0 ||
		read_switches(az, part, err) < 0 || read_lists(sim, az, part, err) < 0) {
		az_free(az);
		return NULL;
	}
	az->graph_keys = graph_keys != NULL ? json_deep_copy(graph_keys) : json_object();
	return az;
}
