// Datums to JSON values, with exactly the result of PostgreSQL's to_jsonb. PG world.

#include "capture/json_value.hpp"

namespace carbonite
{
namespace
{

// The packed form of Numeric (see numeric.c): after the varlena header a 16-bit header whose top
// bits are 10 for the short form and 11 for NaN and infinities, then base-10000 digits.
constexpr uint16 numeric_short = 0x8000;
constexpr uint16 numeric_short_negative = 0x2000;
constexpr uint16 numeric_special_mask = 0xC000;
constexpr int64 numeric_base = 10000;

void
set_string(JsonValue *value, const char *bytes, size_t length)
{
	value->kind = JsonKind::string;
	value->length = (uint32) length;
	value->bytes = bytes;
}

void
set_numeric(JsonValue *value, Datum numeric)
{
	value->kind = JsonKind::numeric;
	value->bytes = DatumGetPointer(numeric);
	value->length = VARSIZE(value->bytes);
}

// Writes the short-form numeric of an integer into the value's own room.
void
set_integer(JsonValue *value, int64 integer)
{
	uint64 magnitude = integer < 0 ? 0 - (uint64) integer : (uint64) integer;
	uint16 header = integer < 0 ? numeric_short | numeric_short_negative : numeric_short;
	int16 digits[5];
	int ndigits = 0;
	int weight;
	char *out = value->room;

	for (; magnitude > 0; magnitude /= numeric_base)
		digits[ndigits++] = (int16) (magnitude % numeric_base);
	weight = ndigits > 0 ? ndigits - 1 : 0;
	header |= (uint16) weight;

	memcpy(out + VARHDRSZ, &header, sizeof(header));
	out += VARHDRSZ + sizeof(header);
	// digits[] holds the least significant first; trailing zero digits are not stored
	int last = 0;
	while (last < ndigits && digits[last] == 0)
		last++;
	for (int i = ndigits - 1; i >= last; i--, out += sizeof(int16))
		memcpy(out, &digits[i], sizeof(int16));

	value->kind = JsonKind::numeric;
	value->length = (uint32) (out - value->room);
	value->bytes = value->room;
	SET_VARSIZE(value->room, value->length);
}

// Text of a float as to_jsonb reads it: a JSON number, or a string for NaN and infinities.
void
set_float(JsonValue *value, Datum text)
{
	char *digits = DatumGetCString(text);

	if (strpbrk(digits, "Nn") != nullptr)
		set_string(value, digits, strlen(digits));
	else
		set_numeric(value, DirectFunctionCall3(numeric_in, CStringGetDatum(digits),
		                                       ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

void
convert_numeric(JsonValue *value, Datum datum)
{
	Datum numeric = NumericGetDatum(DatumGetNumeric(datum));
	uint16 header;

	memcpy(&header, DatumGetPointer(numeric) + VARHDRSZ, sizeof(header));
	if ((header & numeric_special_mask) == numeric_special_mask)
	{
		char *text = DatumGetCString(DirectFunctionCall1(numeric_out, numeric));

		set_string(value, text, strlen(text));
	}
	else
		set_numeric(value, numeric);
}

void
convert_uuid(JsonValue *value, Datum datum)
{
	static const char hex[] = "0123456789abcdef";
	const pg_uuid_t *uuid = DatumGetUUIDP(datum);
	char *text = (char *) palloc(36);
	char *out = text;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = hex[uuid->data[i] >> 4];
		*out++ = hex[uuid->data[i] & 0x0F];
	}
	set_string(value, text, 36);
}

// A scalar at the root is stored as an array of one element: what is nested is the element.
void
convert_jsonb(JsonValue *value, Jsonb *jsonb)
{
	JsonbValue scalar;

	if (!JB_ROOT_IS_SCALAR(jsonb))
	{
		value->kind = JsonKind::container;
		value->bytes = (const char *) &jsonb->root;
		value->length = VARSIZE(jsonb) - VARHDRSZ;
		return;
	}
	JsonbExtractScalar(&jsonb->root, &scalar);
	switch (scalar.type)
	{
		case jbvNull:
			value->kind = JsonKind::null;
			break;
		case jbvBool:
			value->kind = scalar.val.boolean ? JsonKind::boolean_true : JsonKind::boolean_false;
			break;
		case jbvNumeric:
			set_numeric(value, NumericGetDatum(scalar.val.numeric));
			break;
		case jbvString:
			set_string(value, scalar.val.string.val, scalar.val.string.len);
			break;
		default:
			elog(ERROR, "unexpected jsonb scalar type %d", (int) scalar.type);
	}
}

// The choice between output function, cast and structure, as to_jsonb makes it.
JsonConversion
categorize(Oid type)
{
	Oid function;

	if (OidIsValid(get_element_type(type)) || type == RECORDARRAYOID || type_is_rowtype(type))
		return JsonConversion::to_jsonb;
	if (type >= FirstNormalObjectId &&
	    find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) == COERCION_PATH_FUNC &&
	    OidIsValid(function))
		return JsonConversion::to_jsonb;
	return JsonConversion::output;
}

JsonConversion
choose(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return JsonConversion::boolean;
		case INT2OID:
			return JsonConversion::int2;
		case INT4OID:
			return JsonConversion::int4;
		case INT8OID:
			return JsonConversion::int8;
		case FLOAT4OID:
			return JsonConversion::float4;
		case FLOAT8OID:
			return JsonConversion::float8;
		case NUMERICOID:
			return JsonConversion::numeric;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return JsonConversion::text;
		case UUIDOID:
			return JsonConversion::uuid;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return JsonConversion::datetime;
		case JSONOID:
			return JsonConversion::json;
		case JSONBOID:
			return JsonConversion::jsonb;
		default:
			return categorize(type);
	}
}

// Looks up to_jsonb(type): being polymorphic, it asks its call expression for the argument's type.
void
compile_to_jsonb(FmgrInfo *function, Oid type)
{
	Node *argument = (Node *) makeNullConst(type, -1, InvalidOid);
	FuncExpr *call = makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid,
	                              InvalidOid, COERCE_EXPLICIT_CALL);

