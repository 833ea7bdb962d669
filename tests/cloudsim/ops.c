/* Long-running operations: they end when their time has come, in the order of their times. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

static void apply_fault(struct sim_op *op, const struct sim_fault *fault)
{
	if (fault->kind == SIM_F_OP_HANGS)
		op->due_ms = INT64_MAX;
	if (fault->kind == SIM_F_OP_LATE)
		op->due_ms += fault->hang_ms;
	if (fault->kind == SIM_F_OP_FAILS) {
		op->code = ff_strdup(fault->code);
		op->message = ff_strdup(fault->message);
		op->status = fault->status;
	}
}

struct sim_op *sim_op_begin(
	struct sim *sim, const struct sim_cloud *cloud, void *self, const char *kind, int64_t latency_ms, void *job)
{
	struct sim_op *op = ff_calloc(1, sizeof(*op));

	sim_uuid(sim, op->id);
	op->kind = kind;
	op->cloud = cloud;
	op->self = self;
	op->job = job;
	op->began_ms = sim->now_ms;
	op->due_ms = sim->now_ms + latency_ms;
	if (sim->op_fault != NULL)
		apply_fault(op, sim->op_fault);
	sim->ops = ff_realloc(sim->ops, sim->op_count + 1, sizeof(*sim->ops));
	sim_index_put(sim->op_index, op->id, sim->op_count);
	sim->ops[sim->op_count++] = op;
	sim->open = ff_realloc(sim->open, sim->open_count + 1, sizeof(*sim->open));
	sim->open[sim->open_count++] = op;
	return op;
}

struct sim_op *sim_op_find(const struct sim *sim, const char *id)
{
	size_t i;

	return sim_index_get(sim->op_index, id, &i) ? sim->ops[i] : NULL;
}

static void close_op(struct sim *sim, struct sim_op *op)
{
	op->ended_ms = sim->now_ms;
	for (size_t i = 0; i < sim->open_count; i++) {
		if (sim->open[i] == op) {
			sim->open[i] = sim->open[--sim->open_count];
			return;
		}
	}
}

void sim_op_fail(struct sim *sim, struct sim_op *op, int status, const char *code, const char *message)
{
	char *c = ff_strdup(code), *m = ff_strdup(message); /* may be the operation's own */

	free(op->code);
	free(op->message);
	op->code = c;
	op->message = m;
	op->status = status;
	op->state = SIM_OP_FAILED;
	close_op(sim, op);
	op->cloud->abandon(sim, op->self, op);
}

static void end(struct sim *sim, struct sim_op *op)
{
	if (op->code != NULL) {
		sim_op_fail(sim, op, op->status, op->code, op->message);
		return;
	}
	op->cloud->finish(sim, op->self, op);
	if (op->state != SIM_OP_RUNNING)
		return;
	op->state = SIM_OP_SUCCEEDED;
	close_op(sim, op);
}

static struct sim_op *earliest(const struct sim *sim)
{
	struct sim_op *first = NULL;

	for (size_t i = 0; i < sim->open_count; i++)
		if (first == NULL || sim->open[i]->due_ms < first->due_ms)
			first = sim->open[i];
	return first;
}

void sim_advance(struct sim *sim, int64_t now_ms)
{
	struct sim_op *op;

	while ((op = earliest(sim)) != NULL && op->due_ms <= now_ms) {
		if (op->due_ms > sim->now_ms)
			sim->now_ms = op->due_ms;
		end(sim, op);
	}
	if (now_ms > sim->now_ms)
		sim->now_ms = now_ms;
}

int64_t sim_next_ms(const struct sim *sim)
{
	const struct sim_op *op = earliest(sim);
	int64_t next = op != NULL ? op->due_ms : INT64_MAX;

	for (size_t i = 0; i < sim->effect_count; i++)
		if (sim->effects[i].due_ms < next)
			next = sim->effects[i].due_ms;
	return next;
}

void sim_ops_free(struct sim *sim)
{
	for (size_t i = 0; i < sim->op_count; i++) {
		sim->ops[i]->cloud->free_job(sim->ops[i]->job);
		free(sim->ops[i]->code);
		free(sim->ops[i]->message);
		free(sim->ops[i]);
	}
	free(sim->ops);
	free(sim->open);
}

json_t *sim_ops_state(const struct sim *sim)
{
	json_t *list = json_array();
	char when[SIM_TIME_BYTES];

	for (size_t i = 0; i < sim->open_count; i++) {
		json_t *o = json_object();

		ff_json_set_str(o, "id", sim->open[i]->id);
		ff_json_set_str(o, "kind", sim->open[i]->kind);
		ff_json_set_str(o, "began", sim_time(sim->open[i]->began_ms, when));
		ff_json_set_bool(o, "hangs", sim->open[i]->due_ms == INT64_MAX);
		json_array_append_new(list, o);
	}
	return list;
}
