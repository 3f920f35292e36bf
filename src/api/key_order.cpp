// The order of keys in the history index: the operator class carbonite.key_ops. PG world.
//
// Any total order that agrees with the = of arrays serves to find a key, as in text_pattern_ops.
// This one compares bytes, shorter arrays first, which takes a tenth of the time that the order of
// array_ops takes. It also puts decimal numbers of a sequence in their order, so that the entries
// of a table that grows go to the end of their part of the index.

#include "pg.hpp"

SQL_FUNCTION(carbonite_compare_keys);
SQL_FUNCTION(carbonite_equal_keys_look_equal);

namespace carbonite
{
namespace
{

// With such a collation texts are equal if their bytes are.
bool
is_deterministic(Oid collation)
{
	return collation == C_COLLATION_OID ||
	       (OidIsValid(collation) && get_collation_isdeterministic(collation));
}

bool
has_texts(ArrayType *array)
{
	return ARR_ELEMTYPE(array) == VARCHAROID || ARR_ELEMTYPE(array) == TEXTOID;
}

// An array that has no nulls, but a bitmap that could tell of them, equals one without bitmap.
ArrayType *
without_idle_bitmap(ArrayType *array)
{
	Datum *elements;
	bool *nulls;
	int count;

	if (!ARR_HASNULL(array) || array_contains_nulls(array))
		return array;
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &elements, &nulls,
	                  &count);
	return construct_md_array(elements, nullptr, ARR_NDIM(array), ARR_DIMS(array),
	                          ARR_LBOUND(array), ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT);
}

// The element type is left out: a text[] that was cast to varchar[] may or may not tell.
int32
compare_bytes(ArrayType *a, ArrayType *b)
{
	int32 difference;

	a = without_idle_bitmap(a);
	b = without_idle_bitmap(b);
	difference = (int32) VARSIZE(a) - (int32) VARSIZE(b);
	if (difference == 0)
		difference = ARR_NDIM(a) - ARR_NDIM(b);
	if (difference == 0)
		difference = a->dataoffset - b->dataoffset;
	if (difference == 0)
		difference = memcmp(ARR_DIMS(a), ARR_DIMS(b), VARSIZE(a) - sizeof(ArrayType));
	return difference;
}

} // namespace
} // namespace carbonite

// carbonite_compare_keys returns a number below, equal to or above 0.
Datum
carbonite_compare_keys(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	ArrayType *a = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType *b = PG_GETARG_ARRAYTYPE_P(1);
	int32 result;

	if (unlikely(!has_texts(a) || !has_texts(b) || !is_deterministic(PG_GET_COLLATION())))
		return btarraycmp(fcinfo);
	result = compare_bytes(a, b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_INT32(result);
}

// carbonite_equal_keys_look_equal lets btrees store equal keys once.
Datum
carbonite_equal_keys_look_equal(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(carbonite::is_deterministic(PG_GET_COLLATION()));
}
