// Values as Debezium shows them in JSON without schemas. What it leaves out, types that it does not
// know, is shown as text. PG world.

#include "caught.hpp"
#include "capture/fixed_settings.hpp"
#include "decode/debezium.hpp"

namespace carbonite
{
namespace
{

constexpr char hstore_name[] = "hstore";

// Arrays of these have a placeholder of numbers.
bool
is_whole_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == OIDOID ||
	       type == DATEOID;
}

bool
is_hstore(Oid type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;
	bool result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_type) GETSTRUCT(tuple);
	result = form->typtype == TYPTYPE_BASE && strcmp(NameStr(form->typname), hstore_name) == 0;
	ReleaseSysCache(tuple);
	return result;
}

DebeziumKind
choose(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case UUIDOID:
			return DebeziumKind::plain;
		case OIDOID:
			return DebeziumKind::oid;
		case NUMERICOID:
			return DebeziumKind::numeric;
		case CASHOID:
			return DebeziumKind::money;
		case BYTEAOID:
			return DebeziumKind::bytea;
		case BITOID:
		case VARBITOID:
			return DebeziumKind::bit;
		case DATEOID:
			return DebeziumKind::date;
		case TIMEOID:
			return DebeziumKind::time;
		case TIMETZOID:
			return DebeziumKind::timetz;
		case TIMESTAMPOID:
			return DebeziumKind::timestamp;
		case TIMESTAMPTZOID:
			return DebeziumKind::timestamptz;
		case INTERVALOID:
			return DebeziumKind::interval;
		case POINTOID:
			return DebeziumKind::point;
		default:
			if (OidIsValid(get_element_type(type)))
				return DebeziumKind::array;
			return type >= FirstNormalObjectId && is_hstore(type) ? DebeziumKind::hstore
			                                                      : DebeziumKind::text;
	}
}

// Takes one string of an hstore's text, in quotes; null if there is none. *text moves behind it.
const char *
take_quoted(const char **text, size_t *length)
{
	const char *in = *text;
	char *string;
	char *out;

	if (*in++ != '"')
		return nullptr;
	string = (char *) palloc(strlen(in) + 1);
	for (out = string; *in != '"'; in++)
	{
		if (*in == '\\')
			in++;
		if (*in == '\0')
			return nullptr;
		*out++ = *in;
	}
	*text = in + 1;
	*length = (size_t) (out - string);
	return string;
}

// Puts an hstore's text as a JSON object; false if it is not such a text.
bool
put_pairs(Buffer *buffer, const char *text)
{
	bool first = true;

	put_char(buffer, '{');
	while (*text != '\0')
	{
		size_t length;
		const char *string;

		if (!first && (*text++ != ',' || *text++ != ' '))
			return false;
		string = take_quoted(&text, &length);
		if (string == nullptr || strncmp(text, "=>", 2) != 0)
			return false;
		text += 2;
		if (!first)
			put_char(buffer, ',');
		first = false;
		put_unicode_string(buffer, string, length);
		put_char(buffer, ':');
		if (strncmp(text, "NULL", 4) == 0)
		{
			put_text(buffer, "null");
			text += 4;
			continue;
		}
		string = take_quoted(&text, &length);
		if (string == nullptr)
			return false;
		put_unicode_string(buffer, string, length);
	}
	put_char(buffer, '}');
	return true;
}

void
put_hstore(Buffer *buffer, const DebeziumModes *modes, const char *text)
{
	Buffer object;

	buffer_init(&object, CurrentMemoryContext, MaxAllocSize);
	if (!put_pairs(&object, text))
		put_unicode_string(buffer, text, strlen(text));
	else if (object.overflowed)
		buffer_overflow(buffer);
	else if (modes->hstore_as_map)
		put_bytes(buffer, object.data, object.length);
	else
		put_json_string(buffer, object.data, object.length);
}

void put_element(Buffer *buffer, DebeziumWriter *writer, Datum datum);

