/*
 * cloudsim: simulated clouds on loopback.
 *
 * main reads the options and calls sim_serve() (server.c), which reads the scenario (files.c), makes the model
 * (model.c, azure_*.c) and a certificate (tls.c), and answers requests until it is told to end.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "server.h"

#define IDLE_MS (15 * 60 * 1000)

static const char usage[] =
	"usage: cloudsim --scenario FILE --work-dir DIR [--listen 127.0.0.1:0] [--imds 127.0.0.1:0] [--traffic FILE]\n"
	"                [--ready FILE] [--dev-root DIR] [--time-scale N] [--stay]\n"
	"Ends on SIGTERM, 15 minutes after the last request, and (without --stay) with the process that started it.\n";

static const struct option options[] = {{"scenario", required_argument, NULL, 's'},
	{"work-dir", required_argument, NULL, 'w'}, {"listen", required_argument, NULL, 'l'},
	{"imds", required_argument, NULL, 'i'}, {"traffic", required_argument, NULL, 't'},
	{"ready", required_argument, NULL, 'r'}, {"dev-root", required_argument, NULL, 'd'},
	{"time-scale", required_argument, NULL, 'x'}, {"stay", no_argument, NULL, 'S'},
	{"help", no_argument, NULL, 'h'}, {0}};

/* 0, 1 for help, or -1. */
static int read_options(int argc, char **argv, struct sim_server_options *o, int *stay)
{
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o->scenario = optarg;
			break;
		case 'w':
			o->work_dir = optarg;
			break;
		case 'l':
			o->listen = optarg;
			break;
		case 'i':
			o->imds = optarg;
			break;
		case 't':
			o->traffic = optarg;
			break;
		case 'r':
			o->ready = optarg;
			break;
		case 'd':
			o->dev_root = optarg;
			break;
		case 'x':
			o->time_scale = strtod(optarg, NULL);
			break;
		case 'S':
			*stay = 1;
			break;
		case 'h':
			return 1;
		default:
			return -1;
		}
	}
	return optind == argc && o->scenario != NULL && o->work_dir != NULL ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct sim_server_options o = {.idle_ms = IDLE_MS};
	struct ff_err err = {0};
	pid_t parent = getppid();
	int stay = 0, rc = read_options(argc, argv, &o, &stay);

	if (rc != 0) {
		fputs(usage, rc > 0 ? stdout : stderr);
		return rc > 0 ? 0 : 2;
	}
	if (!stay) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent)
			return 0; /* it has ended already */
	}
	if (sim_serve(&o, &err) < 0) {
		fprintf(stderr, "cloudsim: %s\n", err.text);
		return 1;
	}
	return 0;
}
