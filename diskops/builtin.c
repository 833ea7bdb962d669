/* The built-in recipes: the same texts that a file would hold. */
#include <string.h>

#include "fixfleet/json.h"
#include "fixfleet/mem.h"
#include "fixfleet/recipe.h"

#define CHANNEL_FILE "Windows/System32/drivers/CrowdStrike/C-00000291*.sys"

/*
 * CrowdStrike, "Falcon Content Update for Windows Hosts" (20 July 2024): channel file 291 stamped 2024-07-19 04:09 UTC
 * is the bad one, stamped 05:27 UTC or later the good one.
 */
#define BAD_FILE                                                                                                       \
	"{\"where\":\"" CHANNEL_FILE "\","                                                                             \
	"\"when\":{\"mtime_from\":\"2024-07-19T04:09:00Z\",\"mtime_before\":\"2024-07-19T05:27:00Z\"},"                \
	"\"action\":\"quarantine\"}"

/*
 * What Microsoft's second script removes besides on build 14393 and later, because loading the registry can hang for
 * ever after the boot loop (Azure/repair-script-library, win-crowdstrike-fix-bootloop-v2.ps1).
 */
#define TXR_FILE(glob)                                                                                                 \
	"{\"where\":\"Windows/System32/config/TxR/" glob "\",\"when\":{\"build_from\":14393},"                         \
	"\"action\":\"quarantine\"}"

static const struct {
	const char *name, *text;
} recipes[] = {
	{"crowdstrike-291", "{\"name\":\"crowdstrike-291\","
			    "\"title\":\"CrowdStrike Falcon channel file 291 of 19 July 2024\","
			    "\"os\":\"windows\",\"files\":[" BAD_FILE "]}"},
	/* the vendor's guidance for work by hand: whatever its stamp */
	{"crowdstrike-291-all", "{\"name\":\"crowdstrike-291-all\","
				"\"title\":\"CrowdStrike Falcon channel file 291, every version of it\","
				"\"os\":\"windows\",\"files\":[{\"where\":\"" CHANNEL_FILE "\",\"when\":{\"any\":true},"
				"\"action\":\"quarantine\"}],"
				"\"proof\":[{\"where\":\"" CHANNEL_FILE "\",\"absent\":true}]}"},
	{"crowdstrike-291-txr", "{\"name\":\"crowdstrike-291-txr\","
				"\"title\":\"CrowdStrike Falcon channel file 291 and leftover registry transactions\","
				"\"os\":\"windows\",\"files\":[" BAD_FILE
				"," TXR_FILE("*.TxR.*.regtrans-ms") "," TXR_FILE("*.TxR.blf") "]}"},
	{"disable-csagent", "{\"name\":\"disable-csagent\","
			    "\"title\":\"CrowdStrike Falcon's driver csagent is not started\","
			    "\"os\":\"windows\",\"services\":[{\"name\":\"CSAgent\",\"action\":\"disable\"}],"
			    "\"proof\":[{\"hive\":\"SYSTEM\",\"key\":\"ControlSet*\\\\Services\\\\CSAgent\","
			    "\"value\":\"Start\",\"type\":\"dword\",\"data\":4}]}"},
};

const char *ff_recipe_name(size_t index)
{
	return index < FF_COUNT(recipes) ? recipes[index].name : NULL;
}

json_t *ff_recipe_builtin(const char *name)
{
	struct ff_err err;

	for (size_t i = 0; i < FF_COUNT(recipes); i++)
		if (ff_streq(recipes[i].name, name))
			return ff_json_parse(recipes[i].text, strlen(recipes[i].text), FF_RECIPE_BYTES_MAX, &err);
	return NULL;
}
