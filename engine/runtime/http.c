/*
 * HTTP: libcurl's multi interface, driven by libuv. The only file that knows libcurl.
 *
 * A repeated request. libcurl repeats a request by itself when a connection that it had used before turns out dead
 * before a byte of the answer came (Curl_retry_request in lib/transfer.c), whatever the method is. The server may have
 * carried out the first one, so for an ask that changes something this must not happen, and there is no option against
 * it. But CURLOPT_PREREQFUNCTION is called each time right before a request is written, the repetition included: the
 * second call for a mutating ask says no, and the exchange ends as FF_T_BROKEN, effect unknown, which the engine
 * answers by looking. The same count tells whether anything was written at all: none means FF_T_NOT_SENT. So that this
 * stays rare, such asks take no connection that was idle for long (CURLOPT_MAXAGE_CONN): servers and middle boxes close
 * those silently, some after 20 s already. A fresh connection each time (CURLOPT_FRESH_CONNECT) would cost a TLS
 * handshake per change and buys nothing that the count does not give.
 *
 * Waiting for a connection. No more than options.connections exchanges run with one host; others wait in our own line,
 * not in libcurl's, so that an ask's time begins when it can be sent and a waiting ask holds no libcurl handle. Asks
 * whose answers are held back by the server have a line of their own: they would hold all connections for minutes.
 */
#include "rt.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixfleet/clock.h"
#include "fixfleet/log.h"

#define CONNECT_TIMEOUT_MS   10000
#define MUTATING_IDLE_S	     15
#define HEADER_BYTES_MAX     ((size_t)256 * 1024)
#define IDLE_CONNECTIONS_MAX 256L

struct line {
	unsigned active;
	struct rt_ops waiting;
};

struct host {
	char *name;	      /* with port */
	struct line lines[2]; /* [1]: asks whose answers are held back */
	SLIST_ENTRY(host) next;
};

struct exchange {
	struct rt_op *op;
	struct host *host;
	CURL *easy;
	CURLcode setup; /* all options' results, or-ed */
	struct curl_slist *headers;
	struct ff_buf body;
	size_t header_bytes, bytes_max;
	unsigned written; /* how often the request was about to be written */
	bool head_ended, too_large;
	uint64_t begun_ms;
	char error[CURL_ERROR_SIZE];
	TAILQ_ENTRY(exchange) next;
};

struct rt_http {
	struct ff_runtime *rt;
	CURLM *multi;
	uv_timer_t *timer; /* apart: it is closed after this struct is gone */
	char *ca_file;	   /* NULL: the system's */
	unsigned connections;
	SLIST_HEAD(, host) hosts;
	TAILQ_HEAD(, exchange) exchanges;
};

static void start_waiting(struct rt_http *http, struct host *host);

/* ---------------------------------------------------------------- what went wrong */

static const char *host_of(const struct exchange *x)
{
	return x->host->name;
}

/* libcurl's own sentence, which may quote what the other side sent (rt_op_fail() makes it printable). */
static const char *detail_of(const struct exchange *x, CURLcode code)
{
	static const char prefix[] = "SSL certificate problem: ";

	if (x->error[0] == '\0')
		return curl_easy_strerror(code);
	return ff_has_prefix(x->error, prefix) ? x->error + sizeof(prefix) - 1 : x->error;
}

static bool is_distrust(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_ISSUER_ERROR || code == CURLE_SSL_CRL_BADFILE || code == CURLE_SSL_INVALIDCERTSTATUS ||
	       code == CURLE_SSL_PINNEDPUBKEYNOTMATCH;
}

static void fail_distrust(struct exchange *x, CURLcode code)
{
	/* a sound certificate of another name: no CA file would help. All of libcurl's TLS libraries word it so. */
	bool other_name = ff_contains_nocase(x->error, "subject name");

	rt_op_fail(x->op, FF_T_UNTRUSTED, 0, "certificate of '%s' is not trusted: %s%s", host_of(x), detail_of(x, code),
		other_name ? "" : " (give --ca-file)");
}

static void fail_connect(struct exchange *x, CURLcode code)
{
	long error = 0;

	curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &error);
	if (error == ECONNREFUSED)
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "connection refused by %s", host_of(x));
	else if (error != 0)
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "cannot connect to '%s': %s", host_of(x), strerror((int)error));
	else
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "cannot connect to '%s': %s", host_of(x), detail_of(x, code));
}

