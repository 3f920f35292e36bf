// Datums to JSON text. Common types are written here, without a function call and without a look at
// settings; the others by the functions of their types, under fixed settings, with errors caught: a
// stream must not end at a value that cannot be shown. PG world.

#include "decode/value.hpp"
#include "capture/fixed_settings.hpp"
#include "caught.hpp"
#include "decode/user_code.hpp"

namespace carbonite
{
namespace
{

void
put_uuid(Buffer *buffer, Datum datum)
{
	const char *bytes = (const char *) DatumGetUUIDP(datum)->data;

	put_char(buffer, '"');
	for (int i = 0; i < UUID_LEN; i += 2)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			put_char(buffer, '-');
		put_hex(buffer, bytes + i, 2);
	}
	put_char(buffer, '"');
}

void
put_bytea(Buffer *buffer, Datum datum)
{
	bytea *bytes = DatumGetByteaPP(datum);

	put_text(buffer, "\"\\\\x");
	put_hex(buffer, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	put_char(buffer, '"');
}

void
put_jsonb_scalar(Buffer *buffer, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			put_text(buffer, "null");
			break;
		case jbvBool:
			put_string(buffer, value->val.boolean ? "true" : "false");
			break;
		case jbvNumeric:
			put_numeric(buffer, NumericGetDatum(value->val.numeric));
			break;
		case jbvString:
			put_unicode_string(buffer, value->val.string.val, (size_t) value->val.string.len);
			break;
		default:
			elog(ERROR, "unexpected jsonb scalar type %d", (int) value->type);
	}
}

bool
is_json_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Puts a value by the functions of its type.
void
put_converted(Buffer *buffer, ValueWriter *writer, Datum datum)
{
	JsonValue value = {};

	json_convert(&writer->converter, datum, &value);
	put_json_value(buffer, &value);
}

bool
put_guarded(Buffer *buffer, ValueWriter *writer, Datum datum, int *sqlstate)
{
	OutputSettings session = output_settings_fix();
	size_t length = buffer->length;
	bool overflowed = buffer->overflowed;
	bool done = succeeds([&] { put_converted(buffer, writer, datum); },
	                     [&] { output_settings_restore(&session); }, sqlstate);

	if (done)
		return true;
	// what the function kept between calls may be incomplete
	writer->converter.function.fn_extra = nullptr;
	if (!overflowed)
		buffer_truncate(buffer, length);
	return false;
}

ValueKind
choose(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return ValueKind::boolean;
		case INT2OID:
			return ValueKind::int2;
		case INT4OID:
			return ValueKind::int4;
		case INT8OID:
			return ValueKind::int8;
		case FLOAT4OID:
			return ValueKind::float4;
		case FLOAT8OID:
			return ValueKind::float8;
		case NUMERICOID:
			return ValueKind::numeric;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return ValueKind::text;
		case BYTEAOID:
			return ValueKind::bytea;
		case UUIDOID:
			return ValueKind::uuid;
		case DATEOID:
			return ValueKind::date;
		case TIMESTAMPOID:
			return ValueKind::timestamp;
		case TIMESTAMPTZOID:
			return ValueKind::timestamptz;
		case JSONOID:
			return ValueKind::json;
		case JSONBOID:
			return ValueKind::jsonb;
		default:
			return ValueKind::other;
	}
}

} // namespace

void
value_writer_compile(ValueWriter *writer, Oid type)
{
	writer->kind = choose(getBaseType(type));
	if (writer->kind != ValueKind::other)
		return;
	if (casts_to_json_by_user_code(type))
		json_converter_compile_output(&writer->converter, type);
	else
		json_converter_compile(&writer->converter, type);
}

