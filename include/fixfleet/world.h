/*
 * The world: everything that the engine sees of the outside. engine/runtime makes it of libuv, libcurl, files and
 * processes; the simulation makes it of virtual time and a model. No function here calls back before it returns.
 */
#ifndef FIXFLEET_WORLD_H
#define FIXFLEET_WORLD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "fixfleet/ask.h"
#include "fixfleet/err.h"

/* The answer to a sent ask. Both are borrowed for the call. */
typedef void ff_answered_fn(void *arg, const struct ff_ask *ask, const struct ff_answer *answer);

struct ff_world {
	void *self;
	int64_t (*mono_ms)(void *self);
	int64_t (*wall_ms)(void *self);
	/** 64 random bits: jitter and request tokens. */
	uint64_t (*random)(void *self);
	/** Call ff_engine_turn() no later than at that time (mono); an earlier call replaces the time; INT64_MAX: no
	 * need. */
	void (*wake_at)(void *self, int64_t mono_ms);
	/** Carry out the ask (moved: *ask is empty after) and call done(arg) once, later. The runtime turns the engine
	 * after. */
	void (*send)(void *self, struct ff_ask *ask, ff_answered_fn *done, void *arg);
	/** Append one journal line (with its newline). Not durable before sync() returned 0. After one failure all
	 * later ones fail. */
	int (*append)(void *self, const char *line, size_t len, struct ff_err *err);
	int (*sync)(void *self, struct ff_err *err);
	/**
	 * Write to the worker that serves this rescue VM, starting it when it does not run. Lines from it reach
	 * ff_engine_worker_line(); its end reaches ff_engine_worker_gone().
	 */
	int (*worker_send)(void *self, const char *rescue_name, const json_t *line, struct ff_err *err);
	/** Kill that worker (it hangs). Its end is reported as above. */
	void (*worker_kill)(void *self, const char *rescue_name);
	/**
	 * Keep part of a removed file in the run's quarantine: folder per VM, safe file name from `path`, `index` the
	 * number of the file for this VM. offset 0 creates it. keep_sync() makes all that was kept for that VM durable,
	 * with `manifest` (an array of {path,size,mtime,sha256}) beside it.
	 */
	int (*keep)(void *self, const char *vm_key, unsigned index, const char *path, int64_t offset, const void *bytes,
		size_t len, struct ff_err *err);
	int (*keep_sync)(void *self, const char *vm_key, const json_t *manifest, struct ff_err *err);
};

#endif
