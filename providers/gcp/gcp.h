/*
 * GCP, inside. Who does what:
 *
 *   gcp.c         the table; opening, closing, signing, where a disk is
 *   identity.c    where a token comes from, in the order of Google's libraries; settings.c reads the environment
 *   credential.c  the types of credential files; external.c fetches subject tokens, jwt.c signs assertions
 *   request.c     resource paths, URLs and what each request costs
 *   errors.c      what class an answer or a failed operation is, and what it says of budgets
 *   operation.c   long-running operations: accepted, running, done, failed although HTTP said 200; verdicts
 *   keys.c        customer-supplied encryption keys
 *   discover.c    the questions of discovery and their order; pages.c reads their answers
 *   found.c       from an Instance to a VM; hazards.c judges it, serial.c reads serial-port output
 *   permits.c     what this identity may do, before anything is touched
 *   evidence.c    serial port and screen
 *   steps.c       the rows; labels.c, power.c, backup.c, disk.c, putback.c, verify.c, later.c hold their functions
 *   recover.c     a run whose journal is lost: what labels tell of an attachment, and the rows that need it
 *
 * Members of `facts`, the recorded state of a VM (see struct ff_member):
 *   vm, id          "projects/P/zones/Z/instances/N" and the numeric id: a VM deleted and made again has another id
 *   boot            {source (URL as read), deviceName, autoDelete, mode, interface, type}: the attachment to restore
 *   disk            {path, id, type, size_gb, labels, fingerprint}
 *   labels, fingerprint    of the VM when they were last read: setLabels replaces all labels
 *   graceful, local_ssd    true where stop needs a parameter for it
 *   display         true: it has a display device, whose screen can be seen
 *   csek            URLs of its disks that need a customer-supplied key
 *   op              {path, since}: the operation that runs
 *   retry_at, tries an operation failed in a way that passes: not again before that time
 *   see             what the next look asks for, where a step needs more than one answer
 *   at, device, rescue     where the boot disk is when it is not home: "leaving", "loose", "arriving", "rescue",
 *                   "returning"; the name of the attachment and the path of the rescue VM
 *   snapshot        path of the backup
 *   cure            put-back: "auto-delete" when only that flag is wrong
 *   of              rollback, cleanup: the run that is taken back or tidied up after
 *   new             rollback: {path, source, id, labels, fingerprint} of the disk made of the snapshot
 *   like            rollback: {type, size_gb, iops, throughput, kms, csek, labels} of the replaced disk
 *   in              rollback: true: the new disk is the boot disk
 *   left            cleanup: path of the snapshot or disk to be deleted
 *   claim           recover: {run, was ("running"), by, lacks: what its labels do not tell}
 *   serial_mark, rounds    verify: where the serial output ended before the start; looks so far
 * and of a rescue VM: vm, id, machine.
 */
#ifndef FIXFLEET_GCP_H
#define FIXFLEET_GCP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/provider.h"

extern const struct ff_provider ff_gcp;

#define GCP_LABEL_RUN  "fixfleet-run"
#define GCP_LABEL_VM   "fixfleet-vm"
#define GCP_LABEL_BY   "fixfleet-by" /* who runs it, as far as a label can say it */
#define GCP_LABEL_ROLE "fixfleet-role"
/* Should the journal be lost: of the VM whether it ran, of the disk how it was attached; see recover.c. */
#define GCP_LABEL_WAS	 "fixfleet-was"
#define GCP_LABEL_BOOT	 "fixfleet-boot"
#define GCP_LABEL_DEVICE "fixfleet-device"
#define GCP_LABELS_MAX	 64 /* of one resource (UNVERIFIED); the cloud has the last word */
#define GCP_NAME_MAX	 63 /* bytes of a resource, device or label text */

#define GCP_ANSWER_BYTES  (64u << 20)
#define GCP_SERIAL_BYTES  65536	     /* of the serial port's last output */
#define GCP_SERIAL_ANSWER (8u << 20) /* even the whole buffer of 1 MB as JSON, where a byte may take six */
#define GCP_UNIVERSE	  "googleapis.com"

/* ---- customer-supplied encryption keys */

struct gcp_key {
	char *path; /* "projects/..." */
	char *key;  /* base64; secret */
	bool rsa;   /* wrapped by Google's public key: cannot be checked here */
};
struct gcp_keys {
	struct gcp_key *items;
	size_t count;
};

struct ff_cloud {
	char *title, *project;
	char *base;	 /* "https://compute.googleapis.com/compute/v1/" */
	char *host;	 /* of base: the only one that gets the token */
	bool overridden; /* base is the operator's */
	char *secrets;	 /* "https://secretmanager.googleapis.com/": gets the token too */
	struct ff_strv zones, rescues;
	bool discard_local_ssd, no_backup, preflight, claims;
	char *csek_file; /* NULL: none */
	struct gcp_keys keys;
	struct gcp_login *login;
	struct gcp_found *found;
};

