/* A certificate authority and a server certificate for loopback, made when the simulator starts. */
#ifndef CLOUDSIM_TLS_H
#define CLOUDSIM_TLS_H

#include "fixfleet/err.h"

struct sim_tls {
	char *ca_pem, *cert_pem, *key_pem; /* owned */
};
/** 0, or -1 with err. */
int sim_tls_make(struct sim_tls *tls, struct ff_err *err);
void sim_tls_release(struct sim_tls *tls);

#endif
