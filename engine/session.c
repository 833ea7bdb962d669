/*
 * Signing in and discovery of a scope. The provider says what to ask and what it learned; a scope that cannot be found
 * fails alone, the others go on. In the run a token is renewed when its time has come or a request was refused for it;
 * requests of the scope wait meanwhile.
 */
#include "state.h"

#include <string.h>

#include "fixfleet/clock.h"

#define RENEW_NOT_BEFORE_MS 60000
#define LOGIN_ASKS_MAX	    64 /* of one signing in: more is a provider that goes round in circles */

static int64_t wall(const struct ff_engine *e)
{
	return e->world->wall_ms(e->world->self);
}

static void scope_failed(struct ff_engine *e, struct ff_scope *scope, const struct ff_err *err)
{
	if (scope->state != FF_SCOPE_FINDING)
		return;
	scope->state = FF_SCOPE_FAILED;
	scope->error = *err;
	scope->signing_in = false;
	ff_calls_signed_in(e, scope, err);
}

/* ---------------------------------------------------------------- signing in */

static void login_begin(struct ff_engine *e, struct ff_scope *scope)
{
	scope->signing_in = true;
	scope->signed_in = false;
	scope->refused = false;
	scope->login_asks = 0;
	scope->login_began_ms = ff_now(e);
	scope->login_tries = 0;
	scope->provider->login_reset(scope->cloud);
	ff_task_queue(&e->tasks, &scope->task, FF_LANE_NOW);
}

static void login_done(struct ff_engine *e, struct ff_scope *scope)
{
	scope->signing_in = false;
	scope->signed_in = true;
	scope->login_number++;
	scope->renew_not_before_ms = ff_now(e) + RENEW_NOT_BEFORE_MS;
	ff_calls_signed_in(e, scope, NULL);
	if (scope->state == FF_SCOPE_FINDING)
		ff_task_queue(&e->tasks, &scope->task, FF_LANE_NOW);
}

/* In the run a disk may be away from home: one refusal is not believed, the token service is asked for a good while. */
static void login_failed(struct ff_engine *e, struct ff_scope *scope, const struct ff_err *err)
{
	int64_t now = ff_now(e), wait_ms = ff_jitter_ms(e, scope->login_tries);
	char wait[FF_TIME_BYTES];

	if (scope->state == FF_SCOPE_FINDING) {
		scope_failed(e, scope, err);
		return;
	}
	if (now - scope->login_began_ms >= FF_PATIENCE_MS) {
		scope->signing_in = false;
		scope->refused = true;
		scope->renew_not_before_ms = now + RENEW_NOT_BEFORE_MS;
		scope->error_login = *err;
		ff_calls_signed_in(e, scope, err);
		return;
	}
	scope->login_tries++;
	scope->login_asks = 0;
	scope->provider->login_reset(scope->cloud);
	ff_say(e, FF_EV_RETRY, scope, NULL, "sign in: %s; again (%u) in %s", err->text, scope->login_tries,
		ff_duration(wait_ms, wait));
	ff_task_at(&e->tasks, &scope->task, now + wait_ms + 1);
}

static void login_replied(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	struct ff_scope *scope = owner;

	scope->login_out = false;
	if (reply->answer == NULL)
		login_failed(e, scope, &reply->err);
	else
		scope->provider->login_read(scope->cloud, wall(e), reply->ask, reply->answer);
	if (reply->answer != NULL)
		ff_task_queue(&e->tasks, &scope->task, FF_LANE_NOW);
}

