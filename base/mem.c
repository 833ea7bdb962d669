#include "fixfleet/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

void ff_free_ptr(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

void ff_close_ptr(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

void ff_oom(void)
{
	static const char text[] = "fixfleet: out of memory\n";
	ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)ignored;
	abort();
}

void *ff_calloc(size_t count, size_t bytes)
{
	void *p = calloc(count ? count : 1, bytes ? bytes : 1);

	if (p == NULL)
		ff_oom();
	return p;
}

void *ff_realloc(void *old, size_t count, size_t bytes)
{
	size_t all;
	void *p;

	if (__builtin_mul_overflow(count, bytes, &all))
		ff_oom();
	p = realloc(old, all ? all : 1);
	if (p == NULL)
		ff_oom();
	return p;
}

char *ff_strdup(const char *text)
{
	return text ? ff_strndup(text, strlen(text)) : NULL;
}

char *ff_strndup(const char *text, size_t bytes)
{
	size_t len = strnlen(text, bytes);
	char *copy = ff_calloc(len + 1, 1);

	memcpy(copy, text, len);
	return copy;
}

char *ff_vprintf(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		ff_oom();
	return text;
}

char *ff_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	return text;
}

void ff_wipe(void *p, size_t bytes)
{
	if (p != NULL)
		OPENSSL_cleanse(p, bytes);
}

void ff_free_secret(char *text)
{
	if (text != NULL)
		ff_wipe(text, strlen(text));
	free(text);
}

void ff_free_wiped(void *p)
{
	ff_wipe(p, malloc_usable_size(p));
	free(p);
}

void *ff_realloc_wiped(void *p, size_t bytes)
{
	size_t old = malloc_usable_size(p);
	void *grown;

	if (p == NULL)
		return malloc(bytes);
	grown = bytes > 0 ? malloc(bytes) : NULL;
	if (grown != NULL)
		memcpy(grown, p, old < bytes ? old : bytes);
	if (grown != NULL || bytes == 0)
		ff_free_wiped(p);
	return grown;
}

static void *openssl_malloc(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(bytes);
}

static void *openssl_realloc(void *p, size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return ff_realloc_wiped(p, bytes);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	ff_free_wiped(p);
}

void ff_openssl_wipe_freed(void)
{
	/* it refuses when it has allocated already: then it goes on as it is */
	CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}

/* ---------------------------------------------------------------- buffer */

static void reserve(struct ff_buf *b, size_t more)
{
	size_t need, room = b->room ? b->room : 64;

	if (__builtin_add_overflow(b->len, more, &need) || __builtin_add_overflow(need, 1, &need))
		ff_oom();
	if (need <= b->room)
		return;
	while (room < need && !__builtin_mul_overflow(room, 2, &room))
		;
	b->text = ff_realloc(b->text, room, 1);
	b->room = room;
}

void ff_buf_add(struct ff_buf *b, const void *bytes, size_t len)
{
	reserve(b, len);
	if (len > 0)
		memcpy(b->text + b->len, bytes, len);
	b->len += len;
	b->text[b->len] = '\0';
}

void ff_buf_adds(struct ff_buf *b, const char *text)
{
	ff_buf_add(b, text, strlen(text));
}

void ff_buf_addf(struct ff_buf *b, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = ff_vprintf(fmt, ap);
	va_end(ap);
	ff_buf_adds(b, text);
	free(text);
}

void ff_buf_add_word(struct ff_buf *b, const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";

	if (text[0] != '\0' && text[strspn(text, safe)] == '\0') {
		ff_buf_adds(b, text);
		return;
	}
	ff_buf_adds(b, "'");
	for (; *text != '\0'; text++)
		if (*text == '\'')
			ff_buf_adds(b, "'\\''");
		else
			ff_buf_add(b, text, 1);
	ff_buf_adds(b, "'");
}

void ff_buf_drop(struct ff_buf *b, size_t len)
{
	if (len == 0)
		return;
	if (len > b->len)
		len = b->len;
	memmove(b->text, b->text + len, b->len - len);
	b->len -= len;
	b->text[b->len] = '\0';
}

char *ff_buf_take(struct ff_buf *b)
{
	char *text;

	ff_buf_add(b, "", 0);
	text = b->text;
	*b = (struct ff_buf){0};
	return text;
}

void ff_buf_free(struct ff_buf *b)
{
	free(b->text);
	*b = (struct ff_buf){0};
}

/* ---------------------------------------------------------------- list of strings */

static void strv_push(struct ff_strv *v, char *owned)
{
	v->items = ff_realloc(v->items, v->count + 2, sizeof(*v->items));
	v->items[v->count++] = owned;
	v->items[v->count] = NULL;
}

void ff_strv_add(struct ff_strv *v, const char *text)
{
	strv_push(v, ff_strdup(text));
}

void ff_strv_addf(struct ff_strv *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strv_push(v, ff_vprintf(fmt, ap));
	va_end(ap);
}

bool ff_strv_has(const struct ff_strv *v, const char *text)
{
	for (size_t i = 0; i < v->count; i++)
		if (ff_streq(v->items[i], text))
			return true;
	return false;
}

void ff_strv_free(struct ff_strv *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->items[i]);
	free(v->items);
	*v = (struct ff_strv){0};
}
