/*
 * How an appliance boots. libguestfs's own /init prepares for everything that a guest may hold (udev with all rules and
 * a cold plug of all devices, LVM, RAID, dynamic disks, a network); emulated, that takes longer than the kernel. Disks
 * that are mended here need none of it, and an appliance with an /init of ours is up in half the time.
 *
 * The appliance stays libguestfs's: supermin builds it from the same files of the host, into a cache of its own, with
 * only /init replaced, and builds it anew when packages change. Where the files do not look as expected nothing is
 * changed.
 */
#ifndef DISKOPS_BOOT_H
#define DISKOPS_BOOT_H

#include <guestfs.h>
#include <stdbool.h>

/**
 * Let `g`, which has all its drives and is not launched yet, boot by our /init.
 *
 * Left alone where LIBGUESTFS_PATH says which appliance is to be used, where libguestfs builds none here (a fixed
 * appliance, another layout), and where the cache cannot be made a directory that only this user can write.
 *
 * @param drives  how many were added to it: it waits for them
 * @return  true: it will; the caller must be ready to launch another one without it
 */
bool boot_quickly(guestfs_h *g, size_t drives);

#endif
