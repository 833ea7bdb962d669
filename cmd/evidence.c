/* --evidence: what can be seen of sick VMs from outside, into the run's folder. Nothing of it is printed or logged. */
#include <stdlib.h>

#include "cmd.h"

struct keeping {
	const char *run_dir;
	size_t files;
	bool failed;
};

static void keep(void *arg, const char *provider, const struct ff_vm *vm, const struct ff_exhibit *exhibit)
{
	struct keeping *k = arg;
	struct ff_err err;

	if (k->failed) /* a full disk is said once */
		return;
	k->failed = ff_runtime_keep_evidence(k->run_dir, provider, vm, exhibit, &err) < 0;
	if (k->failed)
		ff_log(FF_LOG_WARN, vm->name, "%s", err.text);
	else
		k->files++;
}

/* What is well, or off, or no Windows, shows nothing that anybody wants to look at. */
static bool is_sick(const struct ff_vm *vm)
{
	return vm->running && !vm->rescue && vm->health != FF_HEALTHY && vm->evidence.count > 0;
}

void keep_evidence(struct found *f, const struct options *o, const char *run_dir)
{
	struct keeping k = {.run_dir = run_dir};
	struct ff_selected *sick;
	size_t n = 0;

	if (!o->evidence)
		return;
	sick = ff_calloc(f->count ? f->count : 1, sizeof(*sick));
	for (size_t i = 0; i < f->count; i++)
		if (is_sick(f->vms[i].vm))
			sick[n++] = f->vms[i];
	ff_engine_see(f->engine, sick, n, keep, &k);
	ff_runtime_run(f->runtime, f->engine, FF_PHASE_FOUND, NULL, NULL);
	free(sick);
	ff_log(FF_LOG_INFO, NULL, "evidence: %zu files of %zu VMs that are not well kept in %s/evidence", k.files, n,
		run_dir);
}
