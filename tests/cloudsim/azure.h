/*
 * Azure inside the model: what its files share. What Azure does and refuses, and with which words, is from Microsoft's
 * API descriptions, recorded traffic and public issues; where nothing public shows a text, the comment at the place
 * says so.
 */
#ifndef CLOUDSIM_AZURE_H
#define CLOUDSIM_AZURE_H

#include "model.h"

#include <openssl/evp.h>

struct az_vm;
struct azure;

struct az_disk {
	char *id, *name, *group, *location;
	char *zone;	      /* NULL: regional */
	char *sku;	      /* "Premium_LRS" */
	char *os;	      /* "Windows", "Linux"; NULL: a data disk */
	char *generation;     /* "V1", "V2"; NULL */
	char *security_type;  /* "TrustedLaunch", "ConfidentialVM_...", NULL */
	char *encryption_set; /* id; NULL: platform key */
	char *disk_access;    /* id; NULL */
	char *network_policy; /* "AllowAll" */
	char *state_override; /* "ActiveSAS" and such; NULL: by what it is attached to */
	char *image;	      /* file; NULL in process */
	char *source;	      /* creationData.sourceResourceId; NULL: FromImage or Empty */
	char *create_option;  /* "FromImage", "Copy", "Empty" */
	char *family;	      /* the OS disk that it is, or was copied from at first */
	char *run;	      /* fixfleet-run tag that it was created with; NULL */
	char unique_id[SIM_UUID_BYTES];
	json_t *tags, *ade; /* ade: encryptionSettingsCollection; NULL */
	const struct azure *az;
	int64_t size_bytes, created_ms;
	bool snapshot, incremental;
	bool bad;	  /* in process: a machine that boots from it crashes */
	bool own_image;	  /* the image is a copy of the simulator's own */
	bool ready;	  /* its creation has ended */
	struct az_vm *vm; /* attached to (as OS or data disk); NULL */
	struct az_vm *to; /* being attached to; NULL */
	bool detaching;
	bool gone; /* deleted; kept because operations may still name it */
	struct sim_op *op;
};

struct az_data_disk {
	struct az_disk *disk;
	int64_t lun;
	char *caching, *delete_option;
};

enum az_power { AZ_RUNNING, AZ_STOPPED, AZ_DEALLOCATED, AZ_STARTING, AZ_STOPPING, AZ_DEALLOCATING };
enum az_agent_mode { AZ_AGENT_AUTO, AZ_AGENT_READY, AZ_AGENT_NOT_READY, AZ_AGENT_NONE };
enum az_agent { AZ_NO_AGENT, AZ_AGENT_IS_READY, AZ_AGENT_IS_SICK };

struct az_os_disk {
	struct az_disk *disk; /* NULL: unmanaged */
	char *caching, *delete_option, *create_option;
	bool write_accelerator;
};

struct az_vm {
	char *id, *name, *group, *location, *zone, *size, *os, *generation, *security_type;
	char *public_ip; /* "dynamic", "static"; NULL */
	char vm_id[SIM_UUID_BYTES];
	json_t *tags, *identity, *plan; /* identity and plan: NULL for none */
	int64_t etag, max_data_disks, created_ms;
	bool rescue, hibernation, vmss, spot, ephemeral, unmanaged, ade, ade_dual, generalized;
	struct az_os_disk os_disk;
	struct az_data_disk *data;
	size_t data_count;
	char *family; /* of the OS disk it had when the scenario began */

	enum az_power power;
	enum az_agent_mode agent_mode;
	int64_t booted_ms;   /* when the last start ended */
	int64_t changed_ms;  /* when the last operation ended, of whatever kind (recorded: vm_power_states) */
	bool boots;	     /* what it booted from is not bad */
	enum az_agent shown; /* what the agent said last, before a stop or start */
	int64_t shown_ms;
	struct sim_op *op; /* at most one at a time */
	bool failed;	   /* provisioningState Failed */
	int64_t stops, starts, deallocations;
	bool lost_ip;  /* a dynamic address was given up by a deallocation */
	bool demanded; /* the operator has said that it may be stopped although it is well */
};

enum az_lock_level { AZ_CAN_NOT_DELETE, AZ_READ_ONLY };
struct az_lock {
	char *name, *scope, *notes;
	int level;
};

struct az_deny {
	char *action, *scope;
};

