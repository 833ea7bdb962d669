/*
 * AWS, inside: one region of one account. EC2 and Auto Scaling (and STS, for credentials) are POSTs of a form to "/",
 * answered in XML. Who does what:
 *
 *   aws.c        the table; opening, closing, signing, titles
 *   settings.c   environment, shared files, region and endpoints; ini.c reads the files
 *   chain.c      which source of credentials is taken, by the SDKs' order
 *   identity.c   signing in; the questions that a source needs are in sources.c, metadata.c (container, IMDS), sts.c
 *                (roles)
 *   sigv4.c      Signature Version 4
 *   xml.c        answers                      request.c   asks and what they cost
 *   errors.c     what class an answer is
 *   discover.c   the questions of discovery; found.c reads instances and volumes; hazards.c judges them
 *   permits.c    what this identity may do, before anything is touched; kms.c whether volumes' keys can be used
 *   evidence.c   console output and screen
 *   steps.c      the rows; claim.c, standby.c, power.c, backup.c, volume.c, home.c hold their functions, make.c and
 *                later.c those of what comes after a repair; look.c is what their looks share; place.c says where the
 *                disk is
 *
 * Members of `facts`, the recorded state of a VM (see struct ff_member):
 *   root         {volume, device, delete, size_gib}: the root volume as it was found attached
 *   pool         "us-east-1a m5.large": what is started together
 *   asg          name of its Auto Scaling group, where --asg standby applies to it; else absent
 *   no_backup    true: no snapshot is wanted
 *   NAME_ms      wall time at which EC2 accepted the step's request: reads lag behind for a while
 *   graceful     SkipOsShutdown was refused           force   "force": stop with Force
 *   snapshot     id of the backup
 *   device       name under which the volume is attached to the rescue VM
 *   at           "out" detached, "rescue", "home": where the volume was last known to be; absent: never taken out
 *   side         "instance": the volume's side agrees, the instance's is to be read; see look.c
 *   flag         true: the volume is home, its DeleteOnTermination is still to be set
 *   launching    it was seen pending after StartInstances
 *   missing_ms   since when EC2 does not know it
 *   of           rollback, cleanup: the run that is taken back or tidied up after
 *   like         rollback: {type, iops, throughput, size_gib, kms_key, zone, tags} of the replaced volume
 *   made, in     rollback: id of the volume made of the snapshot; true: it is the root
 *   claim, holder recover: {run, was ("running"), root}; the instance that has the volume
 *   left         cleanup: id of the snapshot or volume to be deleted
 * and of a rescue VM: devices (names in use when it was found), "slot-N" how many names slot N has used up.
 */
#ifndef FIXFLEET_AWS_H
#define FIXFLEET_AWS_H

#include <jansson.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/provider.h"

extern const struct ff_provider ff_aws;

#define AWS_TAG_RUN  "fixfleet-run"
#define AWS_TAG_VM   "fixfleet-vm"
#define AWS_TAG_BY   "fixfleet-by" /* user@host, for the people of another run */
#define AWS_TAG_ROOT "fixfleet-root"
#define AWS_TAG_ROLE "fixfleet-role"

#define AWS_FORM "application/x-www-form-urlencoded; charset=utf-8"

/* How long a read may still show what was before a write was accepted (facts section 5). */
#define AWS_LAG_MS 60000
/* A claim is written at most so long after the look that found none. */
#define AWS_CLAIM_FRESH_MS 2500

enum aws_service { AWS_EC2, AWS_STS, AWS_AUTOSCALING, AWS_SECRETS, AWS_KMS, AWS_SSO, AWS_SERVICE_COUNT };

/* ff_ask.tag: the service in the upper bits, which question in the lower; 0 is a step's. */
enum aws_question {
	AWS_Q_STEP = 0,
	AWS_Q_CONFIG, /* identity */
	AWS_Q_CREDENTIALS,
	AWS_Q_TOKEN_FILE,
	AWS_Q_SSO_CACHE,
	AWS_Q_SSO,
	AWS_Q_PROCESS,
	AWS_Q_CONTAINER,
	AWS_Q_IMDS_TOKEN,
	AWS_Q_IMDS_REGION,
	AWS_Q_IMDS_ROLE,
	AWS_Q_IMDS_KEYS,
	AWS_Q_ROLE,
	AWS_Q_WEB_ROLE,
	AWS_Q_WHOAMI,
	AWS_Q_FIND, /* discovery; what is asked is in tag_data */
};
#define AWS_TAG(service, question) ((int)(service) << 8 | (int)(question))
#define AWS_TAG_SERVICE(tag)	   ((enum aws_service)((tag) >> 8))
#define AWS_TAG_QUESTION(tag)	   ((enum aws_question)((tag)&0xff))

