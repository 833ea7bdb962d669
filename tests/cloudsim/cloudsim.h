/*
 * cloudsim: a model of the clouds' compute APIs.
 *
 * The model is pure: a request goes in, an answer and effects come out. It opens no file or socket, reads no clock,
 * has no thread, and draws its random numbers from the scenario's seed, so that the same requests at the same times
 * give the same answers. Behind server.c it is a real HTTPS server whose disks are real image files; called in process
 * under virtual time it is the world of simulation tests.
 *
 * Times are milliseconds since 1970 (wall time of the simulated clouds) and come from the caller; they never go back.
 * A long-running operation takes effect when its latency has passed: sim_answer() and sim_advance() carry out what is
 * due, in the order of the times.
 */
#ifndef CLOUDSIM_H
#define CLOUDSIM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/ask.h"
#include "fixfleet/err.h"

struct sim;

/* What a scenario has when it does not say otherwise. */
#define SIM_AZURE_SUBSCRIPTION "00000000-0000-4000-8000-000000000001"
#define SIM_AZURE_TENANT       "00000000-0000-4000-8000-00000000000a"
#define SIM_AZURE_CLIENT       "00000000-0000-4000-8000-00000000000b"

/* AWS's own examples of a key, in no way secret. */
#define SIM_AWS_REGION "us-east-1"
#define SIM_AWS_KEY    "AKIAIOSFODNN7EXAMPLE"
#define SIM_AWS_SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

/* What the model asks of its surroundings. */
struct sim_hooks {
	/**
	 * Would a machine that boots from this image crash? 1 yes, 0 no, -1 it cannot be read (counts as yes: such a
	 * machine does not come up). Asked when a VM is made and each time one starts. NULL: the disk's `bad` flag.
	 */
	int (*image_is_bad)(void *arg, const char *image);
	/** Name of the image file for a new disk, owned by the caller. NULL: new disks have no image. */
	char *(*image_name)(void *arg, const char *disk_id, unsigned number);
	void *arg;
};

/**
 * Make the world of a scenario (see README.md for its members).
 * @scenario  checked strictly; borrowed
 * @now_ms    the time it begins; machines that run have been running for a day
 * @hooks     copied; NULL for none (in process)
 * @return    NULL with err (FF_E_USAGE) naming the member that is wrong
 */
struct sim *sim_new(const json_t *scenario, int64_t now_ms, const struct sim_hooks *hooks, struct ff_err *err);
void sim_free(struct sim *sim); /* NULL is fine */

struct sim_request {
	const char *method;	   /* "GET" */
	const char *base;	   /* "https://127.0.0.1:8443", for absolute links in answers */
	const char *target;	   /* path and query, as on the wire */
	struct ff_headers headers; /* as on the wire */
	const char *body;	   /* may be NULL when body_len is 0; need not be NUL-terminated */
	size_t body_len;
	const char *run; /* whose it is, for what must never happen; NULL: that is not known */
};

enum sim_end {
	SIM_ANSWERED,
	SIM_RESET,     /* no answer: the connection is to be reset */
	SIM_TRUNCATED, /* the body is to be cut in the middle, then the connection closed */
};

struct sim_answer {
	enum sim_end end;
	int status;
	struct ff_headers headers;
	char *body; /* owned; NULL when empty */
	size_t body_len;
	int64_t hold_ms; /* the answer leaves so much later: a fault's hang, or a call that waits for an operation */
};
void sim_answer_release(struct sim_answer *answer);

/** Answer one request at `now_ms`. Any bytes are fine: nonsense gets the answer that the cloud gives to nonsense. */
void sim_answer(struct sim *sim, int64_t now_ms, const struct sim_request *request, struct sim_answer *answer);

/**
 * An answer that was held leaves now: where the cloud waited for something, it tells how that stands. Before or after
 * other requests, at most once for each answer.
 */
void sim_answer_leaves(struct sim *sim, int64_t now_ms, const struct sim_request *request, struct sim_answer *answer);

/** Carry out everything that is due until `now_ms`. An earlier time than the last is taken as the last. */
void sim_advance(struct sim *sim, int64_t now_ms);

/** When the next operation or effect is due; INT64_MAX when nothing is under way. */
int64_t sim_next_ms(const struct sim *sim);

/* What has to happen to real files. Ignored in process. */
enum sim_effect_kind {
	SIM_COPY_IMAGE,	  /* `from` to `image`, keeping holes */
	SIM_DELETE_IMAGE, /* `image` (never one of the scenario's own) */
	SIM_LINK,	  /* `image` appears on rescue VM `vm`: at `link`, else as Azure's data disk `lun` */
	SIM_UNLINK,	  /* it vanishes there */
};
struct sim_effect {
	enum sim_effect_kind kind;
	char *from, *image, *vm;
	int lun;
	char *link; /* path below the VM's dev root; NULL: by `lun` */
};

/** Take the effects that are due, in order. NULL and 0 when there are none; else free with sim_effects_free(). */
struct sim_effect *sim_take_effects(struct sim *sim, size_t *count);
void sim_effects_free(struct sim_effect *effects, size_t count);

/**
 * All of the model that a test may want to know: {"now","azure":{"vms":[...],"disks":[...]},"operations":[...],
 * "requests":{kind: count},"violations":[texts]}. A new reference.
 */
json_t *sim_state(const struct sim *sim);

/**
 * A human acting by hand, at once and without asking anybody:
 * {"op":"start"|"stop"|"detach"|"touch-tags"|"demand"|"age","vm":NAME, "disk":NAME (detach; without it all data
 * disks),"tags":{...} (touch-tags; null removes a tag)}. "cloud":"azure" says in which; without it the first cloud that
 * has such a VM. 0, or -1 with err (FF_E_USAGE).
 */
int sim_human(struct sim *sim, int64_t now_ms, const json_t *act, struct ff_err *err);

/** In process: the disk of that name is bad from now on, or no longer. -1 when there is none. */
int sim_set_bad(struct sim *sim, const char *disk_name, bool bad);

/** The exchange as one line (with its newline) of recorded traffic; status 0 when no answer went out. Caller frees. */
char *sim_traffic_line(
	const struct sim *sim, int64_t now_ms, const struct sim_request *request, const struct sim_answer *answer);

#endif
