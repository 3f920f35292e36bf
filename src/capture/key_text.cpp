// Primary keys as text that is the same in every session: ISO dates, UTC, hexadecimal bytea,
// shortest exact floats, whatever the client has set. PG world.

#include "capture/key_text.hpp"
#include "capture/digest.hpp"
#include "capture/fixed_settings.hpp"

namespace carbonite
{
namespace
{

// Types whose text never depends on a setting.
bool
is_settled(Oid type)
{
	switch (type)
	{
		case NUMERICOID:
		case UUIDOID:
		case NAMEOID:
		case CHAROID:
		case OIDOID:
		case INETOID:
		case CIDROID:
		case MACADDROID:
		case MACADDR8OID:
		case BITOID:
		case VARBITOID:
		case XID8OID:
		case JSONBOID:
			return true;
		default:
			return type_is_enum(type);
	}
}

KeyConversion
choose(Oid type, Oid *function)
{
	*function = InvalidOid;
	switch (type)
	{
		case BOOLOID:
			return KeyConversion::boolean;
		case INT2OID:
			return KeyConversion::int2;
		case INT4OID:
			return KeyConversion::int4;
		case INT8OID:
			return KeyConversion::int8;
		case TEXTOID:
		case VARCHAROID:
			return KeyConversion::text;
		default:
			break;
	}
	switch (find_coercion_pathway(TEXTOID, type, COERCION_EXPLICIT, function))
	{
		case COERCION_PATH_FUNC:
			return KeyConversion::cast;
		case COERCION_PATH_RELABELTYPE:
			return KeyConversion::text;
		default:
			return KeyConversion::output;
	}
}

Datum
varchar_of(const char *text)
{
	return PointerGetDatum(cstring_to_text(text));
}

Datum
call_function(KeyColumn *column, Datum datum)
{
	if (column->conversion == KeyConversion::output)
		return varchar_of(OutputFunctionCall(&column->function, datum));
	// A cast function may also take the target's type modifier and whether the cast is explicit.
	if (column->nargs == 1)
		return FunctionCall1(&column->function, datum);
	if (column->nargs == 2)
		return FunctionCall2(&column->function, datum, Int32GetDatum(-1));
	return FunctionCall3(&column->function, datum, Int32GetDatum(-1), BoolGetDatum(true));
}

// Calls the conversion under fixed settings; the session's are restored even by an error.
Datum
call_with_fixed_settings(KeyColumn *column, Datum datum)
{
	OutputSettings session = output_settings_fix();
	Datum volatile result = (Datum) 0;

	PG_TRY();
	{
		result = call_function(column, datum);
	}
	PG_FINALLY();
	{
		output_settings_restore(&session);
	}
	PG_END_TRY();
	return result;
}

// The most bytes a key may have: with two names of 63 bytes beside it, it fits a btree entry.
constexpr Size max_key_bytes = 2400;
// What an abbreviated element keeps of its text, so that a person recognises it.
constexpr int abbreviation_bytes = 64;

void
append_digest(StringInfo out, const char *bytes, int length)
{
	appendStringInfoString(out, "...sha256:");
	append_hex(out, sha256(bytes, length), digest_bytes);
}

// Replaces a long text by its beginning and the SHA-256 of the whole.
Datum
abbreviate(Datum text)
{
	const char *bytes = VARDATA_ANY(DatumGetPointer(text));
	int length = VARSIZE_ANY_EXHDR(DatumGetPointer(text));
	StringInfoData result;

	if (length <= abbreviation_bytes * 2)
		return text;
	initStringInfo(&result);
	appendBinaryStringInfo(&result, bytes, pg_mbcliplen(bytes, length, abbreviation_bytes));
	append_digest(&result, bytes, length);
	return PointerGetDatum(cstring_to_text_with_len(result.data, result.len));
}

Size
key_bytes(const Datum *texts, const bool *nulls, int count)
{
	Size bytes = 0;

	for (int i = 0; i < count; i++)
		bytes += nulls[i] ? 0 : VARSIZE_ANY(DatumGetPointer(texts[i])) + VARHDRSZ;
	return bytes;
}

// Builds a one-dimensional varchar[], as construct_array() would, of texts in either header form.
Datum
make_array(const Datum *texts, const bool *nulls, int count)
{
	int offset = ARR_OVERHEAD_NONULLS(1);
	Size size;
	bool has_nulls = false;
	ArrayType *array;
	char *out;

	if (count == 0)
		return PointerGetDatum(construct_empty_array(VARCHAROID));
	for (int i = 0; i < count; i++)
		has_nulls = has_nulls || nulls[i];
	if (has_nulls)
		offset = ARR_OVERHEAD_WITHNULLS(1, count);
	size = offset;
	for (int i = 0; i < count; i++)
		size += nulls[i] ? 0 : INTALIGN(VARHDRSZ + VARSIZE_ANY_EXHDR(DatumGetPointer(texts[i])));
	array = (ArrayType *) palloc0(size);
	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = has_nulls ? offset : 0;
	array->elemtype = VARCHAROID;
	ARR_DIMS(array)[0] = count;
	ARR_LBOUND(array)[0] = 1;

	out = (char *) array + offset;
	for (int i = 0; i < count; i++)
	{
		Size length = nulls[i] ? 0 : VARSIZE_ANY_EXHDR(DatumGetPointer(texts[i]));

		if (nulls[i])
			continue;
		if (has_nulls)
			ARR_NULLBITMAP(array)[i / 8] |= (bits8) (1 << (i % 8));
		SET_VARSIZE(out, VARHDRSZ + length);
		memcpy(VARDATA(out), VARDATA_ANY(DatumGetPointer(texts[i])), length);
		out += INTALIGN(VARHDRSZ + length);
	}
	return PointerGetDatum(array);
}

// The array of a key that is too long: its long texts abbreviated, or, with very many columns, one
// text that stands for the whole key.
Datum
abbreviated_array(Datum *texts, bool *nulls, int count)
{
	Datum array = make_array(texts, nulls, count);
	StringInfoData whole;
	bool not_null = false;
	Datum text;

	for (int i = 0; i < count; i++)
		texts[i] = nulls[i] ? texts[i] : abbreviate(texts[i]);
	if (key_bytes(texts, nulls, count) <= max_key_bytes)
		return make_array(texts, nulls, count);

	initStringInfo(&whole);
	append_digest(&whole, (const char *) DatumGetPointer(array) + VARHDRSZ,
	              VARSIZE(DatumGetPointer(array)) - VARHDRSZ);
	text = PointerGetDatum(cstring_to_text_with_len(whole.data, whole.len));
	return make_array(&text, &not_null, 1);
}

} // namespace

void
key_column_compile(KeyColumn *column, AttrNumber attnum, Oid type)
{
	Oid base_type = getBaseType(type);
	Oid function;
	bool is_varlena;

	column->attnum = attnum;
	column->conversion = choose(base_type, &function);
	if (column->conversion == KeyConversion::output)
		getTypeOutputInfo(base_type, &function, &is_varlena);
	if (!OidIsValid(function))
		return;
	fmgr_info(function, &column->function);
	column->nargs = column->function.fn_nargs;
	column->needs_fixed_settings = !is_settled(base_type);
}

void
key_column_compile_output(KeyColumn *column, Oid type)
{
	Oid function;
	bool is_varlena;

	column->conversion = KeyConversion::output;
	column->needs_fixed_settings = true;
	getTypeOutputInfo(getBaseType(type), &function, &is_varlena);
	fmgr_info(function, &column->function);
}

Datum
key_column_text(KeyColumn *column, Datum datum)
{
	char digits[MAXINT8LEN + 1];

	switch (column->conversion)
	{
		case KeyConversion::boolean:
			return varchar_of(DatumGetBool(datum) ? "true" : "false");
		case KeyConversion::int2:
			pg_ltoa(DatumGetInt16(datum), digits);
			return varchar_of(digits);
		case KeyConversion::int4:
			pg_ltoa(DatumGetInt32(datum), digits);
			return varchar_of(digits);
		case KeyConversion::int8:
			pg_lltoa(DatumGetInt64(datum), digits);
			return varchar_of(digits);
		case KeyConversion::text:
			return PointerGetDatum(PG_DETOAST_DATUM_PACKED(datum));
		default:
			return column->needs_fixed_settings ? call_with_fixed_settings(column, datum)
			                                    : call_function(column, datum);
	}
}

Datum
key_array_of_texts(Datum *texts, bool *nulls, int count)
{
	if (unlikely(key_bytes(texts, nulls, count) > max_key_bytes))
		return abbreviated_array(texts, nulls, count);
	return make_array(texts, nulls, count);
}

Datum
key_array(const KeyColumn *columns, int ncolumns, const Datum *values, const bool *nulls)
{
	Datum texts[INDEX_MAX_KEYS];
	bool text_nulls[INDEX_MAX_KEYS];

	for (int i = 0; i < ncolumns; i++)
	{
		int index = columns[i].attnum - 1;

		text_nulls[i] = nulls[index] && !columns[i].masked;
		if (columns[i].masked)
			texts[i] = varchar_of(mask_text);
		else if (!nulls[index])
			texts[i] = key_column_text(const_cast<KeyColumn *>(&columns[i]), values[index]);
	}
	return key_array_of_texts(texts, text_nulls, ncolumns);
}

} // namespace carbonite
