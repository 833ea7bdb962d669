/*
 * A world in virtual time for the engine and the providers exactly as they ship: cloudsim's model called in process, a
 * worker on every rescue VM that speaks the worker's lines, a journal in memory. One seed decides everything: the same
 * calls give the same story to the last random bit. Nothing here sleeps, opens a socket or a file.
 *
 *   vw_new -> vw_disk (each image of the scenario) -> vw_open (the clouds) -> vw_host_new -> vw_host_begin
 *   -> vw_run_until / vw_step -> ... -> vw_free
 *
 * A "host" is an operator's machine: it runs one engine, and holds its journal. There may be several over the same
 * clouds. Time is one int64_t of milliseconds since 1970, the clouds' time; a host's monotonic clock counts from the
 * begin of the world.
 */
#ifndef TESTS_SIM_VW_H
#define TESTS_SIM_VW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "engine/table.h"

#include "fixfleet/engine.h"
#include "fixfleet/later.h"
#include "fixfleet/lost.h"
#include "fixfleet/mem.h"
#include "fixfleet/world.h"

#define VW_BASE	     "https://cloud.sim"    /* all clouds are there; who a request is for shows its path */
#define VW_BEGAN     INT64_C(1721368800000) /* 2024-07-19T06:00:00Z */
#define VW_HOSTS_MAX 6 /* two operators of a repair, and of each of two things that come after it */

struct vw;
struct vw_host;

/* ---------------------------------------------------------------- time (events.c) */

struct vw_event {
	int64_t at_ms;
	uint64_t order; /* equal times: first come, first served */
	void (*run)(struct vw *vw, struct vw_event *event);
	void (*free)(struct vw_event *event); /* also after run() */
};

struct vw_events {
	struct vw_event **heap;
	size_t count, room;
	uint64_t order;
};
void vw_event_add(struct vw *vw, struct vw_event *event, int64_t at_ms);
struct vw_event *vw_event_take(struct vw *vw);
void vw_events_free(struct vw *vw);

/* ---------------------------------------------------------------- disks (disks.c) */

/* What is on a disk. A copy is made of its source's content as it was at that moment. */
struct vw_disk {
	char *origin;	 /* the VM whose OS disk it was at first, "azure:web-1" */
	bool bad;	 /* a machine that boots from it crashes */
	bool unreadable; /* the worker finds no Windows on it */
	bool half;	 /* a repair was begun and not ended: nobody knows what is on it */
	unsigned files;	 /* bad files on it */
	unsigned mends;	 /* how often the worker wrote to it */
	int64_t bytes;
};

/** The disk behind an image's name; NULL. Borrowed. */
struct vw_disk *vw_disk_of(const struct vw *vw, const char *image);
/** A disk of the scenario, before vw_open(). */
struct vw_disk *vw_disk_add(struct vw *vw, const char *image, const char *origin, bool bad, int64_t bytes);
/** The image that is seen on that rescue VM at one of the paths; NULL: none (yet). Borrowed. */
const char *vw_image_at(const struct vw *vw, const char *rescue, const json_t *paths);

/* ---------------------------------------------------------------- the worker (worker.c) */

/* How long things take on a rescue VM, and what goes wrong there. */
struct vw_worker_times {
	int64_t appliance_ms; /* until an appliance is up: 12 s measured without KVM */
	int64_t disk_ms;      /* for each disk in it */
	int64_t close_ms;
	unsigned disks_max; /* in one appliance */
};

struct vw_worker;
void vw_worker_hear(struct vw_host *host, const char *rescue, const json_t *line);
void vw_worker_kill(struct vw_host *host, const char *rescue, const char *why);
/** All of them end, and nobody hears of it. */
void vw_workers_stop(struct vw_host *host);
void vw_workers_free(struct vw_host *host);

/* ---------------------------------------------------------------- faults (faults.c) */

