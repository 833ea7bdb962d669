/*
 * sim: thousands of incidents, or one of them told in full.
 *
 *   sim --seeds N [--base B] [--jobs J]      N random incidents, J at a time
 *   sim --seed S [--story]                   one; with its story on stderr
 *   sim ... --only CLOUD                     in that cloud alone
 *   sim ... --stop                           no further incident after one has failed
 *   sim --exhaustive [--some]                a crash before and after every request and journal write, every kind of
 *                                            fault at every request, every pair of faults at every pair of requests;
 *                                            or some of the pairs
 *   sim --cloud CLOUD [--vms N] [--after FLOW [--after FLOW]] [--crash WHAT N [--lost]]
 *                     [--fault N KIND [--fault N KIND]]
 *                                            one of those: of a repair, or of a rollback or cleanup after it;
 *                                            --lost: the run's folder is gone with the crash
 *
 * Ends with `figure NAME VALUE UNIT` lines; exit status 1 when one failed. A failing seed is printed with the command
 * that replays it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "every.h"

/* ---------------------------------------------------------------- random */

struct options {
	uint64_t seeds, base, seed;
	unsigned jobs;
	bool one, exhaustive, some, stop;
	struct vw_incident_options incident;
};

static void random_job(struct jobs_board *b, unsigned number, const struct options *o)
{
	const struct vw_incident_options incident = {.only = o->incident.only};

	for (uint64_t s = number; s < o->seeds; s += o->jobs) {
		ff_auto_free char *how = ff_printf("%s%s%s--seed %" PRIu64, incident.only ? "--only " : "",
			incident.only ? incident.only : "", incident.only ? " " : "", o->base + s);

		jobs_run(b, &b->jobs[number], o->base + s, &incident, how);
	}
}

/* ---------------------------------------------------------------- jobs */

static void wait_for(struct jobs_board *b, const pid_t *pids, unsigned jobs)
{
	int status;

	for (unsigned k = 0; k < jobs; k++) {
		waitpid(pids[k], &status, 0);
		if (status != 0)
			jobs_note_death(b, &b->jobs[k], status, b->jobs[k].how);
	}
}

