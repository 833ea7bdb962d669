/*
 * Requests on their way: half of the round trip until the cloud has it, half until its answer is there. A request that
 * has left arrives whatever becomes of the host that sent it.
 */
#include "vw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in the runtime. */
#define TIMEOUT_MS  60000
#define CONNECTIONS 64
#define HELD	    256

/* A credentials file of gcloud's kind; any name leads there. */
#define GCP_USER "{\"type\":\"authorized_user\",\"client_id\":\"c1\",\"client_secret\":\"s1\",\"refresh_token\":\"r1\"}"

struct vw_exchange {
	struct vw_event event;
	struct vw_host *host;
	unsigned life;
	struct ff_ask ask;
	ff_answered_fn *done;
	void *arg;
	struct sim_request request;
	struct sim_answer answer;
	struct ff_answer out;
	int64_t sent_ms, out_ms, back_ms;
	struct vw_line *line; /* whose connection it has; NULL: none */
	struct vw_exchange *next;
	bool held;
};

static void exchange_free(struct vw_event *event)
{
	struct vw_exchange *x = (struct vw_exchange *)event;

	ff_answer_release(&x->out, false);
	sim_answer_release(&x->answer);
	x->request.headers = (struct ff_headers){0}; /* the ask's */
	ff_ask_release(&x->ask);
	free(x);
}

/* ---- connections */

static void arrives(struct vw *vw, struct vw_event *event);

static void start_waiting(struct vw *vw, struct vw_line *line, unsigned most)
{
	struct vw_exchange *x;

	while (line->out < most && (x = line->first) != NULL) {
		line->first = x->next;
		line->out++;
		x->line = line;
		x->sent_ms = vw->now_ms;
		x->event.run = arrives;
		vw_event_add(vw, &x->event, vw->now_ms + x->out_ms);
	}
}

static void give_line(struct vw *vw, struct vw_exchange *x)
{
	if (x->line == NULL || x->host->life != x->life)
		return;
	x->line->out--;
	start_waiting(vw, x->line, x->ask.held ? HELD : CONNECTIONS);
}

void vw_lines_drop(struct vw_host *host)
{
	struct vw_line *lines = &host->lines[0][0];

	for (size_t i = 0; i < sizeof(host->lines) / sizeof(*lines); i++) {
		struct vw_exchange *x;

		while ((x = lines[i].first) != NULL) {
			lines[i].first = x->next;
			exchange_free(&x->event);
		}
		lines[i] = (struct vw_line){0};
	}
}

/* ---- of which nothing was heard */

/* Which change it is: the token of a repeat may be another one, AWS has all of it in the body. */
static char *change_of(const struct ff_ask *ask)
{
	const char *token = strstr(ask->url, "requestId=");
	int len = (int)(token != NULL ? (size_t)(token - ask->url) : strlen(ask->url));

	return ff_printf("%s %.*s %s", ask->method, len, ask->url, ask->body != NULL ? ask->body : "");
}

static void note_unheard(struct vw_exchange *x)
{
	ff_auto_free char *change = NULL;

	if (!x->ask.mutates || x->out.transport != FF_T_BROKEN)
		return;
	change = change_of(&x->ask);
	ff_table_set(&x->host->unheard, change, x->host);
}

/* Such a change must not be asked for again before something was read. */
static void check_repeat(struct vw_host *host, const struct ff_ask *ask)
{
	ff_auto_free char *change = NULL;

	if (host->crashed || ask->kind != FF_ASK_HTTP)
		return;
	if (!ask->mutates) {
		ff_table_free(&host->unheard, NULL);
		return;
	}
	change = change_of(ask);
	if (ff_table_get(&host->unheard, change) != NULL)
		ff_buf_addf(&host->fault_text, "%s was repeated without a look\n", change);
}

/* ---- back */

static void comes_back(struct vw *vw, struct vw_event *event)
{
	struct vw_exchange *x = (struct vw_exchange *)event;

	give_line(vw, x);
	if (x->host->engine != NULL && x->host->life == x->life) {
		note_unheard(x);
		x->done(x->arg, &x->ask, &x->out);
		x->host->dirty = true;
	}
	event->free(event);
}

