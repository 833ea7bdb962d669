/*
 * The server's files: scenario, disk images, the links of the rescue VMs' devices.
 */
#ifndef CLOUDSIM_FILES_H
#define CLOUDSIM_FILES_H

#include "cloudsim.h"

/**
 * Read a scenario file: images become absolute paths and get their real size (an error when `size_gib` says another),
 * `certificate` and `federated_token_file` become their text. A new reference; NULL with err (FF_E_USAGE).
 */
json_t *sim_read_scenario(const char *path, struct ff_err *err);

struct sim_files {
	char *work_dir; /* copies go to WORK-DIR/disks */
	char *dev_root; /* NULL: no links */
};

/** Hooks over these files; `files` is borrowed for the model's life. */
struct sim_hooks sim_file_hooks(struct sim_files *files);

/** Carry an effect out. Complains on stderr; a failed effect is a bug of the test bed, not of the program under test.
 */
void sim_carry_out(const struct sim_files *files, const struct sim_effect *effect);

/** mkdir -p. 0 or -1 with errno. */
int sim_make_folders(const char *path);
/** Replace a file by this text, whole or not at all. 0, or -1 with err. */
int sim_write_file(const char *path, const char *text, struct ff_err *err);

#endif
