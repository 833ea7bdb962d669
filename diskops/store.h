/*
 * A disk's bytes, for what the worker itself reads and writes of it: those of the device or raw image, or what an image
 * of another format holds. Only qemu knows where in a qcow2 a byte is, so the latter go through qemu-nbd, on a socket
 * that only this user can reach; the appliance then takes the disk from there too, since no two may write one image.
 */
#ifndef DISKOPS_STORE_H
#define DISKOPS_STORE_H

#include "job.h"

struct store;

/** Open the very disk that was found. NULL with err. store_close() while nothing uses it any more. */
struct store *store_open(const struct job *job, bool write, struct ff_err *err);
/** NULL is fine. qemu-nbd has ended when this returns; a failure to write shows in store_flush() before. */
void store_close(struct store *s);

/** The same for a descriptor of the caller's, who closes it. */
struct store *store_of_fd(int fd);

uint64_t store_bytes(const struct store *s);

/** Exactly `len` bytes. 0 or an errno. May be called by several threads. */
int store_read(struct store *s, uint64_t offset, void *bytes, size_t len);
int store_write(struct store *s, uint64_t offset, const void *bytes, size_t len);
int store_flush(struct store *s);

/** Where the appliance finds the disk, as raw: a socket that speaks NBD. NULL: it opens the disk itself. Borrowed. */
const char *store_socket(const struct store *s);

#endif
