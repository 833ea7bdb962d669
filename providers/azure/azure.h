/*
 * Azure, inside. Who does what:
 *
 *   azure.c      the table; opening, closing, signing, whose URL it is
 *   identity.c   where a token comes from, in the SDKs' order; token.c reads what was answered; assertion.c signs
 *   bearer.c     tokens for others than Resource Manager, asked of the source that signed in
 *   ade.c        keys of Azure Disk Encryption: where a disk says that they are, and Key Vault's answers; vault.c knows
 *                whose URL is a vault's
 *   graph.c      recovery passwords of Microsoft Graph
 *   request.c    resource ids, URLs and what each request costs
 *   errors.c     what class an answer is, and what it says of budgets
 *   operation.c  long-running operations: accepted, running, done
 *   discover.c   the questions of discovery and their order; found.c reads VMs and disks, hazards.c judges them,
 *                inventory.c keeps them
 *   steps.c      the rows; claim.c, power.c, copy.c, attach.c, attached.c, swap.c, later.c hold their functions
 *
 * Members of `facts`, the recorded state of a VM (see struct ff_member):
 *   os_disk   the VM's storageProfile.osDisk as it was found, without diskSizeGB
 *   disk      {sku, zones, generation, location, tags, ...} of that disk, see azure_disk_reduce()
 *   ade       where its instance view says that its keys are; what the disk itself says is in `disk`: see ade.c
 *   tags, etag, power                       of the last look at the VM, only while a step needs them
 *   op        {url, kind, since}            the operation that runs: see operation.c
 *   copied, attached, swapping              true once the copy may exist, be on the rescue VM, be the OS disk
 *   swapped                                 a look has shown it as the OS disk
 *   deallocate, deallocating                the swap was refused until the VM is deallocated; that is under way
 *   started_ms                              end of the start operation
 *   start_tries, start_after_ms             there was no capacity to start it
 *   alone                                   its attach or detach failed together with others: not grouped again
 *   release_blank                           leaving the claim out did not remove it: blank it
 *   disk_tags                               of the replaced disk, only while it is marked
 *   of, target                              rollback: the run that is taken back, id of the disk that comes back
 *   claim {run, was}, replaced              recover: what its tags say; of which disk the OS disk is a copy
 *   copy_unseen                             and nobody has looked yet whether there is one
 *   holder, holder_busy                     who has the copy, with what is said below of a rescue VM; it has refused
 *                                           since another change of it is under way
 *   of, left                                cleanup: the run that is tidied up after, id of the disk to be deleted
 * and of a rescue VM: attach_by_patch, vm_etag, vm_disks: see attach.c; availability_set.
 */
#ifndef FIXFLEET_AZURE_H
#define FIXFLEET_AZURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/provider.h"

extern const struct ff_provider ff_azure;

#define AZ_VM_API	"2024-07-01"
#define AZ_DISK_API	"2024-03-02"
#define AZ_LOCK_API	"2016-09-01"
#define AZ_NETWORK_API	"2023-09-01"
#define AZ_ANSWER_BYTES (64u << 20)
#define AZ_URL_BYTES	(16u << 10) /* poll URLs of 3.2 KB are on record, 8 KB are to be allowed */

#define AZ_TAG_RUN  "fixfleet-run"
#define AZ_TAG_VM   "fixfleet-vm"
#define AZ_TAGS_MAX 50		   /* of a resource: azure-resource-manager/management/tag-resources */
#define AZ_TAG_BY   "fixfleet-by"  /* user@host, for the people of another run */
#define AZ_TAG_WAS  "fixfleet-was" /* "running" or "stopped", before the run: for resume --from-cloud */
#define AZ_TAG_ROLE "fixfleet-role"

/* Whom a token is for: each takes only its own. */
enum azure_audience { AZ_FOR_ARM, AZ_FOR_VAULT, AZ_FOR_GRAPH, AZ_AUDIENCE_COUNT };

/* One of the sovereign clouds. */
struct azure_cloud {
	const char *name, *arm, *authority;
	const char *audiences[AZ_AUDIENCE_COUNT]; /* as a token's `aud` has them, with a slash where it has one */
	const char *vault_suffix;		  /* of the hosts of its key vaults */
	const char *graph;
};

struct ff_cloud {
	const struct azure_cloud *which;
	char *title;
	char *arm;	    /* "https://management.azure.com" without a slash at its end */
	char *authority;    /* the same for the token endpoint */
	char *graph;	    /* and for Microsoft Graph */
	bool key_graph;	    /* which may be asked for recovery passwords */
	char *subscription; /* NULL until it is known */
	struct ff_strv groups, rescues;
	bool allow_deallocate;
	struct azure_login *login;
	struct azure_found *found;
};

