// Which transactions row is current, and the trigger that gives new rows their ids. PG world.
//
// A session remembers the id that it drew last for a prefix, as currval() does: for the session,
// not for the transaction. The row with that id is current if it carries the current transaction's
// xid. It is looked up once per command and subtransaction: only a new command (or the abort of a
// subtransaction) can take away a row that this transaction inserted, and nobody else can see it.

#include "capture/context.hpp"
#include "capture/guard.hpp"
#include "capture/transaction.hpp"

SQL_FUNCTION(carbonite_set_transaction_id);

namespace carbonite
{
namespace
{

// Looks for the row of `transactions` with this id and xid, and hands out what it holds if the
// caller wants it. SnapshotSelf sees the current command's own rows and not those of aborted
// subtransactions.
bool
find_row(const Prefix *prefix, Relation rel, int64 id, FullTransactionId xact_id, Datum *values,
         bool *nulls)
{
	TupleDesc desc = RelationGetDescr(rel);
	const Writer *writer = &prefix->transactions;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool found = false;

	ScanKeyInit(&key, prefix->transactions_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	scan = systable_beginscan(rel, prefix->transactions_key, OidIsValid(prefix->transactions_key),
	                          SnapshotSelf, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool isnull;
		Datum datum = heap_getattr(tuple, prefix->transactions_xact_id, desc, &isnull);

		found = !isnull && FullTransactionIdEquals(DatumGetFullTransactionId(datum), xact_id);
		for (int i = 0; found && values != nullptr && i < transaction_columns; i++)
		{
			Form_pg_attribute att = TupleDescAttr(desc, writer->attnums[i] - 1);

			values[i] = heap_getattr(tuple, writer->attnums[i], desc, &nulls[i]);
			if (!nulls[i] && att->attlen == -1)
				values[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[i]));
		}
	}
	systable_endscan(scan);
	return found;
}

bool
row_exists(const Prefix *prefix, Relation rel, int64 id, FullTransactionId xact_id)
{
	return find_row(prefix, rel, id, xact_id, nullptr, nullptr);
}

bool
is_verified(const SessionTransaction *session, FullTransactionId xact_id)
{
	return session->verified && FullTransactionIdEquals(session->verified_xact, xact_id) &&
	       session->verified_subxact == GetCurrentSubTransactionId() &&
	       session->verified_command == GetCurrentCommandId(false);
}

// True if currval() of the sequence is `id`. An undefined currval() is an error to PostgreSQL;
// a subtransaction that writes nothing, and so takes no xid, contains it.
bool
is_currval(const Prefix *prefix, int64 id)
{
	MemoryContext caller_context = CurrentMemoryContext;
	ResourceOwner caller_owner = CurrentResourceOwner;
	Oid user;
	int security_context;
	volatile bool result = false;

	GetUserIdAndSecContext(&user, &security_context);
	BeginInternalSubTransaction(nullptr);
	PG_TRY();
	{
		SetUserIdAndSecContext(prefix->owner, security_context | SECURITY_LOCAL_USERID_CHANGE);
		result = DatumGetInt64(DirectFunctionCall1(
					 currval_oid, ObjectIdGetDatum(prefix->transactions_seq))) == id;
		SetUserIdAndSecContext(user, security_context);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller_context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller_context);
	CurrentResourceOwner = caller_owner;
	return result;
}

void
remember_id(SessionTransaction *session, int64 id)
{
	session->has_last_id = true;
	session->last_id = id;
	session->last_id_xact = GetTopFullTransactionId();
	session->verified = false;
}

int64
draw_id(PrefixEntry *entry, const Prefix *prefix)
{
	int64 id = nextval_internal(prefix->transactions_seq, false);

	remember_id(&entry->session, id);
	return id;
}

// Chooses the id of a new row: that of an existing row with the same xid, so that a second plain
// INSERT of a transaction conflicts with the first; else the given one; else a new one.
int64
choose_id(PrefixEntry *entry, const Prefix *prefix, Relation rel, FullTransactionId xact_id,
          const int64 *given)
{
	SessionTransaction *session = &entry->session;

	if (given == nullptr)
	{
		if (session->has_last_id && row_exists(prefix, rel, session->last_id, xact_id))
			return session->last_id;
		return draw_id(entry, prefix);
	}
	// An id that the session drew from the sequence makes the row the current one, whoever drew it.
	if (FullTransactionIdEquals(xact_id, GetTopFullTransactionId()) &&
	    ((session->has_last_id && session->last_id == *given) || is_currval(prefix, *given)))
		remember_id(session, *given);
	return *given;
}

void
check_trigger(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
	    !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("set_transaction_id() must be called by a trigger BEFORE INSERT, "
		                       "FOR EACH ROW")));
}

