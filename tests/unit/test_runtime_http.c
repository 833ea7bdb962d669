#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>

#include "fixfleet/log.h"
#include "test_runtime_fake.h"
#include "test_runtime_server.h"

#include <criterion/redirect.h> /* after criterion.h */

static struct server server;

static struct ff_ask ask_for(const char *method, const char *path)
{
	struct ff_ask ask;

	ff_ask_http(&ask, method, "http://127.0.0.1:%u%s", server.port, path);
	return ask;
}

static bool serve_ok(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)connection;
	(void)n;
	send_text(fd,
		"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
		"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\nX-Twice:  a \r\nx-twice: b\r\nX-Empty:\r\n\r\nhello");
	return true;
}

/* One ask against a server that behaves like `serve`; the request as it went over the wire in server.request. */
static struct ff_answer exchange(serve_fn *serve, struct ff_ask *ask)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_answer answer;
	char *path = ask->url;

	server_start(&server, serve);
	ask->url = ff_printf("http://127.0.0.1:%u%s", server.port, path);
	free(path);
	answer = fake_ask(rt, ask);
	ff_runtime_free(rt);
	server_stop(&server);
	return answer;
}

Test(runtime_http, an_answer_comes_whole_with_every_header_but_those_of_1xx, .timeout = 20)
{
	struct ff_ask ask = {.method = ff_strdup("GET"), .url = ff_strdup("/")};
	struct ff_answer a = exchange(serve_ok, &ask);

	cr_assert_eq(a.transport, FF_T_OK, "%s", a.why);
	cr_assert_eq(a.status, 202);
	cr_assert_str_eq(a.body, "hello");
	cr_assert_eq(a.body_len, 5);
	cr_assert_eq(a.headers.count, 4);
	cr_assert_str_eq(a.headers.items[1].value, "a");
	cr_assert_str_eq(a.headers.items[2].value, "b");
	cr_assert_str_eq(ff_headers_get(&a.headers, "x-empty"), "");
	cr_assert_null(ff_headers_get(&a.headers, "X-Early"));
	ff_answer_release(&a, false);
}