/* Latencies, in the model's time. */
enum az_latency {
	AZ_L_POWER_OFF,
	AZ_L_START,
	AZ_L_DEALLOCATE,
	AZ_L_RESTART,
	AZ_L_VM_PUT,
	AZ_L_VM_TAGS,
	AZ_L_ATTACH,
	AZ_L_DISK_COPY,
	AZ_L_DISK_UPDATE,
	AZ_L_DISK_DELETE,
	AZ_L_BOOT,
	AZ_L_COUNT
};

struct azure {
	char *subscription, *tenant, *client_id, *client_secret, *certificate, *federated_token, *object_id;
	char *imds_vm; /* the VM that the metadata service speaks of; NULL: the first rescue VM */
	int64_t token_seconds, page_size;
	struct ff_strv groups, required_tags;
	int64_t latency[AZ_L_COUNT];
	int64_t retry_vm_s, retry_disk_s, retry_poll_s, link_delay_ms;
	int attach_refusal;  /* 0: allowed; 1: subscription, 2: region */
	int attach_batch;    /* 0: atomic, 1: partial */
	int concurrent;	     /* 0: conflict, 1: preempt */
	int swap_on_running; /* 0: refuse, 1: reboot */
	int patch_tags;	     /* 0: replace, 1: merge */
	int status_only;     /* 0: full, 1: power */
	bool swap_needs_deallocate, endless_next_link, swap_ignored, ade_attach_refused;
	json_t *secrets;    /* of the key vault: "/secrets/NAME/VERSION" -> as it is answered */
	json_t *graph_keys; /* id of a protector -> recovery password */
	EVP_PKEY *kek;	    /* the vault's one key; NULL: nothing is wrapped */
	const char *base;   /* of the request that is being answered; borrowed */
	json_t *buckets;    /* overrides: name -> {capacity, refill_per_min} */
	struct az_lock *locks;
	size_t lock_count;
	struct az_deny *deny;
	size_t deny_count;

	struct az_vm **vms;
	size_t vm_count;
	json_t *vm_index;	/* id -> number */
	struct az_disk **disks; /* disks and snapshots */
	size_t disk_count;
	json_t *disk_index; /* id -> number, without those that are gone */
	unsigned images;    /* image files named so far */

	struct az_token {
		char text[80], audience[64];
		int64_t until_ms;
	} * tokens;
	size_t token_count;
};

/* ---- one request on its way through */

struct az_route;
struct az_call {
	struct sim *sim;
	struct azure *az;
	const struct sim_request *req;
	struct sim_answer *ans;
	const struct az_route *route;
	char *path;			     /* decoded, without the query */
	struct ff_strv segments;	     /* of the path, decoded */
	struct ff_headers query;	     /* decoded */
	const char *group, *name, *location; /* from the path; borrowed; NULL */
	char *scope;			     /* the resource's id, or the list's scope */
	json_t *body;			     /* NULL: none */
	bool accepted;			     /* a mutation was accepted */
};

