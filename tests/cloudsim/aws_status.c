/* Status checks: what EC2 sees of a guest that does not answer. */
#include "aws.h"

#include <stdlib.h>

#define IDS_MAX 100

const char *const aw_status_names[] = {"auto", "ok", "impaired", "initializing", "insufficient-data", "not-applicable"};

enum aw_status aw_status_now(const struct sim *sim, const struct aws *aws, const struct aw_vm *vm, int64_t lag_ms)
{
	if (aw_past_at(sim, &vm->power, lag_ms)->state != AW_RUNNING)
		return AW_NOT_APPLICABLE;
	if (vm->status != AW_AUTO)
		return (enum aw_status)vm->status;
	if (sim->now_ms < vm->booted_ms + aws->latency[AW_L_BOOT])
		return AW_INITIALIZING;
	return vm->boots ? AW_OK : AW_IMPAIRED;
}

static enum aw_status status_of(const struct aw_call *c, const struct aw_vm *vm)
{
	return aw_status_now(c->sim, c->aws, vm, c->aws->lag[AW_LAG_STATUS]);
}

static void summary(struct aw_call *c, const char *name, enum aw_status status, int64_t since_ms)
{
	static const char *const details[] = {"", "passed", "failed", "initializing", "insufficient-data", ""};

	aw_open(c, name);
	aw_text(c, "status", aw_status_names[status]);
	if (status != AW_NOT_APPLICABLE) {
		aw_open(c, "details");
		aw_open(c, "item");
		aw_text(c, "name", "reachability");
		aw_text(c, "status", details[status]);
		if (status == AW_IMPAIRED)
			aw_time(c, "impairedSince", since_ms);
		aw_close(c, "item");
		aw_close(c, "details");
	}
	aw_close(c, name);
}

/* The host is well all the time; at boot its check is not done yet either. */
static enum aw_status system_status(enum aw_status instance)
{
	return instance == AW_NOT_APPLICABLE || instance == AW_INITIALIZING ? instance : AW_OK;
}

static void status_xml(struct aw_call *c, const struct aw_vm *vm)
{
	enum aw_status status = status_of(c, vm);

	aw_open(c, "item");
	aw_text(c, "instanceId", vm->id);
	aw_text(c, "availabilityZone", vm->zone);
	aw_state_xml(c, "instanceState", aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_STATUS])->state);
	summary(c, "systemStatus", system_status(status), 0);
	summary(c, "instanceStatus", status, vm->impaired_ms);
	summary(c, "attachedEbsStatus", system_status(status), 0);
	aw_close(c, "item");
}

static const char *const status_filters[] = {"instance-status.status", "instance-status.reachability",
	"system-status.status", "system-status.reachability", "attached-ebs-status.status", "instance-state-name",
	"instance-state-code", "availability-zone", NULL};

static void status_values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	static const char *const reach[] = {"", "passed", "failed", "initializing", "insufficient-data", ""};
	const struct aw_vm *vm = item;
	int power = aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_STATUS])->state;
	enum aw_status status = status_of(c, vm);
	enum aw_status which = ff_has_prefix(name, "instance-status.") ? status : system_status(status);

	if (ff_streq(name, "instance-state-name"))
		ff_strv_add(out, aw_power_names[power]);
	else if (ff_streq(name, "instance-state-code"))
		ff_strv_addf(out, "%d", aw_power_codes[power]);
	else if (ff_streq(name, "availability-zone"))
		ff_strv_add(out, vm->zone);
	else if (ff_has_suffix(name, ".reachability"))
		ff_strv_add(out, reach[which]);
	else
		ff_strv_add(out, aw_status_names[which]);
}

static bool status_shown(struct aw_call *c, const struct aw_vm *vm, const struct ff_strv *ids, bool all)
{
	int power = aw_past_at(c->sim, &vm->power, c->aws->lag[AW_LAG_STATUS])->state;

	return (all || power == AW_RUNNING) && (ids->count == 0 || ff_strv_has(ids, vm->id)) &&
	       aw_filter(c, vm, status_values);
}

/* Without ids: of every machine there is. */
void aw_describe_status(struct aw_call *c)
{
	struct ff_strv ids = aw_list(c, "InstanceId");
	size_t from, max, shown = 0;
	bool all = false;

	if (aw_bool(c, "IncludeAllInstances", &all) < 0 || aw_page(c, "InstanceId", &from, &max) < 0 ||
		aw_check_filters(c, status_filters) < 0)
		goto end;
	if (ids.count > IDS_MAX) { /* text unverified */
		aw_refuse(c, 400, "InvalidParameterValue", "No more than %d instance IDs may be specified.", IDS_MAX);
		goto end;
	}
	if (aw_known_vms(c, &ids) < 0)
		goto end;
	aw_begin(c);
	aw_open(c, "instanceStatusSet");
	for (; from < c->aws->vm_count && shown < max; from++) {
		if (!status_shown(c, c->aws->vms[from], &ids, all))
			continue;
		status_xml(c, c->aws->vms[from]);
		shown++;
	}
	aw_close(c, "instanceStatusSet");
	if (from < c->aws->vm_count)
		aw_next(c, from);
	aw_end(c);
end:
	ff_strv_free(&ids);
}
