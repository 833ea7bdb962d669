/* What is tried without gaps, in small fleets of one cloud each: every crash, every fault, every pair of faults. */
#ifndef TESTS_SIM_EVERY_H
#define TESTS_SIM_EVERY_H

#include "jobs.h"

#define EVERY_SEED 11

/**
 * This job's share of it.
 *
 * @only  in that cloud alone; NULL: in all
 * @some  of the kinds' pairs only one at each pair of requests, each in its turn
 */
void every_job(struct jobs_board *b, struct job *job, const char *only, bool some);

#endif
