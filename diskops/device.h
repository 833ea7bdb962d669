/*
 * Finding a job's disk on this machine, and proving that it is the one and that nobody else uses it, before anything
 * opens it.
 */
#ifndef DISKOPS_DEVICE_H
#define DISKOPS_DEVICE_H

#include "job.h"

/**
 * Look for the job's device once: its paths in order, the first that exists counts.
 *
 * @return  1: found, and job->path, device_id, inode are set; 0: none of the paths exists yet; -1 with err (FF_E_LOCAL
 *          or FF_E_DISK): it is there, but is the wrong one, is in use, or is no disk
 */
int device_find(struct job *job, struct ff_err *err);

/**
 * Does the path still lead to the device that was found, with the size it must have? Asked when the appliance has
 * opened it: between finding and opening another disk may have taken its name. 0, or -1 with err (FF_E_DISK).
 */
int device_prove(const struct job *job, struct ff_err *err);

/** Are these two jobs' devices the same one? Both must have been found. */
bool device_same(const struct job *a, const struct job *b);

/**
 * Read the device that was found, without an appliance. The disk must be raw.
 * Returns how many bytes there were, fewer at its end; -1 with errno.
 */
ssize_t device_read(const struct job *job, uint64_t offset, void *bytes, size_t len);

#endif
