/*
 * What a controller says, heard by the worker: the input comes through a pipe, as lines, up to the end of input or what
 * is no protocol. No device is looked for and no appliance launched.
 */
#include <fcntl.h>
#include <unistd.h>

#include "diskops/batch.h"
#include "fixfleet/log.h"
#include "fuzz.h"

#define PIPE_BYTES 65536

static int null_fd = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	FUZZ_CHECK(null_fd >= 0, "/dev/null");
	ff_log_setup(FF_LOG_ERROR - 1, FF_LOG_TEXT);
	return 0;
}

static void check_job(const struct job *job)
{
	FUZZ_CHECK(job->id != NULL && job->id[0] != '\0', "a job without a name");
	if (job->state == JOB_ENDED) {
		FUZZ_CHECK(job->result == JOB_FAILED && job->reason[0] != '\0', "it ended well without a disk");
		return;
	}
	FUZZ_CHECK(job->state == JOB_WAITING && job->dev_root[0] == '/' && job->paths.count > 0, "%s", job->id);
	FUZZ_CHECK(job->recipe_count > 0 && job->wait_ms >= 0, "%s", job->id);
	for (size_t i = 0; i < job->paths.count; i++)
		FUZZ_CHECK(job->paths.items[i][0] != '/' && !ff_has_prefix(job->paths.items[i], "../") &&
				   strstr(job->paths.items[i], "/../") == NULL,
			"%s", job->paths.items[i]);
	FUZZ_CHECK(!job->kept, "'%s' was kept, and nothing was asked", job->id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct worker w = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};
	struct ff_err err = {0};
	struct job *job;
	int fds[2];

	size = size < PIPE_BYTES ? size : PIPE_BYTES;
	FUZZ_CHECK(pipe2(fds, O_CLOEXEC) == 0 && write(fds[1], data, size) == (ssize_t)size, "pipe");
	close(fds[1]);
	TAILQ_INIT(&w.waiting);
	w.inbox = inbox_start(fds[0], null_fd, -1, &err);
	FUZZ_CHECK(w.inbox != NULL, "%s", err.text);
	while (!w.ended && !w.stopping)
		worker_listen(&w, -1);
	FUZZ_CHECK(w.ended || (w.status == 1 && w.why.text[0] != '\0'), "it stopped without a reason");
	inbox_stop(w.inbox);
	close(fds[0]);
	while ((job = TAILQ_FIRST(&w.waiting)) != NULL) {
		check_job(job);
		TAILQ_REMOVE(&w.waiting, job, next);
		w.job_count--;
		job_free(job);
	}
	FUZZ_CHECK(w.job_count == 0, "%zu jobs", w.job_count);
	return 0;
}
