/* Registry values, services and proofs of a recipe. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recipe_read.h"

#define KEYS_MAX	 32
#define KEY_BYTES_MAX	 255 /* of one segment, and of a value's name (Registry Element Size Limits) */
#define TEXT_BYTES_MAX	 (16 * 1024)
#define SERVICE_DISABLED 4 /* SERVICE_DISABLED of winsvc.h */
#define SHOWN_TEXT_BYTES 80
#define DWORD_BYTES	 4
#define QWORD_BYTES	 8
#define UTF16_SURROGATE	 0x10000

static const char *const type_words[] = {"dword", "qword", "sz", "expand_sz", "multi_sz", "binary", NULL};
static const uint32_t types[] = {RECIPE_REG_DWORD, RECIPE_REG_QWORD, RECIPE_REG_SZ, RECIPE_REG_EXPAND_SZ,
	RECIPE_REG_MULTI_SZ, RECIPE_REG_BINARY};

/* One entry of "registry" or, of a value that must hold, of "proof" while it is read. */
struct value_entry {
	struct recipe_value *value;
	const json_t *data;
	bool typed;
};

/* ---------------------------------------------------------------- data */

static void add_le(struct ff_buf *out, uint64_t number, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		char byte = (char)(number >> (8 * i));

		ff_buf_add(out, &byte, 1);
	}
}

/* Valid UTF-8, which jansson vouches for, as UTF-16LE with a NUL behind it. */
static void add_utf16(struct ff_buf *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p != '\0') {
		unsigned more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
		uint32_t c = more ? *p & (0x3f >> more) : *p;

		p++;
		for (; more > 0 && *p != '\0'; more--)
			c = c << 6 | (*p++ & 0x3f);
		if (c >= UTF16_SURROGATE) {
			c -= UTF16_SURROGATE;
			add_le(out, 0xd800 + (c >> 10), 2);
			add_le(out, 0xdc00 + (c & 0x3ff), 2);
		} else {
			add_le(out, c, 2);
		}
	}
	add_le(out, 0, 2);
}

static int take_number(struct reading *r, struct ff_buf *out, const json_t *data, unsigned bytes)
{
	int64_t number = json_integer_value(data);

	if (!json_is_integer(data) || number < 0 || (bytes == DWORD_BYTES && number > UINT32_MAX))
		return reading_fail(r, "not a whole number that fits");
	add_le(out, (uint64_t)number, bytes);
	return 0;
}

static int take_text(struct reading *r, struct ff_buf *out, const json_t *data)
{
	if (!json_is_string(data) || json_string_length(data) > TEXT_BYTES_MAX ||
		strlen(json_string_value(data)) != json_string_length(data))
		return reading_fail(r, "not a text of at most %d bytes", TEXT_BYTES_MAX);
	add_utf16(out, json_string_value(data));
	return 0;
}

static int take_texts(struct reading *r, struct ff_buf *out, const json_t *data)
{
	const json_t *text;
	size_t i;

	if (!json_is_array(data))
		return reading_fail(r, "not an array of texts");
	json_array_foreach (data, i, text) {
		/* an empty text would end the list */
		if (json_string_length(text) == 0 || out->len > TEXT_BYTES_MAX)
			return reading_fail(r, "not texts that are not empty, of at most %d bytes", TEXT_BYTES_MAX);
		if (take_text(r, out, text) < 0)
			return -1;
	}
	add_le(out, 0, 2);
	return 0;
}

static int take_binary(struct reading *r, struct ff_buf *out, const json_t *data)
{
	size_t len = 0;
	ff_auto_free char *bytes = json_is_string(data) ? ff_base64_decode(json_string_value(data), &len) : NULL;

	if (bytes == NULL || len > TEXT_BYTES_MAX)
		return reading_fail(r, "not base64 of at most %d bytes", TEXT_BYTES_MAX);
	ff_buf_add(out, bytes, len);
	return 0;
}

