/*
 * The provider contract: what a cloud is to the engine.
 *
 * A provider is a table of pure functions: "what request next?" and "what does this answer mean?". It opens no socket,
 * reads no clock, file or environment variable except through what it is handed, keeps no thread and waits for nothing.
 *
 * A new provider:
 *   1. copy the smallest sibling folder under providers/, rename;
 *   2. fill `struct ff_provider` and its `steps`; every field is explained below;
 *   3. name the table in providers/providers.c;
 *   4. feed its functions recorded answers in tests/unit/test_<name>_*.c; the tests of the tables run over it by
 * themselves.
 */
#ifndef FIXFLEET_PROVIDER_H
#define FIXFLEET_PROVIDER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/ask.h"
#include "fixfleet/err.h"
#include "fixfleet/json.h"
#include "fixfleet/keys.h"
#include "fixfleet/mem.h"

/* ---------------------------------------------------------------- opening */

/* The environment, handed in so that tests choose it. `get` gives NULL for unset AND for empty variables. */
struct ff_env {
	const char *(*get)(void *self, const char *name);
	void *self;
};

/* What the command line says about one --provider. Borrowed by open(), which copies what it keeps. */
struct ff_scope_options {
	const char *subscription; /* Azure; NULL: AZURE_SUBSCRIPTION_ID, or what the identity knows */
	struct ff_strv groups;	  /* Azure --rg; empty: the whole subscription */
	const char *cloud;	  /* Azure --azure-cloud; NULL: public */
	struct ff_strv rescues;	  /* --rescue names or ids; empty: by tag */
	bool allow_deallocate;	  /* --allow-deallocate: also where a dynamic public address would be lost */
	const char *profile;	  /* AWS --profile; NULL: AWS_PROFILE */
	const char *region;	  /* AWS --region: one scope a region; NULL: environment, config */
	bool asg_standby; /* AWS --asg standby: members of Auto Scaling groups go to Standby instead of being skipped */
	const char *project;	/* GCP --project */
	struct ff_strv zones;	/* GCP --zone; empty: all */
	bool discard_local_ssd; /* GCP --discard-local-ssd: stop VMs whose local SSDs lose their content */
	const char *csek_file;	/* GCP --csek-key-file */
	bool take_over;		/* --take-over: a claim of another run is no reason to leave a VM alone */
	const char *run;	/* the run that is gone on with: its own claims are none of another; NULL */
	bool no_backup;		/* --backup none: AWS and GCP take no snapshot */
	bool key_graph;		/* Azure --key-graph: recovery passwords may be asked of Microsoft Graph */
	bool claims;		/* a run is to be recovered: discovery reads claims, and disks that are away */
	bool preflight;		/* a repair is to follow: check permissions where the cloud tells them beforehand */
};

struct ff_cloud; /* one open scope of one provider; each provider defines its own */

/* ---------------------------------------------------------------- what discovery finds */

enum ff_health {
	FF_AFFECTED, /* evidence that it boot-loops: repaired by default */
	FF_SUSPECT,  /* neither sick nor well by the evidence: repaired with --all only */
	FF_HEALTHY,  /* evidence that it is well: repaired with --all only */
	FF_SKIPPED,  /* cannot or must not be repaired: `reason` says why. Never touched, whatever is asked */
};
const char *ff_health_name(enum ff_health health); /* "affected", "suspect", "healthy", "skipped" */

#define FF_SLOTS_MAX 256

/* A VM as discovery saw it. Owned by the ff_cloud. Texts are never NULL ("" is unknown) and not yet safe to print. */
struct ff_vm {
	char *id, *name;
	char *scope;		 /* resource group, region or project: what `list` prints as scope */
	char *region;		 /* as the cloud says it */
	char *zone;		 /* "" when regional */
	char *os;		 /* "windows", "linux", "" */
	char *state;		 /* "running", "stopped", ...: the cloud's own word in lower case */
	struct ff_strv evidence; /* one sentence each */
	struct ff_strv
		hazards; /* "word: sentence" each, e.g. "temp-disk: its content is lost when the VM is deallocated" */
	enum ff_health health;
	char *reason;			  /* of the health, one sentence */
	char *disk_id;			  /* OS disk */
	int64_t disk_bytes;		  /* 0 unknown */
	char *disk_encryption;		  /* "none", "platform", "customer", "ade", ...; the provider's short word */
	bool running;			  /* is to be started again at the end */
	json_t *tags;			  /* object of strings, for --tag and for finding rescue VMs; never NULL */
	bool rescue;			  /* asked for as rescue VM (by name or tag) and running */
	unsigned slots_max;		  /* rescue: data disk slots it has in all, at most FF_SLOTS_MAX */
	uint8_t slots_used[FF_SLOTS_MAX]; /* rescue: 1 where something is attached already */
	json_t *facts; /* the provider's recorded state: an object. Starts what the journal keeps; see ff_member.facts
			*/
};

