/*
 * GCP inside the model: what its files share. What Compute does and refuses, and with which words, is from Google's API
 * descriptions, recorded traffic and public issues; where nothing public shows a text, the comment at the place says
 * so.
 */
#ifndef CLOUDSIM_GCP_H
#define CLOUDSIM_GCP_H

#include "model.h"

/* What a scenario has when it does not say otherwise. */
#define GC_PROJECT "p1"
#define GC_KEY_ID  "k1"
#define GC_EMAIL   "fixfleet@%s.iam.gserviceaccount.com" /* of the project */

struct gc_vm;
struct gc_job;

enum gc_disk_status { GC_READY, GC_CREATING, GC_RESTORING, GC_FAILED, GC_DELETING };

struct gc_disk {
	char *name, *zone; /* zone: or the region of a regional disk */
	char *type;	   /* "pd-balanced" */
	char *image;	   /* file; NULL in process */
	char *csek_sha256; /* base64; NULL: no customer-supplied key */
	char *kms;	   /* name of the customer-managed key; NULL */
	char *architecture;
	uint64_t id;
	json_t *labels, *features, *licenses;		       /* features: names of guest OS features */
	int64_t size_gb, created_ms, attached_ms, detached_ms; /* the last two 0: never */
	enum gc_disk_status status;			       /* before it is deleted: see gc_disk_status_of() */
	bool regional, bad, multi_writer;
	size_t users;		  /* so often it is attached */
	struct gc_vm *user;	  /* and there, while it is known; otherwise gc_user_of() looks for it */
	struct gc_vm *victim;	  /* whose boot disk it was when the scenario began; NULL */
	struct gc_disk *origin;	  /* whose content it had when it was made of a snapshot; NULL */
	char *snapshot;		  /* name of that; NULL */
	int64_t iops, throughput; /* provisioned; 0: none */
	bool made_by_run;
	struct sim_op *op; /* the last that was accepted, while it runs */
};
/** GC_DELETING while that is under way, and after it. */
enum gc_disk_status gc_disk_status_of(const struct gc_disk *d);

struct gc_attached {
	struct gc_disk *disk; /* NULL: a local SSD */
	char *device_name;
	const char *mode, *interface; /* static texts */
	bool boot, auto_delete;
	int64_t index;
};

enum gc_status { GC_RUNNING, GC_TERMINATED, GC_STAGING, GC_STOPPING, GC_PENDING_STOP, GC_SUSPENDED, GC_REPAIRING };
extern const char *const gc_status_names[]; /* "RUNNING" */

struct gc_vm {
	char *name, *zone, *machine_type;
	char *group;   /* of a managed instance group; NULL */
	char *nat_ip;  /* its external address now; NULL: none */
	char *address; /* name of the reserved address; NULL: ephemeral */
	uint64_t id;
	json_t *labels, *metadata; /* metadata: key -> value */
	bool windows, rescue, spot, display, deletion_protection, start_restricted, confidential, delete_on_termination;
	bool wants_ip;	     /* has an external address while it runs */
	int64_t max_disks;   /* 0: by the machine type */
	int64_t graceful_ms; /* PENDING_STOP lasts so long for a guest that does not answer; 0: off */
	enum gc_status status;
	int64_t staged_ms; /* PENDING_STOP until then */
	struct gc_attached *disks;
	size_t disk_count;

	struct gc_disk *own;	   /* the boot disk it had when the scenario began */
	struct gc_disk *last_boot; /* that it has or had last */
	struct gc_attached as_was; /* its attachment then */

	int64_t created_ms, booted_ms, stopped_ms; /* stopped_ms 0: never */
	bool boots;				   /* what it booted from is not bad */
	struct ff_buf serial;			   /* what is kept of the first serial port's output */
	int64_t serial_lost;			   /* bytes before that */
	int64_t serial_cycles;			   /* boots written since booted_ms */
	bool serial_agent;			   /* the agent's lines are written */

	struct sim_op *op; /* the last that was accepted, while it runs */
	int64_t stops, starts;
	bool lost_ip, gone, recreated;
	bool demanded; /* the operator has said that it may be stopped although it is well */
};

