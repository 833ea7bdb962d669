/* A run on GCP whose journal is lost: its labels bring the disk home as it was, or it is said why not. */
#include "gcp_world.h"

/* ---------------------------------------------------------------- labels */

#define FIFTY "Abcdefghi.Abcdefghi.Abcdefghi.Abcdefghi.Abcdefghi."
#define LOWER "abcdefghij-abcdefghij-abcdefghij-abcdefghij-abcdefghij-abcdefghi"

Test(gcp_recover, an_attachment_goes_into_labels_and_comes_back)
{
	static const struct {
		const char *boot, *labels; /* labels NULL: it cannot be said in labels */
	} cases[] = {
		{"{\"deviceName\":\"persistent-disk-0\",\"autoDelete\":true,\"mode\":\"READ_WRITE\",\"interface\":"
		 "\"SCSI\",\"type\":\"PERSISTENT\"}",
			"{\"fixfleet-boot\":\"delete_read-write_scsi_persistent\",\"fixfleet-device\":\"persistent-"
			"disk-"
			"0\"}"},
		{"{\"deviceName\":\"Disk.0_a\",\"autoDelete\":false,\"mode\":\"READ_ONLY\",\"interface\":\"NVME\"}",
			"{\"fixfleet-boot\":\"keep_read-only_nvme_unsaid\",\"fixfleet-device\":\"_disk_-0__a\"}"},
		{"{\"deviceName\":\"" LOWER "\",\"autoDelete\":false}",
			"{\"fixfleet-boot\":\"keep_unsaid_unsaid_unsaid\",\"fixfleet-device\":\"abcdefghij-abcdefghij-"
			"abcdefghij-abcdefghij-abcdefghij-abcdefgh\",\"fixfleet-device-2\":\"i\"}"},
		{"{\"deviceName\":\"a b\",\"autoDelete\":true}", NULL},
		{"{\"deviceName\":\"\",\"autoDelete\":true}", NULL},
		{"{\"autoDelete\":true}", NULL},
		{"{\"deviceName\":\"d\",\"autoDelete\":true,\"interface\":\"CXL\"}", NULL},
		{"{\"deviceName\":\"" FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY FIFTY "\"}", NULL},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};
		ff_auto_json json_t *boot = ff_json_parse(cases[i].boot, strlen(cases[i].boot), 4096, &err);
		ff_auto_json json_t *want = NULL, *labels = json_object(), *back = NULL;

		cr_assert_not_null(boot, "%s", err.text);
		cr_expect_eq(gcp_record_write(labels, boot), cases[i].labels != NULL, "case %zu", i);
		back = gcp_record_read(labels);
		if (cases[i].labels == NULL) {
			cr_expect_eq(json_object_size(labels), 0, "case %zu", i);
			cr_expect_null(back, "case %zu", i);
			continue;
		}
		want = ff_json_parse(cases[i].labels, strlen(cases[i].labels), 4096, &err);
		cr_expect(json_equal(labels, want), "case %zu: %s", i, json_dumps(labels, JSON_SORT_KEYS));
		cr_expect(json_equal(back, boot), "case %zu: %s", i, json_dumps(back, JSON_SORT_KEYS));
		gcp_labels_clear(labels);
		cr_expect_eq(json_object_size(labels), 0, "case %zu: nothing of ours stays", i);
	}
}

Test(gcp_recover, the_longest_device_name_fits)
{
	ff_auto_json json_t *labels = json_object(), *back = NULL, *boot = NULL;
	char name[256];

	memset(name, 'X', 255);
	name[255] = '\0';
	boot = json_pack("{s:s,s:b}", "deviceName", name, "autoDelete", 1);
	cr_assert(gcp_record_write(labels, boot));
	for (void *at = json_object_iter(labels); at != NULL; at = json_object_iter_next(labels, at))
		cr_expect_leq(json_string_length(json_object_iter_value(at)), GCP_NAME_MAX);
	back = gcp_record_read(labels);
	cr_expect(json_equal(back, boot));
}