/* ---------------------------------------------------------------- the flow */

/*
 * One VM in a request. `facts` is the VM's recorded state: it changes only by the patches that verdicts carry, each of
 * which is journaled, so that replaying the journal gives the same facts.
 */
struct ff_member {
	const struct ff_vm *vm;
	const json_t *facts;
	const struct ff_vm *rescue; /* NULL before one is assigned */
	const json_t *rescue_facts; /* shared by all members on that rescue VM; patched like facts */
	int slot;		    /* on the rescue VM; -1 before one is assigned */
	int step;		    /* the row it stands in */
	const char *run;	    /* the run's id: [a-z0-9-], at most 40 characters */
	const char *by;		    /* who runs it, "user@host", for the claim; NULL: not known */
	bool take_over;		    /* --take-over: another run's claim is replaced, whosever it is */
	const char *token; /* a UUID, journaled with the intent; new for every new intent, kept for its repeats */
};

/**
 * May the claim of that other run be replaced? With --take-over that of any; and always that of the run that a rollback
 * is about ("of" of the facts): it has ended, and what is to be seen of its claim lags behind or was left over.
 */
static inline bool ff_may_replace_claim(const struct ff_member *m, const char *run)
{
	return m->take_over || ff_streq(run, ff_json_str(m->facts, "of"));
}

/* What an answer means for one member. */
enum ff_meaning {
	FF_M_DONE,     /* the step's effect is there and confirmed as far as the step asks for */
	FF_M_NOT_DONE, /* (look) the effect is not there and it is safe to act */
	FF_M_STARTED,  /* (act) accepted: ask poll() until it is done; the facts patch says what to poll */
	FF_M_WAIT,     /* not yet: ask the same again after wait_ms (look, poll, or act where it is safe to repeat) */
	FF_M_LOOK, /* uncertain, or the facts changed under us (conflict, 412, fallback chosen): look, then decide again
		    */
	FF_M_SPLIT,  /* (act, group) refused as a whole, the culprit unknown: each member alone */
	FF_M_FAILED, /* class and text say why; the driver goes home with it */
};

struct ff_verdict {
	enum ff_meaning meaning;
	struct ff_err err; /* with FAILED, LOOK and SPLIT */
	unsigned wait_ms;  /* with WAIT, STARTED and a busy LOOK; 0: the driver's own back-off */
	bool busy;	   /* with LOOK (act, poll): nothing was done, another operation is under way there. That is no
			      uncertainty: it is looked, and acted, again and again until patience ends */
	bool away;	   /* of a look: the VM has not got its disk, though nothing of ours is to be done about it any
			      more. Should the row fail so, or its patience end, the VM is `stuck` */
	json_t *facts;	   /* patch (top-level merge, null removes), owned; NULL: none */
	json_t *rescue_facts; /* the same for the rescue VM; only member 0's counts */
};

enum ff_step_kind {
	FF_STEP_CLOUD,	/* act and look, as below */
	FF_STEP_REPAIR, /* the disk goes to the worker; act and look are NULL */
};

enum ff_step_flags {
	FF_LOOK_FIRST = 1 << 0, /* look before the first act too (the act needs fresh facts) */
	FF_LOOK_AFTER = 1 << 1, /* after act or poll said DONE, only look's DONE counts */
	FF_IF_RUNNING = 1 << 2, /* only for VMs that ran when they were found */
	FF_BEST_EFFORT =
		1 << 3, /* its failure does not change where the disk is: noted in the reason, the flow goes on */
	FF_HOLDS_DISK = 1 << 4, /* going home: while this has not succeeded the VM is without its OS disk: `stuck` */
	FF_KEY_FREE = 1 << 6,	/* the group's key is held for the request only, not for the operation that it starts */
	FF_REPAIRED_ONLY = 1 << 5, /* forward: only after the worker mended the disk */
	FF_PUTS_IN =
		1 << 7, /* forward: once it is done the VM has the disk that it keeps; nothing takes it away again */
	FF_TAKES_DOWN =
		1 << 8, /* the VM is not up from here on: before it nothing of the VM but its claim has changed */
};

#define FF_STEP_NONE (-1)

