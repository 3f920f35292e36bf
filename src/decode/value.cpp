// Datums to JSON text. Common types are written here, without a function call and without a look at
// settings; the others by the functions of their types, under fixed settings, with errors caught: a
// stream must not end at a value that cannot be shown. PG world.

#include "decode/value.hpp"
#include "capture/fixed_settings.hpp"

namespace carbonite
{
namespace
{

// The packed form of Numeric, see json_value.cpp and numeric.c.
constexpr uint16 numeric_special = 0xC000;
constexpr uint16 numeric_short = 0x8000;
constexpr int digits_per_group = 4;

// A Numeric taken apart.
struct NumericParts
{
	bool negative;
	int scale; // digits after the point
	int weight;
	int count; // of groups
	const char *groups;
};

int16
group_at(const NumericParts *parts, int index)
{
	int16 group;

	if (index < 0 || index >= parts->count)
		return 0;
	memcpy(&group, parts->groups + (size_t) index * sizeof(group), sizeof(group));
	return group;
}

void
take_apart(const char *bytes, size_t length, NumericParts *parts)
{
	uint16 header;
	size_t header_size = sizeof(uint16);

	memcpy(&header, bytes, sizeof(header));
	if (header & numeric_short)
	{
		parts->negative = (header & 0x2000) != 0;
		parts->scale = (header & 0x1F80) >> 7;
		parts->weight = (header & 0x0040) ? (int) (header & 0x003F) - 0x40 : header & 0x003F;
	}
	else
	{
		int16 weight;

		memcpy(&weight, bytes + sizeof(header), sizeof(weight));
		header_size += sizeof(weight);
		parts->negative = (header & numeric_special) == 0x4000;
		parts->scale = header & 0x3FFF;
		parts->weight = weight;
	}
	parts->groups = bytes + header_size;
	parts->count = (int) ((length - header_size) / sizeof(int16));
}

char *
put_group(char *out, int16 group)
{
	*out++ = (char) ('0' + group / 1000);
	*out++ = (char) ('0' + group / 100 % 10);
	*out++ = (char) ('0' + group / 10 % 10);
	*out++ = (char) ('0' + group % 10);
	return out;
}

// Writes a finite numeric as numeric_out() does.
void
put_finite_numeric(Buffer *buffer, const NumericParts *parts)
{
	int integer_groups = Max(parts->weight + 1, 0);
	int fraction_groups = (parts->scale + digits_per_group - 1) / digits_per_group;
	size_t most = (size_t) (integer_groups + fraction_groups + 1) * digits_per_group + 2;
	char *out;

	if (!buffer_reserve(buffer, most))
		return;
	out = buffer->data + buffer->length;
	if (parts->negative)
		*out++ = '-';
	if (integer_groups == 0)
		*out++ = '0';
	else
	{
		char first[digits_per_group];
		int skip = 0;

		put_group(first, group_at(parts, 0));
		while (skip < digits_per_group - 1 && first[skip] == '0')
			skip++;
		memcpy(out, first + skip, (size_t) (digits_per_group - skip));
		out += digits_per_group - skip;
		for (int i = 1; i < integer_groups; i++)
			out = put_group(out, group_at(parts, i));
	}
	if (parts->scale > 0)
	{
		char *point = out;

		*out++ = '.';
		for (int i = 0; i < fraction_groups; i++)
			out = put_group(out, group_at(parts, parts->weight + 1 + i));
		out = point + 1 + parts->scale;
	}
	buffer->length = (size_t) (out - buffer->data);
}

void
put_float(Buffer *buffer, const char *text, int length)
{
	// "NaN", "Infinity", "-Infinity": no JSON numbers
	bool special = text[0] == 'N' || text[length - 1] == 'y';

	if (special)
		put_char(buffer, '"');
	put_bytes(buffer, text, (size_t) length);
	if (special)
		put_char(buffer, '"');
}

char *
put_two_digits(char *out, int number)
{
	*out++ = (char) ('0' + number / 10);
	*out++ = (char) ('0' + number % 10);
	return out;
}

// Writes the date of a Julian day if its year has four digits; nullptr if not.
char *
write_date(char *out, int julian)
{
	int year;
	int month;
	int day;

	j2date(julian, &year, &month, &day);
	if (year < 1 || year > 9999)
		return nullptr;
	out = put_two_digits(out, year / 100);
	out = put_two_digits(out, year % 100);
	*out++ = '-';
	out = put_two_digits(out, month);
	*out++ = '-';
	return put_two_digits(out, day);
}

// Writes a point in time, which has no zone; nullptr as above.
char *
write_timestamp(char *out, Timestamp time)
{
	int64 days = time / USECS_PER_DAY;
	int64 rest = time % USECS_PER_DAY;
	int seconds;
	int fraction;

	if (rest < 0)
	{
		rest += USECS_PER_DAY;
		days--;
	}
	// beyond this every year has more than four digits
	if (days < -800000 || days > 3000000)
		return nullptr;
	out = write_date(out, (int) days + POSTGRES_EPOCH_JDATE);
	if (out == nullptr)
		return nullptr;
	seconds = (int) (rest / USECS_PER_SEC);
	fraction = (int) (rest % USECS_PER_SEC);
	*out++ = 'T';
	out = put_two_digits(out, seconds / SECS_PER_HOUR);
	*out++ = ':';
	out = put_two_digits(out, seconds / SECS_PER_MINUTE % 60);
	*out++ = ':';
	out = put_two_digits(out, seconds % SECS_PER_MINUTE);
	if (fraction > 0)
	{
		char *end;

		*out++ = '.';
		for (int unit = 100000; unit > 0; unit /= 10)
			*out++ = (char) ('0' + fraction / unit % 10);
		for (end = out; end[-1] == '0'; end--)
			;
		out = end;
	}
	return out;
}

// Dates before the common era, after the year 9999, and infinities.
void
put_unusual_datetime(Buffer *buffer, Datum datum, Oid type)
{
	char text[MAXDATELEN + 1];
	int zone = 0;

	JsonEncodeDateTime(text, datum, type, type == TIMESTAMPTZOID ? &zone : nullptr);
	put_json_string(buffer, text, strlen(text));
}

void
put_datetime(Buffer *buffer, Datum datum, ValueKind kind)
{
	char text[64];
	char *out = text;

	*out++ = '"';
	if (kind == ValueKind::date)
	{
		DateADT date = DatumGetDateADT(datum);

		out = date > 3000000 || date < -800000 ? nullptr
		                                       : write_date(out, date + POSTGRES_EPOCH_JDATE);
		if (out == nullptr)
		{
			put_unusual_datetime(buffer, datum, DATEOID);
			return;
		}
	}
	else
	{
		out = write_timestamp(out, DatumGetTimestamp(datum));
		if (out == nullptr)
		{
			put_unusual_datetime(buffer, datum,
			                     kind == ValueKind::timestamp ? TIMESTAMPOID : TIMESTAMPTZOID);
			return;
		}
		if (kind == ValueKind::timestamptz)
		{
			memcpy(out, "+00:00", 6);
			out += 6;
		}
	}
	*out++ = '"';
	put_bytes(buffer, text, (size_t) (out - text));
}

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
	MemoryContext context = CurrentMemoryContext;
	size_t length = buffer->length;
	bool overflowed = buffer->overflowed;
	bool volatile done = true;

