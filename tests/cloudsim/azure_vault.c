/*
 * Key Vault and Microsoft Graph, as far as keys of encrypted disks need them. A vault's secrets are made of what the
 * scenario says of its VMs: a startup key, or that key wrapped by the vault's one key, as Azure Disk Encryption leaves
 * them. Each takes its own tokens only, and a token that comes with another host's name is a violation: in Azure it
 * would be in somebody else's hands.
 */
#include "azure.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define VAULT	     "fleetvault"
#define KEK	     "/keys/fleet-kek/0123456789abcdef0123456789abcdef"
#define GRAPH_KEYS   "/v1.0/informationProtection/bitlocker/recoveryKeys/"
#define VAULT_SUFFIX ".vault.azure.net"

static const struct {
	const char *name;
	int padding;
	bool sha256;
} algorithms[] = {{"RSA-OAEP", RSA_PKCS1_OAEP_PADDING, false}, {"RSA-OAEP-256", RSA_PKCS1_OAEP_PADDING, true},
	{"RSA1_5", RSA_PKCS1_PADDING, false}};

/* ---- what a disk's record says */

/* Where the vault is: beside Resource Manager on this machine, else under its own name. */
static char *vault_base(const struct azure *az)
{
	const char *base = az->base != NULL ? az->base : "";

	return ff_strdup(strstr(base, "://127.") != NULL ? base : "https://" VAULT VAULT_SUFFIX);
}

/* The text with {vault} and {port} as they are now. */
static char *filled(const struct azure *az, const char *text)
{
	ff_auto_free char *vault = vault_base(az);
	const char *port = strrchr(vault, ':') + 1;
	ff_auto_buf out = {0};

	for (; *text != '\0'; text++) {
		bool is_vault = ff_has_prefix(text, "{vault}"), is_port = ff_has_prefix(text, "{port}");

		ff_buf_adds(&out, is_vault ? vault : is_port ? port : (char[]){*text, '\0'});
		text += is_vault ? strlen("{vault}") - 1 : is_port ? strlen("{port}") - 1 : 0;
	}
	return ff_buf_take(&out);
}

static void fill(const struct azure *az, json_t *object, const char *key)
{
	const char *text = ff_json_str(object, key);
	ff_auto_free char *full = text != NULL ? filled(az, text) : NULL;

	if (full != NULL)
		ff_json_set_str(object, key, full);
}

json_t *az_ade_json(const struct azure *az, const json_t *ade)
{
	json_t *out = json_deep_copy(ade), *setting;
	size_t i;

	json_array_foreach (json_object_get(out, "encryptionSettings"), i, setting) {
		fill(az, json_object_get(setting, "diskEncryptionKey"), "secretUrl");
		fill(az, json_object_get(setting, "keyEncryptionKey"), "keyUrl");
	}
	return out;
}

/* ---- the secrets */

/* A startup key's GUID as its secret's name: bytes 16 to 31, the first three fields with their low bytes first. */
static char *secret_name(const char *bek)
{
	size_t n = 0;
	ff_auto_free unsigned char *b = ff_base64_decode(bek, &n);

	if (b == NULL || n < 32)
		return NULL;
	return ff_printf("%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", b[19], b[18], b[17],
		b[16], b[21], b[20], b[23], b[22], b[24], b[25], b[26], b[27], b[28], b[29], b[30], b[31]);
}

/* Encrypt or decrypt with the vault's key. The caller frees; NULL: it cannot be done. */
static void *rsa(const struct azure *az, size_t alg, bool unwrap, const void *in, size_t in_len, size_t *out_len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(az->kek, NULL);
	unsigned char *out = NULL;
	bool ok = ctx != NULL && (unwrap ? EVP_PKEY_decrypt_init(ctx) : EVP_PKEY_encrypt_init(ctx)) == 1 &&
		  EVP_PKEY_CTX_set_rsa_padding(ctx, algorithms[alg].padding) == 1 &&
		  (!algorithms[alg].sha256 || EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1);

	*out_len = (size_t)EVP_PKEY_get_size(az->kek);
	if (ok) {
		out = ff_calloc(*out_len, 1);
		ok = (unwrap ? EVP_PKEY_decrypt(ctx, out, out_len, in, in_len)
			     : EVP_PKEY_encrypt(ctx, out, out_len, in, in_len)) == 1;
	}
	EVP_PKEY_CTX_free(ctx);
	if (!ok) {
		free(out);
		return NULL;
	}
	return out;
}

/* The startup key, wrapped. */
static char *wrap(struct azure *az, size_t alg, const char *bek)
{
	size_t n = 0, len = 0;
	ff_auto_free void *bytes = ff_base64_decode(bek, &n), *wrapped = NULL;

	if (az->kek == NULL)
		az->kek = EVP_RSA_gen(2048);
	wrapped = az->kek != NULL ? rsa(az, alg, false, bytes, n, &len) : NULL;
	return wrapped != NULL ? ff_base64url(wrapped, len) : NULL;
}

