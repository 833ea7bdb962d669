#include "server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cloudsim.h"
#include "files.h"
#include "place.h"
#include "tls.h"

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define BODY_BYTES_MAX (16 * 1024 * 1024)
#define TURN_MS	       20

struct server {
	struct sim *sim;
	struct sim_files files;
	struct sim_tls tls;
	pthread_mutex_t lock; /* of the model, the traffic file and the list of held exchanges */
	FILE *traffic;
	char *base, *imds_base; /* "https://127.0.0.1:PORT" */
	int64_t skew_ms;	/* how far the clock was put forward */
	int64_t last_ms;	/* of the last request */
	struct exchange *held;
	struct MHD_Daemon *daemon, *imds;
	bool ending;
};

/* One request and its answer. Owned by its connection. */
struct exchange {
	struct server *server;
	char *target;
	struct ff_buf body;
	struct sim_request request;
	struct sim_answer answer;
	struct MHD_Connection *connection;
	int64_t due_ms; /* held until then (real time) */
	struct exchange *next;
	bool begun, answered, too_large, recorded;
};

static volatile sig_atomic_t told_to_end;

static int64_t real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t now_ms(const struct server *s)
{
	return real_ms() + s->skew_ms;
}

/* ---- effects and the clock */

static void carry_out_due(struct server *s)
{
	size_t n;
	struct sim_effect *effects = sim_take_effects(s->sim, &n);

	for (size_t i = 0; i < n; i++)
		sim_carry_out(&s->files, &effects[i]);
	sim_effects_free(effects, n);
}

static void release_held(struct server *s)
{
	struct exchange **link = &s->held;

	while (*link != NULL) {
		struct exchange *x = *link;

		if (x->due_ms > real_ms() && !s->ending) {
			link = &x->next;
			continue;
		}
		*link = x->next;
		MHD_resume_connection(x->connection);
	}
}

/* ---- /_sim: for tests, not part of any cloud */

static void reply_json(struct sim_answer *answer, int status, json_t *body)
{
	*answer = (struct sim_answer){.status = status};
	ff_headers_add(&answer->headers, "Content-Type", "application/json");
	answer->body = ff_json_text(body);
	answer->body_len = strlen(answer->body);
	json_decref(body);
}

static void answer_own(struct server *s, struct exchange *x)
{
	const char *target = x->target, *method = x->request.method;
	struct ff_err err = {0};
	int64_t ms;

	if (ff_streq(method, "GET") && ff_streq(target, "/_sim/state")) {
		sim_advance(s->sim, now_ms(s));
		reply_json(&x->answer, 200, sim_state(s->sim));
	} else if (ff_streq(method, "POST") && ff_has_prefix(target, "/_sim/advance?ms=") &&
		   ff_parse_i64(target + strlen("/_sim/advance?ms="), 0, INT32_MAX, &ms) == 0) {
		s->skew_ms += ms;
		sim_advance(s->sim, now_ms(s));
		reply_json(&x->answer, 200, json_pack("{s:I}", "advanced_ms", (json_int_t)ms));
	} else if (ff_streq(method, "POST") && ff_streq(target, "/_sim/human")) {
		ff_auto_json json_t *act = ff_json_parse(x->body.text, x->body.len, 65536, &err);

		if (act != NULL && sim_human(s->sim, now_ms(s), act, &err) == 0)
			reply_json(&x->answer, 200, json_object());
		else
			reply_json(&x->answer, 400, json_pack("{s:s}", "error", err.text));
	} else {
		reply_json(&x->answer, 404, json_pack("{s:s}", "error", "no such thing under /_sim"));
	}
}

/* ---- answering */

/* Once, when the answer leaves, or when nobody waits for it any more. */
static void record(struct server *s, struct exchange *x)
{
	ff_auto_free char *line = NULL;

	if (s->traffic == NULL || x->recorded || ff_has_prefix(x->target, "/_sim") ||
		ff_has_prefix(x->target, "/_blob"))
		return;
	x->recorded = true;
	line = sim_traffic_line(s->sim, now_ms(s), &x->request, &x->answer);
	fputs(line, s->traffic);
	fflush(s->traffic);
}

static enum MHD_Result add_header(
	void *arg, enum MHD_ValueKind kind, const char *key, size_t key_len, const char *value, size_t value_len)
{
	struct exchange *x = arg;
	ff_auto_free char *k = ff_strndup(key, key_len), *v = ff_strndup(value != NULL ? value : "", value_len);

	(void)kind;
	ff_headers_add(&x->request.headers, k, v);
	return MHD_YES;
}

