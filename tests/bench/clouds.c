/*
 * Promise 3: fixfleet runs at the speed that the clouds allow, and clouds do not wait for one another.
 *
 * The scenario: 300 VMs in each of Azure, AWS and GCP, all boot-looping, spread over three zones, with two rescue VMs
 * in each zone: Standard_D16s_v3 (32 data disks), m5.large (26 volumes beside its root), n2-standard-4 (127 disks).
 * Engine, providers and the model of the clouds run in virtual time. Latencies are those written below, budgets those
 * that the clouds publish (they are the model's defaults), a request takes 100 ms there and back, the runtime's 64
 * connections to one host count. A repair is 12 s until an appliance is up and 1 s for each disk in it, one appliance
 * at a time on a rescue VM: what was measured without KVM on two cores.
 *
 * The lower bound of a cloud is the greatest of
 *   - the chain of one VM, from the first probe of the worker to the release of its claim;
 *   - for each action, the calls that the flow cannot do without, less the burst, over the refill;
 *   - for the rescue VM with the most disks, its appliances one after another, each with as many disks as it has slots
 *     (and where a cloud carries out the changes of one VM one after another, those of the rescue VM).
 * The last two count what one VM must have behind it before its first such call, and what is still ahead of it after
 * the last; without that they are bounds too, and lower ones: figure *_plain_ratio. An operation counts until the
 * moment at which the cloud allows to ask for it (Azure's Retry-After) or shows it (EC2's reads lag).
 *
 * Prints `figure NAME VALUE UNIT` lines at its end; exit status 1 when a VM was not repaired, the model saw a
 * violation, or a ratio is missed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

#include "fixfleet/json.h"

#define SEED	  7
#define VMS	  300
#define ZONES	  3
#define RESCUES	  2 /* in each zone */
#define RTT_MS	  100
#define CLOUDS	  3
#define LIMIT_MS  ((int64_t)24 * 3600 * 1000)
#define RATIO_MAX 1.25
#define ALL_MAX	  1.10

/* ---------------------------------------------------------------- the scenario and its bounds */

/* One VM's way: each step, until the moment the next one can begin. */
struct step {
	const char *name;
	double s;
};

/* What limits a fleet: so many calls (or disks, or operations), the first after all steps before `from`, each `every`
 * seconds; after the last one there is still all from `to` on. */
struct limit {
	const char *name;
	double n, burst, every_s;
	const char *from, *to;
};

struct cloud {
	const char *name, *size;
	unsigned slots;
	void (*add)(struct vw *vw, json_t *scenario, const struct vw_fleet *fleet);
	const char *latencies; /* JSON: the cloud's part of the scenario */
	struct step chain[20];
	struct limit limits[12];
};

#define DISKS	    ((double)VMS / ZONES / RESCUES) /* of one rescue VM */
#define APPLIANCE_S 12.0
#define DISK_S	    1.0
#define PROBE                                                                                                          \
	{                                                                                                              \
		"probe", APPLIANCE_S                                                                                   \
	}
#define REPAIR                                                                                                         \
	{                                                                                                              \
		"repair", APPLIANCE_S + DISK_S                                                                         \
	}

