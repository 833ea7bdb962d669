#include "fve_key.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "fixfleet/mem.h"
#include "fixfleet/secret.h"

#define ROUNDS		 0x100000
#define GROUPS		 8
#define GROUP_DIGITS	 6
#define KEY_HEAD_BYTES	 12 /* inside a sealed key: u16 size, ..., u32 method at 8 */
#define BEK_HEAD_BYTES	 48
#define BEK_ENTRY_BYTES	 32 /* head of the one entry: u16 size, role, type; GUID; time */
#define VALIDATION_BYTES 44 /* head of 8, u16 algorithm, u16, SHA-256 */
#define ALGORITHM_SHA256 0x2005

static unsigned get16(const uint8_t *p)
{
	return (unsigned)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

/* ---------------------------------------------------------------- what operators have */

bool fve_recovery_password(const char *text, uint8_t out[16])
{
	for (int group = 0; group < GROUPS; group++) {
		uint32_t number = 0;

		if (group > 0 && (*text == '-' || *text == ' '))
			text++;
		for (int i = 0; i < GROUP_DIGITS; i++, text++) {
			if (*text < '0' || *text > '9')
				return false;
			number = number * 10 + (uint32_t)(*text - '0');
		}
		if (number % 11 != 0 || number / 11 > UINT16_MAX)
			return false;
		out[2 * group] = (uint8_t)(number / 11);
		out[2 * group + 1] = (uint8_t)(number / 11 >> 8);
	}
	return *text == '\0';
}

/* The key among the properties of the entry: u16 size, role, type (1: key), flags; u32 method; key. */
static int bek_key(const uint8_t *p, size_t len, uint8_t key[32], struct ff_err *err)
{
	while (len >= 8) {
		size_t size = get16(p);

		if (size < 8 || size > len)
			break;
		if (get16(p + 4) == 1 && size == 8 + 4 + 32) {
			memcpy(key, p + 12, 32);
			return 0;
		}
		p += size;
		len -= size;
	}
	return ff_fail(err, FF_E_USAGE, "the startup key holds no key");
}

int fve_bek(const uint8_t *bytes, size_t len, char id[FVE_GUID_BYTES], uint8_t key[32], struct ff_err *err)
{
	size_t size;

	if (len < BEK_HEAD_BYTES + BEK_ENTRY_BYTES || len > FVE_BEK_BYTES_MAX || get32(bytes) != len ||
		get32(bytes + 4) != 1 || get32(bytes + 8) != BEK_HEAD_BYTES)
		return ff_fail(err, FF_E_USAGE, "that is no startup key (.BEK file)");
	fve_guid_text(bytes + 16, id);
	/* one entry of role 6 (startup key) and type 9 (external key); its own GUID and time, then its properties */
	size = get16(bytes + BEK_HEAD_BYTES);
	if (size < BEK_ENTRY_BYTES || size > len - BEK_HEAD_BYTES || get16(bytes + BEK_HEAD_BYTES + 4) != 9)
		return ff_fail(err, FF_E_USAGE, "that is no startup key (.BEK file)");
	return bek_key(bytes + BEK_HEAD_BYTES + BEK_ENTRY_BYTES, size - BEK_ENTRY_BYTES, key, err);
}

/* ---------------------------------------------------------------- stretching */

void fve_stretch(const uint8_t password[16], const uint8_t salt[16], uint8_t out[32])
{
	struct {
		uint8_t last[32], initial[32], salt[16], count[8];
	} *round = ff_secret_new(sizeof(*round));
	EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool done;

	if (sha256 == NULL || ctx == NULL)
		ff_oom();
	memcpy(round->salt, salt, sizeof(round->salt));
	done = EVP_Digest(password, 16, round->initial, NULL, sha256, NULL) == 1;
	for (uint32_t i = 0; done && i < ROUNDS; i++) {
		for (int byte = 0; byte < 4; byte++)
			round->count[byte] = (uint8_t)(i >> 8 * byte);
		done = EVP_DigestInit_ex2(ctx, i == 0 ? sha256 : NULL, NULL) == 1 &&
		       EVP_DigestUpdate(ctx, round, sizeof(*round)) == 1 &&
		       EVP_DigestFinal_ex(ctx, round->last, NULL) == 1;
	}
	if (!done)
		ff_oom(); /* SHA-256 of memory fails for want of memory only */
	memcpy(out, round->last, sizeof(round->last));
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(sha256);
	ff_secret_free(round);
}

/* ---------------------------------------------------------------- opening */

/* AES-256-CCM. True when the MAC is right. */
static bool unseal(const struct fve_sealed *s, const uint8_t key[32], uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0;
	bool good;

	if (ctx == NULL)
		ff_oom();
	good = EVP_DecryptInit_ex(ctx, EVP_aes_256_ccm(), NULL, NULL, NULL) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, sizeof(s->nonce), NULL) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(s->mac), (void *)(uintptr_t)s->mac) == 1 &&
	       EVP_DecryptInit_ex(ctx, NULL, NULL, key, s->nonce) == 1 &&
	       EVP_DecryptUpdate(ctx, out, &len, s->data, (int)s->len) == 1 && len == (int)s->len;
	EVP_CIPHER_CTX_free(ctx);
	return good;
}

