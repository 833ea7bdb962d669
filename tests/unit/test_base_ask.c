#include <criterion/criterion.h>
#include <stdlib.h>

#include "fixfleet/ask.h"

Test(url, credentials_go_over_https_or_to_this_machine)
{
	static const struct {
		const char *url;
		bool good;
	} cases[] = {
		{"https://management.azure.com", true},
		{"HTTPS://Management.Azure.Com:443/x", true},
		{"http://127.0.0.1:8080/", true},
		{"http://127.5.6.7", true},
		{"http://localhost:1", true},
		{"http://[::1]:8080/x", true},
		{"http://169.254.169.254/metadata", true},
		{"http://metadata.google.internal/", true},
		{"http://management.azure.com", false},
		{"http://127.0.0.1.evil.example/", false},
		{"http://localhost.evil.example/", false},
		{"http://localhost@evil.example/", false},
		{"https://user:pass@evil.example/", false},
		{"https://evil.example\\@management.azure.com/", false},
		{"https://", false},
		{"https://:443/", false},
		{"ftp://127.0.0.1/", false},
		{"management.azure.com", false},
		{"https://a b/", false},
		{"https://h/a b", false},
		{"https://h/token\r\nX: y", false},
		{"https://h/?q=\x7f", false},
		{"", false},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		struct ff_err err = {0};

		cr_expect_eq(ff_url_check(cases[i].url, &err) == 0, cases[i].good, "%s", cases[i].url);
		if (!cases[i].good)
			cr_expect_eq(err.class, FF_E_USAGE);
	}
}

Test(url, the_host_is_what_comes_before_the_path)
{
	static const struct {
		const char *url, *host, *hostname;
	} cases[] = {
		{"https://Management.Azure.com/subscriptions/x?y", "management.azure.com", "management.azure.com"},
		{"https://127.0.0.1:8443?x", "127.0.0.1:8443", "127.0.0.1"},
		{"http://[::1]:80/", "[::1]:80", "[::1]"},
		{"https://h#f", "h", "h"},
	};

	for (size_t i = 0; i < FF_COUNT(cases); i++) {
		char *host = ff_url_host(cases[i].url), *hostname = ff_url_hostname(cases[i].url);

		cr_expect_str_eq(host, cases[i].host);
		cr_expect_str_eq(hostname, cases[i].hostname);
		free(host);
		free(hostname);
	}
	cr_expect_null(ff_url_host(NULL));
}

Test(ask, headers_are_found_in_any_case_and_replaced_by_set)
{
	struct ff_headers h = {0};

	ff_headers_add(&h, "X-Ratelimit", "a;1");
	ff_headers_add(&h, "x-ratelimit", "b;2");
	cr_expect_str_eq(ff_headers_get(&h, "X-RATELIMIT"), "a;1");
	ff_headers_set(&h, "X-ratelimit", "c;3");
	cr_expect_eq(h.count, 1);
	cr_expect_str_eq(ff_headers_get(&h, "x-ratelimit"), "c;3");
	cr_expect_null(ff_headers_get(&h, "x"));
	ff_headers_free(&h);
}

Test(ask, release_leaves_an_empty_ask)
{
	struct ff_ask ask;

	ff_ask_http(&ask, "POST", "https://h/%d", 5);
	ff_ask_body(&ask, "application/json", ff_strdup("{}"));
	for (int i = 0; i < 5; i++)
		ff_ask_cost(&ask, "k", 1, 1);
	cr_expect_eq(ask.cost_count, FF_COSTS_MAX);
	cr_expect_str_eq(ask.url, "https://h/5");
	cr_expect_str_eq(ff_headers_get(&ask.headers, "content-type"), "application/json");
	ask.secret = true;
	ff_ask_release(&ask);
	cr_expect_null(ask.url);
	cr_expect_eq(ask.cost_count, 0);
}
