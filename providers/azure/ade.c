/*
 * Keys of Azure Disk Encryption. The OS disk's encryptionSettingsCollection (or, where that is silent, the VM's
 * instance view) names a secret of a key vault for each volume: the volume's startup key (.BEK file) in base64, or that
 * file wrapped with a key of a vault, which unwraps it. Section 10 of the facts;
 * learn.microsoft.com/rest/api/keyvault/secrets/get-secret, .../keys/unwrap-key.
 *
 *   GET  SECRET?api-version=7.5 -> {"value", "contentType": "BEK" | "Wrapped BEK", "tags": {...}}
 *   POST KEY/unwrapkey?api-version=7.5  {"alg", "value": base64url} -> {"value": base64url of the file}
 *
 * The chain's state: "at" which setting it is at, "asked" "secret" or "unwrap", "again" that a token was refused, "why"
 * the first setting that led nowhere. Needs secrets/get, and keys/unwrapKey where it is wrapped.
 */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

#define VAULT_API     "7.5"
#define SETTINGS_MAX  4 /* of one disk, one a volume: more are not asked for */
#define URL_BYTES_MAX 1024
#define ANSWER_BYTES  (256u << 10)
#define WRAPPED_MAX   8192

/* ---------------------------------------------------------------- what a record says */

static const char *url_at(const json_t *setting, const char *path)
{
	const char *url = ff_json_str(setting, path);

	return url != NULL && strlen(url) <= URL_BYTES_MAX ? url : NULL;
}

json_t *azure_ade_reduce(const json_t *settings, const char *version)
{
	json_t *out = json_object(), *keys = json_array();
	const json_t *setting;
	size_t i;

	json_array_foreach (settings, i, setting) {
		const char *secret = url_at(setting, "diskEncryptionKey/secretUrl");
		json_t *key;

		if (secret == NULL || json_array_size(keys) >= SETTINGS_MAX)
			continue;
		key = json_object();
		ff_json_set_str(key, "secret", secret);
		ff_json_set_str(key, "kek", url_at(setting, "keyEncryptionKey/keyUrl"));
		json_array_append_new(keys, key);
	}
	ff_json_set_str(out, "version", version);
	ff_json_set_new(out, "keys", keys);
	return out;
}

const json_t *azure_ade_settings(const json_t *facts)
{
	const json_t *of_disk = ff_json_at(facts, "disk/ade");

	return json_array_size(ff_json_at(of_disk, "keys")) > 0 || ff_json_at(facts, "ade") == NULL
		       ? of_disk
		       : ff_json_at(facts, "ade");
}

char *azure_ade_refusal(const struct ff_cloud *cloud, const json_t *settings, char **host)
{
	const json_t *keys = ff_json_at(settings, "keys"), *key;
	size_t i;

	*host = NULL;
	json_array_foreach (keys, i, key) {
		ff_auto_free char *url = azure_vault_url(cloud, ff_json_str(key, "secret"), "secrets");

		if (url != NULL) {
			*host = ff_url_hostname(url);
			return NULL;
		}
	}
	if (json_array_size(keys) == 0)
		return ff_strdup("its record does not say where its key is");
	return ff_strdup("its key is said to be in something that is no key vault of this cloud");
}

static bool serves(const struct ff_cloud *cloud, const struct ff_vm *vm, const json_t *facts)
{
	(void)cloud;
	(void)vm;
	return azure_ade_settings(facts) != NULL;
}

/* ---------------------------------------------------------------- asking */

static const json_t *setting_at(const struct ff_key_turn *turn)
{
	const json_t *keys = ff_json_at(azure_ade_settings(turn->facts), "keys");

	return json_array_get(keys, (size_t)ff_json_int(turn->state, "at", 0));
}

/* This setting leads nowhere: the next one, and the first reason is the one that is told. Steals `why`. */
static void go_past(struct ff_key_turn *turn, char *why)
{
	if (ff_json_str(turn->state, "why") == NULL)
		ff_json_set_str(turn->state, "why", why);
	free(why);
	json_object_del(turn->state, "asked");
	json_object_del(turn->state, "again");
	ff_json_set_int(turn->state, "at", ff_json_int(turn->state, "at", 0) + 1);
}

static void vault_ask(struct ff_key_turn *turn, const char *what)
{
	turn->ask->tag = AZ_Q_VAULT;
	turn->ask->secret = true;
	turn->ask->answer_bytes_max = ANSWER_BYTES;
	ff_json_set_str(turn->state, "asked", what);
}

