/*
 * The disks of test_diskops_repair.c, and what is to become of each.
 */
#ifndef UNIT_DISKS_CASES_H
#define UNIT_DISKS_CASES_H

#include <stddef.h>

#define IMAGE_BYTES (128 * 1024 * 1024)

#define CS	      "Windows/System32/drivers/CrowdStrike/"
#define BAD(p)	      "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":41004,\"seed\":7}"
#define LAST(p)	      "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T05:26:59Z\",\"bytes\":600000,\"seed\":8}"
#define GOOD(p)	      "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T05:27:00Z\",\"bytes\":40900,\"seed\":9}"
#define OLD(p)	      "{\"path\":\"" CS p "\",\"mtime\":\"2024-07-19T04:08:59Z\",\"bytes\":30000,\"seed\":10}"
#define HIVE(h, m, k) ",\"hives\":[{\"path\":\"Windows/System32/config/" h "\"," m "\"keys\":{" k "}}]"
#define RULES(m)                                                                                                       \
	"{\"path\":\"ProgramData/Fabrikam/Guard/rules.dat\"," m "\"mtime\":\"2024-05-01T00:00:00Z\",\"bytes\":9}"
#define TXR(f) "{\"path\":\"Windows/System32/config/TxR/" f "\",\"mtime\":\"2024-05-01T00:00:00Z\",\"bytes\":512}"
#define KERNEL(v)                                                                                                      \
	"{\"path\":\"Windows/System32/ntoskrnl.exe\",\"pe\":\"" v                                                      \
	"\",\"mtime\":\"2024-05-01T00:00:00Z\",\"bytes\":9000}"
#define DEED(f, n)    "{\"path\":\"Contoso/" f "\",\"mtime\":\"2024-05-01T00:00:00Z\",\"bytes\":" #n "}"
#define PROGRAM(f, v) "{\"path\":\"Contoso/" f "\",\"pe\":\"" v "\",\"mtime\":\"2024-05-01T00:00:00Z\",\"bytes\":5000}"
#define ODD(f, m)     "{\"path\":\"" CS f "\",\"mtime\":\"2024-07-19T04:09:00Z\"," m "}"
#define DISK(n, l)    "{\"name\":\"" n ".img\",\"layout\":\"" l "\""
#define FILES(f)      ",\"files\":[" f "]}"

