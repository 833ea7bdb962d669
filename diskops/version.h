/*
 * The version resource of a Windows program or driver, without running or loading it. A version is four numbers of 16
 * bits, kept in one int64_t (the first part up to 32767).
 */
#ifndef DISKOPS_VERSION_H
#define DISKOPS_VERSION_H

#include <stddef.h>
#include <stdint.h>

#define VERSION_HEAD_BYTES    4096		/* enough of the file's begin for headers and section table */
#define VERSION_SECTION_BYTES (4 * 1024 * 1024) /* of the resource section that is looked at */

/** "10.0.17763.1", missing parts are 0. 0, or -1 for anything else. */
int version_parse(const char *text, int64_t *version);

/** The text of a version. `out` has room for VERSION_TEXT_BYTES. Returns `out`. */
#define VERSION_TEXT_BYTES 32
const char *version_text(int64_t version, char out[VERSION_TEXT_BYTES]);

/**
 * Where in the file the resource section stands (Microsoft PE and COFF specification). `head` is the file's begin, as
 * much of VERSION_HEAD_BYTES as there is. 0 with offset and bytes (at most VERSION_SECTION_BYTES), or -1: no PE file,
 * or one without resources.
 */
int version_section(const uint8_t *head, size_t len, int64_t *offset, uint32_t *bytes);

/**
 * The file version of the VS_FIXEDFILEINFO in a resource section: found by its signature behind the key of
 * VS_VERSIONINFO, wherever it stands. 0, or -1 when there is none.
 */
int version_find(const uint8_t *section, size_t len, int64_t *version);

#endif
