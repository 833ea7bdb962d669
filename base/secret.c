#include "fixfleet/secret.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "fixfleet/log.h"
#include "fixfleet/mem.h"

/* Before the bytes that are handed out; keeps their alignment. */
struct head {
	size_t mapped;
	size_t unused;
};

static void say_unlocked_once(void)
{
	static bool said;

	if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		ff_log(FF_LOG_DEBUG, "keys", "memory for keys cannot be locked (ulimit -l): %m");
}

void *ff_secret_new(size_t bytes)
{
	struct head *head;
	size_t all;

	if (__builtin_add_overflow(bytes, sizeof(*head), &all))
		ff_oom();
	head = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (head == MAP_FAILED)
		ff_oom();
	/* a child (qemu, ssh) must not inherit it between fork and exec either */
	madvise(head, all, MADV_DONTDUMP);
	madvise(head, all, MADV_DONTFORK);
	if (mlock(head, all) < 0)
		say_unlocked_once();
	head->mapped = all;
	return head + 1;
}

char *ff_secret_strndup(const char *text, size_t bytes)
{
	size_t len = strnlen(text, bytes);
	char *copy = ff_secret_new(len + 1);

	memcpy(copy, text, len);
	return copy;
}

char *ff_secret_strdup(const char *text)
{
	return text != NULL ? ff_secret_strndup(text, strlen(text)) : NULL;
}

void ff_secret_free(void *secret)
{
	struct head *head = secret;
	size_t all;

	if (secret == NULL)
		return;
	head--;
	all = head->mapped;
	ff_wipe(head, all);
	munmap(head, all);
}