HeapTuple
set_transaction_id(TriggerData *trigger, Oid function)
{
	PrefixEntry *entry = prefix_entry(get_func_namespace(function));
	const Prefix *prefix = prefix_get(entry);
	Relation rel = trigger->tg_relation;
	TupleDesc desc = RelationGetDescr(rel);
	int attnums[2] = {prefix->transactions_id, prefix->transactions_xact_id};
	Datum values[2];
	bool nulls[2];
	bool were_null[2];
	FullTransactionId xact_id;
	int64 id;

	if (RelationGetRelid(rel) != prefix->transactions.relid)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("set_transaction_id() serves the table %s.transactions only",
		                       prefix->name)));
	for (int i = 0; i < 2; i++)
		values[i] = heap_getattr(trigger->tg_trigtuple, attnums[i], desc, &were_null[i]);

	xact_id = were_null[1] ? GetTopFullTransactionId() : DatumGetFullTransactionId(values[1]);
	id = were_null[0] ? 0 : DatumGetInt64(values[0]);
	guard_new_row(prefix, trigger->tg_trigtuple, desc, were_null[0] && were_null[1]);
	id = choose_id(entry, prefix, rel, xact_id, were_null[0] ? nullptr : &id);
	values[0] = Int64GetDatum(id);
	values[1] = FullTransactionIdGetDatum(xact_id);
	nulls[0] = nulls[1] = false;
	if (!were_null[0] && !were_null[1])
		return trigger->tg_trigtuple;
	return heap_modify_tuple_by_cols(trigger->tg_trigtuple, desc, 2, attnums, values, nulls);
}

} // namespace

bool
current_transaction(PrefixEntry *entry, const Prefix *prefix, CurrentTransaction *current)
{
	SessionTransaction *session = &entry->session;
	Relation rel;
	bool found;

	current->xact_id = GetTopFullTransactionId();
	current->id = session->last_id;
	if (!session->has_last_id || !FullTransactionIdEquals(session->last_id_xact, current->xact_id))
		return false;
	if (likely(is_verified(session, current->xact_id)))
		return true;

	rel = table_open(prefix->transactions.relid, AccessShareLock);
	found = row_exists(prefix, rel, session->last_id, current->xact_id);
	table_close(rel, NoLock);
	session->verified = found;
	session->verified_xact = current->xact_id;
	session->verified_subxact = GetCurrentSubTransactionId();
	session->verified_command = GetCurrentCommandId(false);
	return found;
}

void
read_transaction(const Prefix *prefix, const CurrentTransaction *current, Datum *values,
                 bool *nulls)
{
	Relation rel = table_open(prefix->transactions.relid, AccessShareLock);

	if (!find_row(prefix, rel, current->id, current->xact_id, values, nulls))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		                errmsg("the row of %s.transactions was not inserted", prefix->name),
		                errdetail("A trigger or a rule of the table prevented it.")));
	table_close(rel, NoLock);
}

bool
insert_transaction(PrefixEntry *entry, const Prefix *prefix, Datum meta,
                   CurrentTransaction *current, Datum *values, bool *nulls)
{
	bool was_valid = entry->valid;

	guard_meta(meta);
	current->xact_id = GetTopFullTransactionId();
	writer_lock(&prefix->transactions, current->xact_id);
	if (unlikely(was_valid && !entry->valid))
		return false;
	current->id = draw_id(entry, prefix);
	values[transaction_id] = Int64GetDatum(current->id);
	values[transaction_xact_id] = FullTransactionIdGetDatum(current->xact_id);
	values[transaction_meta] = meta;
	// Without a time zone, in UTC, as the clients of the original write it.
	values[transaction_inserted_at] = TimestampGetDatum(GetCurrentTimestamp());
	memset(nulls, false, sizeof(bool) * transaction_columns);
	writer_insert(&prefix->transactions, values, nulls);
	// Only the executor may have stored something else.
	if (!prefix->transactions.direct)
		read_transaction(prefix, current, values, nulls);
	return true;
}

} // namespace carbonite

// carbonite_set_transaction_id gives a new row of `transactions` its id and xact_id.
Datum
carbonite_set_transaction_id(PG_FUNCTION_ARGS)
{
	HeapTuple tuple;

	carbonite::check_trigger(fcinfo);
	carbonite::compiled_enter();
	tuple = carbonite::set_transaction_id((TriggerData *) fcinfo->context, fcinfo->flinfo->fn_oid);
	carbonite::compiled_leave();
	PG_RETURN_POINTER(tuple);
}
