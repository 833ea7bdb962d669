/*
 * AWS inside the model: EC2's Query API, STS, Auto Scaling and the instance metadata service, as far as fixfleet needs
 * them. What AWS does and refuses, and with which words, is from its service models, recorded answers and public
 * issues; where nothing public shows a text, the comment at the place says so.
 *
 * Reads lag behind writes. Each change of a machine, an attachment or tags is kept with its time; a Describe call
 * answers with what was true `lag_ms` earlier, each kind with its own lag, so that two calls disagree for a while.
 * Changing calls always see the truth.
 */
#ifndef CLOUDSIM_AWS_H
#define CLOUDSIM_AWS_H

#include "model.h"

#define AW_ACCOUNT "123456789012"

#define AW_CLAIM  "fixfleet-run"
#define AW_OWN	  "fixfleet" /* tags that begin so are not anybody else's */
#define AW_DEVICE 32

struct aw_vm;
struct aw_vol;

/* ---- what was true, and since when (aws_past.c) */

struct aw_seen {
	int64_t at_ms;
	int state;	     /* of a machine: enum aw_power; of an attachment: enum aw_held */
	const char *code;    /* of a machine: stateReason, or NULL; static */
	const char *message; /* static */
	struct aw_vm *vm;    /* of an attachment; NULL: available */
	char device[AW_DEVICE];
	bool delete_on_termination;
	int64_t attach_ms;
	json_t *tags; /* owned */
};
struct aw_past {
	struct aw_seen *items;
	size_t count;
};
/** Append what is true from now on (tags are stolen); what is older than the longest lag is forgotten. */
void aw_past_add(const struct sim *sim, struct aw_past *past, struct aw_seen now);
/** What was true `lag_ms` ago; the oldest known when that is later. Borrowed. */
const struct aw_seen *aw_past_at(const struct sim *sim, const struct aw_past *past, int64_t lag_ms);
/** The truth. */
const struct aw_seen *aw_now(const struct aw_past *past);
void aw_past_free(struct aw_past *past);
#define AW_LAG_MAX_MS 600000

/* ---- the model's things */

enum aw_power { AW_PENDING, AW_RUNNING, AW_SHUTTING_DOWN, AW_TERMINATED, AW_STOPPING, AW_STOPPED };
extern const char *const aw_power_names[];
extern const int aw_power_codes[];

enum aw_held { AW_FREE, AW_ATTACHING, AW_ATTACHED, AW_DETACHING, AW_BUSY };
extern const char *const aw_held_names[];

enum aw_status { AW_AUTO, AW_OK, AW_IMPAIRED, AW_INITIALIZING, AW_INSUFFICIENT, AW_NOT_APPLICABLE };
extern const char *const aw_status_names[];

enum aw_life { AW_IN_SERVICE, AW_ENTERING_STANDBY, AW_STANDBY, AW_PENDING_SERVICE };
extern const char *const aw_life_names[];

enum aw_start_fault { AW_STARTS, AW_NO_GRANT, AW_NO_CAPACITY, AW_REFUSED_CAPACITY };

/* A volume. Its attachment is in its past. */
struct aw_vol {
	char *id, *zone, *type, *kms_key, *snapshot, *image;
	int64_t size_bytes, created_ms, ready_ms, iops, throughput; /* ready_ms: "creating" until then; 0s: none */
	char *client_token;					    /* that it was made with; NULL */
	struct aw_vol *origin; /* whose content it had when it was made of a snapshot; NULL */
	bool made_by_run;
	bool encrypted, multi_attach, managed, marketplace, bad;
	bool gone;	    /* deleted */
	struct aw_vm *home; /* whose root it is when the scenario begins; NULL: loose */
	struct aw_past held, tags;
	struct sim_op *op; /* attach or detach under way */
};

struct aw_snap {
	char *id, *volume, *description;
	char *run;   /* fixfleet-run tag that it was made with; NULL */
	char *image; /* the volume's bytes of that moment; NULL in process */
	bool bad;
	int64_t size_gib, started_ms;
	bool completed, failed, encrypted, gone;
	struct aw_past tags;
};

struct aw_type {
	const char *name;
	int vcpus, memory_mib, ebs_max;
	bool dedicated; /* its attachment limit is not shared with network interfaces */
	bool xen;
	int store_gb; /* instance store; 0: none */
};
/** NULL when AWS has no such type, as far as the model knows. */
const struct aw_type *aw_type(const char *name);
extern const struct aw_type aw_types[];
extern const size_t aw_type_count;

