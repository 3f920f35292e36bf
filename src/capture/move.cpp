// Finding the two halves of a move. The deleted tuple is marked as one that moved, and both tuples
// carry the command id of the statement, which no other statement of the transaction has. PG world.

#include "capture/move.hpp"

namespace carbonite
{
namespace
{

// The tuple as it is stored, or null if the table has other storage than the heap.
HeapTuple
stored_tuple(TupleTableSlot *slot)
{
	return TTS_IS_BUFFERTUPLE(slot) ? ExecFetchSlotHeapTuple(slot, false, nullptr) : nullptr;
}

// A trigger may have kept the moved row from being inserted, and another row of the statement be
// the next one. So the columns of the key that no partition key needs must be the same; without
// such columns there must be no trigger that could have done that.
bool
may_be_same_row(const Move *move, const Plan *plan, Relation rel, TupleTableSlot *new_row)
{
	TupleTableSlot *slot;
	RowView old_view = move_old_row(move, rel, &slot);
	RowView new_view = row_view(plan, new_row);
	bool has_witness = false;
	bool same = true;

	for (int i = 0; same && i < plan->nkeys; i++)
	{
		KeyColumn *column = &plan->key_columns[i];
		int index = column->attnum - 1;

		if (column->in_partition_key)
			continue;
		has_witness = true;
		same = old_view.nulls[index] == new_view.nulls[index] &&
		       (new_view.nulls[index] ||
		        datum_image_eq(key_column_text(column, old_view.values[index]),
		                       key_column_text(column, new_view.values[index]), false, -1));
	}
	ExecDropSingleTupleTableSlot(slot);
	return same &&
	       (has_witness || rel->trigdesc == nullptr || !rel->trigdesc->trig_insert_before_row);
}

} // namespace

bool
move_begins(const Plan *plan, TupleTableSlot *old_row)
{
	HeapTuple tuple;

	if (likely(!OidIsValid(plan->moves_within)))
		return false;
	tuple = stored_tuple(old_row);
	return tuple != nullptr && HeapTupleHeaderIndicatesMovedPartitions(tuple->t_data);
}

void
move_remember(PlanEntry *entry, Relation rel, TupleTableSlot *old_row, FullTransactionId xact,
              int64 change_id, ItemPointer change)
{
	Move *move = entry->prefix->move;

	if (move == nullptr)
		move = entry->prefix->move =
			(Move *) MemoryContextAllocZero(TopMemoryContext, sizeof(Move));
	move->xact = xact;
	move->command = HeapTupleHeaderGetCmax(stored_tuple(old_row)->t_data);
	move->root = entry->plan->moves_within;
	move->plan = entry;
	move->relid = RelationGetRelid(rel);
	move->old_row = old_row->tts_tid;
	move->change_id = change_id;
	move->change = *change;
}

const Move *
move_ends(PlanEntry *entry, Relation rel, TupleTableSlot *new_row)
{
	Move *move = entry->prefix->move;
	const Plan *plan = entry->plan;
	HeapTuple tuple;
	Move *copy;

	if (likely(move == nullptr || !FullTransactionIdIsValid(move->xact)))
		return nullptr;
	tuple = stored_tuple(new_row);
	if (tuple == nullptr || !FullTransactionIdEquals(move->xact, GetTopFullTransactionIdIfAny()) ||
	    HeapTupleHeaderGetCmin(tuple->t_data) != move->command)
		return nullptr;
	// Whatever this row is, no later one belongs to that deletion.
	move->xact = InvalidFullTransactionId;
	if (plan->moves_within != move->root)
		return nullptr;
	// What comparing and describing rows calls may move others.
	copy = (Move *) palloc(sizeof(Move));
	*copy = *move;
	return may_be_same_row(copy, plan, rel, new_row) ? copy : nullptr;
}

RowView
move_old_row(const Move *move, Relation rel, TupleTableSlot **slot)
{
	Relation old_rel = table_open(move->relid, AccessShareLock);
	TupleDesc old_desc = RelationGetDescr(old_rel);
	TupleDesc desc = RelationGetDescr(rel);
	Datum *values = (Datum *) palloc0(sizeof(Datum) * desc->natts);
	bool *nulls = (bool *) palloc(sizeof(bool) * desc->natts);
	RowView row;

	*slot = table_slot_create(old_rel, nullptr);
	if (!table_tuple_fetch_row_version(old_rel, const_cast<ItemPointer>(&move->old_row),
	                                   SnapshotAny, *slot))
		elog(ERROR, "a row that moved between partitions is gone");
	// The caller goes on with what is compiled now.
	compiled_enter();
	row = row_view(plan_get(move->plan, old_rel), *slot);
	compiled_leave();
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		int from = i;

		nulls[i] = true;
		if (att->attisdropped)
			continue;
		if (from >= old_desc->natts ||
		    strcmp(NameStr(TupleDescAttr(old_desc, from)->attname), NameStr(att->attname)) != 0)
			from = get_attnum(move->relid, NameStr(att->attname)) - 1;
		if (from < 0)
			continue;
		values[i] = row.values[from];
		nulls[i] = row.nulls[from];
	}
	table_close(old_rel, NoLock);
	return RowView{values, nulls};
}

} // namespace carbonite