enum vw_fault_kind {
	VW_F_THROTTLED, /* without Retry-After */
	VW_F_RETRY_AFTER,
	VW_F_SERVER_ERROR,
	VW_F_UNAUTHORIZED,
	VW_F_RESET_BEFORE,
	VW_F_RESET_AFTER,
	VW_F_TRUNCATED,
	VW_F_GARBLED,
	VW_F_LATE,
	VW_F_OP_FAILS,
	VW_F_OP_HANGS,
	VW_F_REQUESTS,		      /* those above meet a request */
	VW_F_OP_LATE = VW_F_REQUESTS, /* every other one that would hang ends after all */
	VW_F_DIES_BEFORE,	      /* the machine that sent it is gone: it has not arrived */
	VW_F_DIES_AFTER,	      /* the process is: the answer finds nobody, and what it has appended stays */
	VW_F_MENDED,		   /* just before it arrives somebody mends the first VM by hand, and starts it again */
	VW_F_EXACT,		   /* those above can be asked for at a request */
	VW_F_REVOKED = VW_F_EXACT, /* a permission, from some moment on */
	VW_F_WORKER_DIES,
	VW_F_WORKER_HANGS,
	VW_F_WORKER_GARBAGE,
	VW_F_WORKER_UNABLE,
	VW_F_DISK_UNREADABLE,
	VW_F_WRONG_DISK,
	VW_F_JOURNAL_FULL,
	VW_F_SYNC_FAILS,
	VW_F_TORN_TAIL,
	VW_F_CLOCK_JUMP,
	VW_F_CRASH,
	VW_F_LOST, /* and its folder with it */
	VW_F_INTERRUPT,
	VW_F_OPERATOR, /* a second one */
	VW_F_HUMAN,
	VW_F_COUNT
};
extern const char *const vw_fault_names[VW_F_COUNT];

struct vw_faults {
	unsigned permille;	  /* of requests that meet one */
	unsigned worker_permille; /* of the worker's moments */
	unsigned left;		  /* so many are still to come, of both */
	const char *revoked;	  /* glob over "METHOD path body": refused from revoked_ms on; NULL: none */
	int64_t revoked_ms, restored_ms;
	/* exactly these requests, by their number from 1 (0: none), meet that: for what is tried exhaustively */
	struct {
		uint64_t number;
		enum vw_fault_kind kind;
	} exact[2];
	uint64_t counts[VW_F_COUNT];
	char *refused;	    /* the request whose token was refused last; owned */
	bool refused_twice; /* one request's was two times in a row */
};
struct vw_exchange;
/** Before the cloud has it: make the model's fault for it. `host` has sent it; NULL: it died since. */
void vw_strike(struct vw *vw, struct vw_host *host, const struct sim_request *request, bool mutates);
/** And after: the model forgets it; the answer is garbled. */
void vw_spoil(struct vw *vw, struct sim_answer *answer);
/** Does it happen now, at a moment of the worker? Counted. */
bool vw_worker_fault(struct vw *vw, enum vw_fault_kind kind);

/* ---------------------------------------------------------------- requests (cloud.c) */

struct vw_exchange;
/** Forget what waits for a connection: its host is gone. */
void vw_lines_drop(struct vw_host *host);
void vw_send(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg);

/* ---------------------------------------------------------------- hosts and the whole (vw.c) */

/* What a host's run is asked for. Borrowed for the call. */
struct vw_run {
	const char *run;
	bool azure, aws, gcp;		    /* which scopes */
	const struct ff_strv *azure_groups; /* NULL: the whole subscription */
	unsigned parallel, canary, max_failures, max_failures_percent;
	bool no_backup;
	enum ff_flow flow; /* FF_FLOW_RECOVER: the run of that id is dead, and its folder is lost */
	/* a rollback or a cleanup: of that run, of which VM n is meant where bit n % 64 is set */
	const struct ff_past *past;
	uint64_t meant;
};