/* Nothing was written yet: surely without effect, whatever it was. */
static void fail_unsent(struct exchange *x, CURLcode code)
{
	char took[FF_TIME_BYTES];

	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "no address is known for '%s'", host_of(x));
		return;
	case CURLE_COULDNT_RESOLVE_PROXY:
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "no address is known for the proxy (see https_proxy)");
		return;
	case CURLE_COULDNT_CONNECT:
		fail_connect(x, code);
		return;
	case CURLE_OPERATION_TIMEDOUT:
		ff_duration((int64_t)(uv_now(&x->op->rt->loop) - x->begun_ms), took);
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "no connection to '%s' within %s", host_of(x), took);
		return;
	case CURLE_SSL_CONNECT_ERROR:
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "no TLS with '%s': %s", host_of(x), detail_of(x, code));
		return;
	default:
		rt_op_fail(x->op, FF_T_NOT_SENT, 0, "cannot reach '%s': %s", host_of(x), detail_of(x, code));
	}
}

static void fail_exchange(struct exchange *x, CURLcode code)
{
	char took[FF_TIME_BYTES];

	if (x->too_large)
		rt_op_fail(
			x->op, FF_T_TOO_LARGE, 0, "answer of '%s' is larger than %zu bytes", host_of(x), x->bytes_max);
	else if (is_distrust(code))
		fail_distrust(x, code);
	else if (x->written == 0)
		fail_unsent(x, code);
	else if (x->written > 1 && code == CURLE_ABORTED_BY_CALLBACK)
		rt_op_fail(x->op, FF_T_BROKEN, 0, "'%s' closed the connection before it answered", host_of(x));
	else if (code == CURLE_OPERATION_TIMEDOUT)
		rt_op_fail(x->op, FF_T_BROKEN, 0, "no answer from '%s' within %s", host_of(x),
			ff_duration(rt_op_timeout_ms(x->op), took));
	else
		rt_op_fail(x->op, FF_T_BROKEN, 0, "connection to '%s' broke: %s", host_of(x), detail_of(x, code));
}

/* ---------------------------------------------------------------- libcurl calls us about one exchange */

static int on_written(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct exchange *x = arg;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	x->written++;
	return x->written > 1 && x->op->ask.mutates ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t len = size * count;

	x->header_bytes += len;
	if (x->header_bytes > HEADER_BYTES_MAX) {
		x->too_large = true;
		return 0;
	}
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* what came before was of a 1xx answer */
		ff_headers_free(&x->op->answer.headers);
		x->head_ended = false;
	} else if (len <= 2 && (line[0] == '\r' || line[0] == '\n')) {
		x->head_ended = true;
	} else if (!x->head_ended) { /* trailers are not headers */
		rt_http_header_line(&x->op->answer.headers, line, len);
	}
	return len;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct exchange *x = arg;
	size_t len = size * count;

	if (len > x->bytes_max - x->body.len) {
		x->too_large = true;
		return 0;
	}
	rt_buf_add(&x->body, bytes, len, x->op->ask.secret);
	return len;
}

/* libcurl's own socket() is not close-on-exec, and we start children. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)arg;
	(void)purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---------------------------------------------------------------- one exchange */

#define SET(x, option, value) ((x)->setup |= curl_easy_setopt((x)->easy, (option), (value)))

static void add_header_line(struct exchange *x, char *line_owned)
{
	struct curl_slist *longer = curl_slist_append(x->headers, line_owned);

	if (longer == NULL)
		ff_oom();
	x->headers = longer;
	ff_free_secret(line_owned);
}

/* Exactly the ask's headers, and none that libcurl would add by itself; the length is what the body has. */
static void set_headers(struct exchange *x)
{
	static const char *const not_by_itself[] = {"Accept", "Content-Type", "Expect"};
	const struct ff_headers *h = &x->op->ask.headers;

	for (size_t i = 0; i < FF_COUNT(not_by_itself); i++)
		if (ff_headers_get(h, not_by_itself[i]) == NULL)
			add_header_line(x, ff_printf("%s:", not_by_itself[i]));
	for (size_t i = 0; i < h->count; i++) {
		const char *name = h->items[i].name, *value = h->items[i].value;

		if (ff_strcaseeq(name, "Content-Length") || ff_strcaseeq(name, "Transfer-Encoding"))
			continue;
		/* "Name;" is libcurl's way to send a header without a value */
		add_header_line(x, value[0] != '\0' ? ff_printf("%s: %s", name, value) : ff_printf("%s;", name));
	}
	SET(x, CURLOPT_HTTPHEADER, x->headers);
}

