/*
 * Signature Version 4, in the Authorization header. The rules that bite (facts section 9): header names lower case and
 * sorted, values trimmed and inner blanks squeezed, the query sorted after encoding, the exact bytes that are sent.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

void aws_signed_release(struct aws_signed *s)
{
	free(s->canonical);
	free(s->to_sign);
	*s = (struct aws_signed){0};
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---------------------------------------------------------------- path and query */

static void add_encoded(struct ff_buf *out, const char *text, size_t len)
{
	ff_auto_free char *part = ff_strndup(text, len), *encoded = ff_percent_encode(part);

	ff_buf_adds(out, encoded);
}

/* RFC 3986 section 5.2.4, and doubled slashes are one. */
static void add_normal_path(struct ff_buf *out, const char *path, size_t len)
{
	struct ff_strv kept = {0};
	bool folder = len > 0 && path[len - 1] == '/';

	for (size_t at = 0; at < len;) {
		size_t n = 0;

		while (at + n < len && path[at + n] != '/')
			n++;
		folder = at + n < len;
		if (n == 2 && path[at] == '.' && path[at + 1] == '.') {
			if (kept.count > 0)
				free(kept.items[--kept.count]);
			folder = true;
		} else if (n == 1 && path[at] == '.') {
			folder = true;
		} else if (n > 0) {
			ff_strv_addf(&kept, "%.*s", (int)n, path + at);
		}
		at += n + 1;
	}
	for (size_t i = 0; i < kept.count; i++) {
		ff_buf_adds(out, "/");
		add_encoded(out, kept.items[i], strlen(kept.items[i]));
	}
	if (folder || kept.count == 0)
		ff_buf_adds(out, "/");
	ff_strv_free(&kept);
}

