/*
 * The end of the turn: the journal is made durable once for all requests that wait for it, then they leave, signed. The
 * world's answers come back here.
 */
#include "call.h"

#include <string.h>

static void copy_headers(struct ff_headers *to, const struct ff_headers *from)
{
	for (size_t i = 0; i < from->count; i++)
		ff_headers_add(to, from->items[i].name, from->items[i].value);
}

static char *copy_body(const char *body, size_t len)
{
	char *copy;

	if (body == NULL)
		return NULL;
	copy = ff_calloc(1, len + 1);
	memcpy(copy, body, len);
	return copy;
}

static void copy_ask(struct ff_ask *to, const struct ff_ask *from)
{
	*to = *from;
	to->method = ff_strdup(from->method);
	to->url = ff_strdup(from->url);
	to->ca_file = ff_strdup(from->ca_file);
	to->path = ff_strdup(from->path);
	to->body = copy_body(from->body, from->body_len);
	to->headers = (struct ff_headers){0};
	copy_headers(&to->headers, &from->headers);
	to->argv = (struct ff_strv){0};
	for (size_t i = 0; i < from->argv.count; i++)
		ff_strv_add(&to->argv, from->argv.items[i]);
	for (size_t i = 0; i < from->cost_count; i++)
		to->costs[i].key = ff_strdup(from->costs[i].key);
}

/* The world's call: keep the answer, leave the rest to the task. */
static void answered(void *arg, const struct ff_ask *ask, const struct ff_answer *answer)
{
	struct ff_call *call = arg;

	(void)ask;
	call->answer = *answer;
	call->answer.headers = (struct ff_headers){0};
	copy_headers(&call->answer.headers, &answer->headers);
	call->answer.body = copy_body(answer->body, answer->body_len);
	call->stage = FF_CALL_ANSWERED;
	call->out = false;
	ff_task_queue(&call->e->tasks, &call->task, FF_LANE_NOW);
}

static void send_one(struct ff_engine *e, struct ff_call *call)
{
	struct ff_scope *scope = call->o.scope;
	struct ff_ask signed_ask;
	struct ff_err err = {0};

	if (call->o.sign && !scope->signed_in) { /* a 401 came while it waited here */
		ff_call_hold(call);
		ff_session_ready(e, scope);
		ff_call_queue_add(&scope->for_login, call);
		return;
	}
	copy_ask(&signed_ask, &call->ask);
	if (call->o.sign &&
		scope->provider->sign(scope->cloud, e->world->wall_ms(e->world->self), &signed_ask, &err) < 0) {
		ff_ask_release(&signed_ask);
		ff_call_give_room(e, call);
		ff_call_fail_later(e, call, &err);
		return;
	}
	call->sent_ms = ff_now(e);
	call->login_number = scope->login_number;
	call->out = true;
	e->started = e->started || call->ask.mutates;
	e->world->send(e->world->self, &signed_ask, answered, call);
}

void ff_calls_send(struct ff_engine *e)
{
	struct ff_call_queue out = e->outbox;
	bool durable = e->kept_head != NULL;
	struct ff_call *call;

	for (call = out.head; call != NULL && !durable; call = call->next)
		durable = call->ask.mutates;
	if (ff_record_flush(e, durable) < 0)
		return;
	e->outbox = (struct ff_call_queue){0};
	while ((call = ff_call_queue_take(&out)) != NULL)
		send_one(e, call);
	ff_jobs_say_kept(e);
}