struct vw_host {
	struct vw *vw;
	struct ff_world world;
	struct ff_engine *engine; /* NULL: it does not run */
	char *run;
	unsigned life; /* counts engines: answers for an earlier one are dropped */
	unsigned number;
	int64_t wake_ms, skew_ms; /* wake: mono; skew: of its wall clock */
	bool dirty;		  /* something was delivered: turn it */
	struct ff_buf journal;
	size_t synced; /* bytes of it that survive a crash */
	uint64_t records, syncs, sends;
	struct ff_table unheard; /* changes whose answer was lost, until something was read */
	struct ff_table workers;
	struct vw_line {
		unsigned out;
		struct vw_exchange *first, *last;
	} lines[SIM_PARTS_MAX][2]; /* for connections, as the runtime has them; [1]: answers that are held back */
	json_t *recipes;
	enum ff_flow flow; /* these three of the vw_run */
	const struct ff_past *past;
	uint64_t meant;
	struct ff_later later;
	struct ff_lost lost;
	/* where this machine breaks: at the n-th of its sends, appends, syncs, counted over all its lives; 0: not */
	struct vw_break {
		uint64_t send_before, send_after, append_before, append_after, sync_before, sync_after;
	} crash;
	uint64_t append_fails, sync_fails; /* from that one on, until the engine is ended */
	uint64_t appends;
	bool crashed; /* nothing that the engine does has an effect any more */
	bool killed;  /* only the process: what it has appended stays, though nobody made it durable */
	bool journal_broken;
	struct ff_buf fault_text; /* what it did wrong; empty: nothing */
};

struct vw {
	int64_t now_ms;
	uint64_t random;
	struct sim *sim;
	struct vw_events events;
	struct ff_table disks, places; /* image -> disk; "rescue path" -> image (owned text) */
	unsigned images;
	struct vw_host *hosts[VW_HOSTS_MAX];
	size_t host_count;
	struct vw_worker_times times;
	struct vw_faults faults;
	struct sim_fault fault; /* for the request that arrives */
	bool garble;
	/* told of every change that leaves a host; NULL: nobody */
	void (*leaves)(struct vw_host *host, const char *cloud, const struct ff_ask *ask);
	void *incident; /* whose it is */
	/* told of each request that arrives, before a fault may meet it; `host` as in vw_strike(); NULL: nobody */
	void (*at_request)(struct vw *vw, const struct vw_host *host, bool mutates);
	/* is there something to be mended by hand on the first VM? and that */
	bool (*to_mend)(struct vw *vw);
	void (*mend)(struct vw *vw);
	int64_t rtt_ms; /* of a request, give or take a quarter */
	uint64_t requests, arrived, mutations, turns;
	uint64_t calls[SIM_PARTS_MAX]; /* to each cloud, in the scenario's order */
	bool trace;
	void (*in_model)(bool in); /* told when the model is entered and left, for who counts; NULL: nobody */
};
/** Around every call into the model. */
void vw_meter_in(struct vw *vw);
void vw_meter_out(struct vw *vw);

struct vw *vw_new(uint64_t seed);
/** Make the clouds of the scenario. -1 with err: it is no good. */
int vw_open(struct vw *vw, const json_t *scenario, struct ff_err *err);
void vw_free(struct vw *vw);
uint64_t vw_random(struct vw *vw);
/** In [low, high]. */
int64_t vw_between(struct vw *vw, int64_t low, int64_t high);

struct vw_host *vw_host_new(struct vw *vw);
/** Start an engine with the scopes of `run`; it begins to find at once. */
int vw_host_begin(struct vw_host *host, const struct vw_run *run, struct ff_err *err);
/**
 * Repair all that is affected, as `fixfleet --yes` does; or take back or clean up after what is meant of the run of
 * before; or bring a lost run home. Only in FF_PHASE_FOUND. 0; 1: there is nothing to do of these; -1 with err.
 */
int vw_host_repair(struct vw_host *host, struct ff_err *err);
void vw_host_end(struct vw_host *host);
/** It dies: the engine is gone, the journal is what was durable, and up to `torn` bytes of what was not. */
void vw_host_crash(struct vw_host *host, bool torn);
/** After that: its folder is gone, too. */
void vw_host_lose(struct vw_host *host);
/** In FF_PHASE_FOUND: go on with the journal, or as vw_host_repair() where nothing was begun. */
int vw_host_go_on(struct vw_host *host, struct ff_err *err);
/** Everything that happens at the next moment. false: nothing will ever happen again. */
bool vw_step(struct vw *vw);
/** Step until the host is in that phase. -1 with err: nothing goes on, or it takes more than `limit_ms`. */
int vw_run_until(struct vw_host *host, enum ff_phase phase, int64_t limit_ms, struct ff_err *err);

#endif
