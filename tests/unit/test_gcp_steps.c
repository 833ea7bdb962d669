/* The requests of every row, exactly; and the table itself. */
#include "test_gcp_kit.h"

/* base64 of the key must not be in what is journaled or logged. */
static void no_key(const struct kit_vm *k)
{
	ff_auto_free char *facts = ff_json_text(k->facts);

	cr_expect_null(strstr(facts, KEY));
}

static struct ff_cloud *with_key(void)
{
	static const char file[] = "[{\"uri\":\"" GOOGLE DISK "\",\"key\":\"" KEY "\",\"key-type\":\"raw\"}]";
	struct ff_cloud *cloud = kit_cloud();
	struct ff_err err;

	cr_assert_eq(gcp_keys_read(&cloud->keys, file, strlen(file), &err), 0, "%s", err.text);
	return cloud;
}

/* ---------------------------------------------------------------- acts */

Test(gcp_steps, a_claim_sends_all_labels_and_the_fingerprint)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask;

	kit_vm(&k);
	ask = kit_act(cloud, &k, GCP_CLAIM);
	kit_ask_is(&ask, "POST", VM_PATH "/setLabels?requestId=" TOKEN);
	kit_body_is(&ask, "{\"labels\":{\"env\":\"prod\",\"fixfleet-run\":\"r1\",\"fixfleet-was\":\"running\"},"
			  "\"labelFingerprint\":\"42WmSpB8rSM=\"}");
	ff_ask_release(&ask);
	ask = kit_act(cloud, &k, GCP_CLAIM_DISK);
	kit_ask_is(&ask, "POST", DISK "/setLabels?requestId=" TOKEN);
	kit_body_is(&ask,
		"{\"labels\":{\"cost\":\"42\",\"fixfleet-run\":\"r1\",\"fixfleet-vm\":\"vm1\",\"fixfleet-boot\":"
		"\"delete_read-write_scsi_persistent\",\"fixfleet-device\":\"persistent-disk-0\"},\"labelFingerprint\":"
		"\"ZGlzaw==\"}");
	ff_ask_release(&ask);
	cr_expect_null(
		json_object_get(json_object_get(k.facts, "labels"), GCP_LABEL_RUN), "facts change by patches only");
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, a_release_takes_our_labels_away_and_no_other)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask;

	kit_vm(&k);
	ff_json_set_str(json_object_get(k.facts, "labels"), GCP_LABEL_RUN, "r1");
	ask = kit_act(cloud, &k, GCP_RELEASE);
	kit_ask_is(&ask, "POST", VM_PATH "/setLabels?requestId=" TOKEN);
	kit_body_is(&ask, "{\"labels\":{\"env\":\"prod\"},\"labelFingerprint\":\"42WmSpB8rSM=\"}");
	ff_ask_release(&ask);
	ff_json_set_str(json_object_get(json_object_get(k.facts, "disk"), "labels"), GCP_LABEL_VM, "vm1");
	ask = kit_act(cloud, &k, GCP_RELEASE_DISK);
	kit_body_is(&ask, "{\"labels\":{\"cost\":\"42\"},\"labelFingerprint\":\"ZGlzaw==\"}");
	ff_ask_release(&ask);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, a_claim_of_another_run_or_too_many_labels_stop_the_act)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	json_t *labels;

	kit_vm(&k);
	k.m.step = GCP_CLAIM;
	labels = json_object_get(k.facts, "labels");
	ff_json_set_str(labels, GCP_LABEL_RUN, "r0");
	cr_expect_eq(ff_gcp.steps[GCP_CLAIM].act(cloud, &k.m, 1, &ask, &err), -1);
	cr_expect_eq(err.class, FF_E_CONFLICT);
	cr_expect_not_null(strstr(err.text, "claimed by run 'r0'"), "%s", err.text);
	json_object_del(labels, GCP_LABEL_RUN);
	for (int i = 1; i < 63; i++) {
		char key[16];

		snprintf(key, sizeof(key), "l%d", i);
		ff_json_set_str(labels, key, "x");
	}
	cr_expect_eq(ff_gcp.steps[GCP_CLAIM].act(cloud, &k.m, 1, &ask, &err), 0, "63 and ours");
	ff_ask_release(&ask);
	ff_json_set_str(labels, "one-more", "x");
	cr_expect_eq(ff_gcp.steps[GCP_CLAIM].act(cloud, &k.m, 1, &ask, &err), -1);
	cr_expect_eq(err.class, FF_E_PERMANENT);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, a_claim_says_whose_it_is_and_is_taken_over_when_told_so)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask = {0};
	struct ff_err err = {0};
	json_t *labels;

	kit_vm(&k);
	k.m.step = GCP_CLAIM;
	k.m.by = "Ops@bastion.example";
	labels = json_object_get(k.facts, "labels");
	ff_json_set_str(labels, GCP_LABEL_RUN, "r0");
	ff_json_set_str(labels, GCP_LABEL_BY, "eve_laptop");
	cr_expect_eq(ff_gcp.steps[GCP_CLAIM].act(cloud, &k.m, 1, &ask, &err), -1);
	cr_expect_not_null(strstr(err.text, "claimed by run 'r0' of eve_laptop"), "%s", err.text);
	ff_json_set_str(k.facts, "of", "r0"); /* rolled back: that run has ended */
	ask = kit_act(cloud, &k, GCP_CLAIM);
	ff_ask_release(&ask);
	json_object_del(k.facts, "of");
	k.m.take_over = true;
	ask = kit_act(cloud, &k, GCP_CLAIM);
	kit_body_is(&ask, "{\"labels\":{\"env\":\"prod\",\"fixfleet-run\":\"r1\",\"fixfleet-was\":\"running\","
			  "\"fixfleet-by\":\"ops_bastion_example\"},"
			  "\"labelFingerprint\":\"42WmSpB8rSM=\"}");
	ff_ask_release(&ask);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, a_stop_says_only_what_the_vm_needs)
{
	static const struct {
		bool ssd, graceful;
		const char *path;
	} cases[] = {
		{false, false, VM_PATH "/stop?requestId=" TOKEN},
		{true, false, VM_PATH "/stop?discardLocalSsd=true&requestId=" TOKEN},
		{false, true, VM_PATH "/stop?noGracefulShutdown=true&requestId=" TOKEN},
		{true, true, VM_PATH "/stop?discardLocalSsd=true&noGracefulShutdown=true&requestId=" TOKEN},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct kit_vm k;
		struct ff_ask ask;

		kit_vm(&k);
		ff_json_set_bool(k.facts, "local_ssd", cases[i].ssd);
		ff_json_set_bool(k.facts, "graceful", cases[i].graceful);
		ask = kit_act(cloud, &k, GCP_STOP);
		kit_ask_is(&ask, "POST", cases[i].path);
		cr_expect_null(ask.body);
		ff_ask_release(&ask);
		kit_vm_free(&k);
	}
	ff_gcp.close(cloud);
}