/* What is done to the VMs of a run: another order of rows of the same table. */
enum ff_flow {
	FF_FLOW_REPAIR,
	FF_FLOW_ROLLBACK, /* back to the disk that it had before a repair */
	FF_FLOW_CLEANUP,  /* what an earlier run left over is deleted */
	FF_FLOW_RECOVER,  /* a run whose folder is lost: its disks come home by what their tags say */
	FF_FLOW_COUNT
};
const char *ff_flow_name(enum ff_flow flow); /* "repair", "rollback", "cleanup"; "" */
/** The flow of that name; FF_FLOW_COUNT for NULL and for any other text. */
enum ff_flow ff_flow_from_name(const char *name);

/* One row. The driver's ladder for every row: [look] -> act -> [poll ...] -> [look] -> done; after a crash or an answer
 * that was lost: look, always. */
struct ff_step {
	const char *name;  /* as the journal prints it: "stop" */
	const char *doing; /* as the screen prints it: "stopping" */
	enum ff_step_kind kind;
	unsigned flags;
	unsigned group_max; /* how many members one act may carry; 0 and 1: alone */
	/**
	 * What members of one act have in common, e.g. the rescue VM's id. Rows with the same `act` and equal keys are
	 * gathered into one request, and the driver has at most one act in flight (operation included) for a key. NULL:
	 * alone. Borrowed; stays valid as long as the member.
	 */
	const char *(*group)(const struct ff_member *m);
	/**
	 * Fill the mutating request for n >= 1 members (ask->mutates is set by the driver). 0, or -1 with err: the
	 * members fail with it. NULL: a row that only looks (verify).
	 */
	int (*act)(struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err);
	/** What the answer to act means, one verdict a member. Called only with an answer or an unknown outcome
	 * (FF_T_BROKEN). */
	void (*acted)(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
		const struct ff_answer *answer, struct ff_verdict *v);
	/** The same for looking: reads only, one member. NULL only where act is safe to repeat at any time. */
	int (*look)(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err);
	void (*looked)(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
		const struct ff_answer *answer, struct ff_verdict *v);
	/**
	 * One look for many members, where one request can tell (DescribeInstances with a hundred ids). Used instead of
	 * look/looked when look_max > 1; members need only share the cloud and the row's `looks`.
	 */
	unsigned look_max;
	int (*looks)(
		struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err);
	void (*lookeds)(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
		const struct ff_answer *answer, struct ff_verdict *v);
	int undo;	     /* the row that takes its effect back, or FF_STEP_NONE */
	int64_t patience_ms; /* waits and repeats beyond this fail the step; 0: the driver's default of 15 minutes */
	/**
	 * Is the row meant for this VM (only members of an Auto Scaling group go to Standby; no snapshot when none is
	 * wanted)? false: it is passed over without a request, forward and on the way home. By recorded facts alone, so
	 * that a replay decides the same. NULL: always.
	 */
	bool (*applies)(const struct ff_member *m);
	/**
	 * A look (from its request's leaving) is good for so long: an act that would leave later, because it waited
	 * for its budget or was throttled, looks again instead. With FF_LOOK_FIRST, where nothing guards the act
	 * against what others did since. 0: for ever.
	 */
	int64_t fresh_ms;
};

/* What a cleanup deletes for good was looked at so shortly before: another may have put it in since. */
#define FF_DELETE_FRESH_MS 5000

/* Where the worker finds a member's disk, by what the cloud guarantees. */
struct ff_disk_place {
	struct ff_strv paths; /* candidates in order, relative to the device root: "disk/azure/scsi1/lun3" */
	char *serial;	      /* the device's serial must be this, where it can be read; NULL: none is promised */
	int64_t size_bytes;   /* the device must have exactly this size; 0: unknown */
};
void ff_disk_place_release(struct ff_disk_place *place);

/* What an answer says about budgets. */
struct ff_hint {
	int64_t retry_after_ms;	    /* -1: none said */
	int bucket;		    /* index into ask->costs that ran out; -1: all of them */
	int64_t left[FF_COSTS_MAX]; /* what the cloud says is left of each; -1: not said */
};

/* A thing that a run has left over. Texts are owned. */
struct ff_left {
	const char *kind; /* "disk", "snapshot", "volume" */
	char *name;
	int64_t size_bytes; /* 0: unknown */
};
void ff_left_release(struct ff_left *left);

/* A file of evidence: what can be seen of a VM from outside. */
struct ff_exhibit {
	const char *name; /* "console.txt", "screen.png"; static. NULL: the answer holds nothing to keep */
	char *bytes;	  /* owned */
	size_t len;
};
void ff_exhibit_release(struct ff_exhibit *exhibit); /* wipes */

