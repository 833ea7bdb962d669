/*
 * Faults are tried as a tree. The incident without a fault is run once; at each request that arrives the process forks
 * for each kind of fault, and the child goes on with that request meeting it. The child forks at each later request in
 * its turn, to the end of its incident, which the first fault has made longer. So the part that incidents have in
 * common is run once, and no pair is left out. Each is the very incident that its options replay from the begin: a
 * fault changes nothing before its request.
 */
#include "every.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const clouds[] = {"azure", "aws", "gcp"};

/* What is disturbed: a repair, or what comes after it. */
static const struct vw_incident_options courses[] = {
	{.after_count = 0}, {.after = {FF_FLOW_ROLLBACK}, .after_count = 1},
	{.after = {FF_FLOW_CLEANUP}, .after_count = 1},
	{.after = {FF_FLOW_ROLLBACK, FF_FLOW_CLEANUP}, .after_count = 2},
	{.lost = true, .after = {FF_FLOW_ROLLBACK}, .after_count = 1},
	{.lost = true}, /* a repair, of which the recovery is disturbed */
};

/* Those that are tried in pairs; the others are like one of them to who waits for the answer. */
static const enum vw_fault_kind paired[] = {
	VW_F_SERVER_ERROR, VW_F_RESET_BEFORE, VW_F_RESET_AFTER, VW_F_OP_FAILS, VW_F_DIES_BEFORE, VW_F_DIES_AFTER};

/* As the options of the command line have it. Owned. */
static char *words_of(const struct vw_incident_options *o)
{
	struct ff_buf words = {0};

	ff_buf_addf(&words, "--cloud %s", o->cloud);
	for (unsigned n = 0; n < o->after_count; n++)
		ff_buf_addf(&words, " --after %s", ff_flow_name(o->after[n]));
	if (o->lost)
		ff_buf_addf(&words, " --lost");
	return words.text;
}

/* ---------------------------------------------------------------- crashes */

static void crashes(struct jobs_board *b, struct job *job, const struct vw_incident_options *what, uint64_t *turn)
{
	struct vw_incident_result plain = {0};
	struct vw_incident_options o = *what;
	ff_auto_free char *words = words_of(what);

	o.vms = 2;
	vw_incident(EVERY_SEED, &o, &plain);
	for (uint64_t n = 1; n <= plain.sends || n <= plain.appends || n <= plain.syncs; n++) {
		const struct vw_break at[] = {{.send_before = n}, {.send_after = n}, {.append_before = n},
			{.append_after = n}, {.sync_before = n}, {.sync_after = n}};
		static const char *const names[] = {
			"send-before", "send-after", "append-before", "append-after", "sync-before", "sync-after"};

		for (size_t k = 0; k < FF_COUNT(at); k++) {
			ff_auto_free char *how = ff_printf("%s --crash %s %" PRIu64, words, names[k], n);

			if (!jobs_take(b, (*turn)++))
				continue;
			o.crash = at[k];
			jobs_run(b, job, EVERY_SEED, &o, how);
		}
	}
	ff_buf_free(&plain.why);
}

/* ---------------------------------------------------------------- faults */

/* Of this process; a child has its own. */
static struct tree {
	struct jobs_board *b;
	struct job *job;
	uint64_t *turn;
	bool some, lost;
	size_t met; /* faults of this process's incident */
	char how[sizeof(((struct job *)NULL)->how)];
} tree;

static int place_of(enum vw_fault_kind kind)
{
	for (size_t k = 0; k < FF_COUNT(paired); k++)
		if (paired[k] == kind)
			return (int)k;
	return -1;
}

/*
 * An operation that fails, hangs or ends late is one that the request begins; a request that only reads begins none.
 * The model would pass over such a fault, and the incident be the same as without it. Whether what only reads arrives
 * is all the same to who dies, and who is dead does not die again. Nobody mends what is well or claimed.
 */
static bool can_meet(struct vw *vw, enum vw_fault_kind kind, const struct vw_host *host, bool mutates)
{
	switch (kind) {
	case VW_F_OP_FAILS:
	case VW_F_OP_HANGS:
	case VW_F_OP_LATE:
		return mutates;
	case VW_F_DIES_BEFORE:
		return mutates && host != NULL;
	case VW_F_DIES_AFTER:
		return host != NULL;
	case VW_F_MENDED:
		return vw->to_mend(vw);
	default:
		return true;
	}
}