/* clang-format off */
const char disks_spec[] =
	"{\"disks\":["
	DISK("one-bad", "single") FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("two-bad-one-good", "esp") FILES(BAD("C-00000291-00000000-00000032.sys") ","
		LAST("c-00000291-00000000-00000033.SYS") "," GOOD("C-00000291-00000000-00000040.sys") ","
		BAD("C-00000292-00000000-00000032.sys")) ","
	DISK("odd-case", "esp-recovery") ",\"case\":\"odd\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("upper-case", "single") ",\"case\":\"upper\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("dual", "dual") FILES(BAD("C-00000291-00000000-00000032.sys") ","
		"{\"partition\":2,\"path\":\"" CS "C-00000291-00000000-00000032.sys\","
		"\"mtime\":\"2024-07-19T04:30:00Z\",\"bytes\":0}") ","
	DISK("control", "single") FILES(
		"{\"path\":\"" CS "C-00000291-\\u0007\\u202e.sys\",\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":100}") ","
	DISK("good", "single") FILES(GOOD("C-00000291-00000000-00000040.sys")) ","
	DISK("older", "esp") FILES(OLD("C-00000291-00000000-00000031.sys")) ","
	DISK("no-crowdstrike", "esp-recovery") "},"
	DISK("junction", "single") ",\"links\":[{\"path\":\"Windows/System32/drivers/CrowdStrike\","
		"\"target\":\"../../../Elsewhere\"}]" FILES("{\"path\":\"Elsewhere/C-00000291-00000000-00000032.sys\","
		"\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":41004}") ","
	DISK("link", "single") ",\"links\":[{\"path\":\"" CS "C-00000291-link.sys\",\"target\":\"csagent.sys\"}]"
		FILES(GOOD("C-00000291-00000000-00000040.sys")) ","
	DISK("linux", "linux") "},"
	DISK("empty", "empty") "},"
	DISK("no-windows", "no-windows") FILES("{\"path\":\"System32/drivers/CrowdStrike/C-00000291-1.sys\","
		"\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":5}") ","
	DISK("bitlocker", "bitlocker-header") "},"
	DISK("broken", "broken-ntfs") "},"
	DISK("hibernated", "single") FILES(BAD("C-00000291-00000000-00000032.sys") ","
		"{\"path\":\"hiberfil.sys\",\"head\":\"hibr\",\"mtime\":\"2024-07-19T04:00:00Z\",\"bytes\":8192}") ","
	DISK("too-large", "single") ",\"size_mib\":192" FILES("{\"path\":\"" CS "C-00000291-large.sys\","
		"\"mtime\":\"2024-07-19T04:09:00Z\",\"bytes\":67108865}") ","
	/* recipes */
	DISK("driver", "single") HIVE("SYSTEM", "", "\"ControlSet001\\\\Services\\\\ContosoFlt\":{\"Start\":0,"
		"\"ImagePath\":\"contosoflt.sys\"},\"ControlSet002\\\\Services\\\\contosoflt\":{\"Start\":1},"
		"\"ControlSet001\\\\Services\\\\disk\":{\"Start\":0},\"Select\":{\"Current\":1}") "},"
	DISK("quarrel", "single") HIVE("SYSTEM", "", "\"ControlSet001\\\\Services\\\\contosoflt\":{\"Start\":1}") "},"
	DISK("driver-dirty", "single") HIVE("SYSTEM", "\"dirty\":true,",
		"\"ControlSet001\\\\Services\\\\contosoflt\":{\"Start\":0}") "},"
	DISK("driver-log", "single") HIVE("SYSTEM", "\"log\":{\"ControlSet001\\\\Services\\\\contosoflt\":{\"Start\":0},"
		"\"ControlSet001\\\\Services\\\\later\":{\"Start\":2}},", "\"ControlSet001\\\\Services\\\\contosoflt\":"
		"{\"Start\":3}") "},"
	DISK("driver-log-off", "single") HIVE("SYSTEM", "\"log\":{\"ControlSet001\\\\Services\\\\contosoflt\":{\"Start\":4}},",
		"\"ControlSet001\\\\Services\\\\contosoflt\":{\"Start\":0}") "},"
	DISK("csagent-off", "esp") HIVE("SYSTEM", "", "\"ControlSet001\\\\Services\\\\CSAgent\":{\"Start\":4}") "},"
	DISK("rules", "single") FILES(RULES("\"head\":\"rules=41\\n\",\"attributes\":37,\"stream\":\"from afar\",")) ","
	DISK("rules-good", "single") FILES(RULES("\"head\":\"rules=42\\n\",")) ","
	DISK("txr", "single") FILES(KERNEL("10.0.14393.0") "," TXR("{a}.TxR.0.regtrans-ms") "," TXR("{a}.TxR.blf") ","
		TXR("{b}.TM.blf") "," BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("txr-old", "single") FILES(KERNEL("10.0.10586.0") "," TXR("{a}.TxR.blf")) ","
	DISK("deeds", "single") HIVE("SOFTWARE", "", "\"Contoso\\\\Guard\":{\"RulesUrl\":\"x\",\"Keep\":7}")
		FILES(DEED("old.dat", 100) "," DEED("gone.dat", 200)) ","
	DISK("taken", "single") FILES(DEED("old.dat", 100) "," DEED("NEW.DAT", 200)) ","
	DISK("versions", "single") FILES(PROGRAM("bad.sys", "7.11.0.9") "," PROGRAM("old.sys", "7.10.65535.0") ","
		PROGRAM("good.sys", "7.12.0.0") "," DEED("none.sys", 5000)) ","
	/* what NTFS has in store */
	DISK("directory", "single") FILES("{\"path\":\"" CS "C-00000291-dir.sys/inside\",\"bytes\":10,"
		"\"mtime\":\"2024-07-19T04:09:00Z\"}") ","
	/* more than libguestfs looks at in one call (1000), and than are told one by one (200) */
	DISK("many", "single") FILES("{\"path\":\"" CS "C-00000291\",\"mtime\":\"2024-07-19T04:09:00Z\",\"repeat\":10000}") ","
	DISK("odd-files", "single") FILES(
		ODD("C-00000291-readonly.sys", "\"attributes\":7,\"bytes\":100") ","
		ODD("C-00000291-compressed.sys", "\"attributes\":2048,\"bytes\":300000") ","
		ODD("C-00000291-sparse.sys", "\"bytes\":6291456") ","
		ODD("C-00000291-stream.sys", "\"stream\":\"beside\",\"bytes\":50") ","
		ODD("C-00000291-$(reboot) --help.sys", "\"bytes\":50") ","
		ODD("--help", "\"stream\":\"stays\",\"attributes\":6,\"bytes\":50")) ","
	/* volumes as they come */
	DISK("dirty-bit", "single") ",\"damage\":\"dirty-bit\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("dirty-log", "single") ",\"damage\":\"dirty-log\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("discard", "single") FILES(BAD("C-00000291-00000000-00000032.sys") ","
		"{\"path\":\"hiberfil.sys\",\"head\":\"hibr\",\"mtime\":\"2024-07-19T04:00:00Z\",\"bytes\":8192}") ","
	DISK("truncated", "single") ",\"damage\":\"truncate\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("truncated-gpt", "esp") ",\"damage\":\"truncate\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("shrunk", "single") ",\"damage\":\"shrink\"" FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("dynamic", "dynamic") FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("spaces", "spaces") "},"
	DISK("refs", "refs") "},"
	DISK("efi-only", "efi-only") "},"
	DISK("converting", "esp") ",\"bitlocker\":{\"method\":\"xts-128\",\"converting\":true}"
		FILES(BAD("C-00000291-00000000-00000032.sys")) ","
	DISK("diffuser", "esp") ",\"bitlocker\":{\"method\":\"cbc-128-diffuser\",\"suspended\":true}"
		FILES(BAD("C-00000291-00000000-00000032.sys"))
	"]}";
