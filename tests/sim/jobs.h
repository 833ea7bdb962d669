/*
 * Incidents shared by several processes, and what became of them: on a board in shared memory. A job is one of the
 * processes; of it and those that it forks only one runs at a time, so that a job's numbers need no lock.
 */
#ifndef TESTS_SIM_JOBS_H
#define TESTS_SIM_JOBS_H

#include "incident.h"

#define JOBS_MAX 64

struct job {
	uint64_t incidents, failures, disks_lost, vms, requests;
	uint64_t counts[VW_F_COUNT];
	char how[200]; /* what the job's process runs now, as sim's options */
};

struct jobs_board {
	volatile bool stop;
	bool stop_at_failure;
	uint64_t next; /* the first piece of work that no job has taken */
	struct job jobs[JOBS_MAX];
};

/** A board for processes that are forked after it. Aborts without memory. */
struct jobs_board *jobs_board_new(void);
/** Is piece `turn` (0, 1, ..) this process's to do? Every job has to ask for each piece, in order. */
bool jobs_take(struct jobs_board *b, uint64_t turn);
/** Run an incident and note what became of it, unless the board says stop. `how`: options that replay it. */
void jobs_run(
	struct jobs_board *b, struct job *job, uint64_t seed, const struct vw_incident_options *o, const char *how);
/** An incident is over; frees `why`. Failures are printed, the first of a job. */
void jobs_note(struct jobs_board *b, struct job *job, struct vw_incident_result *r, const char *how);
/** A process did not end by itself but with that status of waitpid(): a failure of what it ran. */
void jobs_note_death(struct jobs_board *b, struct job *job, int status, const char *how);

#endif