Test(gcp_steps, a_backup_is_named_by_run_and_vm)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask;
	ff_auto_free char *name = NULL, *other = NULL, *longest = NULL;
	ff_auto_json json_t *body = NULL;

	kit_vm(&k);
	name = gcp_snapshot_name(&k.m);
	cr_expect(ff_has_prefix(name, "fixfleet-r1-vm1-"), "%s", name);
	ask = kit_act(cloud, &k, GCP_BACKUP);
	kit_ask_is(&ask, "POST", DISK "/createSnapshot?guestFlush=false&requestId=" TOKEN);
	cr_expect_not(ask.secret);
	cr_expect_eq(ask.cost_count, 2);
	body = kit_json(ask.body);
	cr_expect_str_eq(ff_json_str(body, "name"), name);
	cr_expect_str_eq(ff_json_str(body, "labels/fixfleet-run"), "r1");
	cr_expect_str_eq(ff_json_str(body, "labels/fixfleet-vm"), "vm1");
	cr_expect_str_eq(ff_json_str(body, "storageLocations/0"), "us-central1");
	cr_expect_not_null(strstr(ff_json_str(body, "description"), "persistent-disk-0"));
	cr_expect_eq(json_object_size(body), 4, "no key");
	ff_ask_release(&ask);
	/* snapshots are global, names of VMs are not */
	ff_json_set_str(k.facts, "vm", "projects/p1/zones/us-east1-b/instances/vm1");
	other = gcp_snapshot_name(&k.m);
	cr_expect_str_neq(other, name);
	k.m.run = "run-run-run-run-run-run-run-run-run-run-";
	ff_json_set_str(
		k.facts, "vm", ZONE "/instances/abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678");
	longest = gcp_snapshot_name(&k.m);
	cr_expect(gcp_is_name(longest), "%s", longest);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, the_disk_goes_out_over_and_home_by_its_recorded_names)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask;
	ff_auto_free char *device = NULL, *expected = NULL;

	kit_vm(&k);
	ask = kit_act(cloud, &k, GCP_TAKE_OUT);
	kit_ask_is(&ask, "POST", VM_PATH "/detachDisk?deviceName=persistent-disk-0&requestId=" TOKEN);
	cr_expect_null(ask.body);
	ff_ask_release(&ask);

	device = gcp_device_name(&k.m);
	cr_expect(ff_has_prefix(device, "fixfleet-17-"), "%s", device);
	ask = kit_act(cloud, &k, GCP_ATTACH);
	kit_ask_is(&ask, "POST", RESCUE "/attachDisk?requestId=" TOKEN);
	expected = ff_printf("{\"source\":\"" GOOGLE DISK "\",\"deviceName\":\"%s\",\"mode\":\"READ_WRITE\",\"type\":"
			     "\"PERSISTENT\",\"boot\":false,\"autoDelete\":false}",
		device);
	kit_body_is(&ask, expected);
	cr_expect_eq(ask.cost_count, 2, "also the queue of the rescue VM");
	ff_ask_release(&ask);
	free(expected);

	ask = kit_act(cloud, &k, GCP_DETACH);
	expected = ff_printf(RESCUE "/detachDisk?deviceName=%s&requestId=" TOKEN, device);
	kit_ask_is(&ask, "POST", expected);
	ff_ask_release(&ask);

	ask = kit_act(cloud, &k, GCP_PUT_BACK);
	kit_ask_is(&ask, "POST", VM_PATH "/attachDisk?requestId=" TOKEN);
	kit_body_is(&ask, "{\"source\":\"" GOOGLE DISK
			  "\",\"deviceName\":\"persistent-disk-0\",\"boot\":true,\"autoDelete\":true,"
			  "\"mode\":\"READ_WRITE\",\"interface\":\"SCSI\",\"type\":\"PERSISTENT\"}");
	ff_ask_release(&ask);

	ask = kit_act(cloud, &k, GCP_START);
	kit_ask_is(&ask, "POST", VM_PATH "/start?requestId=" TOKEN);
	cr_expect_null(ask.body);
	ff_ask_release(&ask);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, odd_device_names_are_encoded)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask;

	kit_vm(&k);
	ff_json_set_str(json_object_get(k.facts, "boot"), "deviceName", "a&b=c d/ä");
	ask = kit_act(cloud, &k, GCP_TAKE_OUT);
	kit_ask_is(&ask, "POST", VM_PATH "/detachDisk?deviceName=a%26b%3Dc%20d%2F%C3%A4&requestId=" TOKEN);
	ff_ask_release(&ask);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, only_the_flag_is_set_when_only_the_flag_is_wrong)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask;

	kit_vm(&k);
	ff_json_set_str(k.facts, "cure", "auto-delete");
	ask = kit_act(cloud, &k, GCP_PUT_BACK);
	kit_ask_is(&ask, "POST",
		VM_PATH "/setDiskAutoDelete?autoDelete=true&deviceName=persistent-disk-0"
			"&requestId=5d1c0d9e-0000-4000-8000-000000000000"); /* not that of an attach before it */
	cr_expect_null(ask.body);
	ff_ask_release(&ask);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