struct aws_keys {
	char *id, *secret, *token; /* token NULL: none */
	int64_t expires_ms;	   /* wall; 0: never */
};
void aws_keys_release(struct aws_keys *keys); /* wipes */
/** May id and token be put into headers? Nothing in them is a blank or a control character. */
bool aws_keys_plain(const struct aws_keys *keys);

struct ff_cloud {
	char *title;
	char *region;			    /* NULL until it is known */
	char *account;			    /* NULL until it is known */
	char *owner;			    /* "ACCOUNT/REGION", "" for what is not known */
	char *endpoints[AWS_SERVICE_COUNT]; /* "https://ec2.us-east-1.amazonaws.com", no slash at the end; NULL as
					       region */
	struct ff_strv rescues;
	bool claims, asg_standby, no_backup, discard_local, preflight;
	struct aws_login *login;
	struct aws_found *found;
};

/* ---------------------------------------------------------------- xml.c */

#define AWS_XML_BYTES_MAX (32u << 20)
#define AWS_XML_DEPTH_MAX 32

void aws_xml_free_ptr(xmlDoc **doc);
#define aws_auto_xml __attribute__((cleanup(aws_xml_free_ptr))) xmlDoc

/**
 * Parse an answer: no network, no DOCTYPE and thus no entities of its own, at most AWS_XML_BYTES_MAX long and
 * AWS_XML_DEPTH_MAX deep. The caller frees (xmlFreeDoc); NULL with err (FF_E_BUG).
 */
xmlDoc *aws_xml_parse(const char *text, size_t len, struct ff_err *err);
const xmlNode *aws_xml_root(const xmlDoc *doc);
/** The first element down "placement/availabilityZone" by local names, whatever the namespace. NULL when there is none.
 */
const xmlNode *aws_xml_at(const xmlNode *node, const char *path);
/** The next sibling of the same local name. */
const xmlNode *aws_xml_next(const xmlNode *node);
/** The text there; "" when the element is missing or empty, which mean the same. Borrowed, never NULL. */
const char *aws_xml_str(const xmlNode *node, const char *path);
bool aws_xml_is(const xmlNode *node, const char *local_name);
bool aws_xml_true(const xmlNode *node, const char *path);

/* ---------------------------------------------------------------- sigv4.c */

struct aws_scope {
	const char *region, *service; /* of the endpoint: "us-east-1", "ec2" */
	bool raw_path;		      /* do not normalise the path (S3; the vectors) */
	bool hash_header;	      /* add X-Amz-Content-Sha256 */
	bool token_unsigned;	      /* add X-Amz-Security-Token after signing */
};
/* What was signed, for tests and for telling a wrong signature from a wrong clock. */
struct aws_signed {
	char *canonical, *to_sign;
	char signature[65];
};
void aws_signed_release(struct aws_signed *s);
/**
 * Sign the ask as it is: sets Host (when missing), X-Amz-Date, X-Amz-Security-Token and Authorization. Nothing may
 * change method, URL, headers or body after. Safe to call again on a copy of the unsigned ask: every attempt is dated
 * anew.
 * @wall_ms  the date to sign with, corrected for a wrong clock
 * @out      NULL: not wanted
 * @return   0, or -1 with err (FF_E_BUG) for a URL that has no host
 */
int aws_sigv4(struct ff_ask *ask, const struct aws_keys *keys, const struct aws_scope *scope, int64_t wall_ms,
	struct aws_signed *out, struct ff_err *err);

/* ---------------------------------------------------------------- ini.c */

#define AWS_INI_BYTES_MAX (1u << 20)
#define AWS_INI_ITEMS_MAX 20000

struct aws_ini {
	struct aws_ini_item {
		char *section, *key, *value; /* key in lower case; "s3.endpoint_url" for one below "s3 =" */
	} * items;
	size_t count;
	struct ff_strv sections;
};
/**
 * Read a shared config or credentials file. An empty text is an empty file.
 * @return 0, or -1 with err (FF_E_AUTH, with the line's number)
 */
int aws_ini_parse(struct aws_ini *ini, const char *text, size_t len, struct ff_err *err);
void aws_ini_release(struct aws_ini *ini); /* wipes */
/** The last value given; NULL when there is none. Borrowed. */
const char *aws_ini_get(const struct aws_ini *ini, const char *section, const char *key);
/**
 * Split a command as Python's shlex does, which is what the AWS tools use: quotes and backslashes, no shell.
 * 0, or -1 with err (FF_E_AUTH): nothing in it, or a quote that is not closed.
 */