/* ff_ask.tag: which question an ask is. 0 is a step's or a poll. */
enum azure_question {
	AZ_Q_STEP = 0,
	AZ_Q_TOKEN, /* identity: token endpoint */
	AZ_Q_FILE,
	AZ_Q_IMDS,     /* managed identity's token */
	AZ_Q_INSTANCE, /* instance metadata, for the subscription */
	AZ_Q_CLI,
	AZ_Q_VMS, /* discovery */
	AZ_Q_DISKS,
	AZ_Q_LOCKS,
	AZ_Q_ADDRESSES,
	AZ_Q_VM,
	AZ_Q_DISK,
	AZ_Q_SIZES,
	AZ_Q_VIEW,
	AZ_Q_BLOB,  /* evidence: not of Resource Manager */
	AZ_Q_VAULT, /* keys: a secret of a key vault, or a key of it */
	AZ_Q_GRAPH,
};

/* ---- azure.c */

/** Does the bearer token belong to that URL: same scheme, host and port as Resource Manager's? */
bool azure_url_is_arm(const struct ff_cloud *cloud, const char *url);
/** The subscription is known now (a GUID; copied). */
void azure_set_subscription(struct ff_cloud *cloud, const char *subscription);
bool azure_is_guid(const char *text);

/** The same for Microsoft Graph. */
bool azure_url_is_graph(const struct ff_cloud *cloud, const char *url);
/** "https://host[:port]", the scheme's own port left out: nextLink may name it (":443"). NULL when it is no URL. */
char *azure_origin(const char *url);

/* ---- identity.c, token.c, bearer.c */

/** Take the identity's settings from the environment. NULL with err. */
struct azure_login *azure_login_new(const struct ff_env *env, struct ff_err *err);
void azure_login_free(struct azure_login *login);
enum ff_turn azure_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err);
void azure_login_read(
	struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer);
void azure_login_reset(struct ff_cloud *cloud);
int64_t azure_login_renew_at(const struct ff_cloud *cloud);
const char *azure_login_name(const struct ff_cloud *cloud);
/** The bearer token, or NULL. Borrowed. */
const char *azure_login_token(const struct ff_cloud *cloud, enum azure_audience audience);

/**
 * The token that the next question of `turn` needs. Whoever looks for a key calls this first, each turn.
 *
 * @return  FF_KEY_DONE: it is there, and turn->answer, if any, is the caller's; FF_KEY_ASK: turn->ask asks for it;
 * FF_KEY_FAILED
 */
enum ff_key_step azure_bearer(struct ff_cloud *cloud, enum azure_audience audience, struct ff_key_turn *turn);
/** A token was refused: the next turn asks for a new one. */
void azure_bearer_refused(struct ff_cloud *cloud, enum azure_audience audience);

/* ---- vault.c, ade.c, graph.c */

/** Is that a host of this cloud's key vaults (or, where Resource Manager is simulated on this machine, that simulator)?
 */
bool azure_url_is_vault(const struct ff_cloud *cloud, const char *url);
/**
 * The URL of a secret ("secrets") or key ("keys") as a VM's record names it, made anew of its parts: the record can be
 * written by who owns the VM. The caller frees; NULL: not a vault's.
 */
char *azure_vault_url(const struct ff_cloud *cloud, const char *url, const char *kind);

/** What encryption settings say of where keys are: {"version", "keys": [{"secret","kek"}]}. A new reference. */
json_t *azure_ade_reduce(const json_t *settings, const char *version);
/** The settings of the VM's OS disk, see azure_ade_reduce(); NULL: it is not encrypted so. Borrowed. */
const json_t *azure_ade_settings(const json_t *facts);
/** Why no key can be had of these settings; NULL: one can be asked for. `*host` (owned) is the vault's. */
char *azure_ade_refusal(const struct ff_cloud *cloud, const json_t *settings, char **host);
extern const struct ff_key_store azure_key_stores[];
enum ff_key_step azure_graph_look(struct ff_cloud *cloud, struct ff_key_turn *turn);

/**
 * A client assertion (RFC 7523), signed PS256 with the key of a PEM or PKCS#12 file that holds certificate and key.
 * @file      the file's bytes; borrowed
 * @password  of the key, or NULL
 * @audience  the token endpoint's URL
 * @return    the JWT, owned (free with ff_free_secret), or NULL with err (FF_E_AUTH)
 */
char *azure_assertion(const char *file, size_t len, const char *password, const char *audience, const char *client,
	int64_t wall_ms, struct ff_err *err);

/* ---- request.c */

