/* What serial-port output tells of a Windows VM: how often it booted, and whether Google's agents spoke since. */
#include "gcp.h"

#include <string.h>

/* One boot may print several of these, each of them once: the most frequent counts the boots. */
static const char *const banners[] = {
	"BdsDxe: starting Boot",
	"UEFI: Attempting to start image",
	"SeaBIOS (version",
	"Booting from Hard Disk",
};
#define BANNERS FF_COUNT(banners)

/* Lines of agents that Windows starts as services. */
static const char *const guests[] = {
	"GCEGuestAgent",
	"GCEWindowsAgent",
	"GCE Agent Started",
	"GCEInstanceSetup",
	"GCEMetadataScripts",
	"OSConfigAgent",
	"Starting startup scripts",
};

/* Emergency Management Services tell of a stop error in XML: learn.microsoft.com, "Boot Parameters to Enable EMS". */
static const char bluescreen[] = "CLASSNAME=\"BLUESCREEN\"";

static bool has(const char *line, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (; len >= n; line++, len--) {
		size_t i = 0;

		while (i < n && ((line[i] | 0x20) == (word[i] | 0x20)))
			i++;
		if (i == n)
			return true;
	}
	return false;
}

static bool is_guest(const char *line, size_t len)
{
	for (size_t i = 0; i < FF_COUNT(guests); i++)
		if (has(line, len, guests[i]))
			return true;
	return false;
}

void gcp_serial_read(const char *text, size_t len, struct gcp_serial *serial)
{
	unsigned counts[BANNERS] = {0};

	*serial = (struct gcp_serial){0};
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		if (is_guest(text, n)) {
			memset(counts, 0, sizeof(counts));
			*serial = (struct gcp_serial){.guest = true};
		}
		for (size_t i = 0; i < BANNERS; i++)
			counts[i] += has(text, n, banners[i]);
		serial->bluescreen = serial->bluescreen || has(text, n, bluescreen);
		n += end != NULL;
		text += n;
		len -= n;
	}
	for (size_t i = 0; i < BANNERS; i++)
		if (counts[i] > serial->boots)
			serial->boots = counts[i];
}

enum ff_health gcp_serial_health(const struct gcp_serial *serial)
{
	if (serial->boots >= GCP_BOOTS_AFFECTED || serial->bluescreen)
		return FF_AFFECTED;
	if (serial->guest && serial->boots == 0)
		return FF_HEALTHY;
	return FF_SUSPECT;
}

enum ff_health gcp_serial_answer(const json_t *answer, int64_t mark, struct gcp_serial *serial)
{
	const json_t *contents = json_object_get(answer, "contents");
	const char *text = json_is_string(contents) ? json_string_value(contents) : "";
	size_t len = json_is_string(contents) ? json_string_length(contents) : 0;
	int64_t start = ff_json_int(answer, "start", 0), next = ff_json_int(answer, "next", 0);

	if (start < 0 || next < 0 || mark < 0) /* makes no sense, and must not overflow below */
		start = next = mark = 0;
	/* an end before the mark: the output began anew, all of it came after */
	if (next >= mark && start < mark) {
		size_t old = mark - start < (int64_t)len ? (size_t)(mark - start) : len;

		text += old;
		len -= old;
	}
	gcp_serial_read(text, len, serial);
	return gcp_serial_health(serial);
}