int aws_split_command(const char *text, struct ff_strv *argv, struct ff_err *err);

/* ---------------------------------------------------------------- settings.c */

/* Environment variables that are looked at, as open() saw them. */
enum aws_env {
	AWS_ENV_ACCESS_KEY,
	AWS_ENV_SECRET_KEY,
	AWS_ENV_SESSION_TOKEN,
	AWS_ENV_PROFILE,
	AWS_ENV_DEFAULT_PROFILE,
	AWS_ENV_REGION,
	AWS_ENV_DEFAULT_REGION,
	AWS_ENV_CONFIG_FILE,
	AWS_ENV_CREDENTIALS_FILE,
	AWS_ENV_HOME,
	AWS_ENV_WEB_TOKEN_FILE,
	AWS_ENV_ROLE_ARN,
	AWS_ENV_ROLE_SESSION,
	AWS_ENV_CONTAINER_RELATIVE,
	AWS_ENV_CONTAINER_FULL,
	AWS_ENV_CONTAINER_TOKEN,
	AWS_ENV_CONTAINER_TOKEN_FILE,
	AWS_ENV_IMDS_DISABLED,
	AWS_ENV_IMDS_ENDPOINT,
	AWS_ENV_IMDS_MODE,
	AWS_ENV_IMDS_V1_DISABLED,
	AWS_ENV_ENDPOINT,
	AWS_ENV_ENDPOINT_EC2,
	AWS_ENV_ENDPOINT_STS,
	AWS_ENV_ENDPOINT_AUTOSCALING,
	AWS_ENV_ENDPOINT_SECRETS,
	AWS_ENV_ENDPOINT_KMS,
	AWS_ENV_ENDPOINT_SSO,
	AWS_ENV_IGNORE_ENDPOINTS,
	AWS_ENV_CA_BUNDLE,
	AWS_ENV_COUNT
};

struct aws_settings {
	char *env[AWS_ENV_COUNT]; /* NULL: not set */
	char *region_option;
	char *profile;	       /* the name in use; never NULL */
	bool profile_explicit; /* by --profile: the environment's keys do not count */
	bool profile_named;    /* by option or AWS_PROFILE: it must exist */
	struct aws_ini config, credentials;
};

/** 0, or -1 with err (FF_E_USAGE) for what can be told from option and environment alone. */
int aws_settings_init(
	struct aws_settings *s, const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err);
void aws_settings_release(struct aws_settings *s);
/** Path of the config or credentials file; NULL when there is no home. The caller frees. */
char *aws_settings_path(const struct aws_settings *s, bool credentials);
bool aws_profile_exists(const struct aws_settings *s, const char *profile);
/** A member of a profile, the credentials file first as the AWS tools do it. NULL: none. Borrowed. */
const char *aws_profile_get(const struct aws_settings *s, const char *profile, const char *key);
/** The same of the config file alone. */
const char *aws_profile_config(const struct aws_settings *s, const char *profile, const char *key);
/** Region by option, environment, profile; NULL: IMDS is to be asked. Borrowed. */
const char *aws_settings_region(const struct aws_settings *s);
/** May it stand in a host name? */
bool aws_region_ok(const char *region);
/** Endpoint of a service in that region: configured or the partition's. The caller frees; NULL with err (FF_E_USAGE).
 */
char *aws_settings_endpoint(
	const struct aws_settings *s, enum aws_service service, const char *region, struct ff_err *err);
/** The CA file of AWS' endpoints: AWS_CA_BUNDLE, or the profile's ca_bundle; NULL: none is named. Borrowed. */
const char *aws_settings_ca(const struct aws_settings *s);
/** Base URL of the instance metadata service; NULL with err. The caller frees. */
char *aws_settings_imds(const struct aws_settings *s, struct ff_err *err);
bool aws_is_true(const char *text);

/* ---------------------------------------------------------------- chain.c */

enum aws_source {
	AWS_FROM_ENV,
	AWS_FROM_CREDENTIALS, /* keys in a profile of the credentials file */
	AWS_FROM_CONFIG,      /* of the config file */
	AWS_FROM_WEB,
	AWS_FROM_SSO,
	AWS_FROM_PROCESS,
	AWS_FROM_CONTAINER,
	AWS_FROM_IMDS,
	AWS_FROM_NOWHERE
};
#define AWS_ROLES_MAX 8

