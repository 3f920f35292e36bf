// Writes the rows that one statement records many at a time. PG world.
//
// AFTER triggers fire at the end of a statement, one row after the other: in ExecutorFinish(), in
// COPY, in SET CONSTRAINTS. Those are bracketed here, and rows wait in the bracket's batch. They
// are written when it is full, when the bracket ends, and before anything that could read them:
// a query on the table, any utility command. Everything else writes row by row: events that were
// deferred to the commit, workers that apply a subscription.
//
// A row gets the command id of its event, so that whoever reads it sees it as if it had been
// written at once. If it has to be written inside a subtransaction that began later, as a trigger's
// block with an exception handler, it is kept until that ends, and waits again if it is rolled
// back.

#include "capture/batch.hpp"
#include "capture/prefix.hpp"

namespace carbonite
{
namespace
{

constexpr int default_batch_rows = 100;
constexpr int max_batch_rows = 1000;
constexpr Size max_batch_bytes = 256 * 1024;

// Memory for the rows of a batch. It goes from one batch to the next, as do the slots, which fit
// one writer only.
struct RowStore
{
	MemoryContext context;
	uint64 writer_serial;
	int nslots;
	TupleTableSlot *slots[max_batch_rows];
};

struct Batch
{
	Batch *outer;
	SubTransactionId subxact; // in which the statement runs
	int level;                // its nesting
	bool has_begun;           // the first row was written at once: most statements have one
	int written_level;        // the nesting of the subtransaction that wrote the rows, or 0
	const Writer *writer;
	CommandId command; // of the newest row
	RowStore *store;   // owned by the batch
	int nrows;
	Size bytes;
};

int batch_rows;
Batch *innermost;
RowStore *spare_store;

ExecutorStart_hook_type previous_executor_start;
ExecutorFinish_hook_type previous_executor_finish;
ProcessUtility_hook_type previous_process_utility;

RowStore *
take_store(void)
{
	RowStore *store = spare_store;
	MemoryContext context;

	if (store != nullptr)
	{
		spare_store = nullptr;
		return store;
	}
	context = AllocSetContextCreate(TopMemoryContext, "carbonite rows", ALLOCSET_DEFAULT_SIZES);
	store = (RowStore *) MemoryContextAllocZero(TopMemoryContext, sizeof(RowStore));
	store->context = context;
	return store;
}

void
give_store_back(RowStore *store)
{
	if (spare_store == nullptr)
	{
		spare_store = store;
		return;
	}
	MemoryContextDelete(store->context);
	pfree(store);
}

// The slot for a row at a position, in a store that holds as many rows.
TupleTableSlot *
get_slot(RowStore *store, const Writer *writer, int position)
{
	MemoryContext caller;

	if (store->writer_serial != writer->serial)
	{
		Assert(position == 0);
		MemoryContextReset(store->context);
		store->nslots = 0;
		store->writer_serial = writer->serial;
	}
	if (position == store->nslots)
	{
		caller = MemoryContextSwitchTo(store->context);
		store->slots[position] = MakeTupleTableSlot(writer->desc, &TTSOpsHeapTuple);
		store->nslots++;
		MemoryContextSwitchTo(caller);
	}
	return store->slots[position];
}

void
forget_rows(Batch *batch)
{
	if (batch->nrows == 0)
		return;
	for (int i = 0; i < batch->nrows; i++)
		ExecClearTuple(batch->store->slots[i]);
	batch->nrows = 0;
	batch->bytes = 0;
	batch->written_level = 0;
	compiled_leave();
}

// Writes the rows that wait. They are forgotten unless a subtransaction below the statement's own
// wrote them, which may still be rolled back.
void
write_rows(Batch *batch)
{
	MemoryContext scratch;
	MemoryContext caller;
	bool has_snapshot = ActiveSnapshotSet();

	if (batch->nrows == 0 || batch->written_level > 0)
		return;
	batch->written_level = GetCurrentTransactionNestLevel();
	// Visibility checks need one. SET CONSTRAINTS has popped its own.
	if (!has_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	scratch =
		AllocSetContextCreate(CurrentMemoryContext, "carbonite writing", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(scratch);
	writer_insert_rows(batch->writer, batch->store->slots, batch->nrows, batch->command);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	if (!has_snapshot)
		PopActiveSnapshot();
	if (batch->written_level == batch->level)
		forget_rows(batch);
}

// A subtransaction ends. Rows that it wrote are now its parent's, or wait again.
void
end_of_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void *)
{
	int level = GetCurrentTransactionNestLevel();

	for (Batch *batch = innermost; batch != nullptr; batch = batch->outer)
	{
		if (batch->written_level < level)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			batch->written_level = 0;
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			batch->written_level = level - 1;
			if (batch->written_level == batch->level)
				forget_rows(batch);
		}
	}
}

void
begin_batch(Batch *batch)
{
	*batch = Batch{};
	batch->outer = innermost;
	batch->subxact = GetCurrentSubTransactionId();
	batch->level = GetCurrentTransactionNestLevel();
	innermost = batch;
}

void
end_batch(Batch *batch)
{
	innermost = batch->outer;
	forget_rows(batch);
	if (batch->store != nullptr)
		give_store_back(batch->store);
}

void
finish_query(QueryDesc *query)
{
	if (previous_executor_finish != nullptr)
		previous_executor_finish(query);
	else
		standard_ExecutorFinish(query);
}

void
executor_start(QueryDesc *query, int flags)
{
	for (Batch *batch = innermost; unlikely(batch != nullptr); batch = batch->outer)
		if (batch->nrows > 0 &&
		    list_member_oid(query->plannedstmt->relationOids, batch->writer->relid))
			write_rows(batch);
	if (previous_executor_start != nullptr)
		previous_executor_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

void
executor_finish(QueryDesc *query)
{
	Batch batch;

	if (query->operation == CMD_SELECT && !query->plannedstmt->hasModifyingCTE)
	{
		finish_query(query);
		return;
	}
	begin_batch(&batch);
	PG_TRY();
	{
		finish_query(query);
		write_rows(&batch);
	}
	PG_FINALLY();
	{
		end_batch(&batch);
	}
	PG_END_TRY();
}

bool
fires_triggers(const Node *statement)
{
	return (IsA(statement, CopyStmt) && ((const CopyStmt *) statement)->is_from) ||
	       IsA(statement, ConstraintsSetStmt);
}

void
process_utility(PROCESS_UTILITY_PARAMETERS)
{
	ProcessUtility_hook_type next =
		previous_process_utility != nullptr ? previous_process_utility : standard_ProcessUtility;
	Batch batch;

	batch_write();
	if (!fires_triggers(statement->utilityStmt))
	{
		next(PROCESS_UTILITY_ARGUMENTS);
		return;
	}
	begin_batch(&batch);
	PG_TRY();
	{
		next(PROCESS_UTILITY_ARGUMENTS);
		write_rows(&batch);
	}
	PG_FINALLY();
	{
		end_batch(&batch);
	}
	PG_END_TRY();
}

} // namespace

bool
batch_add(const Writer *writer, const Datum *values, const bool *nulls)
{
	Batch *batch = innermost;
	MemoryContext caller;
	TupleTableSlot *slot;
	HeapTuple row;

	if (batch == nullptr || batch_rows < 2 || !writer->direct ||
	    batch->subxact != GetCurrentSubTransactionId())
		return false;
	if (!batch->has_begun)
	{
		batch->has_begun = true;
		return false;
	}
	if (batch->nrows >= batch_rows || batch->bytes >= max_batch_bytes || batch->writer != writer)
		write_rows(batch);
	if (batch->store == nullptr)
		batch->store = take_store();

	slot = get_slot(batch->store, writer, batch->nrows);
	caller = MemoryContextSwitchTo(batch->store->context);
	row = writer_form_row(writer, values, nulls);
	MemoryContextSwitchTo(caller);
	ExecStoreHeapTuple(row, slot, true);
	slot_getsomeattrs(slot, writer->last_key); // while the row is in the processor's cache
	// The writer has to live as long as a row waits.
	if (batch->nrows == 0)
		compiled_enter();
	batch->writer = writer;
	batch->command = GetCurrentCommandId(true);
	batch->bytes += row->t_len;
	batch->nrows++;
	return true;
}

void
batch_write(void)
{
	for (Batch *batch = innermost; batch != nullptr; batch = batch->outer)
		write_rows(batch);
}

void
batch_init(void)
{
	DefineCustomIntVariable("carbonite.batch_rows",
	                        "Rows of a statement that are written to changes at a time.",
	                        "0 writes each row at once.", &batch_rows, default_batch_rows, 0,
	                        max_batch_rows, PGC_USERSET, 0, nullptr, nullptr, nullptr);
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	previous_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	RegisterSubXactCallback(end_of_subtransaction, nullptr);
}

} // namespace carbonite