static void make_answer(struct exchange *x, struct MHD_Connection *connection)
{
	struct server *s = x->server;

	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, add_header, x);
	x->request.target = x->target;
	x->request.body = x->body.text;
	x->request.body_len = x->body.len;
	pthread_mutex_lock(&s->lock);
	s->last_ms = real_ms();
	if (ff_has_prefix(x->target, "/_sim")) {
		answer_own(s, x);
		carry_out_due(s);
	} else {
		sim_answer(s->sim, now_ms(s), &x->request, &x->answer);
		carry_out_due(s);
	}
	if (x->answer.hold_ms <= 0) {
		record(s, x);
	} else {
		x->connection = connection;
		x->due_ms = real_ms() + x->answer.hold_ms;
		x->next = s->held;
		s->held = x;
		MHD_suspend_connection(connection);
	}
	pthread_mutex_unlock(&s->lock);
	x->answered = true;
}

/* It was held until now. */
static void leave(struct server *s, struct exchange *x)
{
	pthread_mutex_lock(&s->lock);
	sim_answer_leaves(s->sim, now_ms(s), &x->request, &x->answer);
	carry_out_due(s);
	record(s, x);
	pthread_mutex_unlock(&s->lock);
}

/*
 * A real reset, so that the peer sees ECONNRESET: dissolving the association sends one at once, where closing (even
 * without lingering) would come after the orderly end that libmicrohttpd sends first.
 */
static enum MHD_Result reset(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (info != NULL && connect(info->connect_fd, &nobody, sizeof(nobody)) < 0)
		perror("cloudsim: reset");
	return MHD_NO;
}

static ssize_t half_a_body(void *arg, uint64_t at, char *out, size_t room)
{
	const struct exchange *x = arg;
	size_t half = x->answer.body_len / 2;

	if (at >= half)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (room > half - at)
		room = half - at;
	memcpy(out, x->answer.body + at, room);
	return (ssize_t)room;
}

static enum MHD_Result send_answer(struct exchange *x, struct MHD_Connection *connection)
{
	const struct sim_answer *a = &x->answer;
	struct MHD_Response *response;
	enum MHD_Result result;