/* Where credentials come from: a source, then roles assumed one after the other with what the one before gave. */
struct aws_plan {
	enum aws_source source;
	bool from_env;		    /* AWS_FROM_WEB: by the environment, not by the profile */
	char *profile;		    /* of the source */
	char *roles[AWS_ROLES_MAX]; /* profiles with role_arn; the last one is assumed first */
	size_t role_count;
	char *name; /* for people */
	struct ff_strv tried;
};
void aws_plan_release(struct aws_plan *plan);
/**
 * Choose by the SDKs' order from what is configured. IMDS and "nowhere" cannot be told apart before it was asked.
 * 0, or -1 with err (FF_E_AUTH) when something is configured that cannot work.
 */
int aws_plan_make(const struct aws_settings *s, struct aws_plan *plan, struct ff_err *err);

/* ---------------------------------------------------------------- identity.c, metadata.c, sts.c */

enum aws_login_state {
	AWS_L_CONFIG,
	AWS_L_CREDENTIALS,
	AWS_L_REGION,
	AWS_L_ENDPOINTS,
	AWS_L_SOURCE,
	AWS_L_ROLES,
	AWS_L_WHOAMI,
	AWS_L_DONE,
	AWS_L_FAILED
};

struct aws_login {
	struct aws_settings settings;
	enum aws_login_state state;
	struct aws_plan plan;
	struct aws_keys keys; /* in use */
	struct aws_keys next; /* being fetched */
	int64_t renew_at_ms;
	char *name;
	size_t role_at;		 /* how many roles are assumed */
	char *text;		 /* what the source's last answer left: IMDS role, web token, SSO access token */
	char *imds, *imds_token; /* base URL; token: NULL before it was asked, "" for version 1 */
	bool container_token;	 /* its file was read */
	unsigned tries;		 /* of what is being asked for */
	struct ff_err err;
	/* the clock: what is to be added to wall time so that AWS accepts it */
	int64_t offset_ms, corrected_ms; /* corrected_ms: wall time of the last correction; INT64_MIN: never */
	bool resigned;			 /* an STS call was repeated with the corrected clock */
};

struct aws_login *aws_login_new(const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err);
void aws_login_free(struct aws_login *login);
enum ff_turn aws_login_next(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err);
void aws_login_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer);
void aws_login_reset(struct ff_cloud *cloud);
int64_t aws_login_renew_at(const struct ff_cloud *cloud);
const char *aws_login_name(const struct ff_cloud *cloud);
/**
 * The answer says that date or signature were not accepted: compare its Date with our clock, and correct that once.
 * true: the clock was (or has just been) corrected, so that another attempt is worth it.
 */
bool aws_clock_correct(struct aws_login *login, int64_t wall_ms, const struct ff_answer *answer);

/** End it: FF_E_AUTH with this text and what was tried. */
void aws_login_fail(struct aws_login *login, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** No region is said anywhere: FF_E_USAGE. */
void aws_login_no_region(struct aws_login *login);
/** Members of a JSON object become login->next. false: it has no keys. `expires` may be NULL. */
bool aws_login_take(struct aws_login *login, const json_t *j, const char *id, const char *secret, const char *token,
	const char *expires);
/** The source gave credentials: on to the roles. Ends it when they cannot be put into headers. */
void aws_login_have_source(struct aws_login *login);

void aws_ask_file(struct ff_ask *ask, char *path_owned, enum aws_question question, size_t max);
/** Fill the ask that the source needs next; or none is needed, and the state has moved on. */
void aws_source_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err);
void aws_token_file_read(struct aws_login *login, const struct ff_ask *ask, const struct ff_answer *answer);
void aws_sso_cache_read(struct aws_login *login, int64_t wall_ms, const struct ff_answer *answer);
void aws_sso_read(struct aws_login *login, const struct ff_answer *answer);
void aws_process_read(struct aws_login *login, const struct ff_answer *answer);

int aws_container_ask(struct aws_login *login, struct ff_ask *ask);
void aws_container_read(struct aws_login *login, const struct ff_ask *ask, const struct ff_answer *answer);
void aws_imds_ask(struct aws_login *login, struct ff_ask *ask, bool region);
void aws_imds_read(struct ff_cloud *cloud, const struct ff_ask *ask, const struct ff_answer *answer);
/** Is the instance metadata service to be asked at all? */
bool aws_imds_wanted(const struct aws_login *login);

void aws_role_ask(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask);
void aws_web_role_ask(struct ff_cloud *cloud, struct ff_ask *ask);
#define AWS_WHOAMI_TRIES 3 /* of one signing in; the engine repeats what was not answered besides */
void aws_whoami_ask(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask);
void aws_sts_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer);

/* ---------------------------------------------------------------- aws.c */