/* clang-format on */

/* Recipes of tests: the action of each kind; a proof that cannot hold; one that takes what is left of all others. */
static const char deeds[] =
	"{\"name\":\"deeds\",\"os\":\"windows\",\"files\":["
	"{\"where\":\"Contoso/old.dat\",\"when\":{\"size\":100},\"action\":\"rename\",\"to\":\"new.dat\"},"
	"{\"where\":\"Contoso/gone.dat\",\"when\":{\"size_from\":200,\"size_before\":201},\"action\":\"delete\"},"
	"{\"where\":\"contoso/made.txt\",\"when\":{\"absent\":true},\"action\":\"write\",\"text\":\"made\"}],"
	"\"registry\":[{\"hive\":\"SOFTWARE\",\"key\":\"contoso\\\\Guard\",\"value\":\"rulesurl\",\"action\":"
	"\"delete\"}]}";
static const char quarrel[] = "{\"name\":\"quarrel\",\"os\":\"windows\",\"services\":[{\"name\":\"contosoflt\","
			      "\"action\":\"disable\"}],\"registry\":["
			      "{\"hive\":\"system\",\"key\":\"controlset001\\\\services\\\\contosoflt\",\"value\":"
			      "\"start\",\"action\":\"set\","
			      "\"type\":\"dword\",\"data\":3}]}";
/* The second key is in the log only: it is there afterwards when the log was applied to the file too. */
static const char logged[] =
	"{\"name\":\"logged\",\"os\":\"windows\",\"services\":[{\"name\":\"contosoflt\",\"action\":\"disable\"}],"
	"\"proof\":[{\"hive\":\"SYSTEM\",\"key\":\"ControlSet001\\\\Services\\\\later\",\"value\":\"Start\","
	"\"type\":\"dword\",\"data\":2}]}";
static const char versions[] =
	"{\"name\":\"versions\",\"os\":\"windows\",\"files\":[{\"where\":\"Contoso/*.sys\",\"when\":"
	"{\"version_from\":\"7.11\",\"version_before\":\"7.12\"},\"action\":\"quarantine\"}],"
	"\"proof\":[{\"where\":\"Contoso/bad.sys\",\"absent\":true}]}";
