/*
 * How many VMs one fixfleet can carry: 10,000 over three clouds, and 1,000, in virtual time.
 *
 * The model of the clouds and the journal (a file in real life) live in the same process here. What they allocate comes
 * from memory of another kind, which the kernel counts as shared; the rest is fixfleet's: engine and providers with
 * malloc's own waste, the requests under way, the answers as they were read, the simulated workers, and the pages of
 * the program and its libraries. That is read from the kernel whenever fixfleet has asked for another quarter of a MiB,
 * and the most that was seen is told. CPU time is read when the model is entered and left. What a real process needs
 * beside that is libcurl's connections, at most 64 a cloud. Each size runs in a process of its own.
 *
 * Prints both shares, and `figure NAME VALUE UNIT` lines at its end. With a number it runs so many VMs, and no more.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fleet.h"

#include "fixfleet/journal.h"
#include "fixfleet/json.h"

#define FEW	     1000
#define FEW_TIMES    5
#define MANY	     10000
#define CLOUDS	     3
#define VMS_A_RESCUE 100
#define LIMIT_MS     ((int64_t)10 * 24 * 3600 * 1000)

static void give_up(const char *what)
{
	fprintf(stderr, "bench-scale: %s\n", what);
	exit(1);
}

/* ---------------------------------------------------------------- whose memory it is */

extern void *__libc_malloc(size_t bytes);	      /* NOLINT(bugprone-reserved-identifier) */
extern void *__libc_calloc(size_t n, size_t bytes);   /* NOLINT(bugprone-reserved-identifier) */
extern void *__libc_realloc(void *old, size_t bytes); /* NOLINT(bugprone-reserved-identifier) */
extern void __libc_free(void *p);		      /* NOLINT(bugprone-reserved-identifier) */

#define FIELD_BYTES  ((size_t)16 << 30) /* of addresses, not of memory */
#define GRAIN	     16
#define SMALL	     1024 /* up to that in steps of a grain, beyond in powers of two */
#define CLASSES	     (SMALL / GRAIN + 40)
#define SAMPLE_BYTES (256 * 1024) /* it is looked at whenever so much was asked for */

struct block {
	struct block *next; /* of its class, while it is free */
	size_t class;
};
static struct {
	bool model;
	char *field, *top; /* the model's, in memory that the kernel counts as shared */
	struct block *unused[CLASSES];
	size_t unseen; /* bytes that fixfleet asked for since the last look */
	int64_t peak;  /* of pages that are fixfleet's */
	int statm;
	double in_s, cpu_s;
} meter = {.statm = -1};

static size_t class_of(size_t bytes)
{
	size_t class = (bytes + GRAIN - 1) / GRAIN, room = SMALL;

	if (bytes <= SMALL)
		return class;
	for (class = SMALL / GRAIN; room < bytes; class ++)
		room *= 2;
	return class;
}

static size_t class_bytes(size_t class)
{
	return class <= SMALL / GRAIN ? class * GRAIN : (size_t)SMALL << (class - SMALL / GRAIN);
}

static bool in_field(const void *p)
{
	return p != NULL && (const char *)p >= meter.field && (const char *)p < meter.top;
}

static void *field_alloc(size_t bytes)
{
	size_t class = bytes < FIELD_BYTES ? class_of(bytes) : CLASSES;
	struct block *b = class < CLASSES ? meter.unused[class] : NULL;

	if (b != NULL) {
		meter.unused[class] = b->next;
		return b + 1;
	}
	if (class >= CLASSES || class_bytes(class) + sizeof(*b) > (size_t)(meter.field + FIELD_BYTES - meter.top))
		return NULL;
	b = (struct block *)meter.top;
	meter.top += sizeof(*b) + class_bytes(class);
	b->class = class;
	return b + 1;
}

static void field_free(void *p)
{
	struct block *b = (struct block *)p - 1;

	b->next = meter.unused[b->class];
	meter.unused[b->class] = b;
}

/* Resident pages that are neither shared memory nor a file's. */
static int64_t own_pages(void)
{
	char text[128] = "", *at = text;
	long resident, shared;

	if (pread(meter.statm, text, sizeof(text) - 1, 0) <= 0)
		abort();
	strtol(at, &at, 10); /* of addresses */
	resident = strtol(at, &at, 10);
	shared = strtol(at, &at, 10);
	return resident - shared;
}