/* clang-format off */
static const struct cloud clouds[CLOUDS] = {
	{"azure", "Standard_D16s_v3", 32, vw_add_azure,
	 "{\"latency_ms\":{\"powerOff\":6400,\"start\":8000,\"vmPut\":9700,\"vmTags\":800,\"attach\":8000,\"diskCopy\":700,"
	 "\"boot\":45000},\"retry_after_s\":{\"vm\":10,\"disk\":2}}",
	 /* operations of VMs are asked for after 10 s (Retry-After), of disks after 2 s */
	 {PROBE, {"claim", 10}, {"stop", 10}, {"copy", 2}, {"attach", 10}, REPAIR, {"detach", 10}, {"swap", 10},
	  {"start", 8}, {"boot", 45}, {"release", 10}},
	 /* subscription: 1500 updates of VMs, 1000 new disks at once; rescue VM: 12 attach or detach calls at once */
	 {{"CreateUpdateDisks", VMS, 1000, 60.0 / 333, "copy", "copy"},
	  {"UpdateVM (stop, start)", 2 * VMS, 1500, 60.0 / 500, "stop", "start"},
	  {"PutVM (claim, swap, release)", 3 * VMS, 1500, 60.0 / 500, "claim", "release"}}},
	{"aws", "m5.large", 26, vw_add_aws,
	 "{\"latency_ms\":{\"stop\":30000,\"start\":15000,\"attach\":4000,\"detach\":6000,\"snapshot\":60000,"
	 "\"boot\":120000},\"lag_ms\":{\"instances\":2000,\"status\":5000,\"volumes\":500,\"snapshots\":1000,"
	 "\"tags\":1000}}",
	 /* with what reads lag behind */
	 {PROBE, {"claim", 1}, {"stop", 32}, {"take-out", 6.5}, {"attach", 4.5}, REPAIR, {"detach", 6.5},
	  {"put-back", 4.5}, {"start", 15}, {"boot", 125}, {"release", 0}},
	 {{"CreateTags", VMS, 100, 1.0 / 10, "claim", "stop"},
	  {"CreateSnapshot", VMS, 100, 1.0 / 5, "take-out", "take-out"},
	  {"DetachVolume", 2 * VMS, 50, 1.0 / 5, "take-out", "detach"},
	  {"AttachVolume", 2 * VMS, 50, 1.0 / 5, "attach", "put-back"},
	  {"ModifyInstanceAttribute", VMS, 50, 1.0 / 5, "start", "start"},
	  {"StartInstances (ids)", VMS, 1000, 1.0 / 2, "start", "start"},
	  {"DeleteTags", VMS, 50, 1.0 / 5, "release", "release"}}},
	{"gcp", "n2-standard-4", 127, vw_add_gcp,
	 "{\"latency_ms\":{\"stopHung\":120000,\"start\":8000,\"boot\":45000,\"attach\":3000,\"detach\":3000,\"labels\":300,"
	 "\"snapshot\":8000,\"upload\":30000,\"pending\":100},\"concurrent\":\"queue\"}",
	 {PROBE, {"claim", 0.4}, {"claim-disk", 0.4}, {"stop", 120.1}, {"backup", 38.1}, {"take-out", 3.1},
	  {"attach", 3.1}, REPAIR, {"detach", 3.1}, {"put-back", 3.1}, {"start", 8.1}, {"boot", 45},
	  {"release-disk", 0.4}, {"release", 0.4}},
	 /* 1500 changes in a minute of the clock; one VM's changes one after another */
	 {{"changes", 11 * VMS, 1500, 60.0 / 1500, "claim", "release"},
	  {"operations of a rescue VM", 2 * DISKS, 0, 3.1, "attach", "put-back"}}},
};
/* clang-format on */

/* Seconds of the chain before that step, each with the round trip of its request. */
static double before(const struct cloud *c, const char *step)
{
	double s = 0;

	for (size_t i = 0; c->chain[i].name != NULL && !ff_streq(c->chain[i].name, step); i++) {
		bool asks = !ff_streq(c->chain[i].name, "repair") && !ff_streq(c->chain[i].name, "boot") && i > 0;

		s += c->chain[i].s + (asks ? RTT_MS / 1000.0 : 0);
	}
	return s;
}

struct bound {
	double whole_s;
	double plain_s; /* without what comes before and after */
};

static void at_least(
	struct bound *b, const struct cloud *c, const char *name, double lead_s, double work_s, double tail_s)
{
	double all = lead_s + work_s + tail_s;

	printf("  %-5s bound %7.1f s  %-28s %6.1f + %6.1f + %6.1f\n", c->name, all, name, lead_s, work_s, tail_s);
	b->whole_s = all > b->whole_s ? all : b->whole_s;
	b->plain_s = work_s > b->plain_s ? work_s : b->plain_s;
}

static struct bound lower_bound(const struct cloud *c)
{
	double whole = before(c, NULL), work;
	struct bound b = {0};
	unsigned batches = ((unsigned)DISKS + c->slots - 1) / c->slots;

	at_least(&b, c, "chain of one VM", 0, whole, 0);
	for (size_t i = 0; i < FF_COUNT(c->limits) && c->limits[i].name != NULL; i++) {
		const struct limit *l = &c->limits[i];

		work = (l->n > l->burst ? l->n - l->burst : 0) * l->every_s;
		at_least(&b, c, l->name, before(c, l->from), work, whole - before(c, l->to));
	}
	at_least(&b, c, "disks over rescue slots", before(c, "repair"), batches * APPLIANCE_S + DISKS * DISK_S,
		whole - before(c, "detach"));
	return b;
}

/* ---------------------------------------------------------------- runs */

struct outcome {
	double makespan_s;
	double calls[CLOUDS]; /* a VM */
};

static void give_up(const struct ff_err *err)
{
	fprintf(stderr, "bench-clouds: %s\n", err->text);
	exit(1);
}