static int take_data(struct reading *r, struct ff_buf *out, uint32_t type, const json_t *data)
{
	switch (type) {
	case RECIPE_REG_DWORD:
		return take_number(r, out, data, DWORD_BYTES);
	case RECIPE_REG_QWORD:
		return take_number(r, out, data, QWORD_BYTES);
	case RECIPE_REG_MULTI_SZ:
		return take_texts(r, out, data);
	case RECIPE_REG_BINARY:
		return take_binary(r, out, data);
	default:
		return take_text(r, out, data);
	}
}

/* UTF-16LE as far as it is ASCII, for people. */
static char *shown_utf16(const char *data, size_t len)
{
	ff_auto_buf out = {0};

	for (size_t i = 0; i + 1 < len && out.len < SHOWN_TEXT_BYTES; i += 2) {
		char c = data[i + 1] == 0 && data[i] >= 0x20 && data[i] < 0x7f ? data[i] : '?';

		if (data[i] == 0 && data[i + 1] == 0)
			break;
		ff_buf_add(&out, &c, 1);
	}
	return ff_buf_take(&out);
}

char *recipe_value_text(uint32_t type, const char *data, size_t len)
{
	ff_auto_free char *text = NULL;
	uint64_t number = 0;

	for (size_t i = 0; i < len && i < QWORD_BYTES; i++)
		number |= (uint64_t)(unsigned char)data[i] << (8 * i);
	if (type == RECIPE_REG_DWORD && len == DWORD_BYTES)
		return ff_printf("dword %" PRIu64, number);
	if (type == RECIPE_REG_QWORD && len == QWORD_BYTES)
		return ff_printf("qword %" PRIu64, number);
	if (type == RECIPE_REG_SZ || type == RECIPE_REG_EXPAND_SZ) {
		text = shown_utf16(data, len);
		return ff_printf("'%s'", text);
	}
	return ff_printf("%zu bytes of type %" PRIu32, len, type);
}

/* ---------------------------------------------------------------- members */

static struct value_entry *entry_of(void *into)
{
	return into;
}

