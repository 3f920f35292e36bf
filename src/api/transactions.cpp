// SQL functions on the current transaction's row. They act as the owner of the prefix, so that a
// writer needs no privilege there but the one that insert_transaction() asks for.
// PG world.

#include "capture/context.hpp"
#include "capture/guard.hpp"
#include "capture/transaction.hpp"
#include "owner.hpp"

SQL_FUNCTION(carbonite_insert_transaction);
SQL_FUNCTION(carbonite_current_transaction);
SQL_FUNCTION(carbonite_delete_transaction_if_empty);
SQL_FUNCTION(carbonite_meta);

namespace carbonite
{
namespace
{

PrefixEntry *
prefix_argument(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
		                errmsg("carbonite_prefix must not be null")));
	return prefix_by_name(text_to_cstring(PG_GETARG_TEXT_PP(argument)));
}

// Runs a statement as the owner of the prefix; its parameters are the id and xact_id of the current
// transaction.
void
execute_as_owner(const Prefix *prefix, const char *sql, const CurrentTransaction *current)
{
	Oid types[2] = {INT8OID, XID8OID};
	Datum values[2] = {Int64GetDatum(current->id), FullTransactionIdGetDatum(current->xact_id)};
	OwnerScope scope;
	int result;

	become_owner(&scope, prefix->owner);
	result = SPI_execute_with_args(sql, 2, types, values, nullptr, false, 0);
	if (result < 0)
		elog(ERROR, "carbonite could not run a statement: %s", SPI_result_code_string(result));
	become_caller(&scope);
}

// A row of transactions as a datum of the function's result type.
Datum
form_row(FunctionCallInfo fcinfo, const Datum *values, const bool *nulls)
{
	TupleDesc desc;

	if (get_call_result_type(fcinfo, nullptr, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), const_cast<Datum *>(values),
	                                         const_cast<bool *>(nulls)));
}

// Errors: 42501 unless the caller may use the schema of a prefix and insert into transactions.meta.
void
require_writer(Oid schema, const Prefix *prefix)
{
	AttrNumber meta = prefix->transactions.attnums[transaction_meta];

	require_schema_usage(schema, prefix->name);
	if (pg_class_aclcheck(prefix->transactions.relid, GetUserId(), ACL_INSERT) != ACLCHECK_OK &&
	    pg_attribute_aclcheck(prefix->transactions.relid, meta, GetUserId(), ACL_INSERT) !=
	        ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("permission denied for table %s.transactions", prefix->name),
		                errhint("Its owner can give it with carbonite.grant_writer().")));
}

// A transaction without an xid has written nothing, so it has no row either.
bool
find_current(PrefixEntry *entry, const Prefix *prefix, CurrentTransaction *current)
{
	return FullTransactionIdIsValid(GetTopFullTransactionIdIfAny()) &&
	       current_transaction(entry, prefix, current);
}

} // namespace
} // namespace carbonite

// carbonite_insert_transaction inserts the current transaction's row, or returns the one there is.
Datum
carbonite_insert_transaction(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	PrefixEntry *entry = prefix_argument(fcinfo, 1);
	const Prefix *prefix;
	CurrentTransaction current;
	Datum values[transaction_columns];
	bool nulls[transaction_columns];
	bool found;
	Datum meta;

	meta = context_merge(PG_ARGISNULL(0) ? DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"))
	                                     : PG_GETARG_DATUM(0));
	compiled_enter();
	AcceptInvalidationMessages();
	do
	{
		CHECK_FOR_INTERRUPTS();
		prefix = prefix_get(entry);
		found = find_current(entry, prefix, &current);
		if (found)
			read_transaction(prefix, &current, values, nulls);
		else
		{
			require_writer(entry->schema, prefix);
			PreventCommandIfReadOnly("carbonite.insert_transaction()");
		}
	} while (!found && !insert_transaction(entry, prefix, meta, &current, values, nulls));
	compiled_leave();
	PG_RETURN_DATUM(form_row(fcinfo, values, nulls));
}

// carbonite_current_transaction returns the current transaction's row, or null.
Datum
carbonite_current_transaction(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	PrefixEntry *entry = prefix_argument(fcinfo, 0);
	const Prefix *prefix;
	CurrentTransaction current;
	Datum values[transaction_columns];
	bool nulls[transaction_columns];
	bool found;

	compiled_enter();
	prefix = prefix_get(entry);
	found = find_current(entry, prefix, &current);
	if (found)
		read_transaction(prefix, &current, values, nulls);
	compiled_leave();
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(form_row(fcinfo, values, nulls));
}

// carbonite_delete_transaction_if_empty deletes the current transaction's row unless it has
// changes.
Datum
carbonite_delete_transaction_if_empty(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	PrefixEntry *entry = prefix_argument(fcinfo, 0);
	const Prefix *prefix;
	CurrentTransaction current;
	int64 deleted = 0;

	compiled_enter();
	prefix = prefix_get(entry);
	if (find_current(entry, prefix, &current))
	{
		const char *name = quote_identifier(prefix->name);

		SPI_connect();
		execute_as_owner(prefix,
		                 psprintf("DELETE FROM %s.transactions t "
		                          "WHERE t.id OPERATOR(pg_catalog.=) $1 "
		                          "AND t.xact_id OPERATOR(pg_catalog.=) $2 "
		                          "AND NOT t.meta OPERATOR(pg_catalog.?) '%s' "
		                          "AND NOT EXISTS (SELECT FROM %s.changes c "
		                          "WHERE c.transaction_id OPERATOR(pg_catalog.=) t.id)",
		                          name, override_key, name),
		                 &current);
		deleted = (int64) SPI_processed;
		SPI_finish();
	}
	compiled_leave();
	PG_RETURN_INT64(deleted);
}

// carbonite_meta returns the setting carbonite.meta as jsonb.
Datum
carbonite_meta(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(carbonite::context_meta());
}
