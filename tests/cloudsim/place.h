/* Where the server is: its sockets, and telling others about it. */
#ifndef CLOUDSIM_PLACE_H
#define CLOUDSIM_PLACE_H

#include <jansson.h>

#include "fixfleet/err.h"

/** A listening socket on "127.0.0.1:PORT" (0: any), loopback only; its port in *port. -1 with err. */
int sim_listen(const char *where, unsigned *port, struct ff_err *err);

struct sim_place {
	const char *base, *imds_base; /* "https://127.0.0.1:PORT"; imds_base NULL: none */
	const char *work_dir, *ready; /* ready NULL: none */
	const char *ca_pem;
	unsigned port;
};
/** Write WORK-DIR/ca.pem, WORK-DIR/env.sh, and last the ready file. 0, or -1 with err. */
int sim_tell(const struct sim_place *place, const json_t *scenario, struct ff_err *err);

#endif