/* ---- secrets.c */

/** Set cloud->secrets; `override` is CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER or NULL. 0 or -1 with FF_E_USAGE. */
int gcp_secrets_open(struct ff_cloud *cloud, const char *override, struct ff_err *err);
/** Is that URL the secret store's? */
bool gcp_secrets_own(const struct ff_cloud *cloud, const char *url);
int gcp_secret_ask(struct ff_cloud *cloud, const char *name, struct ff_ask *ask, struct ff_err *err);
int gcp_secret_read(
	struct ff_cloud *cloud, const struct ff_answer *answer, char **bytes, size_t *len, struct ff_err *err);

/* ---- request.c */

/**
 * The path of a resource from "projects/" on, of a URL or a path. URLs come from outside and their parts go into
 * requests and commands: NULL for anything but plain segments. The caller frees.
 */
char *gcp_path(const char *url);
/** Do both texts name the same resource? */
bool gcp_same(const char *a, const char *b);
/** The last segment; "" for NULL. Borrowed. */
const char *gcp_last(const char *path);
/** The segment after "/KEY/" ("zones", "regions"), or NULL. The caller frees. */
char *gcp_segment(const char *path, const char *key);
/** "us-central1-a" -> "us-central1". The caller frees. */
char *gcp_region(const char *zone);
/** A name as Compute allows it: [a-z]([-a-z0-9]*[a-z0-9])?, at most 63 characters. */
bool gcp_is_name(const char *text);

/* Classes of requests, each with its own budget per project and region: section 7 of the facts. */
enum gcp_cost {
	GCP_READ,
	GCP_LIST,
	GCP_MUTATE,
	GCP_OPERATION,
	GCP_SERIAL,
};

/** Fill an ask for base + path + tail ("/stop?x=y" or ""), with its cost. `path` and `tail` must be encoded. */
void gcp_ask(const struct ff_cloud *cloud, struct ff_ask *ask, enum gcp_cost cost, const char *method, const char *path,
	const char *tail);
/** Also draw on the queue of operations that wait for this instance. */
void gcp_cost_instance(struct ff_ask *ask, const char *path);
/** Also draw on the snapshots that may be made of this disk. */
void gcp_cost_snapshot(struct ff_ask *ask, const char *path);
/** Set the JSON body; steals `body`, whose texts are wiped when the ask is secret: share none with it. */
void gcp_ask_json(struct ff_ask *ask, json_t *body);
/** Overwrite all texts in it, then let it go. NULL is fine. */
void gcp_json_wipe(json_t *j);

/* ---- errors.c */

enum ff_class gcp_judge(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err);
/** Why an operation failed: class and sentence. FF_E_NONE when it has no error. */
enum ff_class gcp_operation_error(const json_t *operation, struct ff_err *err);
/**
 * Did it fail because another operation is under way on the resource? It passes, and nothing was begun.
 *
 * @in_use_too  "in use by another resource" says that too: the disk is not where it is going yet
 */
bool gcp_operation_busy(const json_t *operation, bool in_use_too);
bool gcp_answer_busy(const struct ff_answer *answer, bool in_use_too);
/** Judge and parse in one: on FF_E_NONE *body is owned by the caller, otherwise NULL. */
enum ff_class gcp_reply(const struct ff_answer *answer, json_t **body, struct ff_err *err);

/* ---- operation.c */

json_t *gcp_patch(struct ff_verdict *v);
void gcp_failed(struct ff_verdict *v, enum ff_class class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void gcp_wait(struct ff_verdict *v, unsigned wait_ms);
/** Remove a fact where it is set. */
void gcp_forget(const struct ff_member *m, struct ff_verdict *v, const char *key);
/** The effect is there: done, with what was only needed on the way forgotten. */
void gcp_done(const struct ff_member *m, struct ff_verdict *v);
/** The effect is not there: act, or wait until that is allowed again. */
void gcp_not_done(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v);
/** A look that could not be had. */
void gcp_unseen(struct ff_verdict *v, enum ff_class class, const struct ff_err *err);
/** Ask the look again at once, for `what`. NULL: for what comes first. */
void gcp_see(const struct ff_member *m, struct ff_verdict *v, const char *what);

void gcp_acted(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v);
int gcp_poll(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err);
/*
 * Going home while the disk was on its way (a poll that was given up, an answer that was lost): what shows the disk as
 * it was before must not be believed yet. First the operation is asked for where one is known; where none is, a while
 * must pass.
 */
/** true: `ask` asks for the operation; the answer goes to gcp_pending_looked(), which then is true and fills `v`. */
bool gcp_pending_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask);
bool gcp_pending_looked(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v);
/** What was asked for is not to be seen. true: too early to believe it (a minute from the first time on); `v` waits. */
bool gcp_unheard(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v);
/** The same, where a disk was on its way; false for every other. */
bool gcp_unsure(const struct ff_member *m, int64_t wall_ms, struct ff_verdict *v);
void gcp_polled(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v);