/** "ec2", "sts", "autoscaling": as credential scopes name it. */
const char *aws_service_name(enum aws_service service);
/** Region and endpoints are known now. -1 with err (FF_E_USAGE). */
int aws_set_region(struct ff_cloud *cloud, const char *region, struct ff_err *err);
/** The account is known now; must be twelve digits to be taken. */
void aws_set_account(struct ff_cloud *cloud, const char *account);

/* ---------------------------------------------------------------- request.c */

/** "Action=..&Version=.." of that service, to be added to with ff_form_add(). */
void aws_form(struct ff_buf *form, enum aws_service service, const char *action);
/** Add "KEY.N=value"; N from 1. */
void aws_form_nth(struct ff_buf *form, const char *key, size_t n, const char *value);
/** Add "Filter.N.Name" and one value. */
void aws_form_filter(struct ff_buf *form, size_t n, const char *name, const char *value);
/** Make the ask: POST to the service's endpoint; takes the form. Says what it costs; see request.c for the buckets. */
void aws_ask(const struct ff_cloud *cloud, struct ff_ask *ask, enum aws_service service, enum aws_question question,
	struct ff_buf *form);
/** The same for the services that speak JSON 1.1. It costs nothing: their quotas are far away. */
void aws_json_ask(const struct ff_cloud *cloud, struct ff_ask *ask, enum aws_service service,
	enum aws_question question, const char *target, const json_t *body);

/* ---------------------------------------------------------------- errors.c */

/* An answer of EC2, STS or Auto Scaling, read; or a failure of a service that speaks JSON. */
struct aws_reply {
	enum ff_class class; /* FF_E_NONE: success */
	struct ff_err err;
	xmlDoc *doc;	      /* NULL: no XML */
	const xmlNode *root;  /* of a success */
	char *code, *message; /* of a failure; "" where not said */
	int status;	      /* 0: no answer */
	bool unknown;	      /* the request may or may not have taken effect */
};
#define aws_auto_reply __attribute__((cleanup(aws_reply_release))) struct aws_reply
void aws_reply_release(struct aws_reply *reply);
void aws_reply_read(struct aws_reply *reply, const struct ff_answer *answer);
/** The class of an error code; `message` decides where one code means several things. */
enum ff_class aws_classify(int status, const char *code, const char *message);
/** Does the code say that date or signature were not accepted? */
bool aws_code_is_signature(const char *code);
enum ff_class aws_judge(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
	const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err);

/* ---------------------------------------------------------------- discover.c, found.c, hazards.c */

/* What discovery knows of an instance beyond what it shows. Texts are never NULL; "" is not said. */
struct aws_vm {
	struct ff_vm vm;
	char *type, *root_type, *root_device, *root_state, *lifecycle, *reason_code;
	char *asg, *asg_state;
	char *instance_status, *system_status;
	struct ff_strv devices; /* names in blockDeviceMapping */
	struct ff_strv data;	/* ids of its other volumes */
	unsigned interfaces;
	bool root_delete, volume_seen, multi_attach, marketplace, managed, hibernation, lost_address;
	bool stop_protected;
	bool asked;    /* wanted as rescue VM */
	json_t *claim; /* its root volume as tags have it: {run, volume, device, delete, size_gib, was, home, made};
			  NULL */
};

struct aws_batch; /* a question of discovery, see discover.c */
struct aws_found {
	struct aws_vm **items;
	struct ff_vm **vms; /* the same, as the contract wants them */
	size_t count;
	json_t *by_id, *by_volume; /* id -> index into items */
	json_t *types;		   /* instance type -> {limit, shared, disks} */
	json_t *encrypted;	   /* encrypted volume -> its KMS key, "" where that is not said */
	json_t *keys;		   /* KMS key -> its state, "" where it is not known; see kms.c */
	struct aws_batch *queue, **queue_end, *all;
	unsigned out, stage;
	char *denied; /* a permission that a repair needs is missing: says which; NULL */
	char *unsure; /* why the state of a KMS key could not be asked, the first reason; NULL */
	struct ff_strv notes;
};

struct aws_found *aws_found_new(void);
void aws_found_free(struct aws_found *found);
void aws_batches_free(struct aws_found *found);
enum ff_turn aws_discover_next(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err);
int aws_discover_read(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer,
	struct ff_err *err);
size_t aws_vms(const struct ff_cloud *cloud, struct ff_vm ***vms);
const struct ff_strv *aws_notes(const struct ff_cloud *cloud);

/**
 * Take in one instance of an answer. One that is known already is left as it is; NULL: it is on its way out, or has no
 * id.
 */
