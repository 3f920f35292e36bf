// Keys as capture writes them, and what stands for values that do not fit. PG world.

#include "decode/record.hpp"
#include "capture/digest.hpp"
#include "caught.hpp"

namespace carbonite
{
namespace
{

// Larger values give way.
constexpr size_t large_value = 256;

constexpr int most_brief_bytes = 1024;

// A key whose texts are longer may be abbreviated.
constexpr size_t plain_key_bytes = 512;

size_t
value_bytes(const StreamColumn *column, Datum datum)
{
	if (column->length != -1)
		return column->length > 0 ? (size_t) column->length : strlen(DatumGetCString(datum));
	if (VARATT_IS_EXTENDED(DatumGetPointer(datum)))
		return toast_raw_datum_size(datum) - VARHDRSZ;
	return VARSIZE_ANY_EXHDR(DatumGetPointer(datum));
}

// Puts an element of a key that needs no function call; false if it does.
bool
put_plain_element(Buffer *buffer, const KeyColumn *column, Datum datum)
{
	switch (column->conversion)
	{
		case KeyConversion::int2:
			put_char(buffer, '"');
			put_integer(buffer, DatumGetInt16(datum));
			put_char(buffer, '"');
			return true;
		case KeyConversion::int4:
			put_char(buffer, '"');
			put_integer(buffer, DatumGetInt32(datum));
			put_char(buffer, '"');
			return true;
		case KeyConversion::int8:
			put_char(buffer, '"');
			put_integer(buffer, DatumGetInt64(datum));
			put_char(buffer, '"');
			return true;
		case KeyConversion::text:
			if (VARATT_IS_EXTENDED(DatumGetPointer(datum)) &&
			    !VARATT_IS_SHORT(DatumGetPointer(datum)))
				return false;
			if (VARSIZE_ANY_EXHDR(DatumGetPointer(datum)) > plain_key_bytes / INDEX_MAX_KEYS)
				return false;
			put_unicode_string(buffer, VARDATA_ANY(DatumGetPointer(datum)),
			                   VARSIZE_ANY_EXHDR(DatumGetPointer(datum)));
			return true;
		default:
			return false;
	}
}

bool
put_plain_key(Buffer *buffer, const StreamRelation *relation, const Row *row)
{
	for (int i = 0; i < relation->nkeys; i++)
	{
		const KeyColumn *column = &relation->key_columns[i];
		int index = column->attnum - 1;

		put_char(buffer, i == 0 ? '[' : ',');
		if (column->masked || row->nulls[index] ||
		    !put_plain_element(buffer, column, row->values[index]))
			return false;
	}
	put_char(buffer, ']');
	return true;
}

// Puts the array that capture would store. Types' functions may fail: then the key is not known.
void
put_any_key(Buffer *buffer, const StreamRelation *relation, const Row *row)
{
	size_t length = buffer->length;
	bool done = succeeds(
		[&]
		{
			ArrayType *key = DatumGetArrayTypeP(
				key_array(relation->key_columns, relation->nkeys, row->values, row->nulls));
			Datum *texts;
			bool *nulls;
			int count;

			deconstruct_array(key, VARCHAROID, -1, false, TYPALIGN_INT, &texts, &nulls, &count);
			for (int i = 0; i < count; i++)
			{
				put_char(buffer, i == 0 ? '[' : ',');
				if (nulls[i])
					put_text(buffer, "null");
				else
					put_unicode_string(buffer, VARDATA_ANY(DatumGetPointer(texts[i])),
				                       VARSIZE_ANY_EXHDR(DatumGetPointer(texts[i])));
			}
			put_char(buffer, ']');
		});

	if (done)
		return;
	buffer->length = length;
	put_text(buffer, "null");
}

} // namespace

size_t
row_bytes(const StreamRelation *relation, const Row *row)
{
	size_t bytes = 0;

	for (int i = 0; i < relation->ncolumns; i++)
	{
		const StreamColumn *column = &relation->columns[i];
		int index = column->attnum - 1;

		if (column->length == -1 && !row->nulls[index] && !row->missing[index])
			bytes += value_bytes(column, row->values[index]);
	}
	return bytes;
}

void
put_key(Buffer *buffer, const StreamRelation *relation, const Row *row)
{
	size_t length = buffer->length;

	if (row == nullptr || relation->nkeys == 0 || relation->withheld)
	{
		put_text(buffer, "null");
		return;
	}
	for (int i = 0; i < relation->nkeys; i++)
		if (row->missing[relation->key_columns[i].attnum - 1])
		{
			put_text(buffer, "null");
			return;
		}
	if (likely(put_plain_key(buffer, relation, row)))
		return;
	if (buffer->overflowed)
		return;
	buffer->length = length;
	put_any_key(buffer, relation, row);
}

bool
put_column(Buffer *buffer, const StreamRelation *relation, StreamColumn *column, const Row *row,
           int *sqlstate)
{
	int index = column->attnum - 1;

	if (unlikely(column->mask != nullptr))
	{
		JsonValue value = {};

		masked_value(relation, column, row, &value);
		put_json_value(buffer, &value);
		return true;
	}
	if (row->nulls[index])
	{
		put_text(buffer, "null");
		return true;
	}
	return put_value(buffer, &column->writer, row->values[index], sqlstate);
}

void
put_digest(Buffer *buffer, const StreamColumn *column, const Row *row)
{
	Datum datum = row->values[column->attnum - 1];
	bytea *digest = DatumGetByteaPP(
		DirectFunctionCall1(sha256_bytea, PointerGetDatum(PG_DETOAST_DATUM_PACKED(datum))));

	put_text(buffer, "{\"bytes\":");
	put_unsigned(buffer, value_bytes(column, datum));
	put_text(buffer, ",\"sha256\":\"");
	put_hex(buffer, VARDATA_ANY(digest), digest_bytes);
	put_text(buffer, "\"}");
}

void
put_omitted_bytes(Buffer *buffer, const char *bytes, size_t length)
{
	put_text(buffer, ",\"omitted\":{\"bytes\":");
	put_unsigned(buffer, length);
	put_text(buffer, ",\"sha256\":\"");
	put_hex(buffer, VARDATA_ANY(sha256(bytes, length)), digest_bytes);
	put_text(buffer, "\"}");
}

void
note_failure(Failures *failures, const StreamColumn *column, int sqlstate)
{
	if (!failures->any)
		buffer_init(&failures->text, CurrentMemoryContext, MaxAllocSize);
	put_char(&failures->text, failures->any ? ',' : '{');
	put_bytes(&failures->text, column->label, column->label_length);
	put_text(&failures->text, "{\"error\":\"");
	put_string(&failures->text, unpack_sql_state(sqlstate));
	put_text(&failures->text, "\"}");
	failures->any = true;
}

void
put_failures(Buffer *buffer, const Failures *failures)
{
	if (likely(!failures->any))
		return;
	put_text(buffer, ",\"failed\":");
	put_bytes(buffer, failures->text.data, failures->text.length);
	put_char(buffer, '}');
}

const char *
brief_text(const char *text)
{
	return pnstrdup(text, (Size) pg_mbcliplen(text, (int) strlen(text), most_brief_bytes));
}

bool
is_large(const StreamColumn *column, const Row *row)
{
	int index = column->attnum - 1;

	return column->length == -1 && column->mask == nullptr && !row->nulls[index] &&
	       !row->missing[index] && value_bytes(column, row->values[index]) > large_value;
}

} // namespace carbonite
