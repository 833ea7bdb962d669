/* Registry hives of a Windows that does not run, through hivex inside the appliance. */
#ifndef DISKOPS_REGISTRY_H
#define DISKOPS_REGISTRY_H

#include "appliance.h"

/**
 * Carry out the job's edits of this hive (a victim of the mounted partition): apply its logs, edit, commit, read back.
 * `done` is set on each edit when all of them are in the file. 0, or -1 with err.
 */
int registry_edit(const struct appliance *a, struct job *job, size_t victim, struct ff_err *err);

/**
 * Does every key that matches hold the value? 1: yes; 0: no, or there is no such key; -1 with err.
 * @partition  what is mounted at "/"
 * @root       "/Windows" on it
 */
int registry_holds(const struct appliance *a, const char *partition, const char *root, const struct recipe_value *value,
	struct ff_err *err);

#endif
