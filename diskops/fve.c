#include "fve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "fixfleet/mem.h"

#define BOOT_BYTES	 512
#define BLOCK_HEAD_BYTES 64 /* then the header of the metadata, then its entries */
#define META_HEAD_BYTES	 48
#define ENTRY_HEAD_BYTES 8 /* u16 size of all of it, role, type of value, flags */
#define VMK_HEAD_BYTES	 28
#define SEAL_HEAD_BYTES	 28 /* nonce, MAC */
#define CHECK_BYTES	 8  /* u16 size, u16 version, u32 CRC-32 of the block before it */
#define ENTRIES_MAX	 256
#define HEADER_BYTES_MAX (1024 * 1024)

enum role { ROLE_PROPERTY = 0, ROLE_VMK = 2, ROLE_FVEK = 3, ROLE_HEADER = 15 };
enum value { VALUE_KEY = 1, VALUE_STRETCH = 3, VALUE_SEALED = 5 };

static const uint8_t guid_normal[16] = {
	0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01};
static const uint8_t guid_on_write[16] = {
	0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* CRC-32 of IEEE 802.3, as zlib and GPT have it. */
static uint32_t crc32_of(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
	}
	return ~crc;
}

void fve_guid_text(const uint8_t *g, char out[FVE_GUID_BYTES])
{
	snprintf(out, FVE_GUID_BYTES, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", get32(g), get16(g + 4),
		get16(g + 6), g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);
}

/* ---------------------------------------------------------------- names */

static const struct {
	unsigned method;
	const char *name;
	size_t key_bytes;
} methods[] = {
	{0x8000, "AES-CBC 128 with diffuser", 32},
	{0x8001, "AES-CBC 256 with diffuser", 64},
	{0x8002, "AES-CBC 128", 16},
	{0x8003, "AES-CBC 256", 32},
	{0x8004, "AES-XTS 128", 32},
	{0x8005, "AES-XTS 256", 64},
};

const char *fve_method_name(unsigned method)
{
	for (size_t i = 0; i < FF_COUNT(methods); i++)
		if (methods[i].method == method)
			return methods[i].name;
	return NULL;
}

size_t fve_method_key_bytes(unsigned method)
{
	for (size_t i = 0; i < FF_COUNT(methods); i++)
		if (methods[i].method == method)
			return methods[i].key_bytes;
	return 0;
}

const char *fve_state_name(enum fve_state state)
{
	static const char *const names[] = {[FVE_ENCRYPTED] = "encrypted",
		[FVE_DECRYPTED] = "decrypted",
		[FVE_CONVERTING] = "converting",
		[FVE_ODD] = "odd"};

	return names[state];
}

static const struct {
	unsigned protection;
	enum fve_kind kind;
} protections[] = {{0x0000, FVE_CLEAR_KEY}, {0x0100, FVE_TPM}, {0x0200, FVE_STARTUP_KEY}, {0x0300, FVE_TPM_STARTUP_KEY},
	{0x0500, FVE_TPM_PIN}, {0x0800, FVE_RECOVERY_PASSWORD}, {0x1000, FVE_CERTIFICATE}, {0x2000, FVE_PASSWORD}};

static enum fve_kind kind_of(unsigned protection)
{
	for (size_t i = 0; i < FF_COUNT(protections); i++)
		if (protections[i].protection == protection)
			return protections[i].kind;
	return FVE_OTHER;
}

const char *fve_kind_name(enum fve_kind kind)
{
	static const char *const names[] = {[FVE_CLEAR_KEY] = "clear-key",
		[FVE_TPM] = "tpm",
		[FVE_STARTUP_KEY] = "startup-key",
		[FVE_TPM_STARTUP_KEY] = "tpm-startup-key",
		[FVE_TPM_PIN] = "tpm-pin",
		[FVE_RECOVERY_PASSWORD] = "recovery-password",
		[FVE_CERTIFICATE] = "certificate",
		[FVE_PASSWORD] = "password",
		[FVE_OTHER] = "other"};

	return names[kind];
}

const struct fve_protector *fve_clear(const struct fve *fve)
{
	for (size_t i = 0; i < fve->protector_count; i++)
		if (fve->protectors[i].kind == FVE_CLEAR_KEY && fve->protectors[i].has_clear_key)
			return &fve->protectors[i];
	return NULL;
}