/* ---- keys.c */

/** Read a key file of gcloud's format. 0, or -1 with FF_E_USAGE that names no key. Earlier keys are dropped. */
int gcp_keys_read(struct gcp_keys *keys, const char *text, size_t len, struct ff_err *err);
void gcp_keys_free(struct gcp_keys *keys);
const struct gcp_key *gcp_key_for(const struct gcp_keys *keys, const char *disk_url);
/** The key of a disk of that VM: a disk that a rollback has made has the key of the one that it replaces. */
const struct gcp_key *gcp_key_of(const struct ff_cloud *cloud, const struct ff_member *m, const char *disk_url);
/** Is it the key that the cloud knows by this SHA-256 (base64)? A wrapped key cannot be checked and counts as right. */
bool gcp_key_fits(const struct gcp_key *key, const char *sha256);
/** {"rawKey":...}, owned; wipe it with gcp_json_wipe(). */
json_t *gcp_key_json(const struct gcp_key *key);

/* ---- identity.c, settings.c, credential.c, external.c, jwt.c */

struct gcp_login *gcp_login_new(const struct ff_env *env, struct ff_err *err);
void gcp_login_free(struct gcp_login *login);
enum ff_turn gcp_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err);
void gcp_login_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer);
void gcp_login_reset(struct ff_cloud *cloud);
int64_t gcp_login_renew_at(const struct ff_cloud *cloud);
const char *gcp_login_name(const struct ff_cloud *cloud);
/** Token and the project that pays for quota; NULL when there is none. Borrowed. */
const char *gcp_login_token(const struct ff_cloud *cloud);
const char *gcp_login_quota(const struct ff_cloud *cloud);

/**
 * base64url(header).base64url(payload).signature, RS256 (RFC 7515). `pem` is the private key. Owned, free with
 * ff_free_secret(); NULL with err (FF_E_AUTH).
 */
char *gcp_jwt(const char *header, const char *payload, const char *pem, struct ff_err *err);

/* ---- discover.c, pages.c, found.c, hazards.c, serial.c */

void gcp_found_free(struct gcp_found *found);
enum ff_turn gcp_discover_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err);
int gcp_discover_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer,
	struct ff_err *err);
size_t gcp_discover_vms(const struct ff_cloud *cloud, struct ff_vm ***vms);
const struct ff_strv *gcp_discover_notes(const struct ff_cloud *cloud);

/* What serial-port output tells. */
struct gcp_serial {
	unsigned boots;	 /* since the guest was last heard */
	bool guest;	 /* it was heard */
	bool bluescreen; /* Windows said so since then */
};
/**
 * Read serial-port output (any bytes). Boots are counted by the firmware's banners, the guest is heard by the lines of
 * Google's agents. The texts are UNVERIFIED: samples are in bazelbuild/continuous-integration#1845 (UEFI),
 * GoogleCloudPlatform/guest-agent#377 (BIOS) and golang/go#21153 (old agent).
 */
void gcp_serial_read(const char *text, size_t len, struct gcp_serial *serial);
/** FF_AFFECTED, FF_HEALTHY or FF_SUSPECT. */
enum ff_health gcp_serial_health(const struct gcp_serial *serial);
#define GCP_BOOTS_AFFECTED 3 /* an update may boot twice in a row */
/** Health of an answer to getSerialPortOutput, of what came after position `mark` only (0: all). */
enum ff_health gcp_serial_answer(const json_t *answer, int64_t mark, struct gcp_serial *serial);

int gcp_fits(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err);

/* ---- evidence.c */

enum ff_evidence gcp_evidence_ask(
	struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask);
int gcp_evidence_read(
	const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err);

/* ---- steps.c and its files */

enum gcp_step {
	GCP_CLAIM,
	GCP_CLAIM_DISK,
	GCP_STOP,
	GCP_BACKUP,
	GCP_TAKE_OUT,
	GCP_ATTACH,
	GCP_REPAIR,
	GCP_DETACH,
	GCP_PUT_BACK,
	GCP_START,
	GCP_VERIFY,
	GCP_RELEASE_DISK,
	GCP_RELEASE,
	GCP_CHECK,
	GCP_MAKE,
	GCP_DELETE_MADE,
	GCP_PUT_IN,
	GCP_TAKE_NEW_OUT,
	GCP_CONFIRM,
	GCP_RELEASE_NEW,
	GCP_DELETE_LEFT,
	GCP_FETCH,
	GCP_STEP_COUNT
};
extern const struct ff_step gcp_steps[GCP_STEP_COUNT];
extern const int gcp_forward[], gcp_rollback[], gcp_cleanup[], gcp_recover[];

