#include "nbd_client.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define MAGIC_SERVER  UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define MAGIC_OPTION  UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define MAGIC_REQUEST UINT32_C(0x25609513)
#define MAGIC_ANSWER  UINT32_C(0x67446698)

enum { HANDSHAKE_FIXED = 1, HANDSHAKE_NO_ZEROS = 2 };
enum { OPT_EXPORT_NAME = 1 };
enum { CMD_READ = 0, CMD_WRITE = 1, CMD_DISCONNECT = 2, CMD_FLUSH = 3 };

static int get(int fd, void *bytes, size_t len)
{
	char *p = bytes;

	while (len > 0) {
		ssize_t n = recv(fd, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int put(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int nbd_client_hello(int fd, uint64_t *bytes)
{
	struct {
		uint64_t server, option;
		uint16_t flags;
	} __attribute__((packed)) greeting;
	struct {
		uint32_t flags;
		uint64_t magic;
		uint32_t option, len;
	} __attribute__((packed))
	wish = {htobe32(HANDSHAKE_FIXED | HANDSHAKE_NO_ZEROS), htobe64(MAGIC_OPTION), htobe32(OPT_EXPORT_NAME), 0};
	struct {
		uint64_t bytes;
		uint16_t flags;
	} __attribute__((packed)) export;

	if (get(fd, &greeting, sizeof(greeting)) < 0 || be64toh(greeting.server) != MAGIC_SERVER ||
		be64toh(greeting.option) != MAGIC_OPTION ||
		(be16toh(greeting.flags) & HANDSHAKE_NO_ZEROS) == 0 /* all servers since 2011 */)
		return -1;
	if (put(fd, &wish, sizeof(wish)) < 0 || get(fd, &export, sizeof(export)) < 0)
		return -1;
	*bytes = be64toh(export.bytes);
	return 0;
}

static int ask(int fd, uint16_t command, uint64_t offset, size_t len)
{
	struct {
		uint32_t magic;
		uint16_t flags, command;
		uint64_t handle, offset;
		uint32_t len;
	} __attribute__((packed))
	request = {htobe32(MAGIC_REQUEST), 0, htobe16(command), 0, htobe64(offset), htobe32((uint32_t)len)};

	return put(fd, &request, sizeof(request));
}

static int hear(int fd)
{
	struct {
		uint32_t magic, error;
		uint64_t handle;
	} __attribute__((packed)) answer;

	if (get(fd, &answer, sizeof(answer)) < 0 || be32toh(answer.magic) != MAGIC_ANSWER || answer.handle != 0)
		return EIO;
	return (int)be32toh(answer.error);
}

int nbd_client_read(int fd, uint64_t offset, void *bytes, size_t len)
{
	int rc = ask(fd, CMD_READ, offset, len) < 0 ? EIO : hear(fd);

	if (rc == 0 && get(fd, bytes, len) < 0)
		rc = EIO;
	return rc;
}

int nbd_client_write(int fd, uint64_t offset, const void *bytes, size_t len)
{
	if (ask(fd, CMD_WRITE, offset, len) < 0 || put(fd, bytes, len) < 0)
		return EIO;
	return hear(fd);
}

int nbd_client_flush(int fd)
{
	return ask(fd, CMD_FLUSH, 0, 0) < 0 ? EIO : hear(fd);
}

void nbd_client_bye(int fd)
{
	(void)ask(fd, CMD_DISCONNECT, 0, 0);
}