Test(runtime_http, exactly_the_headers_of_the_ask_go_over_the_wire, .timeout = 20)
{
	static const struct {
		const char *method, *body, *path, *wire;
	} cases[] = {
		{"POST", NULL, "/a",
			"POST /a HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Mine: 1\r\nX-Empty:\r\n"
			"Content-Length: 0\r\n\r\n"},
		{"PUT", NULL, "/a",
			"PUT /a HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Mine: 1\r\nX-Empty:\r\n"
			"Content-Length: 0\r\n\r\n"},
		{"PATCH", NULL, "/a",
			"PATCH /a HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Mine: 1\r\nX-Empty:\r\n"
			"Content-Length: 0\r\n\r\n"},
		{"DELETE", NULL, "/a", "DELETE /a HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Mine: 1\r\nX-Empty:\r\n\r\n"},
		{"GET", NULL, "/a/../b//c?x=%2f&$f=a'b&A",
			"GET /a/../b//c?x=%2f&$f=a'b&A HTTP/1.1\r\n"
			"Host: 127.0.0.1:PORT\r\nX-Mine: 1\r\nX-Empty:\r\n\r\n"},
		{"PATCH", "{\"a\":1}", "/a",
			"PATCH /a HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX-Mine: 1\r\nX-Empty:\r\n"
			"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_ask ask = {.method = ff_strdup(cases[i].method), .url = ff_strdup(cases[i].path)};
		ff_auto_free char *want = NULL;
		const char *place = strstr(cases[i].wire, "PORT");
		struct ff_answer a;

		ff_headers_add(&ask.headers, "X-Mine", "1");
		ff_headers_add(&ask.headers, "X-Empty", "");
		if (cases[i].body != NULL)
			ff_ask_body(&ask, "application/json", ff_strdup(cases[i].body));
		a = exchange(serve_ok, &ask);
		cr_assert_eq(a.transport, FF_T_OK, "%s", a.why);
		want = ff_printf("%.*s%u%s", (int)(place - cases[i].wire), cases[i].wire, server.port, place + 4);
		cr_assert_str_eq(server.request, want);
		ff_answer_release(&a, false);
	}
}

Test(runtime_http, a_big_body_goes_out_without_asking_first, .timeout = 20)
{
	struct ff_ask ask = {.method = ff_strdup("POST"), .url = ff_strdup("/")};
	char *body = ff_calloc(1500001, 1);
	struct ff_answer a;

	memset(body, 'x', 1500000); /* above libcurl's own threshold */
	ff_ask_body(&ask, "text/plain", body);
	ask.secret = true;
	a = exchange(serve_ok, &ask);
	cr_assert_eq(a.transport, FF_T_OK, "%s", a.why);
	cr_assert_null(strcasestr(server.request, "expect:"));
	cr_assert_not_null(strstr(server.request, "Content-Length: 1500000\r\n"));
	ff_answer_release(&a, false);
}

Test(runtime_http, the_log_tells_where_and_how_long_but_no_secret, .timeout = 20)
{
	struct ff_ask ask = {.method = ff_strdup("POST"), .url = ff_strdup("/tenant/token?sig=s3cret")};
	char log[4096] = "";
	struct ff_answer a;
	FILE *err;

	cr_redirect_stderr();
	ff_log_setup(FF_LOG_TRACE, FF_LOG_TEXT);
	ff_headers_add(&ask.headers, "Authorization", "Bearer s3cret");
	ff_ask_body(&ask, "text/plain", ff_strdup("password=s3cret"));
	a = exchange(serve_ok, &ask);
	fflush(stderr);
	err = cr_get_redirected_stderr();
	(void)!fread(log, 1, sizeof(log) - 1, err);
	cr_expect_not_null(strstr(log, "http: POST 127.0.0.1:"), "%s", log);
	cr_expect_not_null(strstr(log, "/tenant/token: 202 in "), "%s", log);
	cr_expect_null(strstr(log, "s3cret"), "%s", log);
	cr_expect_null(strstr(log, "hello"), "%s", log);
	ff_answer_release(&a, false);
}

/* ---------------------------------------------------------------- what breaks */

static bool serve_reset(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)connection;
	(void)n;
	reset_on_close(fd);
	return false;
}

static bool serve_hang(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)fd;
	(void)connection;
	(void)n;
	return true; /* reads on, says nothing */
}

static bool serve_half(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)connection;
	(void)n;
	send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	return false;
}

static bool serve_garbage(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)connection;
	(void)n;
	send_text(fd, "\x1b[31mSSH-2.0-nonsense\r\n\r\n");
	return false;
}

static bool serve_endless_head(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)connection;
	(void)n;
	send_text(fd, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 20000; i++)
		send_text(fd, "X-More: 0123456789012345678901234567890123456789\r\n");
	return false;
}

static bool serve_redirect(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)connection;
	(void)n;
	send_text(fd, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
	return true;
}

static bool serve_large(struct server *s, int fd, unsigned connection, unsigned n)
{
	(void)s;
	(void)connection;
	(void)n;
	send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 200; i++)
		send_text(fd, "a\r\n0123456789\r\n");
	send_text(fd, "0\r\n\r\n");
	return true;
}

