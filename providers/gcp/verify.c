/*
 * Verify: the VM runs, its boot disk is in place, and its serial port shows that Windows came up after the start.
 *
 * Two questions in turn: mostly the serial port, the VM itself first and then every few rounds, so that a VM that
 * stopped again is seen without two reads a round.
 */
#include "gcp.h"

#include <stdlib.h>

#define ROUND_MS	20000
#define ROUNDS_FOR_A_VM 6

int gcp_verify_look(struct ff_cloud *cloud, const struct ff_member *m, struct ff_ask *ask, struct ff_err *err)
{
	if (!ff_streq(ff_json_str(m->facts, "see"), "serial"))
		return gcp_vm_look(cloud, m, ask, err);
	return gcp_serial_look(cloud, m, ask);
}

static void read_vm(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *instance = gcp_vm_read(m, answer, v);
	const char *status = ff_json_str(instance, "status");

	if (instance == NULL)
		return;
	if (gcp_home_of(instance, gcp_source(m), NULL) != GCP_HOME)
		gcp_failed(v, FF_E_CONFLICT, "it was started, but its boot disk is another one now");
	else if (ff_streq(status, "RUNNING"))
		gcp_see(m, v, "serial");
	else if (ff_streq(status, "TERMINATED") || ff_streq(status, "STOPPED") || ff_streq(status, "STOPPING") ||
		 ff_streq(status, "SUSPENDED"))
		gcp_failed(v, FF_E_CONFLICT, "it was started, but is '%s' now", status);
	else
		gcp_wait(v, ROUND_MS);
}

static void not_yet(const struct ff_member *m, struct ff_verdict *v)
{
	int64_t rounds = ff_json_int(m->facts, "rounds", 0) + 1;

	if (rounds >= ROUNDS_FOR_A_VM) {
		rounds = 0;
		gcp_forget(m, v, "see");
	}
	ff_json_set_int(gcp_patch(v), "rounds", rounds);
	gcp_wait(v, ROUND_MS);
}

static void read_serial(const struct ff_member *m, const struct ff_answer *answer, struct ff_verdict *v)
{
	ff_auto_json json_t *body = NULL;
	struct gcp_serial serial;
	enum ff_class class;

	*v = (struct ff_verdict){0};
	class = gcp_reply(answer, &body, &v->err);
	if (class == FF_E_DENIED || class == FF_E_PERMANENT || class == FF_E_GONE) {
		struct ff_err err = v->err;

		gcp_failed(v, class,
			"it runs, but its serial output, the proof that Windows is up, cannot be read: %.800s",
			err.text);
	} else if (class == FF_E_NONE &&
		   gcp_serial_answer(body, ff_json_int(m->facts, "serial_mark", 0), &serial) == FF_HEALTHY) {
		gcp_forget(m, v, "serial_mark");
		gcp_forget(m, v, "rounds");
		gcp_done(m, v);
	} else {
		not_yet(m, v);
	}
}

void gcp_verify_looked(struct ff_cloud *cloud, const struct ff_member *m, int64_t wall_ms,
	const struct ff_answer *answer, struct ff_verdict *v)
{
	(void)cloud, (void)wall_ms;
	if (ff_streq(ff_json_str(m->facts, "see"), "serial"))
		read_serial(m, answer, v);
	else
		read_vm(m, answer, v);
}
