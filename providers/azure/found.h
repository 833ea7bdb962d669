/* What discovery has found so far; shared by discover.c (questions), found.c (reading) and hazards.c (judging). */
#ifndef FIXFLEET_AZURE_FOUND_H
#define FIXFLEET_AZURE_FOUND_H

#include <sys/queue.h>

#include "azure.h"

enum azure_agent {
	AZ_AGENT_UNKNOWN, /* no agent, or it says nothing that is understood */
	AZ_AGENT_READY,
	AZ_AGENT_STALE, /* "Ready", but of a time long ago */
	AZ_AGENT_SICK,
	AZ_AGENT_NOT_YET, /* as sick, but so shortly after a start or another change that it may be booting */
};

/* What is needed of a VM only while discovery runs. */
struct azure_side {
	char *size;	     /* "Standard_D2s_v5" */
	struct ff_strv nics; /* ids */
	enum azure_agent agent;
	bool candidate; /* asked for as rescue VM */
	bool viewed;	/* its instance view was read */
	char *unread;	/* why state or OS disk could not be read; NULL */
};

/* A question to ask or asked; lives until it is answered. */
struct azure_ask {
	TAILQ_ENTRY(azure_ask) link;
	enum azure_question kind;
	char *what; /* id of the resource or group; for messages and for building the URL */
	char *url;  /* next page, verbatim; NULL: the first */
	unsigned pages;
	size_t vm;
};
TAILQ_HEAD(azure_asks, azure_ask);

enum azure_phase { AZ_PHASE_NEW, AZ_PHASE_LISTS, AZ_PHASE_DETAILS, AZ_PHASE_DONE };

struct azure_found {
	enum azure_phase phase;
	bool take_over; /* a claim does not decide */
	char *own_run;	/* whose claims are no hazard; NULL: every one is */
	struct ff_vm **vms;
	struct azure_side *sides; /* beside vms */
	size_t count, room;
	json_t *by_id;	 /* lower-case VM id: index */
	json_t *disks;	 /* lower-case disk id: as azure_disk_reduce() makes it */
	json_t *sizes;	 /* lower-case VM size: {"disks","temp_mb"} */
	json_t *dynamic; /* lower-case id of a network interface that has a dynamic public address */
	json_t *links;	 /* next links seen */
	json_t *locks;	 /* array of {"scope","level"} */
	json_t *shared;	 /* text of a value: the value, see azure_found_share() */
	bool addresses_unknown;
	struct ff_strv notes;
	struct azure_asks waiting, asked;
	size_t asked_count;
};

/* ---- inventory.c */

void azure_ask_free(struct azure_ask *q);
/** Free what only discovery needs; the VMs stay. */
void azure_found_forget(struct azure_found *found);

/**
 * Let the VM share with others what is the same: tags and disk records of a fleet are few. Ten thousand VMs become half
 * as large. Nothing inside facts or tags may be changed in place after this.
 */
void azure_found_share(struct azure_found *found, struct ff_vm *vm);

/* ---- found.c */

/** Read a VM of a list or GET. Its index, or -1 when it is none, or was seen before. */
ssize_t azure_found_vm(struct azure_found *found, const json_t *vm);
void azure_found_disk(struct azure_found *found, const json_t *disk);
void azure_found_lock(struct azure_found *found, const json_t *lock);
void azure_found_address(struct azure_found *found, const json_t *address);
void azure_found_size(struct azure_found *found, const json_t *size);
/** An instance view: power state and agent. */
void azure_found_view(struct azure_found *found, size_t index, const json_t *view, int64_t wall_ms);
/** What is kept of a disk: what its copy needs and what speaks against touching it. A new reference. */
json_t *azure_disk_reduce(const json_t *disk);
/** The VM's osDisk as it is sent back: without size, members in one order. A new reference, or NULL: not a managed
 * disk. */
json_t *azure_os_disk_reduce(const json_t *os_disk);

/* ---- hazards.c */

/** Add "word: sentence"; when it forbids, the VM is skipped with that sentence. */
void azure_hazard(struct ff_vm *vm, bool forbids, const char *word, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** What the VM's own model says. */
void azure_hazards_of_vm(struct ff_vm *vm, const json_t *model, bool take_over, const char *own_run);
void azure_hazards_of_view(struct ff_vm *vm, const json_t *view);
/** Everything is read: disks, locks, addresses, sizes, and the health of each. */
void azure_found_judge(const struct ff_cloud *cloud);

#endif
