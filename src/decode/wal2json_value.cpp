// Values as their types' output functions write them, under the settings of the session: clients of
// wal2json know them so. Only bytea is always hexadecimal. Common types are written here, with the
// same bytes. PG world.

#include <cfloat>

#include "caught.hpp"
#include "decode/record.hpp"
#include "decode/wal2json.hpp"

extern "C"
{
#include "common/shortest_dec.h"
#include "utils/date.h"
}

namespace carbonite
{
namespace
{

TextKind
choose(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return TextKind::boolean;
		case INT2OID:
			return TextKind::int2;
		case INT4OID:
			return TextKind::int4;
		case INT8OID:
			return TextKind::int8;
		case OIDOID:
			return TextKind::oid;
		case FLOAT4OID:
			return TextKind::float4;
		case FLOAT8OID:
			return TextKind::float8;
		case NUMERICOID:
			return TextKind::numeric;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
			return TextKind::text;
		case NAMEOID:
			return TextKind::name;
		case BYTEAOID:
			return TextKind::bytea;
		case UUIDOID:
			return TextKind::uuid;
		case DATEOID:
			return TextKind::date;
		case TIMESTAMPOID:
			return TextKind::timestamp;
		case TIMESTAMPTZOID:
			return TextKind::timestamptz;
		default:
			return TextKind::other;
	}
}

void
compile_function(TextWriter *writer, Oid type)
{
	Oid function;

	getTypeOutputInfo(type, &function, &writer->is_varlena);
	fmgr_info(function, &writer->function);
}

void
put_quoted(Buffer *buffer, const char *text)
{
	put_json_string(buffer, text, strlen(text));
}

void
put_integer_as(Buffer *buffer, const TextWriter *writer, int64 number)
{
	if (writer->bare)
	{
		put_integer(buffer, number);
		return;
	}
	put_char(buffer, '"');
	put_integer(buffer, number);
	put_char(buffer, '"');
}

void
put_boolean(Buffer *buffer, const TextWriter *writer, bool value)
{
	if (writer->bare)
		put_string(buffer, value ? "true" : "false");
	else
		put_string(buffer, value ? "\"t\"" : "\"f\"");
}

// JSON has no number for NaN and infinities: as such they are null.
void
put_float_text(Buffer *buffer, const TextWriter *writer, const char *text)
{
	if (!writer->bare)
		put_quoted(buffer, text);
	else if (text[0] == 'N' || text[strlen(text) - 1] == 'y')
		put_text(buffer, "null");
	else
		put_string(buffer, text);
}

void
put_float4(Buffer *buffer, const TextWriter *writer, float4 value)
{
	char text[Max(FLOAT_SHORTEST_DECIMAL_LEN, 64)];

	if (extra_float_digits > 0)
		float_to_shortest_decimal_buf(value, text);
	else
		pg_strfromd(text, sizeof(text), FLT_DIG + extra_float_digits, value);
	put_float_text(buffer, writer, text);
}

void
put_float8(Buffer *buffer, const TextWriter *writer, float8 value)
{
	char text[DOUBLE_SHORTEST_DECIMAL_LEN];

	if (extra_float_digits > 0)
	{
		double_to_shortest_decimal_buf(value, text);
		put_float_text(buffer, writer, text);
	}
	else
		put_float_text(buffer, writer, float8out_internal(value));
}

void
put_numeric_as(Buffer *buffer, const TextWriter *writer, Datum datum)
{
	size_t begin = buffer->length;
	char *text;

	put_numeric(buffer, datum);
	if (buffer->overflowed || (buffer->data[begin] != '"' && writer->bare))
		return;
	if (buffer->data[begin] == '"')
	{
		if (writer->bare)
		{
			buffer_truncate(buffer, begin);
			put_text(buffer, "null");
		}
		return;
	}
	text = pnstrdup(buffer->data + begin, buffer->length - begin);
	buffer_truncate(buffer, begin);
	put_quoted(buffer, text);
}

void
put_varlena(Buffer *buffer, Datum datum)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(datum);

