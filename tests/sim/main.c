/*
 * sim: thousands of incidents, or one of them told in full.
 *
 *   sim --seeds N [--base B] [--jobs J]      N random incidents, J at a time
 *   sim --seed S [--story]                   one; with its story on stderr
 *   sim ... --only CLOUD                     in that cloud alone
 *   sim ... --stop                           no further incident after one has failed
 *   sim --exhaustive [--all-kinds]           a crash before and after every request and journal write, every kind of
 *                                            fault at every request, faults at every pair of requests
 *
 * Ends with `figure NAME VALUE UNIT` lines; exit status 1 when one failed. A failing seed is printed with the command
 * that replays it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "incident.h"

#define JOBS_MAX  64
#define SHOWN_MAX 20

/* What the jobs tell, in shared memory. */
struct board {
	volatile bool stop, stop_at_failure;
	struct job {
		uint64_t seed, incidents, failures, disks_lost, vms, requests;
		uint64_t counts[VW_F_COUNT];
	} jobs[JOBS_MAX];
};

static struct board *board;

static void run_one(struct job *job, uint64_t seed, const struct vw_incident_options *o, const char *how)
{
	struct vw_incident_result r = {0};

	if (board->stop)
		return;
	job->seed = seed;
	vw_incident(seed, o, &r);
	job->incidents++;
	job->failures += r.failed;
	board->stop = board->stop || (r.failed && board->stop_at_failure);
	job->disks_lost += r.disks_lost;
	job->vms += r.vms;
	job->requests += r.requests;
	for (size_t k = 0; k < VW_F_COUNT; k++)
		job->counts[k] += r.counts[k];
	if (r.failed && job->failures <= SHOWN_MAX)
		printf("FAILED %s\n%s  replay: build/sim %s --story\n", how, r.why.text, how);
	fflush(stdout);
	ff_buf_free(&r.why);
}

/* ---------------------------------------------------------------- random */

struct options {
	uint64_t seeds, base, seed;
	unsigned jobs;
	bool one, exhaustive, all_kinds, stop;
	struct vw_incident_options incident;
};

static void random_job(struct board *b, unsigned number, const struct options *o)
{
	const struct vw_incident_options incident = {.only = o->incident.only};

	for (uint64_t s = number; s < o->seeds; s += o->jobs) {
		ff_auto_free char *how = ff_printf("%s%s%s--seed %" PRIu64, incident.only ? "--only " : "",
			incident.only ? incident.only : "", incident.only ? " " : "", o->base + s);

		run_one(&b->jobs[number], o->base + s, &incident, how);
	}
}

/* ---------------------------------------------------------------- every crash, every pair of faults */

static const char *const clouds[] = {"azure", "aws", "gcp"};
#define EVERY_SEED 11

static void crashes(struct job *job, unsigned number, unsigned jobs, const char *cloud)
{
	struct vw_incident_result plain = {0};
	struct vw_incident_options o = {.cloud = cloud, .vms = 2};
	uint64_t turn = 0;

	vw_incident(EVERY_SEED, &o, &plain);
	for (uint64_t n = 1; n <= plain.sends || n <= plain.appends || n <= plain.syncs; n++) {
		const struct vw_break at[] = {{.send_before = n}, {.send_after = n}, {.append = n}, {.sync = n}};
		static const char *const names[] = {"send-before", "send-after", "append", "sync"};

		for (size_t k = 0; k < FF_COUNT(at); k++) {
			ff_auto_free char *how = ff_printf("--cloud %s --crash %s %" PRIu64, cloud, names[k], n);

			if (turn++ % jobs != number)
				continue;
			o.crash = at[k];
			run_one(job, EVERY_SEED, &o, how);
		}
	}
	ff_buf_free(&plain.why);
}

/* Every kind of fault at every request. */
static void singles(struct job *job, unsigned number, unsigned jobs, const char *cloud)
{
	struct vw_incident_result plain = {0};
	struct vw_incident_options o = {.cloud = cloud, .vms = 1};
	uint64_t turn = 0;

	vw_incident(EVERY_SEED, &o, &plain);
	for (uint64_t n = 1; n <= plain.requests; n++) {
		for (size_t kind = 0; kind <= VW_F_OP_LATE; kind++) {
			ff_auto_free char *how =
				ff_printf("--cloud %s --fault %" PRIu64 " %s", cloud, n, vw_fault_names[kind]);

			if (turn++ % jobs != number)
				continue;
			o.faults[0].number = n;
			o.faults[0].kind = (enum vw_fault_kind)kind;
			run_one(job, EVERY_SEED, &o, how);
		}
	}
	ff_buf_free(&plain.why);
}