struct aws_vm *aws_found_instance(struct ff_cloud *cloud, const xmlNode *node);
/** By id; NULL when it is not known. */
struct aws_vm *aws_found_by_id(const struct aws_found *found, const char *id);
void aws_found_status(struct aws_found *found, const xmlNode *node);
void aws_found_volume(struct aws_found *found, const xmlNode *node);
void aws_found_type(struct aws_found *found, const xmlNode *node);
void aws_found_member(struct aws_found *found, const xmlNode *node);

/** Evidence and health, before hazards; of a VM whose statuses are read. */
void aws_weigh(struct aws_vm *vm);
/** Hazards, and FF_SKIPPED where one of them decides. Called once all is read. */
void aws_hazards(const struct ff_cloud *cloud, struct aws_vm *vm);
/** Does a hazard that is known so far decide against it? */
bool aws_is_skipped(const struct ff_cloud *cloud, const struct aws_vm *vm);
/** Slots of a rescue VM, and the facts that a VM begins with. */
void aws_settle(const struct ff_cloud *cloud, struct aws_vm *vm);
int aws_fits(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err);

/* ---------------------------------------------------------------- permits.c */

/** How many permissions are asked for, and for the sake of which VM; NULL: for none, nothing would be repaired. */
size_t aws_permit_count(const struct ff_cloud *cloud);
struct aws_vm *aws_permit_vm(const struct ff_cloud *cloud);
/** The n-th question; only when there is such a VM. */
void aws_permit_form(const struct ff_cloud *cloud, size_t n, struct ff_buf *form);
void aws_permit_read(struct aws_found *found, const struct aws_reply *reply);

/* ---------------------------------------------------------------- kms.c */

/**
 * The volumes that must be attached for a repair to end well: the root, and of a VM that is started again those that it
 * has beside it. NULL after the last one. Borrowed.
 */
const char *aws_volume_needed(const struct aws_vm *vm, size_t n);
/** The KMS key of an encrypted volume, "" where it is not said; NULL: it is not encrypted. Borrowed. */
const char *aws_key_of(const struct aws_found *found, const char *volume);
/** The key's state is wanted. false: it was before, or it cannot be asked for here. */
bool aws_key_wanted(const struct ff_cloud *cloud, const char *key);
void aws_key_ask(const struct ff_cloud *cloud, const char *key, struct ff_ask *ask);
void aws_key_read(struct aws_found *found, const char *key, const struct ff_answer *answer);
/** A note about keys whose state could not be asked, if there are any. */
void aws_keys_note(struct aws_found *found);
/** Is a volume that it needs encrypted?  Is there one whose key may be in any state? */
bool aws_key_needed(const struct aws_found *found, const struct aws_vm *vm);
bool aws_key_unsure(const struct aws_found *found, const struct aws_vm *vm);
/** What is wrong with a key that it needs, "the KMS key of ... is disabled"; NULL: nothing is known to be. Owned. */
char *aws_key_trouble(const struct aws_found *found, const struct aws_vm *vm);

#define AWS_DEVICE_BYTES 16
/** How many device names there are. */
unsigned aws_device_count(void);
/**
 * The device name for the attachment number `used` (from 0) of a slot: unlike that of every other slot, unlike the
 * slot's earlier ones while there are any left, and none of `devices` (names in use from before). "" when there is
 * none.
 */
const char *aws_device_name(
	const json_t *devices, unsigned slot, unsigned slots, unsigned used, char out[AWS_DEVICE_BYTES]);

/* ---------------------------------------------------------------- evidence.c */

enum ff_evidence aws_evidence_ask(
	struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask);
int aws_evidence_read(
	const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err);

/* ---------------------------------------------------------------- look.c */

#define AWS_ACT_FN(name)                                                                                               \
	int name(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err)
#define AWS_ACTED_FN(name)                                                                                             \
	void name(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,                        \
		const struct ff_answer *answer, struct ff_verdict *v)

/* Where a look reads. */
enum aws_side {
	AWS_SEE_INSTANCE, /* DescribeInstances: its item */
	AWS_SEE_RESCUE,	  /* the same of the rescue VM */
	AWS_SEE_STATUS,	  /* DescribeInstanceStatus, of stopped ones too: its item, or NULL */
	AWS_SEE_VOLUME,	  /* DescribeVolumes of the root volume: its item */
	AWS_SEE_MEMBER,	  /* DescribeAutoScalingInstances: its member, or NULL */
	/* the whole answer, in which it may be missing: */
	AWS_SEE_SNAPSHOT,      /* DescribeSnapshots of this volume, of any run */
	AWS_SEE_MADE,	       /* DescribeVolumes made of the fact `snapshot` by any run */
	AWS_SEE_LEFT_VOLUME,   /* DescribeVolumes: the fact `left` */
	AWS_SEE_LEFT_SNAPSHOT, /* DescribeSnapshots: the fact `left`, or `snapshot` */
};
/* What that says of one member. */
typedef void aws_see_fn(const struct ff_member *m, int64_t wall_ms, const xmlNode *node, struct ff_verdict *v);

