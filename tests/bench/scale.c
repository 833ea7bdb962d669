/*
 * How many VMs one fixfleet can carry: 10,000 over three clouds, and 1,000, in virtual time.
 *
 * The model of the clouds and the journal (a file in real life) live in the same process here. What is theirs is told
 * apart: every allocation is counted for who makes it, the model or the rest, and CPU time is read when the model is
 * entered and left; the journal's bytes are known. What is left is fixfleet's own, with the requests under way and the
 * simulated workers; the program's code and libraries are counted to it, as the resident memory before anything was
 * made, and each block with what malloc needs beside it. Each size runs in a process of its own.
 *
 * Prints both shares, and `figure NAME VALUE UNIT` lines at its end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fleet.h"

#include "fixfleet/journal.h"
#include "fixfleet/json.h"

#define FEW	     1000
#define MANY	     10000
#define CLOUDS	     3
#define VMS_A_RESCUE 100
#define LIMIT_MS     ((int64_t)10 * 24 * 3600 * 1000)

/* ---------------------------------------------------------------- who allocates what */

extern void *__libc_malloc(size_t bytes);	    /* NOLINT(bugprone-reserved-identifier) */
extern void *__libc_calloc(size_t n, size_t bytes); /* NOLINT(bugprone-reserved-identifier) */
extern void __libc_free(void *p);		    /* NOLINT(bugprone-reserved-identifier) */

#define MARK   UINT64_C(0xF1EE7F1EE7F1EE70)
#define BESIDE 16 /* of a block, in malloc's own book-keeping and by alignment */

struct block {
	uint64_t mark; /* its last bit: the model's */
	uint64_t bytes;
};
static struct {
	bool model;
	int64_t now[2], peak[2];
	double in_s, cpu_s;
} meter;

static void count(int whose, int64_t bytes)
{
	meter.now[whose] += bytes;
	if (meter.now[whose] > meter.peak[whose])
		meter.peak[whose] = meter.now[whose];
}

static void *noted(struct block *b, size_t bytes)
{
	if (b == NULL)
		return NULL;
	*b = (struct block){MARK | meter.model, bytes};
	count(meter.model, (int64_t)bytes + BESIDE);
	return b + 1;
}

void *malloc(size_t bytes)
{
	return bytes < SIZE_MAX / 2 ? noted(__libc_malloc(bytes + sizeof(struct block)), bytes) : NULL;
}

void free(void *p)
{
	struct block *b = (struct block *)p - 1;

	if (p == NULL)
		return;
	if ((b->mark & ~UINT64_C(1)) != MARK) { /* of another kind: aligned, or from before */
		__libc_free(p);
		return;
	}
	count(b->mark & 1, -(int64_t)b->bytes - BESIDE);
	b->mark = 0;
	__libc_free(b);
}

void *calloc(size_t n, size_t bytes)
{
	size_t all;

	if (__builtin_mul_overflow(n, bytes, &all) || all > SIZE_MAX / 2)
		return NULL;
	return noted(__libc_calloc(1, all + sizeof(struct block)), all);
}

void *realloc(void *old, size_t bytes)
{
	struct block *b = (struct block *)old - 1;
	void *p = malloc(bytes);

	if (p != NULL && old != NULL) {
		memcpy(p, old, b->bytes < bytes ? b->bytes : bytes);
		free(old);
	}
	return p;
}

