// SQL functions that turn keys into what changes.table_pk holds. PG world.

#include "capture/plan.hpp"

SQL_FUNCTION(carbonite_record_key);
SQL_FUNCTION(carbonite_stored_key);

namespace
{

// Takes a text[] apart. It may be a varchar[] inside: the cast between them changes nothing.
void
deconstruct_texts(ArrayType *array, Datum **texts, bool **nulls, int *count)
{
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, texts, nulls, count);
}

} // namespace

// carbonite_record_key(record, key columns text[], masked boolean[]) returns the key of a row as
// capture writes it.
Datum
carbonite_record_key(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	HeapTupleHeader header = PG_GETARG_HEAPTUPLEHEADER(0);
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	HeapTupleData tuple;
	KeyColumn columns[INDEX_MAX_KEYS] = {};
	Datum *values = (Datum *) palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool *nulls = (bool *) palloc(sizeof(bool) * Max(desc->natts, 1));
	Datum *names;
	Datum *masks;
	bool *name_nulls;
	bool *mask_nulls;
	int count;
	int mask_count;
	Datum result;

	deconstruct_texts(PG_GETARG_ARRAYTYPE_P(1), &names, &name_nulls, &count);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), BOOLOID, 1, true, TYPALIGN_CHAR, &masks,
	                  &mask_nulls, &mask_count);
	if (count > INDEX_MAX_KEYS || count != mask_count)
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("give at most %d key columns, and one mask for each", INDEX_MAX_KEYS)));
	for (int i = 0; i < count; i++)
	{
		char *name = name_nulls[i] ? pstrdup("NULL") : TextDatumGetCString(names[i]);
		int attnum = SPI_fnumber(desc, name);

		if (attnum <= 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
			                errmsg("primary key column \"%s\" of the row does not exist", name)));
		key_column_compile(&columns[i], (AttrNumber) attnum, SPI_gettypeid(desc, attnum));
		columns[i].masked = !mask_nulls[i] && DatumGetBool(masks[i]);
	}
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, desc, values, nulls);
	result = key_array(columns, count, values, nulls);
	ReleaseTupleDesc(desc);
	PG_RETURN_DATUM(result);
}

// carbonite_stored_key(text[]) abbreviates a key given as texts in the way capture does.
Datum
carbonite_stored_key(PG_FUNCTION_ARGS)
{
	Datum *texts;
	bool *nulls;
	int count;

	deconstruct_texts(PG_GETARG_ARRAYTYPE_P(0), &texts, &nulls, &count);
	PG_RETURN_DATUM(carbonite::key_array_of_texts(texts, nulls, count));
}