/* ---------------------------------------------------------------- entries */

/* One entry of a list: [p, p + size), size at least ENTRY_HEAD_BYTES. */
struct entry {
	const uint8_t *p;
	size_t size;
	unsigned role, value;
};

/* The entry at *at of the list; *at moves behind it. 1; 0 at its end; -1 when it is damaged. */
static int next_entry(const uint8_t *list, size_t len, size_t *at, struct entry *e)
{
	if (len - *at < ENTRY_HEAD_BYTES || get16(list + *at) == 0)
		return 0;
	e->p = list + *at;
	e->size = get16(e->p);
	e->role = get16(e->p + 2);
	e->value = get16(e->p + 4);
	if (e->size < ENTRY_HEAD_BYTES || e->size > len - *at)
		return -1;
	*at += e->size;
	return 1;
}

static int read_sealed(struct fve_sealed *s, const struct entry *e)
{
	size_t len = e->size - ENTRY_HEAD_BYTES;
	const uint8_t *p = e->p + ENTRY_HEAD_BYTES;

	if (len <= SEAL_HEAD_BYTES || len - SEAL_HEAD_BYTES > FVE_SEALED_MAX)
		return -1;
	memcpy(s->nonce, p, sizeof(s->nonce));
	memcpy(s->mac, p + sizeof(s->nonce), sizeof(s->mac));
	s->len = len - SEAL_HEAD_BYTES;
	memcpy(s->data, p + SEAL_HEAD_BYTES, s->len);
	return 0;
}

/* A property of a protector. What is not known (names, hints, times, what the TPM sealed) is passed over. */
static int read_property(struct fve_protector *p, const struct entry *e)
{
	switch (e->value) {
	case VALUE_STRETCH: /* u32 method, salt, and a sealed key that nobody needs */
		if (e->size < ENTRY_HEAD_BYTES + 4 + sizeof(p->salt))
			return -1;
		memcpy(p->salt, e->p + ENTRY_HEAD_BYTES + 4, sizeof(p->salt));
		p->salted = true;
		return 0;
	case VALUE_KEY: /* u32 method, key */
		if (p->kind != FVE_CLEAR_KEY)
			return 0;
		if (e->size != ENTRY_HEAD_BYTES + 4 + sizeof(p->clear_key))
			return -1;
		memcpy(p->clear_key, e->p + ENTRY_HEAD_BYTES + 4, sizeof(p->clear_key));
		p->has_clear_key = true;
		return 0;
	case VALUE_SEALED:
		/* the master key comes first; what a TPM needs is another size and no business of ours */
		return p->vmk.len != 0 || p->kind == FVE_TPM ? 0 : read_sealed(&p->vmk, e);
	default:
		return 0;
	}
}

/* GUID, time of its last change, u16, u16 protection, then its properties. */
static int read_protector(struct fve *fve, const struct entry *e)
{
	struct fve_protector *p;
	size_t at = 0, len;
	const uint8_t *list;
	struct entry property;
	int rc;

	if (fve->protector_count >= FVE_PROTECTORS_MAX || e->size < ENTRY_HEAD_BYTES + VMK_HEAD_BYTES)
		return -1;
	p = &fve->protectors[fve->protector_count++];
	fve_guid_text(e->p + ENTRY_HEAD_BYTES, p->id);
	p->kind = kind_of(get16(e->p + ENTRY_HEAD_BYTES + 26));
	list = e->p + ENTRY_HEAD_BYTES + VMK_HEAD_BYTES;
	len = e->size - ENTRY_HEAD_BYTES - VMK_HEAD_BYTES;
	while ((rc = next_entry(list, len, &at, &property)) > 0)
		if (property.role == ROLE_PROPERTY && read_property(p, &property) < 0)
			return -1;
	return rc;
}

static int read_entry(struct fve *fve, const struct entry *e)
{
	switch (e->role) {
	case ROLE_VMK:
		return read_protector(fve, e);
	case ROLE_FVEK:
		return fve->fvek.len != 0 ? 0 : read_sealed(&fve->fvek, e);
	case ROLE_HEADER:
		if (e->size < ENTRY_HEAD_BYTES + 16)
			return -1;
		fve->header_at = get64(e->p + ENTRY_HEAD_BYTES);
		fve->header_bytes = get64(e->p + ENTRY_HEAD_BYTES + 8);
		return 0;
	default:
		return 0;
	}
}

