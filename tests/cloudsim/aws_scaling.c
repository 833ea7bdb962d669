/* Auto Scaling: who is a member, and members on stand-by. */
#include "aws.h"

#include <stdlib.h>

#include "fixfleet/clock.h"

#define DESCRIBE_MAX 50
#define STANDBY_MAX  20

const char *const aw_life_names[] = {"InService", "EnteringStandby", "Standby", "Pending"};

static int too_many(struct aw_call *c, size_t count, size_t max)
{
	if (count <= max)
		return 0;
	return aw_refuse(
		c, 400, "ValidationError", "The number of instance ids that may be passed in is limited to %zu", max);
}

static void member(struct aw_call *c, const struct aw_vm *vm)
{
	aw_open(c, "member");
	aw_text(c, "InstanceId", vm->id);
	aw_text(c, "InstanceType", vm->type->name);
	aw_text(c, "AutoScalingGroupName", vm->asg);
	aw_text(c, "AvailabilityZone", vm->zone);
	aw_text(c, "LifecycleState", aw_life_names[vm->life]);
	aw_text(c, "HealthStatus", "HEALTHY");
	aw_flag(c, "ProtectedFromScaleIn", false);
	aw_close(c, "member");
}

/* Ids that are no members are left out; without ids, all members. */
void aw_scaling_instances(struct aw_call *c)
{
	struct ff_strv ids = aw_list(c, "InstanceIds.member");

	if (too_many(c, ids.count, DESCRIBE_MAX) == 0) {
		aw_begin(c);
		aw_open(c, "AutoScalingInstances");
		for (size_t i = 0; i < c->aws->vm_count; i++) {
			const struct aw_vm *vm = c->aws->vms[i];

			if (vm->asg != NULL && !aw_is(vm, AW_TERMINATED) &&
				(ids.count == 0 || ff_strv_has(&ids, vm->id)))
				member(c, vm);
		}
		aw_close(c, "AutoScalingInstances");
		aw_end(c);
	}
	ff_strv_free(&ids);
}

static void activity(struct aw_call *c, const struct aw_vm *vm, const char *what)
{
	char id[SIM_UUID_BYTES], when[FF_TIME_BYTES];
	ff_auto_free char *text = ff_printf("Moving EC2 instance %s Standby: %s", what, vm->id);
	ff_auto_free char *cause = ff_printf("At %s instance %s was moved %s standby in response to a user request.",
		ff_time_format(c->sim->now_ms, 0, when), vm->id, what);

	sim_uuid(c->sim, id);
	aw_open(c, "member");
	aw_text(c, "ActivityId", id);
	aw_text(c, "AutoScalingGroupName", vm->asg);
	aw_text(c, "Description", text);
	aw_text(c, "Cause", cause);
	aw_time(c, "StartTime", c->sim->now_ms);
	aw_text(c, "StatusCode", "InProgress");
	aw_int(c, "Progress", 50);
	aw_text(c, "Details", "{}");
	aw_close(c, "member");
}

/* All named members of the group in that state, or -1 after a refusal. Free the array. */
static int read_members(struct aw_call *c, enum aw_life life, struct aw_vm ***vms, size_t *count)
{
	const char *group = aw_need(c, "AutoScalingGroupName");
	struct ff_strv ids = aw_list(c, "InstanceIds.member");
	int rc = group == NULL ? -1 : too_many(c, ids.count, STANDBY_MAX);

	*count = 0;
	*vms = ff_calloc(ids.count + 1, sizeof(**vms));
	if (rc == 0 && aw_group(c->aws, group) == NULL)
		rc = aw_refuse(c, 400, "ValidationError",
			"AutoScalingGroup name not found - AutoScalingGroup %s not found", group);
	for (size_t i = 0; i < ids.count && rc == 0; i++) {
		struct aw_vm *vm = aw_vm(c->aws, ids.items[i]);

		if (vm == NULL || !ff_streq(vm->asg, group))
			rc = aw_refuse(c, 400, "ValidationError",
				"The instance %s is not part of Auto Scaling group %s.", ids.items[i], group);
		else if (vm->life != (int)life || vm->life_op != NULL)
			rc = aw_refuse(c, 400, "ValidationError", "The instance %s is not in %s.", vm->id,
				aw_life_names[life]);
		else
			(*vms)[(*count)++] = vm;
	}
	ff_strv_free(&ids);
	return rc;
}

static void move(struct aw_call *c, struct aw_vm *const *vms, size_t count, enum aw_life over, enum aw_life to)
{
	aw_begin(c);
	aw_open(c, "Activities");
	for (size_t i = 0; i < count; i++) {
		aw_note_vm(c, vms[i]);
		vms[i]->life = (int)over;
		vms[i]->life_op = aw_begin_job(c->sim, c->aws, "standby", AW_L_STANDBY,
			(struct aw_job){.kind = AW_J_LIFE, .vm = vms[i], .life = (int)to});
		activity(c, vms[i], to == AW_STANDBY ? "to" : "out of");
	}
	aw_close(c, "Activities");
	aw_end(c);
}

static int64_t members(const struct aws *aws, const char *group)
{
	int64_t n = 0;

	for (size_t i = 0; i < aws->vm_count; i++)
		n += ff_streq(aws->vms[i]->asg, group) && !aw_is(aws->vms[i], AW_TERMINATED);
	return n;
}

void aw_enter_standby(struct aw_call *c)
{
	const char *decrement = aw_need(c, "ShouldDecrementDesiredCapacity");
	struct aw_group *group;
	struct aw_vm **vms = NULL;
	size_t count = 0;
	bool down = false;

	if (decrement == NULL || aw_bool(c, "ShouldDecrementDesiredCapacity", &down) < 0 ||
		read_members(c, AW_IN_SERVICE, &vms, &count) < 0)
		goto end;
	group = aw_group(c->aws, aw_get(c, "AutoScalingGroupName"));
	if (down && members(c->aws, group->name) - group->outside - (int64_t)count < group->min) {
		aw_refuse(c, 400, "ValidationError",
			"AutoScalingGroup %s has min-size=%lld. To place into standby %zu instance(s), please update "
			"the AutoScalingGroup sizes appropriately.",
			group->name, (long long)group->min, count);
		goto end;
	}
	if (!down)
		sim_violation(c->sim, "group '%s' will launch replacements: its capacity was not reduced", group->name);
	group->outside += down ? (int64_t)count : 0;
	move(c, vms, count, AW_ENTERING_STANDBY, AW_STANDBY);
end:
	free(vms);
}

void aw_exit_standby(struct aw_call *c)
{
	struct aw_vm **vms;
	size_t count;

	if (read_members(c, AW_STANDBY, &vms, &count) == 0)
		move(c, vms, count, AW_PENDING_SERVICE, AW_IN_SERVICE);
	free(vms);
}
