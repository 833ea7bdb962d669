/* "web" and a rescue VM on the simulated GCP. */
#ifndef TEST_GCP_WORLD_H
#define TEST_GCP_WORLD_H

#include "providers/gcp/gcp.h"

#define PROVIDER ff_gcp
#define CLOUD	 "gcp"
#include "later_world.h"

static inline const char *get_env(void *self, const char *name)
{
	(void)self;
	if (strcmp(name, "GOOGLE_CLOUD_PROJECT") == 0)
		return "p1";
	return strcmp(name, "GCE_METADATA_HOST") == 0 ? "metadata.google.internal" : NULL;
}

static struct ff_cloud *world_open(const struct ff_scope_options *options, struct ff_err *err)
{
	struct ff_env env = {.get = get_env};

	return ff_gcp.open(options, &env, err);
}

/* boot: further members of web's boot disk; more: of "gcp"; faults: of the scenario. */
static inline void world_with(const char *boot, const char *more, const char *faults)
{
	ff_auto_free char *text = ff_printf(
		"{\"seed\":3,\"gcp\":{\"project\":\"p1\",\"vms\":[{\"name\":\"web\",\"labels\":{\"env\":\"prod\"},"
		"\"boot\":{\"bad\":true,\"size_gib\":30,\"device_name\":\"Boot.Disk-1\",\"labels\":{\"cost\":\"42\"}%s}"
		"},"
		"{\"name\":\"rescue-1\",\"os\":\"Linux\",\"labels\":{\"fixfleet-role\":\"rescue\"}}]%s},"
		"\"faults\":[%s]}",
		boot, more, faults);

	world_begin(text);
}

static inline void world(const char *boot, const char *faults)
{
	world_with(boot, "", faults);
}

static inline const json_t *state_disk(const json_t *state, const char *name)
{
	return state_one(state, "gcp/disks", "name", name);
}

#endif
