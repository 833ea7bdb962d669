/* What the world itself needs of its disks. */
#ifndef TESTS_SIM_DISKS_H
#define TESTS_SIM_DISKS_H

#include "vw.h"

int vw_image_is_bad(void *arg, const char *image);
char *vw_image_name(void *arg, const char *disk_id, unsigned number);
/** Carry out the model's effects that are due. */
void vw_carry_out_due(struct vw *vw);
void vw_disks_free(struct vw *vw);

#endif