/* A file of System32/config, with nothing in it that could lead elsewhere. */
static int read_hive(struct reading *r, void *into, const json_t *value)
{
	const char *text = reading_text(r, value);

	if (text == NULL)
		return -1;
	if (strlen(text) > 32 || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-") != strlen(text))
		return reading_fail(r, "not the name of a hive: SYSTEM, SOFTWARE, DEFAULT, SAM or SECURITY");
	entry_of(into)->value->hive = ff_strdup(text);
	return 0;
}

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static int read_key(struct reading *r, void *into, const json_t *value)
{
	struct ff_strv *keys = &entry_of(into)->value->keys;
	const char *text = reading_text(r, value);

	if (text == NULL)
		return -1;
	if (!is_printable(text))
		return reading_fail(r, "control character");
	for (bool last = false; !last;) {
		size_t len = strcspn(text, "\\");
		ff_auto_free char *key = ff_strndup(text, len);

		last = text[len] == '\0';
		if (len == 0 || len > KEY_BYTES_MAX || keys->count >= KEYS_MAX)
			return reading_fail(r, "not 1 to %d names with a backslash between them", KEYS_MAX);
		ff_strv_add(keys, key);
		text += len + 1;
	}
	if (ff_strcaseeq(keys->items[0], "CurrentControlSet"))
		return reading_fail(r, "CurrentControlSet is there only while Windows runs: say ControlSet*");
	if (ff_strcaseeq(keys->items[0], "HKLM") || ff_has_prefix(keys->items[0], "HKEY_") ||
		ff_strcaseeq(keys->items[0], "SYSTEM") || ff_strcaseeq(keys->items[0], "SOFTWARE"))
		return reading_fail(r, "begins inside of the hive: leave out HKLM and the name of the hive");
	return 0;
}

static int read_value_name(struct reading *r, void *into, const json_t *value)
{
	if (!json_is_string(value) || json_string_length(value) > KEY_BYTES_MAX ||
		strlen(json_string_value(value)) != json_string_length(value) ||
		!is_printable(json_string_value(value)))
		return reading_fail(r, "not the name of a value");
	entry_of(into)->value->name = ff_strdup(json_string_value(value));
	return 0;
}

static int read_value_action(struct reading *r, void *into, const json_t *value)
{
	static const char *const words[] = {"set", "delete", NULL};
	int word = reading_word(r, value, words);

	entry_of(into)->value->remove = word == 1;
	return word < 0 ? -1 : 0;
}

static int read_type(struct reading *r, void *into, const json_t *value)
{
	int word = reading_word(r, value, type_words);

	if (word < 0)
		return -1;
	entry_of(into)->value->type = types[word];
	entry_of(into)->typed = true;
	return 0;
}

/* After "type", which the table reads first. */
static int read_data(struct reading *r, void *into, const json_t *data)
{
	struct value_entry *entry = into;
	struct ff_buf out = {0};
	int rc;

	entry->data = data;
	if (!entry->typed)
		return reading_fail(r, "without \"type\"");
	rc = take_data(r, &out, entry->value->type, data);
	entry->value->data_len = out.len;
	entry->value->data = ff_buf_take(&out);
	return rc;
}

static int read_value_when(struct reading *r, void *into, const json_t *value)
{
	return reading_build(r, &entry_of(into)->value->build, value);
}

const struct member recipe_value_members[] = {
	{"hive", read_hive, true},
	{"key", read_key, true},
	{"value", read_value_name, true},
	{"action", read_value_action, true},
	{"type", read_type, false},
	{"data", read_data, false},
	{"when", read_value_when, false},
	{NULL, NULL, false},
};

static struct recipe_value *new_value(struct recipe *recipe)
{
	recipe->values = ff_realloc(recipe->values, recipe->value_count + 1, sizeof(*recipe->values));
	recipe->values[recipe->value_count] = (struct recipe_value){.build = {INT64_MIN, INT64_MAX}};
	return &recipe->values[recipe->value_count++];
}

static int read_value(struct reading *r, struct recipe *recipe, const json_t *json)
{
	struct value_entry entry = {.value = new_value(recipe)};

	if (reading_members(r, json, recipe_value_members, &entry) < 0)
		return -1;
	if (entry.value->remove && (entry.typed || entry.data != NULL))
		return reading_fail(r, "\"type\" and \"data\" belong to the action set");
	if (!entry.value->remove && entry.data == NULL)
		return reading_fail(r, "set needs \"type\" and \"data\"");
	recipe->needs_build |= recipe_bounded(&entry.value->build);
	return 0;
}

/* ---------------------------------------------------------------- services */

static int read_service_name(struct reading *r, void *into, const json_t *value)
{
	const char *text = reading_text(r, value);

	if (text == NULL)
		return -1;
	/* CreateServiceW: up to 256 characters, no slashes; a glob would disable more than was looked at */
	if (strlen(text) > KEY_BYTES_MAX || strpbrk(text, "/\\*?[") != NULL || !is_printable(text))
		return reading_fail(r, "not the name of one service or driver");
	ff_strv_add(&entry_of(into)->value->keys, "ControlSet*");
	ff_strv_add(&entry_of(into)->value->keys, "Services");
	ff_strv_add(&entry_of(into)->value->keys, text);
	return 0;
}

static int read_service_action(struct reading *r, void *into, const json_t *value)
{
	static const char *const words[] = {"disable", NULL};

	(void)into;
	return reading_word(r, value, words) < 0 ? -1 : 0;
}

const struct member recipe_service_members[] = {
	{"name", read_service_name, true},
	{"action", read_service_action, true},
	{"when", read_value_when, false},
	{NULL, NULL, false},
};

/* A service or driver is disabled by the value Start of its key. */
static int read_service(struct reading *r, struct recipe *recipe, const json_t *json)
{
	struct value_entry entry = {.value = new_value(recipe)};
	struct ff_buf data = {0};

	if (reading_members(r, json, recipe_service_members, &entry) < 0)
		return -1;
	add_le(&data, SERVICE_DISABLED, DWORD_BYTES);
	entry.value->hive = ff_strdup("SYSTEM");
	entry.value->name = ff_strdup("Start");
	entry.value->type = RECIPE_REG_DWORD;
	entry.value->data_len = data.len;
	entry.value->data = ff_buf_take(&data);
	recipe->needs_build |= recipe_bounded(&entry.value->build);
	return 0;
}

/* ---------------------------------------------------------------- proofs */

struct proof_entry {
	struct value_entry value; /* first: the readers of values take it for theirs */
	struct recipe_proof *proof;
	bool where, absent, sha256;
};

static int read_proof_where(struct reading *r, void *into, const json_t *value)
{
	struct proof_entry *entry = into;

	entry->where = true;
	return reading_where(r, &entry->proof->where, value);
}

static int read_proof_absent(struct reading *r, void *into, const json_t *value)
{
	((struct proof_entry *)into)->absent = true;
	return json_is_true(value) ? 0 : reading_fail(r, "not true");
}

static int read_proof_sha256(struct reading *r, void *into, const json_t *value)
{
	struct proof_entry *entry = into;

	entry->sha256 = true;
	return reading_sha256(r, &entry->proof->sha256, value);
}

const struct member recipe_proof_members[] = {
	{"where", read_proof_where, false},
	{"absent", read_proof_absent, false},
	{"sha256", read_proof_sha256, false},
	{"hive", read_hive, false},
	{"key", read_key, false},
	{"value", read_value_name, false},
	{"type", read_type, false},
	{"data", read_data, false},
	{NULL, NULL, false},
};

static int read_proof(struct reading *r, struct recipe *recipe, const json_t *json)
{
	struct recipe_proof *proof;
	struct proof_entry entry = {0};
	bool value;

	recipe->proofs = ff_realloc(recipe->proofs, recipe->proof_count + 1, sizeof(*recipe->proofs));
	proof = &recipe->proofs[recipe->proof_count++];
	*proof = (struct recipe_proof){0};
	entry.proof = proof;
	entry.value.value = &proof->value;
	if (reading_members(r, json, recipe_proof_members, &entry) < 0)
		return -1;
	value = proof->value.hive != NULL && proof->value.keys.count > 0 && proof->value.name != NULL &&
		entry.value.data != NULL;
	if (entry.where && (entry.absent != entry.sha256) && json_object_size(json) == 2) {
		proof->kind = entry.absent ? PROOF_ABSENT : PROOF_SHA256;
		return 0;
	}
	proof->kind = PROOF_VALUE;
	if (value && !entry.where && !entry.absent && !entry.sha256)
		return 0;
	return reading_fail(r, "not one of: where and absent; where and sha256; hive, key, value, type and data");
}

/* ---------------------------------------------------------------- lists */

static int read_list(struct reading *r, struct recipe *recipe, const json_t *list,
	int (*read)(struct reading *r, struct recipe *recipe, const json_t *json))
{
	const json_t *entry;
	size_t i, n = json_array_size(list);

	if (!json_is_array(list) || n == 0 || n > RECIPE_FILES_MAX)
		return reading_fail(r, "not an array of 1 to %d entries", RECIPE_FILES_MAX);
	json_array_foreach (list, i, entry) {
		char number[24];
		size_t len;

		snprintf(number, sizeof(number), "%zu", i);
		len = reading_enter(r, number);
		if (read(r, recipe, entry) < 0)
			return -1;
		reading_leave(r, len);
	}
	return 0;
}

int reading_values(struct reading *r, struct recipe *recipe, const json_t *list)
{
	return read_list(r, recipe, list, read_value);
}

int reading_services(struct reading *r, struct recipe *recipe, const json_t *list)
{
	return read_list(r, recipe, list, read_service);
}

int reading_proofs(struct reading *r, struct recipe *recipe, const json_t *list)
{
	return read_list(r, recipe, list, read_proof);
}

void recipe_value_release(struct recipe_value *value)
{
	ff_strv_free(&value->keys);
	free(value->hive);
	free(value->name);
	free(value->data);
}

void recipe_proof_release(struct recipe_proof *proof)
{
	recipe_where_release(&proof->where);
	ff_strv_free(&proof->sha256);
	recipe_value_release(&proof->value);
}
