/*
 * The metadata of a BitLocker volume ("full volume encryption"), as it stands on the disk: which volume it is, how it
 * is encrypted, whether it is, and who protects its master key. Pure: reads through a function of the caller's, writes
 * nothing, trusts nothing.
 *
 * Sources of the format: libbde's "BitLocker Drive Encryption (BDE) format specification", dislocker's
 * include/dislocker/metadata, cryptsetup's lib/bitlk. Windows 7 and later (metadata version 2); all integers are
 * little-endian.
 */
#ifndef DISKOPS_FVE_H
#define DISKOPS_FVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/err.h"

#define FVE_GUID_BYTES	   37 /* "4381f759-c4f8-4de0-bb61-fc33a831bda5" and a NUL */
#define FVE_COPIES	   3
#define FVE_PROTECTORS_MAX 32
#define FVE_AREA_BYTES	   65536 /* each copy of the metadata occupies that much of the volume */
#define FVE_SEALED_MAX	   80	 /* of a sealed key: 12 bytes of header, at most 64 of key */

enum fve_state {
	FVE_ENCRYPTED,	/* wholly; may still be suspended, see `clear` */
	FVE_DECRYPTED,	/* metadata is left, the data is plain */
	FVE_CONVERTING, /* between the two, going on or paused, or encrypted on write */
	FVE_ODD,	/* a state that no source describes */
};

/* What opens a protector. */
enum fve_kind {
	FVE_CLEAR_KEY, /* nothing: the key stands beside it. The volume is "suspended" */
	FVE_TPM,
	FVE_STARTUP_KEY, /* a .BEK file */
	FVE_TPM_STARTUP_KEY,
	FVE_TPM_PIN,
	FVE_RECOVERY_PASSWORD, /* 48 digits */
	FVE_CERTIFICATE,
	FVE_PASSWORD,
	FVE_OTHER,
};

/* A key encrypted with AES-CCM. */
struct fve_sealed {
	uint8_t nonce[12], mac[16], data[FVE_SEALED_MAX];
	size_t len; /* of data; 0: none */
};

struct fve_protector {
	char id[FVE_GUID_BYTES];
	enum fve_kind kind;
	bool salted;
	uint8_t salt[16];      /* of stretching, when salted */
	struct fve_sealed vmk; /* the volume's master key */
	uint8_t clear_key[32]; /* of FVE_CLEAR_KEY, when has_clear_key */
	bool has_clear_key;
};

struct fve {
	char id[FVE_GUID_BYTES];
	enum fve_state state;
	unsigned method; /* 0x8002...; see fve_method_name() */
	unsigned sector_bytes;
	uint64_t volume_bytes; /* of the partition */
	/* what of the volume is not data: the copies, and the first bytes of the plain volume, which stand elsewhere */
	uint64_t copies[FVE_COPIES], header_at, header_bytes;
	unsigned copies_good; /* of FVE_COPIES: those whose checksum is right */
	struct fve_protector protectors[FVE_PROTECTORS_MAX];
	size_t protector_count;
	struct fve_sealed fvek, validation;
	uint8_t sha256[32]; /* of the block that was read; the sealed validation must say the same */
};

/** Read exactly `len` bytes at `offset` of the volume. 0, or -1 with err. */
typedef int fve_read_fn(void *arg, uint64_t offset, void *bytes, size_t len, struct ff_err *err);

/** Do these first bytes of a partition (at least 512) call it BitLocker? */
bool fve_is_one(const uint8_t *boot_sector);

/**
 * Read the metadata of a BitLocker volume: the first copy with a right checksum counts.
 *
 * @volume_bytes  size of the partition
 * @return        0, or -1 with FF_E_DISK (no sound copy, another version, offsets that cannot be) or what `read` failed
 *                with
 */
int fve_parse(struct fve *fve, fve_read_fn *read, void *arg, uint64_t volume_bytes, struct ff_err *err);

/** The protector that opens it without a key, NULL when it is not suspended. Borrowed. */
const struct fve_protector *fve_clear(const struct fve *fve);

/** "AES-XTS 128"; "method 0x9000" is not known: NULL. */
const char *fve_method_name(unsigned method);
/** Bytes of its key; 0: not known. */
size_t fve_method_key_bytes(unsigned method);
/** "encrypted", "decrypted", "converting", "odd". */
const char *fve_state_name(enum fve_state state);
/** As the protocol and people call it: "recovery-password". */
const char *fve_kind_name(enum fve_kind kind);

/** 16 bytes as they stand on the disk (the first three fields little-endian) as lower-case text. */
void fve_guid_text(const uint8_t *guid, char out[FVE_GUID_BYTES]);

#endif