static void look(size_t bytes)
{
	int64_t pages;

	meter.unseen += bytes;
	if (meter.unseen < SAMPLE_BYTES || meter.statm < 0)
		return;
	meter.unseen = 0;
	pages = own_pages();
	meter.peak = pages > meter.peak ? pages : meter.peak;
}

void *malloc(size_t bytes)
{
	if (meter.model)
		return field_alloc(bytes);
	look(bytes);
	return __libc_malloc(bytes);
}

void free(void *p)
{
	if (in_field(p))
		field_free(p);
	else
		__libc_free(p);
}

void *calloc(size_t n, size_t bytes)
{
	size_t all;
	void *p;

	if (__builtin_mul_overflow(n, bytes, &all))
		return NULL;
	if (!meter.model) {
		look(all);
		return __libc_calloc(n, bytes);
	}
	p = field_alloc(all);
	return p != NULL ? memset(p, 0, all) : NULL;
}

void *realloc(void *old, size_t bytes)
{
	size_t room;
	void *p;

	if (old == NULL)
		return malloc(bytes);
	if (!in_field(old)) {
		look(bytes);
		return __libc_realloc(old, bytes);
	}
	room = class_bytes(((struct block *)old - 1)->class);
	if (bytes <= room)
		return old;
	p = field_alloc(bytes);
	if (p != NULL) {
		memcpy(p, old, room);
		field_free(old);
	}
	return p;
}

/* As main() does it: what is freed of JSON is overwritten first. */
static void wipe_and_free(void *p)
{
	if (p != NULL && !in_field(p))
		ff_wipe(p, malloc_usable_size(p));
	free(p);
}

static void open_field(void)
{
	meter.field =
		mmap(NULL, FIELD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	meter.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (meter.field == MAP_FAILED || meter.statm < 0)
		give_up("no memory, or no /proc");
	meter.top = meter.field;
	json_set_alloc_funcs(malloc, wipe_and_free);
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
		meter.in_s = now_s(CLOCK_THREAD_CPUTIME_ID);
	else
		meter.cpu_s += now_s(CLOCK_THREAD_CPUTIME_ID) - meter.in_s;
}

/* ---------------------------------------------------------------- runs */

struct shares {
	double found_mb, own_mb, model_mb, journal_mb, own_cpu_s, model_cpu_s, status_s, resume_s, makespan_s;
	uint64_t requests;
	bool failed;
};

/* Pages of the program and its libraries that are in memory. */
static double files_mb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	while (f != NULL && kb < 0 && fgets(line, sizeof(line), f) != NULL)
		if (ff_has_prefix(line, "RssFile:"))
			kb = strtol(line + strlen("RssFile:"), NULL, 10);
	if (kb < 0)
		give_up("no RssFile in /proc/self/status");
	fclose(f);
	return (double)kb / 1024;
}