static int read_entries(struct fve *fve, const uint8_t *list, size_t len, struct ff_err *err)
{
	size_t at = 0, count = 0;
	struct entry e;
	int rc;

	while ((rc = next_entry(list, len, &at, &e)) > 0)
		if (++count > ENTRIES_MAX || read_entry(fve, &e) < 0)
			return ff_fail(err, FF_E_DISK, "its metadata is damaged (entry %zu)", count);
	return rc < 0 ? ff_fail(err, FF_E_DISK, "its metadata is damaged (entry %zu)", count + 1) : 0;
}

/* ---------------------------------------------------------------- one copy */

/* The block without its checksum, or NULL: this copy cannot be used, `err` says why. The caller frees. */
static uint8_t *read_block(
	fve_read_fn *read, void *arg, uint64_t at, uint64_t volume_bytes, size_t *len, struct ff_err *err)
{
	ff_auto_free uint8_t *area = ff_calloc(FVE_AREA_BYTES, 1);
	size_t size;

	if (at == 0 || at > volume_bytes || volume_bytes - at < FVE_AREA_BYTES) {
		ff_fail(err, FF_E_DISK, "a copy of its metadata lies outside of it");
		return NULL;
	}
	if (read(arg, at, area, FVE_AREA_BYTES, err) < 0)
		return NULL;
	if (memcmp(area, "-FVE-FS-", 8) != 0) {
		ff_fail(err, FF_E_DISK, "there is no metadata where its boot sector says");
		return NULL;
	}
	if (get16(area + 10) != 2) {
		ff_fail(err, FF_E_DISK, "its metadata has version %u, not 2", get16(area + 10));
		return NULL;
	}
	size = (size_t)get16(area + 8) << 4;
	if (size < BLOCK_HEAD_BYTES + META_HEAD_BYTES || size > FVE_AREA_BYTES - CHECK_BYTES) {
		ff_fail(err, FF_E_DISK, "its metadata has an impossible size");
		return NULL;
	}
	if (get32(area + size + 4) != crc32_of(area, size)) {
		ff_fail(err, FF_E_DISK, "the checksum of its metadata is wrong");
		return NULL;
	}
	*len = size;
	return FF_STEAL(area);
}

static enum fve_state state_of(unsigned now, unsigned next)
{
	if (now == 4 && next == 4)
		return FVE_ENCRYPTED;
	if (now == 1 && next == 1)
		return FVE_DECRYPTED;
	return now >= 1 && now <= 5 && next <= 5 ? FVE_CONVERTING : FVE_ODD;
}

/* Behind the block: u16 size, u16 version, u32 CRC-32, and the block's hash sealed with the master key. Optional. */
static void read_validation(struct fve *fve, const uint8_t *area, size_t size)
{
	struct entry e;
	size_t at = 0, room = get16(area + size);

	if (room < CHECK_BYTES || room > FVE_AREA_BYTES - size)
		return;
	if (next_entry(area + size + CHECK_BYTES, room - CHECK_BYTES, &at, &e) > 0 && e.value == VALUE_SEALED &&
		read_sealed(&fve->validation, &e) < 0)
		fve->validation.len = 0;
}

static int read_copy(struct fve *fve, const uint8_t *area, size_t size, struct ff_err *err)
{
	size_t len = get32(area + BLOCK_HEAD_BYTES);

	if (len < META_HEAD_BYTES || len > size - BLOCK_HEAD_BYTES)
		return ff_fail(err, FF_E_DISK, "its metadata has an impossible size");
	if (fve->state == FVE_ENCRYPTED) /* not encrypted on write */
		fve->state = state_of(get16(area + 12), get16(area + 14));
	for (int i = 0; i < FVE_COPIES; i++)
		fve->copies[i] = get64(area + 32 + 8 * i);
	fve_guid_text(area + BLOCK_HEAD_BYTES + 16, fve->id);
	fve->method = get16(area + BLOCK_HEAD_BYTES + 36);
	SHA256(area, size, fve->sha256);
	read_validation(fve, area, size);
	return read_entries(fve, area + BLOCK_HEAD_BYTES + META_HEAD_BYTES, len - META_HEAD_BYTES, err);
}

