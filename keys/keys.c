#include "fixfleet/keys.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/secret.h"

#define DIGITS	  48
#define BEK_BYTES 80 /* at least: a header of 48 bytes, and the head of its entry */

json_t *ff_key_want_json(const struct ff_key_want *want)
{
	json_t *json = json_object(), *list = json_array();

	for (size_t i = 0; i < want->protector_count; i++) {
		json_t *p = json_object();

		ff_json_set_str(p, "id", want->protectors[i].id);
		ff_json_set_str(p, "kind", want->protectors[i].kind);
		if (json_array_append_new(list, p) != 0)
			ff_oom();
	}
	ff_json_set_str(json, "provider", want->provider);
	ff_json_set_str(json, "vm", want->vm_name);
	ff_json_set_str(json, "vm_id", want->vm_id);
	ff_json_set_str(json, "disk_id", want->disk_id);
	ff_json_set_str(json, "volume_id", want->volume_id);
	ff_json_set_new(json, "protectors", list);
	return json;
}

void ff_keys_add(struct ff_keys *keys, const char *protector, const char *text, size_t len)
{
	struct ff_key *key;

	if (keys->count >= FF_KEYS_MAX)
		return;
	key = &keys->items[keys->count++];
	*key = (struct ff_key){.text = ff_secret_strndup(text, len)};
	for (size_t i = 0; protector != NULL && protector[i] != '\0' && i + 1 < sizeof(key->protector); i++)
		key->protector[i] = (char)tolower((unsigned char)protector[i]);
}

void ff_keys_release(struct ff_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		ff_secret_free(keys->items[i].text);
	*keys = (struct ff_keys){0};
}

static bool is_recovery(const char *text, size_t len)
{
	size_t digits = 0;

	for (size_t i = 0; i < len; i++) {
		if (isdigit((unsigned char)text[i]))
			digits++;
		else if ((text[i] != '-' && text[i] != ' ') || digits % 6 != 0)
			return false;
	}
	return digits == DIGITS;
}

/* The first four bytes are its length, whatever stands in the rest. */
static bool is_startup_key(const char *text, size_t len)
{
	char *copy = ff_secret_strndup(text, len);
	size_t bytes = 0;
	unsigned char *bek = ff_base64_decode(copy, &bytes);
	bool is = bek != NULL && bytes >= BEK_BYTES && (size_t)(bek[0] | bek[1] << 8) == bytes && bek[2] == 0 &&
		  bek[3] == 0;

	ff_wipe(bek, bytes);
	free(bek);
	ff_secret_free(copy);
	return is;
}

bool ff_key_is(const char *text, size_t len)
{
	return len <= FF_KEY_BYTES_MAX && (is_recovery(text, len) || is_startup_key(text, len));
}
