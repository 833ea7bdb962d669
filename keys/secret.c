/* --key-secret PATTERN: keys in the secret store of the VM's own cloud. Which request that takes is the provider's. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/keys.h"
#include "fixfleet/secret.h"

/* The n-th protector that a key opens; NULL: there are fewer. */
static const char *protector(const struct ff_key_want *want, size_t n)
{
	for (size_t i = 0; i < want->protector_count; i++) {
		const struct ff_protector *p = &want->protectors[i];

		if ((ff_streq(p->kind, "recovery-password") || ff_streq(p->kind, "startup-key")) && n-- == 0)
			return p->id;
	}
	return NULL;
}

char *ff_key_secret_name(const char *pattern, const struct ff_key_want *want, size_t n)
{
	const struct {
		const char *hole, *value;
	} holes[] = {{"{vm}", want->vm_name}, {"{volume}", want->volume_id}, {"{protector}", protector(want, n)}};
	struct ff_buf name = {0};

	if (n > 0 && strstr(pattern, "{protector}") == NULL)
		return NULL;
	while (*pattern != '\0') {
		size_t i = 0;

		while (i < FF_COUNT(holes) && !ff_has_prefix(pattern, holes[i].hole))
			i++;
		if (i == FF_COUNT(holes)) {
			ff_buf_add(&name, pattern++, 1);
			continue;
		}
		if (holes[i].value == NULL) {
			ff_buf_free(&name);
			return NULL;
		}
		ff_buf_adds(&name, holes[i].value);
		pattern += strlen(holes[i].hole);
	}
	return ff_buf_take(&name);
}

bool ff_keys_add_secret(struct ff_keys *keys, const char *bytes, size_t len)
{
	const char *text = bytes;
	size_t text_len = len;
	char *base64;
	bool is;

	for (; text_len > 0 && isspace((unsigned char)*text); text++)
		text_len--;
	while (text_len > 0 && isspace((unsigned char)text[text_len - 1]))
		text_len--;
	if (text_len > 0 && ff_key_is(text, text_len)) {
		ff_keys_add(keys, NULL, text, text_len);
		return true;
	}
	base64 = ff_base64(bytes, len);
	is = len > 0 && ff_key_is(base64, strlen(base64));
	if (is)
		ff_keys_add(keys, NULL, base64, strlen(base64));
	ff_free_secret(base64);
	return is;
}