Test(gcp_steps, customer_keys_are_sent_where_needed_and_only_in_secret_asks)
{
	static const struct {
		int step;
		const char *path, *member;
	} cases[] = {
		{GCP_BACKUP, DISK "/createSnapshot?guestFlush=false&requestId=" TOKEN,
			"sourceDiskEncryptionKey/rawKey"},
		{GCP_ATTACH, RESCUE "/attachDisk?requestId=" TOKEN, "diskEncryptionKey/rawKey"},
		{GCP_PUT_BACK, VM_PATH "/attachDisk?requestId=" TOKEN, "diskEncryptionKey/rawKey"},
		{GCP_START, VM_PATH "/startWithEncryptionKey?requestId=" TOKEN, "disks/0/diskEncryptionKey/rawKey"},
	};
	struct ff_cloud *cloud = with_key();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_json json_t *body = NULL;
		struct kit_vm k;
		struct ff_ask ask;

		kit_vm(&k);
		ff_json_set_new(k.facts, "csek", json_pack("[s]", GOOGLE DISK));
		ask = kit_act(cloud, &k, cases[i].step);
		kit_ask_is(&ask, "POST", cases[i].path);
		cr_expect(ask.secret);
		body = kit_json(ask.body);
		cr_expect_str_eq(ff_json_str(body, cases[i].member), KEY);
		cr_expect_str_eq(ff_json_str(k.facts, "boot/source"), GOOGLE DISK, "wiping spares the facts");
		no_key(&k);
		ff_ask_release(&ask);
		kit_vm_free(&k);
	}
	ff_gcp.close(cloud);
}

