/*
 * Recovery passwords that Windows has left with Microsoft Entra ID: the id of one is the id of its key protector.
 *
 *   GET v1.0/informationProtection/bitlocker/recoveryKeys/ID?$select=key -> {"value": {"id", "key": 48 digits}}
 *
 * (learn.microsoft.com/graph/api/bitlockerrecoverykey-get; the members stand in "value" there, and without it for
 * other objects of Graph: both are read.) Needs BitlockerKey.Read.All; each key that is read is in the tenant's audit
 * log. The chain's state: "at" which protector it is at, "asked", "again" that a token was refused.
 */
#include "azure.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES (64u << 10)

/* The n-th protector that is a recovery password; NULL: there are fewer. */
static const char *recovery(const struct ff_key_want *want, int64_t n)
{
	for (size_t i = 0; i < want->protector_count; i++)
		if (ff_streq(want->protectors[i].kind, "recovery-password") && n-- == 0)
			return want->protectors[i].id;
	return NULL;
}

static const char *recovery_at(const struct ff_key_turn *turn)
{
	return recovery(turn->want, ff_json_int(turn->state, "at", 0));
}

static enum ff_key_step ask(const struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	ff_ask_http(turn->ask, "GET", "%s/v1.0/informationProtection/bitlocker/recoveryKeys/%s?$select=key",
		cloud->graph, recovery_at(turn));
	turn->ask->tag = AZ_Q_GRAPH;
	turn->ask->secret = true;
	turn->ask->answer_bytes_max = ANSWER_BYTES;
	return FF_KEY_SIGN;
}

static enum ff_key_step take(const json_t *body, struct ff_key_turn *turn)
{
	const char *key = ff_json_str(body, "value/key");

	if (key == NULL)
		key = ff_json_str(body, "key");
	if (key == NULL || !ff_key_is(key, strlen(key))) {
		ff_fail(turn->err, FF_E_PERMANENT, "the answer of Microsoft Graph holds no recovery password");
		return FF_KEY_FAILED;
	}
	ff_keys_add(turn->found, recovery_at(turn), key, strlen(key));
	return FF_KEY_DONE;
}

/* FF_KEY_SIGN: the state says what is to be asked next. */
static enum ff_key_step read_answer(struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	const struct ff_answer *answer = turn->answer;
	ff_auto_json json_t *body = NULL;

	if (answer->status == 404) {
		ff_json_set_int(turn->state, "at", ff_json_int(turn->state, "at", 0) + 1);
		return FF_KEY_SIGN;
	}
	if (answer->status == 401 && !ff_json_bool(turn->state, "again", false)) {
		azure_bearer_refused(cloud, AZ_FOR_GRAPH);
		ff_json_set_bool(turn->state, "again", true);
		return FF_KEY_SIGN;
	}
	if (answer->status == 401 || answer->status == 403) {
		ff_fail(turn->err, FF_E_DENIED, "Microsoft Graph refuses it (HTTP %d): BitlockerKey.Read.All is needed",
			answer->status);
		return FF_KEY_FAILED;
	}
	if (answer->status != 200) {
		ff_fail(turn->err, FF_E_PERMANENT, "Microsoft Graph answers HTTP %d", answer->status);
		return FF_KEY_FAILED;
	}
	body = ff_json_parse(answer->body ? answer->body : "", answer->body_len, ANSWER_BYTES, NULL);
	return take(body, turn);
}

enum ff_key_step azure_graph_look(struct ff_cloud *cloud, struct ff_key_turn *turn)
{
	enum ff_key_step step;

	if (turn->answer != NULL && ff_json_at(turn->state, "token") == NULL) {
		step = read_answer(cloud, turn);
		if (step != FF_KEY_SIGN)
			return step;
	}
	if (recovery_at(turn) == NULL)
		return FF_KEY_DONE; /* none of them is known there */
	step = azure_bearer(cloud, AZ_FOR_GRAPH, turn);
	return step == FF_KEY_DONE ? ask(cloud, turn) : step;
}
