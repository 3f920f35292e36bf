// Writers may insert, change and delete the row of their own transaction, and in a way that hides
// nothing. PG world.

#include "capture/batch.hpp"
#include "capture/guard.hpp"
#include "owner.hpp"

SQL_FUNCTION(carbonite_guard_transaction);

namespace carbonite
{
namespace
{

bool
acts_as_owner(const Prefix *prefix)
{
	return has_privs_of_role(GetUserId(), prefix->transactions.owner);
}

[[noreturn]] void
raise_foreign_row(const Prefix *prefix, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
	                errmsg("permission denied for rows of table %s.transactions", prefix->name),
	                errdetail("%s", detail)));
}

// The value of a column of a tuple as text, or null.
const char *
column_text(HeapTuple tuple, TupleDesc desc, const char *column)
{
	return SPI_getvalue(tuple, desc, SPI_fnumber(desc, column));
}

bool
same_text(HeapTuple a, HeapTuple b, TupleDesc desc, const char *column)
{
	const char *x = column_text(a, desc, column);
	const char *y = column_text(b, desc, column);

	return x == nullptr || y == nullptr ? x == y : strcmp(x, y) == 0;
}

// What a value of meta tells of overrides, or null.
Jsonb *
override_note(Datum datum, bool isnull)
{
	JsonbValue key = {};
	JsonbValue *note;

	if (isnull || !JB_ROOT_IS_OBJECT(DatumGetJsonbP(datum)))
		return nullptr;
	key.type = jbvString;
	key.val.string.val = const_cast<char *>(override_key);
	key.val.string.len = (int) strlen(override_key);
	note = findJsonbValueFromContainer(&DatumGetJsonbP(datum)->root, JB_FOBJECT, &key);
	return note != nullptr ? JsonbValueToJsonb(note) : nullptr;
}

Jsonb *
row_override_note(const Prefix *prefix, HeapTuple tuple, TupleDesc desc)
{
	bool isnull;
	Datum meta = heap_getattr(tuple, prefix->transactions.attnums[transaction_meta], desc, &isnull);

	return override_note(meta, isnull);
}

bool
same_json(Jsonb *a, Jsonb *b)
{
	return a == nullptr || b == nullptr ? a == b : compareJsonbContainers(&a->root, &b->root) == 0;
}

// Are there changes of the transaction with an id? It is the current one.
bool
has_changes(const Prefix *prefix, const char *id)
{
	batch_write();
	return execute_as(prefix->owner,
	                  psprintf("SELECT FROM %s.changes WHERE transaction_id = %s LIMIT 1",
	                           quote_identifier(prefix->name), id)) > 0;
}

// Lets a role that does not own the table change and delete its own transaction's row only, and in
// a way that hides nothing.
void
guard_transaction(TriggerData *trigger, const Prefix *prefix)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	HeapTuple row = trigger->tg_trigtuple;
	bool isnull;
	Datum xact_id = heap_getattr(row, prefix->transactions_xact_id, desc, &isnull);

	if (isnull || !FullTransactionIdEquals(DatumGetFullTransactionId(xact_id),
	                                       GetTopFullTransactionIdIfAny()))
		raise_foreign_row(prefix, "It is not the row of the current transaction.");
	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		if (has_changes(prefix, column_text(row, desc, "id")))
			raise_foreign_row(prefix, "Its transaction has changes.");
		if (row_override_note(prefix, row, desc) != nullptr)
			raise_foreign_row(prefix, "Its transaction has overridden modes.");
		return;
	}
	if (!same_text(row, trigger->tg_newtuple, desc, "id") ||
	    !same_text(row, trigger->tg_newtuple, desc, "xact_id") ||
	    !same_text(row, trigger->tg_newtuple, desc, "inserted_at"))
		raise_foreign_row(prefix, "Of a row only meta may be changed.");
	if (!same_json(row_override_note(prefix, row, desc),
	               row_override_note(prefix, trigger->tg_newtuple, desc)))
		raise_foreign_row(prefix, "What meta tells of overrides must stay.");
}

} // namespace

void
guard_new_row(const Prefix *prefix, HeapTuple row, TupleDesc desc, bool has_no_ids)
{
	bool isnull;
	Timestamp inserted_at = DatumGetTimestamp(
		heap_getattr(row, prefix->transactions.attnums[transaction_inserted_at], desc, &isnull));

	if (acts_as_owner(prefix))
		return;
	if (!has_no_ids)
		raise_foreign_row(prefix, "Only their owner may choose id and xact_id of rows.");
	if (row_override_note(prefix, row, desc) != nullptr)
		raise_foreign_row(prefix, "What meta tells of overrides is not written by clients.");
	// The clocks and time zones of clients differ.
	if (!isnull && (inserted_at < GetCurrentTimestamp() - USECS_PER_DAY ||
	                inserted_at > GetCurrentTimestamp() + USECS_PER_DAY))
		raise_foreign_row(prefix, "inserted_at is more than a day off.");
}

void
guard_meta(Datum meta)
{
	if (override_note(meta, false) != nullptr)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("meta must not have the key \"%s\"", override_key),
		                errdetail("It tells of overrides.")));
}

} // namespace carbonite

// carbonite_guard_transaction keeps those who are not the owner from all rows of `transactions` but
// their own transaction's.
Datum
carbonite_guard_transaction(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const Prefix *prefix;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
	    !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("guard_transaction() must be called by a trigger BEFORE UPDATE OR "
		                       "DELETE, FOR EACH ROW")));
	compiled_enter();
	prefix = prefix_get(prefix_entry(RelationGetNamespace(trigger->tg_relation)));
	if (RelationGetRelid(trigger->tg_relation) != prefix->transactions.relid)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("guard_transaction() serves the table %s.transactions only",
		                       prefix->name)));
	if (!acts_as_owner(prefix))
		guard_transaction(trigger, prefix);
	compiled_leave();
	PG_RETURN_POINTER(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple
	                                                             : trigger->tg_trigtuple);
}