static json_t *secret_json(const char *vm, const char *name, const char *value, const char *algorithm)
{
	ff_auto_free char *file = ff_printf("%s.BEK", name);
	json_t *secret = json_pack("{s:s,s:s,s:{s:s,s:s,s:s}}", "value", value, "contentType",
		algorithm != NULL ? "Wrapped BEK" : "BEK", "tags", "MachineName", vm, "VolumeLetter", "C:\\",
		"DiskEncryptionKeyFileName", file);

	if (algorithm != NULL) {
		json_t *tags = json_object_get(secret, "tags");

		ff_json_set_str(tags, "DiskEncryptionKeyEncryptionAlgorithm", algorithm);
		ff_json_set_str(tags, "DiskEncryptionKeyEncryptionKeyURL", "{vault}" KEK);
	}
	return secret;
}

/* "ade_bek" is the volume's startup key, "ade_kek" the algorithm that it is wrapped with, "ade_url" another place. */
int az_read_ade(struct azure *az, const struct az_vm *vm, const json_t *o, const char *where, struct ff_err *err)
{
	static const char *const words[] = {"RSA-OAEP", "RSA-OAEP-256", "RSA1_5", NULL};
	const char *bek = NULL, *url = NULL;
	ff_auto_free char *name = NULL, *value = NULL, *own = NULL, *vault_id = NULL, *key = NULL;
	json_t *ade = vm->os_disk.disk != NULL ? vm->os_disk.disk->ade : NULL, *setting;
	int alg = -1;

	if (sim_text(o, where, "ade_bek", &bek, err) < 0 || sim_text(o, where, "ade_url", &url, err) < 0 ||
		sim_word(o, where, "ade_kek", words, &alg, err) < 0)
		return -1;
	if (bek == NULL)
		return 0;
	name = secret_name(bek);
	if (ade == NULL || name == NULL)
		return ff_fail(err, FF_E_USAGE, "%s.ade_bek: it is no startup key, or 'ade' is not 'single'", where);
	value = alg >= 0 ? wrap(az, (size_t)alg, bek) : ff_strdup(bek);
	if (value == NULL)
		return ff_fail(err, FF_E_USAGE, "%s.ade_kek: the key cannot be wrapped", where);
	/* disks of one image have the same key: each its own version of the secret */
	key = ff_printf("/secrets/%s/%032zx", name, az->vm_count);
	own = ff_printf("{vault}%s", key);
	vault_id = az_id(az, vm->group, "Microsoft.KeyVault/vaults", VAULT);
	ff_json_set_new(az->secrets, key, secret_json(vm->name, name, value, alg >= 0 ? words[alg] : NULL));
	setting = json_pack(
		"{s:{s:{s:s},s:s}}", "diskEncryptionKey", "sourceVault", "id", vault_id, "secretUrl", url ? url : own);
	if (alg >= 0)
		ff_json_set_new(setting, "keyEncryptionKey",
			json_pack("{s:{s:s},s:s}", "sourceVault", "id", vault_id, "keyUrl", "{vault}" KEK));
	ff_json_set_new(ade, "encryptionSettings", json_pack("[o]", setting));
	return 0;
}

/* ---- answering */

/* Is the host that the client meant one that may have this token? */
static bool check_host(struct az_call *c, const char *what, const char *suffix)
{
	const char *host = ff_headers_get(&c->req->headers, "Host"), *base = strstr(c->req->base, "://");
	ff_auto_free char *clean = ff_printable(host);

	if (host == NULL || (base != NULL && ff_strcaseeq(host, base + 3)) || ff_has_suffix(host, suffix))
		return true;
	if (ff_headers_get(&c->req->headers, "Authorization") != NULL)
		sim_violation(c->sim, "a token for %s was sent to '%s'", what, clean);
	return az_refuse(c, 404, "NotFound", "There is no %s at '%s'.", what, clean) == 0;
}

static int vault_denied(struct az_call *c, const char *action)
{
	ff_auto_free char *scope = ff_printf("/vaults/" VAULT "%s", c->path);

	if (!az_denied(c, action, scope))
		return 0;
	az_reply(c, 403,
		json_pack("{s:{s:s,s:s,s:{s:s}}}", "error", "code", "Forbidden", "message",
			"Caller is not authorized to perform action on resource.", "innererror", "code",
			"ForbiddenByRbac"));
	return -1;
}

