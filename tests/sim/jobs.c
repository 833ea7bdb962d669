#include "jobs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SHOWN_MAX 20

struct jobs_board *jobs_board_new(void)
{
	struct jobs_board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		abort();
	return b;
}

/* Who asks for a piece has asked for those before it, so that `next` is never behind it. */
bool jobs_take(struct jobs_board *b, uint64_t turn)
{
	return __atomic_compare_exchange_n(&b->next, &turn, turn + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void failed(struct jobs_board *b, struct job *job, const char *how, const char *why)
{
	if (++job->failures <= SHOWN_MAX)
		printf("FAILED %s\n%s  replay: build/sim %s --story\n", how, why, how);
	fflush(stdout);
	b->stop = b->stop || b->stop_at_failure;
}

void jobs_note(struct jobs_board *b, struct job *job, struct vw_incident_result *r, const char *how)
{
	job->incidents++;
	job->disks_lost += r->disks_lost;
	job->vms += r->vms;
	job->requests += r->requests;
	for (size_t k = 0; k < VW_F_COUNT; k++)
		job->counts[k] += r->counts[k];
	if (r->failed)
		failed(b, job, how, r->why.text);
	ff_buf_free(&r->why);
}

void jobs_note_death(struct jobs_board *b, struct job *job, int status, const char *how)
{
	bool signal = WIFSIGNALED(status);
	ff_auto_free char *why = ff_printf("  the process ended with %s %d\n", signal ? "signal" : "status",
		signal ? WTERMSIG(status) : WEXITSTATUS(status));

	job->incidents++;
	failed(b, job, how, why);
}

void jobs_run(
	struct jobs_board *b, struct job *job, uint64_t seed, const struct vw_incident_options *o, const char *how)
{
	struct vw_incident_result r = {0};

	if (b->stop)
		return;
	snprintf(job->how, sizeof(job->how), "%s", how);
	vw_incident(seed, o, &r);
	jobs_note(b, job, &r, how);
}