	PG_TRY();
	{
		put_converted(buffer, writer, datum);
		output_settings_restore(&session);
	}
	PG_CATCH();
	{
		output_settings_restore(&session);
		*sqlstate = geterrcode();
		if (!error_is_of_the_value(*sqlstate))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		if (!overflowed)
			buffer_truncate(buffer, length);
		done = false;
	}
	PG_END_TRY();
	return done;
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
	if (writer->kind == ValueKind::other)
		json_converter_compile(&writer->converter, type);
}

bool
put_value(Buffer *buffer, ValueWriter *writer, Datum datum, int *sqlstate)
{
	char digits[DOUBLE_SHORTEST_DECIMAL_LEN];
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
			put_float(buffer, digits,
			          float_to_shortest_decimal_bufn(DatumGetFloat4(datum), digits));
			break;
		case ValueKind::float8:
			put_float(buffer, digits,
			          double_to_shortest_decimal_bufn(DatumGetFloat8(datum), digits));
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
put_numeric(Buffer *buffer, Datum datum)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(datum);
	const char *bytes = VARDATA_ANY(packed);
	uint16 header;
	NumericParts parts;

	memcpy(&header, bytes, sizeof(header));
	if ((header & numeric_special) == numeric_special)
	{
		put_string(buffer, (header & 0xF000) == 0xC000   ? "\"NaN\""
		                   : (header & 0xF000) == 0xD000 ? "\"Infinity\""
		                                                 : "\"-Infinity\"");
		return;
	}
	take_apart(bytes, VARSIZE_ANY_EXHDR(packed), &parts);
	put_finite_numeric(buffer, &parts);
}

void
put_timestamptz(Buffer *buffer, TimestampTz time)
{
	put_datetime(buffer, TimestampTzGetDatum(time), ValueKind::timestamptz);
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