enum gc_snapshot_status { GC_S_CREATING, GC_S_UPLOADING, GC_S_READY };
struct gc_snapshot {
	char *name, *source, *source_zone; /* source: name of the disk */
	char *csek_sha256, *location;
	char *run;   /* fixfleet-run label that it was made with; NULL */
	char *image; /* the disk's bytes of that moment; NULL in process */
	bool bad;
	uint64_t id, source_id;
	json_t *labels;
	int64_t size_gb, created_ms, ready_ms;
	enum gc_snapshot_status status;
	bool gone;
	struct sim_op *op;
};

struct gc_group {
	char *name, *zone; /* or region */
	bool regional, repairs;
	uint64_t id;
};

struct gc_deny {
	char *permission, *resource;
};

enum gc_latency {
	GC_L_STOP,
	GC_L_STOP_HUNG,
	GC_L_START,
	GC_L_BOOT,
	GC_L_ATTACH,
	GC_L_DETACH,
	GC_L_LABELS,
	GC_L_AUTO_DELETE,
	GC_L_SNAPSHOT,
	GC_L_UPLOAD,
	GC_L_SNAPSHOT_DELETE,
	GC_L_RECREATE,
	GC_L_CREATE,
	GC_L_DELETE,
	GC_L_PENDING,
	GC_L_CYCLE,
	GC_L_COUNT
};

/* What is counted per minute; GC_Q_OPERATIONS is how many may be under way. */
enum gc_quota {
	GC_Q_NONE,
	GC_Q_READ,
	GC_Q_LIST,
	GC_Q_MUTATE,
	GC_Q_OPERATION,
	GC_Q_SERIAL,
	GC_Q_CONCURRENT,
	GC_Q_SNAPSHOTS,
	GC_Q_COUNT
};

struct gc_window { /* of one quota and region */
	char *key;
	int64_t minute, used;
};

struct gc_token {
	char text[80];
	int64_t until_ms;
	bool full; /* its scopes reach Compute's mutations */
};

struct gcp {
	char *project, *number;
	char *email, *key_id, *public_key;		/* service account */
	char *user_client, *user_secret, *user_refresh; /* authorized user; NULL */
	char *audience, *subject_token;			/* federation; NULL */
	char *metadata_vm;				/* whose metadata server it is; NULL: the first rescue VM */
	bool metadata_account;				/* and it has a service account */
	struct ff_strv impersonate, zones, unreachable;
	int64_t token_seconds, page_size, link_delay_ms;
	int64_t latency[GC_L_COUNT], quota[GC_Q_COUNT]; /* quota 0: none */
	int refusals;					/* of states: 0: as HTTP errors, 1: in operations */
	int concurrent;					/* operations on one VM: 0: queue, 1: refuse */
	int serial;					/* at a start: 0: begins anew, 1: goes on */
	bool empty_pages;				/* an empty page comes before each */
	bool loses_auto_delete;				/* attachDisk forgets autoDelete, as when it was not sent */
	int64_t throttled;				/* requests refused for a quota */
	json_t *secrets;				/* of Secret Manager: name -> text */
	struct gc_deny *deny;
	size_t deny_count;

	struct gc_vm **vms;
	size_t vm_count;
	json_t *vm_index; /* "zone/name" -> number */
	struct gc_disk **disks;
	size_t disk_count;
	json_t *disk_index;
	struct gc_snapshot **snapshots; /* those that are gone too */
	size_t snapshot_count;
	struct gc_group *groups;
	size_t group_count;

	struct sim_op **ops; /* in the order of their insertion */
	size_t op_count;
	json_t *op_index;      /* name and id -> number */
	json_t *request_index; /* requestId -> number */
	struct gc_window *windows;
	size_t window_count;
	struct gc_token *tokens;
	size_t token_count;
	unsigned images;
	uint32_t addresses; /* handed out so far */
};

/* ---- one request on its way through */

