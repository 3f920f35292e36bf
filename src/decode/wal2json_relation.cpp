// What is constant for a relation, common to both versions. PG world.

#include "caught.hpp"
#include "decode/wal2json.hpp"

namespace carbonite
{
namespace
{

// wal2json trusts that a name in quotation marks is a JSON string as it is. Where it is one, the
// bytes are the same here.
bool
is_json_already(const char *name)
{
	size_t length = strlen(name);

	if (length < 2 || name[0] != '"' || name[length - 1] != '"')
		return false;
	for (size_t i = 1; i < length - 1; i++)
		if (name[i] == '"' || name[i] == '\\' || (unsigned char) name[i] < 0x20)
			return false;
	return true;
}

// The expression of a default as text, in SQL. It names no column, so that no relation has to be
// opened for it.
char *
default_text(const char *expression)
{
	char *result = nullptr;

	succeeds(
		[&]
		{
			result = TextDatumGetCString(DirectFunctionCall2(
				pg_get_expr, CStringGetTextDatum(expression), ObjectIdGetDatum(InvalidOid)));
		});
	return result;
}

} // namespace

Text
wal2json_copy(const Buffer *buffer, const char *ending)
{
	size_t ending_length = strlen(ending);
	char *bytes = (char *) palloc(buffer->length + ending_length + 1);

	memcpy(bytes, buffer->data, buffer->length);
	memcpy(bytes + buffer->length, ending, ending_length);
	return Text{bytes, (uint32) (buffer->length + ending_length)};
}

Oid
wal2json_domain_base(Oid domain, int32 *typmod)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
	Form_pg_type type;
	Oid base;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", domain);
	type = (Form_pg_type) GETSTRUCT(tuple);
	base = type->typbasetype;
	*typmod = type->typtypmod;
	ReleaseSysCache(tuple);
	return base;
}

void
wal2json_put_type(Buffer *buffer, const char *name)
{
	if (is_json_already(name))
		put_string(buffer, name);
	else
		put_json_string(buffer, name, strlen(name));
}

void
wal2json_put_default(Buffer *buffer, Relation rel, AttrNumber attnum)
{
	TupleDesc desc = RelationGetDescr(rel);
	Form_pg_attribute att = TupleDescAttr(desc, attnum - 1);
	char *text = nullptr;

	for (int i = 0; att->atthasdef && att->attgenerated == '\0' && i < desc->constr->num_defval;
	     i++)
		if (desc->constr->defval[i].adnum == attnum && desc->constr->defval[i].adbin != nullptr)
			text = default_text(desc->constr->defval[i].adbin);
	if (text != nullptr)
		put_json_string(buffer, text, strlen(text));
	else
		put_text(buffer, "null");
}

void
wal2json_put_omitted(Buffer *buffer, const Wal2json *state, uint64 bytes)
{
	put_text(buffer, "\"omitted\":");
	put_string(buffer, state->space);
	put_text(buffer, "{\"bytes\":");
	put_string(buffer, state->space);
	put_unsigned(buffer, bytes);
	put_char(buffer, '}');
}

void
wal2json_put_withheld(Buffer *buffer, const Wal2json *state)
{
	put_text(buffer, "\"withheld\":");
	put_string(buffer, state->space);
	put_text(buffer, "true");
}

void
wal2json_compile(Stream *stream, StreamRelation *relation, Relation rel)
{
	const Wal2json *state = wal2json_state(stream);
	Wal2jsonRelation *compiled = (Wal2jsonRelation *) palloc0(sizeof(Wal2jsonRelation));

	relation->format = compiled;
	if (!wal2json_wants_table(state, relation->schema, relation->name))
		memset(relation->shown, 0, sizeof(relation->shown));
	compiled->ncolumns = relation->ncolumns;
	compiled->columns =
		(Wal2jsonColumn *) palloc0(sizeof(Wal2jsonColumn) * (size_t) Max(relation->ncolumns, 1));
	for (int i = 0; i < relation->ncolumns; i++)
	{
		Wal2jsonColumn *column = &compiled->columns[i];

		column->column = &relation->columns[i];
		column->index = column->column->attnum - 1;
		// without an index that identifies rows every column does
		column->in_identity = column->column->in_identity || !relation->has_identity;
		column->in_primary_key = column->column->in_primary_key;
	}
	if (state->version == 1)
		wal2json_compile_v1(state, relation, rel);
	else
		wal2json_compile_v2(state, relation, rel);
}

} // namespace carbonite
