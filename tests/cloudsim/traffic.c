/* One exchange as a line of recorded traffic, in the form that the contract checker reads. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

/* Text that is not UTF-8 cannot stand in JSON: it is escaped, so that the line stays readable. */
static json_t *text(const char *bytes, size_t len)
{
	json_t *t = json_stringn(bytes != NULL ? bytes : "", len);
	ff_auto_free char *safe = NULL;

	if (t != NULL)
		return t;
	safe = ff_printable_n(bytes, len);
	return json_string(safe);
}

static json_t *headers(const struct ff_headers *h)
{
	json_t *all = json_object();

	for (size_t i = 0; i < h->count; i++) {
		ff_auto_free char *name = ff_printable(h->items[i].name);
		ff_auto_free char *value = ff_printable(h->items[i].value);
		json_t *before = json_object_get(all, name);

		if (before == NULL) {
			json_object_set_new(all, name, json_string(value));
		} else if (json_is_array(before)) {
			json_array_append_new(before, json_string(value));
		} else {
			json_object_set_new(all, name, json_pack("[Os]", before, value));
		}
	}
	return all;
}

char *sim_traffic_line(
	const struct sim *sim, int64_t now_ms, const struct sim_request *request, const struct sim_answer *answer)
{
	bool arrived = answer->end == SIM_ANSWERED;
	struct ff_headers none = {0};
	char when[SIM_TIME_BYTES];
	ff_auto_json json_t *line = json_object();
	ff_auto_free char *url = ff_printf("%s%s", request->base, request->target);
	ff_auto_free char *out = NULL;

	ff_json_set_str(line, "provider", sim_part_of(sim, request)->cloud->name);
	ff_json_set_str(line, "time", sim_time(now_ms, when));
	ff_json_set_str(line, "method", request->method);
	ff_json_set_new(line, "url", text(url, strlen(url)));
	ff_json_set_new(line, "request_headers", headers(&request->headers));
	ff_json_set_new(line, "request_body", text(request->body, request->body_len));
	ff_json_set_int(line, "status", arrived ? answer->status : 0);
	ff_json_set_new(line, "response_headers", headers(arrived ? &answer->headers : &none));
	ff_json_set_new(line, "response_body", text(answer->body, arrived ? answer->body_len : 0));
	out = ff_json_text(line);
	return ff_printf("%s\n", out);
}
