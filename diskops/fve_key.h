/*
 * From what an operator has (48 digits, a .BEK file) to the key that a BitLocker volume's sectors are encrypted with.
 * Every step is authenticated by the metadata itself (AES-CCM), so a wrong key is known as wrong before anything is
 * decrypted with it.
 */
#ifndef DISKOPS_FVE_KEY_H
#define DISKOPS_FVE_KEY_H

#include "fve.h"

#define FVE_BEK_BYTES_MAX 4096
#define FVE_KEY_BYTES_MAX 64

/* Lives in ff_secret memory. */
struct fve_key {
	uint8_t bytes[FVE_KEY_BYTES_MAX];
	size_t len;
};

/**
 * Is that text a recovery password: eight groups of six digits, each divisible by 11? Dashes or blanks between the
 * groups may be missing. Fills the 16 bytes that it stands for.
 */
bool fve_recovery_password(const char *text, uint8_t out[16]);

/**
 * Read a .BEK file: which protector it opens, and with which key. 0, or -1 with FF_E_USAGE.
 */
int fve_bek(const uint8_t *bytes, size_t len, char id[FVE_GUID_BYTES], uint8_t key[32], struct ff_err *err);

/** The key of a recovery password: SHA-256 over and over, 1,048,576 times; half a second. */
void fve_stretch(const uint8_t password[16], const uint8_t salt[16], uint8_t out[32]);

/**
 * The key of the volume's sectors.
 *
 * @text  for FVE_RECOVERY_PASSWORD the 48 digits, for FVE_STARTUP_KEY the .BEK file in base64; for FVE_CLEAR_KEY NULL
 * @key   a new one in ff_secret memory, the caller frees with ff_secret_free()
 * @return  0, or -1 with FF_E_AUTH (that key does not open it), FF_E_USAGE (it is no such key) or FF_E_DISK (opened,
 * and what is in there cannot be)
 */
int fve_unlock(const struct fve *fve, const struct fve_protector *protector, const char *text, struct fve_key **key,
	struct ff_err *err);

#endif