static const char unproved[] =
	"{\"name\":\"unproved\",\"os\":\"windows\",\"files\":[{\"where\":\"Windows/win.ini\",\"when\":{\"any\":true},"
	"\"action\":\"quarantine\"}],\"proof\":[{\"where\":\"Windows/*.exe\",\"absent\":true}]}";

/* What is to become of each; `files` is how many are removed or changed and kept, `reason` a part of what is said. */
static const struct expected {
	const char *name, *result, *reason;
	size_t files, windows;
	const char *recipe;	 /* a built-in one, a file, or a text; NULL: crowdstrike-291 */
	const char *differences; /* what differs afterwards: gone, new or changed; NULL: what was removed is gone */
} expected[] = {
	{"one-bad", "repaired", "removed 1 file from /Windows/System32/drivers/CrowdStrike", 1, 1, NULL, NULL},
	{"two-bad-one-good", "repaired", "removed 2 files from /Windows/System32/drivers/CrowdStrike", 2, 1, NULL,
		NULL},
	{"odd-case", "repaired", "removed 1 file from /wInDoWs/sYsTeM32/DrIvErS/CrOwDsTrIkE", 1, 1, NULL, NULL},
	{"upper-case", "repaired", "removed 1 file from /WINDOWS/SYSTEM32/DRIVERS/CROWDSTRIKE", 1, 1, NULL, NULL},
	{"dual", "repaired", "removed 2 files from several directories", 2, 2, NULL, NULL},
	{"control", "repaired", "removed 1 file", 1, 1, NULL, NULL},
	{"good", "clean", "nothing to remove: 1 good file stamped 2024-07-19T05:27:00Z", 0, 1, NULL, NULL},
	{"older", "clean", "nothing to remove: 1 older file", 0, 1, NULL, NULL},
	{"no-crowdstrike", "clean", "no CrowdStrike directory in /Windows/System32/drivers", 0, 1, NULL, NULL},
	{"junction", "clean", "no CrowdStrike directory in /Windows/System32/drivers", 0, 1, NULL, NULL},
	{"link", "clean", "1 good file", 0, 1, NULL, NULL},
	{"linux", "failed", "no Windows found (no NTFS file system: it is a Linux disk)", 0, 0, NULL, NULL},
	{"empty", "failed", "no Windows found (no NTFS file system: the disk is empty)", 0, 0, NULL, NULL},
	{"no-windows", "failed", "no Windows found (no Windows/System32 on 1 NTFS file system)", 0, 0, NULL, NULL},
	{"bitlocker", "failed", "the volume on partition 4 is BitLocker-encrypted and no key was given", 0, 0, NULL,
		NULL},
	{"broken", "failed", "unreadable NTFS on partition 1: Failed to", 0, 0, NULL, NULL},
	{"hibernated", "failed", "nothing was removed: NTFS on partition 1: Windows is hibernated", 0, 1, NULL, NULL},
	{"too-large", "failed", "too large to be kept", 0, 1, NULL, NULL},

	{"driver", "repaired", "changed 2 registry values", 1, 1, "docs/recipes/disable-boot-driver.json",
		"changed:/Windows/System32/config/SYSTEM"},
	{"quarrel", "failed", "two entries of the recipes want different things of value Start of contosoflt", 0, 1,
		quarrel, NULL},
	{"driver-dirty", "failed", "SYSTEM': Windows was writing to it when it stopped, and none of its logs", 0, 1,
		"docs/recipes/disable-boot-driver.json", NULL},
	{"driver-log", "repaired", "changed 1 registry value", 1, 1, logged, "changed:/Windows/System32/config/SYSTEM"},
	{"driver-log-off", "clean", "nothing to change: every registry value is as it is to be", 0, 1,
		"docs/recipes/disable-boot-driver.json", NULL},
	{"csagent-off", "clean", "nothing to change: every registry value is as it is to be", 0, 1, "disable-csagent",
		NULL},
	{"rules", "repaired", "wrote 1 file in /ProgramData/Fabrikam/Guard", 1, 1, "docs/recipes/replace-by-hash.json",
		"changed:/ProgramData/Fabrikam/Guard/rules.dat"},
	{"rules-good", "clean", "nothing to remove: 1 other file of that name", 0, 1,
		"docs/recipes/replace-by-hash.json", NULL},
	{"txr", "repaired", "removed 3 files from several directories", 3, 1, "crowdstrike-291-txr",
		"gone:/Windows/System32/config/TxR/{a}.TxR.0.regtrans-ms gone:/Windows/System32/config/TxR/{a}.TxR.blf "
		"gone:/Windows/System32/drivers/CrowdStrike/C-00000291-00000000-00000032.sys"},
	{"txr-old", "clean", "nothing to remove: no CrowdStrike directory", 0, 1, "crowdstrike-291-txr", NULL},
	{"deeds", "repaired",
		"deleted 1 file from /Contoso, renamed 1 file in /Contoso, wrote 1 file in /Contoso, changed 1 "
		"registry",
		1, 1, deeds,
		"changed:/Windows/System32/config/SOFTWARE gone:/Contoso/gone.dat gone:/Contoso/old.dat "
		"new:/Contoso/made.txt new:/Contoso/new.dat"},
	{"taken", "failed", "cannot rename: there is a 'new.dat' in '/Contoso' already: nothing was changed", 0, 1,
		deeds, NULL},
	{"versions", "repaired", "removed 1 file from /Contoso", 1, 1, versions, "gone:/Contoso/bad.sys"},

	{"directory", "clean", "nothing to remove: no file of that name", 0, 1, NULL, NULL},
	{"many", "repaired", "removed 10000 files from /Windows/System32/drivers/CrowdStrike", 10000, 1, NULL, NULL},
	{"odd-files", "repaired", "removed 5 files", 5, 1, NULL,
		"gone:/Windows/System32/drivers/CrowdStrike/C-00000291-$(reboot) --help.sys "
		"gone:/Windows/System32/drivers/CrowdStrike/C-00000291-compressed.sys "
		"gone:/Windows/System32/drivers/CrowdStrike/C-00000291-readonly.sys "
		"gone:/Windows/System32/drivers/CrowdStrike/C-00000291-sparse.sys "
		"gone:/Windows/System32/drivers/CrowdStrike/C-00000291-stream.sys"},

	{"dirty-bit", "repaired", "removed 1 file from", 1, 1, NULL, NULL},
	{"dirty-log", "repaired", "removed 1 file from", 1, 1, NULL, NULL},
	{"discard", "repaired", "removed 1 file from", 1, 1, NULL,
		"gone:/Windows/System32/drivers/CrowdStrike/C-00000291-00000000-00000032.sys gone:/hiberfil.sys"},
	{"truncated", "failed", "it is truncated: it ends after 100663296 bytes, its partition 1 after 134217728", 0, 0,
		NULL, NULL},
	{"truncated-gpt", "failed", "it is truncated: it ends after 100663296 bytes, its partition 3 after 116391936",
		0, 0, NULL, NULL},
	{"shrunk", "failed",
		"unreadable NTFS on partition 1: it is truncated: it says that it has 133168640 bytes, there are "
		"99614720",
		0, 0, NULL, NULL},
	{"dynamic", "failed", "it is a dynamic disk", 0, 0, NULL, NULL},
	{"spaces", "failed", "it is part of a Storage Spaces pool", 0, 0, NULL, NULL},
	{"refs", "failed", "the volume on partition 2 is ReFS", 0, 0, NULL, NULL},
	{"efi-only", "failed", "no Windows found (no NTFS file system: only an EFI system partition)", 0, 0, NULL,
		NULL},
	{"converting", "failed",
		"the volume on partition 3 is BitLocker-encrypted and its encryption or decryption is under way", 0, 0,
		NULL, NULL},
	{"diffuser", "failed",
		"is BitLocker-encrypted and its encryption method (AES-CBC 128 with diffuser) is not supported", 0, 0,
		NULL, NULL},
};

#endif