static void set_request(struct exchange *x)
{
	const struct ff_ask *ask = &x->op->ask;
	bool wants_body =
		ff_streq(ask->method, "POST") || ff_streq(ask->method, "PUT") || ff_streq(ask->method, "PATCH");

	if (ff_streq(ask->method, "HEAD")) {
		SET(x, CURLOPT_NOBODY, 1L);
	} else if (ask->body != NULL || wants_body) { /* without one: Content-Length: 0 */
		SET(x, CURLOPT_POSTFIELDS, ask->body != NULL ? ask->body : "");
		SET(x, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(ask->body != NULL ? ask->body_len : 0));
	}
	SET(x, CURLOPT_CUSTOMREQUEST, ask->method);
	SET(x, CURLOPT_URL, ask->url);
	SET(x, CURLOPT_PATH_AS_IS, 1L);
	if (ask->direct) {
		SET(x, CURLOPT_PROXY, "");
		SET(x, CURLOPT_NOPROXY, "*");
	}
	if (ask->mutates)
		SET(x, CURLOPT_MAXAGE_CONN, (long)MUTATING_IDLE_S);
}

static void set_limits(struct exchange *x, const struct rt_http *http)
{
	unsigned timeout_ms = rt_op_timeout_ms(x->op);

	/* ff_url_check() has let plain http pass to this machine and to metadata services only */
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(x, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SET(x, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	SET(x, CURLOPT_FOLLOWLOCATION, 0L);
	SET(x, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(x, CURLOPT_SSL_VERIFYPEER, 1L);
	SET(x, CURLOPT_SSL_VERIFYHOST, 2L);
	SET(x, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (x->op->ask.ca_file != NULL && http->rt->options.ca_file == NULL)
		SET(x, CURLOPT_CAINFO, x->op->ask.ca_file);
	else if (http->ca_file != NULL)
		SET(x, CURLOPT_CAINFO, http->ca_file);
	if (http->rt->options.user_agent != NULL)
		SET(x, CURLOPT_USERAGENT, http->rt->options.user_agent);
	SET(x, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	SET(x, CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS));
	SET(x, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(x, CURLOPT_NOSIGNAL, 1L);
	SET(x, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void set_callbacks(struct exchange *x)
{
	SET(x, CURLOPT_PRIVATE, x);
	SET(x, CURLOPT_ERRORBUFFER, x->error);
	SET(x, CURLOPT_PREREQFUNCTION, on_written);
	SET(x, CURLOPT_PREREQDATA, x);
	SET(x, CURLOPT_HEADERFUNCTION, on_header);
	SET(x, CURLOPT_HEADERDATA, x);
	SET(x, CURLOPT_WRITEFUNCTION, on_body);
	SET(x, CURLOPT_WRITEDATA, x);
	SET(x, CURLOPT_OPENSOCKETFUNCTION, on_open);
}

/* Takes it off the lists and frees everything but the op, which it returns. */
static struct rt_op *exchange_free(struct rt_http *http, struct exchange *x)
{
	struct rt_op *op = x->op;

	TAILQ_REMOVE(&http->exchanges, x, next);
	x->host->lines[op->ask.held].active--;
	curl_multi_remove_handle(http->multi, x->easy);
	curl_easy_cleanup(x->easy);
	for (struct curl_slist *h = x->headers; h != NULL; h = h->next)
		ff_wipe(h->data, strlen(h->data));
	curl_slist_free_all(x->headers);
	if (op->ask.secret && x->body.text != NULL)
		ff_wipe(x->body.text, x->body.len);
	ff_buf_free(&x->body);
	free(x);
	return op;
}

static void exchange_start(struct rt_http *http, struct host *host, struct rt_op *op)
{
	struct exchange *x = ff_calloc(1, sizeof(*x));

	x->op = op;
	x->host = host;
	x->bytes_max = rt_op_bytes_max(op);
	uv_update_time(&http->rt->loop);
	x->begun_ms = uv_now(&http->rt->loop);
	x->easy = curl_easy_init();
	if (x->easy == NULL)
		ff_oom();
	host->lines[op->ask.held].active++;
	TAILQ_INSERT_TAIL(&http->exchanges, x, next);
	set_request(x);
	set_headers(x);
	set_limits(x, http);
	set_callbacks(x);
	if (x->setup == CURLE_OK && curl_multi_add_handle(http->multi, x->easy) == CURLM_OK)
		return;
	rt_op_fail(op, FF_T_LOCAL, EINVAL, "libcurl refuses the request to '%s'", host->name);
	rt_op_finish_later(exchange_free(http, x));
}

static void exchange_end(struct rt_http *http, struct exchange *x, CURLcode code)
{
	struct host *host = x->host;
	struct ff_answer *answer = &x->op->answer;
	long status = 0;

	if (code == CURLE_OK) {
		curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
		answer->status = (int)status;
		answer->body_len = x->body.len;
		answer->body = FF_STEAL(x->body.text);
		x->body = (struct ff_buf){0};
	} else {
		ff_headers_free(&answer->headers);
		fail_exchange(x, code);
	}
	if (ff_log_wanted(FF_LOG_DEBUG)) {
		ff_auto_free char *path = rt_http_path(x->op->ask.url);
		long long ms = (long long)(uv_now(&http->rt->loop) - x->begun_ms);

		if (answer->transport == FF_T_OK)
			ff_log(FF_LOG_DEBUG, "http", "%s %s%s: %d in %lld ms", x->op->ask.method, host->name, path,
				answer->status, ms);
		else
			ff_log(FF_LOG_DEBUG, "http", "%s %s%s: %s (%lld ms)", x->op->ask.method, host->name, path,
				answer->why, ms);
	}
	rt_op_finish(exchange_free(http, x));
	start_waiting(http, host);
}

/* ---------------------------------------------------------------- hosts */

static struct host *host_of_op(struct rt_http *http, const struct rt_op *op)
{
	ff_auto_free char *name = ff_url_host(op->ask.url);
	struct host *host;

	SLIST_FOREACH(host, &http->hosts, next)
	{
		if (ff_streq(host->name, name))
			return host;
	}
	host = ff_calloc(1, sizeof(*host));
	host->name = FF_STEAL(name);
	STAILQ_INIT(&host->lines[0].waiting);
	STAILQ_INIT(&host->lines[1].waiting);
	SLIST_INSERT_HEAD(&http->hosts, host, next);
	return host;
}

static void start_waiting(struct rt_http *http, struct host *host)
{
	struct rt_op *op;

	for (size_t i = 0; i < FF_COUNT(host->lines); i++) {
		struct line *line = &host->lines[i];
		unsigned most = i == 0 ? http->connections : RT_HELD_CONNECTIONS;

		while (line->active < most && (op = STAILQ_FIRST(&line->waiting)) != NULL) {
			STAILQ_REMOVE_HEAD(&line->waiting, next);
			exchange_start(http, host, op);
		}
	}
}

void rt_http_start(struct rt_http *http, struct rt_op *op)
{
	struct host *host;

	if (rt_http_check(op) < 0) {
		rt_op_finish_later(op);
		return;
	}
	host = host_of_op(http, op);
	STAILQ_INSERT_TAIL(&host->lines[op->ask.held].waiting, op, next);
	start_waiting(http, host);
}

/* ---------------------------------------------------------------- libcurl on libuv */

struct watch {
	uv_poll_t poll;
	struct rt_http *http;
	curl_socket_t socket;
};

static void collect(struct rt_http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		char *private = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
		exchange_end(http, (struct exchange *)(void *)private, code);
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *w = poll->data;
	struct rt_http *http = w->http; /* the watch may be gone after the call */
	int what = 0, running;

	if (status < 0)
		what = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		what |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		what |= CURL_CSELECT_OUT;
	curl_multi_socket_action(http->multi, w->socket, what, &running);
	collect(http);
}

static void on_time(uv_timer_t *timer)
{
	struct rt_http *http = timer->data;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(http);
}

static int on_timer_wanted(CURLM *multi, long ms, void *arg)
{
	struct rt_http *http = arg;

	(void)multi;
	if (ms < 0) {
		uv_timer_stop(http->timer);
		return 0;
	}
	uv_update_time(&http->rt->loop); /* libuv counts from the beginning of the iteration */
	uv_timer_start(http->timer, on_time, (uint64_t)ms, 0);
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	free(handle); /* a watch begins with its handle */
}

static struct watch *watch_new(struct rt_http *http, curl_socket_t socket)
{
	struct watch *w = ff_calloc(1, sizeof(*w));

	if (uv_poll_init_socket(&http->rt->loop, &w->poll, socket) != 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	w->http = http;
	w->socket = socket;
	curl_multi_assign(http->multi, socket, w);
	return w;
}

static int on_socket_wanted(CURL *easy, curl_socket_t socket, int what, void *arg, void *socket_arg)
{
	struct rt_http *http = arg;
	struct watch *w = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			curl_multi_assign(http->multi, socket, NULL);
			uv_close((uv_handle_t *)&w->poll, on_handle_closed);
		}
		return 0;
	}
	if (w == NULL)
		w = watch_new(http, socket);
	if (w == NULL)
		return -1; /* libcurl then fails the transfer */
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	uv_poll_start(&w->poll, events, on_ready);
	return 0;
}

/* ---------------------------------------------------------------- life */

/* The CA file that the operator or the environment names, as the curl and openssl programs do it. */
static int choose_ca(struct rt_http *http, struct ff_err *err)
{
	const char *path = http->rt->options.ca_file, *from = "--ca-file";
	X509_STORE *store;
	int rc = 0;

	if (path == NULL)
		path = getenv(from = "CURL_CA_BUNDLE");
	if (path == NULL || path[0] == '\0')
		path = getenv(from = "SSL_CERT_FILE");
	if (path == NULL || path[0] == '\0')
		return 0;
	if (access(path, R_OK) != 0)
		return ff_fail(err, FF_E_USAGE, "cannot read CA file '%s' (%s): %m", path, from);
	store = X509_STORE_new();
	if (store == NULL || X509_STORE_load_locations(store, path, NULL) != 1)
		rc = ff_fail(err, FF_E_USAGE, "CA file '%s' (%s) holds no certificate in PEM form", path, from);
	X509_STORE_free(store);
	http->ca_file = ff_strdup(path);
	return rc;
}

static int multi_new(struct rt_http *http, struct ff_err *err)
{
	CURLMcode rc;

	/* keys and tokens are in what it receives and sends */
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, ff_free_wiped, ff_realloc_wiped, strdup, calloc) !=
		CURLE_OK)
		return ff_fail(err, FF_E_LOCAL, "libcurl does not start");
	http->multi = curl_multi_init();
	if (http->multi == NULL)
		ff_oom();
	rc = curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
	rc |= curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	rc |= curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
	rc |= curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	rc |= curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS_MAX);
	if (rc != CURLM_OK)
		return ff_fail(err, FF_E_LOCAL, "libcurl lacks what fixfleet needs");
	return 0;
}

struct rt_http *rt_http_new(struct ff_runtime *rt, struct ff_err *err)
{
	struct rt_http *http = ff_calloc(1, sizeof(*http));

	http->rt = rt;
	http->connections = rt->options.connections > 0 ? rt->options.connections : RT_CONNECTIONS;
	SLIST_INIT(&http->hosts);
	TAILQ_INIT(&http->exchanges);
	http->timer = ff_calloc(1, sizeof(*http->timer));
	uv_timer_init(&rt->loop, http->timer);
	http->timer->data = http;
	if (choose_ca(http, err) < 0 || multi_new(http, err) < 0) {
		rt_http_free(http);
		return NULL;
	}
	return http;
}

void rt_http_free(struct rt_http *http)
{
	struct exchange *x;
	struct host *host;
	struct rt_op *op;

	if (http == NULL)
		return;
	while ((x = TAILQ_FIRST(&http->exchanges)) != NULL)
		rt_op_free(exchange_free(http, x));
	while ((host = SLIST_FIRST(&http->hosts)) != NULL) {
		SLIST_REMOVE_HEAD(&http->hosts, next);
		for (size_t i = 0; i < FF_COUNT(host->lines); i++) {
			while ((op = STAILQ_FIRST(&host->lines[i].waiting)) != NULL) {
				STAILQ_REMOVE_HEAD(&host->lines[i].waiting, next);
				rt_op_free(op);
			}
		}
		free(host->name);
		free(host);
	}
	if (http->multi != NULL) {
		curl_multi_cleanup(http->multi);
		curl_global_cleanup();
	}
	uv_close((uv_handle_t *)http->timer, on_handle_closed);
	free(http->ca_file);
	free(http);
}
