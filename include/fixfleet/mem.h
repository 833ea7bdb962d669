/*
 * Memory and texts: cleanup attributes, a growing buffer, a list of strings, and the text functions that every cloud
 * needs.
 *
 * Running out of memory ends the process (ff_oom): the journal makes that as safe as any other crash, and no caller
 * could do better. So functions that only allocate have no error.
 */
#ifndef FIXFLEET_MEM_H
#define FIXFLEET_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void ff_free_ptr(void *pointer_to_pointer);
void ff_close_ptr(int *fd);

#define ff_auto_free  __attribute__((cleanup(ff_free_ptr)))
#define ff_auto_close __attribute__((cleanup(ff_close_ptr)))

/* Hand a pointer over: `*out = FF_STEAL(text);` leaves NULL behind for the cleanup attribute. */
#define FF_STEAL(p)                                                                                                    \
	__extension__({                                                                                                \
		__typeof__(p) ff_stolen_ = (p);                                                                        \
		(p) = NULL;                                                                                            \
		ff_stolen_;                                                                                            \
	})

#define FF_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/** Says so on stderr and ends the process with 4 when a disk may be away (it cannot know): abort(). Never returns. */
void ff_oom(void) __attribute__((noreturn));

void *ff_calloc(size_t count, size_t bytes) __attribute__((malloc));
void *ff_realloc(void *old, size_t count, size_t bytes);   /* checks count * bytes for overflow */
char *ff_strdup(const char *text) __attribute__((malloc)); /* NULL gives NULL */
char *ff_strndup(const char *text, size_t bytes) __attribute__((malloc));
char *ff_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc)); /* the caller frees */
char *ff_vprintf(const char *fmt, va_list ap) __attribute__((malloc));

/** free() after overwriting; for tokens, keys, passwords. NULL is fine. */
void ff_free_secret(char *text);
void ff_wipe(void *p, size_t bytes);

/* For libraries that keys and tokens pass through: all of the block is overwritten before it is given back. */
void ff_free_wiped(void *p);
void *ff_realloc_wiped(void *p, size_t bytes);
/** Call once, before OpenSSL is used in any way, by libraries too: from now on it frees so. */
void ff_openssl_wipe_freed(void);

/* ---- a growing buffer; all zero is an empty one. `text` is always NUL-terminated once something was added. */
struct ff_buf {
	char *text;
	size_t len, room;
};
void ff_buf_add(struct ff_buf *b, const void *bytes, size_t len);
void ff_buf_adds(struct ff_buf *b, const char *text);
void ff_buf_addf(struct ff_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ff_buf_drop(struct ff_buf *b, size_t len); /* remove the first len bytes */
/** Append the text as one word for a POSIX shell: as it is where that is safe, else in single quotes. */
void ff_buf_add_word(struct ff_buf *b, const char *text);
char *ff_buf_take(struct ff_buf *b); /* the text ("" when empty), owned by the caller; the buffer is empty after */
void ff_buf_free(struct ff_buf *b);
#define ff_auto_buf __attribute__((cleanup(ff_buf_free))) struct ff_buf

/* ---- a list of strings; all zero is an empty one. Owns its strings. `items` is NULL-terminated once used. */
struct ff_strv {
	char **items;
	size_t count;
};
void ff_strv_add(struct ff_strv *v, const char *text);
void ff_strv_addf(struct ff_strv *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool ff_strv_has(const struct ff_strv *v, const char *text);
void ff_strv_free(struct ff_strv *v);

/* ---- texts */

/** Both NULL or both the same text. */
bool ff_streq(const char *a, const char *b);
/** The same without regard to ASCII case (Azure ids change case from answer to answer). */
bool ff_strcaseeq(const char *a, const char *b);
bool ff_has_prefix(const char *text, const char *prefix);
bool ff_has_suffix(const char *text, const char *suffix);
/** Is ASCII-lower(needle) inside ASCII-lower(hay)? NULL hay is empty. */
bool ff_contains_nocase(const char *hay, const char *needle);

/**
 * A text from a cloud or a disk, made safe for terminals and logs: control characters (C0, DEL, C1), backslashes and
 * invalid UTF-8 become \xNN; valid UTF-8 stays. The caller frees. NULL gives "(none)".
 */
char *ff_printable(const char *text);
char *ff_printable_n(const char *text, size_t bytes);

/** RFC 3986 percent-encoding of everything but unreserved characters. The caller frees. */
char *ff_percent_encode(const char *text);
/** Append "&key=value" (or "key=value" when empty), both percent-encoded. */
void ff_form_add(struct ff_buf *form, const char *key, const char *value);

/** base64 (RFC 4648 section 4, padded) and base64url (section 5, not padded). The caller frees. */
char *ff_base64(const void *bytes, size_t len);
char *ff_base64url(const void *bytes, size_t len);
/** Decodes either alphabet, padding optional. NULL when malformed. `*len` is set; a NUL follows the bytes. */
void *ff_base64_decode(const char *text, size_t *len);

/** SHA-256 of the bytes as 64 lower-case hex digits plus NUL. */
void ff_sha256_hex(const void *bytes, size_t len, char out[65]);

/** A whole decimal number in [min, max] and nothing else. -1 otherwise, `*out` untouched. */
int ff_parse_i64(const char *text, int64_t min, int64_t max, int64_t *out);

/** Shell glob (`*`, `?`, `[...]`) without regard to case, for --name. */
bool ff_glob(const char *pattern, const char *text);

#endif