/* Of a lost run each change is its last, and each fault meets each request of its recovery. */
static bool is_wanted_of_lost(const struct vw *vw, enum vw_fault_kind kind, bool mutates)
{
	bool dies = kind == VW_F_DIES_BEFORE || kind == VW_F_DIES_AFTER;

	if (tree.met == 0)
		return dies && mutates && jobs_take(tree.b, (*tree.turn)++);
	return !tree.some || (uint64_t)kind == (vw->faults.exact[0].number + vw->arrived) % VW_F_MENDED;
}

static bool is_wanted(struct vw *vw, enum vw_fault_kind kind, const struct vw_host *host, bool mutates)
{
	uint64_t kinds = FF_COUNT(paired), first = vw->faults.exact[0].number;

	if ((tree.met > 0 && !tree.lost && place_of(kind) < 0) || !can_meet(vw, kind, host, mutates))
		return false;
	if (tree.lost)
		return is_wanted_of_lost(vw, kind, mutates);
	if (tree.met == 0)
		return jobs_take(tree.b, (*tree.turn)++);
	return !tree.some || (uint64_t)(place_of(vw->faults.exact[0].kind)) * kinds + (uint64_t)place_of(kind) ==
				     (first + vw->arrived * 5) % (kinds * kinds);
}

static void meet(struct vw *vw, enum vw_fault_kind kind)
{
	vw->faults.exact[tree.met].number = vw->arrived;
	vw->faults.exact[tree.met].kind = kind;
	if (++tree.met == FF_COUNT(vw->faults.exact) || place_of(kind) < 0)
		vw->at_request = NULL;
}

/* A child goes on, and its parent comes back when the child has ended. */
static bool forks(const char *how)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return true;
	}
	if (pid < 0)
		abort();
	waitpid(pid, &status, 0);
	if (status != 0)
		jobs_note_death(tree.b, tree.job, status, how);
	return false;
}

static void at_request(struct vw *vw, const struct vw_host *host, bool mutates)
{
	for (int kind = 0; kind < VW_F_EXACT && !tree.b->stop; kind++) {
		ff_auto_free char *how = NULL;

		if (!is_wanted(vw, (enum vw_fault_kind)kind, host, mutates))
			continue;
		how = ff_printf("%s --fault %" PRIu64 " %s", tree.how, vw->arrived, vw_fault_names[kind]);
		if (!forks(how))
			continue;
		snprintf(tree.how, sizeof(tree.how), "%s", how);
		meet(vw, (enum vw_fault_kind)kind);
		return;
	}
}

static void faults(
	struct jobs_board *b, struct job *job, const struct vw_incident_options *what, bool some, uint64_t *turn)
{
	struct vw_incident_options o = *what;
	struct vw_incident_result r = {0};
	ff_auto_free char *words = words_of(what);
	bool mine = jobs_take(b, (*turn)++);

	o.vms = 1;
	o.at_request = at_request;
	tree = (struct tree){.b = b, .job = job, .turn = turn, .some = some, .lost = what->lost};
	snprintf(tree.how, sizeof(tree.how), "%s --vms 1", words);
	snprintf(job->how, sizeof(job->how), "%s", tree.how);
	vw_incident(EVERY_SEED, &o, &r);
	if (tree.met > 0 || mine)
		jobs_note(b, job, &r, tree.how);
	if (tree.met > 0)
		_exit(0);
	ff_buf_free(&r.why);
}

void every_job(struct jobs_board *b, struct job *job, const char *only, bool some)
{
	uint64_t turn = 0;

	for (size_t c = 0; c < FF_COUNT(clouds); c++) {
		if (only != NULL && !ff_streq(only, clouds[c]))
			continue;
		for (size_t n = 0; n < FF_COUNT(courses); n++) {
			struct vw_incident_options o = courses[n];

			o.cloud = clouds[c];
			crashes(b, job, &o, &turn);
			faults(b, job, &o, some, &turn);
		}
	}
}
