#include "fixfleet/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[FF_E_COUNT] = {
	[FF_E_NONE] = "none",
	[FF_E_USAGE] = "usage",
	[FF_E_AUTH] = "auth",
	[FF_E_DENIED] = "denied",
	[FF_E_THROTTLED] = "throttled",
	[FF_E_TRANSIENT] = "transient",
	[FF_E_CONFLICT] = "conflict",
	[FF_E_GONE] = "gone",
	[FF_E_PERMANENT] = "permanent",
	[FF_E_DISK] = "disk",
	[FF_E_LOCAL] = "local",
	[FF_E_BUG] = "bug",
};

int ff_fail(struct ff_err *err, enum ff_class class, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (err == NULL)
		return -1;
	err->class = class;
	va_start(ap, fmt);
	errno = saved; /* for %m */
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	errno = saved;
	return -1;
}

int ff_wrap(struct ff_err *err, const char *fmt, ...)
{
	char inner[FF_ERR_TEXT_BYTES];
	va_list ap;
	size_t len;

	if (err == NULL)
		return -1;
	memcpy(inner, err->text, sizeof(inner));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", inner);
	return -1;
}

const char *ff_class_name(enum ff_class class)
{
	if ((unsigned)class >= FF_E_COUNT)
		return "bug";
	return names[class];
}

enum ff_class ff_class_from_name(const char *name)
{
	for (int i = 0; name != NULL && i < FF_E_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return (enum ff_class)i;
	return FF_E_BUG;
}
