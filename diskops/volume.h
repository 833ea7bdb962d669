/*
 * A BitLocker volume as the plain volume it protects: sectors are decrypted as they are read and encrypted as they are
 * written, in place, on the disk itself. The metadata is never written.
 *
 * Why not dm-crypt in the appliance: there the password would be stretched by emulated code (ten seconds and more a
 * disk), a startup key could not be handed over at all before libguestfs 1.59, a suspended volume not before cryptsetup
 * 2.7; here all of that is a fraction of a second with OpenSSL, and nothing depends on what the appliance has.
 *
 * Where bytes of the plain volume are (libbde's specification, "Virtual sectors"; cryptsetup, lib/bitlk): its first
 * sectors stand elsewhere (header_at), because the boot sector and what follows are BitLocker's own; the copies of the
 * metadata and that other place read as zeros. Each sector is encrypted by its place on the volume:
 *   XTS  the tweak is the number of the sector
 *   CBC  the initialization vector is the byte offset of the sector, encrypted with the same key
 */
#ifndef DISKOPS_VOLUME_H
#define DISKOPS_VOLUME_H

#include "fve_key.h"
#include "store.h"

struct plain;

/**
 * @store  the disk; borrowed for the volume's life
 * @at    where the volume begins on it, in bytes
 * @key   of fve_unlock(); not needed afterwards
 * @return  NULL with FF_E_DISK when its encryption method is not supported
 */
struct plain *volume_new(
	struct store *store, uint64_t at, const struct fve *fve, const struct fve_key *key, struct ff_err *err);
void volume_free(struct plain *v); /* NULL is fine; overwrites the key */

uint64_t volume_bytes(const struct plain *v);
unsigned volume_sector_bytes(const struct plain *v);

/**
 * Whole sectors of the plain volume, at most VOLUME_PIECE_MAX bytes. `bytes` of a write is overwritten (encrypted in
 * place). One call at a time.
 *
 * @return  0, or an errno: EINVAL for what is no whole sector or outside of the volume, EIO for the disk's errors and
 * for writing to what reads as zeros
 */
int volume_read(struct plain *v, uint64_t offset, uint8_t *bytes, size_t len);
int volume_write(struct plain *v, uint64_t offset, uint8_t *bytes, size_t len);
/** What was written has reached the disk. 0 or an errno. */
int volume_flush(struct plain *v);

/** Did a write or a flush ever fail? Then nobody knows what is on the disk. */
bool volume_broken(const struct plain *v);

#define VOLUME_PIECE_MAX (2 * 1024 * 1024)

#endif
