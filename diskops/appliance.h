/*
 * A libguestfs appliance with the disks of some jobs. Owns what must be right about launching one: raw format (never
 * probed), drives named by labels, the fall back from KVM that does not work, memory and processors by the number of
 * disks, and an explanation when nothing works.
 */
#ifndef DISKOPS_APPLIANCE_H
#define DISKOPS_APPLIANCE_H

#include <guestfs.h>

#include "job.h"

/* What one process has learnt about launching; all zero at first. */
struct launcher {
	unsigned memory_mb; /* 0: by the number of disks */
	size_t neighbours;  /* appliances at work at once, which share the processors; 0: this one alone */
	bool force_tcg;	    /* /dev/kvm is there and does not work */
	bool plain;	    /* our way of booting (boot.h) does not work */
	char *note;	    /* the last fall back, for people; told once and then NULL */
};

struct appliance {
	guestfs_h *g;
	bool tcg; /* emulated, not accelerated */
};

/**
 * Launch an appliance with the disks of these READY jobs (none: to see whether it works) and set their `device`.
 * Blocks for seconds. Falls back to TCG when KVM fails, and to libguestfs's way of booting when ours does, and
 * remembers that.
 *
 * @return  0, or -1 with err (FF_E_LOCAL) when it cannot launch at all or with these disks; then nothing is open
 */
int appliance_launch(
	struct appliance *a, struct launcher *launcher, struct job *const *jobs, size_t count, struct ff_err *err);

/** Memory of an appliance with so many disks. */
unsigned appliance_memory_mb(const struct launcher *launcher, size_t disks);

/** Does it still answer? After a crash of the appliance every call fails. */
bool appliance_alive(const struct appliance *a);

/** Flush, and say whether all that was written has reached the disks: 0, or -1 with err. Close it in any case. */
int appliance_shutdown(struct appliance *a, struct ff_err *err);

/** End it and free everything; the disks are closed after that. All zero is fine. */
void appliance_close(struct appliance *a);

/** ff_fail() with the last error of libguestfs as one line: "what: why". */
int appliance_fail(const struct appliance *a, struct ff_err *err, enum ff_class class, const char *what);

/** Free a list of texts that libguestfs returned; NULL is fine. */
void appliance_free_list(char **list);

/** The version of the library, "1.48.6". The caller frees. */
char *appliance_version(void);

#endif
