/* Answers as XML: written from the front, every text escaped. */
#include "aws.h"

#include <stdlib.h>
#include <string.h>

#include "fixfleet/clock.h"

void aw_escape(struct ff_buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char ch = (unsigned char)*text;

		if (ch == '&')
			ff_buf_adds(out, "&amp;");
		else if (ch == '<')
			ff_buf_adds(out, "&lt;");
		else if (ch == '>')
			ff_buf_adds(out, "&gt;");
		else if (ch == '"')
			ff_buf_adds(out, "&quot;");
		else if (ch == '\r')
			ff_buf_adds(out, "&#13;");
		else if (ch < 0x20 && ch != '\t' && ch != '\n')
			ff_buf_adds(out, "?"); /* XML 1.0 has no way to write it */
		else
			ff_buf_add(out, text, 1);
	}
}

void aw_open(struct aw_call *c, const char *name)
{
	ff_buf_addf(&c->out, "<%s>", name);
}

void aw_close(struct aw_call *c, const char *name)
{
	ff_buf_addf(&c->out, "</%s>", name);
}

void aw_text(struct aw_call *c, const char *name, const char *text)
{
	if (text == NULL || *text == '\0') {
		ff_buf_addf(&c->out, "<%s/>", name);
		return;
	}
	aw_open(c, name);
	aw_escape(&c->out, text);
	aw_close(c, name);
}

void aw_int(struct aw_call *c, const char *name, int64_t value)
{
	ff_buf_addf(&c->out, "<%s>%lld</%s>", name, (long long)value, name);
}

void aw_flag(struct aw_call *c, const char *name, bool value)
{
	aw_text(c, name, value ? "true" : "false");
}

void aw_time(struct aw_call *c, const char *name, int64_t ms)
{
	char text[FF_TIME_BYTES];

	aw_text(c, name, ff_time_format(ms, 1, text));
}

void aw_tag_set(struct aw_call *c, const json_t *tags)
{
	const char *key;
	json_t *value;

	if (json_object_size(tags) == 0)
		return; /* an empty element and a missing one mean the same */
	aw_open(c, "tagSet");
	json_object_foreach ((json_t *)tags, key, value) {
		aw_open(c, "item");
		aw_text(c, "key", key);
		aw_text(c, "value", json_string_value(value));
		aw_close(c, "item");
	}
	aw_close(c, "tagSet");
}

static const char *const spaces[AW_SERVICES] = {
	[AW_EC2] = "http://ec2.amazonaws.com/doc/2016-11-15/",
	[AW_STS] = "https://sts.amazonaws.com/doc/2011-06-15/",
	[AW_SCALING] = "http://autoscaling.amazonaws.com/doc/2011-01-01/",
};

void aw_begin(struct aw_call *c)
{
	ff_buf_addf(&c->out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%sResponse xmlns=\"%s\">", c->action->name,
		spaces[c->service]);
	if (c->service == AW_EC2)
		aw_text(c, "requestId", c->request_id);
	else
		ff_buf_addf(&c->out, "<%sResult>", c->action->name);
}

void aw_end(struct aw_call *c)
{
	if (c->service != AW_EC2)
		ff_buf_addf(&c->out, "</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>",
			c->action->name, c->request_id);
	ff_buf_addf(&c->out, "</%sResponse>", c->action->name);
	c->ans->status = 200;
	ff_headers_set(&c->ans->headers, "Content-Type", "text/xml;charset=UTF-8");
	c->ans->body_len = c->out.len;
	c->ans->body = ff_buf_take(&c->out);
}

void aw_return_true(struct aw_call *c)
{
	aw_begin(c);
	aw_flag(c, "return", true);
	aw_end(c);
}
