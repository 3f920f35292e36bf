// Values are compared byte for byte first; only where bytes differ, and the type has several forms
// of equal values, is more to be done. PG world.

#include "decode/difference.hpp"

namespace carbonite
{
namespace
{

// The text of a value, for types of which nothing better is known.
bool
same_text(ValueWriter *writer, Datum a, Datum b)
{
	Buffer text_a;
	Buffer text_b;
	int sqlstate;

	buffer_init(&text_a, CurrentMemoryContext, MaxAllocSize);
	buffer_init(&text_b, CurrentMemoryContext, MaxAllocSize);
	return put_value(&text_a, writer, a, &sqlstate) && put_value(&text_b, writer, b, &sqlstate) &&
	       !text_a.overflowed && !text_b.overflowed && text_a.length == text_b.length &&
	       memcmp(text_a.data, text_b.data, text_a.length) == 0;
}

bool
same_json(Datum a, Datum b)
{
	struct varlena *text_a = PG_DETOAST_DATUM_PACKED(a);
	struct varlena *text_b = PG_DETOAST_DATUM_PACKED(b);
	Jsonb *json_a = parse_json(VARDATA_ANY(text_a), VARSIZE_ANY_EXHDR(text_a));
	Jsonb *json_b = parse_json(VARDATA_ANY(text_b), VARSIZE_ANY_EXHDR(text_b));

	return json_a != nullptr && json_b != nullptr &&
	       compareJsonbContainers(&json_a->root, &json_b->root) == 0;
}

bool
same_value(StreamColumn *column, Datum a, Datum b)
{
	switch (column->writer.kind)
	{
		case ValueKind::float4:
			return float4_eq(DatumGetFloat4(a), DatumGetFloat4(b));
		case ValueKind::float8:
			return float8_eq(DatumGetFloat8(a), DatumGetFloat8(b));
		case ValueKind::numeric:
			return DatumGetBool(DirectFunctionCall2(numeric_eq, a, b));
		case ValueKind::json:
			return same_json(a, b);
		case ValueKind::jsonb:
			return compareJsonbContainers(&DatumGetJsonbP(a)->root, &DatumGetJsonbP(b)->root) == 0;
		case ValueKind::other:
			return same_text(&column->writer, a, b);
		default:
			return false;
	}
}

} // namespace

bool
column_changed(const StreamRelation *relation, StreamColumn *column, const Row *old_row,
               const Row *row)
{
	int index = column->attnum - 1;
	Form_pg_attribute att = TupleDescAttr(relation->tuple_desc, index);

	if (old_row->nulls[index] || row->nulls[index])
		return old_row->nulls[index] != row->nulls[index];
	if (datum_image_eq(old_row->values[index], row->values[index], att->attbyval, att->attlen))
		return false;
	return relation->exact_comparison ||
	       !same_value(column, old_row->values[index], row->values[index]);
}

bool
key_changed(const StreamRelation *relation, const Row *old_row, const Row *row)
{
	for (int i = 0; i < relation->nkeys; i++)
	{
		int index = relation->key_columns[i].attnum - 1;
		Form_pg_attribute att = TupleDescAttr(relation->tuple_desc, index);

		if (old_row->missing[index] || row->missing[index])
			continue;
		if (old_row->nulls[index] != row->nulls[index] ||
		    (!row->nulls[index] && !datum_image_eq(old_row->values[index], row->values[index],
		                                           att->attbyval, att->attlen)))
			return true;
	}
	return false;
}

} // namespace carbonite