/* The URL of the setting's secret, or of the first after it whose record names one of a vault. NULL: no more. */
static char *next_secret(const struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	const json_t *setting;

	while ((setting = setting_at(turn)) != NULL) {
		char *url = azure_vault_url(cloud, ff_json_str(setting, "secret"), "secrets");

		if (url != NULL)
			return url;
		go_past(turn, ff_strdup("the secret that the disk names is of no key vault of this cloud: nothing is "
					"sent there"));
	}
	return NULL;
}

static enum ff_key_step ask_secret(const char *url, struct ff_key_turn *turn)
{
	ff_ask_http(turn->ask, "GET", "%s?api-version=%s", url, VAULT_API);
	vault_ask(turn, "secret");
	return FF_KEY_SIGN;
}

static enum ff_key_step nowhere(struct ff_key_turn *turn)
{
	const char *why = ff_json_str(turn->state, "why");

	ff_fail(turn->err, FF_E_PERMANENT, "%s", why ? why : "the disk's record does not say where its key is");
	return FF_KEY_FAILED;
}

/* ---------------------------------------------------------------- reading */

/* The vault's word for it, of letters alone: "ForbiddenByPolicy". The caller frees. */
static char *error_word(const json_t *body)
{
	const char *word = ff_json_str(body, "error/innererror/code");

	if (word == NULL)
		word = ff_json_str(body, "error/code");
	if (word == NULL || strlen(word) > 60 ||
		strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(word))
		word = "";
	return ff_printf("%s%s", *word ? ", " : "", word);
}

/* Why the vault did not give it; NULL: it did. `permission` is what the question needs. The caller frees. */
static char *refusal(const struct ff_answer *answer, const json_t *body, const char *what, const char *permission)
{
	ff_auto_free char *word = error_word(body);

	if (answer->status == 200 && json_is_object(body))
		return NULL;
	if (answer->status == 401)
		return ff_printf("Key Vault does not take the token (HTTP 401%s)", word);
	if (answer->status == 403)
		return ff_printf("Key Vault refuses the %s (HTTP 403%s): %s is needed, and a firewall that lets this "
				 "machine in",
			what, word, permission);
	if (answer->status == 404)
		return ff_printf("the %s that the disk names is not there (HTTP 404%s)", what, word);
	return ff_printf("Key Vault answers HTTP %d%s%s", answer->status, word,
		answer->status == 200 ? ", and what it says cannot be read" : "");
}

/* What an answer has led to. */
enum led { TO_NEXT, TO_ASK, TO_KEY }; /* the state says what is to be asked; turn->ask is filled; turn->found is */

/* Take a startup key, if it is this volume's. */
static enum led take(struct ff_key_turn *turn, const char *bytes, size_t len)
{
	char id[FF_GUID_BYTES];

	if (!ff_keys_add_secret(turn->found, bytes, len)) {
		go_past(turn, ff_strdup("what the vault holds is no startup key"));
		return TO_NEXT;
	}
	if (!ff_key_startup_id(turn->found->items[0].text, id))
		return TO_KEY; /* a recovery password: the worker sees whether it opens the volume */
	for (size_t i = 0; i < turn->want->protector_count; i++)
		if (ff_strcaseeq(turn->want->protectors[i].id, id))
			return TO_KEY;
	ff_keys_release(turn->found);
	go_past(turn,
		ff_printf("the startup key in the vault is of protector %s, which this volume does not have", id));
	return TO_NEXT;
}

/* With RSA only: symmetric algorithms are those of managed HSMs, which Azure Disk Encryption does not use. */
static const char *algorithm(const json_t *tags)
{
	static const char *const known[] = {"RSA-OAEP", "RSA-OAEP-256", "RSA1_5"};
	const char *tag = azure_tag(tags, "DiskEncryptionKeyEncryptionAlgorithm");

	for (size_t i = 0; i < FF_COUNT(known); i++)
		if (tag == NULL || *tag == '\0' || ff_strcaseeq(tag, known[i]))
			return known[i];
	return NULL;
}

/* The wrapped key as the vault wants it, from either kind of base64. The caller frees; NULL: it is no base64. */
static char *wrapped_key(const json_t *secret)
{
	const char *value = ff_json_str(secret, "value");
	size_t len = 0;
	ff_auto_free void *bytes = value != NULL && strlen(value) <= WRAPPED_MAX ? ff_base64_decode(value, &len) : NULL;

	return bytes != NULL && len > 0 ? ff_base64url(bytes, len) : NULL;
}