	if (a->end == SIM_RESET)
		return reset(connection);
	if (a->end == SIM_TRUNCATED)
		response = MHD_create_response_from_callback(a->body_len, 4096, half_a_body, x, NULL);
	else
		response = MHD_create_response_from_buffer(a->body_len, a->body, MHD_RESPMEM_MUST_COPY);
	if (response == NULL)
		return MHD_NO;
	for (size_t i = 0; i < a->headers.count; i++)
		MHD_add_response_header(response, a->headers.items[i].name, a->headers.items[i].value);
	result = MHD_queue_response(connection, (unsigned)a->status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *data, size_t *data_len, void **mine)
{
	struct exchange *x = *mine;

	(void)arg;
	(void)url;
	(void)version;
	if (x == NULL)
		return MHD_NO;
	if (!x->begun) {
		x->begun = true;
		x->request.method = method;
		return MHD_YES;
	}
	if (*data_len > 0) {
		x->too_large |= x->body.len + *data_len > BODY_BYTES_MAX;
		if (!x->too_large)
			ff_buf_add(&x->body, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	if (x->too_large)
		return reset(connection);
	if (!x->answered) {
		make_answer(x, connection);
		if (x->answer.hold_ms > 0)
			return MHD_YES; /* suspended: called again when resumed */
	} else if (x->answer.hold_ms > 0) {
		leave(x->server, x);
	}
	return send_answer(x, connection);
}

/* Called with the request line as it came: the only place where the raw target is seen. */
static void *begin(void *arg, const char *target, struct MHD_Connection *connection)
{
	struct exchange *x = ff_calloc(1, sizeof(*x));

	(void)connection;
	x->server = arg;
	x->target = ff_strdup(target);
	x->request.base = x->server->base;
	return x;
}

static void *begin_imds(void *arg, const char *target, struct MHD_Connection *connection)
{
	struct exchange *x = begin(arg, target, connection);

	x->request.base = x->server->imds_base;
	return x;
}

static void end(void *arg, struct MHD_Connection *connection, void **mine, enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *mine;

	(void)arg;
	(void)connection;
	(void)why;
	if (x == NULL)
		return;
	pthread_mutex_lock(&x->server->lock);
	if (x->answered)
		record(x->server, x);
	pthread_mutex_unlock(&x->server->lock);
	free(x->target);
	ff_buf_free(&x->body);
	ff_headers_free(&x->request.headers);
	sim_answer_release(&x->answer);
	free(x);
	*mine = NULL;
}

/* ---- listening */

static struct MHD_Daemon *start(struct server *s, int fd, bool tls)
{
	struct MHD_OptionItem keys[] = {{MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls.key_pem},
		{MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls.cert_pem}, {MHD_OPTION_END, 0, NULL}};
	struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

	return MHD_start_daemon(
		MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0), 0,
		NULL, NULL, handle, s, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK,
		tls ? begin : begin_imds, s, MHD_OPTION_NOTIFY_COMPLETED, end, s, MHD_OPTION_CONNECTION_LIMIT, 512u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)131072, MHD_OPTION_ARRAY, tls ? keys : none,
		MHD_OPTION_END);
}

/* ---- life */

static void on_signal(int number)
{
	(void)number;
	told_to_end = 1;
}

static int open_world(struct server *s, const struct sim_server_options *o, json_t *scenario, struct ff_err *err)
{
	char *full;
	ff_auto_free char *disks = NULL;
	struct sim_hooks hooks;

	if (sim_make_folders(o->work_dir) < 0 || (full = realpath(o->work_dir, NULL)) == NULL)
		return ff_fail(err, FF_E_LOCAL, "work dir '%s': %m", o->work_dir);
	s->files.work_dir = full;
	disks = ff_printf("%s/disks", full);
	if (sim_make_folders(disks) < 0)
		return ff_fail(err, FF_E_LOCAL, "work dir '%s': %m", disks);
	if (o->dev_root != NULL &&
		(sim_make_folders(o->dev_root) < 0 || (s->files.dev_root = realpath(o->dev_root, NULL)) == NULL))
		return ff_fail(err, FF_E_LOCAL, "dev root '%s': %m", o->dev_root);
	if (o->traffic != NULL && (s->traffic = fopen(o->traffic, "we")) == NULL)
		return ff_fail(err, FF_E_LOCAL, "traffic file '%s': %m", o->traffic);
	if (o->time_scale > 0)
		json_object_set_new(scenario, "time_scale", json_real(o->time_scale));
	hooks = sim_file_hooks(&s->files);
	s->sim = sim_new(scenario, real_ms(), &hooks, err);
	if (s->sim == NULL)
		return ff_wrap(err, "scenario '%s'", o->scenario);
	carry_out_due(s); /* copies of the scenario's images are there before anybody is told */
	return sim_tls_make(&s->tls, err);
}

static int open_doors(struct server *s, const struct sim_server_options *o, unsigned *port, struct ff_err *err)
{
	int fd = sim_listen(o->listen != NULL ? o->listen : "127.0.0.1:0", port, err);
	unsigned imds_port;

	if (fd < 0)
		return -1;
	s->base = ff_printf("https://127.0.0.1:%u", *port);
	s->daemon = start(s, fd, true);
	if (s->daemon == NULL)
		return ff_fail(err, FF_E_LOCAL, "cannot start the HTTPS server");
	if (o->imds == NULL)
		return 0;
	fd = sim_listen(o->imds, &imds_port, err);
	if (fd < 0)
		return -1;
	s->imds_base = ff_printf("http://127.0.0.1:%u", imds_port);
	s->imds = start(s, fd, false);
	return s->imds != NULL ? 0 : ff_fail(err, FF_E_LOCAL, "cannot start the metadata server");
}

static void run(struct server *s, const struct sim_server_options *o)
{
	s->last_ms = real_ms();
	while (!told_to_end) {
		struct timespec turn = {0, TURN_MS * 1000000L};

		nanosleep(&turn, NULL);
		pthread_mutex_lock(&s->lock);
		sim_advance(s->sim, now_ms(s));
		carry_out_due(s);
		release_held(s);
		if (o->idle_ms > 0 && real_ms() - s->last_ms > o->idle_ms)
			told_to_end = 1;
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	release_held(s);
	pthread_mutex_unlock(&s->lock);
}

static void close_server(struct server *s)
{
	if (s->daemon != NULL)
		MHD_stop_daemon(s->daemon);
	if (s->imds != NULL)
		MHD_stop_daemon(s->imds);
	if (s->traffic != NULL)
		fclose(s->traffic);
	sim_free(s->sim);
	sim_tls_release(&s->tls);
	free(s->files.work_dir);
	free(s->files.dev_root);
	free(s->base);
	free(s->imds_base);
	pthread_mutex_destroy(&s->lock);
}

static int tell(const struct server *s, const struct sim_server_options *o, const json_t *scenario, unsigned port,
	struct ff_err *err)
{
	struct sim_place place = {s->base, s->imds_base, s->files.work_dir, o->ready, s->tls.ca_pem, port};

	return sim_tell(&place, scenario, err);
}

int sim_serve(const struct sim_server_options *o, struct ff_err *err)
{
	struct server s = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct sigaction act = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
	ff_auto_json json_t *scenario = sim_read_scenario(o->scenario, err);
	unsigned port = 0;
	int rc = -1;

	told_to_end = 0;
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	if (scenario != NULL && open_world(&s, o, scenario, err) == 0 && open_doors(&s, o, &port, err) == 0 &&
		tell(&s, o, scenario, port, err) == 0) {
		run(&s, o);
		rc = 0;
	}
	close_server(&s);
	return rc;
}
