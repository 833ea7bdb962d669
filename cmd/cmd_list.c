/* What is affected? Reads only: the engine has no journal here, and so lets no request go that changes anything. */
#include <stdio.h>

#include "cmd.h"
#include "fixfleet/json.h"

int cmd_list(struct options *o)
{
	struct ff_engine_config config = {.dev_root = o->dev_root, .event = view_event};
	size_t affected = 0, suspect = 0;
	struct ff_err err;
	ff_auto_json json_t *recipes = recipes_load(&o->recipes, &err);
	struct found f;
	int status;

	if (o->evidence && o->run_dir == NULL) {
		ff_fail(&err, FF_E_USAGE,
			"--evidence needs a place here: give --run-dir DIR, it is kept in DIR/evidence");
		return fail_with(&err);
	}
	if (recipes == NULL) /* nothing is mended here, but who rehearses wants to know */
		return fail_with(&err);
	status = find(&f, o, &config);
	if (status == 0) {
		keep_evidence(&f, o, o->run_dir);
		report_list(&f, o->output);
		for (size_t i = 0; i < f.count; i++) {
			affected += f.vms[i].vm->health == FF_AFFECTED;
			suspect += f.vms[i].vm->health == FF_SUSPECT;
		}
		ff_log(FF_LOG_INFO, NULL, "%zu VMs: %zu affected, %zu suspect; nothing was changed", f.count, affected,
			suspect);
		status = ff_runtime_interrupted(f.runtime) ? EXIT_INTERRUPT : f.status;
	}
	found_release(&f);
	return status;
}
