#include "fixfleet/ask.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

void ff_headers_add(struct ff_headers *h, const char *name, const char *value)
{
	h->items = ff_realloc(h->items, h->count + 1, sizeof(*h->items));
	h->items[h->count].name = ff_strdup(name);
	h->items[h->count].value = ff_strdup(value);
	h->count++;
}

void ff_headers_set(struct ff_headers *h, const char *name, const char *value)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (ff_strcaseeq(h->items[i].name, name)) {
			free(h->items[i].name);
			ff_free_secret(h->items[i].value);
		} else {
			h->items[kept++] = h->items[i];
		}
	}
	h->count = kept;
	ff_headers_add(h, name, value);
}

const char *ff_headers_get(const struct ff_headers *h, const char *name)
{
	for (size_t i = 0; i < h->count; i++)
		if (ff_strcaseeq(h->items[i].name, name))
			return h->items[i].value;
	return NULL;
}

void ff_headers_free(struct ff_headers *h)
{
	for (size_t i = 0; i < h->count; i++) {
		free(h->items[i].name);
		ff_free_secret(h->items[i].value);
	}
	free(h->items);
	*h = (struct ff_headers){0};
}

void ff_ask_release(struct ff_ask *ask)
{
	free(ask->method);
	free(ask->url);
	ff_headers_free(&ask->headers);
	if (ask->secret && ask->body != NULL)
		ff_wipe(ask->body, ask->body_len);
	free(ask->body);
	free(ask->ca_file);
	free(ask->path);
	ff_strv_free(&ask->argv);
	for (size_t i = 0; i < ask->cost_count; i++)
		free(ask->costs[i].key);
	*ask = (struct ff_ask){0};
}

void ff_ask_http(struct ff_ask *ask, const char *method, const char *url_fmt, ...)
{
	va_list ap;

	*ask = (struct ff_ask){.kind = FF_ASK_HTTP, .method = ff_strdup(method)};
	va_start(ap, url_fmt);
	ask->url = ff_vprintf(url_fmt, ap);
	va_end(ap);
}

void ff_ask_body(struct ff_ask *ask, const char *content_type, char *body_owned)
{
	ff_headers_set(&ask->headers, "Content-Type", content_type);
	ask->body = body_owned;
	ask->body_len = strlen(body_owned);
}

void ff_ask_cost(struct ff_ask *ask, const char *key, double capacity, double refill_per_s)
{
	if (ask->cost_count == FF_COSTS_MAX)
		return;
	ask->costs[ask->cost_count++] =
		(struct ff_cost){.key = ff_strdup(key), .capacity = capacity, .refill_per_s = refill_per_s};
}

void ff_answer_release(struct ff_answer *answer, bool secret)
{
	ff_headers_free(&answer->headers);
	if (secret && answer->body != NULL)
		ff_wipe(answer->body, answer->body_len);
	free(answer->body);
	*answer = (struct ff_answer){0};
}

/* ---------------------------------------------------------------- URLs */

static const char *after_scheme(const char *url, bool *https)
{
	if (url == NULL)
		return NULL;
	if (strncasecmp(url, "https://", 8) == 0) {
		*https = true;
		return url + 8;
	}
	if (strncasecmp(url, "http://", 7) == 0) {
		*https = false;
		return url + 7;
	}
	return NULL;
}

char *ff_url_host(const char *url)
{
	bool https;
	const char *p = after_scheme(url, &https);
	size_t len;
	char *host;

	if (p == NULL)
		return NULL;
	/* no URL holds them, and in a request they would end its first line */
	for (const char *c = p; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return NULL;
	len = strcspn(p, "/?#");
	/* what could make two readers of the URL disagree about its host is refused */
	for (size_t i = 0; i < len; i++)
		if (p[i] == '@' || p[i] == '\\' || p[i] == '%' || (unsigned char)p[i] >= 0x80)
			return NULL;
	if (len == 0 || p[0] == ':')
		return NULL;
	host = ff_strndup(p, len);
	for (char *c = host; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	return host;
}

char *ff_url_hostname(const char *url)
{
	char *host = ff_url_host(url), *port;

	if (host == NULL)
		return NULL;
	port = host[0] == '[' ? strchr(host, ']') : host;
	port = port ? strchr(port, ':') : NULL;
	if (port != NULL)
		*port = '\0';
	return host;
}

static bool plain_http_allowed(const char *hostname)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, hostname, &v4) == 1) {
		uint32_t a = ntohl(v4.s_addr);

		return a >> 24 == 127 || a >> 16 == (169u << 8 | 254);
	}
	return ff_streq(hostname, "localhost") || ff_streq(hostname, "[::1]") ||
	       ff_streq(hostname, "[fd00:ec2::254]") || ff_streq(hostname, "[fd00:ec2::23]") ||
	       ff_streq(hostname, "metadata.google.internal");
}

int ff_url_check(const char *url, struct ff_err *err)
{
	bool https = false;
	ff_auto_free char *hostname = ff_url_hostname(url), *clean = ff_printable(url);

	after_scheme(url, &https);
	if (hostname == NULL)
		return ff_fail(err, FF_E_USAGE, "'%s' is not an http(s) URL", clean);
	if (!https && !plain_http_allowed(hostname))
		return ff_fail(err, FF_E_USAGE,
			"'%s' is plain http: credentials go over https only, or to this machine", clean);
	return 0;
}
