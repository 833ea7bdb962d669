/* What attach.c (asking and looking) and attached.c (what came of it) share. */
#ifndef FIXFLEET_AZURE_ATTACH_H
#define FIXFLEET_AZURE_ATTACH_H

#include "azure.h"

/** The index of the entry with that disk in a list of data disks; -1: it is not there. */
int azure_entry_of(const json_t *disks, const char *disk_id);
/**
 * The VM that has the disks of this member's attach or detach, and what is known of it: the rescue VM that is assigned,
 * or, where a lost run is brought home, whoever was seen to have the copy. NULL: not known. Borrowed of the member.
 */
const char *azure_holder(const struct ff_member *m);
const json_t *azure_holder_facts(const struct ff_member *m);
void azure_is_attached(const struct ff_member *m, struct ff_verdict *v);
void azure_is_detached(const struct ff_member *m, struct ff_verdict *v);
/** The list and etag of an answer that holds that VM, unless they are known. */
void azure_take_list(const struct ff_member *m, const json_t *vm, struct ff_verdict *v);

#endif