/* Their look and act functions; the contract is in fixfleet/provider.h. */
#define GCP_LOOK(name)                                                                                                 \
	int gcp_##name##_look(                                                                                         \
		struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err);            \
	void gcp_##name##_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,                   \
		const struct ff_answer *answer, struct ff_verdict *v)
#define GCP_ACT(name)                                                                                                  \
	int gcp_##name##_act(                                                                                          \
		struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
GCP_LOOK(claim);
GCP_ACT(claim);
GCP_LOOK(release);
GCP_ACT(release);
GCP_LOOK(stop);
GCP_ACT(stop);
GCP_LOOK(backup);
GCP_ACT(backup);
GCP_LOOK(take_out);
GCP_ACT(take_out);
GCP_LOOK(attach);
GCP_ACT(attach);
GCP_LOOK(detach);
GCP_ACT(detach);
GCP_LOOK(put_back);
GCP_ACT(put_back);
GCP_LOOK(start);
GCP_ACT(start);
GCP_LOOK(verify);
/* later.c: what comes after a repair */
GCP_LOOK(check);
GCP_LOOK(make);
GCP_ACT(make);
GCP_LOOK(delete_made);
GCP_ACT(delete_made);
GCP_LOOK(confirm);
GCP_LOOK(delete_left);
GCP_ACT(delete_left);
json_t *gcp_recall(const struct ff_cloud *cloud, const struct ff_vm *vm, enum ff_flow flow, const char *run,
	bool rolled_back, const json_t *past, struct ff_left *left, struct ff_err *err);

/* recover.c: a run whose journal is lost */
GCP_LOOK(fetch);
json_t *gcp_recall_claim(const struct ff_vm *vm, const char *run, struct ff_err *err);
/** Take away all labels that a claim writes. */
void gcp_labels_clear(json_t *labels);
/**
 * Add the labels that say how a boot disk is attached (`boot` of the facts). false, and nothing is added: labels cannot
 * say it, or there is no room for them.
 */
bool gcp_record_write(json_t *labels, const json_t *boot);
/** The same back from labels, without the source; NULL when they do not tell. New reference. */
json_t *gcp_record_read(const json_t *labels);

/** How the name of the disk ends that a rollback of that run makes for that VM: "-9f86d081". */
#define GCP_MADE_BYTES 10
void gcp_made_suffix(const char *run, const char *vm_path, char suffix[GCP_MADE_BYTES]);

/** What the disk is called on its rescue VM; at most 63 characters. The caller frees. */
char *gcp_device_name(const struct ff_member *m);
/** What the backup is called. The caller frees. */
char *gcp_snapshot_name(const struct ff_member *m);
/** The VM's path; the empty text when facts do not have it. Borrowed. */
const char *gcp_vm_path(const struct ff_member *m);
/** Path and URL of the disk that the row is about: the one found or, in a rollback, the one made to take its place. */
const char *gcp_disk_path(const struct ff_member *m);
const char *gcp_source(const struct ff_member *m);
/** The rescue VM's path, of the member or of what its facts remember. NULL when there is none. Borrowed. */
const char *gcp_rescue_path(const struct ff_member *m);
/** Fill GET of the VM. */
int gcp_vm_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err);
/** Fill GET of the last GCP_SERIAL_BYTES of its serial output. */
int gcp_serial_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask);
/**
 * Read the VM. NULL when `v` is filled already: it could not be read, or another VM has its name now. The caller
 * decrefs.
 */
json_t *gcp_vm_read(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v);

/** Another run has claimed it since (--take-over): true, and `v` says which. */
bool gcp_taken_over(const struct ff_member *m, const json_t *instance, struct ff_verdict *v);

/* How that boot disk stands in an instance. */
enum gcp_home {
	GCP_HOME,    /* attached as boot disk */
	GCP_AWAY,    /* no boot disk, and ours is not attached otherwise */
	GCP_FOREIGN, /* another boot disk, or ours attached otherwise */
};
/** *disk (may be NULL): the attachment, borrowed. */
enum gcp_home gcp_home_of(const json_t *instance, const char *source, const json_t **disk);
/** Copy from an attached disk what must be restored. New reference. */
json_t *gcp_boot_record(const json_t *attached);

#endif
