// What types' casts are made of. PG world.

#include "decode/user_code.hpp"

namespace carbonite
{
namespace
{

// Also bounds how deep the search goes.
constexpr int most_types = 2000;

// Functions in C are created by superusers.
bool
is_user_code(Oid function)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid language;

	if (!HeapTupleIsValid(tuple))
		return true;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	return language != INTERNALlanguageId && language != ClanguageId;
}

bool
has_user_cast(Oid type)
{
	Oid function = InvalidOid;

	return type >= FirstNormalObjectId &&
	       find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &function) ==
	           COERCION_PATH_FUNC &&
	       OidIsValid(function) && is_user_code(function);
}

bool casts(Oid type, int *budget);

bool
any_column_casts(Oid relid, int *budget)
{
	Relation rel = OidIsValid(relid) ? RelationIdGetRelation(relid) : nullptr;
	bool result = rel == nullptr;

	for (int i = 0; rel != nullptr && !result && i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		result = !att->attisdropped && casts(att->atttypid, budget);
	}
	if (rel != nullptr)
		RelationClose(rel);
	return result;
}

// Looks at a type and those it is made of, as long as there is a budget: types that nest can be
// made to have any number of parts.
bool
casts(Oid type, int *budget)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	if (--*budget < 0)
		return true;
	if (OidIsValid(element))
		return casts(element, budget);
	// an anonymous record may have columns of any type
	if (base == RECORDOID || base == RECORDARRAYOID)
		return true;
	if (type_is_rowtype(base))
		return any_column_casts(get_typ_typrelid(base), budget);
	return has_user_cast(base);
}

} // namespace

bool
casts_to_json_by_user_code(Oid type)
{
	int budget = most_types;

	return casts(type, &budget);
}

void
avoid_user_code(KeyColumn *column, Oid type)
{
	if (column->conversion == KeyConversion::cast && is_user_code(column->function.fn_oid))
		key_column_compile_output(column, type);
}

} // namespace carbonite
