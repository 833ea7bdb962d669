/* What is under way, and how it ends. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

struct sim_op *aw_begin_job(
	struct sim *sim, struct aws *aws, const char *kind, enum aw_latency latency, struct aw_job job)
{
	struct aw_job *copy = ff_calloc(1, sizeof(*copy));

	*copy = job;
	return sim_op_begin(sim, &sim_aws, aws, kind, aws->latency[latency], copy);
}

void aw_free_job(void *job)
{
	free(job);
}

void aw_boot(struct sim *sim, struct aws *aws, struct aw_vm *vm)
{
	struct aw_vol *root = aw_at_device(sim, vm, vm->root_device, 0);

	aw_set_power(sim, vm, AW_RUNNING, NULL, NULL);
	vm->booted_ms = sim->now_ms;
	vm->impaired_ms = sim->now_ms + aws->latency[AW_L_BOOT];
	vm->boots = !aw_vol_is_bad(sim, root);
	vm->starts++;
	if (vm->public_ip && !vm->elastic_ip)
		vm->ip = ++aws->addresses % 250 + 1;
	aw_check_running(sim, vm);
}

/* Auto Scaling replaces a member that it finds stopped. */
static void note_member(struct sim *sim, struct aws *aws, struct aw_vm *vm)
{
	if (vm->asg == NULL || vm->life != AW_IN_SERVICE)
		return;
	sim_violation(sim, "'%s' was stopped while in service in group '%s', which will replace it", vm->name, vm->asg);
	if (vm->life_op == NULL)
		vm->life_op = aw_begin_job(
			sim, aws, "replace", AW_L_REPLACE, (struct aw_job){.kind = AW_J_REPLACE, .vm = vm});
}

void aw_stopped(struct sim *sim, struct aws *aws, struct aw_vm *vm)
{
	aw_set_power(sim, vm, AW_STOPPED, "Client.UserInitiatedShutdown",
		"Client.UserInitiatedShutdown: User initiated shutdown");
	vm->lost_ip |= vm->public_ip && !vm->elastic_ip;
	note_member(sim, aws, vm);
}

static void terminate(struct sim *sim, struct aws *aws, struct aw_vm *vm)
{
	struct aw_vol *root = aw_at_device(sim, vm, vm->root_device, 0);

	if (!aw_is(vm, AW_STOPPED) || vm->life != AW_IN_SERVICE)
		return;
	aw_set_power(sim, vm, AW_TERMINATED, "Client.UserInitiatedShutdown",
		"Client.UserInitiatedShutdown: User initiated shutdown");
	if (root == NULL)
		return;
	root->gone = aw_now(&root->held)->delete_on_termination;
	aw_release_volume(sim, aws, root);
}

static void end_start(struct sim *sim, struct aws *aws, const struct aw_job *job)
{
	if (job->code != NULL)
		aw_set_power(sim, job->vm, AW_STOPPED, job->code, job->message);
	else
		aw_boot(sim, aws, job->vm);
}

static void end_life(struct sim *sim, struct aws *aws, struct aw_job *job)
{
	struct aw_group *group = aw_group(aws, job->vm->asg);

	job->vm->life = job->life;
	if (job->life != AW_IN_SERVICE)
		return;
	if (group != NULL && group->outside > 0)
		group->outside--;
	if (!aw_is(job->vm, AW_RUNNING))
		note_member(sim, aws, job->vm);
}

/* A volume leaves a machine that has it mounted only when it is unmounted, or by force. */
static void end_detach(struct sim *sim, struct aws *aws, const struct aw_job *job)
{
	const struct aw_seen *held = aw_now(&job->vol->held);

	if (held->vm != NULL && held->vm->mounted && !job->force)
		aw_hold(sim, aws, job->vol, AW_BUSY);
	else
		aw_release_volume(sim, aws, job->vol);
}

void aw_finish(struct sim *sim, void *self, struct sim_op *op)
{
	struct aw_job *job = op->job;
	struct aws *aws = self;

	switch (job->kind) {
	case AW_J_STOP:
		job->vm->op = NULL;
		aw_stopped(sim, aws, job->vm);
		break;
	case AW_J_START:
		job->vm->op = NULL;
		end_start(sim, aws, job);
		break;
	case AW_J_ATTACH:
		job->vol->op = NULL;
		aw_hold(sim, aws, job->vol, AW_ATTACHED);
		break;
	case AW_J_DETACH:
		job->vol->op = NULL;
		end_detach(sim, aws, job);
		break;
	case AW_J_SNAPSHOT:
		job->snap->completed = true;
		break;
	case AW_J_LIFE:
		job->vm->life_op = NULL;
		end_life(sim, aws, job);
		break;
	case AW_J_REPLACE:
		job->vm->life_op = NULL;
		terminate(sim, aws, job->vm);
		break;
	}
}

/* A fault made it fail: things are as they were before; a start has fallen back. */
void aw_abandon(struct sim *sim, void *self, struct sim_op *op)
{
	struct aw_job *job = op->job;
	struct aws *aws = self;

	switch (job->kind) {
	case AW_J_STOP:
		job->vm->op = NULL;
		aw_set_power(sim, job->vm, AW_RUNNING, NULL, NULL);
		break;
	case AW_J_START:
		job->vm->op = NULL;
		aw_set_power(sim, job->vm, AW_STOPPED, op->code, op->message);
		break;
	case AW_J_ATTACH:
		job->vol->op = NULL;
		aw_release_volume(sim, aws, job->vol);
		break;
	case AW_J_DETACH:
		job->vol->op = NULL;
		aw_hold(sim, aws, job->vol, AW_ATTACHED);
		break;
	case AW_J_SNAPSHOT:
		job->snap->failed = true;
		break;
	default:
		job->vm->life_op = NULL;
	}
}