struct aw_vm {
	char *id, *name; /* name: its Name tag when the scenario begins, else its id */
	char *zone, *asg, *root_device;
	const struct aw_type *type;
	bool windows, rescue, marketplace, spot, instance_store, hibernation, stop_protection, managed, stop_hangs;
	bool public_ip, elastic_ip, mounted, tpm;
	int status;	 /* enum aw_status; AW_AUTO: by what is on the disk */
	int start_fault; /* enum aw_start_fault */
	int64_t start_faults_left, attachments_max, launched_ms, booted_ms, impaired_ms;
	bool boots;		  /* what it booted from is not bad */
	bool root_delete;	  /* DeleteOnTermination of its root as the scenario has it */
	struct aw_vol *root;	  /* its own; NULL: instance store */
	struct aw_vol *last_root; /* that it has or had last */
	struct aw_vol **known;	  /* volumes that it ever had */
	size_t known_count;
	struct aw_past power, tags;
	struct sim_op *op;	/* stop or start under way */
	struct ff_strv stuck;	/* device names that were left by a forced detach */
	int life;		/* enum aw_life */
	struct sim_op *life_op; /* of Auto Scaling */
	unsigned ip;		/* last byte of its public address */
	int64_t stops, starts;
	bool lost_ip;
	bool demanded; /* the operator has said that it may be stopped although it is well */
};

struct aw_group {
	char *name;
	int64_t min;
	int64_t outside; /* capacity was reduced by so many */
};

struct aw_session {
	char key[21], secret[41], *token;
	char *arn, *user_id;
	int64_t until_ms;
};

struct aw_deny {
	char *action, *resource;
};

enum aw_latency {
	AW_L_STOP,
	AW_L_FORCE,
	AW_L_START,
	AW_L_ATTACH,
	AW_L_DETACH,
	AW_L_SNAPSHOT,
	AW_L_CREATE,
	AW_L_STANDBY,
	AW_L_REPLACE,
	AW_L_BOOT,
	AW_L_COUNT
};

enum aw_lag { AW_LAG_INSTANCES, AW_LAG_STATUS, AW_LAG_VOLUMES, AW_LAG_SNAPSHOTS, AW_LAG_TAGS, AW_LAG_COUNT };

struct aws {
	char *region, *account, *key, *secret, *role, *external_id, *web_token, *imds_vm;
	int64_t session_s, skew_ms, page_size, link_delay_ms;
	int64_t latency[AW_L_COUNT], lag[AW_LAG_COUNT];
	bool imds_v1;
	json_t *buckets;
	json_t *secrets; /* of Secrets Manager: name -> text */
	json_t *keys;	 /* of KMS: ARN -> state, "missing"; those not named are Enabled; NULL */
	struct aw_deny *deny;
	size_t deny_count;
	struct aw_group *groups;
	size_t group_count;
	struct aw_vm **vms;
	size_t vm_count;
	struct aw_vol **vols;
	size_t vol_count;
	struct aw_snap **snaps;
	size_t snap_count;
	json_t *index; /* id -> number, of machines, volumes and snapshots */
	struct aw_session *sessions;
	size_t session_count;
	struct ff_strv imds_tokens;
	int64_t *imds_until;
	unsigned images, addresses;
};

struct aw_vm *aw_vm(const struct aws *aws, const char *id);
struct aw_vm *aw_vm_named(const struct aws *aws, const char *name); /* or by id */
struct aw_vol *aw_vol(const struct aws *aws, const char *id);
struct aw_snap *aw_snap(const struct aws *aws, const char *id);
struct aw_group *aw_group(struct aws *aws, const char *name);
/** The volume that is attached to the machine as that device, at this time; NULL. */
struct aw_vol *aw_at_device(const struct sim *sim, const struct aw_vm *vm, const char *device, int64_t lag_ms);
void aw_set_tags(const struct sim *sim, struct aw_past *past, json_t *tags_stolen);
void aw_set_power(const struct sim *sim, struct aw_vm *vm, enum aw_power power, const char *code, const char *message);
bool aw_is(const struct aw_vm *vm, enum aw_power power);

/* ---- one request on its way through */

enum aw_service { AW_EC2, AW_STS, AW_SCALING, AW_SECRETS, AW_KMS, AW_SERVICES };

struct aw_action;
struct aw_call {
	struct sim *sim;
	struct aws *aws;
	const struct sim_request *req;
	struct sim_answer *ans;
	enum aw_service service;
	const struct aw_action *action;
	json_t *form;		   /* parameters: name -> text */
	json_t *prefix;		   /* every beginning of a name up to a dot: a set */
	const char *arn, *user_id; /* of the caller; borrowed */
	char request_id[SIM_UUID_BYTES];
	struct ff_buf out; /* the answer's XML so far */
};

typedef void aw_handler(struct aw_call *c);

/* Which bucket an action draws on. */
enum aw_budget { AW_NO_BUDGET, AW_READS, AW_MUTATES };