enum ff_evidence {
	FF_EVIDENCE_NONE,   /* nothing (more) can be seen of it */
	FF_EVIDENCE_SIGNED, /* `ask` is filled: it goes out with the credentials */
	FF_EVIDENCE_PLAIN,  /* without them: its URL is a secret of its own */
};

/*
 * One turn of looking for a volume's key in its cloud. `vm`, `facts` and `want` say whose, `answer` what the last
 * question was answered (of any status; NULL at first); `ask`, `found` and `err` are filled as ff_key_source.look does.
 */
struct ff_key_turn {
	const struct ff_vm *vm;
	const json_t *facts;
	const struct ff_key_want *want;
	json_t *state; /* an object for the questions about this one volume, empty at first; the store's own. No key */
	const struct ff_answer *answer;
	int64_t wall_ms;
	struct ff_ask *ask;
	struct ff_keys *found;
	struct ff_err *err;
};

/*
 * Where a cloud keeps keys of its VMs' volumes, as a chain of questions: a token for whom the next one goes to, a
 * secret, the key that it is wrapped with. What err says is shown to the operator: never what an answer holds.
 */
struct ff_key_store {
	const char *name; /* as the operator knows it: "Azure Disk Encryption" */
	/** Is it asked for this VM's volumes at all? */
	bool (*serves)(const struct ff_cloud *cloud, const struct ff_vm *vm, const json_t *facts);
	enum ff_key_step (*look)(struct ff_cloud *cloud, struct ff_key_turn *turn);
};

enum ff_turn {
	FF_TURN_ASK,  /* `ask` is filled: send it */
	FF_TURN_WAIT, /* nothing to ask until an earlier answer has come */
	FF_TURN_DONE,
	FF_TURN_FAILED, /* err says why */
};

struct ff_provider {
	const char *name; /* "azure" */

	/** Check options and endpoints, choose nothing yet. NULL with err (FF_E_USAGE). close() takes NULL. */
	struct ff_cloud *(*open)(const struct ff_scope_options *options, const struct ff_env *env, struct ff_err *err);
	void (*close)(struct ff_cloud *cloud);
	/** "azure subscription 0000…, resource group prod", for people. Borrowed. */
	const char *(*title)(const struct ff_cloud *cloud);
	/**
	 * Whose resources these are, as one word: Azure the subscription, AWS "ACCOUNT/REGION", GCP the project; NULL
	 * while it is not known; a part that is not known is empty ("/us-east-1"). A run is gone on with only where it
	 * was begun: a part that was known and is not now is waited for, one that never was is not compared. Borrowed.
	 * The slot may be NULL: nothing is compared.
	 */
	const char *(*account)(const struct ff_cloud *cloud);

	/*
	 * Identity. Called until DONE or FAILED, again when login_renew_at() has come or a 401 was seen (login_reset()
	 * first). Sources are tried in the SDKs' order; a source that is not configured is passed over, one that is
	 * configured and refused ends it. FAILED's err is FF_E_AUTH and says which sources were tried, or FF_E_USAGE: a
	 * setting in a file that was read is no good.
	 */
	enum ff_turn (*login_next)(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err);
	void (*login_read)(
		struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask, const struct ff_answer *answer);
	void (*login_reset)(struct ff_cloud *cloud);
	int64_t (*login_renew_at)(const struct ff_cloud *cloud); /* wall_ms */
	const char *(*login_name)(const struct ff_cloud *cloud); /* "client secret (AZURE_CLIENT_SECRET)"; borrowed */

	/** Put the credentials on an ask, just before it leaves. FF_E_BUG when its host is not the cloud's own. */
	int (*sign)(struct ff_cloud *cloud, int64_t wall_ms, struct ff_ask *ask, struct ff_err *err);

	/**
	 * The one place that says what class an answer is: FF_E_NONE for success. `err` (not NULL) gets class and
	 * sentence, with the cloud's request id; `hint` (not NULL) what it says of budgets, also on success. FF_E_AUTH:
	 * log in again, once.
	 */
	enum ff_class (*judge)(const struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
		const struct ff_answer *answer, struct ff_hint *hint, struct ff_err *err);

	/*
	 * Discovery. discover_next() is called until WAIT or DONE; several asks may be out at once; each final answer
	 * (retries are done) is given to discover_read() with its ask. DONE: vms() is complete.
	 */
	enum ff_turn (*discover_next)(struct ff_cloud *cloud, struct ff_ask *ask, struct ff_err *err);
	int (*discover_read)(struct ff_cloud *cloud, int64_t wall_ms, const struct ff_ask *ask,
		const struct ff_answer *answer, struct ff_err *err);
	size_t (*vms)(const struct ff_cloud *cloud, struct ff_vm ***vms); /* borrowed */
	/** Notes of discovery for the operator ("locks could not be read: ..."). Borrowed. */
	const struct ff_strv *(*notes)(const struct ff_cloud *cloud);

