/* The repair worker; see include/fixfleet/worker.h. */
#include <unistd.h>

#include "cmd.h"
#include "fixfleet/worker.h"

int cmd_worker(struct options *o)
{
	struct ff_worker_options options = {
		.in_fd = STDIN_FILENO, .out_fd = STDOUT_FILENO, .appliances = o->appliances};
	struct ff_err err;

	if (o->operands.count > 0) {
		ff_fail(&err, FF_E_USAGE, "worker takes no operand: it reads JSON lines on stdin");
		return fail_with(&err);
	}
	return ff_worker_main(&options);
}
