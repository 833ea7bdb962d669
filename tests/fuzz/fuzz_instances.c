/* --instances files: lists of names and ids, one a line. */
#include "cmd/cmd.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct instances in;
	struct options none = {0};
	struct ff_vm vm = {.id = (char *)"/subscriptions/1/x", .name = (char *)"web-1"};
	struct ff_err err = {0};
	bool takes = false, named = false;

	if (instances_parse(&in, (const char *)data, size, &err) < 0) {
		FUZZ_CHECK_ERR(err);
		instances_release(&in);
		return 0;
	}
	FUZZ_CHECK(in.lines.count > 0, "no line, and no error");
	for (size_t i = 0; i < in.lines.count; i++) {
		const char *line = in.lines.items[i];

		FUZZ_CHECK(line[0] != '\0' && line[0] != '#' && strchr(line, '\n') == NULL, "'%s'", line);
		named = named || ff_strcaseeq(line, vm.name) || ff_strcaseeq(line, vm.id);
	}
	vm.tags = json_object();
	takes = selection_takes(&none, &in, &vm);
	FUZZ_CHECK(takes == named, "taken %d, named %d", takes, named);
	json_decref(vm.tags);
	instances_release(&in);
	return 0;
}