struct aw_action {
	enum aw_service service;
	const char *name;
	const char *params; /* those it knows, blanks between; # stands for a number from 1 */
	aw_handler *handler;
	enum aw_budget budget;
	double capacity, refill_per_s; /* of the requests; reads have the usual one */
	const char *ids;	       /* the list whose entries draw on a bucket of resources; NULL */
	double id_capacity, id_refill_per_s;
};
extern const struct aw_action aw_actions[];
extern const size_t aw_action_count;

/* aws.c */
/** Answer with an error in the service's form. Returns -1, so that a refusal reads as one act. */
int aw_refuse(struct aw_call *c, int status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** 403 unless the scenario allows the action there. `resource` is an ARN's end such as "instance/i-1"; NULL: any. */
int aw_allowed(struct aw_call *c, const char *resource);
/** DryRun=true: the answer is always an error. -1 when it was asked for. */
int aw_dry(struct aw_call *c);

/* aws_form.c */
/** Read the body. 0, or -1 after a refusal. */
int aw_read_form(struct aw_call *c);
/** Are all parameters known to the action, and lists without gaps? 0, or -1 after a refusal. */
int aw_check_params(struct aw_call *c);
const char *aw_get(const struct aw_call *c, const char *name);
const char *aw_getf(const struct aw_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Is there a parameter that begins with this name and a dot, or is this name? */
bool aw_has(const struct aw_call *c, const char *prefix);
/** Required: NULL after MissingParameter. */
const char *aw_need(struct aw_call *c, const char *name);
/** "true" or "false" there; `*out` untouched when absent. -1 after a refusal. */
int aw_bool(struct aw_call *c, const char *name, bool *out);
/** NAME.1, NAME.2, ... Free with ff_strv_free. */
struct ff_strv aw_list(const struct aw_call *c, const char *name);
/** Match with `*`, `?` and backslash, case counts: as EC2's filters do. */
bool aw_like(const char *pattern, const char *text);

/* aws_xml.c: the answer, written from the front; texts are escaped */
void aw_begin(struct aw_call *c);
void aw_end(struct aw_call *c);
void aw_return_true(struct aw_call *c);
void aw_open(struct aw_call *c, const char *name);
void aw_close(struct aw_call *c, const char *name);
void aw_text(struct aw_call *c, const char *name, const char *text); /* NULL: an empty element */
void aw_int(struct aw_call *c, const char *name, int64_t value);
void aw_flag(struct aw_call *c, const char *name, bool value);
void aw_time(struct aw_call *c, const char *name, int64_t ms);
void aw_tag_set(struct aw_call *c, const json_t *tags);
/** Append with &, <, >, quotes escaped and what XML cannot hold replaced. */
void aw_escape(struct ff_buf *out, const char *text);

/* aws_filter.c */
/* What a filter compares: appends the values that the item has under that name. */
typedef void aw_values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out);
/** Do all filters fit? They have been checked before. */
bool aw_filter(struct aw_call *c, const void *item, aw_values *values);
/** Refuse filters that are not among these (NULL-terminated; tags always are), even when there is nothing to filter. */
int aw_check_filters(struct aw_call *c, const char *const *known);
/** Values of "tag:KEY", "tag-key"; false when the name is neither. */
bool aw_tag_values(const json_t *tags, const char *name, struct ff_strv *out);
/* A page of a list: begins with the items from *from on, at most *max. -1 after a refusal. */
int aw_page(struct aw_call *c, const char *ids, size_t *from, size_t *max);
/** nextToken element for the item with which the next page begins. */
void aw_next(struct aw_call *c, size_t from);

/* aws_json.c */
/** Secrets Manager and KMS; false when the request is for something else. */
bool aw_json(struct aw_call *c);
void aw_json_refuse(struct aw_call *c, const char *code, const char *message);
/** "Enabled", ...: in which state the key is; NULL: a key that nobody can take away. */
const char *aw_key_state(const struct aws *aws, const char *arn);

/* aws_sigv4.c: who asks? 0, or -1 after a refusal. */
int aw_authenticate(struct aw_call *c);
/** The signature of this request in hex; for tests too. `signed_headers` as in the header. */
void aw_sign(const struct sim_request *req, const char *secret, const char *date, const char *region,
	const char *service, const char *stamp, const char *signed_headers, char out[65]);

/* aws_sts.c */
const struct aw_session *aw_new_session(struct sim *sim, struct aws *aws, const char *session_name, int64_t seconds);
aw_handler aw_caller_identity, aw_assume_role, aw_assume_web;
/* aws_imds.c: answered a metadata request? */
bool aw_imds(struct aw_call *c);

/* aws_scenario.c, aws_scenario_vm.c */
struct aws *aw_scenario(struct sim *sim, const json_t *part, struct ff_err *err);
int aw_read_vm(struct sim *sim, struct aws *aws, const json_t *o, const char *where, struct ff_err *err);
int aw_read_volume(struct sim *sim, struct aws *aws, const json_t *o, const char *where, struct ff_err *err);
struct aw_snap *aw_new_snap(struct sim *sim, struct aws *aws, const char *volume, const char *id);
int aw_read_snap(struct sim *sim, struct aws *aws, const json_t *o, const char *where, struct ff_err *err);
void aw_free(struct aws *aws);

/* aws_describe.c, aws_types.c */
void aw_mapping_xml(struct aw_call *c, const struct aw_vm *vm);
aw_handler aw_describe_instances, aw_describe_attribute, aw_describe_types;
/* aws_console.c */
aw_handler aw_console_output, aw_console_screenshot;
/* aws_status.c */
aw_handler aw_describe_status;
enum aw_status aw_status_now(const struct sim *sim, const struct aws *aws, const struct aw_vm *vm, int64_t lag_ms);

/* aws_check.c: refusals that several actions share, and what must never happen */
struct aw_vm *aw_find_vm(struct aw_call *c, const char *id); /* NULL after Malformed or NotFound */
struct aw_vol *aw_find_vol(struct aw_call *c, const char *id);
/** All ids are known? Else -1 after a refusal: the whole call fails. */
int aw_known_vms(struct aw_call *c, const struct ff_strv *ids);
void aw_note_vm(struct aw_call *c, const struct aw_vm *vm);
void aw_note_vol(struct aw_call *c, const struct aw_vol *vol, const struct aw_vm *vm);
void aw_check_running(struct sim *sim, const struct aw_vm *vm);
/** Is it that root itself, or made by a run of the snapshot of one that is? */
bool aw_is_successor(const struct aw_vol *vol, const struct aw_vol *root);
bool aw_vol_is_bad(const struct sim *sim, const struct aw_vol *vol);

/* aws_jobs.c: what is under way */
enum aw_job_kind { AW_J_STOP, AW_J_START, AW_J_ATTACH, AW_J_DETACH, AW_J_SNAPSHOT, AW_J_LIFE, AW_J_REPLACE };
struct aw_job {
	enum aw_job_kind kind;
	struct aw_vm *vm;
	struct aw_vol *vol;
	struct aw_snap *snap;
	bool force;	  /* of a detach */
	int life;	  /* enum aw_life when it ends well */
	const char *code; /* of a start that falls back; static */
	const char *message;
};
struct sim_op *aw_begin_job(
	struct sim *sim, struct aws *aws, const char *kind, enum aw_latency latency, struct aw_job job);
void aw_finish(struct sim *sim, void *self, struct sim_op *op);
void aw_abandon(struct sim *sim, void *self, struct sim_op *op);
void aw_free_job(void *job);
void aw_boot(struct sim *sim, struct aws *aws, struct aw_vm *vm);
void aw_stopped(struct sim *sim, struct aws *aws, struct aw_vm *vm);

/* aws_power.c */
void aw_state_xml(struct aw_call *c, const char *name, int power);
/* aws_power.c, aws_volumes.c, aws_snapshots.c, aws_tags.c, aws_scaling.c */
aw_handler aw_stop, aw_start, aw_modify_attribute;
aw_handler aw_describe_volumes, aw_attach, aw_detach;
/** The attachment changes to this state now; links follow. `vm` NULL: available. */
void aw_hold(struct sim *sim, struct aws *aws, struct aw_vol *vol, enum aw_held state);
void aw_release_volume(struct sim *sim, struct aws *aws, struct aw_vol *vol);
void aw_hold_at(struct sim *sim, struct aws *aws, struct aw_vol *vol, struct aw_vm *vm, const char *device,
	bool delete_on_termination, enum aw_held state);
/** The tags of a TagSpecification for that type, or NULL after a refusal. */
json_t *aw_new_tags(struct aw_call *c, const char *resource_type);
/** "creating", "available" or "in-use". */
const char *aw_vol_status(const struct sim *sim, const struct aw_vol *vol, const struct aw_seen *held);
/** The members that both the list and the answer to CreateVolume have. */
void aw_volume_members(struct aw_call *c, const struct aw_vol *vol, const struct aw_seen *held, const json_t *tags);
/* aws_make.c */
aw_handler aw_create_volume, aw_delete_volume;
aw_handler aw_describe_snapshots, aw_create_snapshot, aw_delete_snapshot;
aw_handler aw_create_tags, aw_delete_tags;
aw_handler aw_scaling_instances, aw_enter_standby, aw_exit_standby;

/* aws_throttle.c: 0, or -1 after RequestLimitExceeded */
int aw_throttle(struct aw_call *c);

/* aws_state.c */
json_t *aw_state(const struct sim *sim, const void *self);
int aw_human(struct sim *sim, void *self, const json_t *act, struct ff_err *err);
int aw_set_bad(void *self, const char *disk, bool bad);

#endif