Test(gcp_steps, a_start_without_the_key_says_which)
{
	struct ff_cloud *cloud = kit_cloud();
	struct kit_vm k;
	struct ff_ask ask = {0};
	struct ff_err err = {0};

	kit_vm(&k);
	k.m.step = GCP_START;
	ff_json_set_new(k.facts, "csek", json_pack("[s]", GOOGLE DISK));
	cr_expect_eq(ff_gcp.steps[GCP_START].act(cloud, &k.m, 1, &ask, &err), -1);
	cr_expect_not_null(strstr(err.text, "'vm1'"), "%s", err.text);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- looks and polls */

Test(gcp_steps, looks_read_one_resource)
{
	static const struct {
		int step;
		const char *see, *path;
	} cases[] = {
		{GCP_CLAIM, NULL, VM_PATH},
		{GCP_CLAIM_DISK, NULL, DISK},
		{GCP_STOP, NULL, VM_PATH},
		{GCP_TAKE_OUT, NULL, VM_PATH},
		{GCP_ATTACH, NULL, DISK},
		{GCP_DETACH, NULL, DISK},
		{GCP_PUT_BACK, NULL, VM_PATH},
		{GCP_PUT_BACK, "disk", DISK},
		{GCP_START, NULL, VM_PATH},
		{GCP_START, "serial", VM_PATH "/serialPort?port=1&start=-1"},
		{GCP_VERIFY, NULL, VM_PATH},
		{GCP_VERIFY, "serial", VM_PATH "/serialPort?port=1&start=-65536"},
		{GCP_RELEASE, NULL, VM_PATH},
		{GCP_RELEASE_DISK, NULL, DISK},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct kit_vm k;
		struct ff_ask ask;

		kit_vm(&k);
		ff_json_set_str(k.facts, "see", cases[i].see);
		ask = kit_look(cloud, &k, cases[i].step);
		kit_ask_is(&ask, "GET", cases[i].path);
		ff_ask_release(&ask);
		kit_vm_free(&k);
	}
	ff_gcp.close(cloud);
}

Test(gcp_steps, the_look_for_a_backup_is_at_the_disk_when_none_is_wanted)
{
	for (int none = 0; none < 2; none++) {
		struct ff_cloud *cloud =
			kit_cloud_of(&(struct ff_scope_options){.project = "p1", .no_backup = none != 0});
		ff_auto_free char *snapshot = NULL, *path = NULL;
		struct kit_vm k;
		struct ff_ask ask;

		kit_vm(&k);
		snapshot = gcp_snapshot_name(&k.m);
		path = none ? ff_strdup(DISK) : ff_printf("projects/p1/global/snapshots/%s", snapshot);
		ask = kit_look(cloud, &k, GCP_BACKUP);
		kit_ask_is(&ask, "GET", path);
		ff_ask_release(&ask);
		kit_vm_free(&k);
		ff_gcp.close(cloud);
	}
}

Test(gcp_steps, operations_are_waited_for_longer_than_the_server_holds_them)
{
	static const struct {
		const char *path, *method, *url;
	} cases[] = {
		{ZONE "/operations/operation-1", "POST", ZONE "/operations/operation-1/wait"},
		{"projects/p1/global/operations/operation-1", "GET", "projects/p1/global/operations/operation-1"},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct kit_vm k;
		struct ff_ask ask = {0};
		struct ff_err err = {0};

		kit_vm(&k);
		ff_json_set_new(k.facts, "op", json_pack("{s:s}", "path", cases[i].path));
		cr_assert_eq(ff_gcp.poll(cloud, &k.m, 1, &ask, &err), 0, "%s", err.text);
		kit_ask_is(&ask, cases[i].method, cases[i].url);
		cr_expect_null(ask.body);
		cr_expect(!ff_streq(ask.method, "POST") || ask.timeout_ms > 120000);
		ff_ask_release(&ask);
		json_object_del(k.facts, "op");
		cr_expect_eq(ff_gcp.poll(cloud, &k.m, 1, &ask, &err), -1);
		kit_vm_free(&k);
	}
	ff_gcp.close(cloud);
}

Test(gcp_steps, budgets_are_kept_by_project_region_and_class)
{
	static const struct {
		enum gcp_cost cost;
		const char *path, *key;
	} cases[] = {
		{GCP_READ, VM_PATH, "gcp/p1/us-central1/read"},
		{GCP_MUTATE, VM_PATH, "gcp/p1/us-central1/mutate"},
		{GCP_OPERATION, ZONE "/operations/x", "gcp/p1/us-central1/operation"},
		{GCP_LIST, "projects/p1/aggregated/instances", "gcp/p1/global/list"},
		{GCP_LIST, "projects/p1/regions/us-east1/x", "gcp/p1/us-east1/list"},
		{GCP_SERIAL, VM_PATH, "gcp/p1/us-central1/serial"},
		{GCP_READ, "projects/p1/global/snapshots/x", "gcp/p1/global/read"},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_ask ask;

		gcp_ask(cloud, &ask, cases[i].cost, "GET", cases[i].path, "");
		cr_expect_str_eq(ask.costs[0].key, cases[i].key);
		cr_expect_leq(ask.costs[0].capacity + 60 * ask.costs[0].refill_per_s, 1500,
			"never more than the quota in any minute");
		ff_ask_release(&ask);
	}
	ff_gcp.close(cloud);
}

Test(gcp_steps, without_records_nothing_is_asked)
{
	struct ff_cloud *cloud = kit_cloud();

	for (int step = 0; step < GCP_STEP_COUNT; step++) {
		const struct ff_step *row = &ff_gcp.steps[step];
		struct kit_vm k;
		struct ff_ask ask = {0};
		struct ff_err err = {0};

		kit_vm(&k);
		json_object_clear(k.facts);
		json_object_clear(k.rescue_facts);
		k.m.step = step;
		if (row->look != NULL)
			cr_expect_eq(row->look(cloud, &k.m, &ask, &err), -1, "look of %s", row->name);
		if (row->act != NULL && step != GCP_STOP && step != GCP_START) /* their look is always first */
			cr_expect_eq(row->act(cloud, &k.m, 1, &ask, &err), -1, "act of %s", row->name);
		ff_ask_release(&ask);
		kit_vm_free(&k);
	}
	ff_gcp.close(cloud);
}

/* ---------------------------------------------------------------- the table */

Test(gcp_table, every_row_is_whole)
{
	uint64_t reached = 0;

	cr_expect_eq(ff_gcp.step_count, GCP_STEP_COUNT);
	for (int f = 0; f < FF_FLOW_COUNT; f++) {
		const int *row = ff_provider_order(&ff_gcp, (enum ff_flow)f);

		for (; row != NULL && *row != FF_STEP_NONE; row++) {
			reached |= (uint64_t)1 << *row;
			if (ff_gcp.steps[*row].undo != FF_STEP_NONE)
				reached |= (uint64_t)1 << ff_gcp.steps[*row].undo;
		}
	}
	for (int i = 0; i < GCP_STEP_COUNT; i++) {
		const struct ff_step *row = &ff_gcp.steps[i];

		cr_expect_not_null(row->name);
		cr_expect_not_null(row->doing, "%s", row->name);
		cr_expect(reached & (uint64_t)1 << i, "%s is never run", row->name);
		if (row->kind == FF_STEP_REPAIR) {
			cr_expect(row->act == NULL && row->look == NULL);
			continue;
		}
		cr_expect(row->look != NULL && row->looked != NULL, "%s", row->name);
		cr_expect_eq(row->act == NULL, row->acted == NULL, "%s", row->name);
		cr_expect(row->group_max <= 1, "Compute moves one disk a call");
	}
}

Test(gcp_table, what_takes_away_has_what_brings_back)
{
	static const struct {
		int step, undo;
	} pairs[] = {{GCP_CLAIM, GCP_RELEASE}, {GCP_CLAIM_DISK, GCP_RELEASE_DISK}, {GCP_STOP, GCP_START},
		{GCP_TAKE_OUT, GCP_PUT_BACK}, {GCP_ATTACH, GCP_DETACH}};

	for (size_t i = 0; i < FF_COUNT(pairs); i++)
		cr_expect_eq(ff_gcp.steps[pairs[i].step].undo, pairs[i].undo, "%s", ff_gcp.steps[pairs[i].step].name);
	cr_expect(ff_gcp.steps[GCP_PUT_BACK].flags & FF_HOLDS_DISK);
	cr_expect(ff_gcp.steps[GCP_PUT_BACK].flags & FF_LOOK_AFTER, "read again");
	cr_expect(ff_gcp.steps[GCP_START].flags & FF_LOOK_FIRST, "never without its disk");
	/* the engine calls the disk home when the first such row after the repair is done */
	cr_expect_not(ff_gcp.steps[GCP_DETACH].flags & FF_HOLDS_DISK);
	cr_expect(ff_gcp.steps[GCP_RELEASE].flags & FF_BEST_EFFORT);
	cr_expect_eq(ff_gcp.forward[0], GCP_CLAIM);
}

Test(gcp_table, requests_for_one_rescue_vm_share_a_key)
{
	struct kit_vm k;

	kit_vm(&k);
	cr_expect_str_eq(ff_gcp.steps[GCP_ATTACH].group(&k.m), RESCUE);
	cr_expect_str_eq(ff_gcp.steps[GCP_DETACH].group(&k.m), RESCUE);
	cr_expect(ff_gcp.steps[GCP_ATTACH].flags & FF_KEY_FREE);
	k.m.rescue = NULL;
	k.m.rescue_facts = NULL;
	ff_json_set_str(k.facts, "rescue", ZONE "/instances/remembered");
	cr_expect_str_eq(ff_gcp.steps[GCP_DETACH].group(&k.m), ZONE "/instances/remembered");
	kit_vm_free(&k);
}

/* ---------------------------------------------------------------- where the disk is */

Test(gcp_place, the_link_is_named_by_our_device_name)
{
	struct ff_cloud *cloud = kit_cloud();
	ff_auto_free char *device = NULL, *link = NULL;
	struct ff_disk_place place;
	struct kit_vm k;
	struct ff_err err = {0};

	kit_vm(&k);
	device = gcp_device_name(&k.m);
	link = ff_printf("disk/by-id/google-%s", device);
	cr_assert_eq(ff_gcp.place(cloud, &k.m, &place, &err), 0);
	cr_expect_eq(place.paths.count, 1);
	cr_expect_str_eq(place.paths.items[0], link);
	cr_expect_null(place.serial, "none is promised");
	cr_expect_eq(place.size_bytes, INT64_C(50) << 30);
	ff_strv_free(&place.paths);
	/* another VM in the same slot has another link */
	ff_json_set_str(k.facts, "vm", ZONE "/instances/vm2");
	free(device);
	device = gcp_device_name(&k.m);
	cr_expect_null(strstr(link, device));
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}

static char *by_hand(struct ff_cloud *cloud, struct kit_vm *k)
{
	struct ff_strv commands = {0};
	struct ff_buf all = {0};

	ff_gcp.by_hand(cloud, &k->m, &commands);
	for (size_t c = 0; c < commands.count; c++)
		ff_buf_addf(&all, "%s\n", commands.items[c]);
	ff_strv_free(&commands);
	return ff_buf_take(&all);
}

Test(gcp_place, where_it_is_and_what_brings_it_home_by_hand)
{
#define CLI(verb, vm) "gcloud compute instances " verb " " vm " --project=p1 --zone=us-central1-a"
#define HOME                                                                                                           \
	CLI("attach-disk", "vm1")                                                                                      \
	" --disk=vm1 --boot --device-name=persistent-disk-0\n" CLI(                                                    \
		"set-disk-auto-delete", "vm1") " --disk=vm1 --auto-delete\n" CLI("start", "vm1") "\n"
	static const struct {
		const char *at, *text, *commands;
	} cases[] = {
		{NULL, "boot disk 'vm1' on the VM", CLI("start", "vm1") "\n"},
		{"leaving", "boot disk 'vm1' on its way off the VM", HOME},
		{"loose", "boot disk 'vm1' attached to no VM", HOME},
		{"rescue", "boot disk 'vm1' on 'rescue1' as 'fixfleet-17-x'",
			CLI("detach-disk", "rescue1") " --disk=vm1\n" HOME},
		{"returning", "boot disk 'vm1' on its way back to the VM", HOME},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		ff_auto_free char *commands = NULL;
		ff_auto_buf text = {0};
		struct kit_vm k;

		kit_vm(&k);
		ff_json_set_str(k.facts, "at", cases[i].at);
		ff_json_set_str(k.facts, "device", "fixfleet-17-x");
		ff_json_set_str(k.facts, "rescue", RESCUE);
		ff_gcp.where(cloud, &k.m, &text);
		cr_expect_str_eq(text.text, cases[i].text);
		commands = by_hand(cloud, &k);
		cr_expect_str_eq(commands, cases[i].commands);
		kit_vm_free(&k);
	}
	ff_gcp.close(cloud);
}

Test(gcp_place, names_in_commands_are_quoted)
{
	struct ff_cloud *cloud = kit_cloud();
	ff_auto_free char *commands = NULL;
	struct kit_vm k;

	kit_vm(&k);
	ff_json_set_str(k.facts, "at", "loose");
	ff_json_set_str(json_object_get(k.facts, "boot"), "deviceName", "a'; rm -rf ~; '");
	commands = by_hand(cloud, &k);
	cr_expect_not_null(strstr(commands, "--device-name='a'\\''; rm -rf ~; '\\'''"), "%s", commands);
	kit_vm_free(&k);
	ff_gcp.close(cloud);
}
