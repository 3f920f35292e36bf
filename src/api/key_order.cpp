// The order of keys in the history index: the operator class carbonite.key_ops. PG world.
//
// Any total order that agrees with the = of arrays serves to find a key, as in text_pattern_ops.
// This one compares bytes, shorter arrays first, which is much cheaper than the order of array_ops.
// It also puts decimal numbers of a sequence in their order, so that the entries of a table that
// grows go to the end of their part of the index.

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

// An array as it is stored, maybe with a short header and so unaligned.
struct KeyBytes
{
	const char *bytes; // of an ArrayType, behind its length
	int length;
	int32 ndim;
	int32 data_offset; // 0: no nulls
	Oid element_type;
};

KeyBytes
key_bytes(struct varlena *array)
{
	KeyBytes key;

	key.bytes = VARDATA_ANY(array);
	key.length = (int) VARSIZE_ANY_EXHDR(array);
	memcpy(&key.ndim, key.bytes, sizeof(int32));
	memcpy(&key.data_offset, key.bytes + sizeof(int32), sizeof(int32));
	memcpy(&key.element_type, key.bytes + 2 * sizeof(int32), sizeof(Oid));
	return key;
}

bool
has_texts(const KeyBytes *key)
{
	return key->element_type == VARCHAROID || key->element_type == TEXTOID;
}

// An array that has no nulls, but a bitmap that could tell of them, equals one without bitmap.
KeyBytes
without_idle_bitmap(struct varlena *stored)
{
	ArrayType *array = DatumGetArrayTypeP(PointerGetDatum(stored));
	Datum *elements;
	bool *nulls;
	int count;

	if (array_contains_nulls(array))
		return key_bytes((struct varlena *) array);
	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &elements, &nulls,
	                  &count);
	array = construct_md_array(elements, nullptr, ARR_NDIM(array), ARR_DIMS(array),
	                           ARR_LBOUND(array), ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT);
	return key_bytes((struct varlena *) array);
}

// The element type is left out: a text[] that was cast to varchar[] may or may not tell.
int32
compare_bytes(const KeyBytes *a, const KeyBytes *b)
{
	constexpr int begin = 2 * sizeof(int32) + sizeof(Oid);
	int32 difference = a->length - b->length;

	if (difference == 0)
		difference = a->ndim - b->ndim;
	if (difference == 0)
		difference = a->data_offset - b->data_offset;
	if (difference == 0)
		difference = memcmp(a->bytes + begin, b->bytes + begin, a->length - begin);
	return difference;
}

} // namespace
} // namespace carbonite

// carbonite_compare_keys returns a number below, equal to or above 0.
Datum
carbonite_compare_keys(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	struct varlena *a = PG_GETARG_VARLENA_PP(0);
	struct varlena *b = PG_GETARG_VARLENA_PP(1);
	KeyBytes x = key_bytes(a);
	KeyBytes y = key_bytes(b);
	int32 result;

	if (unlikely(!has_texts(&x) || !has_texts(&y) || !is_deterministic(PG_GET_COLLATION())))
		return btarraycmp(fcinfo);
	if (unlikely(x.data_offset != 0))
		x = without_idle_bitmap(a);
	if (unlikely(y.data_offset != 0))
		y = without_idle_bitmap(b);
	result = compare_bytes(&x, &y);
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
