/*
 * Inside the model: what all clouds share. A cloud is a table of functions; azure_*.c is the first.
 */
#ifndef CLOUDSIM_MODEL_H
#define CLOUDSIM_MODEL_H

#include "cloudsim.h"

#include "fixfleet/json.h"
#include "fixfleet/mem.h"

#define SIM_UUID_BYTES 37
/* So long after its start whoever stops a machine that boots well can have seen the start. */
#define SIM_SEEN_MS 20000

struct sim_op;
struct sim_fault;

struct sim_cloud {
	const char *name; /* "azure"; also the scenario's member and the traffic's provider */
	/** Read the cloud's part of the scenario. NULL with err. */
	void *(*open)(struct sim *sim, const json_t *part, struct ff_err *err);
	void (*close)(void *self);
	/** Is this request for this cloud? Asked when a scenario has several; NULL: for all that no other one wants. */
	bool (*serves)(const struct sim_request *request);
	void (*answer)(struct sim *sim, void *self, const struct sim_request *request, struct sim_answer *answer);
	/** A held answer leaves: bring it up to date. NULL: it stays as it is. */
	void (*leave)(struct sim *sim, void *self, const struct sim_request *request, struct sim_answer *answer);
	/** The answer of a fault that only has a status, in the cloud's own form. */
	void (*refuse)(void *self, const struct sim_fault *fault, struct sim_answer *answer);
	/** An operation's time has come: carry out its effect. It may fail with sim_op_fail(). */
	void (*finish)(struct sim *sim, void *self, struct sim_op *op);
	/** An operation failed or was preempted before its effect: free what was reserved for it. */
	void (*abandon)(struct sim *sim, void *self, struct sim_op *op);
	/** The operation is forgotten with the model: free op->job. */
	void (*free_job)(void *job);
	json_t *(*state)(const struct sim *sim, const void *self);
	int (*human)(struct sim *sim, void *self, const json_t *act, struct ff_err *err);
	int (*set_bad)(void *self, const char *disk_name, bool bad);
};
extern const struct sim_cloud sim_azure, sim_aws, sim_gcp;

/* A cloud of the scenario. */
struct sim_part {
	const struct sim_cloud *cloud;
	void *self;
};
#define SIM_PARTS_MAX 3

/* ---- operations (ops.c) */

enum sim_op_state { SIM_OP_RUNNING, SIM_OP_SUCCEEDED, SIM_OP_FAILED };

struct sim_op {
	char id[SIM_UUID_BYTES];
	const char *kind; /* "powerOff"; static */
	enum sim_op_state state;
	int64_t began_ms, due_ms, ended_ms; /* due INT64_MAX: it hangs */
	char *code, *message;		    /* of the failure, or what a fault makes of it when due */
	int status;			    /* HTTP status of the failure, for a monitor that reports by status */
	unsigned polls;			    /* how often it was asked for */
	void *job;			    /* the cloud's own */
	void *self;			    /* the cloud */
	const struct sim_cloud *cloud;
};

/** Begin an operation that is due after `latency_ms`, unless the request's fault makes it fail or hang. Borrowed. */
struct sim_op *sim_op_begin(
	struct sim *sim, const struct sim_cloud *cloud, void *self, const char *kind, int64_t latency_ms, void *job);
/** The operation of that id, any case; NULL. */
struct sim_op *sim_op_find(const struct sim *sim, const char *id);
/** From finish(), or from outside to preempt a running one: it ends now, failed. `code` and `message` are copied. */
void sim_op_fail(struct sim *sim, struct sim_op *op, int status, const char *code, const char *message);
void sim_ops_free(struct sim *sim);
json_t *sim_ops_state(const struct sim *sim);

/* ---- faults (faults.c) */

enum sim_fault_kind {
	SIM_F_STATUS,
	SIM_F_RESET_BEFORE,
	SIM_F_RESET_AFTER,
	SIM_F_HANG,
	SIM_F_TRUNCATE,
	SIM_F_OP_FAILS,
	SIM_F_OP_HANGS,
	SIM_F_OP_LATE
};

struct sim_fault {
	char *method, *path, *body; /* NULL: any; globs without case */
	int64_t nth, from, every, times;
	int64_t seen, done;
	enum sim_fault_kind kind;
	int status;
	int64_t retry_after_s, hang_ms; /* -1: none */
	char *code, *message;
};

int sim_faults_read(struct sim *sim, const json_t *faults, struct ff_err *err);
/** The fault that strikes this request, or NULL. Counts. */
const struct sim_fault *sim_fault_match(struct sim *sim, const struct sim_request *request);
void sim_faults_free(struct sim *sim);

/* ---- token buckets (buckets.c) */

struct sim_bucket {
	char *key;
	double capacity, per_ms, tokens;
	int64_t at_ms;	       /* when `tokens` was right */
	int64_t refused_ms;    /* when it last refused; -1 */
	int64_t refused_until; /* what that answer's Retry-After asked for */
};

/**
 * The bucket of that key, made full at its first use. Borrowed until the next call.
 */