Test(gcp_recover, labels_that_are_not_ours_tell_nothing)
{
	static const char *const cases[] = {
		"{}",
		"{\"fixfleet-device\":\"d\"}",
		"{\"fixfleet-boot\":\"keep_read-write_scsi_persistent\"}",
		"{\"fixfleet-device\":\"d_\",\"fixfleet-boot\":\"keep_read-write_scsi_persistent\"}",
		"{\"fixfleet-device\":\"d_1\",\"fixfleet-boot\":\"keep_read-write_scsi_persistent\"}",
		"{\"fixfleet-device\":\"d\",\"fixfleet-boot\":\"maybe_read-write_scsi_persistent\"}",
		"{\"fixfleet-device\":\"d\",\"fixfleet-boot\":\"keep_read-write_scsi\"}",
		"{\"fixfleet-device\":\"d\",\"fixfleet-boot\":\"keep_read-write_scsi_persistent_x\"}",
		"{\"fixfleet-device\":\"d\",\"fixfleet-boot\":\"keep_read-write_cxl_persistent\"}",
		"{\"fixfleet-device-2\":\"d\",\"fixfleet-boot\":\"keep_read-write_scsi_persistent\"}",
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};
		ff_auto_json json_t *labels = ff_json_parse(cases[i], strlen(cases[i]), 4096, &err), *back = NULL;

		cr_assert_not_null(labels, "%s", err.text);
		back = gcp_record_read(labels);
		cr_expect_null(back, "case %zu", i);
	}
}

Test(gcp_recover, where_there_is_no_room_nothing_is_written)
{
	ff_auto_json json_t *labels = json_object(), *boot = json_pack("{s:s}", "deviceName", "d");
	char key[16];

	for (int i = 0; i < GCP_LABELS_MAX - 1; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ff_json_set_str(labels, key, "x");
	}
	cr_expect_not(gcp_record_write(labels, boot));
	cr_expect_eq(json_object_size(labels), GCP_LABELS_MAX - 1);
	json_object_del(labels, "k0");
	cr_expect(gcp_record_write(labels, boot));
}

/* ---------------------------------------------------------------- coming home */

/* The VM as discovery finds it after the loss; it was running. */
static struct one *lost(const char *run)
{
	struct ff_err err = {0};
	json_t *facts;
	struct one *o;

	world_look_for_claims();
	cr_assert_str_eq(ff_json_str(vm_of("web")->facts, "claim/was"), "running");
	cr_expect_null(ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, "run-0", false, NULL, NULL, &err));
	facts = ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, run, false, NULL, NULL, &err);
	cr_assert_not_null(facts, "%s", err.text);
	vm_of("web")->running = true;
	o = one_new(facts, run);
	o->m.rescue = NULL;
	o->m.rescue_facts = NULL;
	o->m.slot = -1;
	return o;
}

static void come_home(struct one *o)
{
	for (const int *row = ff_gcp.recover; *row != FF_STEP_NONE; row++)
		expect_home(o, *row);
}

/* Its own disk, attached as it was, running; of ours no label is left. */
static void is_home(const char *disk, const char *when)
{
	ff_auto_json json_t *state = sim_state(w.sim);
	const json_t *vm = state_vm(state);

	is(vm, "boot/disk", disk);
	is(vm, "boot/device_name", "Boot.Disk-1");
	is(vm, "boot/interface", "NVME");
	is(vm, "power", "running");
	cr_expect(ff_json_bool(vm, "boot/auto_delete", false), "%s", when);
	cr_expect_eq(json_object_size(json_object_get(vm, "labels")), 1, "%s", when);
	cr_expect_eq(json_object_size(json_object_get(state_disk(state, disk), "labels")), 1, "%s", when);
	cr_expect_eq(json_array_size(ff_json_at(state, "gcp/vms/1/data_disks")), 0, "%s", when);
}

#define NVME ",\"interface\":\"NVME\",\"auto_delete\":true"

/* The first rows of an order, so many; then its journal is lost. */
static void recover_after(const int *order, size_t rows, bool rollback)
{
	ff_auto_json json_t *past = NULL;
	ff_auto_free char *disk = NULL, *when = ff_printf("after %zu rows", rows);
	struct one *o, *found;

	world(NVME, "");
	if (rollback)
		past = repaired();
	disk = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = rollback ? later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2")
		     : one_new(json_deep_copy(vm_of("web")->facts), "run-2");
	walk_some(o, order, rows);
	sim_advance(w.sim, w.now += 120000);
	found = lost("run-2");
	if (ff_json_bool(o->facts, "in", false)) { /* what is in stays in */
		free(disk);
		disk = ff_strdup(gcp_last(ff_json_str(o->facts, "new/path")));
	}
	come_home(found);
	is_home(disk, when);
	one_free(o);
	one_free(found);
	world_end();
}

