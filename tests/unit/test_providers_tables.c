/* The registry, and what must be true of every provider's table. */
#include <criterion/criterion.h>
#include <string.h>

#include "fixfleet/mem.h"
#include "fixfleet/provider.h"

static const struct ff_provider *each(size_t i)
{
	return ff_providers[i];
}

Test(providers, a_provider_is_found_by_its_name_only)
{
	for (size_t i = 0; each(i) != NULL; i++)
		cr_assert_eq(ff_provider_by_name(each(i)->name), each(i));
	cr_assert_not_null(ff_provider_by_name("azure"));
	cr_assert_null(ff_provider_by_name("Azure"));
	cr_assert_null(ff_provider_by_name(""));
	cr_assert_null(ff_provider_by_name(NULL));
}

Test(providers, healths_have_names)
{
	cr_assert_str_eq(ff_health_name(FF_AFFECTED), "affected");
	cr_assert_str_eq(ff_health_name(FF_SUSPECT), "suspect");
	cr_assert_str_eq(ff_health_name(FF_HEALTHY), "healthy");
	cr_assert_str_eq(ff_health_name(FF_SKIPPED), "skipped");
	cr_assert_str_eq(ff_health_name((enum ff_health)99), "skipped");
}

Test(providers, every_function_is_there)
{
	for (size_t i = 0; each(i) != NULL; i++) {
		const struct ff_provider *p = each(i);

		cr_assert(p->open && p->close && p->title && p->login_next && p->login_read && p->login_reset &&
			  p->login_renew_at && p->login_name && p->sign && p->judge && p->discover_next &&
			  p->discover_read && p->vms && p->notes && p->fits && p->steps && p->forward && p->place &&
			  p->where);
		/* a cloud without operations to poll (EC2 answers at once, looks tell the rest) has neither */
		cr_assert_eq(p->poll == NULL, p->polled == NULL);
		cr_assert_eq(p->evidence_ask == NULL, p->evidence_read == NULL);
		cr_assert(p->step_count > 0 && p->step_count <= 64);
	}
}

static void check_row(const struct ff_provider *p, const struct ff_step *row)
{
	bool looks = row->look != NULL || row->looks != NULL;

	cr_assert(row->name != NULL && *row->name != '\0');
	cr_assert(row->doing != NULL && *row->doing != '\0', "%s", row->name);
	cr_assert(row->undo == FF_STEP_NONE || (row->undo >= 0 && (size_t)row->undo < p->step_count), "%s", row->name);
	if (row->kind == FF_STEP_REPAIR) {
		cr_assert(row->act == NULL && !looks, "%s", row->name);
		return;
	}
	cr_assert(looks, "%s has no look", row->name);
	cr_assert_eq(row->look == NULL, row->looked == NULL, "%s", row->name);
	cr_assert_eq(row->looks == NULL, row->lookeds == NULL, "%s", row->name);
	cr_assert_eq(row->act == NULL, row->acted == NULL, "%s", row->name);
	cr_assert(row->group_max <= 1 || row->group != NULL, "%s gathers by no key", row->name);
}

Test(providers, every_row_is_whole)
{
	for (size_t i = 0; each(i) != NULL; i++)
		for (size_t s = 0; s < each(i)->step_count; s++) {
			check_row(each(i), &each(i)->steps[s]);
			for (size_t k = 0; k < s; k++)
				cr_assert_str_neq(each(i)->steps[k].name, each(i)->steps[s].name);
		}
}

/* The index in forward of the row of that name; -1. */
static int at(const struct ff_provider *p, const char *name)
{
	for (int i = 0; p->forward[i] != FF_STEP_NONE; i++)
		if (strcmp(p->steps[p->forward[i]].name, name) == 0)
			return i;
	return -1;
}