// Puts one dimension of an array, and those below it.
void
put_dimension(Buffer *buffer, DebeziumWriter *element, const ArrayType *array, int dimension,
              const Datum **values, const bool **nulls)
{
	put_char(buffer, '[');
	for (int i = 0; i < ARR_DIMS(array)[dimension] && !buffer->overflowed; i++)
	{
		if (i > 0)
			put_char(buffer, ',');
		if (dimension + 1 < ARR_NDIM(array))
		{
			put_dimension(buffer, element, array, dimension + 1, values, nulls);
			continue;
		}
		if (**nulls)
			put_text(buffer, "null");
		else
			put_element(buffer, element, **values);
		(*values)++;
		(*nulls)++;
	}
	put_char(buffer, ']');
}

void
put_array(Buffer *buffer, DebeziumWriter *writer, Datum datum)
{
	ArrayType *array = DatumGetArrayTypeP(datum);
	DebeziumWriter *element = writer->element;
	Datum *values;
	bool *nulls;
	int count;
	const Datum *next_value;
	const bool *next_null;

	deconstruct_array(array, ARR_ELEMTYPE(array), element->length, element->by_value,
	                  element->alignment, &values, &nulls, &count);
	next_value = values;
	next_null = nulls;
	if (count == 0)
		put_text(buffer, "[]");
	else
		put_dimension(buffer, element, array, 0, &next_value, &next_null);
}

// Puts what needs functions of types, which may fail.
void
put_by_function(Buffer *buffer, DebeziumWriter *writer, Datum datum)
{
	char *text;

	switch (writer->kind)
	{
		case DebeziumKind::money:
			debezium_put_numeric(buffer, writer->modes->decimals, true,
			                     DirectFunctionCall1(cash_numeric, datum));
			break;
		case DebeziumKind::array:
			put_array(buffer, writer, datum);
			break;
		case DebeziumKind::hstore:
			put_hstore(buffer, writer->modes, OutputFunctionCall(&writer->output, datum));
			break;
		default:
			text = OutputFunctionCall(&writer->output, datum);
			put_unicode_string(buffer, text, strlen(text));
	}
}

// Puts what needs no function of a type.
void
put_directly(Buffer *buffer, DebeziumWriter *writer, Datum datum)
{
	const DebeziumModes *modes = writer->modes;
	bytea *bytes;
	int sqlstate;

	switch (writer->kind)
	{
		case DebeziumKind::oid:
			put_unsigned(buffer, DatumGetObjectId(datum));
			break;
		case DebeziumKind::numeric:
			debezium_put_numeric(buffer, modes->decimals, writer->typmod >= 0, datum);
			break;
		case DebeziumKind::bytea:
			bytes = DatumGetByteaPP(datum);
			debezium_put_binary(buffer, modes->binaries, VARDATA_ANY(bytes),
			                    VARSIZE_ANY_EXHDR(bytes));
			break;
		case DebeziumKind::bit:
			debezium_put_bits(buffer, writer->typmod, datum);
			break;
		case DebeziumKind::date:
			debezium_put_date(buffer, modes->times, DatumGetDateADT(datum));
			break;
		case DebeziumKind::time:
			debezium_put_time(buffer, modes->times, writer->typmod, DatumGetTimeADT(datum));
			break;
		case DebeziumKind::timetz:
			debezium_put_timetz(buffer, DatumGetTimeTzADTP(datum));
			break;
		case DebeziumKind::timestamp:
			debezium_put_timestamp(buffer, modes->times, writer->typmod, DatumGetTimestamp(datum));
			break;
		case DebeziumKind::timestamptz:
			debezium_put_timestamptz(buffer, writer->typmod, DatumGetTimestampTz(datum));
			break;
		case DebeziumKind::interval:
			debezium_put_interval(buffer, modes->interval_as_text, DatumGetIntervalP(datum));
			break;
		case DebeziumKind::point:
			debezium_put_point(buffer, datum);
			break;
		default:
			put_value(buffer, &writer->plain, datum, &sqlstate);
	}
}