static void lost(struct vw_exchange *x, enum ff_transport transport, const char *why)
{
	x->out = (struct ff_answer){.transport = transport};
	snprintf(x->out.why, sizeof(x->out.why), "%s", why);
}

/* What was read from the connection is the host's. */
static void read_body(struct vw *vw, struct vw_exchange *x)
{
	char *body = x->answer.body != NULL ? ff_calloc(x->answer.body_len + 1, 1) : NULL;

	if (body == NULL)
		return;
	memcpy(body, x->answer.body, x->answer.body_len);
	vw_meter_in(vw);
	free(x->answer.body);
	vw_meter_out(vw);
	x->answer.body = body;
}

static void take_answer(struct vw *vw, struct vw_exchange *x)
{
	if (vw->in_model != NULL)
		read_body(vw, x);
	switch (x->answer.end) {
	case SIM_RESET:
		lost(x, FF_T_BROKEN, "the connection was reset");
		break;
	case SIM_TRUNCATED:
		lost(x, FF_T_BROKEN, "the connection was closed with bytes of the body missing");
		break;
	case SIM_ANSWERED:
		x->out = (struct ff_answer){.transport = FF_T_OK,
			.status = x->answer.status,
			.headers = x->answer.headers,
			.body = x->answer.body,
			.body_len = x->answer.body_len};
		x->answer.headers = (struct ff_headers){0};
		x->answer.body = NULL;
		break;
	}
}

static void leaves(struct vw *vw, struct vw_event *event)
{
	struct vw_exchange *x = (struct vw_exchange *)event;
	int64_t timeout_ms = x->ask.timeout_ms ? x->ask.timeout_ms : TIMEOUT_MS;
	int64_t back_ms = vw->now_ms + x->back_ms;

	if (x->held) {
		vw_meter_in(vw);
		sim_answer_leaves(vw->sim, vw->now_ms, &x->request, &x->answer);
		vw_meter_out(vw);
	}
	if (back_ms - x->sent_ms > timeout_ms) {
		lost(x, FF_T_BROKEN, "timed out");
		back_ms = x->sent_ms + timeout_ms;
	} else {
		take_answer(vw, x);
	}
	event->run = comes_back;
	vw_event_add(vw, event, back_ms);
}

static void arrives(struct vw *vw, struct vw_event *event)
{
	struct vw_exchange *x = (struct vw_exchange *)event;

	vw_meter_in(vw);
	vw_strike(vw, x->host->life == x->life && !x->host->crashed ? x->host : NULL, &x->request, x->ask.mutates);
	sim_answer(vw->sim, vw->now_ms, &x->request, &x->answer);
	vw_spoil(vw, &x->answer);
	vw_meter_out(vw);
	if (vw->trace)
		fprintf(stderr, "%9.3f     -> %s %.60s: %d%s\n", (double)(vw->now_ms - VW_BEGAN) / 1000,
			x->request.method, strrchr(x->request.target, '/'), x->answer.status,
			x->answer.end == SIM_RESET	 ? " reset"
			: x->answer.end == SIM_TRUNCATED ? " truncated"
			: x->answer.hold_ms > 0		 ? " later"
							 : "");
	x->held = x->answer.hold_ms > 0;
	if (!x->held) {
		leaves(vw, event);
		return;
	}
	event->run = leaves;
	vw_event_add(vw, event, vw->now_ms + x->answer.hold_ms);
}

/* ---- out */

static void as_on_the_wire(struct vw_exchange *x)
{
	const char *p = strstr(x->ask.url, "://");
	ff_auto_free char *host = ff_url_host(x->ask.url);
	ff_auto_free char *length = ff_printf("%zu", x->ask.body_len);

	p = p != NULL ? p + 3 : x->ask.url;
	p += strcspn(p, "/");
	ff_headers_set(&x->ask.headers, "Host", host != NULL ? host : "");
	if (!ff_streq(x->ask.method, "GET") && (x->ask.body != NULL || !ff_streq(x->ask.method, "DELETE")))
		ff_headers_set(&x->ask.headers, "Content-Length", length);
	x->request = (struct sim_request){.method = x->ask.method,
		.base = VW_BASE,
		.target = *p != '\0' ? p : "/",
		.headers = x->ask.headers,
		.body = x->ask.body,
		.body_len = x->ask.body_len,
		.run = x->host->run};
}