	/**
	 * Evidence to keep (--evidence): console output, screen. Called with n = 0, 1, ... each time the answer before
	 * was read, until it says NONE. All asks are secret: what is on a screen is nobody's but the operator's.
	 * @state  an object for the questions about this one VM, empty at first; the provider's own
	 * NULL: this cloud shows nothing.
	 */
	enum ff_evidence (*evidence_ask)(
		struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask);
	/** Read a successful answer to question n: fill `out`, or `state` with what the next question needs. 0, or -1
	 * with err. */
	int (*evidence_read)(
		const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err);

	/** May `rescue` take this VM's disk (region, zone, ...)? 0, or -1 with the reason. */
	int (*fits)(const struct ff_vm *vm, const struct ff_vm *rescue, struct ff_err *err);

	const struct ff_step *steps; /* the rows, indexed by the provider's own step numbers */
	size_t step_count;
	const int *forward; /* the order of a repair; ends with FF_STEP_NONE */
	/* The same of a rollback and of a cleanup: no row of them repairs, so they need no rescue VM. NULL: not
	 * offered. */
	const int *rollback, *cleanup, *recover;
	/**
	 * Make the facts that such a flow begins with, of the VM as it was found now and of what an earlier run of the
	 * id `run` recorded of it (`past`: its facts at the run's end; `rolled_back`: that run was a rollback).
	 * @left  (may be NULL) cleanup: what is to be deleted
	 * Recover: `past` is NULL; the VM's own facts hold "claim" {run, was}, which discovery fills under
	 * ff_scope_options.claims. Where it also has the sentence "lacks", the claim does not tell enough: NULL with
	 * it, and by_hand() on those facts may have commands for the operator.
	 * @return  facts (owned), or NULL with err: why there is nothing to do, or nothing that may be done
	 */
	json_t *(*recall)(const struct ff_cloud *cloud, const struct ff_vm *vm, enum ff_flow flow, const char *run,
		bool rolled_back, const json_t *past, struct ff_left *left, struct ff_err *err);
	/** Where the operation that act started stands. Same rules as act/acted; one poll for all members of the act.
	 */
	int (*poll)(
		struct ff_cloud *cloud, const struct ff_member *m, size_t n, struct ff_ask *ask, struct ff_err *err);
	void (*polled)(struct ff_cloud *cloud, const struct ff_member *m, size_t n, int64_t wall_ms,
		const struct ff_answer *answer, struct ff_verdict *v);

	/** Where the worker finds the disk. 0, or -1 with err. */
	int (*place)(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_disk_place *place,
		struct ff_err *err);
	/** Append one line: which disk is where now ("OS disk 'x' on the VM; copy 'y' on 'rescue-1', LUN 3"). */
	void (*where)(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_buf *text);
	/**
	 * Append the commands of the cloud's own command-line tool, one a text and in order, that bring the disk home
	 * and start the VM if it ran: for the operator, when the cloud did not let us. Names are quoted for a shell.
	 * NULL: the cloud has no such tool.
	 */
	void (*by_hand)(const struct ff_cloud *cloud, const struct ff_member *m, struct ff_strv *commands);

	/* Where else keys of its VMs are, asked in this order, before --key-secret; ended by one without a name. NULL:
	 * nowhere. */
	const struct ff_key_store *key_stores;

	/*
	 * The cloud's secret store, for --key-secret. Both may be NULL: there is none that this program asks.
	 *
	 * secret_ask: fill the (signed) question for the secret of that name. -1 with FF_E_USAGE when it cannot be a
	 * name. secret_read: 1: `*bytes` is what stands there, owned, to be wiped; 0: there is no such secret; -1 with
	 * err. The answer is of any status.
	 */
	int (*secret_ask)(struct ff_cloud *cloud, const char *name, struct ff_ask *ask, struct ff_err *err);
	int (*secret_read)(
		struct ff_cloud *cloud, const struct ff_answer *answer, char **bytes, size_t *len, struct ff_err *err);
};

/** All providers, ended by NULL; and by name (NULL when there is none of that name). */
extern const struct ff_provider *const ff_providers[];
const struct ff_provider *ff_provider_by_name(const char *name);
/** The provider's rows for that flow; NULL when it does not offer it. */
const int *ff_provider_order(const struct ff_provider *provider, enum ff_flow flow);

#endif
