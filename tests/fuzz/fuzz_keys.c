/* --keys files, and what a --key-command prints (the same bytes). What is found is a key; errors tell nothing of the
 * file. */
#include "fixfleet/keys.h"
#include "fixfleet/secret.h"
#include "fuzz.h"

static const struct ff_key_want want = {.provider = "azure",
	.vm_name = "web-1",
	.vm_id = "/subscriptions/1/web-1",
	.disk_id = "disk-1",
	.volume_id = "11111111-2222-3333-4444-555555555555",
	.protectors = {{"4381f759-c4f8-4de0-bb61-fc33a831bda5", "recovery-password"}},
	.protector_count = 1};

static void check(struct ff_keys *found)
{
	FUZZ_CHECK(found->count <= FF_KEYS_MAX, "%zu", found->count);
	for (size_t i = 0; i < found->count; i++)
		FUZZ_CHECK(ff_key_is(found->items[i].text, strlen(found->items[i].text)), "key %zu", i);
	ff_keys_release(found);
}

static void by_command(const uint8_t *data, size_t size)
{
	ff_auto_free char *text = ff_strndup((const char *)data, size);
	struct ff_answer answer = {.body = text, .body_len = strlen(text)};
	struct ff_keys found = {0};
	struct ff_key_source source;
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	if (ff_key_command(&source, text[0] != '\0' ? text : "x", &err) < 0) {
		FUZZ_CHECK_ERR(err);
		return;
	}
	FUZZ_CHECK(source.look(source.self, &want, 0, NULL, &ask, &found, &err) == FF_KEY_ASK && ask.argv.count > 0,
		"asks");
	if (source.look(source.self, &want, 1, &answer, &ask, &found, &err) == FF_KEY_FAILED)
		FUZZ_CHECK_ERR(err);
	check(&found);
	ff_ask_release(&ask);
	source.free(source.self);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = ff_secret_new(size + 1);
	struct ff_keys found = {0};
	struct ff_key_source source;
	struct ff_err err = {0};

	memcpy(text, data, size);
	if (ff_key_file(&source, text, size, &err) < 0) {
		FUZZ_CHECK_ERR(err);
		FUZZ_CHECK(ff_has_prefix(err.text, "line ") || ff_has_prefix(err.text, "entry "), "%s", err.text);
	} else {
		source.look(source.self, &want, 0, NULL, NULL, &found, &err);
		check(&found);
		source.free(source.self);
	}
	by_command(data, size);
	return 0;
}