Test(gcp_recover, a_run_whose_journal_is_lost_comes_home_by_its_labels_from_every_row)
{
	for (size_t rows = 1; ff_gcp.forward[rows - 1] != GCP_RELEASE; rows++)
		recover_after(ff_gcp.forward, rows, false);
}

Test(gcp_recover, so_does_a_rollback)
{
	/* the first row claims nothing */
	for (size_t rows = 2; ff_gcp.rollback[rows - 1] != GCP_RELEASE; rows++)
		recover_after(ff_gcp.rollback, rows, true);
}

/* Attached again, its flag not set any more: the cloud lost it, and the run died before it saw that. */
/* The disk that it has is released already, and the one that was made and never put in bears its labels. */
Test(gcp_recover, a_rollback_that_is_lost_once_more_is_home)
{
	ff_auto_json json_t *past = NULL;
	ff_auto_free char *disk = NULL;
	struct one *o, *found, *again;

	world(NVME, "");
	past = repaired();
	disk = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = later(FF_FLOW_ROLLBACK, "run-1", false, past, "run-2");
	walk_some(o, ff_gcp.rollback, 4);
	sim_advance(w.sim, w.now += 120000);
	found = lost("run-2");
	for (const int *row = ff_gcp.recover; *row != GCP_RELEASE; row++)
		expect_home(found, *row);
	again = lost("run-2");
	come_home(again);
	is_home(disk, "lost twice");
	one_free(o);
	one_free(found);
	one_free(again);
	world_end();
}

Test(gcp_recover, a_flag_that_was_lost_is_set_again)
{
	ff_auto_free char *disk = NULL;
	struct one *o, *found;

	world_with(NVME, "", "");
	disk = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-2");
	walk_some(o, ff_gcp.forward, 8); /* it was detached from the rescue VM */
	json_object_set_new(json_object_get(o->facts, "boot"), "autoDelete", json_false());
	o->m.step = GCP_PUT_BACK;
	act_once(o);
	found = lost("run-2");
	come_home(found);
	is_home(disk, "with its flag");
	one_free(o);
	one_free(found);
	world_end();
}

/* A request of the dead run may still be under way: what is seen of the disk is not believed at once. */
Test(gcp_recover, what_was_asked_for_last_may_still_arrive)
{
	ff_auto_free char *disk = NULL;
	struct one *o, *found;

	world(NVME, "");
	disk = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-2");
	walk_some(o, ff_gcp.forward, 4);
	found = lost("run-2");
	expect_home(found, GCP_FETCH); /* it is at home, and then the detach arrives */
	o->m.step = GCP_TAKE_OUT;
	ask_once(o, ACT);
	for (size_t i = 1; ff_gcp.recover[i] != FF_STEP_NONE; i++)
		expect_home(found, ff_gcp.recover[i]);
	is_home(disk, "after all");
	one_free(o);
	one_free(found);
	world_end();
}

/* Nobody has it, and then the dead run's attach to the rescue VM arrives. */
Test(gcp_recover, an_attach_may_still_arrive)
{
	ff_auto_free char *disk = NULL;
	struct one *o, *found;

	world(NVME, "");
	disk = ff_strdup(gcp_last(vm_of("web")->disk_id));
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-2");
	walk_some(o, ff_gcp.forward, 5);
	found = lost("run-2");
	found->m.step = GCP_FETCH;
	ask_once(found, LOOK);
	cr_expect_eq(found->v.meaning, FF_M_WAIT, "nobody has it: too early to believe");
	o->m.step = GCP_ATTACH;
	ask_once(o, ACT);
	come_home(found);
	is_home(disk, "after all");
	one_free(o);
	one_free(found);
	world_end();
}

/* ---------------------------------------------------------------- what does not tell enough */

static const char *refusal(void)
{
	static struct ff_err err;
	json_t *facts;

	err = (struct ff_err){0};
	world_look_for_claims();
	facts = ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, "run-2", false, NULL, NULL, &err);
	cr_expect_null(facts);
	json_decref(facts);
	return err.text;
}

