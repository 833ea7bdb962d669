#include "nbd_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fixfleet/mem.h"

int nbd_get(int fd, void *bytes, size_t len)
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

int nbd_put(int fd, const void *bytes, size_t len)
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

char *nbd_make_folder(struct ff_err *err)
{
	const char *tmp = getenv("TMPDIR");
	ff_auto_free char *dir = NULL;

	if (tmp == NULL || tmp[0] != '/' || strlen(tmp) > sizeof(((struct sockaddr_un *)NULL)->sun_path) - 40)
		tmp = "/tmp";
	dir = ff_printf("%s/fixfleet-XXXXXX", tmp);
	if (mkdtemp(dir) != NULL)
		return FF_STEAL(dir);
	ff_fail(err, FF_E_LOCAL, "cannot make a folder in '%s': %m", tmp);
	return NULL;
}
