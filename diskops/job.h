/*
 * One disk to mend: what the controller asked for, what was found, what became of it.
 *
 * A job goes WAITING (for its device) -> LOCKED (waiting for keys of its BitLocker volumes) -> READY -> OPEN (in an
 * appliance) -> ENDED; any state may go to ENDED. ENDED means that the outcome is fixed, not yet that the disk is
 * closed.
 */
#ifndef DISKOPS_JOB_H
#define DISKOPS_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "fixfleet/err.h"
#include "fixfleet/mem.h"
#include "recipe.h"

enum job_state { JOB_WAITING, JOB_LOCKED, JOB_READY, JOB_OPEN, JOB_ENDED };
enum job_result { JOB_FAILED, JOB_CLEAN, JOB_REPAIRED };

/* A directory that was looked at, as it was: everything in it but the removed files must still be there afterwards. */
struct place {
	char *partition;      /* "/dev/sda3" in the appliance */
	unsigned part_number; /* 0: the disk itself */
	char *dir;	      /* "/Windows/System32/..." as it is spelled there */
	struct ff_strv names; /* all names in it, sorted */
	size_t *taken;	      /* for each of them: the number of its victim and 1; 0: it stays as it is */
};

/* A Windows. */
struct root {
	char *partition, *dir; /* "/dev/sda3" in the appliance, "/Windows" as it is spelled there */
};

/* A file to act on. */
struct victim {
	size_t place;
	char *name;
	enum recipe_act act;
	const struct recipe_rule *rule; /* borrowed from the job's recipes; NULL for RECIPE_EDIT */
	bool absent;			/* it is to be made: nothing of what follows is there */
	int64_t size, mtime_s, mtime_ns;
	char sha256[65];
	bool gone; /* what was to be done to it is done */
};

/* A registry value to change. */
struct edit {
	size_t victim;			  /* the hive */
	const struct recipe_value *value; /* borrowed from the job's recipes */
	struct ff_strv keys;		  /* as they are spelled there */
	char *old;			  /* what it was, for people */
	bool done;
};

struct locked;
struct store;

struct job {
	/* what was asked */
	char *id, *name, *dev_root, *serial;
	struct ff_strv paths;
	uint64_t size_bytes; /* 0: not known */
	int64_t wait_ms;
	bool scan_only;		  /* nothing is written */
	bool list;		  /* only say what there is: scan_only, without recipes */
	bool any_format;	  /* an image file may be of any format; else it is raw */
	bool discard_hibernation; /* a saved session of Windows may be lost */
	int64_t timeout_ms;	  /* how long one look at it, and mending it, may take; 0: for ever */
	bool keys;		  /* the controller answers "key-wanted" */
	struct recipe *recipes;
	size_t recipe_count;

	/* its way */
	enum job_state state;
	int64_t accepted_mono_ms, asked_mono_ms, locked_mono_ms;
	bool asked, kept; /* its files were sent; the controller has made them durable */
	bool dropped;	  /* the controller does not want it touched further */
	bool retried;	  /* it was in an appliance that died of another disk */
	bool timed_out;	  /* its appliance was killed because it took too long; under worker.lock */

	/* its device */
	char *path;	     /* real path */
	dev_t device_id;     /* st_rdev of a block device, st_dev of a file */
	ino_t inode;	     /* of a file; 0 for a block device */
	uint64_t file_bytes; /* of the file or device; of a raw one that is the disk's size */
	const char *format;  /* as qemu calls it; NULL: raw */
	char *device;	     /* in the appliance */

	struct locked *locked; /* its BitLocker volumes; see bitlocker.h */
	size_t locked_count;
	struct store *store; /* what they stand on, while they are open; NULL: none is */
	char *store_why;     /* why it could not be looked at from here */

	/* what was found */
	struct place *places;
	size_t place_count;
	struct victim *victims;
	size_t victim_count, kept_count;
	int64_t victim_bytes;
	struct edit *edits;
	size_t edit_count;
	struct ff_strv windows; /* "/Windows on partition 3" */
	struct ff_strv notes;
	struct root *roots;
	size_t root_count;
	char *nothing; /* why there is nothing to remove */
	json_t *listing;

	/* its outcome, fixed once ENDED */
	enum job_result result;
	struct ff_err err; /* of JOB_FAILED */
	char *reason;
	TAILQ_ENTRY(job) next;
};
TAILQ_HEAD(job_list, job);

/**
 * A new job from a "mend" line. NULL when it has no usable "job" member (the line answers to nobody); otherwise a job,
 * which is ENDED with a reason when something in it is not good.
 */
struct job *job_parse(const json_t *line, int64_t now_mono_ms);
void job_free(struct job *job); /* NULL is fine */

/** Forget what was found and opened: the job starts over in another appliance. */
void job_reset(struct job *job);

/** Fix the outcome, once: a second call changes nothing. */
void job_fail(struct job *job, const struct ff_err *err);
void job_end(struct job *job, enum job_result result, char *reason_owned);

/** The victim of that name in the place; NULL: none. Borrowed. Quick: there may be thousands. */
struct victim *job_victim(const struct job *job, size_t place, const char *name);
/** Its place knows that victim from now on. */
void job_take(struct job *job, size_t victim);

/** How a victim is called in lines to the controller: printable; with its partition when that is not the one of
 * the first victim. The caller frees. */
char *job_victim_path(const struct job *job, const struct victim *victim);

/** Is the file sent to the controller, to be kept, before anything is done to it? */
bool job_keeps(const struct victim *victim);

/** [{path,size,mtime,sha256}] of the victims that are kept: all, or those that are gone. A new reference. */
json_t *job_victims_json(const struct job *job, bool gone_only);

/** What is done, a text for each file and value ("rename '/a/b' to 'c'"); `done_only`: what was done, and only what is
 * not told by job_victims_json() alone. A new reference to an array of texts, at most so many. */
json_t *job_deeds_json(const struct job *job, bool done_only);

/** All of it in one line: "removed 1 file from /Windows, set 2 registry values"; without `past`: "remove ...". The
 * caller frees. */
char *job_summary(const struct job *job, bool past);

#endif
