/*
 * The first serial port and the screen: what the firmware and Windows write there. A machine that cannot boot shows the
 * firmware's banner again and again; one that can shows it once, and later the lines of the guest's agents. The banner
 * is that of Google's UEFI as quoted in public issues; the agents' lines are theirs in form.
 */
#include "gcp.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_BYTES    (1024 * 1024)
#define HISTORY_BOOTS 20 /* of those before the scenario began */

static const char banner[] =
	"CSM BBS Table full.\r\n"
	"BdsDxe: loading Boot0001 \"UEFI Google PersistentDisk \" from PciRoot(0x0)/Pci(0x3,0x0)/Scsi(0x1,0x0)\r\n"
	"BdsDxe: starting Boot0001 \"UEFI Google PersistentDisk \" from PciRoot(0x0)/Pci(0x3,0x0)/Scsi(0x1,0x0)\r\n"
	"\r\nUEFI: Attempting to start image.\r\n"
	"Description: Windows Boot Manager\r\n"
	"FilePath: "
	"HD(2,GPT,7A3E3D6C-8D0B-4C2C-9C57-0A2F4A9C1F11,0x8000,0x32000)/\\EFI\\Microsoft\\Boot\\bootmgfw.efi\r\n"
	"OptionNumber: 0\r\n\r\n";
static const char linux_banner[] = "SeaBIOS (version 1.8.2-google)\r\nBooting from Hard Disk 0...\r\n";

static void append(struct gc_vm *vm, const char *text)
{
	ff_buf_adds(&vm->serial, text);
	if (vm->serial.len > KEPT_BYTES) {
		vm->serial_lost += (int64_t)(vm->serial.len - KEPT_BYTES);
		ff_buf_drop(&vm->serial, vm->serial.len - KEPT_BYTES);
	}
}

static void agent_lines(struct gc_vm *vm, int64_t at_ms)
{
	char when[SIM_TIME_BYTES];
	ff_auto_free char *day = NULL, *text = NULL;

	sim_time(at_ms, when); /* 2024-07-19T06:01:00 -> 2024/07/19 06:01:00 */
	day = ff_strndup(when, 19);
	day[4] = day[7] = '/';
	day[10] = ' ';
	text = vm->windows
		       ? ff_printf("%s GCEGuestAgent: GCE Agent Started (version 20240528.00)\r\n"
				   "%s GCEMetadataScripts: Starting startup scripts (version dev).\r\n"
				   "%s OSConfigAgent Info: OSConfig Agent (version 20240501.03.0+win@1) started.\r\n",
				 day, day, day)
		       : ff_printf("%s google_guest_agent[489]: GCE Agent Started (version 20240528.00)\r\n", day);
	append(vm, text);
}

void gc_serial_write(const struct sim *sim, const struct gcp *gc, struct gc_vm *vm)
{
	const char *first = vm->windows ? banner : linux_banner;
	int64_t cycle = gc->latency[GC_L_CYCLE], up_ms = vm->booted_ms + gc->latency[GC_L_BOOT];

	if (vm->status != GC_RUNNING && vm->status != GC_STOPPING)
		return;
	if (vm->boots) {
		if (vm->serial_cycles++ == 0)
			append(vm, first);
		if (!vm->serial_agent && sim->now_ms >= up_ms) {
			vm->serial_agent = true;
			agent_lines(vm, up_ms);
		}
		return;
	}
	while (vm->booted_ms + vm->serial_cycles * cycle <= sim->now_ms) {
		append(vm, first);
		vm->serial_cycles++;
	}
}

void gc_serial_restart(const struct gcp *gc, struct gc_vm *vm)
{
	if (gc->serial == 0) {
		ff_buf_free(&vm->serial);
		vm->serial_lost = 0;
	}
	vm->serial_cycles = 0;
	vm->serial_agent = false;
}

/* A machine that has looped for long: only its last boots are still there. */
static void skip_history(const struct sim *sim, const struct gcp *gc, struct gc_vm *vm)
{
	int64_t all = (sim->now_ms - vm->booted_ms) / gc->latency[GC_L_CYCLE];

	if (vm->serial_cycles == 0 && !vm->boots && all > HISTORY_BOOTS)
		vm->serial_cycles = all - HISTORY_BOOTS;
}

/* 0, or -1 after 400. A negative start is so many bytes from the end; one that is lost moves forward. */
static int read_start(struct gc_call *c, const struct gc_vm *vm, int64_t *start)
{
	const char *text = gc_query(c, "start");
	int64_t next = vm->serial_lost + (int64_t)vm->serial.len;

	*start = 0;
	if (text != NULL && ff_parse_i64(text, -(INT64_C(1) << 52), INT64_C(1) << 52, start) < 0)
		return gc_refuse(c, 400, "invalid", "Invalid value at 'start' (TYPE_INT64), \"%s\"", text);
	if (*start < 0)
		*start += next;
	if (*start < vm->serial_lost)
		*start = vm->serial_lost;
	if (*start > next)
		*start = next;
	return 0;
}

static int read_port(struct gc_call *c, int64_t *port)
{
	const char *text = gc_query(c, "port");

	*port = 1;
	if (text != NULL && ff_parse_i64(text, 1, 4, port) < 0)
		return gc_refuse(c, 400, "invalid",
			"Invalid value for field 'port': '%s'. Must be greater than or equal to 1 and less than or "
			"equal to 4.",
			text);
	return 0;
}

void gc_serial_port(struct gc_call *c)
{
	struct gc_vm *vm = gc_vm_of(c);
	ff_auto_free char *path = NULL;
	int64_t port, start;
	json_t *o;

	if (vm == NULL || read_port(c, &port) < 0)
		return;
	if (vm->status != GC_RUNNING && vm->status != GC_STOPPING) {
		gc_refuse(c, 400, "resourceNotReady", "The resource '%s' is not ready", c->resource);
		return;
	}
	skip_history(c->sim, c->gc, vm);
	gc_serial_write(c->sim, c->gc, vm);
	if (read_start(c, vm, &start) < 0)
		return;
	path = ff_printf("%s/serialPort", c->resource);
	o = json_object();
	ff_json_set_str(o, "kind", "compute#serialPortOutput");
	ff_json_set_str(
		o, "contents", port == 1 && vm->serial.text != NULL ? vm->serial.text + (start - vm->serial_lost) : "");
	gc_set_i64(o, "start", port == 1 ? start : 0);
	gc_set_i64(o, "next", port == 1 ? vm->serial_lost + (int64_t)vm->serial.len : 0);
	ff_json_set_new(o, "selfLink", gc_url_json("%s", path));
	gc_reply(c, 200, o);
}

/* A picture of one dark blue pixel. */
void gc_screenshot(struct gc_call *c)
{
	static const char png[] =
		"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
	struct gc_vm *vm = gc_vm_of(c);

	if (vm == NULL)
		return;
	if (!vm->display) /* text UNVERIFIED */
		gc_refuse(c, 400, "invalidResourceUsage",
			"Invalid resource usage: 'The virtual display device is not enabled on the instance.'.");
	else if (vm->status != GC_RUNNING)
		gc_refuse(c, 400, "resourceNotReady", "The resource '%s' is not ready", c->resource);
	else
		gc_reply(c, 200, json_pack("{s:s,s:s}", "kind", "compute#screenshot", "contents", png));
}