	fmgr_info(F_TO_JSONB, function);
	fmgr_info_set_expr((Node *) call, function);
}

} // namespace

void
json_converter_compile(JsonConverter *converter, Oid type)
{
	Oid output;
	bool is_varlena;

	converter->base_type = getBaseType(type);
	converter->conversion = choose(converter->base_type);
	if (converter->conversion == JsonConversion::to_jsonb)
		compile_to_jsonb(&converter->function, converter->base_type);
	else if (converter->conversion == JsonConversion::output)
	{
		getTypeOutputInfo(converter->base_type, &output, &is_varlena);
		fmgr_info(output, &converter->function);
	}
}

void
json_converter_compile_output(JsonConverter *converter, Oid type)
{
	Oid output;
	bool is_varlena;

	converter->base_type = getBaseType(type);
	converter->conversion = JsonConversion::output;
	getTypeOutputInfo(converter->base_type, &output, &is_varlena);
	fmgr_info(output, &converter->function);
}

void
json_convert(JsonConverter *converter, Datum datum, JsonValue *value)
{
	char *chars;
	struct varlena *packed;

	switch (converter->conversion)
	{
		case JsonConversion::boolean:
			value->kind = DatumGetBool(datum) ? JsonKind::boolean_true : JsonKind::boolean_false;
			return;
		case JsonConversion::int2:
			set_integer(value, DatumGetInt16(datum));
			return;
		case JsonConversion::int4:
			set_integer(value, DatumGetInt32(datum));
			return;
		case JsonConversion::int8:
			set_integer(value, DatumGetInt64(datum));
			return;
		case JsonConversion::float4:
			set_float(value, DirectFunctionCall1(float4out, datum));
			return;
		case JsonConversion::float8:
			set_float(value, DirectFunctionCall1(float8out, datum));
			return;
		case JsonConversion::numeric:
			convert_numeric(value, datum);
			return;
		case JsonConversion::text:
			packed = PG_DETOAST_DATUM_PACKED(datum);
			set_string(value, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
			return;
		case JsonConversion::uuid:
			convert_uuid(value, datum);
			return;
		case JsonConversion::datetime:
			chars = JsonEncodeDateTime((char *) palloc(MAXDATELEN + 1), datum, converter->base_type,
			                           nullptr);
			set_string(value, chars, strlen(chars));
			return;
		case JsonConversion::json:
			chars = text_to_cstring(DatumGetTextPP(datum));
			convert_jsonb(value,
			              DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(chars))));
			return;
		case JsonConversion::jsonb:
			convert_jsonb(value, DatumGetJsonbP(datum));
			return;
		case JsonConversion::to_jsonb:
			convert_jsonb(value, DatumGetJsonbP(FunctionCall1(&converter->function, datum)));
			return;
		case JsonConversion::output:
			chars = OutputFunctionCall(&converter->function, datum);
			set_string(value, chars, strlen(chars));
			return;
	}
}

bool
json_equal(const JsonValue *a, const JsonValue *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind)
	{
		case JsonKind::string:
			return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
		case JsonKind::numeric:
			return (a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0) ||
			       DatumGetBool(DirectFunctionCall2(numeric_eq, PointerGetDatum(a->bytes),
			                                        PointerGetDatum(b->bytes)));
		case JsonKind::container:
			return compareJsonbContainers((JsonbContainer *) a->bytes,
			                              (JsonbContainer *) b->bytes) == 0;
		default:
			return true;
	}
}

} // namespace carbonite
