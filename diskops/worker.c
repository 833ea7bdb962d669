/*
 * The repair worker: see include/fixfleet/worker.h for the protocol.
 *
 *   worker.c     waits for devices, decides when a batch starts
 *   inbox.c      reads lines while libguestfs blocks
 *   lines.c      takes them
 *   outbox.c     writes lines
 *   batch.c      how many appliances
 *   lane.c       one of them: look, have kept, mend, close, tell
 *   appliance.c  launching libguestfs            boot.c  with an init of ours
 *   windows.c    what is on a disk      disk.c  its partitions      files.c, registry.c  what recipes want of it
 *   hive.c       keys and values of a registry hive     hive_file.c, hivelog.c  one that Windows was writing to
 *   tree.c       directories, any case
 *   mend.c       removing and proving
 *   device.c     the right disk, unused
 *   bitlocker.c  its encrypted volumes: part.c where they are, fve.c what protects them, fve_key.c opening that,
 *                volume.c their sectors, nbd.c those for the appliance
 *                store.c the disk below them, nbd_client.c when it is in an image that only qemu can read;
 *                nbd_wire.c what the two ends of NBD share
 *   job.c        what a job is
 *   recipe.c     what to mend
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "batch.h"
#include "bitlocker.h"
#include "device.h"
#include "fixfleet/clock.h"
#include "fixfleet/json.h"
#include "fixfleet/log.h"
#include "fixfleet/worker.h"

#define DISKS_MAX_DEFAULT 48
#define DISKS_MAX	  200  /* in one appliance: SCSI targets and labels go further, memory and patience do not */
#define GATHER_MS	  100  /* after a job, for the next one: an appliance costs seconds */
#define GATHER_MAX_MS	  3000 /* how long ready disks wait for those that have not appeared yet */
#define LOOK_MS		  200  /* between looks for a device */
#define STAGE_MS	  50
#define KEYS_MS		  300000 /* how long the controller may take to find keys: it may have to ask a vault */

int64_t worker_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---------------------------------------------------------------- devices */

/* Is its device known? */
static bool is_found(const struct job *job)
{
	return job->state == JOB_LOCKED || job->state == JOB_READY;
}

static bool same_as_another(struct worker *w, const struct job *job, struct ff_err *err)
{
	struct job *other;

	TAILQ_FOREACH (other, &w->waiting, next)
		if (other != job && is_found(other) && device_same(other, job)) {
			ff_fail(err, FF_E_LOCAL, "'%s' is also the disk of '%s'", job->path, other->name);
			return true;
		}
	return false;
}

static void make_ready(struct worker *w, struct job *job)
{
	job->state = JOB_READY;
	if (w->ready_since_ms == 0)
		w->ready_since_ms = worker_now_ms();
}

/* Its device is there: are keys needed to see what is on it? */
static void look_for_locks(struct worker *w, struct job *job)
{
	bitlocker_find(job);
	job->locked_mono_ms = worker_now_ms();
	if (bitlocker_ask(&w->out, job))
		job->state = JOB_LOCKED;
	else
		make_ready(w, job);
}

static void look_for_keys(struct worker *w, struct job *job)
{
	struct ff_err err;

	if (job->dropped) {
		ff_fail(&err, FF_E_LOCAL, "dropped by the controller: nothing was removed");
		job_fail(job, &err);
		return;
	}
	if (w->ended || worker_now_ms() - job->locked_mono_ms >= KEYS_MS)
		bitlocker_give_up(job, w->ended ? "the controller left" : "none came within 5 minutes");
	if (!bitlocker_waits(job))
		make_ready(w, job);
}

static void look_for_device(struct worker *w, struct job *job)
{
	char waited[FF_TIME_BYTES];
	struct ff_err err;
	int found = device_find(job, &err);

	if (found == 0 && worker_now_ms() - job->accepted_mono_ms >= job->wait_ms)
		found = ff_fail(&err, FF_E_LOCAL, "no disk appeared at '%s/%s' within %s", job->dev_root,
			job->paths.items[0], ff_duration(job->wait_ms, waited));
	if (found == 1 && same_as_another(w, job, &err))
		found = -1;
	if (job->dropped)
		found = ff_fail(&err, FF_E_LOCAL, "dropped by the controller: nothing was removed");
	if (found < 0)
		job_fail(job, &err);
	else if (found == 1)
		look_for_locks(w, job);
}

