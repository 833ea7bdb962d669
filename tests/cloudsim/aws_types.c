/* Single attributes of machines, and their types. */
#include "aws.h"

#include <stdlib.h>

#define IDS_MAX 100

/* Limits and sizes from AWS's tables; attachments shared with network interfaces leave 27 for volumes. */
const struct aw_type aw_types[] = {
	{"t2.medium", 2, 4096, 39, false, true, 0},
	{"t3.micro", 2, 1024, 27, false, false, 0},
	{"t3.large", 2, 8192, 27, false, false, 0},
	{"m4.large", 2, 8192, 39, false, true, 0},
	{"m5.large", 2, 8192, 27, false, false, 0},
	{"m5.xlarge", 4, 16384, 27, false, false, 0},
	{"m5.2xlarge", 8, 32768, 27, false, false, 0},
	{"m5.4xlarge", 16, 65536, 27, false, false, 0},
	{"m5d.large", 2, 8192, 26, false, false, 75},
	{"c5.large", 2, 4096, 27, false, false, 0},
	{"c5.xlarge", 4, 8192, 27, false, false, 0},
	{"r5.large", 2, 16384, 27, false, false, 0},
	{"m7i.large", 2, 8192, 32, true, false, 0},
	{"m7i.4xlarge", 16, 65536, 32, true, false, 0},
	{"i3.large", 2, 15616, 26, false, false, 475},
};
const size_t aw_type_count = FF_COUNT(aw_types);

const struct aw_type *aw_type(const char *name)
{
	for (size_t i = 0; i < aw_type_count; i++)
		if (ff_streq(aw_types[i].name, name))
			return &aw_types[i];
	return NULL;
}

static void attribute(struct aw_call *c, const char *name, const char *value)
{
	aw_open(c, name);
	aw_text(c, "value", value);
	aw_close(c, name);
}

void aw_describe_attribute(struct aw_call *c)
{
	const char *id = aw_need(c, "InstanceId"), *name = id != NULL ? aw_need(c, "Attribute") : NULL;
	const struct aw_vm *vm = name != NULL ? aw_find_vm(c, id) : NULL;
	static const char *const known[] = {"disableApiStop", "rootDeviceName", "instanceType", "blockDeviceMapping"};
	size_t i = 0;

	if (vm == NULL)
		return;
	while (i < FF_COUNT(known) && !ff_streq(known[i], name))
		i++;
	if (i == FF_COUNT(known)) {
		aw_refuse(c, 400, "InvalidParameterValue",
			"Value (%s) for parameter attribute is invalid. Unknown attribute.", name);
		return;
	}
	aw_begin(c);
	aw_text(c, "instanceId", vm->id);
	if (i == 0)
		attribute(c, name, vm->stop_protection ? "true" : "false");
	else if (i == 1)
		attribute(c, name, vm->root_device);
	else if (i == 2)
		attribute(c, name, vm->type->name);
	else
		aw_mapping_xml(c, vm);
	aw_end(c);
}

static void type_xml(struct aw_call *c, const struct aw_type *t)
{
	aw_open(c, "item");
	aw_text(c, "instanceType", t->name);
	aw_text(c, "hypervisor", t->xen ? "xen" : "nitro");
	aw_open(c, "vCpuInfo");
	aw_int(c, "defaultVCpus", t->vcpus);
	aw_close(c, "vCpuInfo");
	aw_open(c, "memoryInfo");
	aw_int(c, "sizeInMiB", t->memory_mib);
	aw_close(c, "memoryInfo");
	aw_flag(c, "instanceStorageSupported", t->store_gb > 0);
	if (t->store_gb > 0) {
		aw_open(c, "instanceStorageInfo");
		aw_int(c, "totalSizeInGB", t->store_gb);
		aw_close(c, "instanceStorageInfo");
	}
	aw_open(c, "ebsInfo");
	aw_text(c, "ebsOptimizedSupport", t->xen ? "unsupported" : "default");
	aw_text(c, "encryptionSupport", "supported");
	aw_text(c, "nvmeSupport", t->xen ? "unsupported" : "required");
	aw_int(c, "maximumEbsAttachments", t->ebs_max);
	aw_text(c, "attachmentLimitType", t->dedicated ? "dedicated" : "shared");
	aw_close(c, "ebsInfo");
	aw_close(c, "item");
}

static const char *const type_filters[] = {"instance-type", NULL};

static void type_values(const struct aw_call *c, const void *item, const char *name, struct ff_strv *out)
{
	(void)c;
	(void)name;
	ff_strv_add(out, ((const struct aw_type *)item)->name);
}

void aw_describe_types(struct aw_call *c)
{
	struct ff_strv names = aw_list(c, "InstanceType");
	size_t from, max;
	int rc = aw_page(c, "InstanceType", &from, &max) < 0 || aw_check_filters(c, type_filters) < 0 ? -1 : 0;

	if (rc == 0 && names.count > IDS_MAX)
		rc = aw_refuse(
			c, 400, "InvalidParameterValue", "No more than %d instance types may be specified.", IDS_MAX);
	for (size_t i = 0; i < names.count && rc == 0; i++)
		if (aw_type(names.items[i]) == NULL)
			rc = aw_refuse(c, 400, "InvalidInstanceType",
				"The following supplied instance types do not exist: [%s]", names.items[i]);
	if (rc == 0) {
		aw_begin(c);
		aw_open(c, "instanceTypeSet");
		for (size_t i = 0; i < aw_type_count; i++)
			if ((names.count == 0 || ff_strv_has(&names, aw_types[i].name)) &&
				aw_filter(c, &aw_types[i], type_values))
				type_xml(c, &aw_types[i]);
		aw_close(c, "instanceTypeSet");
		aw_end(c);
	}
	ff_strv_free(&names);
}
