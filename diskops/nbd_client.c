#include "nbd_client.h"

#include <endian.h>
#include <errno.h>

#include "nbd_wire.h"

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
	} __attribute__((packed)) wish = {htobe32(NBD_HANDSHAKE_FIXED | NBD_HANDSHAKE_NO_ZEROS),
		htobe64(NBD_MAGIC_OPTION), htobe32(NBD_OPT_EXPORT_NAME), 0};
	struct {
		uint64_t bytes;
		uint16_t flags;
	} __attribute__((packed)) export;

	if (nbd_get(fd, &greeting, sizeof(greeting)) < 0 || be64toh(greeting.server) != NBD_MAGIC_SERVER ||
		be64toh(greeting.option) != NBD_MAGIC_OPTION ||
		(be16toh(greeting.flags) & NBD_HANDSHAKE_NO_ZEROS) == 0 /* all servers since 2011 */)
		return -1;
	if (nbd_put(fd, &wish, sizeof(wish)) < 0 || nbd_get(fd, &export, sizeof(export)) < 0)
		return -1;
	*bytes = be64toh(export.bytes);
	return 0;
}

static int ask(int fd, uint16_t command, uint64_t offset, size_t len)
{
	struct nbd_request request = {
		htobe32(NBD_MAGIC_REQUEST), 0, htobe16(command), 0, htobe64(offset), htobe32((uint32_t)len)};

	return nbd_put(fd, &request, sizeof(request));
}

static int hear(int fd)
{
	struct nbd_answer answer;

	if (nbd_get(fd, &answer, sizeof(answer)) < 0 || be32toh(answer.magic) != NBD_MAGIC_ANSWER || answer.handle != 0)
		return EIO;
	return (int)be32toh(answer.error);
}

int nbd_client_read(int fd, uint64_t offset, void *bytes, size_t len)
{
	int rc = ask(fd, NBD_CMD_READ, offset, len) < 0 ? EIO : hear(fd);

	if (rc == 0 && nbd_get(fd, bytes, len) < 0)
		rc = EIO;
	return rc;
}

int nbd_client_write(int fd, uint64_t offset, const void *bytes, size_t len)
{
	if (ask(fd, NBD_CMD_WRITE, offset, len) < 0 || nbd_put(fd, bytes, len) < 0)
		return EIO;
	return hear(fd);
}

int nbd_client_flush(int fd)
{
	return ask(fd, NBD_CMD_FLUSH, 0, 0) < 0 ? EIO : hear(fd);
}

void nbd_client_bye(int fd)
{
	(void)ask(fd, NBD_CMD_DISCONNECT, 0, 0);
}
