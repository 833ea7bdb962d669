#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/mem.h"

struct ff_table_entry {
	struct ff_table_entry *next;
	void *value;
	uint64_t hash;
	char key[];
};

/* FNV-1a. Keys come from ids of the operator's own cloud; nobody gains by making them collide. */
static uint64_t hash_of(const char *key)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3u;
	return h;
}

/* The link that points to the entry of that key, or the NULL link where it would be. */
static struct ff_table_entry **link_of(const struct ff_table *t, const char *key, uint64_t hash)
{
	struct ff_table_entry **link = &t->buckets[hash & (t->room - 1)];

	while (*link != NULL && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
		link = &(*link)->next;
	return link;
}

static void grow(struct ff_table *t)
{
	struct ff_table bigger = {.room = t->room ? t->room * 2 : 16};

	bigger.buckets = ff_calloc(bigger.room, sizeof(*bigger.buckets));
	for (size_t i = 0; i < t->room; i++) {
		struct ff_table_entry *entry, *next;

		for (entry = t->buckets[i]; entry != NULL; entry = next) {
			struct ff_table_entry **head = &bigger.buckets[entry->hash & (bigger.room - 1)];

			next = entry->next;
			entry->next = *head;
			*head = entry;
		}
	}
	free(t->buckets);
	t->buckets = bigger.buckets;
	t->room = bigger.room;
}

void *ff_table_get(const struct ff_table *t, const char *key)
{
	struct ff_table_entry *entry = t->room ? *link_of(t, key, hash_of(key)) : NULL;

	return entry ? entry->value : NULL;
}

void ff_table_set(struct ff_table *t, const char *key, void *value)
{
	uint64_t hash = hash_of(key);
	struct ff_table_entry **link, *entry;
	size_t len = strlen(key);

	if (t->count >= t->room)
		grow(t);
	link = link_of(t, key, hash);
	if (*link != NULL) {
		(*link)->value = value;
		return;
	}
	entry = ff_calloc(1, sizeof(*entry) + len + 1);
	memcpy(entry->key, key, len + 1);
	entry->hash = hash;
	entry->value = value;
	*link = entry;
	t->count++;
}

void *ff_table_remove(struct ff_table *t, const char *key)
{
	struct ff_table_entry **link, *entry;
	void *value;

	if (t->room == 0)
		return NULL;
	link = link_of(t, key, hash_of(key));
	entry = *link;
	if (entry == NULL)
		return NULL;
	value = entry->value;
	*link = entry->next;
	free(entry);
	t->count--;
	return value;
}

void ff_table_sweep(
	struct ff_table *t, bool (*keep)(void *arg, void *value), void *arg, void (*free_value)(void *value))
{
	for (size_t i = 0; i < t->room; i++) {
		struct ff_table_entry **link = &t->buckets[i];

		while (*link != NULL) {
			struct ff_table_entry *entry = *link;

			if (keep(arg, entry->value)) {
				link = &entry->next;
				continue;
			}
			*link = entry->next;
			free_value(entry->value);
			free(entry);
			t->count--;
		}
	}
}

void ff_table_free(struct ff_table *t, void (*free_value)(void *value))
{
	for (size_t i = 0; i < t->room; i++) {
		struct ff_table_entry *entry, *next;

		for (entry = t->buckets[i]; entry != NULL; entry = next) {
			next = entry->next;
			if (free_value != NULL)
				free_value(entry->value);
			free(entry);
		}
	}
	free(t->buckets);
	*t = (struct ff_table){0};
}