static json_t *make_scenario(struct vw *vw, const bool wanted[CLOUDS])
{
	json_t *scenario = vw_scenario(SEED);

	for (size_t i = 0; i < CLOUDS; i++) {
		json_t *more = json_loads(clouds[i].latencies, 0, NULL);

		if (wanted[i])
			clouds[i].add(vw, scenario,
				&(struct vw_fleet){.vms = VMS,
					.zones = ZONES,
					.rescues = RESCUES,
					.size = clouds[i].size,
					.more = more});
		json_decref(more);
	}
	return scenario;
}

static void check(struct vw_host *host, size_t vms)
{
	const struct ff_result *r = ff_engine_result(host->engine);
	size_t repaired = 0;

	for (size_t i = 0; i < r->count; i++) {
		repaired += r->ended[i].outcome == FF_O_REPAIRED;
		if (r->ended[i].outcome != FF_O_REPAIRED)
			fprintf(stderr, "%s %s: %s: %s\n", r->ended[i].provider, r->ended[i].vm->name,
				ff_outcome_name(r->ended[i].outcome), r->ended[i].reason);
	}
	if (repaired != vms || json_array_size(host->vw->sim->violations) > 0) {
		ff_auto_free char *text = ff_json_text(host->vw->sim->violations);

		fprintf(stderr, "bench-clouds: %zu of %zu repaired, violations: %.1000s\n", repaired, vms, text);
		exit(1);
	}
}

static struct outcome run(const bool wanted[CLOUDS])
{
	struct vw *vw = vw_new(SEED);
	ff_auto_json json_t *scenario = make_scenario(vw, wanted);
	const struct vw_run what = {.run = "bench", .azure = wanted[0], .aws = wanted[1], .gcp = wanted[2]};
	struct outcome o = {0};
	struct vw_host *host;
	struct ff_err err = {0};
	int64_t began_ms;
	size_t part = 0;

	if (vw_open(vw, scenario, &err) < 0)
		give_up(&err);
	host = vw_host_new(vw);
	if (vw_host_begin(host, &what, &err) < 0 || vw_run_until(host, FF_PHASE_FOUND, LIMIT_MS, &err) < 0)
		give_up(&err);
	began_ms = vw->now_ms;
	if (vw_host_repair(host, &err) < 0 || vw_run_until(host, FF_PHASE_ENDED, LIMIT_MS, &err) < 0)
		give_up(&err);
	check(host, (size_t)VMS * (size_t)(wanted[0] + wanted[1] + wanted[2]));
	o.makespan_s = (double)(vw->now_ms - began_ms) / 1000;
	for (size_t i = 0; i < CLOUDS; i++)
		if (wanted[i])
			o.calls[i] = (double)vw->calls[part++] / VMS;
	vw_free(vw);
	return o;
}

int main(void)
{
	struct outcome alone[CLOUDS], all = run((const bool[CLOUDS]){true, true, true});
	struct bound bounds[CLOUDS];
	double slowest = 0;
	bool missed = false;

	printf("%d VMs a cloud, %d zones, %d rescue VMs a zone; seconds: before + work + after\n", VMS, ZONES, RESCUES);
	for (size_t i = 0; i < CLOUDS; i++) {
		bool wanted[CLOUDS] = {false};

		wanted[i] = true;
		alone[i] = run(wanted);
		bounds[i] = lower_bound(&clouds[i]);
		printf("%s: makespan %.1f s alone, lower bound %.1f s\n", clouds[i].name, alone[i].makespan_s,
			bounds[i].whole_s);
		slowest = alone[i].makespan_s > slowest ? alone[i].makespan_s : slowest;
		missed = missed || alone[i].makespan_s > bounds[i].whole_s * RATIO_MAX;
	}
	printf("all three: makespan %.1f s, the slowest alone %.1f s\n", all.makespan_s, slowest);
	for (size_t i = 0; i < CLOUDS; i++)
		printf("figure makespan_%s_ratio %.2f ratio\n", clouds[i].name,
			alone[i].makespan_s / bounds[i].whole_s);
	for (size_t i = 0; i < CLOUDS; i++)
		printf("figure makespan_%s_plain_ratio %.2f ratio\n", clouds[i].name,
			alone[i].makespan_s / bounds[i].plain_s);
	printf("figure all_over_slowest %.2f ratio\n", all.makespan_s / slowest);
	for (size_t i = 0; i < CLOUDS; i++)
		printf("figure calls_per_vm_%s %.1f calls\n", clouds[i].name, all.calls[i]);
	return missed || all.makespan_s > slowest * ALL_MAX;
}