Test(runtime_http, what_breaks_after_the_request_left_has_an_unknown_effect, .timeout = 30)
{
	static const struct {
		const char *name;
		serve_fn *serve;
		enum ff_transport transport;
		const char *why;
	} cases[] = {
		{"reset", serve_reset, FF_T_BROKEN, "broke"},
		{"hang", serve_hang, FF_T_BROKEN, "no answer from '127.0.0.1:"},
		{"half a body", serve_half, FF_T_BROKEN, "broke"},
		{"garbage", serve_garbage, FF_T_BROKEN, "broke"},
		{"endless head", serve_endless_head, FF_T_TOO_LARGE, "larger than"},
		{"too large", serve_large, FF_T_TOO_LARGE, "larger than 1999 bytes"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_ask ask = {.method = ff_strdup("POST"), .url = ff_strdup("/"), .mutates = true};
		struct ff_answer a;

		ask.timeout_ms = 700;
		ask.answer_bytes_max = 1999;
		a = exchange(cases[i].serve, &ask);
		cr_expect_eq(a.transport, cases[i].transport, "%s: %d %s", cases[i].name, a.transport, a.why);
		cr_expect_not_null(strstr(a.why, cases[i].why), "%s: %s", cases[i].name, a.why);
		cr_expect_null(strchr(a.why, '\x1b'), "%s", a.why);
		cr_expect_eq(a.status, 0);
		cr_expect_null(a.body);
		cr_expect_eq(server.requests, 1, "%s: %u requests", cases[i].name, (unsigned)server.requests);
		ff_answer_release(&a, false);
	}
}

Test(runtime_http, an_answer_of_just_the_allowed_size_passes, .timeout = 20)
{
	struct ff_ask ask = {.method = ff_strdup("GET"), .url = ff_strdup("/"), .answer_bytes_max = 2000};
	struct ff_answer a = exchange(serve_large, &ask);

	cr_assert_eq(a.transport, FF_T_OK, "%s", a.why);
	cr_assert_eq(a.body_len, 2000);
	ff_answer_release(&a, false);
}

Test(runtime_http, a_redirect_is_an_answer_like_any_other, .timeout = 20)
{
	struct ff_ask ask = {.method = ff_strdup("GET"), .url = ff_strdup("/")};
	struct ff_answer a = exchange(serve_redirect, &ask);

	cr_assert_eq(a.status, 302);
	cr_assert_eq(server.requests, 1);
	ff_answer_release(&a, false);
}

Test(runtime_http, who_cannot_be_reached_was_not_asked, .timeout = 30)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_ask ask;
	struct ff_answer a;

	ff_ask_http(&ask, "POST", "http://127.0.0.1:1/");
	a = fake_ask(rt, &ask);
	cr_expect_eq(a.transport, FF_T_NOT_SENT);
	cr_expect_str_eq(a.why, "connection refused by 127.0.0.1:1");

	ff_ask_http(&ask, "POST", "https://no-such-host.invalid/");
	a = fake_ask(rt, &ask);
	cr_expect_eq(a.transport, FF_T_NOT_SENT);
	cr_expect_str_eq(a.why, "no address is known for 'no-such-host.invalid'");

	/* accepts at the kernel's level and never speaks: TLS is not established */
	server_start(&server, NULL);
	ff_ask_http(&ask, "POST", "https://127.0.0.1:%u/", server.port);
	ask.timeout_ms = 300;
	a = fake_ask(rt, &ask);
	cr_expect_eq(a.transport, FF_T_NOT_SENT, "%s", a.why);
	cr_expect_not_null(strstr(a.why, "no connection to '127.0.0.1:"), "%s", a.why);
	server_stop(&server);
	ff_runtime_free(rt);
}

Test(runtime_http, what_must_not_go_out_is_refused, .timeout = 20)
{
	static const struct {
		const char *method, *url, *header, *value;
	} cases[] = {
		{"GET", "http://example.com/", "X", "1"},
		{"GET", "ftp://127.0.0.1/", "X", "1"},
		{"GET", "file:///etc/passwd", "X", "1"},
		{"GET", "https://user@127.0.0.1/", "X", "1"},
		{"GET", "http://127.0.0.1:1/a b", "X", "1"},
		{"GET", "http://127.0.0.1:1/\r\nX-More: 1", "X", "1"},
		{"GE T", "http://127.0.0.1:1/", "X", "1"},
		{"", "http://127.0.0.1:1/", "X", "1"},
		{"GET", "http://127.0.0.1:1/", "X\r\nY", "1"},
		{"GET", "http://127.0.0.1:1/", "Authorization", "Bearer t0ken\r\n"},
		{"GET", "http://127.0.0.1:1/", "X", "a\x7f"},
	};
	struct ff_runtime *rt = fake_runtime(NULL);

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_ask ask;
		struct ff_answer a;

		ff_ask_http(&ask, cases[i].method, "%s", cases[i].url);
		ff_headers_add(&ask.headers, cases[i].header, cases[i].value);
		a = fake_ask(rt, &ask);
		cr_expect_eq(a.transport, FF_T_LOCAL, "case %zu", i);
		cr_expect_eq(a.status, EINVAL, "case %zu", i);
		cr_expect_neq(a.why[0], '\0', "case %zu", i);
		cr_expect_null(strstr(a.why, "t0ken"), "a secret is told");
	}
	ff_runtime_free(rt);
}