	put_json_string(buffer, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
}

void
put_bytea(Buffer *buffer, const TextWriter *writer, Datum datum)
{
	bytea *bytes = DatumGetByteaPP(datum);

	if (writer->bare)
		put_char(buffer, '"');
	else
		put_text(buffer, "\"\\\\x");
	put_hex(buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	put_char(buffer, '"');
}

void
put_uuid(Buffer *buffer, Datum datum)
{
	const char *bytes = (const char *) DatumGetUUIDP(datum)->data;

	put_char(buffer, '"');
	put_hex(buffer, bytes, 4);
	for (int i = 4; i < 10; i += 2)
	{
		put_char(buffer, '-');
		put_hex(buffer, bytes + i, 2);
	}
	put_char(buffer, '-');
	put_hex(buffer, bytes + 10, 6);
	put_char(buffer, '"');
}

void
put_date(Buffer *buffer, DateADT date)
{
	char text[MAXDATELEN + 1];
	struct pg_tm tm = {};

	if (DATE_NOT_FINITE(date))
		EncodeSpecialDate(date, text);
	else
	{
		j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
		EncodeDateOnly(&tm, DateStyle, text);
	}
	put_quoted(buffer, text);
}

void
put_timestamp(Buffer *buffer, Timestamp time, bool with_zone)
{
	char text[MAXDATELEN + 1];
	struct pg_tm tm = {};
	fsec_t fraction;
	int zone = 0;
	const char *abbreviation = nullptr;

	if (TIMESTAMP_NOT_FINITE(time))
		EncodeSpecialTimestamp(time, text);
	else if (timestamp2tm(time, with_zone ? &zone : nullptr, &tm, &fraction,
	                      with_zone ? &abbreviation : nullptr, nullptr) == 0)
		EncodeDateTime(&tm, fraction, with_zone, zone, abbreviation, DateStyle, text);
	else
	{
		// beyond what PostgreSQL can write
		put_text(buffer, "null");
		return;
	}
	put_quoted(buffer, text);
}

bool
is_larger(const TextWriter *writer, Datum datum, size_t bytes)
{
	return writer->is_varlena && toast_raw_datum_size(datum) > bytes;
}

// A stream must not end at a value that its type's function refuses: it is shown as null, unless it
// is large, which is the likely reason then.
void
put_output(Buffer *buffer, TextWriter *writer, Datum datum)
{
	size_t length = buffer->length;
	int session_bytea_output = bytea_output;
	int sqlstate;

	bytea_output = BYTEA_OUTPUT_HEX;
	if (succeeds([&] { put_quoted(buffer, OutputFunctionCall(&writer->function, datum)); },
	             [&] { bytea_output = session_bytea_output; }, &sqlstate))
		return;
	// what it kept between calls may be incomplete
	writer->function.fn_extra = nullptr;
	buffer_truncate(buffer, length);
	if (is_larger(writer, datum, buffer->limit - length))
		buffer_overflow(buffer);
	else
		put_text(buffer, "null");
}

} // namespace

void
text_writer_compile(TextWriter *writer, Oid shown, bool quoted_numbers)
{
	Oid base = getBaseType(shown);

	writer->kind = choose(base);
	writer->bare = shown == base;
	if (writer->kind >= TextKind::int2 && writer->kind <= TextKind::numeric && quoted_numbers)
		writer->bare = false;
	if (writer->kind == TextKind::other)
		compile_function(writer, base);
}

void
put_text_value(Buffer *buffer, TextWriter *writer, Datum datum)
{
	switch (writer->kind)
	{
		case TextKind::boolean:
			put_boolean(buffer, writer, DatumGetBool(datum));
			break;
		case TextKind::int2:
			put_integer_as(buffer, writer, DatumGetInt16(datum));
			break;
		case TextKind::int4:
			put_integer_as(buffer, writer, DatumGetInt32(datum));
			break;
		case TextKind::int8:
			put_integer_as(buffer, writer, DatumGetInt64(datum));
			break;
		case TextKind::oid:
			put_integer_as(buffer, writer, DatumGetObjectId(datum));
			break;
		case TextKind::float4:
			put_float4(buffer, writer, DatumGetFloat4(datum));
			break;
		case TextKind::float8:
			put_float8(buffer, writer, DatumGetFloat8(datum));
			break;
		case TextKind::numeric:
			put_numeric_as(buffer, writer, datum);
			break;
		case TextKind::text:
			put_varlena(buffer, datum);
			break;
		case TextKind::name:
			put_quoted(buffer, NameStr(*DatumGetName(datum)));
			break;
		case TextKind::bytea:
			put_bytea(buffer, writer, datum);
			break;
		case TextKind::uuid:
			put_uuid(buffer, datum);
			break;
		case TextKind::date:
			put_date(buffer, DatumGetDateADT(datum));
			break;
		case TextKind::timestamp:
			put_timestamp(buffer, DatumGetTimestamp(datum), false);
			break;
		case TextKind::timestamptz:
			put_timestamp(buffer, DatumGetTimestamp(datum), true);
			break;
		case TextKind::other:
			put_output(buffer, writer, datum);
			break;
	}
}

void
wal2json_put_value(Buffer *buffer, const StreamRelation *relation, Wal2jsonColumn *column,
                   const Row *row)
{
	if (unlikely(column->column->mask != nullptr))
	{
		JsonValue masked = {};

		masked_value(relation, column->column, row, &masked);
		put_json_value(buffer, &masked);
	}
	else if (row->nulls[column->index])
		put_text(buffer, "null");
	else
		put_text_value(buffer, &column->writer, row->values[column->index]);
}

uint64
wal2json_change_bytes(const StreamRelation *relation, const Change *change)
{
	return (change->row != nullptr ? row_bytes(relation, change->row) : 0) +
	       (change->old_row != nullptr ? row_bytes(relation, change->old_row) : 0);
}

} // namespace carbonite
