#include "nbd.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fixfleet/log.h"
#include "fixfleet/mem.h"
#include "nbd_wire.h"

#define OPTION_BYTES_MAX 4096

enum reply { REP_ACK = 1, REP_INFO = 3 };
#define REP_UNSUPPORTED 0x80000001u
#define REP_INVALID	0x80000003u
#define FLAG_HAS_FLAGS	1u
#define FLAG_READ_ONLY	2u
#define FLAG_FLUSH	4u
#define FLAG_FUA	8u
#define COMMAND_FUA	1u

struct nbd {
	struct plain *volume;
	bool readonly;
	char *dir, *path;
	int listener;
	pthread_t thread;
	uint8_t *bytes; /* VOLUME_PIECE_MAX of them: one request's */
	pthread_mutex_t lock;
	int peer; /* the connection, -1: none */
	bool stopping;
};

/* ---------------------------------------------------------------- numbers */

static int put16(int fd, uint16_t value)
{
	value = htobe16(value);
	return nbd_put(fd, &value, sizeof(value));
}

static int put32(int fd, uint32_t value)
{
	value = htobe32(value);
	return nbd_put(fd, &value, sizeof(value));
}

static int put64(int fd, uint64_t value)
{
	value = htobe64(value);
	return nbd_put(fd, &value, sizeof(value));
}

/* ---------------------------------------------------------------- shaking hands */

static uint16_t export_flags(const struct nbd *n)
{
	return FLAG_HAS_FLAGS | FLAG_FLUSH | FLAG_FUA | (n->readonly ? FLAG_READ_ONLY : 0);
}

static int reply(int fd, uint32_t option, uint32_t kind, uint32_t len)
{
	return put64(fd, NBD_MAGIC_REPLY) < 0 || put32(fd, option) < 0 || put32(fd, kind) < 0 || put32(fd, len) < 0 ? -1
														    : 0;
}

/* Size and flags, and that only whole sectors are taken: qemu then reads around what is smaller. */
static int tell_info(const struct nbd *n, int fd, uint32_t option)
{
	unsigned sector = volume_sector_bytes(n->volume);

	if (reply(fd, option, REP_INFO, 12) < 0 || put16(fd, 0) < 0 || put64(fd, volume_bytes(n->volume)) < 0 ||
		put16(fd, export_flags(n)) < 0)
		return -1;
	if (reply(fd, option, REP_INFO, 14) < 0 || put16(fd, 3) < 0 || put32(fd, sector) < 0 || put32(fd, 4096) < 0 ||
		put32(fd, VOLUME_PIECE_MAX) < 0)
		return -1;
	return reply(fd, option, REP_ACK, 0);
}

static int tell_export(const struct nbd *n, int fd, bool zeros)
{
	static const char nothing[124];

	if (put64(fd, volume_bytes(n->volume)) < 0 || put16(fd, export_flags(n)) < 0)
		return -1;
	return zeros ? nbd_put(fd, nothing, sizeof(nothing)) : 0;
}

/* One option. 1: requests follow; 0: options go on; -1: the end. */
static int take_option(const struct nbd *n, int fd, bool zeros)
{
	uint64_t magic = 0;
	uint32_t option = 0, len = 0;
	char data[OPTION_BYTES_MAX];

	if (nbd_get(fd, &magic, sizeof(magic)) < 0 || be64toh(magic) != NBD_MAGIC_OPTION ||
		nbd_get(fd, &option, sizeof(option)) < 0 || nbd_get(fd, &len, sizeof(len)) < 0)
		return -1;
	option = be32toh(option);
	len = be32toh(len);
	if (len > sizeof(data) || nbd_get(fd, data, len) < 0)
		return -1;
	switch (option) {
	case NBD_OPT_EXPORT_NAME:
		return tell_export(n, fd, zeros) < 0 ? -1 : 1;
	case NBD_OPT_INFO:
		return tell_info(n, fd, option);
	case NBD_OPT_GO:
		return tell_info(n, fd, option) < 0 ? -1 : 1;
	case NBD_OPT_ABORT:
		reply(fd, option, REP_ACK, 0);
		return -1;
	default:
		return reply(fd, option, REP_UNSUPPORTED, 0);
	}
}

static int shake_hands(const struct nbd *n, int fd)
{
	uint32_t flags = 0;
	int rc = 0;

	if (put64(fd, NBD_MAGIC_SERVER) < 0 || put64(fd, NBD_MAGIC_OPTION) < 0 ||
		put16(fd, NBD_HANDSHAKE_FIXED | NBD_HANDSHAKE_NO_ZEROS) < 0 || nbd_get(fd, &flags, sizeof(flags)) < 0)
		return -1;
	while (rc == 0)
		rc = take_option(n, fd, (be32toh(flags) & NBD_HANDSHAKE_NO_ZEROS) == 0);
	return rc;
}

/* ---------------------------------------------------------------- requests */

