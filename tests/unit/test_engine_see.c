/* Evidence: what can be seen of VMs from outside. */
#include "test_engine_world.h"

TestSuite(engine_see, .init = setup, .fini = teardown);

/* Two questions a VM: the second goes where the answer to the first says, and without credentials. */
static enum ff_evidence toy_evidence_ask(
	struct ff_cloud *cloud, const struct ff_vm *vm, unsigned n, const json_t *state, struct ff_ask *ask)
{
	(void)cloud;
	if (n > 1)
		return FF_EVIDENCE_NONE;
	if (n == 1 && ff_json_str(state, "next") == NULL)
		return FF_EVIDENCE_NONE;
	ff_ask_http(ask, "GET", "https://toy.test/%s/%s", n == 0 ? "console" : ff_json_str(state, "next"), vm->name);
	return n == 0 ? FF_EVIDENCE_SIGNED : FF_EVIDENCE_PLAIN;
}

static int toy_evidence_read(
	const struct ff_answer *answer, unsigned n, json_t *state, struct ff_exhibit *out, struct ff_err *err)
{
	if (ff_streq(answer->body, "nonsense"))
		return ff_fail(err, FF_E_BUG, "that is nonsense");
	if (n == 0)
		ff_json_set_str(state, "next", "screen");
	*out = (struct ff_exhibit){.name = n == 0 ? "console.txt" : "screen.png",
		.bytes = ff_strdup(answer->body),
		.len = answer->body_len};
	return 0;
}

static struct ff_buf kept;
static struct ff_provider seeing;

static void keep(void *arg, const char *provider, const struct ff_vm *vm, const struct ff_exhibit *exhibit)
{
	cr_assert_eq(arg, &w);
	ff_buf_addf(&kept, "%s/%s/%s=%s\n", provider, vm->name, exhibit->name, exhibit->bytes);
}

static void see(size_t vms)
{
	struct ff_selected selected[8] = {0};

	seeing = toy;
	seeing.evidence_ask = toy_evidence_ask;
	seeing.evidence_read = toy_evidence_read;
	world_open(&w, vms, NULL);
	w.engine->scopes[0]->provider = &seeing;
	world_run(&w, FF_PHASE_FOUND);
	for (size_t i = 0; i < vms; i++)
		selected[i].vm = w.cloud->vms[i + 1];
	ff_engine_see(w.engine, selected, vms, keep, &w);
	world_run(&w, FF_PHASE_FOUND);
}

Test(engine_see, each_file_is_handed_over_and_the_engine_is_as_before)
{
	RULES({"console/a", .body = "boom"}, {"screen/a", .body = "blue"});
	see(1);
	cr_expect_str_eq(kept.text, "toy/a/console.txt=boom\ntoy/a/screen.png=blue\n");
	cr_expect_eq(ff_engine_phase(w.engine), FF_PHASE_FOUND);
	cr_expect_eq(traced(&w, "append"), 0, "nothing is journaled");
	world_finish(&w);
	expect_outcome(&w, "a", FF_O_REPAIRED, "");
	ff_buf_free(&kept);
}

Test(engine_see, what_cannot_be_had_is_said_and_the_rest_is_kept)
{
	RULES({"console/a", .status = 403}, {"console/b", .body = "nonsense"}, {"console/c", .body = "boom"},
		{"screen/c", .status = 404});
	see(3);
	cr_expect_str_eq(kept.text, "toy/c/console.txt=boom\n");
	cr_expect_eq(said(&w, "evidence is incomplete: GET answered 403"), 1);
	cr_expect_eq(said(&w, "evidence is incomplete: that is nonsense"), 1);
	cr_expect_eq(said(&w, "evidence is incomplete: GET answered 404"), 1);
	ff_buf_free(&kept);
}

Test(engine_see, a_cloud_that_shows_nothing_is_asked_nothing)
{
	struct ff_selected selected = {0};

	world_open(&w, 1, NULL);
	world_run(&w, FF_PHASE_FOUND);
	selected.vm = w.cloud->vms[1];
	ff_engine_see(w.engine, &selected, 1, keep, &w);
	world_run(&w, FF_PHASE_FOUND);
	cr_expect_null(kept.text);
	cr_expect_eq(ff_engine_phase(w.engine), FF_PHASE_FOUND);
}
