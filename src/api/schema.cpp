// Creating the C functions of a prefix. LANGUAGE C is for superusers only, a prefix is for anybody
// who may create a schema: so the functions, whose bodies are fixed here, are created with the
// rights of the extension's owner and then given to the owner of the schema. PG world.

#include "owner.hpp"

SQL_FUNCTION(carbonite_create_capture_functions);

namespace carbonite
{
namespace
{

// Owner and library of an SQL function of the extension.
void
function_facts(Oid function, Oid *owner, char **library)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool isnull;
	Datum datum;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	*owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);
	if (isnull)
		elog(ERROR, "function %u has no library", function);
	*library = TextDatumGetCString(datum);
	ReleaseSysCache(tuple);
}

void
execute(const char *sql)
{
	if (SPI_execute(sql, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "unexpected result of: %s", sql);
}

void
create_trigger_function(const char *schema, const char *name, const char *library, Oid owner)
{
	const char *function = quote_qualified_identifier(schema, name);

	execute(
		psprintf("CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE c AS %s, 'carbonite_%s'",
	             function, quote_literal_cstr(library), name));
	execute(psprintf("ALTER FUNCTION %s() DEPENDS ON EXTENSION carbonite", function));
	execute(psprintf("ALTER FUNCTION %s() OWNER TO %s", function,
	                 quote_identifier(GetUserNameFromId(owner, false))));
}

} // namespace
} // namespace carbonite

// carbonite_create_capture_functions creates capture_changes() and set_transaction_id() in a schema
// that the caller owns.
Datum
carbonite_create_capture_functions(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	Oid schema = PG_GETARG_OID(0);
	char *name = get_namespace_name(schema);
	Oid caller = GetUserId();
	Oid owner;
	char *library;
	OwnerScope scope;

	if (name == nullptr)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("schema does not exist")));
	if (!owns_schema(schema, caller))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_SCHEMA, name);
	function_facts(fcinfo->flinfo->fn_oid, &owner, &library);

	SPI_connect();
	become_owner(&scope, owner);
	create_trigger_function(name, "capture_changes", library, caller);
	create_trigger_function(name, "set_transaction_id", library, caller);
	become_caller(&scope);
	SPI_finish();
	PG_RETURN_VOID();
}
