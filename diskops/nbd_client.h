/*
 * Talks to a server of the NBD protocol on a socket of this machine. Source: the NBD project's doc/proto.md, fixed
 * newstyle handshake, simple replies. One request at a time; not for several threads.
 */
#ifndef DISKOPS_NBD_CLIENT_H
#define DISKOPS_NBD_CLIENT_H

#include <stddef.h>
#include <stdint.h>

/** Shake hands on a connected socket: the size of the server's only export. 0, or -1: that is no such server. */
int nbd_client_hello(int fd, uint64_t *bytes);

/** 0, or an errno: the server's, or EIO when it is gone. */
int nbd_client_read(int fd, uint64_t offset, void *bytes, size_t len);
int nbd_client_write(int fd, uint64_t offset, const void *bytes, size_t len);
int nbd_client_flush(int fd);
void nbd_client_bye(int fd);

#endif