static int run_all(const struct options *o)
{
	struct jobs_board *b = jobs_board_new();
	struct job all = {0};
	pid_t pids[JOBS_MAX];
	struct timespec begin, end;
	double minutes;

	b->stop_at_failure = o->stop;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	fflush(stdout);
	for (unsigned k = 0; k < o->jobs; k++) {
		pids[k] = fork();
		if (pids[k] != 0)
			continue;
		if (o->exhaustive)
			every_job(b, &b->jobs[k], o->incident.only, o->some);
		else
			random_job(b, k, o);
		_exit(0);
	}
	wait_for(b, pids, o->jobs);
	clock_gettime(CLOCK_MONOTONIC, &end);
	minutes = ((double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9) / 60;
	for (unsigned k = 0; k < o->jobs; k++) {
		all.incidents += b->jobs[k].incidents;
		all.failures += b->jobs[k].failures;
		all.disks_lost += b->jobs[k].disks_lost;
		all.vms += b->jobs[k].vms;
		all.requests += b->jobs[k].requests;
		for (size_t f = 0; f < VW_F_COUNT; f++)
			all.counts[f] += b->jobs[k].counts[f];
	}
	if (o->exhaustive)
		printf("every crash and every pair of faults: ");
	else
		printf("seeds from %" PRIu64 ": ", o->base);
	printf("%" PRIu64 " incidents, %" PRIu64 " VMs, %" PRIu64 " requests, %" PRIu64 " failed\n", all.incidents,
		all.vms, all.requests, all.failures);
	for (size_t f = 0; f < VW_F_COUNT; f++)
		if (all.counts[f] > 0)
			printf("  %-16s %" PRIu64 "\n", vw_fault_names[f], all.counts[f]);
	printf("figure incidents %" PRIu64 " incidents\n", all.incidents);
	printf("figure incidents_per_min %.0f incidents/min\n", (double)all.incidents / (minutes > 0 ? minutes : 1));
	printf("figure disks_lost %" PRIu64 " disks\n", all.disks_lost);
	return all.failures > 0;
}

/* ---------------------------------------------------------------- the command line */

static uint64_t number(const char *text)
{
	int64_t n = 0;

	if (text == NULL || ff_parse_i64(text, 0, INT64_MAX, &n) < 0) {
		fprintf(stderr, "sim: '%s' is no number\n", text != NULL ? text : "");
		exit(2);
	}
	return (uint64_t)n;
}

static enum vw_fault_kind fault_named(const char *name)
{
	for (int k = 0; k < VW_F_COUNT; k++)
		if (ff_streq(vw_fault_names[k], name))
			return (enum vw_fault_kind)k;
	fprintf(stderr, "sim: '%s' is no fault\n", name != NULL ? name : "");
	exit(2);
}

static enum ff_flow flow_named(const char *name)
{
	enum ff_flow flow = ff_flow_from_name(name);

	if (flow == FF_FLOW_ROLLBACK || flow == FF_FLOW_CLEANUP)
		return flow;
	fprintf(stderr, "sim: '%s' comes after no repair\n", name != NULL ? name : "");
	exit(2);
}

static void read_crash(struct vw_break *crash, const char *what, uint64_t n)
{
	const struct {
		const char *name;
		uint64_t *at;
	} points[] = {{"send-before", &crash->send_before}, {"send-after", &crash->send_after},
		{"append-before", &crash->append_before}, {"append-after", &crash->append_after},
		{"sync-before", &crash->sync_before}, {"sync-after", &crash->sync_after}};

	for (size_t i = 0; i < FF_COUNT(points); i++) {
		if (ff_streq(what, points[i].name)) {
			*points[i].at = n;
			return;
		}
	}
	fprintf(stderr, "sim: '%s' is no point of a crash\n", what);
	exit(2);
}

static void read_options(struct options *o, char **arg)
{
	size_t fault = 0;

	for (; *arg != NULL; arg++) {
		if (ff_streq(*arg, "--seeds"))
			o->seeds = number(*++arg);
		else if (ff_streq(*arg, "--base"))
			o->base = number(*++arg);
		else if (ff_streq(*arg, "--jobs"))
			o->jobs = (unsigned)number(*++arg);
		else if (ff_streq(*arg, "--story"))
			o->incident.story = true;
		else if (ff_streq(*arg, "--stop"))
			o->stop = true;
		else if (ff_streq(*arg, "--exhaustive"))
			o->exhaustive = true;
		else if (ff_streq(*arg, "--only"))
			o->incident.only = *++arg;
		else if (ff_streq(*arg, "--some"))
			o->some = true;
		else if (ff_streq(*arg, "--seed")) {
			o->seed = number(*++arg);
			o->one = true;
		} else if (ff_streq(*arg, "--cloud")) {
			o->incident.cloud = *++arg;
			o->incident.vms = o->incident.vms ? o->incident.vms : 2;
			o->seed = EVERY_SEED;
			o->one = true;
		} else if (ff_streq(*arg, "--after") && o->incident.after_count < FF_COUNT(o->incident.after)) {
			o->incident.after[o->incident.after_count++] = flow_named(*++arg);
		} else if (ff_streq(*arg, "--crash") && arg[1] != NULL) {
			read_crash(&o->incident.crash, arg[1], number(arg[2]));
			arg += 2;
		} else if (ff_streq(*arg, "--lost")) {
			o->incident.lost = true;
		} else if (ff_streq(*arg, "--vms")) {
			o->incident.vms = (unsigned)number(*++arg);
		} else if (ff_streq(*arg, "--fault") && arg[1] != NULL && fault < 2) {
			o->incident.faults[fault].number = number(arg[1]);
			o->incident.faults[fault++].kind = fault_named(arg[2]);
			o->incident.vms = 1;
			arg += 2;
		} else {
			fprintf(stderr,
				"usage: sim [--seeds N [--base B] | --seed S [--story] | --exhaustive] [--jobs J]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct options o = {.seeds = 1000, .base = 1, .jobs = cpus > 1 ? (unsigned)cpus : 1};
	struct vw_incident_result r = {0};

	(void)argc;
	read_options(&o, argv + 1);
	if (o.jobs < 1 || o.jobs > JOBS_MAX)
		o.jobs = 1;
	if (!o.one)
		return run_all(&o);
	vw_incident(o.seed, &o.incident, &r);
	printf("%s\n%s", r.failed ? "FAILED" : "passed", r.failed ? r.why.text : "");
	ff_buf_free(&r.why);
	return r.failed;
}