static void look_for_devices(struct worker *w)
{
	struct job *job, *after;

	TAILQ_FOREACH (job, &w->waiting, next)
		if (job->state == JOB_WAITING || (job->state == JOB_READY && job->dropped))
			look_for_device(w, job);
		else if (job->state == JOB_LOCKED)
			look_for_keys(w, job);
	for (job = TAILQ_FIRST(&w->waiting); job != NULL; job = after) {
		after = TAILQ_NEXT(job, next);
		if (job->state != JOB_ENDED)
			continue;
		TAILQ_REMOVE(&w->waiting, job, next);
		outbox_done(&w->out, job, worker_now_ms());
		job_free(job);
		w->job_count--;
	}
}

/* ---------------------------------------------------------------- batches */

static size_t count_state(const struct worker *w, enum job_state state)
{
	const struct job *job;
	size_t n = 0;

	TAILQ_FOREACH (job, &w->waiting, next)
		n += job->state == state;
	return n;
}

/* Now, or is it worth waiting for more disks to share the appliance? */
static bool time_to_start(const struct worker *w)
{
	size_t ready = count_state(w, JOB_READY);
	int64_t now = worker_now_ms();

	if (ready == 0)
		return false;
	if (ready >= batch_room(w) || w->ended || now - w->ready_since_ms >= GATHER_MAX_MS)
		return true;
	return count_state(w, JOB_WAITING) + count_state(w, JOB_LOCKED) == 0 && now - w->last_job_ms >= GATHER_MS;
}

static void start_batch(struct worker *w)
{
	struct job *batch[BATCH_JOBS_MAX], *job, *after;
	size_t n = 0, room = batch_room(w);

	for (job = TAILQ_FIRST(&w->waiting); job != NULL && n < room; job = after) {
		after = TAILQ_NEXT(job, next);
		if (job->state != JOB_READY)
			continue;
		TAILQ_REMOVE(&w->waiting, job, next);
		batch[n++] = job;
	}
	batch_run(w, batch, n);
	w->ready_since_ms = count_state(w, JOB_READY) > 0 ? worker_now_ms() : 0;
}

static void probe(struct worker *w)
{
	struct appliance a;
	struct ff_err err;
	json_t *event;

	w->probe_wanted = false;
	if (appliance_launch(&a, &w->launcher, NULL, 0, &err) < 0) {
		ff_auto_free char *reason = ff_printable(err.text);

		event = outbox_event("unable", NULL);
		ff_json_set_str(event, "class", ff_class_name(err.class));
		ff_json_set_str(event, "reason", reason);
	} else {
		ff_auto_free char *version = appliance_version();
		ff_auto_free char *note = w->launcher.note ? ff_printable(w->launcher.note) : NULL;

		event = outbox_event("ready", NULL);
		ff_json_set_str(event, "libguestfs", version);
		ff_json_set_str(event, "acceleration", a.tcg ? "tcg" : "kvm");
		ff_json_set_str(event, "note", note);
		free(w->launcher.note);
		w->launcher.note = NULL;
		appliance_close(&a);
	}
	outbox_send(&w->out, event);
}

/* How long nothing can happen unless a line comes: for ever without jobs. */
static int idle_ms(const struct worker *w)
{
	if (w->probe_wanted)
		return 0;
	if (count_state(w, JOB_READY) > 0)
		return STAGE_MS;
	return w->job_count > 0 ? LOOK_MS : -1;
}

static void serve(struct worker *w)
{
	json_t *hello = outbox_event("hello", NULL);

	ff_json_set_int(hello, "version", FF_WORKER_VERSION);
	ff_json_set_str(hello, "program", "fixfleet " FF_VERSION);
	outbox_send(&w->out, hello);
	while (!w->stopping && !outbox_broken(&w->out)) {
		if (w->ended && w->job_count == 0 && !w->probe_wanted)
			break;
		worker_listen(w, idle_ms(w));
		if (w->stopping)
			break;
		if (w->probe_wanted)
			probe(w);
		look_for_devices(w);
		if (time_to_start(w))
			start_batch(w);
	}
}

