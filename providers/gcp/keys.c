/*
 * Customer-supplied encryption keys, section 10 of the facts. The file is gcloud's: a JSON array of
 * {"uri":"https://www.googleapis.com/compute/v1/projects/.../disks/D","key":"...","key-type":"raw"|"rsa-encrypted"}.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define KEY_BYTES      32
#define KEY_FILE_BYTES (4u << 20)
#define RSA_TEXT_MAX   4096

static void key_release(struct gcp_key *key)
{
	free(key->path);
	ff_free_secret(key->key);
	*key = (struct gcp_key){0};
}

void gcp_keys_free(struct gcp_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		key_release(&keys->items[i]);
	free(keys->items);
	*keys = (struct gcp_keys){0};
}

static bool is_raw_key(const char *text)
{
	size_t len = 0;
	void *bytes = ff_base64_decode(text, &len);

	if (bytes != NULL)
		ff_wipe(bytes, len);
	free(bytes);
	return bytes != NULL && len == KEY_BYTES;
}

static int read_entry(const json_t *entry, size_t number, struct gcp_key *key, struct ff_err *err)
{
	const char *text = ff_json_str(entry, "key"), *type = ff_json_str(entry, "key-type");

	key->path = gcp_path(ff_json_str(entry, "uri"));
	if (key->path == NULL)
		return ff_fail(err, FF_E_USAGE, "entry %zu: 'uri' is not a disk's URL", number);
	if (type != NULL && !ff_streq(type, "raw") && !ff_streq(type, "rsa-encrypted"))
		return ff_fail(err, FF_E_USAGE, "entry %zu: 'key-type' is neither 'raw' nor 'rsa-encrypted'", number);
	key->rsa = ff_streq(type, "rsa-encrypted");
	if (text == NULL || (key->rsa ? strlen(text) > RSA_TEXT_MAX : !is_raw_key(text)))
		return ff_fail(err, FF_E_USAGE, "entry %zu: 'key' is not base64 of %d bytes", number, KEY_BYTES);
	key->key = ff_strdup(text);
	return 0;
}

int gcp_keys_read(struct gcp_keys *keys, const char *text, size_t len, struct ff_err *err)
{
	json_t *list, *entry;
	size_t i;
	int rc = 0;

	gcp_keys_free(keys);
	list = ff_json_parse(text, len, KEY_FILE_BYTES, NULL); /* the parser's words might quote the file */
	if (!json_is_array(list)) {
		gcp_json_wipe(list);
		return ff_fail(err, FF_E_USAGE, "is not a JSON array of keys");
	}
	keys->items = ff_calloc(json_array_size(list), sizeof(*keys->items));
	json_array_foreach (list, i, entry) {
		rc = read_entry(entry, i + 1, &keys->items[keys->count++], err);
		if (rc < 0)
			break;
	}
	gcp_json_wipe(list);
	if (rc < 0)
		gcp_keys_free(keys);
	return rc;
}

const struct gcp_key *gcp_key_for(const struct gcp_keys *keys, const char *disk_url)
{
	for (size_t i = 0; i < keys->count; i++)
		if (gcp_same(keys->items[i].path, disk_url))
			return &keys->items[i];
	return NULL;
}

const struct gcp_key *gcp_key_of(const struct ff_cloud *cloud, const struct ff_member *m, const char *disk_url)
{
	if (ff_json_bool(m->facts, "like/csek", false) && gcp_same(disk_url, ff_json_str(m->facts, "new/source")))
		disk_url = ff_json_str(m->facts, "disk/path");
	return gcp_key_for(&cloud->keys, disk_url);
}

bool gcp_key_fits(const struct gcp_key *key, const char *sha256)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned sum_len = 0;
	size_t len = 0, want_len = 0;
	void *bytes, *want;
	bool fits;

	if (key->rsa)
		return true;
	bytes = ff_base64_decode(key->key, &len);
	want = ff_base64_decode(sha256 ? sha256 : "", &want_len);
	fits = bytes != NULL && want != NULL && EVP_Digest(bytes, len, sum, &sum_len, EVP_sha256(), NULL) == 1 &&
	       want_len == sum_len && memcmp(want, sum, sum_len) == 0;
	ff_wipe(bytes, len);
	free(bytes);
	free(want);
	return fits;
}

json_t *gcp_key_json(const struct gcp_key *key)
{
	json_t *j = json_object();

	ff_json_set_str(j, key->rsa ? "rsaEncryptedKey" : "rawKey", key->key);
	return j;
}