/* ---------------------------------------------------------------- connections */

/* Answers the first request of its first connection; closes on the next without a word, after having read it. */
static bool serve_dies_idle(struct server *s, int fd, unsigned connection, unsigned n)
{
	if (connection == 1 && n == 2)
		return false;
	return serve_ok(s, fd, connection, n);
}

static unsigned requests_on_dying_connection(bool mutates, enum ff_transport *transport)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_ask ask;
	struct ff_answer a;

	server_start(&server, serve_dies_idle);
	for (int i = 0; i < 2; i++) {
		ask = ask_for("POST", "/");
		ask.mutates = mutates;
		a = fake_ask(rt, &ask);
		*transport = a.transport;
		ff_answer_release(&a, false);
	}
	ff_runtime_free(rt);
	server_stop(&server);
	return server.requests;
}

Test(runtime_http, a_change_is_never_sent_twice_on_a_connection_that_died, .timeout = 20)
{
	enum ff_transport transport;
	unsigned requests = requests_on_dying_connection(true, &transport);

	cr_assert_eq(transport, FF_T_BROKEN);
	cr_assert_eq(requests, 2, "%u requests reached the server for two asks", requests);
}

Test(runtime_http, a_question_is_repeated_on_a_connection_that_died, .timeout = 20)
{
	enum ff_transport transport;
	unsigned requests = requests_on_dying_connection(false, &transport);

	cr_assert_eq(transport, FF_T_OK);
	cr_assert_eq(requests, 3);
}

/* Is every socket of ours to that port closed when a child is started? -1: there is none. */
static int sockets_are_private(unsigned port)
{
	int private = -1;

	for (int fd = 3; fd < 256; fd++) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
			ntohs(peer.sin_port) == port)
		private = private != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
	}
	return private;
}

Test(runtime_http, a_connection_is_kept_and_no_child_inherits_it, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);

	server_start(&server, serve_ok);
	for (int i = 0; i < 3; i++) {
		struct ff_ask ask = ask_for("POST", "/");
		struct ff_answer a;

		ask.mutates = true;
		a = fake_ask(rt, &ask);
		cr_expect_eq(a.transport, FF_T_OK, "%s", a.why);
		ff_answer_release(&a, false);
	}
	cr_expect_eq(sockets_are_private(server.port), 1);
	ff_runtime_free(rt);
	server_stop(&server);
	cr_expect_eq(server.connections, 1);
}

static bool serve_slowly(struct server *s, int fd, unsigned connection, unsigned n)
{
	usleep(2000);
	return serve_ok(s, fd, connection, n);
}

Test(runtime_http, many_asks_share_a_few_connections, .timeout = 60)
{
	enum { ASKS = 400, CONNECTIONS = 8 };
	struct ff_runtime_options options = {.connections = CONNECTIONS};
	struct ff_runtime *rt = fake_runtime(&options);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {.ended = fake_has_answers, .wanted = ASKS};
	static struct kept_answer kept[ASKS];

	server_start(&server, serve_slowly);
	for (int i = 0; i < ASKS; i++) {
		struct ff_ask ask = ask_for("GET", "/");

		kept[i].engine = &engine;
		world->send(world->self, &ask, keep_answer, &kept[i]);
	}
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	for (int i = 0; i < ASKS; i++) {
		cr_assert_eq(kept[i].times, 1);
		cr_assert_eq(kept[i].a.transport, FF_T_OK, "%s", kept[i].a.why);
		ff_answer_release(&kept[i].a, false);
	}
	cr_assert_leq(engine.turns, ASKS + 2);
	ff_runtime_free(rt);
	server_stop(&server);
	cr_assert_eq(server.requests, ASKS);
	cr_assert_leq(server.connections, CONNECTIONS, "%u connections", (unsigned)server.connections);
	cr_assert_gt(server.open_most, 1, "nothing ran at the same time");
}

