/*
 * Hands an open BitLocker volume to the appliance's qemu: a server of the NBD protocol on a socket that only this user
 * can reach, in a thread of its own. Source: the NBD project's doc/proto.md, fixed newstyle handshake, simple replies.
 *
 * nbd_start() -> qemu connects to nbd_socket(), as often as it likes -> nbd_stop() once the appliance is closed
 */
#ifndef DISKOPS_NBD_H
#define DISKOPS_NBD_H

#include "volume.h"

struct nbd;

/** Serve `volume` (borrowed). NULL with FF_E_LOCAL. */
struct nbd *nbd_start(struct plain *volume, bool readonly, struct ff_err *err);
/** The path of its socket. Borrowed. */
const char *nbd_socket(const struct nbd *nbd);
/** End it. NULL is fine. */
void nbd_stop(struct nbd *nbd);

#endif