/* Why something is refused: the HTTP spelling, and the status that goes with it. */
struct gc_refusal {
	int status;
	const char *reason; /* "resourceNotReady", static */
	char *message;	    /* owned */
};
/** Fill it; returns -1. */
int gc_object(struct gc_refusal *r, int status, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

struct gc_route;
struct gc_call {
	struct sim *sim;
	struct gcp *gc;
	const struct sim_request *req;
	struct sim_answer *ans;
	const struct gc_route *route;
	char *path; /* decoded, without the query */
	struct ff_strv segments;
	struct ff_headers query;
	const char *zone, *name; /* from the path; borrowed; NULL */
	char *resource;		 /* "projects/p1/zones/z/instances/vm1", for messages */
	json_t *body;		 /* NULL: none */
	const struct gc_token *token;
};

typedef void gc_handler(struct gc_call *c);

struct gc_route {
	const char *method, *path, *permission, *kind;
	unsigned needs;
	enum gc_quota quota;
	gc_handler *handler;
	const char *params;	    /* query parameters of its own, a space before and behind each */
	const char *const *members; /* of its body; NULL: not checked */
};

void gc_read_target(struct gc_call *c);
const char *gc_query(const struct gc_call *c, const char *name);
/** A boolean parameter as Google's front end reads it: 0, 1, or -1 after 400. Absent: 0. */
int gc_query_bool(struct gc_call *c, const char *name);
/** Answer with that status and JSON (stolen). */
void gc_reply(struct gc_call *c, int status, json_t *body);
int gc_refuse(struct gc_call *c, int status, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** 404 in Compute's words; returns -1. */
int gc_not_found(struct gc_call *c, const char *resource);
void gc_refuse_into(struct sim_answer *ans, int status, const char *reason, const char *text, const json_t *details);
/** May the client do that there? Else 403; returns -1. */
int gc_allowed(struct gc_call *c, const char *permission, const char *resource);
bool gc_may(const struct gcp *gc, const char *permission, const char *resource);
/** All members of the body, or of this part of it, are known? Else 400; returns -1. */
int gc_known(struct gc_call *c, const json_t *object, const char *where, const char *const *names);

/* gcp_auth.c */
bool gc_identity(struct gc_call *c); /* answered a token request? */
bool gc_secret(struct gc_call *c);   /* Secret Manager: true when the request was for it */
int gc_bearer(struct gc_call *c);    /* 0, or -1 after 401 */
const char *gc_issue(struct gc_call *c, bool full);
/* gcp_metadata.c */
bool gc_metadata(struct gc_call *c);
/* gcp_jwt.c: NULL, or why the assertion is refused ("invalid_grant: Invalid JWT Signature."). Static text. `*full`: its
 * scopes reach Compute. */
const char *gc_check_assertion(const struct gcp *gc, const char *jwt, const char *base, int64_t now_ms, bool *full);
/** The public half of a private key, PEM; NULL when it is none. The caller frees. */
char *gc_public_half(const char *private_pem);

/* gcp_quota.c: 0, or -1 after 403 */
int gc_throttle(struct gc_call *c);
int gc_room_for_operation(struct gc_call *c);

/* gcp_scenario.c */
struct gcp *gc_scenario(struct sim *sim, const json_t *part, struct ff_err *err);
/* gcp_scenario_vm.c */
int gc_read_vm(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err);
int gc_read_loose_disk(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err);
int gc_read_snapshot(struct sim *sim, struct gcp *gc, const json_t *o, const char *where, struct ff_err *err);
bool gc_name_is_fine(const char *name);
void gc_free(struct gcp *gc);

/* gcp_find.c */
struct gc_vm *gc_find_vm(const struct gcp *gc, const char *zone, const char *name);
struct gc_vm *gc_vm_named(const struct gcp *gc, const char *name);
struct gc_disk *gc_find_disk(const struct gcp *gc, const char *zone, const char *name);
/** By its URL or partial URL, of this project; NULL. */
struct gc_disk *gc_disk_by_url(const struct gcp *gc, const char *url);
struct gc_snapshot *gc_find_snapshot(const struct gcp *gc, const char *name);
struct gc_attached *gc_device(const struct gc_vm *vm, const char *device_name);
struct gc_attached *gc_boot_disk(const struct gc_vm *vm);
/** Who has it? NULL: nobody. `count` may be NULL. */
struct gc_vm *gc_user_of(const struct gcp *gc, const struct gc_disk *disk, size_t *count);
bool gc_known_zone(const struct gcp *gc, const char *zone);
bool gc_known_region(const struct gcp *gc, const char *region);
bool gc_unreachable(const struct gcp *gc, const char *zone);
/** "us-central1" of "us-central1-a". The caller frees. */
char *gc_region_of(const char *zone);
struct gc_disk *gc_add_disk(struct sim *sim, struct gcp *gc, const char *zone, const char *name);
char *gc_vm_path(const struct gcp *gc, const struct gc_vm *vm); /* "projects/..."; the caller frees */
char *gc_disk_path(const struct gcp *gc, const struct gc_disk *disk);
char *gc_snapshot_path(const struct gcp *gc, const struct gc_snapshot *s);
void gc_set(char **text, const char *value);
/** The VM or disk that the path names, or NULL after 404. */
struct gc_vm *gc_vm_of(struct gc_call *c);
struct gc_disk *gc_disk_of(struct gc_call *c);

/* gcp_view.c: resources as JSON; new references */
json_t *gc_vm_json(const struct gcp *gc, const struct gc_vm *vm, int64_t now_ms);
json_t *gc_disk_json(const struct gcp *gc, const struct gc_disk *disk);
json_t *gc_snapshot_json(const struct gcp *gc, const struct gc_snapshot *s, int64_t now_ms);
json_t *gc_group_json(const struct gcp *gc, const struct gc_group *group);
char *gc_fingerprint(const json_t *labels);
enum gc_status gc_status_now(const struct gc_vm *vm, int64_t now_ms);
char *gc_url(const char *path); /* absolute URL of a resource path; the caller frees */
json_t *gc_url_json(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* the same as JSON text */
const char *gc_time(int64_t ms, char out[SIM_TIME_BYTES]);			 /* "2024-07-18T23:01:00.123-07:00" */
void gc_set_u64(json_t *o, const char *key, uint64_t value);			 /* as a string of digits */
void gc_set_i64(json_t *o, const char *key, int64_t value);

/* gcp_list.c */
gc_handler gc_vm_list, gc_vm_aggregated, gc_disk_list, gc_disk_aggregated, gc_snapshot_list, gc_group_aggregated,
	gc_group_list, gc_group_members, gc_address_aggregated, gc_zone_list, gc_operation_list;
/* gcp_filter.c */
struct gc_filter;
/** NULL with *bad false: no filter; NULL with *bad true: it cannot be read. */
struct gc_filter *gc_filter_read(const char *text, bool *bad);
bool gc_filter_fits(const struct gc_filter *f, const json_t *item);
void gc_filter_free(struct gc_filter *f);

/* gcp_op.c */
enum gc_job_kind {
	GC_J_STOP,
	GC_J_START,
	GC_J_ATTACH,
	GC_J_DETACH,
	GC_J_AUTO_DELETE,
	GC_J_LABELS,
	GC_J_SNAPSHOT,
	GC_J_SNAPSHOT_DELETE,
	GC_J_RECREATE,
	GC_J_CREATE,
	GC_J_DELETE
};
struct gc_job {
	enum gc_job_kind kind;
	char *name, *zone;		     /* of the operation; zone NULL: global */
	char *target, *request_id, *request; /* target: path; request: method and path, to tell a misused request id */
	uint64_t id, target_id;
	int64_t starts_ms; /* PENDING until then */
	struct gc_vm *vm;
	struct gc_disk *disk;
	struct gc_snapshot *snapshot;
	/* what is asked */
	char *device_name, *fingerprint;
	const char *mode, *interface;
	bool boot, auto_delete, discard_ssd, force;
	bool moved; /* the VM's status shows it already */
	int key;    /* of the disk: as gc_key_fits() says */
	json_t *labels;
	struct ff_strv key_disks; /* paths of disks whose keys came with a start */
};
struct gc_job *gc_job(enum gc_job_kind kind, struct gc_vm *vm, struct gc_disk *disk, struct gc_snapshot *snapshot);
void gc_free_job(void *job);
/**
 * The request id is new and well-formed? 0. Else the request is answered (400, or with the operation that it began
 * before) and -1.
 */
int gc_new_request(struct gc_call *c);
/**
 * Check what the job asks, and begin it: answers. `type` is the operation's ("stop"), static. Owns the job. NULL when
 * it was refused.
 */
struct gc_job *gc_begin(struct gc_call *c, const char *type, int64_t latency_ms, struct gc_job *job);
json_t *gc_op_json(const struct gcp *gc, const struct sim_op *op, int64_t now_ms);
void gc_finish(struct sim *sim, void *self, struct sim_op *op);
void gc_abandon(struct sim *sim, void *self, struct sim_op *op);
gc_handler gc_op_get, gc_op_wait;
/** After a wait: the operation as it is now. */
void gc_op_show(struct gc_call *c);
/** A job that no request asked for. */
void gc_begin_own(struct sim *sim, struct gcp *gc, const char *type, int64_t latency_ms, struct gc_job *job);

/* The halves of each job: may it be done now (0, or -1 with the refusal), and doing it. */
int gc_may_power(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r);
void gc_do_power(struct sim *sim, struct gcp *gc, struct gc_job *job);
int gc_may_disk(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r);
void gc_do_disk(struct sim *sim, struct gcp *gc, struct gc_job *job);
int gc_may_labels(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r);
void gc_do_labels(struct sim *sim, struct gcp *gc, struct gc_job *job);
int gc_may_snapshot(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r);
void gc_do_snapshot(struct sim *sim, struct gcp *gc, struct gc_job *job);

/* gcp_power.c */
gc_handler gc_vm_get, gc_stop, gc_start, gc_start_with_key;
bool gc_disk_is_bad(const struct sim *sim, const struct gc_disk *disk);
void gc_boot(struct sim *sim, struct gcp *gc, struct gc_vm *vm);
/** The guest answers: it booted well, and long enough ago. */
bool gc_is_well(const struct sim *sim, const struct gcp *gc, const struct gc_vm *vm);
/** That VM, or what belongs to it, is being changed: has somebody claimed it? */
void gc_note_mutation(struct sim *sim, const struct gc_vm *vm, const char *what);
bool gc_is_rescue(const struct gc_vm *vm);
void gc_take_address(struct gcp *gc, struct gc_vm *vm);
/* gcp_group.c */
gc_handler gc_group_get;
void gc_note_member_stopped(struct sim *sim, struct gcp *gc, struct gc_vm *vm);
void gc_recreate(struct sim *sim, struct gcp *gc, struct gc_vm *vm);
struct gc_group *gc_group_of(const struct gcp *gc, const struct gc_vm *vm);
/* gcp_serial.c */
gc_handler gc_serial_port, gc_screenshot;
void gc_serial_write(const struct sim *sim, const struct gcp *gc, struct gc_vm *vm);
void gc_serial_restart(const struct gcp *gc, struct gc_vm *vm);
/* gcp_disk.c */
gc_handler gc_attach, gc_detach, gc_auto_delete, gc_disk_get;
/** Put the disk there, as the job or the scenario says. The texts of `how` are copied. */
void gc_attach_now(
	struct sim *sim, struct gcp *gc, struct gc_vm *vm, struct gc_disk *disk, const struct gc_attached *how);
void gc_detach_now(struct sim *sim, struct gcp *gc, struct gc_vm *vm, struct gc_attached *at);
/** The SHA-256 of {"rawKey":...}, in base64; NULL: it is none. The caller frees. */
char *gc_key_sha256(const json_t *key);
/** base64 of 32 bytes whose SHA-256 is the disk's? 0: fits; -1: no key at all; -2: malformed; -3: another key. */
int gc_key_fits(const struct gc_disk *disk, const json_t *key);
int gc_refuse_key(struct gc_refusal *r, const char *path, int why);
/* gcp_make.c: disks made of snapshots, and deleted */
gc_handler gc_disk_insert, gc_disk_delete;
int gc_may_make(const struct sim *sim, const struct gcp *gc, const struct gc_job *job, struct gc_refusal *r);
void gc_do_make(struct sim *sim, struct gcp *gc, struct gc_job *job);
void gc_forget_disk(struct gcp *gc, const struct gc_disk *d);
/** Is it that disk itself, or made by a run of the snapshot of one that is? */
bool gc_is_successor(const struct gc_disk *d, const struct gc_disk *own);
/* gcp_machine.c */
gc_handler gc_machine_type, gc_zone_get, gc_project_get, gc_test_permissions;
int64_t gc_machine_disks(const char *machine_type);
bool gc_machine_is_known(const char *machine_type);
/** Can that machine have that type of disk? */
bool gc_machine_takes(const char *machine_type, const char *disk_type);
/* gcp_labels.c */
gc_handler gc_vm_labels, gc_disk_labels, gc_snapshot_labels;
/* gcp_snapshot.c */
gc_handler gc_snapshot_create, gc_snapshot_get, gc_snapshot_delete;
/* gcp_state.c */
json_t *gc_state(const struct sim *sim, const void *self);
int gc_human(struct sim *sim, void *self, const json_t *act, struct ff_err *err);
int gc_set_bad(void *self, const char *disk_name, bool bad);

#endif
