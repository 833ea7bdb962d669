/* The providers there are, and what all of them share. */
#include "fixfleet/provider.h"

#include <stdlib.h>

extern const struct ff_provider ff_azure; /* azure/azure.c */
extern const struct ff_provider ff_aws;	  /* aws/aws.c */
extern const struct ff_provider ff_gcp;	  /* gcp/gcp.c */

const struct ff_provider *const ff_providers[] = {&ff_azure, &ff_aws, &ff_gcp, NULL};

const struct ff_provider *ff_provider_by_name(const char *name)
{
	for (size_t i = 0; ff_providers[i] != NULL; i++)
		if (ff_streq(ff_providers[i]->name, name))
			return ff_providers[i];
	return NULL;
}

const char *ff_health_name(enum ff_health health)
{
	switch (health) {
	case FF_AFFECTED:
		return "affected";
	case FF_SUSPECT:
		return "suspect";
	case FF_HEALTHY:
		return "healthy";
	case FF_SKIPPED:
		break;
	}
	return "skipped"; /* also for a value that is none: what is not understood is not touched */
}

const char *ff_flow_name(enum ff_flow flow)
{
	static const char *const names[FF_FLOW_COUNT] = {"repair", "rollback", "cleanup", "recover"};

	return (unsigned)flow < FF_FLOW_COUNT ? names[flow] : "";
}

enum ff_flow ff_flow_from_name(const char *name)
{
	for (int flow = FF_FLOW_REPAIR; flow < FF_FLOW_COUNT; flow++)
		if (ff_streq(ff_flow_name((enum ff_flow)flow), name))
			return (enum ff_flow)flow;
	return FF_FLOW_COUNT;
}

const int *ff_provider_order(const struct ff_provider *provider, enum ff_flow flow)
{
	switch (flow) {
	case FF_FLOW_REPAIR:
		return provider->forward;
	case FF_FLOW_ROLLBACK:
		return provider->rollback;
	case FF_FLOW_CLEANUP:
		return provider->cleanup;
	case FF_FLOW_RECOVER:
		return provider->recover;
	default:
		return NULL;
	}
}

void ff_left_release(struct ff_left *left)
{
	free(left->name);
	*left = (struct ff_left){0};
}

void ff_disk_place_release(struct ff_disk_place *place)
{
	ff_strv_free(&place->paths);
	free(place->serial);
	*place = (struct ff_disk_place){0};
}

void ff_exhibit_release(struct ff_exhibit *exhibit)
{
	if (exhibit->bytes != NULL)
		ff_wipe(exhibit->bytes, exhibit->len);
	free(exhibit->bytes);
	*exhibit = (struct ff_exhibit){0};
}
