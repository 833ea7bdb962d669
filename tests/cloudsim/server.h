/*
 * The model as a real server: HTTPS on loopback, disks as image files, its clock the machine's.
 */
#ifndef CLOUDSIM_SERVER_H
#define CLOUDSIM_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "fixfleet/err.h"

struct sim_server_options {
	const char *scenario; /* file */
	const char *work_dir; /* made when missing: ca.pem, env.sh, disks/ */
	const char *listen;   /* "127.0.0.1:0"; loopback only */
	const char *imds;     /* a second, plain http listener; NULL: none */
	const char *traffic;  /* file; NULL: none */
	const char *ready;    /* file; NULL: none */
	const char *dev_root; /* NULL: no device links */
	double time_scale;    /* 0: the scenario's */
	int64_t idle_ms;      /* ends by itself after so long without a request; 0: never */
};

/** Serve until SIGTERM, SIGINT or idle. 0, or -1 with err. Takes over these signals for the process. */
int sim_serve(const struct sim_server_options *options, struct ff_err *err);

#endif
