#include "fixfleet/keys.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/secret.h"

#define DIGITS	    48
#define BEK_GUID_AT 16
#define BEK_BYTES   80 /* at least: a header of 48 bytes, and the head of its entry */

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

static bool is_guid(const char *text)
{
	if (text == NULL || strlen(text) != FF_GUID_BYTES - 1)
		return false;
	for (size_t i = 0; i < FF_GUID_BYTES - 1; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-'
							    : strchr("0123456789abcdef", text[i]) == NULL)
			return false;
	return true;
}

static int read_protectors(struct ff_key_want *want, const json_t *list)
{
	const json_t *entry;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > FF_PROTECTORS_MAX)
		return -1;
	json_array_foreach (list, i, entry) {
		const char *id = ff_json_str(entry, "id"), *kind = ff_json_str(entry, "kind");
		struct ff_protector *p = &want->protectors[want->protector_count++];

		if (!is_guid(id) || kind == NULL || strlen(kind) >= sizeof(p->kind) ||
			strspn(kind, "abcdefghijklmnopqrstuvwxyz-") != strlen(kind))
			return -1;
		snprintf(p->id, sizeof(p->id), "%s", id);
		snprintf(p->kind, sizeof(p->kind), "%s", kind);
	}
	return 0;
}

int ff_key_want_read(struct ff_key_want *want, const json_t *event)
{
	const char *id = ff_json_str(event, "volume_id");

	*want = (struct ff_key_want){.provider = "", .vm_name = "", .vm_id = "", .disk_id = "", .volume_id = id};
	return is_guid(id) ? read_protectors(want, json_object_get(event, "protectors")) : -1;
}

json_t *ff_key_line(const char *job, int64_t volume, const struct ff_keys *found, const char *reason)
{
	json_t *line = json_object(), *list = json_array();

	for (size_t i = 0; i < found->count; i++) {
		const struct ff_key *key = &found->items[i];
		json_t *entry = json_object();

		ff_json_set_new(entry, "protector", key->protector[0] ? json_string(key->protector) : json_null());
		ff_json_set_str(entry, "key", key->text);
		if (json_array_append_new(list, entry) != 0)
			ff_oom();
	}
	ff_json_set_str(line, "op", "key");
	ff_json_set_str(line, "job", job);
	ff_json_set_int(line, "volume", volume);
	ff_json_set_new(line, "keys", list);
	ff_json_set_new(line, "reason", found->count > 0 ? json_null() : json_string(reason));
	return line;
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

/* Of a GUID as Windows writes it: the first three fields have their low bytes first. */
static void guid_text(const unsigned char *g, char id[FF_GUID_BYTES])
{
	snprintf(id, FF_GUID_BYTES, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", g[3], g[2],
		g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

/* The first four bytes are its length, whatever stands in the rest; the GUID is at byte 16. */
bool ff_key_startup_id(const char *text, char id[FF_GUID_BYTES])
{
	size_t bytes = 0;
	unsigned char *bek = ff_base64_decode(text, &bytes);
	bool is = bek != NULL && bytes >= BEK_BYTES && (size_t)(bek[0] | bek[1] << 8) == bytes && bek[2] == 0 &&
		  bek[3] == 0;

	if (is)
		guid_text(bek + BEK_GUID_AT, id);
	ff_wipe(bek, bytes);
	free(bek);
	return is;
}

static bool is_startup_key(const char *text, size_t len)
{
	char *copy = ff_secret_strndup(text, len), id[FF_GUID_BYTES];
	bool is = ff_key_startup_id(copy, id);

	ff_secret_free(copy);
	return is;
}

/* Six digits in a row (a group of a recovery password), or as much base64 as a part of a startup key. */
static bool may_hold_key(const char *text)
{
	size_t digits = 0, base64 = 0;

	for (; *text != '\0'; text++) {
		digits = isdigit((unsigned char)*text) ? digits + 1 : 0;
		base64 = isalnum((unsigned char)*text) || *text == '+' || *text == '/' ? base64 + 1 : 0;
		if (digits >= 6 || base64 >= 64)
			return true;
	}
	return false;
}

char *ff_key_refusal(const char *source, const char *why)
{
	return ff_printf("%s: %.300s", source,
		may_hold_key(why) ? "it failed, and what it says may hold a key: it is not shown" : why);
}

bool ff_key_is(const char *text, size_t len)
{
	return len <= FF_KEY_BYTES_MAX && (is_recovery(text, len) || is_startup_key(text, len));
}
