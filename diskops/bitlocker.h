/*
 * The BitLocker volumes of a job's disk: found before any appliance is launched, so that keys are asked for while other
 * disks are mended; opened here, on the host, and handed to the appliance as further disks; closed with it.
 *
 *   bitlocker_find -> bitlocker_ask -> [bitlocker_take] -> bitlocker_open -> appliance -> bitlocker_close
 */
#ifndef DISKOPS_BITLOCKER_H
#define DISKOPS_BITLOCKER_H

#include <jansson.h>

#include "fve.h"
#include "outbox.h"

#define BITLOCKER_VOLUMES_MAX 16 /* of one disk */
#define BITLOCKER_KEYS_MAX    8	 /* that the controller may send for one volume: they are tried in turn */

struct nbd;
struct plain;

struct locked {
	unsigned part_number; /* 0: the whole disk */
	uint64_t at;
	struct fve fve;
	bool readable;	  /* fve is filled */
	bool wants_key;	  /* asked for, not yet answered */
	char *why;	  /* why it is not open, for people; NULL when it is (or may become so) */
	size_t key_count; /* sent by the controller; texts in ff_secret memory */
	struct locked_key {
		char *text;
		char protector[FVE_GUID_BYTES]; /* "" when the controller does not know */
	} keys[BITLOCKER_KEYS_MAX];
	/* while it is open */
	struct plain *plain;
	struct nbd *server;
	char *device; /* in the appliance */
};

/** Look for BitLocker volumes on the disk that was found; fills job->locked. What cannot be read is the appliance's. */
void bitlocker_find(struct job *job);

/** Ask the controller for the keys of what needs one ("key-wanted"). False when there is nothing to wait for. */
bool bitlocker_ask(struct outbox *out, struct job *job);

/** Take a "key" line. False when it fits no question. */
bool bitlocker_take(struct job *job, const json_t *line);

/** Is an answer still to come? */
bool bitlocker_waits(const struct job *job);
/** No answer came in time. */
void bitlocker_give_up(struct job *job, const char *why);

/** Open what has a key, or needs none. The keys are gone after that; a volume that stays closed says why. Takes half a
 * second a key. */
void bitlocker_open(struct outbox *out, struct job *job);

/** Lock all again; the appliance must be closed. 0, or -1 with err when something written did not reach the disk. */
int bitlocker_close(struct job *job, struct ff_err *err);

/** The BitLocker volume that is that partition; NULL when it is none. Borrowed. */
const struct locked *bitlocker_volume(const struct job *job, unsigned part_number);

/** Why it is not open, to follow "is BitLocker-encrypted and ". Borrowed. */
const char *bitlocker_why(const struct job *job, unsigned part_number);

/** Free all of it; closes what is open. */
void bitlocker_forget(struct job *job);

#endif
