/*
 * The copy of the OS disk: what is mended and swapped in. The original is never written and is the backup. Its name is
 * made of run and VM, so that a repeat finds what is there; every property is the source's (section 4 of the facts).
 */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

#define NAME_VM_MAX   22
#define NAME_RUN_MAX  40
#define NAME_HASH_MAX 12
#define TAGS_MAX      50
#define BUSY_WAIT_MS  5000

/* ---------------------------------------------------------------- names */

/* Letters, digits, - and _ of at most `max` characters; others become "-". Disk names allow no more (and the dot). */
static void add_name(struct ff_buf *out, const char *text, size_t max)
{
	for (size_t i = 0; text[i] != '\0' && i < max; i++) {
		char c = text[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';

		ff_buf_add(out, good ? &c : "-", 1);
	}
}

/* "ff-web01-20240719-060000-ab12-9f86d081884c", at most 3 + 22 + 1 + 40 + 1 + 12 = 79 characters of the 80 allowed. */
char *azure_copy_name(const struct ff_member *m)
{
	struct ff_buf name = {0};
	ff_auto_free char *id = azure_lower(m->vm->id);
	ff_auto_free char *text = ff_printf("%s\n%s", m->run, id);
	char hash[65];

	ff_sha256_hex(text, strlen(text), hash);
	ff_buf_adds(&name, "ff-");
	add_name(&name, m->vm->name, NAME_VM_MAX);
	ff_buf_adds(&name, "-");
	add_name(&name, m->run, NAME_RUN_MAX);
	ff_buf_adds(&name, "-");
	ff_buf_add(&name, hash, NAME_HASH_MAX);
	return ff_buf_take(&name);
}

char *azure_copy_id(const struct ff_member *m)
{
	ff_auto_free char *name = azure_copy_name(m);
	struct azure_id id;
	char *text;

	if (azure_id_parse(m->vm->id, &id) < 0)
		return NULL;
	text = ff_printf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Compute/disks/%s", id.subscription,
		id.group, name);
	azure_id_release(&id);
	return text;
}

char *azure_target_id(const struct ff_member *m)
{
	const char *id = ff_json_str(m->facts, "target");

	return id ? ff_strdup(id) : azure_copy_id(m);
}

char *azure_target_name(const struct ff_member *m)
{
	const char *id = ff_json_str(m->facts, "target");

	return id ? ff_strdup(azure_id_name(id)) : azure_copy_name(m);
}

bool azure_is_expected_disk(const struct ff_member *m, const char *disk_id)
{
	ff_auto_free char *target = azure_target_id(m);
	bool swapped = ff_json_bool(m->facts, "swapped", false);

	return ff_strcaseeq(disk_id, swapped ? target : ff_json_str(m->facts, "os_disk/managedDisk/id"));
}

/* "prod/web01": an id may be longer than the 256 characters of a tag's value. */
char *azure_vm_tag(const struct ff_member *m)
{
	return ff_printf("%s/%s", m->vm->scope, m->vm->name);
}

/* ---------------------------------------------------------------- making it */

static json_t *copy_tags(const struct ff_member *m)
{
	const json_t *source = ff_json_at(m->facts, "disk/tags");
	json_t *tags = json_object(), *value;
	ff_auto_free char *vm = azure_vm_tag(m);
	const char *key;

	json_object_foreach ((json_t *)source, key, value)
		if (!ff_strcaseeq(key, AZ_TAG_RUN) && !ff_strcaseeq(key, AZ_TAG_VM) &&
			json_object_size(tags) < TAGS_MAX - 2)
			ff_json_set_new(tags, key, json_incref(value));
	ff_json_set_str(tags, AZ_TAG_RUN, m->run);
	ff_json_set_str(tags, AZ_TAG_VM, vm);
	return tags;
}

static void carry(json_t *to, const char *key, const struct ff_member *m, const char *path)
{
	const json_t *value = ff_json_at(m->facts, path);

	if (value != NULL)
		ff_json_set_new(to, key, json_incref((json_t *)value));
}

