/*
 * Evidence: what can be seen of VMs from outside, their consoles and screens. One VM's questions come one after the
 * other, since a later one may need what an earlier one told; VMs are asked side by side.
 *
 * Nobody waits for evidence for long, and nothing hangs on it: what cannot be had is said, and that is all.
 */
#include "state.h"

#include <stdlib.h>

struct ff_seeing {
	struct ff_scope *scope;
	const struct ff_vm *vm;
	json_t *state;
	unsigned n;
};

void ff_seeings_free(struct ff_engine *e)
{
	for (size_t i = 0; i < e->seeing_count; i++)
		json_decref(e->seeings[i].state);
	free(e->seeings);
	e->seeings = NULL;
	e->seeing_count = e->seeing = 0;
}

static void replied(struct ff_engine *e, void *owner, const struct ff_reply *reply);

static void ask_next(struct ff_engine *e, struct ff_seeing *s)
{
	const struct ff_provider *p = s->scope->provider;
	struct ff_ask ask = {0};
	enum ff_evidence how = FF_EVIDENCE_NONE;

	if (p->evidence_ask != NULL)
		how = p->evidence_ask(s->scope->cloud, s->vm, s->n, s->state, &ask);
	if (how == FF_EVIDENCE_NONE) {
		e->seeing--;
		return;
	}
	ask.secret = true;
	ff_call_start(e,
		&(struct ff_call_options){.scope = s->scope,
			.vm = s->vm,
			.what = "evidence",
			.sign = how == FF_EVIDENCE_SIGNED,
			.until_ms = ff_now(e) + FF_FINDING_PATIENCE_MS,
			.replied = replied,
			.owner = s},
		&ask);
}

static void replied(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	struct ff_seeing *s = owner;
	const struct ff_provider *p = s->scope->provider;
	struct ff_exhibit exhibit = {0};
	struct ff_err err = reply->err;

	if (reply->class != FF_E_NONE || reply->answer == NULL ||
		p->evidence_read(reply->answer, s->n, s->state, &exhibit, &err) < 0)
		ff_say(e, FF_EV_WARN, s->scope, s->vm, "evidence is incomplete: %s", err.text);
	else if (exhibit.name != NULL)
		e->exhibit(e->exhibit_arg, p->name, s->vm, &exhibit);
	ff_exhibit_release(&exhibit);
	s->n++;
	ask_next(e, s);
}

void ff_engine_see(struct ff_engine *e, const struct ff_selected *selected, size_t n, ff_exhibit_fn *keep, void *arg)
{
	if (e->phase != FF_PHASE_FOUND || n == 0)
		return;
	ff_seeings_free(e);
	e->exhibit = keep;
	e->exhibit_arg = arg;
	e->seeings = ff_calloc(n, sizeof(*e->seeings));
	e->seeing_count = e->seeing = n;
	e->phase = FF_PHASE_FINDING;
	for (size_t i = 0; i < n; i++) {
		e->seeings[i] = (struct ff_seeing){
			.scope = e->scopes[selected[i].scope], .vm = selected[i].vm, .state = json_object()};
		ask_next(e, &e->seeings[i]);
	}
}
