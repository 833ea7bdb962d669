/*
 * What both ends of the NBD protocol share: nbd.c serves an open BitLocker volume, nbd_client.c reads from qemu-nbd.
 * Source: the NBD project's doc/proto.md. All integers are big-endian.
 */
#ifndef DISKOPS_NBD_WIRE_H
#define DISKOPS_NBD_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "fixfleet/err.h"

#define NBD_MAGIC_SERVER  UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_MAGIC_OPTION  UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_MAGIC_REPLY	  UINT64_C(0x0003e889045565a9)
#define NBD_MAGIC_REQUEST UINT32_C(0x25609513)
#define NBD_MAGIC_ANSWER  UINT32_C(0x67446698)

#define NBD_HANDSHAKE_FIXED    1u
#define NBD_HANDSHAKE_NO_ZEROS 2u

enum nbd_option { NBD_OPT_EXPORT_NAME = 1, NBD_OPT_ABORT = 2, NBD_OPT_INFO = 6, NBD_OPT_GO = 7 };
enum nbd_command { NBD_CMD_READ = 0, NBD_CMD_WRITE = 1, NBD_CMD_DISCONNECT = 2, NBD_CMD_FLUSH = 3 };

struct nbd_request {
	uint32_t magic;
	uint16_t flags, command;
	uint64_t handle, offset;
	uint32_t len;
} __attribute__((packed));

struct nbd_answer {
	uint32_t magic, error;
	uint64_t handle;
} __attribute__((packed));

/** Exactly `len` bytes off or onto the socket. 0, or -1: the other side has gone. */
int nbd_get(int fd, void *bytes, size_t len);
int nbd_put(int fd, const void *bytes, size_t len);

/**
 * Make a folder for a socket that only this user can reach: the permissions of a socket alone are not honoured
 * everywhere. Short enough for sun_path with a name of a few characters.
 *
 * @return  its path, owned; NULL with FF_E_LOCAL
 */
char *nbd_make_folder(struct ff_err *err);

#endif