/* Ask a vault to unwrap what the secret holds. */
static enum led ask_unwrap(
	const struct ff_cloud *cloud, const json_t *secret, const char *kek, struct ff_key_turn *turn)
{
	ff_auto_free char *url = azure_vault_url(cloud, kek, "keys"), *wrapped = wrapped_key(secret);
	const char *alg = algorithm(ff_json_at(secret, "tags")), *why = NULL;
	json_t *body;

	if (kek == NULL)
		why = "the secret is wrapped, and nothing says with which key";
	else if (url == NULL)
		why = "the key that the secret is wrapped with is of no key vault of this cloud: nothing is sent there";
	else if (alg == NULL)
		why = "the secret is wrapped with an algorithm that is not known";
	else if (wrapped == NULL)
		why = "the secret is wrapped, and is no base64";
	if (why != NULL) {
		go_past(turn, ff_strdup(why));
		return TO_NEXT;
	}
	body = json_object();
	ff_json_set_str(body, "alg", alg);
	ff_json_set_str(body, "value", wrapped);
	ff_ask_http(turn->ask, "POST", "%s/unwrapkey?api-version=%s", url, VAULT_API);
	azure_ask_json(turn->ask, body, NULL);
	vault_ask(turn, "unwrap");
	return TO_ASK;
}

static enum led read_secret(const struct ff_cloud *cloud, const json_t *secret, struct ff_key_turn *turn)
{
	const char *type = ff_json_str(secret, "contentType"), *value = ff_json_str(secret, "value");
	const char *kek = ff_json_str(setting_at(turn), "kek");

	if (kek == NULL)
		kek = azure_tag(ff_json_at(secret, "tags"), "DiskEncryptionKeyEncryptionKeyURL");
	if (ff_strcaseeq(type, "Wrapped BEK") || (kek != NULL && !ff_strcaseeq(type, "BEK")))
		return ask_unwrap(cloud, secret, kek, turn);
	return take(turn, value ? value : "", value ? strlen(value) : 0);
}

static enum led read_unwrapped(const json_t *body, struct ff_key_turn *turn)
{
	const char *value = ff_json_str(body, "value");
	size_t len = 0;
	char *bytes = value != NULL ? ff_base64_decode(value, &len) : NULL;
	enum led led = take(turn, bytes ? bytes : "", len);

	ff_wipe(bytes, len);
	free(bytes);
	return led;
}

static enum led read_answer(struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	bool unwrap = ff_streq(ff_json_str(turn->state, "asked"), "unwrap");
	const struct ff_answer *answer = turn->answer;
	ff_auto_json json_t *body =
		ff_json_parse(answer->body ? answer->body : "", answer->body_len, ANSWER_BYTES, NULL);
	char *why;

	if (answer->status == 401 && !ff_json_bool(turn->state, "again", false)) {
		azure_bearer_refused(cloud, AZ_FOR_VAULT);
		ff_json_set_bool(turn->state, "again", true);
		return TO_NEXT;
	}
	why = refusal(answer, body, unwrap ? "wrapping key" : "secret", unwrap ? "keys/unwrapKey" : "secrets/get");
	if (why != NULL) {
		go_past(turn, why);
		return TO_NEXT;
	}
	return unwrap ? read_unwrapped(body, turn) : read_secret(cloud, body, turn);
}

static enum ff_key_step look(struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	ff_auto_free char *url = NULL;
	enum ff_key_step step;

	if (turn->answer != NULL && ff_json_at(turn->state, "token") == NULL) {
		enum led led = read_answer(cloud, turn);

		if (led != TO_NEXT)
			return led == TO_KEY ? FF_KEY_DONE : FF_KEY_SIGN;
	}
	url = next_secret(cloud, turn);
	if (url == NULL) /* nor is a token asked for */
		return nowhere(turn);
	step = azure_bearer(cloud, AZ_FOR_VAULT, turn);
	return step == FF_KEY_DONE ? ask_secret(url, turn) : step;
}

static bool graph_serves(const struct ff_cloud *cloud, const struct ff_vm *vm, const json_t *facts)
{
	(void)vm;
	(void)facts;
	return cloud->key_graph;
}

const struct ff_key_store azure_key_stores[] = {
	{"Azure Disk Encryption", serves, look},
	{"--key-graph", graph_serves, azure_graph_look},
	{0},
};