Test(runtime_http, asks_under_way_and_waiting_are_dropped_at_the_end, .timeout = 20)
{
	struct ff_runtime_options options = {.connections = 1};
	struct ff_runtime *rt = fake_runtime(&options);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {.ended = fake_has_answers, .wanted = 0};
	struct kept_answer kept = {.engine = &engine};

	server_start(&server, serve_hang);
	for (int i = 0; i < 3; i++) {
		struct ff_ask ask = ask_for("GET", "/");

		world->send(world->self, &ask, keep_answer, &kept);
	}
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	ff_runtime_free(rt);
	server_stop(&server);
	cr_assert_eq(kept.times, 0);
}

static bool serve_all_but_held(struct server *s, int fd, unsigned connection, unsigned n)
{
	return strstr(s->request, "/wait") != NULL || serve_ok(s, fd, connection, n);
}

Test(runtime_http, an_answer_that_is_held_back_keeps_no_other_ask_waiting, .timeout = 20)
{
	struct ff_runtime_options options = {.connections = 1};
	struct ff_runtime *rt = fake_runtime(&options);
	const struct ff_world *world = ff_runtime_world(rt);
	struct ff_engine engine = {.ended = fake_has_answers, .wanted = 1};
	struct kept_answer held = {.engine = &engine}, other = {.engine = &engine};
	struct ff_ask ask;

	server_start(&server, serve_all_but_held);
	ask = ask_for("GET", "/wait");
	ask.held = true;
	world->send(world->self, &ask, keep_answer, &held);
	ask = ask_for("GET", "/");
	world->send(world->self, &ask, keep_answer, &other);
	ff_runtime_run(rt, &engine, FF_PHASE_ENDED, NULL, NULL);
	cr_expect_eq(held.times, 0);
	cr_assert_eq(other.times, 1);
	cr_expect_eq(other.a.transport, FF_T_OK, "%s", other.a.why);
	ff_answer_release(&other.a, false);
	ff_runtime_free(rt);
	server_stop(&server);
}

/* ---------------------------------------------------------------- proxies */

Test(runtime_http, a_direct_ask_passes_no_proxy, .timeout = 20)
{
	struct ff_runtime *rt = fake_runtime(NULL);
	struct ff_ask ask;
	struct ff_answer a;

	server_start(&server, serve_ok);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	ask = ask_for("GET", "/");
	a = fake_ask(rt, &ask);
	cr_expect_eq(a.transport, FF_T_NOT_SENT, "the proxy was not asked: %s", a.why);
	ask = ask_for("GET", "/");
	ask.direct = true;
	a = fake_ask(rt, &ask);
	cr_expect_eq(a.transport, FF_T_OK, "%s", a.why);
	ff_answer_release(&a, false);
	ff_runtime_free(rt);
	server_stop(&server);
}

/* ---------------------------------------------------------------- TLS */

static enum MHD_Result answer_tls(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_len, void **state)
{
	static const char body[] = "over tls";
	struct MHD_Response *response;
	enum MHD_Result rc;

	(void)arg;
	(void)url;
	(void)method;
	(void)version;
	(void)upload;
	(void)upload_len;
	(void)state;
	response = MHD_create_response_from_buffer(sizeof(body) - 1, (void *)body, MHD_RESPMEM_PERSISTENT);
	rc = MHD_queue_response(connection, 200, response);
	MHD_destroy_response(response);
	return rc;
}

