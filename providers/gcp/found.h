/* What discovery has gathered, shared by discover.c, pages.c, found.c and hazards.c. */
#ifndef GCP_FOUND_H
#define GCP_FOUND_H

#include "gcp.h"

/* ff_ask.tag: which question an ask is. Steps and polls have 0, the login its stages. */
enum gcp_asked {
	GCP_Q_INSTANCES = 100,
	GCP_Q_DISKS,
	GCP_Q_MANAGERS, /* instance groups */
	GCP_Q_MEMBERS,
	GCP_Q_ADDRESSES,
	GCP_Q_DISK,
	GCP_Q_MACHINE,
	GCP_Q_SERIAL,
	GCP_Q_KEYS,    /* the file of customer-supplied keys */
	GCP_Q_PERMITS, /* what this identity may do with a VM or its disk */
};

/* One question: a list is asked page by page. */
struct gcp_question {
	enum gcp_asked asked;
	char *path, *tail; /* tail without the page token */
	char *page;	   /* token of the page to ask; NULL: the first */
	unsigned pages;
	size_t vm; /* DISK, SERIAL: which one */
	bool sent;
	bool no_backup; /* PERMITS: no snapshot is wanted */
};

/* A VM, and what was read about it until it is judged. */
struct gcp_vm {
	struct ff_vm vm; /* first: vms() hands out pointers to it */
	char *number;	 /* its id; vm.id is its path */
	char *kept;	 /* what is needed of the Instance until it is judged, as text; NULL after. Ten thousand are not
			    kept as trees, which are five times as large */
	json_t *raw;	 /* while it is unpacked: what `kept` holds, */
	const json_t *boot; /* in raw its boot disk's attachment, or NULL, */
	json_t *disk;	    /* and the Disk record of that, or NULL */
	bool windows;
	bool serial_read;
	struct gcp_serial serial;
	enum ff_health serial_health;
};

struct gcp_found {
	enum { GCP_F_BEGIN, GCP_F_LISTS, GCP_F_DETAILS, GCP_F_PERMITS, GCP_F_DONE } phase;
	struct gcp_question **questions;
	size_t question_count, first_unsent, out;
	struct gcp_vm **items;
	struct ff_vm **vms;
	size_t count;
	json_t *disks;	   /* path -> what is needed of the Disk, as text */
	json_t *claimed;   /* path -> Disk that bears a run's label; NULL: nobody asks for them */
	json_t *groups;	   /* instance path -> name of its group */
	json_t *addresses; /* reserved external addresses -> true; NULL: not known */
	json_t *machines;  /* path of a machine type -> maximumPersistentDisks */
	struct ff_strv notes;
};

/* ---- discover.c */

/** A further question, owned by `found`. Steals `path_owned`; `tail` is copied. */
struct gcp_question *gcp_question_new(
	struct gcp_found *found, enum gcp_asked asked, char *path_owned, const char *tail);

/* ---- found.c */

/** Take an Instance; `instance` is borrowed. Nonsense is passed over with a note. */
void gcp_found_add(struct ff_cloud *cloud, const json_t *instance);
/** Take a Disk; the same. */
void gcp_found_add_disk(struct gcp_found *found, const char *path, const json_t *disk);
/** Make raw, boot and disk of what was kept; and drop them again. */
void gcp_found_unpack(const struct gcp_found *found, struct gcp_vm *vm);
void gcp_found_pack(struct gcp_vm *vm);
/** May it be asked to serve as rescue VM: named with --rescue, or labelled where none is named? */
bool gcp_found_is_rescue(const struct ff_cloud *cloud, const struct gcp_vm *vm);
/** It must not be repaired: the reason is stolen. */
void gcp_skip(struct gcp_vm *vm, char *reason_owned);
/** What is recorded of its boot disk; `disk` may be NULL. New reference. */
json_t *gcp_disk_facts(struct gcp_vm *vm, const json_t *disk);
/** Everything was read: fill slots, facts, hazards, health. */
void gcp_found_finish(struct ff_cloud *cloud);

/* ---- recover.c */

/** Where it bears a run's claim: put into its facts what its labels say, and where its boot disk is. */
void gcp_settle_claim(const struct ff_cloud *cloud, struct gcp_vm *vm);

/* ---- permits.c */

/** Before a repair: ask about one affected VM for all. Nothing when none would be repaired. */
void gcp_permits_ask(struct ff_cloud *cloud);
/** The permissions of that question, as testIamPermissions takes them. New reference. */
json_t *gcp_permits_body(const struct gcp_question *q);
/** Something is missing: every affected VM is skipped with that reason. */
void gcp_permits_read(struct gcp_found *found, const struct gcp_question *q, const json_t *answer);

/* ---- hazards.c */

/** Fill hazards, and the reason to skip: NULL when nothing forbids a repair. The caller frees. */
char *gcp_hazards(const struct ff_cloud *cloud, struct gcp_vm *vm);

#endif
