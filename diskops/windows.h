/*
 * Looking at a disk, read-only: which file systems, where Windows is, which files the recipes want removed.
 */
#ifndef DISKOPS_WINDOWS_H
#define DISKOPS_WINDOWS_H

#include "appliance.h"
#include "outbox.h"

/**
 * Look at the job's disk without writing a bit. Fills job->windows, places, victims, notes, nothing; says stages.
 *
 * @return  0: looked at everything, victims (if any) are to be removed; -1 with err: FF_E_DISK for what is on the
 *              disk (no Windows, encrypted, unreadable, too much to remove), FF_E_LOCAL when the appliance fails
 */
int windows_scan(struct appliance *a, struct outbox *out, struct job *job, struct ff_err *err);

#endif
