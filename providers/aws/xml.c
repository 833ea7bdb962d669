/*
 * Answers in XML, through libxml2. What an answer of AWS never has is refused while it is parsed, before it can cost
 * anything: a DOCTYPE (and with it entities) and deep nesting.
 */
#include "aws.h"

#include <libxml/SAX2.h>
#include <libxml/parser.h>
#include <string.h>

void aws_xml_free_ptr(xmlDoc **doc)
{
	if (*doc != NULL)
		xmlFreeDoc(*doc);
}

/* ctxt->_private says why we stopped it; libxml2's own complaints are in ctxt->lastError. */
static void refuse(xmlParserCtxt *ctxt, const char *why)
{
	if (ctxt->_private == NULL)
		ctxt->_private = (void *)why;
	xmlStopParser(ctxt);
}

static void on_doctype(void *arg, const xmlChar *name, const xmlChar *public_id, const xmlChar *system_id)
{
	(void)name;
	(void)public_id;
	(void)system_id;
	refuse(arg, "a DOCTYPE, which no answer of AWS has");
}

static void on_element(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int namespaces,
	const xmlChar **namespace_list, int attributes, int defaulted, const xmlChar **attribute_list)
{
	xmlParserCtxt *ctxt = arg;

	if (ctxt->nodeNr >= AWS_XML_DEPTH_MAX) {
		refuse(ctxt, "nested too deep");
		return;
	}
	xmlSAX2StartElementNs(
		arg, name, prefix, uri, namespaces, namespace_list, attributes, defaulted, attribute_list);
}

xmlDoc *aws_xml_parse(const char *text, size_t len, struct ff_err *err)
{
	xmlParserCtxt *ctxt;
	xmlDoc *doc;

	if (len == 0 || text == NULL) {
		ff_fail(err, FF_E_BUG, "not XML: empty");
		return NULL;
	}
	if (len > AWS_XML_BYTES_MAX) {
		ff_fail(err, FF_E_BUG, "%zu bytes of XML, more than the %u allowed", len, AWS_XML_BYTES_MAX);
		return NULL;
	}
	ctxt = xmlNewParserCtxt();
	if (ctxt == NULL)
		ff_oom();
	ctxt->sax->internalSubset = on_doctype;
	ctxt->sax->startElementNs = on_element;
	ctxt->sax->comment = NULL; /* so that the text around one stays one text */
	ctxt->sax->processingInstruction = NULL;
	doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL,
		XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	if (doc == NULL || ctxt->_private != NULL || xmlDocGetRootElement(doc) == NULL) {
		const xmlError *last = xmlCtxtGetLastError(ctxt);
		const char *why = ctxt->_private	  ? ctxt->_private
				  : last && last->message ? last->message
							  : "no element";

		ff_fail(err, FF_E_BUG, "not XML: line %d: %.*s", last ? last->line : 1, (int)strcspn(why, "\n"), why);
		if (doc != NULL)
			xmlFreeDoc(doc);
		doc = NULL;
	}
	xmlFreeParserCtxt(ctxt);
	return doc;
}

const xmlNode *aws_xml_root(const xmlDoc *doc)
{
	return xmlDocGetRootElement((xmlDoc *)doc);
}

static const xmlNode *first_of(const xmlNode *node, const char *name, size_t len)
{
	for (; node != NULL; node = node->next)
		if (node->type == XML_ELEMENT_NODE && strncmp((const char *)node->name, name, len) == 0 &&
			node->name[len] == '\0')
			return node;
	return NULL;
}

const xmlNode *aws_xml_at(const xmlNode *node, const char *path)
{
	while (node != NULL && *path != '\0') {
		size_t len = strcspn(path, "/");

		node = first_of(node->children, path, len);
		path += len + (path[len] == '/');
	}
	return node;
}

const xmlNode *aws_xml_next(const xmlNode *node)
{
	return first_of(node->next, (const char *)node->name, strlen((const char *)node->name));
}

const char *aws_xml_str(const xmlNode *node, const char *path)
{
	const xmlNode *at = aws_xml_at(node, path);

	at = at ? at->children : NULL;
	if (at == NULL || at->type != XML_TEXT_NODE || at->content == NULL)
		return "";
	return (const char *)at->content;
}

bool aws_xml_is(const xmlNode *node, const char *local_name)
{
	return node != NULL && ff_streq((const char *)node->name, local_name);
}

bool aws_xml_true(const xmlNode *node, const char *path)
{
	return ff_streq(aws_xml_str(node, path), "true");
}