bool
put_value(Buffer *buffer, ValueWriter *writer, Datum datum, int *sqlstate)
{
	struct varlena *packed;

	switch (writer->kind)
	{
		case ValueKind::boolean:
			put_string(buffer, DatumGetBool(datum) ? "true" : "false");
			break;
		case ValueKind::int2:
			put_integer(buffer, DatumGetInt16(datum));
			break;
		case ValueKind::int4:
			put_integer(buffer, DatumGetInt32(datum));
			break;
		case ValueKind::int8:
			put_integer(buffer, DatumGetInt64(datum));
			break;
		case ValueKind::float4:
			put_float4(buffer, DatumGetFloat4(datum));
			break;
		case ValueKind::float8:
			put_float8(buffer, DatumGetFloat8(datum));
			break;
		case ValueKind::numeric:
			put_numeric(buffer, datum);
			break;
		case ValueKind::text:
			packed = PG_DETOAST_DATUM_PACKED(datum);
			put_unicode_string(buffer, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
			break;
		case ValueKind::bytea:
			put_bytea(buffer, datum);
			break;
		case ValueKind::uuid:
			put_uuid(buffer, datum);
			break;
		case ValueKind::date:
		case ValueKind::timestamp:
		case ValueKind::timestamptz:
			put_datetime(buffer, datum, writer->kind);
			break;
		case ValueKind::json:
			packed = PG_DETOAST_DATUM_PACKED(datum);
			put_compact_json(buffer, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
			break;
		case ValueKind::jsonb:
			put_jsonb(buffer, &DatumGetJsonbP(datum)->root);
			break;
		case ValueKind::other:
			return put_guarded(buffer, writer, datum, sqlstate);
	}
	return true;
}

void
put_json_value(Buffer *buffer, const JsonValue *value)
{
	switch (value->kind)
	{
		case JsonKind::unset:
		case JsonKind::null:
			put_text(buffer, "null");
			break;
		case JsonKind::boolean_false:
			put_text(buffer, "false");
			break;
		case JsonKind::boolean_true:
			put_text(buffer, "true");
			break;
		case JsonKind::string:
			put_unicode_string(buffer, value->bytes, value->length);
			break;
		case JsonKind::numeric:
			put_numeric(buffer, PointerGetDatum(value->bytes));
			break;
		case JsonKind::container:
			put_jsonb(buffer, (JsonbContainer *) value->bytes);
			break;
	}
}

void
put_jsonb(Buffer *buffer, JsonbContainer *container)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbValue value;
	JsonbIteratorToken token;
	bool first = true;
	bool raw = false;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				raw = value.val.array.rawScalar;
				if (!first)
					put_char(buffer, ',');
				if (!raw)
					put_char(buffer, '[');
				first = true;
				break;
			case WJB_BEGIN_OBJECT:
				if (!first)
					put_char(buffer, ',');
				put_char(buffer, '{');
				first = true;
				break;
			case WJB_KEY:
				if (!first)
					put_char(buffer, ',');
				put_jsonb_scalar(buffer, &value);
				put_char(buffer, ':');
				first = true; // no comma before the value
				break;
			case WJB_VALUE:
				put_jsonb_scalar(buffer, &value);
				first = false;
				break;
			case WJB_ELEM:
				if (!first)
					put_char(buffer, ',');
				put_jsonb_scalar(buffer, &value);
				first = false;
				break;
			case WJB_END_ARRAY:
				if (!raw)
					put_char(buffer, ']');
				first = false;
				break;
			case WJB_END_OBJECT:
				put_char(buffer, '}');
				first = false;
				break;
			default:
				elog(ERROR, "unexpected jsonb token %d", (int) token);
		}
	}
}

void
put_compact_json(Buffer *buffer, const char *json, size_t length)
{
	const char *end = json + length;
	bool in_string = false;

	while (json < end)
	{
		const char *begin = json;

		for (; json < end && (in_string || !is_json_space(*json)); json++)
			if (*json == '"')
				in_string = !in_string;
			else if (*json == '\\' && json + 1 < end)
				json++;
		put_unicode_json(buffer, begin, (size_t) (json - begin));
		while (json < end && is_json_space(*json))
			json++;
	}
}

} // namespace carbonite