static json_t *copy_properties(const struct ff_member *m)
{
	json_t *properties = json_object(), *creation = json_object(), *encryption;

	carry(properties, "osType", m, "disk/osType");
	/* overrides the source: a copy of the wrong generation could never be swapped in */
	carry(properties, "hyperVGeneration", m, "disk/generation");
	ff_json_set_str(creation, "createOption", "Copy");
	carry(creation, "sourceResourceId", m, "os_disk/managedDisk/id");
	ff_json_set_new(properties, "creationData", creation);
	if (ff_json_str(m->facts, "disk/diskEncryptionSetId") != NULL) {
		encryption = json_object();
		carry(encryption, "type", m, "disk/encryption");
		carry(encryption, "diskEncryptionSetId", m, "disk/diskEncryptionSetId");
		ff_json_set_new(properties, "encryption", encryption);
	}
	carry(properties, "networkAccessPolicy", m, "disk/networkAccessPolicy");
	carry(properties, "publicNetworkAccess", m, "disk/publicNetworkAccess");
	carry(properties, "diskAccessId", m, "disk/diskAccessId");
	return properties;
}

static json_t *copy_body(const struct ff_member *m)
{
	json_t *body = json_object(), *sku = json_object();

	carry(body, "location", m, "disk/location");
	carry(body, "extendedLocation", m, "disk/extendedLocation");
	carry(body, "zones", m, "disk/zones");
	if (ff_json_str(m->facts, "disk/sku") != NULL) {
		carry(sku, "name", m, "disk/sku");
		ff_json_set_new(body, "sku", sku);
	} else {
		json_decref(sku);
	}
	ff_json_set_new(body, "tags", copy_tags(m));
	ff_json_set_new(body, "properties", copy_properties(m));
	return body;
}

static int ask_copy(const struct ff_cloud *cloud, const struct ff_member *m, const char *method, enum azure_cost cost,
	struct ff_ask *ask, struct ff_err *err)
{
	ff_auto_free char *id = azure_copy_id(m);

	if (azure_ask_resource(cloud, ask, method, id, "?", AZ_DISK_API, err) < 0)
		return -1;
	azure_cost(cloud, ask, cost, m->vm->region, NULL);
	return 0;
}

AZ_ACT_FN(azure_copy)
{
	(void)n;
	if (ff_json_str(m->facts, "disk/location") == NULL || ff_json_str(m->facts, "os_disk/managedDisk/id") == NULL)
		return ff_fail(err, FF_E_BUG, "the OS disk's record is incomplete");
	if (ask_copy(cloud, m, "PUT", AZ_COST_PUT_DISK, ask, err) < 0)
		return -1;
	azure_ask_json(ask, copy_body(m), NULL);
	return 0;
}

AZ_ACTED_FN(azure_copy_acted)
{
	azure_auto_reply reply = {0};
	struct ff_ask resource = {0};

	azure_begin(&reply, wall_ms, answer, v, n);
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_ACT, v);
		return;
	}
	if (ask_copy(cloud, m, "GET", AZ_COST_GET_DISK, &resource, &v->err) == 0)
		azure_accepted(cloud, &reply, answer, wall_ms, resource.url, v);
	ff_ask_release(&resource);
	ff_json_set_bool(azure_patch(v), "copied", true);
}

AZ_LOOK_FN(azure_look_copy)
{
	return ask_copy(cloud, m, "GET", AZ_COST_GET_DISK, ask, err);
}

/* Is the disk of that name this run's, for this VM? */
static bool is_ours(const struct ff_member *m, const json_t *disk)
{
	const json_t *tags = ff_json_at(disk, "tags");
	ff_auto_free char *vm = azure_vm_tag(m);

	return ff_streq(azure_tag(tags, AZ_TAG_RUN), m->run) && ff_strcaseeq(azure_tag(tags, AZ_TAG_VM), vm);
}