static void read_file(struct vw *vw, struct vw_exchange *x)
{
	x->out = (struct ff_answer){.transport = FF_T_OK, .body = ff_strdup(GCP_USER), .body_len = strlen(GCP_USER)};
	x->event.run = comes_back;
	vw_event_add(vw, &x->event, vw->now_ms + 1);
}

/* A mutating request must not leave before its intent is durable. */
static void check_intent(struct vw_host *host, const struct ff_ask *ask)
{
	const char *p = strstr(ask->url, "://");
	ff_auto_free char *intent = NULL;
	size_t from;

	if (host->crashed)
		return;
	p = p != NULL ? p + 3 + strcspn(p + 3, "/?#") : ask->url;
	intent = ff_printf("\"method\":\"%s\",\"path\":\"%.*s\"", ask->method, (int)strcspn(p, "?#"), p);
	from = host->synced > 65536 ? host->synced - 65536 : 0;
	if (host->synced == 0 ||
		(memmem(host->journal.text + from, host->synced - from, intent, strlen(intent)) == NULL &&
			memmem(host->journal.text, host->synced, intent, strlen(intent)) == NULL))
		ff_buf_addf(&host->fault_text, "%s %.200s left without a durable intent\n", ask->method, p);
}

void vw_send(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg)
{
	struct vw_host *host = self;
	struct vw *vw = host->vw;
	struct vw_exchange *x = ff_calloc(1, sizeof(*x));
	struct vw_line *line;
	size_t part;
	int64_t rtt_ms = vw_between(vw, vw->rtt_ms * 3 / 4, vw->rtt_ms * 5 / 4);

	x->event.free = exchange_free;
	x->host = host;
	x->life = host->life;
	x->ask = *ask;
	*ask = (struct ff_ask){0};
	x->done = done;
	x->arg = arg;
	x->out_ms = rtt_ms / 2;
	x->back_ms = rtt_ms - x->out_ms;
	host->sends++;
	if (x->ask.mutates) {
		vw_meter_in(vw);
		check_intent(host, &x->ask);
		vw_meter_out(vw);
	}
	vw_meter_in(vw);
	check_repeat(host, &x->ask);
	vw_meter_out(vw);
	if (host->crashed || host->sends == host->crash.send_before) {
		host->crashed = true;
		exchange_free(&x->event);
		return;
	}
	host->crashed = host->sends == host->crash.send_after;
	vw->requests++;
	vw->mutations += x->ask.mutates;
	if (x->ask.kind == FF_ASK_FILE) {
		read_file(vw, x);
		return;
	}
	if (x->ask.kind != FF_ASK_HTTP) {
		lost(x, FF_T_LOCAL, "no programs are run here");
		x->event.run = comes_back;
		vw_event_add(vw, &x->event, vw->now_ms + 1);
		return;
	}
	as_on_the_wire(x);
	if (vw->trace)
		fprintf(stderr, "%9.3f %s %s %s %.200s\n", (double)(vw->now_ms - VW_BEGAN) / 1000, host->run,
			x->ask.method, x->request.target,
			x->ask.body != NULL && x->ask.body[0] == 'A' ? x->ask.body : "");
	part = (size_t)(sim_part_of(vw->sim, &x->request) - vw->sim->parts);
	vw->calls[part]++;
	if (x->ask.mutates && vw->leaves != NULL)
		vw->leaves(host, vw->sim->parts[part].cloud->name, &x->ask);
	line = &host->lines[part][x->ask.held];
	if (line->first == NULL)
		line->first = x;
	else
		line->last->next = x;
	line->last = x;
	start_waiting(vw, line, x->ask.held ? HELD : CONNECTIONS);
}
