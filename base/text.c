/* Texts: comparing, escaping, encoding, hashing. */
#include "fixfleet/mem.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

bool ff_streq(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Not strcasecmp(): that follows the locale. */
static int lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

bool ff_strcaseeq(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	while (*a != '\0' && lower((unsigned char)*a) == lower((unsigned char)*b)) {
		a++;
		b++;
	}
	return *a == *b;
}

bool ff_has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool ff_has_suffix(const char *text, const char *suffix)
{
	size_t a = strlen(text), b = strlen(suffix);

	return a >= b && strcmp(text + a - b, suffix) == 0;
}

bool ff_contains_nocase(const char *hay, const char *needle)
{
	size_t len = strlen(needle);

	if (len == 0)
		return true;
	for (; hay != NULL && *hay != '\0'; hay++) {
		size_t i = 0;

		while (i < len && lower((unsigned char)hay[i]) == lower((unsigned char)needle[i]))
			i++;
		if (i == len)
			return true;
	}
	return false;
}

/* Length of the valid UTF-8 sequence at p that is safe to print, or 0. C1 controls are valid UTF-8 but not safe. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	size_t len;
	uint32_t code;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f && p[0] != '\\';
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (left < len)
		return 0;
	code = p[0] & (0xff >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < 0xa0 || (len == 3 && code < 0x800) || (len == 4 && (code < 0x10000 || code > 0x10ffff)) ||
		(code >= 0xd800 && code <= 0xdfff))
		return 0;
	/* bidirectional overrides and line separators change what a line seems to say */
	if ((code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x2028 ||
		code == 0x2029)
		return 0;
	return len;
}

char *ff_printable_n(const char *text, size_t bytes)
{
	struct ff_buf out = {0};
	const unsigned char *p = (const unsigned char *)text;

	while (bytes > 0) {
		size_t len = utf8_len(p, bytes);

		if (len > 0) {
			ff_buf_add(&out, p, len);
		} else {
			len = 1;
			ff_buf_addf(&out, "\\x%02x", p[0]);
		}
		p += len;
		bytes -= len;
	}
	return ff_buf_take(&out);
}

char *ff_printable(const char *text)
{
	return text ? ff_printable_n(text, strlen(text)) : ff_strdup("(none)");
}

/* ---------------------------------------------------------------- encodings */

char *ff_percent_encode(const char *text)
{
	struct ff_buf out = {0};

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c))
			ff_buf_add(&out, text, 1);
		else
			ff_buf_addf(&out, "%%%02X", c);
	}
	return ff_buf_take(&out);
}

void ff_form_add(struct ff_buf *form, const char *key, const char *value)
{
	char *k = ff_percent_encode(key), *v = ff_percent_encode(value);

	ff_buf_addf(form, "%s%s=%s", form->len ? "&" : "", k, v);
	free(k);
	ff_free_secret(v);
}

char *ff_base64(const void *bytes, size_t len)
{
	char *out;

	if (len > INT32_MAX / 2)
		ff_oom();
	out = ff_calloc((len + 2) / 3 * 4 + 1, 1);
	EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
	return out;
}

char *ff_base64url(const void *bytes, size_t len)
{
	char *out = ff_base64(bytes, len);

	for (char *p = out; *p != '\0'; p++) {
		if (*p == '+')
			*p = '-';
		else if (*p == '/')
			*p = '_';
		else if (*p == '=')
			*p = '\0';
	}
	return out;
}

void *ff_base64_decode(const char *text, size_t *len)
{
	size_t in = strlen(text), used, padded;
	char *copy;
	unsigned char *out;
	int n;

	while (in > 0 && text[in - 1] == '=')
		in--;
	if (in % 4 == 1 || in > INT32_MAX / 2 || strlen(text) - in > 2)
		return NULL;
	padded = (in + 3) / 4 * 4;
	copy = ff_calloc(padded + 1, 1);
	for (used = 0; used < in; used++) {
		char c = text[used];

		copy[used] = c;
		if (c == '-')
			copy[used] = '+';
		else if (c == '_')
			copy[used] = '/';
		else if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
				 c == '/')) {
			ff_free_secret(copy);
			return NULL;
		}
	}
	for (; used < padded; used++)
		copy[used] = '=';
	out = ff_calloc(padded / 4 * 3 + 1, 1);
	n = EVP_DecodeBlock(out, (unsigned char *)copy, (int)padded);
	ff_free_secret(copy);
	if (n < 0) {
		free(out);
		return NULL;
	}
	*len = (size_t)n - (padded - in);
	out[*len] = '\0';
	return out;
}

void ff_sha256_hex(const void *bytes, size_t len, char out[65])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char sum[32];
	unsigned n = 0;

	if (EVP_Digest(bytes, len, sum, &n, EVP_sha256(), NULL) != 1 || n != sizeof(sum))
		ff_oom(); /* SHA-256 fails only for want of memory or of a usable OpenSSL */
	for (unsigned i = 0; i < n; i++) {
		out[2 * i] = hex[sum[i] >> 4];
		out[2 * i + 1] = hex[sum[i] & 15];
	}
	out[64] = '\0';
}

/* ---------------------------------------------------------------- numbers and patterns */

int ff_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out)
{
	char *end;
	long long value;

	if (text == NULL || !((*text >= '0' && *text <= '9') || (*text == '-' && text[1] >= '0' && text[1] <= '9')))
		return -1;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || *end != '\0' || value < min || value > max)
		return -1;
	*out = value;
	return 0;
}

bool ff_glob(const char *pattern, const char *text)
{
	return fnmatch(pattern, text, FNM_CASEFOLD | FNM_NOESCAPE) == 0;
}