/* ---------------------------------------------------------------- all together */

bool fve_is_one(const uint8_t *boot)
{
	return memcmp(boot + 3, "-FVE-FS-", 8) == 0;
}

static int read_boot(struct fve *fve, const uint8_t *boot, uint64_t at[FVE_COPIES], struct ff_err *err)
{
	if (!fve_is_one(boot))
		return ff_fail(err, FF_E_DISK, "it is not a BitLocker volume");
	if (memcmp(boot, "\xeb\x52\x90", 3) == 0)
		return ff_fail(err, FF_E_DISK, "its format is that of Windows Vista, which is not supported");
	fve->sector_bytes = get16(boot + 11) != 0 ? get16(boot + 11) : 512;
	if (fve->sector_bytes != 512 && fve->sector_bytes != 4096)
		return ff_fail(err, FF_E_DISK, "its sectors have %u bytes", fve->sector_bytes);
	if (memcmp(boot + 160, guid_on_write, 16) == 0)
		fve->state = FVE_CONVERTING;
	else if (memcmp(boot + 160, guid_normal, 16) != 0)
		return ff_fail(err, FF_E_DISK, "its boot sector is damaged or of an unknown kind");
	for (int i = 0; i < FVE_COPIES; i++)
		at[i] = get64(boot + 176 + 8 * i);
	return 0;
}

static bool apart(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a + a_bytes <= b || b + b_bytes <= a;
}

/* Every byte of the volume must have one meaning, or a write would hit the wrong place. */
static int check_layout(const struct fve *fve, struct ff_err *err)
{
	uint64_t at[FVE_COPIES + 2], bytes[FVE_COPIES + 2];
	size_t n = 0;

	for (int i = 0; i < FVE_COPIES; i++, n++) {
		at[n] = fve->copies[i];
		bytes[n] = FVE_AREA_BYTES;
	}
	at[n] = fve->header_at;
	bytes[n++] = fve->header_bytes;
	at[n] = 0;
	bytes[n++] = fve->header_bytes;
	if (fve->header_bytes == 0 || fve->header_bytes > HEADER_BYTES_MAX)
		return ff_fail(err, FF_E_DISK, "its metadata does not say where its first sectors are");
	for (size_t i = 0; i < n; i++) {
		if (at[i] % fve->sector_bytes != 0 || bytes[i] % fve->sector_bytes != 0 || at[i] > fve->volume_bytes ||
			bytes[i] > fve->volume_bytes - at[i])
			return ff_fail(err, FF_E_DISK, "its metadata points outside of it");
		for (size_t k = 0; k < i; k++)
			if (!apart(at[i], bytes[i], at[k], bytes[k]))
				return ff_fail(err, FF_E_DISK, "its metadata contradicts itself");
	}
	return 0;
}

static int read_copies(struct fve *fve, fve_read_fn *read, void *arg, const uint64_t *at, struct ff_err *err)
{
	struct ff_err why;
	int rc = -1;

	for (int i = 0; i < FVE_COPIES; i++) {
		size_t size = 0;
		ff_auto_free uint8_t *area = read_block(read, arg, at[i], fve->volume_bytes, &size, &why);

		if (area == NULL) {
			if (i == 0)
				*err = why;
			continue;
		}
		if (fve->copies_good++ > 0)
			continue;
		rc = read_copy(fve, area, size, err);
		if (rc == 0 && fve->copies[i] != at[i])
			rc = ff_fail(err, FF_E_DISK, "its metadata contradicts its boot sector");
		if (rc < 0)
			return -1;
	}
	return rc;
}

int fve_parse(struct fve *fve, fve_read_fn *read, void *arg, uint64_t volume_bytes, struct ff_err *err)
{
	uint8_t boot[BOOT_BYTES];
	uint64_t at[FVE_COPIES] = {0};

	*fve = (struct fve){.volume_bytes = volume_bytes};
	if (volume_bytes < BOOT_BYTES)
		return ff_fail(err, FF_E_DISK, "it is too small");
	if (read(arg, 0, boot, sizeof(boot), err) < 0 || read_boot(fve, boot, at, err) < 0 ||
		read_copies(fve, read, arg, at, err) < 0)
		return -1;
	return check_layout(fve, err);
}
