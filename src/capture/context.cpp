// The setting carbonite.meta. It is parsed where it is used, not where it is set: before the
// library is loaded anything can be set, and metadata must never be dropped silently. PG world.

#include "capture/context.hpp"

namespace carbonite
{
namespace
{

char *meta_setting;

// The 1-based position, in characters, of the token where a parser stopped; past the end of the
// text there is none.
int
error_position(const JsonLexContext *lexer, size_t length)
{
	size_t bytes = lexer->token_start != nullptr ? lexer->token_start - lexer->input : length;

	return pg_mbstrlen_with_len(lexer->input, (int) bytes) + 1;
}

void
check_syntax(char *json)
{
	JsonLexContext *lexer = make_json_lexer(json, strlen(json));
	JsonParseErrorType result = pg_parse_json(lexer, &nullSemAction);

	if (result == JSON_SUCCESS)
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	                errmsg("setting carbonite.meta is not valid JSON at character %d",
	                       error_position(lexer, strlen(json))),
	                errdetail_internal("%s", json_errdetail(result, lexer)),
	                errhint("Set it to a JSON object, or use carbonite.put_meta(key, value).")));
}

void
check_object(Jsonb *meta, const char *what)
{
	if (!JB_ROOT_IS_OBJECT(meta))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("%s must be a JSON object", what)));
}

} // namespace

Datum
context_meta(void)
{
	Datum meta;

	if (meta_setting == nullptr || meta_setting[0] == '\0')
		return DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
	check_syntax(meta_setting);
	meta = DirectFunctionCall1(jsonb_in, CStringGetDatum(meta_setting));
	check_object(DatumGetJsonbP(meta), "setting carbonite.meta");
	return meta;
}

Datum
context_merge(Datum meta)
{
	check_object(DatumGetJsonbP(meta), "metadata of a transaction");
	return DirectFunctionCall2(jsonb_concat, context_meta(), meta);
}

void
context_init(void)
{
	DefineCustomStringVariable("carbonite.meta", "Metadata of transactions, a JSON object.",
	                           "It is merged under the metadata given to insert_transaction().",
	                           &meta_setting, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
}

} // namespace carbonite