static void get_secret(struct az_call *c)
{
	const json_t *secret = json_object_get(c->az->secrets, c->path);
	ff_auto_free char *vault = vault_base(c->az), *id = ff_printf("%s%s", vault, c->path);
	json_t *out;

	sim_count_request(c->sim, "vault secret");
	if (vault_denied(c, "Microsoft.KeyVault/vaults/secrets/getSecret/action") < 0)
		return;
	if (secret == NULL) {
		az_refuse(c, 404, "SecretNotFound",
			"A secret with (name/id) %s was not found in this key vault. If you recently deleted this "
			"secret you may be able to recover it using the correct recovery command.",
			c->segments.items[1]);
		return;
	}
	out = json_deep_copy(secret);
	fill(c->az, json_object_get(out, "tags"), "DiskEncryptionKeyEncryptionKeyURL");
	ff_json_set_str(out, "id", id);
	ff_json_set_new(out, "attributes",
		json_pack("{s:b,s:I,s:I,s:s,s:i}", "enabled", 1, "created", (json_int_t)1700000000, "updated",
			(json_int_t)1700000000, "recoveryLevel", "Recoverable+Purgeable", "recoverableDays", 90));
	az_reply(c, 200, out);
}

static void unwrap(struct az_call *c)
{
	ff_auto_json json_t *body = ff_json_parse(c->req->body ? c->req->body : "", c->req->body_len, 65536, NULL);
	const char *alg = ff_json_str(body, "alg"), *value = ff_json_str(body, "value");
	ff_auto_free char *vault = vault_base(c->az), *kid = ff_printf("%s" KEK, vault), *text = NULL;
	size_t n = 0, len = 0, i = 0;
	ff_auto_free void *bytes = value != NULL ? ff_base64_decode(value, &n) : NULL, *plain = NULL;

	sim_count_request(c->sim, "vault unwrapkey");
	if (vault_denied(c, "Microsoft.KeyVault/vaults/keys/unwrap/action") < 0)
		return;
	while (i < FF_COUNT(algorithms) && !ff_streq(algorithms[i].name, alg))
		i++;
	if (c->az->kek == NULL || !ff_has_prefix(c->path, KEK "/")) {
		az_refuse(c, 404, "KeyNotFound", "A key with (name/id) was not found in this key vault.");
		return;
	}
	/* base64url without padding is what the vault reads */
	if (i == FF_COUNT(algorithms) || bytes == NULL || strpbrk(value, "+/=") != NULL ||
		(plain = rsa(c->az, i, true, bytes, n, &len)) == NULL) {
		az_refuse(c, 400, "BadParameter", "The parameter is incorrect.");
		return;
	}
	text = ff_base64url(plain, len);
	az_reply(c, 200, json_pack("{s:s,s:s}", "kid", kid, "value", text));
}

bool az_vault(struct az_call *c)
{
	const struct ff_strv *s = &c->segments;
	bool secret = s->count >= 2 && s->count <= 3 && ff_streq(s->items[0], "secrets");
	bool key = s->count == 4 && ff_streq(s->items[0], "keys") && ff_streq(s->items[3], "unwrapkey");

	if (!secret && !key)
		return false;
	if (!check_host(c, "Key Vault", VAULT_SUFFIX) || az_bearer(c, "https://vault.azure.net") < 0)
		return true;
	if (az_query(c, "api-version") == NULL)
		az_refuse(c, 400, "BadParameter", "api-version must be specified");
	else if (secret && ff_streq(c->req->method, "GET"))
		get_secret(c);
	else if (key && ff_streq(c->req->method, "POST"))
		unwrap(c);
	else
		az_refuse(c, 405, "MethodNotAllowed", "The method is not allowed.");
	return true;
}

bool az_graph(struct az_call *c)
{
	const char *id, *key;

	if (strncasecmp(c->path, GRAPH_KEYS, strlen(GRAPH_KEYS)) != 0)
		return false;
	id = c->path + strlen(GRAPH_KEYS);
	key = ff_json_str(c->az->graph_keys, id);
	sim_count_request(c->sim, "graph recovery key");
	if (!check_host(c, "Microsoft Graph", "graph.microsoft.com") || az_bearer(c, "https://graph.microsoft.com") < 0)
		return true;
	if (az_denied(c, "BitlockerKey.Read.All", c->path))
		az_refuse(c, 403, "authorization_error",
			"Failed to authorize, token doesn't have the required permissions.");
	else if (key == NULL)
		az_refuse(c, 404, "KeyNotFound", "Unable to find the requested key.");
	else if (!ff_streq(az_query(c, "$select"), "key"))
		az_reply(c, 200, json_pack("{s:{s:s}}", "value", "id", id));
	else
		az_reply(c, 200,
			json_pack("{s:{s:s,s:s,s:s}}", "value", "@odata.type", "#microsoft.graph.bitlockerRecoveryKey",
				"id", id, "key", key));
	return true;
}