struct azure_id {
	char *subscription, *group, *type, *name; /* type: "virtualMachines" */
};
/**
 * Take a resource id apart. Ids come from outside and go into URLs: anything but the eight plain segments of a resource
 * of Microsoft.Compute is refused. 0 (release with azure_id_release), or -1.
 */
int azure_id_parse(const char *text, struct azure_id *id);
void azure_id_release(struct azure_id *id);
/** The last segment of an id; the whole text when it has none. Borrowed. NULL gives "". */
const char *azure_id_name(const char *id);
/** Lower-case copy, for keys. The caller frees. */
char *azure_lower(const char *text);
/** Is `id` the resource `scope` or something below it (by whole segments, case-blind)? */
bool azure_id_within(const char *id, const char *scope);

/**
 * Fill an ask for a resource: METHOD arm + id (its segments encoded) + tail ("/powerOff?skipShutdown=true&"; must end
 * in ? or &) + api-version. 0, or -1 with err when the id is none.
 */
int azure_ask_resource(const struct ff_cloud *cloud, struct ff_ask *ask, const char *method, const char *id,
	const char *tail, const char *api, struct ff_err *err);
/** Set body and If-Match (NULL: none) on an ask. Steals body. */
void azure_ask_json(struct ff_ask *ask, json_t *body, const char *if_match);

/* What a request draws on: compute-throttling-limits.md, section 7 of the facts. */
enum azure_cost {
	AZ_COST_UPDATE_VM, /* start, powerOff, attach, detach */
	AZ_COST_PATCH_VM,  /* the same of the VM; recorded headers charge the subscription's PutVM */
	AZ_COST_DELETE_VM, /* deallocate */
	AZ_COST_GET_VM,
	AZ_COST_LIST,
	AZ_COST_POLL_VM,
	AZ_COST_POLL_DISK,
	AZ_COST_GET_DISK,
	AZ_COST_PUT_DISK,
	AZ_COST_DELETE_DISK,
};
/** Say what the ask costs. `region` may be "" (unknown), `vm_id` NULL (no VM's own bucket). */
void azure_cost(
	const struct ff_cloud *cloud, struct ff_ask *ask, enum azure_cost cost, const char *region, const char *vm_id);

/* ---- evidence.c */

enum ff_evidence azure_evidence_ask(
	struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask);
int azure_evidence_read(
	const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err);

/* ---- errors.c */

/* An answer, read. */
struct azure_reply {
	enum ff_class class; /* FF_E_NONE: success, HTTP status 2xx and no error inside */
	struct ff_err err;
	json_t *body;	  /* what JSON there is, also of an error; NULL: none */
	int status;	  /* 0: no answer */
	bool unknown;	  /* the request may or may not have taken effect */
	int64_t retry_ms; /* Retry-After; -1: none */
};
#define azure_auto_reply __attribute__((cleanup(azure_reply_release))) struct azure_reply
void azure_reply_release(struct azure_reply *reply);
/** Read an answer of Resource Manager. */
void azure_reply_read(struct azure_reply *reply, int64_t wall_ms, const struct ff_answer *answer);
/**
 * The class of a failure by status and what the error says; `error` is the object with code, message, details (may be
 * NULL). `err` gets the sentence. For failures inside a 200, status is 0.
 */
enum ff_class azure_classify(int status, const json_t *error, struct ff_err *err);
enum ff_class azure_judge(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err);
/** Control characters and runs of blanks to one blank, at most `max` bytes. The caller frees. NULL gives "". */
char *azure_squeeze(const char *text, size_t max);

/* ---- operation.c */

enum azure_asked { AZ_ACT, AZ_LOOK, AZ_POLL };

/** Empty n verdicts and read the answer. */
void azure_begin(
	struct azure_reply *reply, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v, size_t n);
