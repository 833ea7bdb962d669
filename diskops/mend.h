/*
 * Removing what was found and kept, and proving that nothing else went.
 */
#ifndef DISKOPS_MEND_H
#define DISKOPS_MEND_H

#include "appliance.h"

/**
 * Remove the job's victims. Everything is checked again before the first is removed; afterwards each directory must
 * hold what it held but the victims; then the file systems are unmounted. `gone` is set on each victim as it goes.
 * 0, or -1 with err (FF_E_DISK or FF_E_LOCAL), which says whether anything was removed.
 */
int mend_disk(struct appliance *a, struct job *job, struct ff_err *err);

#endif