/* What of the copy is not as the source was; NULL: it may go home. */
static const char *wrong_with(const struct ff_member *m, const json_t *disk)
{
	static const struct {
		const char *path, *fact, *word;
		bool must_lack; /* also what the source has not must not be there */
	} must[] = {
		{"properties/hyperVGeneration", "disk/generation", "generation", false},
		{"sku/name", "disk/sku", "SKU", false},
		{"zones/0", "disk/zones/0", "zone", true},
		{"properties/creationData/sourceResourceId", "os_disk/managedDisk/id", "source", false},
		{"properties/encryption/diskEncryptionSetId", "disk/diskEncryptionSetId", "disk encryption set", true},
		/* without it the platform has no key for it: the VM would not boot */
		{"properties/encryptionSettingsCollection/encryptionSettings/0/diskEncryptionKey/secretUrl",
			"disk/ade/keys/0/secret", "Azure Disk Encryption key", false},
	};

	for (size_t i = 0; i < FF_COUNT(must); i++) {
		const char *is = ff_json_str(disk, must[i].path), *source = ff_json_str(m->facts, must[i].fact);

		if (!ff_strcaseeq(is, source) && (source != NULL || must[i].must_lack))
			return must[i].word;
	}
	return NULL;
}

AZ_LOOKED_FN(azure_copy_looked)
{
	azure_auto_reply reply = {0};
	ff_auto_free char *name = azure_copy_name(m);
	const char *state, *wrong;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class == FF_E_GONE) {
		v->meaning = FF_M_NOT_DONE;
		return;
	}
	if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_LOOK, v);
		return;
	}
	state = ff_json_str(reply.body, "properties/provisioningState");
	wrong = wrong_with(m, reply.body);
	if (!is_ours(m, reply.body)) {
		azure_failed(v, FF_E_CONFLICT, "a disk '%s' is there already and is not this run's", name);
	} else if (!azure_state_terminal(state)) {
		azure_wait(v, 0, "the disk copy's provisioning state is %s", state);
	} else if (ff_strcaseeq(state, "Failed") || ff_strcaseeq(state, "Canceled")) {
		v->meaning = FF_M_NOT_DONE; /* the same PUT again creates it */
	} else if (wrong != NULL) {
		azure_failed(v, FF_E_PERMANENT, "the copy '%s' has another %s than the OS disk", name, wrong);
	} else {
		azure_done(m, v);
	}
	ff_json_set_bool(azure_patch(v), "copied", true);
}

/* ---------------------------------------------------------------- taking it back */

AZ_ACT_FN(azure_delete_copy)
{
	(void)n;
	return ask_copy(cloud, m, "DELETE", AZ_COST_DELETE_DISK, ask, err);
}

static void copy_is_gone(const struct ff_member *m, struct ff_verdict *v)
{
	azure_done(m, v);
	ff_json_set_new(azure_patch(v), "copied", json_null());
}

static void name_what_stays(const struct ff_member *m, struct ff_verdict *v)
{
	ff_auto_free char *name = azure_copy_name(m);

	if (v->err.text[0] != '\0')
		ff_wrap(&v->err, "disk copy '%s' stays in resource group '%s'", name, m->vm->scope);
}

AZ_ACTED_FN(azure_delete_copy_acted)
{
	azure_auto_reply reply = {0};

	azure_begin(&reply, wall_ms, answer, v, n);
	if (reply.class == FF_E_GONE) {
		copy_is_gone(m, v);
	} else if (reply.class != FF_E_NONE) {
		azure_unhappy(&reply, AZ_ACT, v);
		name_what_stays(m, v);
	} else {
		azure_accepted(cloud, &reply, answer, wall_ms, NULL, v);
		if (v->meaning == FF_M_DONE)
			copy_is_gone(m, v);
	}
}

/* Only a free disk of our own is deleted, whatever the facts say. */
AZ_LOOKED_FN(azure_delete_copy_looked)
{
	azure_auto_reply reply = {0};
	const char *holder;

	(void)cloud;
	azure_begin_look(&reply, wall_ms, answer, v);
	if (reply.class == FF_E_GONE) {
		copy_is_gone(m, v);
		return;
	}
	holder = ff_json_str(reply.body, "managedBy");
	if (reply.class != FF_E_NONE)
		azure_unhappy(&reply, AZ_LOOK, v);
	else if (!is_ours(m, reply.body))
		azure_failed(v, FF_E_CONFLICT, "it is not tagged as this run's");
	else if (holder != NULL)
		azure_wait(v, BUSY_WAIT_MS, "it is attached to '%s'", azure_id_name(holder));
	else if (!azure_state_terminal(ff_json_str(reply.body, "properties/provisioningState")))
		azure_wait(v, BUSY_WAIT_MS, "another change of it is under way");
	else
		v->meaning = FF_M_NOT_DONE;
	name_what_stays(m, v);
}
