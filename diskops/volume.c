#include "volume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "fixfleet/mem.h"

#define AES_BLOCK 16

struct plain {
	struct store *store;
	uint64_t at, bytes, header_at, header_bytes, copies[FVE_COPIES];
	unsigned sector;
	bool xts;
	EVP_CIPHER_CTX *encrypt, *decrypt, *vector; /* vector: of CBC */
	bool broken;				    /* read by others when the server has ended */
};

/* ---------------------------------------------------------------- which place */

/* Where a byte of the plain volume stands, and how many from there on stand in a row. */
struct stretch {
	bool zeros;
	uint64_t at, bytes;
};

static void clip(struct stretch *s, uint64_t offset, uint64_t from, uint64_t bytes)
{
	if (offset >= from && offset < from + bytes) {
		s->zeros = true;
		s->bytes = s->bytes < from + bytes - offset ? s->bytes : from + bytes - offset;
	} else if (offset < from && s->bytes > from - offset) {
		s->bytes = from - offset;
	}
}

static struct stretch stretch_at(const struct plain *v, uint64_t offset)
{
	struct stretch s = {.at = offset, .bytes = v->bytes - offset};

	if (offset < v->header_bytes)
		return (struct stretch){.at = v->header_at + offset, .bytes = v->header_bytes - offset};
	for (int i = 0; i < FVE_COPIES; i++)
		clip(&s, offset, v->copies[i], FVE_AREA_BYTES);
	clip(&s, offset, v->header_at, v->header_bytes);
	return s;
}

/* ---------------------------------------------------------------- sectors */

static bool crypt_sector(struct plain *v, EVP_CIPHER_CTX *ctx, uint64_t at, uint8_t *bytes)
{
	uint8_t iv[AES_BLOCK] = {0};
	uint64_t number = v->xts ? at / v->sector : at;
	int len = 0;

	for (int i = 0; i < 8; i++)
		iv[i] = (uint8_t)(number >> 8 * i);
	if (!v->xts && (EVP_EncryptUpdate(v->vector, iv, &len, iv, AES_BLOCK) != 1 || len != AES_BLOCK))
		return false;
	return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, iv, -1) == 1 &&
	       EVP_CipherUpdate(ctx, bytes, &len, bytes, (int)v->sector) == 1 && len == (int)v->sector;
}

static int crypt_all(struct plain *v, EVP_CIPHER_CTX *ctx, uint64_t at, uint8_t *bytes, size_t len)
{
	for (size_t done = 0; done < len; done += v->sector)
		if (!crypt_sector(v, ctx, at + done, bytes + done))
			return EIO;
	return 0;
}

static int disk_io(const struct plain *v, bool write, uint64_t at, uint8_t *bytes, size_t len)
{
	return write ? store_write(v->store, v->at + at, bytes, len) : store_read(v->store, v->at + at, bytes, len);
}

static int check_range(const struct plain *v, uint64_t offset, size_t len)
{
	if (len == 0 || len > VOLUME_PIECE_MAX || offset % v->sector != 0 || len % v->sector != 0)
		return EINVAL;
	return offset > v->bytes || len > v->bytes - offset ? EINVAL : 0;
}

int volume_read(struct plain *v, uint64_t offset, uint8_t *bytes, size_t len)
{
	int rc = check_range(v, offset, len);

	while (rc == 0 && len > 0) {
		struct stretch s = stretch_at(v, offset);
		size_t piece = s.bytes < len ? (size_t)s.bytes : len;

		if (s.zeros)
			memset(bytes, 0, piece);
		else if ((rc = disk_io(v, false, s.at, bytes, piece)) == 0)
			rc = crypt_all(v, v->decrypt, s.at, bytes, piece);
		bytes += piece;
		offset += piece;
		len -= piece;
	}
	return rc;
}

int volume_write(struct plain *v, uint64_t offset, uint8_t *bytes, size_t len)
{
	int rc = check_range(v, offset, len);

	while (rc == 0 && len > 0) {
		struct stretch s = stretch_at(v, offset);
		size_t piece = s.bytes < len ? (size_t)s.bytes : len;

		rc = s.zeros ? EIO : crypt_all(v, v->encrypt, s.at, bytes, piece);
		if (rc == 0 && disk_io(v, true, s.at, bytes, piece) != 0)
			rc = EIO;
		bytes += piece;
		offset += piece;
		len -= piece;
	}
	v->broken |= rc == EIO;
	return rc;
}

int volume_flush(struct plain *v)
{
	if (store_flush(v->store) == 0)
		return 0;
	v->broken = true;
	return EIO;
}

bool volume_broken(const struct plain *v)
{
	return v->broken;
}

uint64_t volume_bytes(const struct plain *v)
{
	return v->bytes;
}

unsigned volume_sector_bytes(const struct plain *v)
{
	return v->sector;
}

/* ---------------------------------------------------------------- beginning and end */

static EVP_CIPHER_CTX *cipher(const EVP_CIPHER *kind, const uint8_t *key, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx == NULL)
		ff_oom();
	if (EVP_CipherInit_ex(ctx, kind, NULL, key, NULL, encrypt) == 1 && EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static const struct {
	unsigned method;
	const EVP_CIPHER *(*kind)(void), *(*vector)(void);
} ciphers[] = {
	{0x8002, EVP_aes_128_cbc, EVP_aes_128_ecb},
	{0x8003, EVP_aes_256_cbc, EVP_aes_256_ecb},
	{0x8004, EVP_aes_128_xts, NULL},
	{0x8005, EVP_aes_256_xts, NULL},
};

static int set_ciphers(struct plain *v, unsigned method, const struct fve_key *key, struct ff_err *err)
{
	const char *name = fve_method_name(method);

	for (size_t i = 0; i < FF_COUNT(ciphers); i++) {
		if (ciphers[i].method != method)
			continue;
		v->xts = ciphers[i].vector == NULL;
		v->encrypt = cipher(ciphers[i].kind(), key->bytes, 1);
		v->decrypt = cipher(ciphers[i].kind(), key->bytes, 0);
		v->vector = v->xts ? NULL : cipher(ciphers[i].vector(), key->bytes, 1);
		if (v->encrypt == NULL || v->decrypt == NULL || (!v->xts && v->vector == NULL))
			return ff_fail(err, FF_E_DISK, "its key is no key for %s", name);
		return 0;
	}
	return ff_fail(err, FF_E_DISK, "its encryption method (%s) is not supported", name != NULL ? name : "unknown");
}

struct plain *volume_new(
	struct store *store, uint64_t at, const struct fve *fve, const struct fve_key *key, struct ff_err *err)
{
	struct plain *v = ff_calloc(1, sizeof(*v));

	*v = (struct plain){.store = store,
		.at = at,
		.bytes = fve->volume_bytes - fve->volume_bytes % fve->sector_bytes,
		.header_at = fve->header_at,
		.header_bytes = fve->header_bytes,
		.sector = fve->sector_bytes};
	memcpy(v->copies, fve->copies, sizeof(v->copies));
	if (set_ciphers(v, fve->method, key, err) == 0)
		return v;
	volume_free(v);
	return NULL;
}

void volume_free(struct plain *v)
{
	if (v == NULL)
		return;
	EVP_CIPHER_CTX_free(v->encrypt);
	EVP_CIPHER_CTX_free(v->decrypt);
	EVP_CIPHER_CTX_free(v->vector);
	free(v);
}
