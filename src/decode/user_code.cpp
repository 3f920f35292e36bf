// What types' casts are made of. PG world.

#include "decode/user_code.hpp"

namespace carbonite
{
namespace
{

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

bool
any_column_casts(Oid relid)
{
	Relation rel = OidIsValid(relid) ? RelationIdGetRelation(relid) : nullptr;
	bool result = false;

	if (rel == nullptr)
		return true;
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);

		result = result || (!att->attisdropped && casts_to_json_by_user_code(att->atttypid));
	}
	RelationClose(rel);
	return result;
}

} // namespace

bool
casts_to_json_by_user_code(Oid type)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	check_stack_depth();
	if (OidIsValid(element))
		return casts_to_json_by_user_code(element);
	// an anonymous record may have columns of any type
	if (base == RECORDOID || base == RECORDARRAYOID)
		return true;
	if (type_is_rowtype(base))
		return any_column_casts(get_typ_typrelid(base));
	return has_user_cast(base);
}

void
avoid_user_code(KeyColumn *column, Oid type)
{
	if (column->conversion == KeyConversion::cast && is_user_code(column->function.fn_oid))
		key_column_compile_output(column, type);
}

} // namespace carbonite