/* Stopped: what was asked for is answered, for whoever still listens. */
static void drop_the_rest(struct worker *w)
{
	struct job *job;

	while ((job = TAILQ_FIRST(&w->waiting)) != NULL) {
		TAILQ_REMOVE(&w->waiting, job, next);
		job_fail(job, &w->why);
		outbox_done(&w->out, job, worker_now_ms());
		job_free(job);
	}
}

/* ---------------------------------------------------------------- the process */

static int stop_pipe[2] = {-1, -1};

static void on_signal(int number)
{
	int saved = errno;
	ssize_t ignored = number == SIGINT ? 0 : write(stop_pipe[1], "s", 1);

	(void)ignored; /* the pipe is full: we were told already */
	errno = saved;
}

/*
 * SIGTERM and SIGHUP: close and leave. SIGINT: a Ctrl-C at the terminal is for the controller, which decides. Handlers
 * rather than SIG_IGN, because what is ignored here would be ignored in qemu too; SIGPIPE libguestfs resets itself.
 */
static void handle_signals(struct sigaction *old)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGTERM, &action, &old[0]);
	sigaction(SIGHUP, &action, &old[1]);
	sigaction(SIGINT, &action, &old[2]);
	sigaction(SIGPIPE, &ignore, &old[3]);
}

static void restore_signals(const struct sigaction *old)
{
	sigaction(SIGTERM, &old[0], NULL);
	sigaction(SIGHUP, &old[1], NULL);
	sigaction(SIGINT, &old[2], NULL);
	sigaction(SIGPIPE, &old[3], NULL);
}

/*
 * The lines' descriptors under numbers of our own that no child inherits; what libguestfs' helpers print goes to stderr
 * instead, and they find nothing to read.
 */
static int take_descriptors(const struct ff_worker_options *options, int *in, int *out)
{
	*in = fcntl(options->in_fd, F_DUPFD_CLOEXEC, 3);
	*out = fcntl(options->out_fd, F_DUPFD_CLOEXEC, 3);
	if (*in < 0 || *out < 0)
		return -1;
	if (options->out_fd == STDOUT_FILENO && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -1;
	if (options->in_fd == STDIN_FILENO) {
		ff_auto_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (null < 0 || dup2(null, STDIN_FILENO) < 0)
			return -1;
	}
	return 0;
}

static int serve_and_clean_up(struct worker *w, int in)
{
	struct sigaction old[4];
	struct ff_err err;

	handle_signals(old);
	w->inbox = inbox_start(in, w->out.fd, stop_pipe[0], &err);
	if (w->inbox == NULL) {
		ff_log(FF_LOG_ERROR, "worker", "%s", err.text);
		w->status = 1;
	} else {
		serve(w);
		drop_the_rest(w);
	}
	restore_signals(old);
	inbox_stop(w->inbox);
	free(w->launcher.note);
	return w->out.broken ? 1 : w->status;
}

static void init_locks(struct worker *w)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->out.lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&w->news, &attributes);
	pthread_condattr_destroy(&attributes);
}

int ff_worker_main(const struct ff_worker_options *options)
{
	unsigned max = options->disks_max ? options->disks_max : DISKS_MAX_DEFAULT;
	struct worker w = {.launcher = {.memory_mb = options->memory_mb},
		.disks_max = max < DISKS_MAX ? max : DISKS_MAX,
		.lanes_max = options->appliances < FF_WORKER_APPLIANCES_MAX ? options->appliances
									    : FF_WORKER_APPLIANCES_MAX};
	ff_auto_close int in = -1;
	ff_auto_close int out = -1;
	int status;

	TAILQ_INIT(&w.waiting);
	init_locks(&w);
	if (take_descriptors(options, &in, &out) < 0 || pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		ff_log(FF_LOG_ERROR, "worker", "cannot prepare: %m");
		return 1;
	}
	w.out.fd = out;
	status = serve_and_clean_up(&w, in);
	close(stop_pipe[0]);
	close(stop_pipe[1]);
	return status;
}