struct sim_bucket *sim_bucket(struct sim *sim, const char *key, double capacity, double per_minute);
/** Tokens now in it. */
double sim_bucket_left(const struct sim *sim, struct sim_bucket *b);
/**
 * 0 when a token may be taken, else the milliseconds of Retry-After. Asking again earlier than that restarts the wait,
 * as Azure's does, and is a violation of the client, unless the request can have been on its way already.
 */
int64_t sim_bucket_refuse(struct sim *sim, struct sim_bucket *b);
void sim_bucket_take(struct sim *sim, struct sim_bucket *b);
/** A fault refuses this request with a Retry-After; the next like it may not come earlier. */
void sim_note_refusal(struct sim *sim, const struct sim_request *request, int64_t wait_ms);
/** Every request comes by here: is it one that should still be waiting? */
void sim_note_request(struct sim *sim, const struct sim_request *request);
void sim_buckets_free(struct sim *sim);

/* ---- the model itself (model.c) */

struct sim_timed_effect {
	int64_t due_ms;
	struct sim_effect effect;
};

struct sim {
	int64_t now_ms, began_ms;
	uint64_t random;
	double scale; /* durations of the scenario are divided by it */
	struct sim_hooks hooks;
	struct sim_part parts[SIM_PARTS_MAX]; /* at least one */
	size_t part_count;

	struct sim_op **ops;
	size_t op_count;
	struct sim_op **open; /* those still running */
	size_t open_count;
	json_t *op_index;

	struct sim_fault *faults;
	size_t fault_count;
	const struct sim_fault *op_fault; /* for the operation that the present request begins */

	struct sim_bucket *buckets;
	size_t bucket_count;
	json_t *bucket_index;

	struct sim_timed_effect *effects;
	size_t effect_count;

	json_t *requests;   /* kind -> count */
	json_t *violations; /* texts */
};

uint64_t sim_random(struct sim *sim);
/** A random UUID, version 4. */
void sim_uuid(struct sim *sim, char out[SIM_UUID_BYTES]);
/** A duration of the scenario in the time of the model. */
int64_t sim_scaled(const struct sim *sim, int64_t ms);
/** Seconds for a Retry-After header: at least 1, or 0 for none. */
int64_t sim_scaled_s(const struct sim *sim, int64_t seconds);
void sim_violation(struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sim_count_request(struct sim *sim, const char *kind);
/** Texts are copied and may be NULL. */
void sim_effect(struct sim *sim, int64_t delay_ms, enum sim_effect_kind kind, const char *from, const char *image,
	const char *vm, int lun);
/** SIM_LINK or SIM_UNLINK by a path below the VM's dev root ("disk/by-id/..."). Texts are copied. */
void sim_effect_link(struct sim *sim, int64_t delay_ms, enum sim_effect_kind kind, const char *image, const char *vm,
	const char *link);
/** The cloud that the request is for. Borrowed. */
const struct sim_part *sim_part_of(const struct sim *sim, const struct sim_request *request);

/* An index from texts (any case) to numbers: a JSON object as hash table. */
void sim_index_put(json_t *index, const char *key, size_t number);
void sim_index_drop(json_t *index, const char *key);
bool sim_index_get(const json_t *index, const char *key, size_t *number);

/** "2024-07-19T06:01:00.1230000+00:00", as Azure writes times. */
#define SIM_TIME_BYTES 40
const char *sim_time(int64_t ms, char out[SIM_TIME_BYTES]);

/* ---- as things come over the wire (pairs.c) */

/** Decode %XX (and + in a query); bytes that are no text, such as NUL, end it. The caller frees. */
char *sim_decode(const char *text, size_t len, bool query);
/** Append the pairs of a query or form, decoded. */
void sim_read_pairs(const char *text, struct ff_headers *pairs);

/* ---- reading a scenario strictly (scenario.c) */

/** All members of `object` are in `names` (NULL-terminated)? Else -1, saying which one is not and where. */
int sim_only(const json_t *object, const char *where, const char *const *names, struct ff_err *err);
/** Optional members of the right type: *out is untouched when absent. Texts are borrowed from the JSON. */
int sim_text(const json_t *object, const char *where, const char *name, const char **out, struct ff_err *err);
int sim_int(const json_t *object, const char *where, const char *name, int64_t min, int64_t max, int64_t *out,
	struct ff_err *err);
int sim_bool(const json_t *object, const char *where, const char *name, bool *out, struct ff_err *err);
/** One of the words, by its index. */
int sim_word(const json_t *object, const char *where, const char *name, const char *const *words, int *out,
	struct ff_err *err);
/** Object of texts; a copy, never NULL after success. */
int sim_tags(const json_t *object, const char *where, const char *name, json_t **out, struct ff_err *err);
/** The array there (borrowed), or *out NULL when absent. */
int sim_array(const json_t *object, const char *where, const char *name, const json_t **out, struct ff_err *err);
int sim_object(const json_t *object, const char *where, const char *name, const json_t **out, struct ff_err *err);

#endif
