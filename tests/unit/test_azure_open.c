/* Opening a scope, and whose URL may see the token. */
#include "azure_kit.h"

static const char *const no_env[] = {NULL};

static void refused(struct ff_scope_options options, const char *const *env, const char *text)
{
	struct ff_err err;
	struct ff_cloud *cloud = kit_open_with(&options, env, &err);

	cr_assert_null(cloud, "expected: %s", text);
	cr_assert_eq(err.class, FF_E_USAGE);
	cr_assert_str_eq(err.text, text);
}

Test(azure_open, what_cannot_be_is_refused_in_one_line)
{
	static const char *const sub_env[] = {"AZURE_SUBSCRIPTION_ID", "nonsense", NULL};
	static const char *const http_env[] = {"AZURE_RESOURCE_MANAGER_ENDPOINT", "http://arm.test", NULL};
	static const char *const user_env[] = {"AZURE_AUTHORITY_HOST", "https://a@b", NULL};
	static const char *const tenant_env[] = {"AZURE_TENANT_ID", "a/b", NULL};
	static const char *const imds_env[] = {"AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://evil.test", NULL};
	struct ff_scope_options group = {0}, bad_group = {0}, dotted = {0};

	ff_strv_add(&group.groups, "prod");
	ff_strv_add(&bad_group.groups, "a/../b");
	ff_strv_add(&dotted.groups, "prod.");
	refused((struct ff_scope_options){0}, no_env, "azure: give --rg NAME or --subscription ID");
	refused((struct ff_scope_options){.subscription = "x\033"}, no_env,
		"azure: 'x\\x1b' is not a subscription id (a GUID)");
	refused((struct ff_scope_options){.subscription = SUB, .cloud = "mars"}, no_env,
		"azure: no cloud 'mars': give public, usgov or china");
	refused(group, sub_env, "azure: 'nonsense' is not a subscription id (a GUID)");
	refused(bad_group, no_env, "azure: 'a/../b' cannot be the name of a resource group");
	refused(dotted, no_env, "azure: 'prod.' cannot be the name of a resource group");
	refused(group, http_env,
		"azure: AZURE_RESOURCE_MANAGER_ENDPOINT: 'http://arm.test' is plain http: credentials go over https "
		"only, or "
		"to this machine");
	refused(group, user_env, "azure: AZURE_AUTHORITY_HOST: 'https://a@b' is not an http(s) URL");
	refused(group, tenant_env, "azure: AZURE_TENANT_ID: 'a/b' is neither a tenant id nor a domain name");
	refused(group, imds_env,
		"azure: AZURE_POD_IDENTITY_AUTHORITY_HOST: 'http://evil.test' is plain http: credentials go over https "
		"only, or "
		"to this machine");
	ff_strv_free(&group.groups);
	ff_strv_free(&bad_group.groups);
	ff_strv_free(&dotted.groups);
}

Test(azure_open, names_of_groups_may_be_of_any_script)
{
	struct ff_scope_options options = {.subscription = SUB};
	struct ff_err err;
	struct ff_cloud *cloud;

	ff_strv_add(&options.groups, "größe_(1)-x");
	ff_strv_add(&options.groups, "PROD");
	ff_strv_add(&options.groups, "prod");
	cloud = kit_open_with(&options, no_env, &err);
	cr_assert_not_null(cloud, "%s", err.text);
	cr_assert_str_eq(
		ff_azure.title(cloud), "azure subscription " SUB ", resource group größe_(1)-x, resource group PROD");
	ff_strv_free(&options.groups);
	ff_azure.close(cloud);
	ff_azure.close(NULL);
}

Test(azure_open, the_token_goes_to_resource_manager_only)
{
	static const struct {
		const char *url;
		bool good;
	} cases[] = {
		{"https://management.azure.com/subscriptions", true},
		{"https://MANAGEMENT.azure.com:443/x?y", true},
		{"https://management.azure.com:444/", false},
		{"http://management.azure.com/", false},
		{"https://management.azure.com.evil.test/", false},
		{"https://management.azure.com@evil.test/", false},
		{"https://evil.test/https://management.azure.com/", false},
		{"https://management.azure.com/a b", false},
		{"https://management.azure.com/a\r\nX: y", false},
		{"ftp://management.azure.com/", false},
		{"", false},
	};
	struct ff_cloud *cloud = kit_cloud();

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_ask ask = {0};
		struct ff_err err = {0};
		int rc;

		ff_ask_http(&ask, "GET", "%s", cases[i].url);
		rc = ff_azure.sign(cloud, NOW, &ask, &err);
		cr_assert_eq(rc == 0, cases[i].good, "%s", cases[i].url);
		if (cases[i].good) {
			cr_assert_str_eq(ff_headers_get(&ask.headers, "Authorization"), "Bearer tok");
			cr_assert_str_eq(ff_headers_get(&ask.headers, "Accept"), "application/json");
		} else {
			cr_assert_eq(err.class, FF_E_BUG);
			cr_assert_null(ff_headers_get(&ask.headers, "Authorization"));
		}
		ff_ask_release(&ask);
	}
	ff_azure.close(cloud);
}

Test(azure_open, ids_that_do_not_fit_into_a_url_are_none)
{
	static const struct {
		const char *id;
		bool good;
	} cases[] = {
		{COMPUTE "/virtualMachines/a", true},
		{"/SUBSCRIPTIONS/x/RESOURCEGROUPS/größe/providers/microsoft.compute/disks/a_b-c.d", true},
		{COMPUTE "/virtualMachines", false},
		{COMPUTE "/virtualMachines/a/b", false},
		{COMPUTE "/virtualMachines/..", false},
		{COMPUTE "/virtualMachines/a?b", false},
		{COMPUTE "/virtualMachines/a%2fb", false},
		{COMPUTE "/virtualMachines/a'b", false},
		{COMPUTE "/virtualMachines/a b", false},
		{COMPUTE "/virtualMachines/", false},
		{RG "/providers/Microsoft.Network/networkInterfaces/a", false},
		{"subscriptions/x", false},
		{"", false},
		{NULL, false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct azure_id id;
		int rc = azure_id_parse(cases[i].id, &id);

		cr_assert_eq(rc == 0, cases[i].good, "%s", cases[i].id ? cases[i].id : "NULL");
		azure_id_release(&id);
	}
}