static void by_hand(struct ff_strv *commands)
{
	struct ff_member m = {.vm = vm_of("web"), .facts = vm_of("web")->facts, .run = "run-2", .slot = -1};

	vm_of("web")->running = true;
	ff_gcp.by_hand(w.cloud, &m, commands);
}

/* What labels a resource has, by somebody's hand: all of them. */
static void set_labels(const char *path, const char *labels)
{
	struct ff_ask ask = {0};
	struct ff_answer answer;
	ff_auto_json json_t *resource = NULL, *op = NULL;
	ff_auto_free char *body = NULL;
	struct ff_err err;

	gcp_ask(w.cloud, &ask, GCP_READ, "GET", path, "");
	send_signed(&ask, &answer);
	cr_assert_eq(gcp_reply(&answer, &resource, &err), FF_E_NONE, "%s", err.text);
	ff_ask_release(&ask);
	ff_answer_release(&answer, false);
	body = ff_printf(
		"{\"labels\":%s,\"labelFingerprint\":\"%s\"}", labels, ff_json_str(resource, "labelFingerprint"));
	gcp_ask(w.cloud, &ask, GCP_MUTATE, "POST", path, "/setLabels");
	ff_ask_body(&ask, "application/json", ff_strdup(body));
	send_signed(&ask, &answer);
	cr_assert_eq(gcp_reply(&answer, &op, &err), FF_E_NONE, "%s", err.text);
	ff_ask_release(&ask);
	ff_answer_release(&answer, false);
	sim_advance(w.sim, w.now += 60000);
}

#define OLD_CLAIM "{\"cost\":\"42\",\"fixfleet-run\":\"run-2\",\"fixfleet-vm\":\"web\"}"

/* As an older fixfleet claimed: no label says how it was attached. */
Test(gcp_recover, a_disk_whose_labels_do_not_tell_is_brought_home_by_hand)
{
	ff_auto_free char *disk = NULL, *vm = NULL;
	struct ff_strv commands = {0};
	struct one *o;
	const char *why;

	world(NVME, "");
	disk = ff_strdup(vm_of("web")->disk_id);
	vm = ff_strdup(vm_of("web")->id);
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-2");
	walk_some(o, ff_gcp.forward, 6);
	set_labels(disk, OLD_CLAIM);
	why = refusal();
	cr_expect_not_null(strstr(why, "no label says how its boot disk"), "%s", why);
	by_hand(&commands);
	cr_assert_eq(commands.count, 4);
	cr_expect_not_null(strstr(commands.items[0], "detach-disk rescue-1 "), "%s", commands.items[0]);
	cr_expect_not_null(
		strstr(commands.items[1], "snapshots describe fixfleet-run-2-web-"), "%s", commands.items[1]);
	cr_expect_not_null(strstr(commands.items[2], "attach-disk web "), "%s", commands.items[2]);
	cr_expect_null(strstr(commands.items[2], "--device-name"), "%s", commands.items[2]);
	cr_expect_not_null(strstr(commands.items[3], "instances start web"), "%s", commands.items[3]);
	ff_strv_free(&commands);
	/* its record, but not whether it ran */
	world_look();
	set_labels(disk,
		"{\"cost\":\"42\",\"fixfleet-run\":\"run-2\",\"fixfleet-vm\":\"web\",\"fixfleet-boot\":\"delete_read-"
		"write_nvme_persistent\",\"fixfleet-device\":\"_boot_-_disk-1\"}");
	set_labels(vm, "{\"env\":\"prod\",\"fixfleet-run\":\"run-2\"}");
	why = refusal();
	cr_expect_not_null(strstr(why, "no label says whether it ran"), "%s", why);
	one_free(o);
	PROVIDER.close(w.cloud);
	sim_free(w.sim);
}

/* 32 bytes of "k", and their SHA-256 */
#define KEY	   "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
#define KEY_SHA256 "XjGPjPnL4kmjCBK4yhMtaR3tepGZFBNVjbV1hXX14B8="
#define KEYS                                                                                                           \
	"[{\"uri\":\"https://www.googleapis.com/compute/v1/projects/p1/zones/us-central1-a/disks/web\","               \
	"\"key\":\"" KEY "\",\"key-type\":\"raw\"}]"

