#include "version.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PARTS		4
#define PART_MAX	65535
#define FIRST_MAX	32767
#define DOS_PE_OFFSET	0x3c
#define COFF_BYTES	24 /* with the signature "PE\0\0" */
#define SECTION_BYTES	40
#define SECTIONS_MAX	96 /* what Windows loads */
#define FIXED_SIGNATURE 0xfeef04bdU
#define FIXED_BYTES	52
#define KEY_ALIGN	4

static uint32_t le16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

int version_parse(const char *text, int64_t *version)
{
	int64_t value = 0;

	for (int part = 0; part < PARTS; part++) {
		unsigned number = 0, digits = 0;

		for (; *text >= '0' && *text <= '9' && digits < 6; digits++)
			number = number * 10 + (unsigned)(*text++ - '0');
		/* behind the end the missing parts are 0 */
		if ((digits == 0 && (part == 0 || *text != '\0')) || number > (part == 0 ? FIRST_MAX : PART_MAX))
			return -1;
		value = value << 16 | number;
		if (*text == '.' && text[1] != '\0' && part + 1 < PARTS)
			text++;
		else if (*text != '\0')
			return -1;
	}
	*version = value;
	return 0;
}

const char *version_text(int64_t version, char out[VERSION_TEXT_BYTES])
{
	uint64_t v = (uint64_t)version;

	snprintf(out, VERSION_TEXT_BYTES, "%u.%u.%u.%u", (unsigned)(v >> 48), (unsigned)(v >> 32 & PART_MAX),
		(unsigned)(v >> 16 & PART_MAX), (unsigned)(v & PART_MAX));
	return out;
}

int version_section(const uint8_t *head, size_t len, int64_t *offset, uint32_t *bytes)
{
	size_t pe, table;
	uint32_t count;

	if (len < DOS_PE_OFFSET + 4 || memcmp(head, "MZ", 2) != 0)
		return -1;
	pe = le32(head + DOS_PE_OFFSET);
	if (pe > len || len - pe < COFF_BYTES || memcmp(head + pe, "PE\0\0", 4) != 0)
		return -1;
	count = le16(head + pe + 6);
	table = pe + COFF_BYTES + le16(head + pe + 20);
	for (uint32_t i = 0; i < count && i < SECTIONS_MAX; i++) {
		const uint8_t *section = head + table + (size_t)i * SECTION_BYTES;

		if (table + ((size_t)i + 1) * SECTION_BYTES > len)
			return -1;
		if (memcmp(section, ".rsrc\0\0\0", 8) != 0)
			continue;
		*bytes = le32(section + 16);
		*offset = le32(section + 20);
		if (*bytes > VERSION_SECTION_BYTES)
			*bytes = VERSION_SECTION_BYTES;
		return *bytes > 0 ? 0 : -1;
	}
	return -1;
}

/* "VS_VERSION_INFO" as UTF-16LE with its NUL. */
static bool is_key(const uint8_t *p)
{
	static const char key[] = "VS_VERSION_INFO";

	for (size_t i = 0; i < sizeof(key); i++)
		if (p[2 * i] != (uint8_t)key[i] || p[2 * i + 1] != 0)
			return false;
	return true;
}

int version_find(const uint8_t *section, size_t len, int64_t *version)
{
	const size_t key = 2 * sizeof("VS_VERSION_INFO"), need = key + KEY_ALIGN + FIXED_BYTES;

	for (size_t at = 0; at + need <= len; at += 2) {
		const uint8_t *fixed = section + at + key;

		if (section[at] != 'V' || !is_key(section + at))
			continue;
		if (le32(fixed) != FIXED_SIGNATURE) /* padding to 32 bits */
			fixed += 2;
		if (le32(fixed) != FIXED_SIGNATURE)
			continue;
		*version = (int64_t)((uint64_t)(le32(fixed + 8) & 0x7fffffff) << 32 | le32(fixed + 12));
		return 0;
	}
	return -1;
}