/*
 * How a row looks: at one side or, where EC2's two views of an attachment may disagree (facts section 5), at two, one
 * after the other. The fact `side` says that the first agreed. Members of one look that are at different sides: the
 * first decides what is asked, the others ask again.
 */
struct aws_view {
	enum aws_side first;
	aws_see_fn *see_first;
	enum aws_side second;
	aws_see_fn *see_second; /* NULL: one side */
};
int aws_view_looks(const struct aws_view *view, const struct ff_cloud *cloud, const struct ff_member *m, size_t n,
	struct ff_ask *ask);
void aws_view_lookeds(const struct aws_view *view, const struct ff_member *m, size_t n, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v);

void aws_verdict(struct ff_verdict *v, enum ff_meaning meaning);
void aws_failed(struct ff_verdict *v, enum ff_class class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** WAIT; the text says for what. */
void aws_wait(struct ff_verdict *v, unsigned wait_ms, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** The first side agrees: read the second next. */
void aws_other_side(struct ff_verdict *v);
/** The patch of a verdict, made when there is none. Borrowed. */
json_t *aws_patch(struct ff_verdict *v);
/** Milliseconds since that fact (a wall time) was recorded; INT64_MAX: it was not. */
int64_t aws_since(const struct ff_member *m, const char *fact, int64_t wall_ms);
/** Was it recorded less than AWS_LAG_MS ago, so that a read may not show it yet? */
bool aws_lags(const struct ff_member *m, const char *fact, int64_t wall_ms);

/**
 * An act was refused or its outcome is unknown. Unknown, conflict, gone: LOOK; anything else FAILED. In a group the ids
 * in the message tell who is meant: the others act again; when it names none, SPLIT.
 */
void aws_act_refused(const struct ff_member *m, size_t n, const struct aws_reply *reply, struct ff_verdict *v);
/** The answer to an act: DONE for all, with the wall time recorded as `fact`; or as above. */
void aws_act_answered(const struct ff_member *m, size_t n, int64_t wall_ms, const struct ff_answer *answer,
	const char *fact, struct ff_verdict *v);

/** The volume that the row is about: the root, or, in a rollback, the one made to take its place. "" unknown. */
const char *aws_volume(const struct ff_member *m);
/** A fact's text; "" when there is none. Borrowed. */
const char *aws_text(const struct ff_member *m, const char *fact);
const char *aws_root_device(const struct ff_member *m);
/** blockDeviceMapping/item of that volume in an instance; NULL. */
const xmlNode *aws_mapping(const xmlNode *instance, const char *volume);
/** The value of a tag of an instance, volume or snapshot; NULL when it has none of that name. */
const char *aws_tag(const xmlNode *node, const char *key);

/* ---------------------------------------------------------------- steps.c */

enum aws_step {
	AWS_CLAIM,
	AWS_STANDBY,
	AWS_STOP,
	AWS_BACKUP,
	AWS_TAKE_OUT,
	AWS_ATTACH,
	AWS_REPAIR,
	AWS_DETACH,
	AWS_PUT_BACK,
	AWS_START,
	AWS_VERIFY,
	AWS_UNSTANDBY,
	AWS_RELEASE,
	AWS_CHECK,
	AWS_MAKE,
	AWS_DELETE_MADE,
	AWS_PUT_IN,
	AWS_TAKE_NEW_OUT,
	AWS_CONFIRM,
	AWS_RELEASE_NEW,
	AWS_DELETE_SNAPSHOT,
	AWS_DELETE_VOLUME,
	AWS_FETCH,
	AWS_STEP_COUNT
};
extern const struct ff_step aws_steps[AWS_STEP_COUNT];
extern const int aws_forward[], aws_rollback[], aws_cleanup[], aws_recover[];

/* claim.c */
extern const struct aws_view aws_claim_view, aws_release_view;
AWS_ACT_FN(aws_claim);
AWS_ACTED_FN(aws_claim_acted);
AWS_ACT_FN(aws_release);
AWS_ACTED_FN(aws_release_acted);

/**
 * What the tag AWS_TAG_ROOT says: "/dev/sda1 DeleteOnTermination=true running", the last word whether the VM ran. With
 * the two other tags it is all that brings the disk home should the journal be lost. The caller frees.
 */
char *aws_root_tag(const struct ff_member *m);

/* standby.c */
extern const struct aws_view aws_standby_view, aws_unstandby_view;
bool aws_standby_applies(const struct ff_member *m);
const char *aws_standby_group(const struct ff_member *m);
AWS_ACT_FN(aws_standby);
AWS_ACT_FN(aws_unstandby);
AWS_ACTED_FN(aws_standby_acted);

/* power.c */
extern const struct aws_view aws_stop_view, aws_start_view, aws_verify_view;
const char *aws_stop_group(const struct ff_member *m);
AWS_ACT_FN(aws_stop);
AWS_ACTED_FN(aws_stop_acted);
const char *aws_start_group(const struct ff_member *m);
AWS_ACT_FN(aws_start);
AWS_ACTED_FN(aws_start_acted);

/* backup.c */
extern const struct aws_view aws_backup_view;
bool aws_backup_applies(const struct ff_member *m);
AWS_ACT_FN(aws_backup);
AWS_ACTED_FN(aws_backup_acted);

/* volume.c */
extern const struct aws_view aws_take_out_view, aws_attach_view, aws_detach_view;
AWS_ACT_FN(aws_take_out);
AWS_ACTED_FN(aws_take_out_acted);
AWS_ACT_FN(aws_attach);
AWS_ACTED_FN(aws_attach_acted);
AWS_ACT_FN(aws_detach);
AWS_ACTED_FN(aws_detach_acted);

/* Whose a volume is just now. */
enum aws_holder { AWS_HELD_BY_NONE, AWS_HELD_BY_VM, AWS_HELD_BY_RESCUE, AWS_HELD_BY_OTHER, AWS_HELD_GOING };
struct aws_held {
	enum aws_holder holder; /* GOING: the volume is on its way out itself (deleting, error) */
	const char *state;	/* of the attachment: "attached", "detaching", ... */
	const char *device, *instance;
};
/** Read a volume's item: who holds it. "in-use" without an attachment counts as held by none, in state "in-use". */
struct aws_held aws_held_by(const struct ff_member *m, const xmlNode *volume);

/* home.c */
extern const struct aws_view aws_put_back_view;
AWS_ACT_FN(aws_put_back);
AWS_ACTED_FN(aws_put_back_acted);

/* recover.c: a run whose journal is lost */
extern const struct aws_view aws_fetch_view;
AWS_ACT_FN(aws_fetch);
AWS_ACTED_FN(aws_fetch_acted);
/** A volume with a run's tags: remembered with its VM, when that is one that was found. */
void aws_found_claimed(struct aws_found *found, const xmlNode *volume);
/** The facts `claim`, and `root` as the tags have it. */
void aws_settle_claim(struct aws_vm *vm);
json_t *aws_recall_claim(const struct ff_vm *vm, const char *run, struct ff_err *err);

/* make.c: a rollback's new volume */
extern const struct aws_view aws_check_view, aws_make_view, aws_delete_made_view, aws_take_new_out_view;
AWS_ACT_FN(aws_make);
AWS_ACTED_FN(aws_make_acted);
AWS_ACT_FN(aws_delete_made);
AWS_ACTED_FN(aws_delete_made_acted);
bool aws_is_made(const struct ff_member *m);

/* later.c: the rest of a rollback, and the cleanup */
extern const struct aws_view aws_confirm_view, aws_delete_snapshot_view, aws_delete_volume_view;
AWS_ACT_FN(aws_release_new);
AWS_ACT_FN(aws_delete_snapshot);
AWS_ACT_FN(aws_delete_volume);
AWS_ACTED_FN(aws_deleted);
bool aws_left_snapshot(const struct ff_member *m);
bool aws_left_volume(const struct ff_member *m);
json_t *aws_recall(const struct ff_cloud *cloud, const struct ff_vm *vm, enum ff_flow flow, const char *run,
	bool rolled_back, const json_t *past, struct ff_left *left, struct ff_err *err);

/* place.c */
int aws_place(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_disk_place *place, struct ff_err *err);
void aws_where(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_buf *text);
void aws_by_hand(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_strv *commands);

/* ---- secrets.c */

int aws_secret_ask(struct ff_cloud *cloud, const char *name, struct ff_ask *ask, struct ff_err *err);
int aws_secret_read(
	struct ff_cloud *cloud, const struct ff_answer *answer, char **bytes, size_t *len, struct ff_err *err);

#endif
