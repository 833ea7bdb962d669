/* Fleets as scenarios: VMs named NAME-0001 ..., spread over the zones, and rescue VMs in each zone. */
#ifndef TESTS_SIM_FLEET_H
#define TESTS_SIM_FLEET_H

#include "vw.h"

struct vw_fleet {
	unsigned vms;	    /* Windows VMs whose OS disk is bad and which run */
	unsigned zones;	    /* at most 3 */
	unsigned rescues;   /* in each zone */
	const char *size;   /* of a rescue VM: as the cloud names it */
	const json_t *more; /* further members of the cloud's part ("latency_ms", ...); NULL: none */
};

/** {"seed":...}; add the clouds to it. A new reference. */
json_t *vw_scenario(uint64_t seed);
void vw_add_azure(struct vw *vw, json_t *scenario, const struct vw_fleet *fleet);
void vw_add_aws(struct vw *vw, json_t *scenario, const struct vw_fleet *fleet);
void vw_add_gcp(struct vw *vw, json_t *scenario, const struct vw_fleet *fleet);

#endif
