/* What can be seen of a machine from outside: its last event-log errors, and its screen. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

static const char bad_log[] =
	"2024/07/19 04:12:33Z: EventLog: The system has rebooted without cleanly shutting down first.\r\n"
	"2024/07/19 04:12:33Z: BugCheck: The computer has rebooted from a bugcheck. The bugcheck was: 0x00000050 "
	"(0xffff8d0e7a23b000, 0x0000000000000000, 0xfffff8073a1d35a1). csagent.sys\r\n"
	"2024/07/19 04:12:35Z: Service Control Manager: The previous system shutdown was unexpected.\r\n";
static const char good_log[] = "2024/07/18 20:01:13Z: Message: Windows is Ready to use\r\n";
static const char linux_log[] = "[    0.000000] Linux version 6.1.0\r\n";

/* The beginning and end of a JPEG. */
static const unsigned char jpeg[] = {0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x10, 'J', 'F', 'I', 'F', 0x00, 0x01, 0x01, 0x00,
	0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0xFF, 0xD9};

static const struct aw_vm *named(struct aw_call *c)
{
	const char *id = aw_need(c, "InstanceId");

	return id != NULL ? aw_find_vm(c, id) : NULL;
}

void aw_console_output(struct aw_call *c)
{
	const struct aw_vm *vm = named(c);
	const char *log;
	ff_auto_free char *text = NULL;

	if (vm == NULL)
		return;
	log = !vm->windows ? linux_log : vm->boots ? good_log : bad_log;
	text = ff_base64(log, strlen(log));
	aw_begin(c);
	aw_text(c, "instanceId", vm->id);
	aw_time(c, "timestamp", c->sim->now_ms);
	aw_text(c, "output", text);
	aw_end(c);
}

void aw_console_screenshot(struct aw_call *c)
{
	const struct aw_vm *vm = named(c);
	ff_auto_free char *text = ff_base64(jpeg, sizeof(jpeg));

	if (vm == NULL)
		return;
	if (!aw_is(vm, AW_RUNNING)) {
		aw_refuse(c, 400, "IncorrectInstanceState",
			"The instance '%s' is not in a state from which its console can be captured.",
			vm->id); /* made up */
		return;
	}
	aw_begin(c);
	aw_text(c, "instanceId", vm->id);
	aw_text(c, "imageData", text);
	aw_end(c);
}