static void login_step(struct ff_engine *e, struct ff_scope *scope)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	enum ff_turn turn;

	if (scope->login_out)
		return;
	turn = scope->provider->login_next(scope->cloud, wall(e), &ask, &err);
	if (turn == FF_TURN_ASK && scope->login_asks++ < LOGIN_ASKS_MAX) {
		bool finding = scope->state == FF_SCOPE_FINDING;

		scope->login_out = true;
		ff_call_start(e,
			&(struct ff_call_options){.scope = scope,
				.what = "sign in",
				.until_ms = ff_now(e) + (finding ? FF_FINDING_PATIENCE_MS : FF_PATIENCE_MS),
				.replied = login_replied,
				.owner = scope},
			&ask);
		return;
	}
	ff_ask_release(&ask);
	if (turn == FF_TURN_DONE) {
		login_done(e, scope);
		return;
	}
	if (turn != FF_TURN_FAILED)
		ff_fail(&err, FF_E_BUG, "%s: signing in does not come to an end", scope->provider->name);
	login_failed(e, scope, &err);
}

bool ff_session_ready(struct ff_engine *e, struct ff_scope *scope)
{
	bool early = ff_now(e) < scope->renew_not_before_ms;

	if (scope->signing_in)
		return false;
	if (scope->signed_in && (early || wall(e) < scope->provider->login_renew_at(scope->cloud)))
		return true;
	if (scope->state == FF_SCOPE_FAILED || (scope->refused && early))
		ff_task_queue(&e->tasks, &scope->task, FF_LANE_NOW); /* it tells those who wait */
	else
		login_begin(e, scope);
	return false;
}

void ff_session_refused(struct ff_engine *e, struct ff_scope *scope, unsigned login_number)
{
	if (scope->signed_in && scope->login_number == login_number)
		login_begin(e, scope);
}

/* ---------------------------------------------------------------- discovery */

static void discover_replied(struct ff_engine *e, void *owner, const struct ff_reply *reply)
{
	struct ff_scope *scope = owner;
	struct ff_err err = reply->err;
	bool own; /* a file that is not there is the provider's to name: the operator gave it */

	scope->asks_out--;
	if (scope->state != FF_SCOPE_FINDING)
		return;
	own = reply->ask->kind == FF_ASK_FILE || reply->ask->optional;
	if (reply->answer == NULL || (reply->answer->transport != FF_T_OK && !own))
		scope_failed(e, scope, &err);
	else if (scope->provider->discover_read(scope->cloud, wall(e), reply->ask, reply->answer, &err) < 0)
		scope_failed(e, scope, &err);
	else
		ff_task_queue(&e->tasks, &scope->task, FF_LANE_NOW);
}

static void discover_step(struct ff_engine *e, struct ff_scope *scope)
{
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	enum ff_turn turn;

	while ((turn = scope->provider->discover_next(scope->cloud, &ask, &err)) == FF_TURN_ASK) {
		scope->asks_out++;
		ff_call_start(e,
			&(struct ff_call_options){.scope = scope,
				.what = "find",
				.sign = true,
				.until_ms = ff_now(e) + FF_FINDING_PATIENCE_MS,
				.replied = discover_replied,
				.owner = scope},
			&ask);
	}
	if (turn == FF_TURN_DONE) {
		scope->state = FF_SCOPE_FOUND;
	} else if (turn == FF_TURN_FAILED) {
		scope_failed(e, scope, &err);
	} else if (scope->asks_out == 0) {
		ff_fail(&err, FF_E_BUG, "%s: discovery waits for nothing", scope->provider->name);
		scope_failed(e, scope, &err);
	}
}

static void session_run(struct ff_engine *e, struct ff_task *task)
{
	struct ff_scope *scope = FF_OWNER(task, struct ff_scope, task);

	if (scope->signing_in)
		login_step(e, scope);
	else if (scope->state == FF_SCOPE_FAILED || scope->refused)
		ff_calls_signed_in(e, scope, scope->refused ? &scope->error_login : &scope->error);
	else if (scope->state == FF_SCOPE_FINDING && scope->signed_in)
		discover_step(e, scope);
}

void ff_session_begin(struct ff_engine *e, struct ff_scope *scope)
{
	scope->task.run = session_run;
	login_begin(e, scope);
}