static int answer(int fd, const struct nbd_request *r, int error)
{
	struct nbd_answer a = {htobe32(NBD_MAGIC_ANSWER), htobe32((uint32_t)error), r->handle};

	return nbd_put(fd, &a, sizeof(a));
}

static int serve_read(const struct nbd *n, int fd, const struct nbd_request *r, uint64_t offset, uint32_t len)
{
	int rc = len > VOLUME_PIECE_MAX ? EINVAL : volume_read(n->volume, offset, n->bytes, len);

	if (answer(fd, r, rc) < 0)
		return -1;
	return rc == 0 ? nbd_put(fd, n->bytes, len) : 0;
}

static int serve_write(const struct nbd *n, int fd, const struct nbd_request *r, uint64_t offset, uint32_t len)
{
	int rc;

	if (len > VOLUME_PIECE_MAX || nbd_get(fd, n->bytes, len) < 0)
		return -1; /* more than was agreed on: where the next request begins cannot be known */
	rc = n->readonly ? EPERM : volume_write(n->volume, offset, n->bytes, len);
	if (rc == 0 && (be16toh(r->flags) & COMMAND_FUA) != 0)
		rc = volume_flush(n->volume);
	return answer(fd, r, rc);
}

static int serve(const struct nbd *n, int fd)
{
	struct nbd_request r;

	if (nbd_get(fd, &r, sizeof(r)) < 0 || be32toh(r.magic) != NBD_MAGIC_REQUEST)
		return -1;
	switch (be16toh(r.command)) {
	case NBD_CMD_READ:
		return serve_read(n, fd, &r, be64toh(r.offset), be32toh(r.len));
	case NBD_CMD_WRITE:
		return serve_write(n, fd, &r, be64toh(r.offset), be32toh(r.len));
	case NBD_CMD_FLUSH:
		return answer(fd, &r, n->readonly ? 0 : volume_flush(n->volume));
	case NBD_CMD_DISCONNECT:
		return -1;
	default:
		return answer(fd, &r, EINVAL);
	}
}

/* ---------------------------------------------------------------- the thread */

/* The connection that nbd_stop() must be able to end. */
static bool set_peer(struct nbd *n, int fd)
{
	bool stopping;

	pthread_mutex_lock(&n->lock);
	stopping = n->stopping;
	n->peer = stopping ? -1 : fd;
	pthread_mutex_unlock(&n->lock);
	return !stopping;
}

static void *run(void *arg)
{
	struct nbd *n = arg;

	for (;;) {
		int fd = accept4(n->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return NULL;
		if (set_peer(n, fd) && shake_hands(n, fd) == 1)
			while (serve(n, fd) == 0)
				;
		set_peer(n, -1);
		close(fd);
	}
}

/* ---------------------------------------------------------------- beginning and end */

static int make_socket(struct nbd *n, struct ff_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	n->dir = nbd_make_folder(err);
	if (n->dir == NULL)
		return -1;
	n->path = ff_printf("%s/plain", n->dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", n->path);
	n->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (n->listener < 0 || bind(n->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(n->listener, 4) < 0)
		return ff_fail(err, FF_E_LOCAL, "cannot listen on '%s': %m", n->path);
	return 0;
}

static void release(struct nbd *n)
{
	if (n->listener >= 0)
		close(n->listener);
	if (n->path != NULL)
		unlink(n->path);
	if (n->dir != NULL)
		rmdir(n->dir);
	if (n->bytes != NULL)
		ff_wipe(n->bytes, VOLUME_PIECE_MAX);
	pthread_mutex_destroy(&n->lock);
	free(n->bytes);
	free(n->path);
	free(n->dir);
	free(n);
}

struct nbd *nbd_start(struct plain *volume, bool readonly, struct ff_err *err)
{
	struct nbd *n = ff_calloc(1, sizeof(*n));

	*n = (struct nbd){.volume = volume, .readonly = readonly, .listener = -1, .peer = -1};
	pthread_mutex_init(&n->lock, NULL);
	n->bytes = ff_calloc(VOLUME_PIECE_MAX, 1);
	if (make_socket(n, err) < 0)
		goto fail;
	errno = pthread_create(&n->thread, NULL, run, n);
	if (errno != 0) {
		ff_fail(err, FF_E_LOCAL, "cannot start a thread: %m");
		goto fail;
	}
	return n;

fail:
	release(n);
	return NULL;
}

const char *nbd_socket(const struct nbd *n)
{
	return n->path;
}

void nbd_stop(struct nbd *n)
{
	if (n == NULL)
		return;
	pthread_mutex_lock(&n->lock);
	n->stopping = true;
	if (n->peer >= 0)
		shutdown(n->peer, SHUT_RDWR);
	pthread_mutex_unlock(&n->lock);
	shutdown(n->listener, SHUT_RDWR); /* accept() then fails (Linux) */
	pthread_join(n->thread, NULL);
	release(n);
}