/** The same for a look, which is answered with a resource: success without one tells nothing of it. */
void azure_begin_look(struct azure_reply *reply, int64_t wall_ms, const struct ff_answer *answer, struct ff_verdict *v);
/** DONE; whatever operation was under way is over. */
void azure_done(const struct ff_member *m, struct ff_verdict *v);
/** FAILED with class and text. */
void azure_failed(struct ff_verdict *v, enum ff_class class, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** WAIT that many milliseconds (0: the driver's back-off), and what for: it is told when patience ends. */
void azure_wait(struct ff_verdict *v, unsigned wait_ms, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** The patch of a verdict, made when there is none. Borrowed. */
json_t *azure_patch(struct ff_verdict *v);
/** What a reply that is no success means, by what was asked. Steps treat their own cases first. */
void azure_unhappy(const struct azure_reply *reply, enum azure_asked asked, struct ff_verdict *v);
/**
 * What a successful answer to an act means: STARTED with the operation in the patch, or DONE.
 * @resource_url  for a PUT or PATCH: where the resource is read while its provisioningState is not terminal; NULL: POST
 */
void azure_accepted(const struct ff_cloud *cloud, const struct azure_reply *reply, const struct ff_answer *answer,
	int64_t wall_ms, const char *resource_url, struct ff_verdict *v);
int azure_poll(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err);
void azure_polled(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v);
/** "Succeeded", "Failed", "Canceled" (any case), or nothing said. */
bool azure_state_terminal(const char *provisioning_state);

/* ---- discover.c, found.c, hazards.c */

struct azure_found *azure_found_new(bool take_over, const char *own_run);
void azure_found_free(struct azure_found *found);
enum ff_turn azure_discover_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err);
int azure_discover_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_err *err);
size_t azure_vms(const struct ff_cloud *cloud, struct ff_vm ***vms);
const struct ff_strv *azure_notes(const struct ff_cloud *cloud);
int azure_fits(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err);

/* ---- reading a VM's answer */

/** "running" of "PowerState/running" in instanceView.statuses, lower case, in `out`; "" when it is not said. */
const char *azure_power(const json_t *view, char out[32]);
/** When the last change of the VM ended, a start among them: instanceView's "ProvisioningState/..." has its time
 * (recorded in vm_power_states). 0 when it is not said. */
int64_t azure_changed_ms(const json_t *view);
/** That is so short ago that a Windows which boots well need not have been heard of yet: its agent's silence says
 * nothing then. False, too, where no time is said. */
bool azure_may_come_up(const json_t *view, int64_t wall_ms);
/**
 * The VM was affected when it was found, hours ago perhaps: is it well by now, or may it be? Then v says so, as failed
 * or to be waited for, and nothing is to be done to it. `claimed`: our claim is on it, which was a change of its own.
 * False in a rollback, which does not ask.
 */
bool azure_is_well_again(
	const struct ff_member *m, const json_t *view, bool claimed, int64_t wall_ms, struct ff_verdict *v);
/** The tag of that name, any case; NULL when absent. Borrowed. */
const char *azure_tag(const json_t *tags, const char *name);
/** A copy of the tags with this one set (NULL value: removed), whatever the case of its name was. */
json_t *azure_tags_with(const json_t *tags, const char *name, const char *value);
/** The VM's etag, fit for If-Match (its quotes are part of it); NULL when there is none. Borrowed. */
const char *azure_etag(const json_t *vm);
/** storageProfile.osDisk.managedDisk.id of a VM; NULL when it is not there. Borrowed. */
const char *azure_os_disk_id(const json_t *vm);

/* ---- steps.c */

enum azure_step {
	AZ_CLAIM,
	AZ_STOP,
	AZ_COPY,
	AZ_ATTACH,
	AZ_REPAIR,
	AZ_DETACH,
	AZ_SWAP,
	AZ_START,
	AZ_VERIFY,
	AZ_RELEASE,
	AZ_DELETE_COPY,
	AZ_SWAP_BACK,
	AZ_MARK,
	AZ_CHECK,
	AZ_RESTORE,
	AZ_CONFIRM,
	AZ_DELETE_LEFT,
	AZ_SETTLE,
	AZ_FREE_COPY,
	AZ_DROP_COPY,
	AZ_STEP_COUNT
};
extern const struct ff_step azure_steps[AZ_STEP_COUNT];
extern const int azure_forward[], azure_rollback[], azure_cleanup[], azure_recover[];

#define AZ_ACT_FN(name)                                                                                                \
	int name(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
#define AZ_ACTED_FN(name)                                                                                              \
	void name(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,                        \
		const struct ff_answer *answer, struct ff_verdict *v)
#define AZ_LOOK_FN(name)                                                                                               \
	int name(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
#define AZ_LOOKED_FN(name)                                                                                             \
	void name(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms, const struct ff_answer *answer,  \
		struct ff_verdict *v)

/* claim.c: the tag that says whose VM it is */
AZ_ACT_FN(azure_claim);
AZ_LOOKED_FN(azure_claim_looked);
AZ_ACTED_FN(azure_claim_acted);
AZ_ACT_FN(azure_release);
AZ_ACTED_FN(azure_release_acted);
AZ_LOOKED_FN(azure_release_looked);
/** GET the VM with its instance view: the look of several rows. */
AZ_LOOK_FN(azure_look_vm);

/* power.c */
AZ_ACT_FN(azure_stop);
AZ_LOOKED_FN(azure_stop_looked);
AZ_ACT_FN(azure_start);
AZ_LOOKED_FN(azure_start_looked);
AZ_LOOKED_FN(azure_verify_looked);
/** acted of the power operations. */
AZ_ACTED_FN(azure_power_acted);
AZ_LOOK_FN(azure_look_view);
/** A power operation's request, or the operation itself, failed. */
void azure_power_refused(
	const struct ff_member *m, const struct azure_reply *reply, int64_t wall_ms, struct ff_verdict *v);

/* copy.c */
AZ_ACT_FN(azure_copy);
AZ_ACTED_FN(azure_copy_acted);
AZ_LOOK_FN(azure_look_copy);
AZ_LOOKED_FN(azure_copy_looked);
AZ_ACT_FN(azure_delete_copy);
AZ_ACTED_FN(azure_delete_copy_acted);
AZ_LOOKED_FN(azure_delete_copy_looked);
/** The copy's name: made of run and VM, so that a repeat finds it. The caller frees. */
char *azure_copy_name(const struct ff_member *m);
/** Its id, in the VM's resource group. The caller frees; NULL when the VM's id is none. */
char *azure_copy_id(const struct ff_member *m);
/** The disk that this run puts in: the copy, or, of a rollback, the disk that a run replaced. The caller frees. */
char *azure_target_id(const struct ff_member *m);
char *azure_target_name(const struct ff_member *m);
/** What the tag AZ_TAG_VM says of the VM. The caller frees. */
char *azure_vm_tag(const struct ff_member *m);
/** Is that the OS disk that this run left the VM with: the one it put in once swapped, else the one found? */
bool azure_is_expected_disk(const struct ff_member *m, const char *disk_id);

/* attach.c */
AZ_ACT_FN(azure_attach_detach);
AZ_ACTED_FN(azure_attach_detach_acted);
AZ_LOOK_FN(azure_look_attach);
AZ_LOOKED_FN(azure_attach_looked);
AZ_LOOK_FN(azure_look_detach);
AZ_LOOKED_FN(azure_detach_looked);
const char *azure_attach_group(const struct ff_member *m);
/** What the end of an attach/detach operation means; `result` is its storageProfile, or NULL. */
void azure_attach_ended(const struct ff_member *m, size_t n, const struct azure_reply *reply, const json_t *result,
	enum azure_asked asked, struct ff_verdict *v);

/* swap.c */
AZ_ACT_FN(azure_swap);
AZ_ACTED_FN(azure_swap_acted);
AZ_LOOKED_FN(azure_swap_looked);
AZ_ACT_FN(azure_swap_back);
AZ_LOOKED_FN(azure_swap_back_looked);
/** A swap's request, its deallocation, or the operation of either was refused. */
void azure_swap_refused(
	const struct ff_cloud *cloud, const struct ff_member *m, const struct azure_reply *reply, struct ff_verdict *v);

/* later.c: what comes after a repair */
/** The disk that was replaced carries the run's tag from now on: only what carries it is ever deleted. */
AZ_ACT_FN(azure_mark);
AZ_ACTED_FN(azure_mark_acted);
AZ_LOOK_FN(azure_look_replaced);
AZ_LOOKED_FN(azure_mark_looked);
bool azure_has_swapped(const struct ff_member *m);
AZ_LOOK_FN(azure_look_target);
AZ_LOOKED_FN(azure_check_looked);
AZ_LOOKED_FN(azure_confirm_looked);
AZ_ACT_FN(azure_delete_left);
AZ_ACTED_FN(azure_delete_left_acted);
AZ_LOOK_FN(azure_look_left);
AZ_LOOKED_FN(azure_delete_left_looked);
/* recover.c: a run whose journal is lost */
AZ_LOOKED_FN(azure_settle_looked);
/** What the copy itself says, before it is taken off whoever has it; `disk` is the copy. */
void azure_free_copy_looked(const struct ff_member *m, const json_t *disk, struct ff_verdict *v);
AZ_LOOKED_FN(azure_drop_copy_looked);
/** The facts `claim` of the VM's tags. */
void azure_read_claim(struct ff_vm *vm);
json_t *azure_recall_claim(const struct ff_vm *vm, const char *run, struct ff_err *err);

json_t *azure_recall(const struct ff_cloud *cloud, const struct ff_vm *vm, enum ff_flow flow, const char *run,
	bool rolled_back, const json_t *past, struct ff_left *left, struct ff_err *err);

/* place.c */
int azure_place(
	const struct ff_cloud *cloud, const struct ff_member *m, struct ff_disk_place *place, struct ff_err *err);
void azure_where(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_buf *text);
void azure_by_hand(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_strv *commands);

#endif