static double now_s(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void in_model(bool in)
{
	meter.model = in;
	if (in)
		meter.in_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
	else
		meter.cpu_s += now_s(CLOCK_PROCESS_CPUTIME_ID) - meter.in_s;
}

/* ---------------------------------------------------------------- runs */

struct shares {
	double own_mb, model_mb, journal_mb, own_cpu_s, model_cpu_s, replay_s, makespan_s;
	uint64_t requests;
	bool failed;
};

static void give_up(const char *what)
{
	fprintf(stderr, "bench-scale: %s\n", what);
	exit(1);
}

static double resident_mb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

static json_t *make_scenario(struct vw *vw, unsigned vms)
{
	json_t *scenario = vw_scenario(7);
	struct vw_fleet f = {.vms = vms / CLOUDS, .zones = 3, .rescues = vms / CLOUDS / 3 / VMS_A_RESCUE + 1};

	f.size = "Standard_D16s_v3";
	vw_add_azure(vw, scenario, &f);
	f.size = "m5.large";
	vw_add_aws(vw, scenario, &f);
	f.size = "n2-standard-4";
	f.vms += vms % CLOUDS;
	vw_add_gcp(vw, scenario, &f);
	return scenario;
}

static int no_more(void *arg, const json_t *record, struct ff_err *err)
{
	(void)record, (void)err;
	++*(size_t *)arg;
	return 0;
}

/* As `fixfleet status` does it, and resume before it asks the clouds. */
static double replay_s(const struct vw_host *host)
{
	double begin = now_s(CLOCK_PROCESS_CPUTIME_ID);
	struct ff_chain chain = {0};
	struct ff_err err;
	size_t sound, records = 0;

	if (ff_journal_read(host->journal.text, host->journal.len, no_more, &records, &chain, &sound, &err) < 0)
		give_up(err.text);
	return now_s(CLOCK_PROCESS_CPUTIME_ID) - begin;
}

static void run(unsigned vms, struct shares *s)
{
	const struct vw_run what = {.run = "scale", .azure = true, .aws = true, .gcp = true};
	double base_mb = resident_mb(), begin_s;
	struct vw *vw = vw_new(7);
	json_t *scenario = make_scenario(vw, vms);
	struct vw_host *host;
	struct ff_err err = {0};
	struct ff_counts counts;
	int64_t began_ms;

	vw->in_model = in_model;
	meter.peak[0] = meter.now[0]; /* the scenario's text is nobody's */
	vw_meter_in(vw);
	if (vw_open(vw, scenario, &err) < 0)
		give_up(err.text);
	vw_meter_out(vw);
	json_decref(scenario);
	meter.peak[0] = meter.now[0];
	begin_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - meter.cpu_s;
	host = vw_host_new(vw);
	if (vw_host_begin(host, &what, &err) < 0 || vw_run_until(host, FF_PHASE_FOUND, LIMIT_MS, &err) < 0)
		give_up(err.text);
	began_ms = vw->now_ms;
	if (vw_host_repair(host, &err) < 0 || vw_run_until(host, FF_PHASE_ENDED, LIMIT_MS, &err) < 0)
		give_up(err.text);
	ff_engine_counts(host->engine, &counts);
	s->failed = counts.ended[FF_O_REPAIRED] != vms;
	s->model_cpu_s = meter.cpu_s;
	s->own_cpu_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - begin_s - meter.cpu_s;
	s->own_mb = base_mb + (double)(meter.peak[0] - (int64_t)host->journal.room) / 1048576;
	s->model_mb = (double)meter.peak[1] / 1048576;
	s->journal_mb = (double)host->journal.len / 1048576;
	s->makespan_s = (double)(vw->now_ms - began_ms) / 1000;
	s->requests = vw->requests;
	s->replay_s = replay_s(host);
	vw_free(vw);
}

static void run_apart(unsigned vms, struct shares *s)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		run(vms, s);
		_exit(s->failed ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	if (status != 0)
		give_up("a VM was not repaired, or the run did not end");
	printf("%u VMs: fixfleet %.1f MB, %.1f s CPU; model %.1f MB, %.1f s CPU; journal %.1f MB (%.1f KB a VM), "
	       "replayed in "
	       "%.2f s; %" PRIu64 " requests, makespan %.0f s\n",
		vms, s->own_mb, s->own_cpu_s, s->model_mb, s->model_cpu_s, s->journal_mb, s->journal_mb * 1024 / vms,
		s->replay_s, s->requests, s->makespan_s);
}

int main(void)
{
	struct shares *s = mmap(NULL, 2 * sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		give_up("no memory");
	run_apart(FEW, &s[0]);
	run_apart(MANY, &s[1]);
	printf("figure rss_mb_10k %.1f MB\n", s[1].own_mb);
	printf("figure cpu_s_10k %.1f s\n", s[1].own_cpu_s);
	printf("figure rss_growth %.2f ratio\n", s[1].own_mb / s[0].own_mb);
	printf("figure cpu_growth %.2f ratio\n", s[1].own_cpu_s / s[0].own_cpu_s);
	printf("figure journal_kb_per_vm %.1f KB\n", s[1].journal_mb * 1024 / MANY);
	printf("figure replay_s_10k %.2f s\n", s[1].replay_s);
	return 0;
}