/** Fill path, segments and query from the request. azure_target.c. */
void az_read_target(struct az_call *c);
const char *az_query(const struct az_call *c, const char *name);
/** Answer with that status and JSON (stolen; NULL: no body). */
void az_reply(struct az_call *c, int status, json_t *body);
/** {"error":{"code","message"}}. Returns -1, so that a refusal reads as one act. */
int az_refuse(struct az_call *c, int status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** The same from outside a call, into an answer. */
void az_refuse_into(struct sim_answer *ans, int status, const char *code, const char *message);
void az_header(struct az_call *c, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** May the client do that there? Else 403. `linked`: in the words for a scope that the request only names. */
int az_allowed(struct az_call *c, const char *action, const char *scope, const char *linked);

/** Does the scenario deny that? */
bool az_denied(const struct az_call *c, const char *action, const char *scope);

typedef void az_handler(struct az_call *c);

/* Which budget a request draws on. */
enum az_group {
	AZ_NO_BUCKET,
	AZ_PUT_VM,
	AZ_UPDATE_VM,
	AZ_DELETE_VM,
	AZ_LOW_COST_GET,
	AZ_HIGH_COST_GET,
	AZ_GET_OPERATION,
	AZ_WRITE_DISK,
	AZ_DELETE_DISK,
	AZ_GET_DISK,
	AZ_GROUP_COUNT
};

/* azure_throttle.c: 0, or -1 when the request was answered with 429. `resource` NULL: no bucket of its own. */
int az_throttle(struct az_call *c, enum az_group group, const char *resource);

/* azure_auth.c */
bool az_identity(struct az_call *c); /* answered a token or metadata request? */
/** 0, or -1 after 401. `audience`: whom the token must be for, without a slash at its end. */
int az_bearer(struct az_call *c, const char *audience);
/* azure_jwt.c: NULL, or why the assertion is refused, beginning with the AADSTS code. Static text. */
const char *az_check_assertion(
	const char *jwt, const char *certificate_pem, const char *client_id, const char *tenant, int64_t now_ms);

/* azure_vault.c: Key Vault and Microsoft Graph. Is it asked? Then it is answered. */
bool az_vault(struct az_call *c);
bool az_graph(struct az_call *c);
int az_read_ade(struct azure *az, const struct az_vm *vm, const json_t *o, const char *where, struct ff_err *err);
/** encryptionSettingsCollection as it is answered. A new reference. */
json_t *az_ade_json(const struct azure *az, const json_t *ade);

/* azure_scenario.c */
struct azure *az_scenario(struct sim *sim, const json_t *part, struct ff_err *err);
/* azure_scenario_vm.c: entries of "vms" and "disks" */
int az_read_vm(struct sim *sim, struct azure *az, const json_t *o, const char *where, struct ff_err *err);
int az_read_loose_disk(struct sim *sim, struct azure *az, const json_t *o, const char *where, struct ff_err *err);
void az_free(struct azure *az);
struct az_vm *az_find_vm(const struct azure *az, const char *id);
struct az_disk *az_find_disk(const struct azure *az, const char *id);
struct az_vm *az_vm_named(const struct azure *az, const char *name);
/** A new, empty disk or snapshot of that id, known to the index. */
struct az_disk *az_new_disk(
	struct sim *sim, struct azure *az, bool snapshot, const char *group, const char *name, const char *location);
char *az_id(const struct azure *az, const char *group, const char *type, const char *name);
void az_set(char **text, const char *value); /* replace an owned text by a copy */

/* azure_view.c: resources as JSON; new references. `upper`: with the upper-case resource group of Azure's lists. */
json_t *az_vm_json(const struct az_call *c, const struct az_vm *vm, bool upper, bool instance_view);
json_t *az_vm_status_json(const struct az_call *c, const struct az_vm *vm);
json_t *az_instance_view(const struct sim *sim, const struct azure *az, const struct az_vm *vm);
json_t *az_storage_profile(const struct az_vm *vm);
json_t *az_disk_json(const struct az_disk *disk, bool upper);
const char *az_disk_state(const struct az_disk *disk);
/** The id with the resource group in upper case. The caller frees. */
char *az_upper_id(const char *id);

/* azure_power.c */
extern const char *const az_power_names[];
enum az_agent az_agent_now(const struct sim *sim, const struct azure *az, const struct az_vm *vm, int64_t *time_ms);
void az_agent_freeze(const struct sim *sim, const struct azure *az, struct az_vm *vm);
bool az_disk_is_bad(const struct sim *sim, const struct az_disk *disk);
bool az_disk_is_going(const struct az_disk *disk); /* it is being deleted */
void az_boot(struct sim *sim, struct az_vm *vm);
void az_check_vm(struct sim *sim, const struct az_vm *vm);
struct az_job;
void az_carry_out_power(struct sim *sim, const struct azure *az, struct az_job *job);
az_handler az_power_off, az_deallocate, az_start, az_restart;

/* azure_lro.c */
enum az_job_kind { AZ_J_POWER, AZ_J_UPDATE, AZ_J_DATA, AZ_J_DISK_NEW, AZ_J_DISK_UPDATE, AZ_J_DISK_DELETE };
struct az_change { /* one data disk of a job */
	struct az_disk *disk;
	bool detach;
	int64_t lun;
	char *caching, *delete_option;
};
struct az_goal {
	json_t *tags, *identity; /* NULL: unchanged */
	bool drop_identity;
	struct az_disk *os;	 /* NULL: unchanged */
	struct az_os_disk shape; /* of the new OS disk; disk is `os` */
	bool reboot;
};
struct az_job {
	enum az_job_kind kind;
	struct az_vm *vm;
	struct az_disk *disk;
	enum az_power before, after; /* AZ_J_POWER */
	bool boots;
	struct az_goal goal;
	struct az_change *changes;
	size_t change_count;
	json_t *patch;		      /* AZ_J_DISK_UPDATE: the body */
	char *location, *api_version; /* of its poll URLs */
	char *code, *message;	      /* data: part of the batch was refused so */
	int status;
};
struct az_job *az_job(enum az_job_kind kind, struct az_vm *vm, struct az_disk *disk);
void az_free_job(void *job);
/** One operation at a time per VM: 0, or -1 after 409; or the earlier one is preempted, as the scenario says. */
int az_vm_free(struct az_call *c, struct az_vm *vm);
enum az_poll_headers { AZ_H_ASYNC = 1, AZ_H_LOCATION = 2 };
/** Begin the operation; adds its headers and Retry-After to the answer. */
struct sim_op *az_begin(
	struct az_call *c, const char *kind, int64_t latency_ms, struct az_job *job, unsigned headers, bool disk);
void az_finish(struct sim *sim, void *self, struct sim_op *op);
void az_abandon(struct sim *sim, void *self, struct sim_op *op);
az_handler az_poll;

/* azure_data.c: data disks of a VM */
/** Refuses, or adds the change to the job and reserves the disk. `lun` -1: choose. */
int az_plan_attach(struct az_call *c, struct az_vm *vm, struct az_job *job, const char *disk_id, int64_t lun,
	const char *caching, const char *delete_option);
int az_plan_detach(struct az_call *c, struct az_vm *vm, struct az_job *job, const char *disk_id);
void az_unplan(struct az_job *job); /* free what was reserved */
void az_carry_out_data(struct sim *sim, const struct azure *az, struct az_job *job);
void az_detach_now(struct sim *sim, struct az_vm *vm, struct az_disk *disk);
/** May this disk be attached to that VM at all (found, free, zone, region)? Common to data disks and the swap. */
struct az_disk *az_attachable(struct az_call *c, const struct az_vm *vm, const char *disk_id);
az_handler az_attach_detach;

/* azure_vm.c */
struct az_vm *az_vm_of(struct az_call *c); /* or NULL after 404 */
void az_note_mutation(struct az_call *c, const struct az_vm *vm, const char *what);
az_handler az_vm_get, az_vm_list, az_vm_instance_view, az_vm_sizes, az_vm_boot_diagnostics;
/** The storage account that boot diagnostics are in: who knows the URL may read. Is it asked? Then it is answered. */
bool az_blob(struct az_call *c);
/* What a list is of; only the entries of the page that is asked for are made. */
struct az_list {
	const void **items;
	size_t count;
};
void az_list_add(struct az_list *list, const void *item);
/** Answer with a page of the list, each entry made by `make` (a new reference). Frees the list. */
void az_page(struct az_call *c, struct az_list *list, json_t *(*make)(const struct az_call *c, const void *item));
/* azure_swap.c: refuses, or puts what the body says of the OS disk into the job's goal */
int az_plan_os(struct az_call *c, struct az_job *job, const json_t *body, bool put);
/* azure_update.c */
int az_refuse_change(struct az_call *c, const char *property); /* 409 PropertyChangeNotAllowed */
az_handler az_vm_patch, az_vm_put;
void az_carry_out_update(struct sim *sim, struct azure *az, struct az_job *job);
/* azure_disk.c */
az_handler az_disk_get, az_disk_list, az_disk_put, az_disk_patch, az_disk_delete;
void az_carry_out_disk(struct sim *sim, struct azure *az, struct az_job *job);
void az_forget_disk(struct sim *sim, struct azure *az, struct az_disk *disk);
/* azure_misc.c */
/** A size in GiB there, as bytes: at most 64 TiB; -1 when absent. */
int64_t az_bytes(const json_t *object, const char *path);
az_handler az_locks, az_public_addresses, az_skus;
void az_metadata_instance(struct az_call *c);
int64_t az_size_disks(const char *size);
int64_t az_size_temp_mb(const char *size);
bool az_size_premium(const char *size);
/** 0, or -1 after 409 ScopeLocked. */
int az_unlocked(struct az_call *c, const char *scope, bool deletes);
/* azure_state.c */
json_t *az_state(const struct sim *sim, const void *self);
int az_human(struct sim *sim, void *self, const json_t *act, struct ff_err *err);
int az_set_bad(void *self, const char *disk_name, bool bad);

#endif
