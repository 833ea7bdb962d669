/* What was true and since when: the ground of EC2's eventual consistency. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static void drop_first(struct aw_past *past)
{
	json_decref(past->items[0].tags);
	past->count--;
	memmove(past->items, past->items + 1, past->count * sizeof(*past->items));
}

void aw_past_add(const struct sim *sim, struct aw_past *past, struct aw_seen now)
{
	now.at_ms = past->count > 0 ? sim->now_ms : INT64_MIN; /* the first was always so */
	while (past->count > 1 && past->items[1].at_ms <= sim->now_ms - AW_LAG_MAX_MS)
		drop_first(past);
	past->items = ff_realloc(past->items, past->count + 1, sizeof(*past->items));
	past->items[past->count++] = now;
}

const struct aw_seen *aw_past_at(const struct sim *sim, const struct aw_past *past, int64_t lag_ms)
{
	size_t i = past->count - 1;

	while (i > 0 && past->items[i].at_ms > sim->now_ms - lag_ms)
		i--;
	return &past->items[i];
}

const struct aw_seen *aw_now(const struct aw_past *past)
{
	return &past->items[past->count - 1];
}

void aw_past_free(struct aw_past *past)
{
	while (past->count > 0)
		drop_first(past);
	free(past->items);
	past->items = NULL;
}

void aw_set_tags(const struct sim *sim, struct aw_past *past, json_t *tags_stolen)
{
	aw_past_add(sim, past, (struct aw_seen){.tags = tags_stolen});
}

void aw_set_power(const struct sim *sim, struct aw_vm *vm, enum aw_power power, const char *code, const char *message)
{
	aw_past_add(sim, &vm->power, (struct aw_seen){.state = (int)power, .code = code, .message = message});
}

bool aw_is(const struct aw_vm *vm, enum aw_power power)
{
	return aw_now(&vm->power)->state == (int)power;
}