/* The key that the protector's copy of the master key is sealed with. */
static int outer_key(const struct fve_protector *p, const char *text, uint8_t key[32], struct ff_err *err)
{
	ff_auto_free void *bek = NULL;
	char id[FVE_GUID_BYTES];
	uint8_t password[16];
	size_t len = 0;
	int rc;

	switch (p->kind) {
	case FVE_CLEAR_KEY:
		memcpy(key, p->clear_key, sizeof(p->clear_key));
		return p->has_clear_key ? 0 : ff_fail(err, FF_E_DISK, "it is suspended, but has no clear key");
	case FVE_RECOVERY_PASSWORD:
		if (text == NULL || !fve_recovery_password(text, password))
			return ff_fail(err, FF_E_USAGE,
				"that is no recovery password (48 digits, groups of six divisible by 11)");
		if (!p->salted)
			return ff_fail(err, FF_E_DISK, "its recovery password protector is damaged");
		fve_stretch(password, p->salt, key);
		ff_wipe(password, sizeof(password));
		return 0;
	case FVE_STARTUP_KEY:
		bek = text != NULL ? ff_base64_decode(text, &len) : NULL;
		if (bek == NULL)
			return ff_fail(err, FF_E_USAGE, "that is no startup key (base64 of a .BEK file)");
		rc = fve_bek(bek, len, id, key, err);
		ff_wipe(bek, len);
		if (rc == 0 && !ff_streq(id, p->id))
			return ff_fail(err, FF_E_AUTH, "that startup key is for the protector %s", id);
		return rc;
	default:
		return ff_fail(
			err, FF_E_USAGE, "no key of ours opens a protector of the kind %s", fve_kind_name(p->kind));
	}
}

/* The metadata that we read is the one that was sealed with this master key. Absent in some versions: then no proof. */
static int check_validation(const struct fve *fve, const uint8_t vmk[32], struct ff_err *err)
{
	uint8_t seen[FVE_SEALED_MAX];

	if (fve->validation.len != VALIDATION_BYTES)
		return 0;
	if (!unseal(&fve->validation, vmk, seen) || get16(seen + 8) != ALGORITHM_SHA256)
		return 0; /* another way of validating, which we do not know */
	if (CRYPTO_memcmp(seen + 12, fve->sha256, sizeof(fve->sha256)) != 0)
		return ff_fail(err, FF_E_DISK, "its metadata is not what Windows wrote");
	return 0;
}

static int open_vmk(const struct fve_protector *p, const char *text, uint8_t *work, uint8_t vmk[32], struct ff_err *err)
{
	if (p->vmk.len != KEY_HEAD_BYTES + 32)
		return ff_fail(err, FF_E_DISK, "its protector %s is damaged", p->id);
	if (outer_key(p, text, vmk, err) < 0)
		return -1;
	if (!unseal(&p->vmk, vmk, work))
		return ff_fail(err, FF_E_AUTH, "that key does not open the protector %s", p->id);
	if (get16(work) != p->vmk.len)
		return ff_fail(err, FF_E_DISK, "its master key has an impossible form");
	memcpy(vmk, work + KEY_HEAD_BYTES, 32);
	return 0;
}

static int open_fvek(
	const struct fve *fve, const uint8_t vmk[32], uint8_t *work, struct fve_key *key, struct ff_err *err)
{
	size_t len = fve_method_key_bytes(fve->method), have;

	if (fve->fvek.len <= KEY_HEAD_BYTES || !unseal(&fve->fvek, vmk, work) || get16(work) != fve->fvek.len)
		return ff_fail(err, FF_E_DISK, "its volume key cannot be opened with its master key");
	have = fve->fvek.len - KEY_HEAD_BYTES;
	if (len == 0 || have < len || have > FVE_KEY_BYTES_MAX)
		return ff_fail(err, FF_E_DISK, "its volume key has %zu bytes, which does not fit its method", have);
	memcpy(key->bytes, work + KEY_HEAD_BYTES, have);
	key->len = have;
	return check_validation(fve, vmk, err);
}

int fve_unlock(const struct fve *fve, const struct fve_protector *protector, const char *text, struct fve_key **key,
	struct ff_err *err)
{
	uint8_t *vmk = ff_secret_new(32), *work = ff_secret_new(FVE_SEALED_MAX);
	struct fve_key *made = ff_secret_new(sizeof(*made));
	int rc = open_vmk(protector, text, work, vmk, err);

	if (rc == 0)
		rc = open_fvek(fve, vmk, work, made, err);
	ff_secret_free(vmk);
	ff_secret_free(work);
	if (rc < 0) {
		ff_secret_free(made);
		return -1;
	}
	*key = made;
	return 0;
}