Test(gcp_recover, a_disk_with_a_key_of_its_own_comes_home_with_it_only)
{
	ff_auto_json json_t *facts = NULL;
	struct ff_err err = {0};
	struct one *o, *found;
	const char *why;

	world(NVME ",\"csek_sha256\":\"" KEY_SHA256 "\"", "");
	world_look_with(&(struct ff_scope_options){.csek_file = KEYS});
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-2");
	walk_some(o, ff_gcp.forward, 6);
	why = refusal();
	cr_expect_not_null(strstr(why, "--csek-key-file does not give"), "%s", why);
	world_look_with(&(struct ff_scope_options){.csek_file = KEYS, .claims = true});
	facts = ff_gcp.recall(w.cloud, vm_of("web"), FF_FLOW_RECOVER, "run-2", false, NULL, NULL, &err);
	cr_assert_not_null(facts, "%s", err.text);
	vm_of("web")->running = true;
	found = one_new(json_incref(facts), "run-2");
	found->m.rescue = NULL;
	found->m.rescue_facts = NULL;
	come_home(found);
	is_home("web", "with its key");
	one_free(o);
	one_free(found);
	world_end();
}

/* Of an old claim too: a VM that runs has its disk, and is only released. */
Test(gcp_recover, an_old_claim_on_a_vm_that_runs_is_released)
{
	ff_auto_free char *disk = NULL, *vm = NULL;
	struct one *o, *found;

	world(NVME, "");
	disk = ff_strdup(vm_of("web")->disk_id);
	vm = ff_strdup(vm_of("web")->id);
	o = one_new(json_deep_copy(vm_of("web")->facts), "run-2");
	walk_some(o, ff_gcp.forward, 2);
	set_labels(disk, OLD_CLAIM);
	set_labels(vm, "{\"env\":\"prod\",\"fixfleet-run\":\"run-2\"}");
	found = lost("run-2");
	come_home(found);
	is_home(gcp_last(disk), "released");
	one_free(o);
	one_free(found);
	world_end();
}

/* Somebody has taken it to another VM, or in its place put another disk: that is not undone. */
Test(gcp_recover, what_somebody_attached_by_hand_stays)
{
	struct {
		const char *attached;
		enum ff_meaning meaning;
	} cases[] = {
		{"{\"deviceName\":\"mine\",\"boot\":false,", FF_M_FAILED},
		{"{\"deviceName\":\"fixfleet-2-00000000\",\"boot\":false,", FF_M_FAILED},
		{"{\"deviceName\":\"fixfleet-2-%.8s\",\"boot\":true,", FF_M_FAILED},
		{"{\"deviceName\":\"fixfleet-2-%.8s\",\"boot\":false,", FF_M_NOT_DONE},
	};
	char hash[65];

	world("", "");
	ff_sha256_hex(vm_of("web")->id, strlen(vm_of("web")->id), hash);
	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_json json_t *facts = json_deep_copy(vm_of("web")->facts);
		struct ff_member m = {
			.vm = vm_of("web"), .facts = facts, .step = GCP_FETCH, .run = "run-2", .slot = -1};
		const char *slash = strstr(cases[i].attached, "%.8s");
		ff_auto_free char *front = slash ? ff_printf("%.*s%.8s%s", (int)(slash - cases[i].attached),
							   cases[i].attached, hash, slash + 4)
						 : ff_strdup(cases[i].attached);
		struct ff_answer answer = {.status = 200,
			.body = ff_printf(
				"{\"disks\":[%s\"source\":\"%s\"}]}", front, ff_json_str(facts, "boot/source"))};
		struct ff_verdict v = {0};

		answer.body_len = strlen(answer.body);
		ff_json_set_str(facts, "see", "holder");
		ff_json_set_str(facts, "rescue", "projects/p1/zones/us-central1-a/instances/other");
		gcp_fetch_looked(w.cloud, &m, w.now, &answer, &v);
		cr_expect_eq(v.meaning, cases[i].meaning, "case %zu: %d %s", i, (int)v.meaning, v.err.text);
		json_decref(v.facts);
		ff_answer_release(&answer, false);
	}
	world_end();
}
