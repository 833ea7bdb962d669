/* GCP's part of the server around the model: a key for its service account, and what its clients have to know. */
#ifndef CLOUDSIM_GCP_PLACE_H
#define CLOUDSIM_GCP_PLACE_H

#include <jansson.h>

#include "fixfleet/err.h"

#include "place.h"

/** Put a fresh private key into the scenario's "gcp", when it has none. Other values are left alone. 0, or -1. */
int sim_gcp_prepare(json_t *gcp, struct ff_err *err);

/** Add the environment of GCP's clients and write WORK-DIR/gcp-key.json. `gcp` NULL: nothing. 0, or -1. */
int sim_gcp_tell(const struct sim_place *place, const json_t *gcp, json_t *env, struct ff_err *err);

#endif
