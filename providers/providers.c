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

void ff_disk_place_release(struct ff_disk_place *place)
{
	ff_strv_free(&place->paths);
	free(place->serial);
	*place = (struct ff_disk_place){0};
}