/* The most that fixfleet had in memory so far. */
static double own_mb(void)
{
	look(SAMPLE_BYTES);
	return (double)meter.peak * (double)sysconf(_SC_PAGESIZE) / 1048576 + files_mb();
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

/* What `fixfleet status` does, and `fixfleet resume` before it signs in. */
static double status_s(const struct vw_host *host)
{
	double begin = now_s(CLOCK_THREAD_CPUTIME_ID), took;
	struct ff_past past;
	struct ff_err err;

	if (ff_past_read(ff_source_of(host->journal.text, host->journal.len), &past, &err) < 0)
		give_up(err.text);
	took = now_s(CLOCK_THREAD_CPUTIME_ID) - begin;
	ff_past_release(&past);
	return took;
}

/* What `fixfleet resume` does once it has found the VMs again. */
static double resume_s(struct vw_host *host, const struct vw_run *what)
{
	struct ff_err err;
	double begin;

	vw_host_end(host);
	if (vw_host_begin(host, what, &err) < 0 || vw_run_until(host, FF_PHASE_FOUND, LIMIT_MS, &err) < 0)
		give_up(err.text);
	begin = now_s(CLOCK_THREAD_CPUTIME_ID);
	if (ff_engine_resume(host->engine, ff_source_of(host->journal.text, host->journal.len), &err) < 0)
		give_up(err.text);
	return now_s(CLOCK_THREAD_CPUTIME_ID) - begin;
}

static struct vw *make_clouds(unsigned vms)
{
	struct vw *vw = vw_new(7);
	struct ff_err err = {0};
	json_t *scenario;

	vw->in_model = in_model;
	vw_meter_in(vw);
	scenario = make_scenario(vw, vms);
	if (vw_open(vw, scenario, &err) < 0)
		give_up(err.text);
	json_decref(scenario);
	vw_meter_out(vw);
	return vw;
}

static void run(unsigned vms, struct shares *s)
{
	const struct vw_run what = {.run = "scale", .azure = true, .aws = true, .gcp = true};
	struct ff_err err = {0};
	struct ff_counts counts;
	struct vw_host *host;
	struct vw *vw;
	int64_t began_ms;
	double begin_s;

	open_field();
	vw = make_clouds(vms);
	begin_s = now_s(CLOCK_THREAD_CPUTIME_ID) - meter.cpu_s;
	host = vw_host_new(vw);
	if (vw_host_begin(host, &what, &err) < 0 || vw_run_until(host, FF_PHASE_FOUND, LIMIT_MS, &err) < 0)
		give_up(err.text);
	s->found_mb = own_mb();
	began_ms = vw->now_ms;
	if (vw_host_repair(host, &err) < 0 || vw_run_until(host, FF_PHASE_ENDED, LIMIT_MS, &err) < 0)
		give_up(err.text);
	ff_engine_counts(host->engine, &counts);
	s->failed = counts.ended[FF_O_REPAIRED] != vms;
	s->model_cpu_s = meter.cpu_s;
	s->own_cpu_s = now_s(CLOCK_THREAD_CPUTIME_ID) - begin_s - meter.cpu_s;
	s->own_mb = own_mb();
	s->journal_mb = (double)host->journal.len / 1048576;
	s->model_mb = (double)(meter.top - meter.field) / 1048576 - s->journal_mb;
	s->makespan_s = (double)(vw->now_ms - began_ms) / 1000;
	s->requests = vw->requests;
	s->status_s = status_s(host);
	s->resume_s = resume_s(host, &what);
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
	printf("%u VMs: fixfleet %.1f MB (%.1f MB once found), %.1f s CPU; model %.1f MB, %.1f s CPU; journal %.1f MB "
	       "(%.1f KB a VM), read in %.2f s, replayed in %.2f s; %" PRIu64 " requests, makespan %.0f s\n",
		vms, s->own_mb, s->found_mb, s->own_cpu_s, s->model_mb, s->model_cpu_s, s->journal_mb,
		s->journal_mb * 1024 / vms, s->status_s, s->resume_s, s->requests, s->makespan_s);
}

static int by_cpu(const void *a, const void *b)
{
	double x = ((const struct shares *)a)->own_cpu_s, y = ((const struct shares *)b)->own_cpu_s;

	return (x > y) - (x < y);
}

/* Two seconds are soon over and differ from run to run: the one in the middle of five. */
static const struct shares *run_few(struct shares *s)
{
	for (size_t n = 0; n < FEW_TIMES; n++)
		run_apart(FEW, &s[n]);
	qsort(s, FEW_TIMES, sizeof(*s), by_cpu);
	return &s[FEW_TIMES / 2];
}

int main(int argc, char **argv)
{
	int64_t vms = 0;
	struct shares *s =
		mmap(NULL, (1 + FEW_TIMES) * sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct shares *few;

	if (s == MAP_FAILED)
		give_up("no memory");
	if (argc > 1) {
		if (ff_parse_i64(argv[1], CLOUDS, MANY * 10, &vms) < 0)
			give_up("usage: bench-scale [VMS]");
		run_apart((unsigned)vms, &s[0]);
		return 0;
	}
	few = run_few(s + 1);
	run_apart(MANY, s);
	printf("figure rss_mb_10k %.1f MB\n", s->own_mb);
	printf("figure cpu_s_10k %.1f s\n", s->own_cpu_s);
	printf("figure rss_growth %.2f ratio\n", s->own_mb / few->own_mb);
	printf("figure cpu_growth %.2f ratio\n", s->own_cpu_s / few->own_cpu_s);
	printf("figure journal_kb_per_vm %.1f KB\n", s->journal_mb * 1024 / MANY);
	printf("figure replay_s_10k %.2f s\n", s->status_s > s->resume_s ? s->status_s : s->resume_s);
	return 0;
}