/* At every pair of requests two faults; of the sixteen pairs of kinds one, or all of them. */
static void pairs(struct job *job, unsigned number, unsigned jobs, const char *cloud, bool all_kinds)
{
	static const enum vw_fault_kind kinds[] = {
		VW_F_SERVER_ERROR, VW_F_RESET_BEFORE, VW_F_RESET_AFTER, VW_F_OP_FAILS};
	struct vw_incident_result plain = {0};
	struct vw_incident_options o = {.cloud = cloud, .vms = 1};
	uint64_t turn = 0;

	vw_incident(EVERY_SEED, &o, &plain);
	for (uint64_t a = 1; a <= plain.requests; a++) {
		for (uint64_t b = a + 1; b <= plain.requests + 4; b++) {
			for (size_t k = 0; k < FF_COUNT(kinds) * FF_COUNT(kinds); k++) {
				ff_auto_free char *how = NULL;

				if ((!all_kinds && k != (a + b * 5) % (FF_COUNT(kinds) * FF_COUNT(kinds))) ||
					turn++ % jobs != number)
					continue;
				o.faults[0].number = a;
				o.faults[0].kind = kinds[k / FF_COUNT(kinds)];
				o.faults[1].number = b;
				o.faults[1].kind = kinds[k % FF_COUNT(kinds)];
				how = ff_printf("--cloud %s --fault %" PRIu64 " %s --fault %" PRIu64 " %s", cloud, a,
					vw_fault_names[o.faults[0].kind], b, vw_fault_names[o.faults[1].kind]);
				run_one(job, EVERY_SEED, &o, how);
			}
		}
	}
	ff_buf_free(&plain.why);
}

static void exhaustive_job(struct board *b, unsigned number, const struct options *o)
{
	unsigned jobs = o->jobs;

	for (size_t c = 0; c < FF_COUNT(clouds); c++) {
		if (o->incident.only != NULL && !ff_streq(o->incident.only, clouds[c]))
			continue;
		crashes(&b->jobs[number], number, jobs, clouds[c]);
		singles(&b->jobs[number], number, jobs, clouds[c]);
		pairs(&b->jobs[number], number, jobs, clouds[c], o->all_kinds);
	}
}

/* ---------------------------------------------------------------- jobs */

static int wait_for(struct board *b, const pid_t *pids, unsigned jobs, const struct options *o)
{
	int bad = 0, status;

	for (unsigned k = 0; k < jobs; k++) {
		waitpid(pids[k], &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		bad = 1;
		b->stop = b->stop || o->stop;
		printf("FAILED --seed %" PRIu64 "\n  the job ended with %s %d\n  replay: build/sim %s--seed %" PRIu64
		       " --story\n",
			b->jobs[k].seed, WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			o->exhaustive ? "--exhaustive " : "", b->jobs[k].seed);
		b->jobs[k].failures++;
	}
	return bad;
}

static int run_all(const struct options *o)
{
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct job all = {0};
	pid_t pids[JOBS_MAX];
	struct timespec begin, end;
	double minutes;

	if (b == MAP_FAILED)
		return 1;
	board = b;
	b->stop_at_failure = o->stop;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	fflush(stdout);
	for (unsigned k = 0; k < o->jobs; k++) {
		pids[k] = fork();
		if (pids[k] != 0)
			continue;
		if (o->exhaustive)
			exhaustive_job(b, k, o);
		else
			random_job(b, k, o);
		_exit(0);
	}
	wait_for(b, pids, o->jobs, o);
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

static void read_crash(struct vw_break *crash, const char *what, uint64_t n)
{
	if (ff_streq(what, "send-before"))
		crash->send_before = n;
	else if (ff_streq(what, "send-after"))
		crash->send_after = n;
	else if (ff_streq(what, "append"))
		crash->append = n;
	else
		crash->sync = n;
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
		else if (ff_streq(*arg, "--all-kinds"))
			o->all_kinds = true;
		else if (ff_streq(*arg, "--seed")) {
			o->seed = number(*++arg);
			o->one = true;
		} else if (ff_streq(*arg, "--cloud")) {
			o->incident.cloud = *++arg;
			o->incident.vms = o->incident.vms ? o->incident.vms : 2;
			o->seed = EVERY_SEED;
			o->one = true;
		} else if (ff_streq(*arg, "--crash") && arg[1] != NULL) {
			read_crash(&o->incident.crash, arg[1], number(arg[2]));
			arg += 2;
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
