/*
 * Files whose content is an answer: tokens, keys, certificates. Read at once, in send(): they are small and local.
 */
#include "rt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* O_NONBLOCK: opening a FIFO without a writer must not hang; it means nothing for the regular files that are read. */
static int open_regular(const char *path, size_t *bytes)
{
	struct stat st = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -1;
	(void)fstat(fd, &st); /* cannot fail on what was just opened; if it did, the mode is that of nothing */
	if (S_ISREG(st.st_mode)) {
		*bytes = (size_t)st.st_size;
		return fd;
	}
	close(fd);
	errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	return -1;
}

static ssize_t read_some(int fd, void *bytes, size_t len)
{
	ssize_t n;

	do
		n = read(fd, bytes, len);
	while (n < 0 && errno == EINTR);
	return n;
}

/* 0, 1 when it holds more than `max`, -1 with errno. The size from fstat is a hint: files grow, /proc says 0. */
static int read_file(int fd, size_t max, bool secret, struct ff_buf *out)
{
	char piece[16 * 1024];
	ssize_t n;

	while ((n = read_some(fd, piece, sizeof(piece))) > 0 && (size_t)n <= max - out->len)
		rt_buf_add(out, piece, (size_t)n, secret);
	if (secret)
		ff_wipe(piece, sizeof(piece));
	return n < 0 ? -1 : n > 0;
}

void rt_file_start(struct rt_op *op)
{
	const char *path = op->ask.path ? op->ask.path : "";
	size_t hint = 0, max = rt_op_bytes_max(op);
	ff_auto_close int fd = open_regular(path, &hint);
	struct ff_buf text = {0};
	int rc = -1, error;

	if (fd >= 0)
		rc = hint > max ? 1 : read_file(fd, max, op->ask.secret, &text);
	error = errno;
	op->answer.body_len = text.len;
	op->answer.body = text.text;
	if (rc > 0)
		rt_op_fail(op, FF_T_TOO_LARGE, EFBIG, "file '%s' is larger than %zu bytes", path, max);
	else if (rc < 0)
		rt_op_fail(op, FF_T_LOCAL, error, "cannot read file '%s': %s", path,
			error == EINVAL ? "not a regular file" : strerror(error));
	rt_op_finish_later(op);
}