static void add_raw_path(struct ff_buf *out, const char *path, size_t len)
{
	if (len == 0)
		ff_buf_adds(out, "/");
	for (size_t at = 0; at < len;) {
		size_t n = 0;

		while (at + n < len && path[at + n] != '/')
			n++;
		add_encoded(out, path + at, n);
		if (at + n < len)
			ff_buf_adds(out, "/");
		at += n + 1;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX taken back, so that what was encoded already is not encoded twice. */
static void add_recoded(struct ff_buf *out, const char *text, size_t len)
{
	ff_auto_buf plain = {0};

	for (size_t i = 0; i < len; i++) {
		int high = i + 2 < len && text[i] == '%' ? hex_digit(text[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
		char c = text[i];

		if (low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		}
		ff_buf_add(&plain, &c, 1);
	}
	add_encoded(out, plain.text ? plain.text : "", plain.len);
}

static void add_query(struct ff_buf *out, const char *query)
{
	struct ff_strv pairs = {0};

	while (*query != '\0') {
		size_t len = strcspn(query, "&#"), name = 0;
		ff_auto_buf pair = {0};

		while (name < len && query[name] != '=')
			name++;
		if (len > 0) {
			add_recoded(&pair, query, name);
			ff_buf_adds(&pair, "=");
			if (name < len)
				add_recoded(&pair, query + name + 1, len - name - 1);
			ff_strv_add(&pairs, pair.text);
		}
		query += len;
		if (*query != '&')
			break;
		query++;
	}
	/* names sort before values: '=' is below every character that a name can have but "-.", digits and '%' */
	for (size_t i = 0; i < pairs.count; i++)
		*strchr(pairs.items[i], '=') = '\1';
	if (pairs.count > 1)
		qsort(pairs.items, pairs.count, sizeof(*pairs.items), compare_texts);
	for (size_t i = 0; i < pairs.count; i++) {
		*strchr(pairs.items[i], '\1') = '=';
		ff_buf_addf(out, "%s%s", i ? "&" : "", pairs.items[i]);
	}
	ff_strv_free(&pairs);
}

/* ---------------------------------------------------------------- headers */

static bool is_signed(const char *lower_name)
{
	static const char *const never[] = {"user-agent", "authorization", "connection", "expect"};

	for (size_t i = 0; i < FF_COUNT(never); i++)
		if (ff_streq(lower_name, never[i]))
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_squeezed(struct ff_buf *out, const char *value)
{
	bool gap = false, any = false;

	for (; *value != '\0'; value++) {
		if (is_blank(*value)) {
			gap = any;
			continue;
		}
		if (gap)
			ff_buf_adds(out, " ");
		gap = false;
		any = true;
		ff_buf_add(out, value, 1);
	}
}

static char *lower_dup(const char *text)
{
	char *copy = ff_strdup(text);

	for (char *p = copy; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
	return copy;
}

/* "name:value,value\n" of each; the names joined by ';' go to `names`. */
static void add_headers(struct ff_buf *out, struct ff_buf *names, const struct ff_headers *h)
{
	struct ff_strv list = {0};

	for (size_t i = 0; i < h->count; i++) {
		ff_auto_free char *name = lower_dup(h->items[i].name);

		if (is_signed(name) && !ff_strv_has(&list, name))
			ff_strv_add(&list, name);
	}
	if (list.count > 1)
		qsort(list.items, list.count, sizeof(*list.items), compare_texts);
	for (size_t k = 0; k < list.count; k++) {
		const char *comma = "";

		ff_buf_addf(out, "%s:", list.items[k]);
		for (size_t i = 0; i < h->count; i++) {
			if (!ff_strcaseeq(h->items[i].name, list.items[k]))
				continue;
			ff_buf_adds(out, comma);
			add_squeezed(out, h->items[i].value);
			comma = ",";
		}
		ff_buf_adds(out, "\n");
		ff_buf_addf(names, "%s%s", k ? ";" : "", list.items[k]);
	}
	ff_strv_free(&list);
}

/* As it goes over the wire: libcurl leaves the scheme's own port out. */
static int set_host(struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *host = ff_url_host(ask->url);

	if (ff_headers_get(&ask->headers, "Host") != NULL)
		return 0;
	if (host == NULL)
		return ff_fail(err, FF_E_BUG, "'%.100s' has no host to sign for", ask->url ? ask->url : "");
	if (ff_has_suffix(host, strncasecmp(ask->url, "https:", 6) == 0 ? ":443" : ":80"))
		*strrchr(host, ':') = '\0';
	ff_headers_set(&ask->headers, "Host", host);
	return 0;
}

/* ---------------------------------------------------------------- the signature */

static char *canonical_request(const struct ff_ask *ask, const struct aws_scope *scope, struct ff_buf *names)
{
	const char *path = strstr(ask->url, "://"), *query;
	struct ff_buf out = {0};
	char hash[65];
	size_t len;

	path = path ? path + 3 : ask->url;
	path += strcspn(path, "/?#");
	len = strcspn(path, "?#");
	query = path[len] == '?' ? path + len + 1 : "";
	ff_buf_addf(&out, "%s\n", ask->method);
	(scope->raw_path ? add_raw_path : add_normal_path)(&out, path, len);
	ff_buf_adds(&out, "\n");
	add_query(&out, query);
	ff_buf_adds(&out, "\n");
	add_headers(&out, names, &ask->headers);
	ff_sha256_hex(ask->body ? ask->body : "", ask->body_len, hash);
	ff_buf_addf(&out, "\n%s\n%s", names->text, hash);
	return ff_buf_take(&out);
}

static void hmac(const void *key, size_t key_len, const char *text, unsigned char out[32])
{
	unsigned n = 0;

	if (HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &n) == NULL ||
		n != 32)
		ff_oom(); /* fails only for want of memory or of a usable OpenSSL */
}

static void sign_text(
	const char *secret, const char *date, const struct aws_scope *scope, const char *text, char hex[65])
{
	ff_auto_buf start = {0};
	unsigned char key[32];

	ff_buf_addf(&start, "AWS4%s", secret);
	hmac(start.text, start.len, date, key);
	ff_wipe(start.text, start.len);
	hmac(key, sizeof(key), scope->region, key);
	hmac(key, sizeof(key), scope->service, key);
	hmac(key, sizeof(key), "aws4_request", key);
	hmac(key, sizeof(key), text, key);
	for (size_t i = 0; i < sizeof(key); i++) {
		hex[2 * i] = "0123456789abcdef"[key[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[key[i] & 15];
	}
	hex[64] = '\0';
	ff_wipe(key, sizeof(key));
}

/* "20240719T040900Z" */
static void stamp(int64_t wall_ms, char out[17])
{
	char text[FF_TIME_BYTES];
	size_t n = 0;

	ff_time_format(wall_ms, 0, text);
	for (const char *p = text; *p != '\0' && n < 16; p++)
		if (*p != '-' && *p != ':')
			out[n++] = *p;
	out[n] = '\0';
}

int aws_sigv4(struct ff_ask *ask, const struct aws_keys *keys, const struct aws_scope *scope, int64_t wall_ms,
	struct aws_signed *out, struct ff_err *err)
{
	char when[17], date[9], hash[65], signature[65];
	ff_auto_buf names = {0};
	ff_auto_free char *canonical = NULL, *to_sign = NULL, *value = NULL;

	stamp(wall_ms, when);
	memcpy(date, when, 8);
	date[8] = '\0';
	if (set_host(ask, err) < 0)
		return -1;
	ff_headers_set(&ask->headers, "X-Amz-Date", when);
	if (scope->hash_header) {
		ff_sha256_hex(ask->body ? ask->body : "", ask->body_len, hash);
		ff_headers_set(&ask->headers, "X-Amz-Content-Sha256", hash);
	}
	if (keys->token != NULL && !scope->token_unsigned)
		ff_headers_set(&ask->headers, "X-Amz-Security-Token", keys->token);
	canonical = canonical_request(ask, scope, &names);
	ff_sha256_hex(canonical, strlen(canonical), hash);
	to_sign =
		ff_printf(ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", when, date, scope->region, scope->service, hash);
	sign_text(keys->secret, date, scope, to_sign, signature);
	value = ff_printf(ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s", keys->id,
		date, scope->region, scope->service, names.text, signature);
	ff_headers_set(&ask->headers, "Authorization", value);
	if (keys->token != NULL && scope->token_unsigned)
		ff_headers_set(&ask->headers, "X-Amz-Security-Token", keys->token);
	if (out != NULL) {
		out->canonical = FF_STEAL(canonical);
		out->to_sign = FF_STEAL(to_sign);
		memcpy(out->signature, signature, sizeof(signature));
	}
	return 0;
}
