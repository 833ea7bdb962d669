/*
 * KMS: can the key of an encrypted volume be used? A volume keeps working while it is attached, whatever becomes of its
 * key; once it is detached it cannot be attached again, neither to a rescue VM nor at home
 * (docs.aws.amazon.com/kms/latest/developerguide/unusable-kms-keys.html). So it is asked before anything is touched:
 *
 *   POST /  X-Amz-Target: TrentService.DescribeKey  {"KeyId": ARN} -> {"KeyMetadata": {"KeyState": ...}}
 *
 * Only what is certain decides: a state in which KMS decrypts nothing, or no such key. AccessDenied and silence do not:
 * a key's policy may allow its use through EC2 alone (kms:ViaService), and a VPC may have no way to KMS. For the same
 * reason CreateGrant is not tried with DryRun: policies that grant it to AWS services only (kms:GrantIsForAWSResource)
 * refuse us what they allow EC2 for us, and a yes would decide nothing.
 */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#define NO_KEY	   "NotFoundException"
#define TIMEOUT_MS 10000

/* docs.aws.amazon.com/kms/latest/developerguide/key-state.html; Creating and Updating pass. */
static const struct {
	const char *state, *what;
} unusable[] = {
	{"Disabled", "is disabled"},
	{"PendingDeletion", "is about to be deleted"},
	{"PendingReplicaDeletion", "is about to be deleted"},
	{"PendingImport", "has no key material"},
	{"Unavailable", "is in a key store that is not connected"},
	{NO_KEY, "does not exist"},
};

const char *aws_volume_needed(const struct aws_vm *vm, size_t n)
{
	if (n == 0)
		return vm->vm.disk_id;
	return vm->vm.running && n <= vm->data.count ? vm->data.items[n - 1] : NULL;
}

const char *aws_key_of(const struct aws_found *found, const char *volume)
{
	return json_string_value(json_object_get(found->encrypted, volume));
}

/* As KMS names it; "" not known, NULL: it was not wanted. */
static const char *state_of(const struct aws_found *found, const char *key)
{
	return key ? json_string_value(json_object_get(found->keys, key)) : NULL;
}

/* "arn:aws:kms:us-east-1:123456789012:key/...": of this region, else "not found" would say nothing of it. */
static bool is_ours(const struct ff_cloud *cloud, const char *key)
{
	ff_auto_free char *place = ff_printf(":kms:%s:", cloud->region);
	const char *at = strstr(key, place), *resource = at ? strchr(at + strlen(place), ':') : NULL;

	return ff_has_prefix(key, "arn:") && resource != NULL && ff_has_prefix(resource, ":key/");
}

bool aws_key_wanted(const struct ff_cloud *cloud, const char *key)
{
	if (state_of(cloud->found, key) != NULL)
		return false;
	ff_json_set_str(cloud->found->keys, key, "");
	return is_ours(cloud, key);
}

void aws_key_ask(const struct ff_cloud *cloud, const char *key, struct ff_ask *ask)
{
	ff_auto_json json_t *body = json_object();

	ff_json_set_str(body, "KeyId", key);
	aws_json_ask(cloud, ask, AWS_KMS, AWS_Q_FIND, "TrentService.DescribeKey", body);
	ask->timeout_ms = TIMEOUT_MS;
	ask->optional = true;
}

void aws_key_read(struct aws_found *found, const char *key, const struct ff_answer *answer)
{
	bool good = answer->transport == FF_T_OK && answer->status == 200;
	ff_auto_json json_t *body = good ? ff_json_parse(answer->body, answer->body_len, answer->body_len, NULL) : NULL;
	const char *state = ff_json_str(body, "KeyMetadata/KeyState");
	aws_auto_reply reply = {0};

	if (!good) {
		aws_reply_read(&reply, answer);
		state = ff_streq(reply.code, NO_KEY) ? NO_KEY : NULL;
	}
	if (state != NULL)
		ff_json_set_str(found->keys, key, state);
	else if (found->unsure == NULL)
		found->unsure = ff_strdup(good ? "an answer without the key's state" : reply.err.text);
}

void aws_keys_note(struct aws_found *found)
{
	size_t unknown = 0;
	const char *key;
	json_t *state;

	json_object_foreach (found->keys, key, state)
		unknown += json_string_length(state) == 0;
	if (found->unsure != NULL)
		ff_strv_addf(&found->notes, "the state of %zu of %zu KMS keys could not be read: %s", unknown,
			json_object_size(found->keys), found->unsure);
}

/* ---------------------------------------------------------------- judging */

static const char *what_is_wrong(const char *state)
{
	for (size_t i = 0; i < FF_COUNT(unusable); i++)
		if (ff_streq(state, unusable[i].state))
			return unusable[i].what;
	return NULL;
}

bool aws_key_needed(const struct aws_found *found, const struct aws_vm *vm)
{
	const char *volume;

	for (size_t n = 0; (volume = aws_volume_needed(vm, n)) != NULL; n++)
		if (aws_key_of(found, volume) != NULL)
			return true;
	return false;
}

bool aws_key_unsure(const struct aws_found *found, const struct aws_vm *vm)
{
	const char *volume;

	for (size_t n = 0; (volume = aws_volume_needed(vm, n)) != NULL; n++) {
		const char *state = state_of(found, aws_key_of(found, volume));

		if (state != NULL && !ff_streq(state, "Enabled") && what_is_wrong(state) == NULL)
			return true;
	}
	return false;
}

char *aws_key_trouble(const struct aws_found *found, const struct aws_vm *vm)
{
	const char *volume;

	for (size_t n = 0; (volume = aws_volume_needed(vm, n)) != NULL; n++) {
		const char *key = aws_key_of(found, volume), *what = what_is_wrong(state_of(found, key));
		ff_auto_free char *clean = what ? ff_printable(key) : NULL;

		if (what != NULL)
			return ff_printf("the KMS key of %s volume %s, so that it could not be attached again (%s)",
				n == 0 ? "its root" : "another", what, clean);
	}
	return NULL;
}
