/*
 * Tokens for others than Resource Manager: Key Vault and Microsoft Graph take only those made for them. They are asked
 * of the source that signed in, when a key is looked for, as the first questions of that chain; a run that needs none
 * never asks. Where the answer is awaited stands in the chain's state: "token" is the question's tag.
 */
#include "identity.h"

#include <stdlib.h>

static const char *const names[AZ_AUDIENCE_COUNT] = {
	[AZ_FOR_ARM] = "Resource Manager",
	[AZ_FOR_VAULT] = "Key Vault",
	[AZ_FOR_GRAPH] = "Microsoft Graph",
};

static enum ff_key_step ask(
	const struct ff_cloud *cloud, enum azure_audience audience, const char *assertion, struct ff_key_turn *turn)
{
	azure_source_ask(cloud, audience, assertion, turn->ask);
	ff_json_set_int(turn->state, "token", turn->ask->tag);
	return FF_KEY_ASK;
}

static enum ff_key_step no_token(enum azure_audience audience, const char *why, struct ff_key_turn *turn)
{
	ff_fail(turn->err, FF_E_AUTH, "no token for %s: %s", names[audience], why);
	return FF_KEY_FAILED;
}

/* The certificate or federated token has come: it becomes the assertion of the token request. */
static enum ff_key_step read_file(
	struct ff_cloud *cloud, enum azure_audience audience, const struct ff_answer *answer, struct ff_key_turn *turn)
{
	ff_auto_free char *why = NULL;
	char *assertion = azure_file_assertion(cloud, turn->wall_ms, answer, &why);
	enum ff_key_step step =
		assertion != NULL ? ask(cloud, audience, assertion, turn) : no_token(audience, why, turn);

	ff_free_secret(assertion);
	return step;
}

static enum ff_key_step read_grant(struct ff_cloud *cloud, enum azure_audience audience, int tag,
	const struct ff_answer *answer, struct ff_key_turn *turn)
{
	struct azure_grant grant;
	enum ff_key_step step = FF_KEY_DONE;

	azure_grant_read(cloud->login, tag, turn->wall_ms, answer, &grant);
	if (grant.why != NULL)
		step = no_token(audience, grant.why, turn);
	else
		azure_token_keep(&cloud->login->tokens[audience], turn->wall_ms, &grant);
	azure_grant_release(&grant);
	return step;
}

enum ff_key_step azure_bearer(struct ff_cloud *cloud, enum azure_audience audience, struct ff_key_turn *turn)
{
	const struct azure_token *token = &cloud->login->tokens[audience];
	const struct ff_answer *answer = turn->answer;
	int tag = (int)ff_json_int(turn->state, "token", 0);

	if (tag != 0) {
		json_object_del(turn->state, "token");
		turn->answer = NULL;
		return tag == AZ_Q_FILE ? read_file(cloud, audience, answer, turn)
					: read_grant(cloud, audience, tag, answer, turn);
	}
	if (token->text != NULL && turn->wall_ms < token->renew_at)
		return FF_KEY_DONE;
	return ask(cloud, audience, NULL, turn);
}

void azure_bearer_refused(struct ff_cloud *cloud, enum azure_audience audience)
{
	cloud->login->tokens[audience].renew_at = 0;
}
