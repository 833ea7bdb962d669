/*
 * A world for the engine, in virtual time: the toy cloud of the unit tests does what it is asked at once, the worker
 * says what the target says.
 */
#ifndef FUZZ_TOY_H
#define FUZZ_TOY_H

#include "fixfleet/engine.h"
#include "fuzz.h"
#include "tests/unit/test_engine_toy.h"

struct fuzz_toy {
	struct ff_world world;
	struct ff_engine *engine;
	struct ff_cloud *cloud;
	int64_t now_ms, wake_ms;
	uint64_t seed;
	struct ff_buf journal;
	size_t synced;
	unsigned sends, kept; /* "kept" lines that the worker was told */
	struct ff_strv says;  /* lines of the good worker that are not heard yet */
	bool hello, killed; /* the good worker said hello; the worker was ended, and the engine does not know it yet */
	struct fuzz_toy_answer *head, **tail;
	struct toy_state vms[2]; /* "a" and "b" */
	/** The engine told the worker of rescue VM "r1" something. May be NULL. */
	void (*on_worker)(struct fuzz_toy *t, const json_t *line);
	void *arg;
};

/** An engine with a toy cloud: VMs "a" and "b", a rescue VM "r1". */
void fuzz_toy_open(struct fuzz_toy *t);
/** Answers and timers until the phase is reached or nothing more happens. Timers run for a day at most. */
void fuzz_toy_run(struct fuzz_toy *t, enum ff_phase until);
/** Answers that are out, and one turn; no timer. */
void fuzz_toy_turn(struct fuzz_toy *t);
/** Sign in, find, and begin to repair both VMs. */
void fuzz_toy_repair(struct fuzz_toy *t);
/** For `on_worker`: a worker that mends every disk. What it says is heard at the next turn. */
void fuzz_toy_good_worker(struct fuzz_toy *t, const json_t *line);
/** Also checks that the journal can be read. */
void fuzz_toy_close(struct fuzz_toy *t);

#endif
