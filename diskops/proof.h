/* What a recipe says must hold afterwards. */
#ifndef DISKOPS_PROOF_H
#define DISKOPS_PROOF_H

#include "appliance.h"

/** Check every proof of the job's recipes on the mounted partition. 0, or -1 with err (FF_E_DISK) naming the first that
 * does not hold. */
int proof_check(const struct appliance *a, const struct job *job, const char *partition, struct ff_err *err);

#endif