void
put_element(Buffer *buffer, DebeziumWriter *writer, Datum datum)
{
	if (writer->guarded)
		put_by_function(buffer, writer, datum);
	else
		put_directly(buffer, writer, datum);
}

// What functions keep between their calls may be incomplete after an error.
void
forget_calls(DebeziumWriter *writer)
{
	for (; writer != nullptr; writer = writer->element)
		writer->output.fn_extra = nullptr;
}

} // namespace

void
debezium_writer_compile(DebeziumWriter *writer, const DebeziumModes *modes, Oid type, int32 typmod)
{
	Oid function;
	bool is_varlena;

	*writer = DebeziumWriter{};
	get_typlenbyvalalign(type, &writer->length, &writer->by_value, &writer->alignment);
	writer->typmod = typmod;
	writer->type = getBaseTypeAndTypmod(type, &writer->typmod);
	writer->modes = modes;
	writer->kind = choose(writer->type);
	switch (writer->kind)
	{
		case DebeziumKind::plain:
			value_writer_compile(&writer->plain, writer->type);
			break;
		case DebeziumKind::array:
			writer->guarded = true;
			writer->element = (DebeziumWriter *) palloc(sizeof(DebeziumWriter));
			debezium_writer_compile(writer->element, modes, get_element_type(writer->type),
			                        writer->typmod);
			break;
		case DebeziumKind::text:
		case DebeziumKind::hstore:
			writer->guarded = true;
			getTypeOutputInfo(writer->type, &function, &is_varlena);
			fmgr_info(function, &writer->output);
			break;
		case DebeziumKind::money:
			writer->guarded = true;
			break;
		default:
			break;
	}
}

bool
debezium_put_value(Buffer *buffer, DebeziumWriter *writer, Datum datum, int *sqlstate)
{
	OutputSettings session;
	size_t length = buffer->length;
	bool overflowed = buffer->overflowed;

	if (!writer->guarded)
	{
		put_directly(buffer, writer, datum);
		return true;
	}
	session = output_settings_fix();
	if (succeeds([&] { put_by_function(buffer, writer, datum); },
	             [&] { output_settings_restore(&session); }, sqlstate))
		return true;
	forget_calls(writer);
	if (!overflowed)
		buffer_truncate(buffer, length);
	return false;
}

void
debezium_put_placeholder(Buffer *buffer, const DebeziumWriter *writer)
{
	const DebeziumModes *modes = writer->modes;
	const char *text = modes->placeholder;
	size_t length = modes->placeholder_length;

	if (writer->kind == DebeziumKind::bytea && modes->binaries == BinaryMode::bytes)
		debezium_put_binary(buffer, modes->binaries, text, length);
	else if (writer->kind == DebeziumKind::hstore)
	{
		Buffer object;

		buffer_init(&object, CurrentMemoryContext, MaxAllocSize);
		put_char(&object, '{');
		put_unicode_string(&object, text, length);
		put_char(&object, ':');
		put_unicode_string(&object, text, length);
		put_char(&object, '}');
		if (modes->hstore_as_map)
			put_bytes(buffer, object.data, object.length);
		else
			put_json_string(buffer, object.data, object.length);
	}
	else if (writer->kind == DebeziumKind::array && is_whole_number(writer->element->type))
	{
		for (size_t i = 0; i < length; i++)
		{
			put_char(buffer, i == 0 ? '[' : ',');
			put_integer(buffer, (signed char) text[i]);
		}
		put_string(buffer, length == 0 ? "[]" : "]");
	}
	else
	{
		if (writer->kind == DebeziumKind::array)
			put_char(buffer, '[');
		put_unicode_string(buffer, text, length);
		if (writer->kind == DebeziumKind::array)
			put_char(buffer, ']');
	}
}

} // namespace carbonite