Test(providers, the_way_forward_is_in_order_and_can_be_taken_back)
{
	for (size_t i = 0; each(i) != NULL; i++) {
		const struct ff_provider *p = each(i);
		int repairs = 0;

		for (int k = 0; p->forward[k] != FF_STEP_NONE; k++) {
			cr_assert(p->forward[k] >= 0 && (size_t)p->forward[k] < p->step_count);
			repairs += p->steps[p->forward[k]].kind == FF_STEP_REPAIR;
		}
		cr_assert_eq(repairs, 1);
		cr_assert_eq(at(p, "claim"), 0);
		cr_assert_lt(at(p, "stop"), at(p, "attach"));
		cr_assert_lt(at(p, "attach"), at(p, "repair"));
		cr_assert_lt(at(p, "repair"), at(p, "detach"));
		cr_assert_lt(at(p, "detach"), at(p, "start"));
		cr_assert_lt(at(p, "start"), at(p, "release"));
	}
}

Test(providers, what_comes_after_a_repair_has_its_order_too)
{
	for (size_t i = 0; each(i) != NULL; i++) {
		const struct ff_provider *p = each(i);

		if (p->rollback == NULL && p->cleanup == NULL)
			continue;
		cr_assert(p->recall != NULL && p->rollback != NULL && p->cleanup != NULL);
		for (int f = FF_FLOW_ROLLBACK; f <= FF_FLOW_CLEANUP; f++) {
			const int *order = ff_provider_order(p, (enum ff_flow)f);
			int puts_in = 0;

			for (int k = 0; order[k] != FF_STEP_NONE; k++) {
				const struct ff_step *row = &p->steps[order[k]];

				cr_assert(order[k] >= 0 && (size_t)order[k] < p->step_count);
				cr_assert_neq(row->kind, FF_STEP_REPAIR, "%s", row->name);
				cr_assert_eq(row->flags & FF_REPAIRED_ONLY, 0, "%s", row->name);
				puts_in += (row->flags & FF_PUTS_IN) != 0;
				/* what deletes looks first, and again */
				if (f != FF_FLOW_CLEANUP)
					continue;
				cr_assert_eq(row->flags & (FF_LOOK_FIRST | FF_LOOK_AFTER),
					FF_LOOK_FIRST | FF_LOOK_AFTER, "%s", row->name);
				cr_assert(row->fresh_ms > 0 && row->fresh_ms <= FF_DELETE_FRESH_MS, "%s", row->name);
			}
			cr_assert_eq(puts_in, f == FF_FLOW_ROLLBACK, "%s", p->name);
		}
		cr_assert_null(p->steps[p->rollback[0]].act, "%s looks before it touches anything", p->name);
	}
	cr_assert_str_eq(ff_flow_name(FF_FLOW_REPAIR), "repair");
	cr_assert_str_eq(ff_flow_name(FF_FLOW_ROLLBACK), "rollback");
	cr_assert_str_eq(ff_flow_name(FF_FLOW_CLEANUP), "cleanup");
	cr_assert_str_eq(ff_flow_name(FF_FLOW_RECOVER), "recover");
}

static const char *undo_of(const struct ff_provider *p, const char *name)
{
	for (size_t s = 0; s < p->step_count; s++)
		if (strcmp(p->steps[s].name, name) == 0)
			return p->steps[s].undo == FF_STEP_NONE ? "" : p->steps[p->steps[s].undo].name;
	return "";
}

Test(providers, what_is_attached_is_detached_and_what_is_claimed_is_released)
{
	for (size_t i = 0; each(i) != NULL; i++) {
		cr_assert_str_eq(undo_of(each(i), "attach"), "detach");
		cr_assert_str_eq(undo_of(each(i), "claim"), "release");
		cr_assert_str_eq(undo_of(each(i), "stop"), "start");
	}
	cr_assert_str_eq(undo_of(ff_provider_by_name("azure"), "copy"), "delete-copy");
	cr_assert_str_eq(undo_of(ff_provider_by_name("azure"), "swap"), "swap-back");
}

Test(providers, a_released_place_is_empty)
{
	struct ff_disk_place place = {.serial = ff_strdup("x"), .size_bytes = 1};

	ff_strv_add(&place.paths, "a");
	ff_disk_place_release(&place);
	cr_assert(place.paths.count == 0 && place.serial == NULL && place.size_bytes == 0);
}