struct tls {
	struct MHD_Daemon *daemon;
	char *cert, *key;
	char file[64];
	unsigned port;
};

static void tls_start(struct tls *t, const char *names)
{
	int fd;

	make_certificate(names, &t->cert, &t->key);
	strcpy(t->file, "/tmp/fixfleet-test-ca-XXXXXX");
	fd = mkstemp(t->file);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, t->cert, strlen(t->cert)), (ssize_t)strlen(t->cert));
	close(fd);
	t->daemon = MHD_start_daemon(MHD_USE_TLS | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer_tls, NULL,
		MHD_OPTION_HTTPS_MEM_CERT, t->cert, MHD_OPTION_HTTPS_MEM_KEY, t->key, MHD_OPTION_END);
	cr_assert_not_null(t->daemon);
	t->port = MHD_get_daemon_info(t->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void tls_stop(struct tls *t)
{
	MHD_stop_daemon(t->daemon);
	unlink(t->file);
	free(t->cert);
	free(t->key);
}

static struct ff_answer ask_tls(const struct tls *t, const struct ff_runtime_options *options)
{
	struct ff_runtime *rt = fake_runtime(options);
	struct ff_ask ask;
	struct ff_answer a;

	ff_ask_http(&ask, "GET", "https://127.0.0.1:%u/", t->port);
	a = fake_ask(rt, &ask);
	ff_runtime_free(rt);
	return a;
}

Test(runtime_http, a_certificate_of_the_given_ca_is_trusted, .timeout = 20)
{
	struct tls t;
	struct ff_answer a;

	tls_start(&t, "IP:127.0.0.1");
	a = ask_tls(&t, &(struct ff_runtime_options){.ca_file = t.file});
	cr_assert_eq(a.transport, FF_T_OK, "%s", a.why);
	cr_assert_str_eq(a.body, "over tls");
	ff_answer_release(&a, false);
	tls_stop(&t);
}

Test(runtime_http, an_unknown_certificate_is_not_trusted, .timeout = 20)
{
	struct tls t;
	struct ff_answer a;

	tls_start(&t, "IP:127.0.0.1");
	a = ask_tls(&t, NULL);
	cr_assert_eq(a.transport, FF_T_UNTRUSTED, "%d %s", a.transport, a.why);
	cr_assert_not_null(strstr(a.why, "(give --ca-file)"), "%s", a.why);
	tls_stop(&t);
}

Test(runtime_http, a_certificate_for_another_name_is_not_trusted, .timeout = 20)
{
	struct tls t;
	struct ff_answer a;

	tls_start(&t, "DNS:elsewhere.example");
	a = ask_tls(&t, &(struct ff_runtime_options){.ca_file = t.file});
	cr_assert_eq(a.transport, FF_T_UNTRUSTED, "%d %s", a.transport, a.why);
	cr_assert_null(strstr(a.why, "(give --ca-file)"), "%s", a.why);
	tls_stop(&t);
}

Test(runtime_http, a_ca_file_that_is_none_is_told_at_once, .timeout = 20)
{
	static const char *const files[] = {"/nonexistent/ca.pem", "/dev/null", "/etc/passwd"};

	for (size_t i = 0; i < FF_COUNT(files); i++) {
		struct ff_runtime_options options = {.ca_file = files[i]};
		struct ff_err err = {0};

		cr_expect_null(ff_runtime_new(&options, &err));
		cr_expect_eq(err.class, FF_E_USAGE);
		cr_expect_not_null(strstr(err.text, files[i]), "%s", err.text);
	}
}

Test(runtime_http, the_environment_names_a_ca_file_too, .timeout = 20)
{
	static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};

	for (size_t i = 0; i < FF_COUNT(names); i++) {
		struct ff_runtime_options options = {0};
		struct ff_err err = {0};

		setenv(names[i], "/nonexistent/env.pem", 1);
		cr_expect_null(ff_runtime_new(&options, &err));
		cr_expect_not_null(strstr(err.text, names[i]), "%s", err.text);
		unsetenv(names[i]);
	}
}
