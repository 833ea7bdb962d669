/*
 * Which format an image file has, by what stands in it and not by its name; and whether it may be opened: an image that
 * names other files could make them readable, or writable, to whoever wrote it.
 */
#ifndef DISKOPS_IMAGE_H
#define DISKOPS_IMAGE_H

#include <stdbool.h>

#include "fixfleet/err.h"

/**
 * Look at the image.
 *
 * @format  set to "raw" (also for a VHD of fixed size: its footer stands behind the disk), "vpc", "vhdx", "vmdk" or
 * "qcow2", as qemu calls them; not owned
 * @return  0, or -1 with err: FF_E_DISK when it stands on other files, is of a kind that is not written here, or is
 * damaged; FF_E_LOCAL when it cannot be read
 */
int image_format(const char *path, bool write, const char **format, struct ff_err *err);

#endif
