// Rows that move between partitions. PostgreSQL deletes such a row here and inserts it there; under
// the name of the root that is one update. PG world.
#pragma once

#include "capture/row_image.hpp"

namespace carbonite
{

// A recorded deletion that may turn out to be the first half of a move.
struct Move
{
	FullTransactionId xact;
	CommandId command; // of the statement that moves the row
	Oid root;          // of the partitions
	PlanEntry *plan;   // of the partition that the row left
	Oid relid;         // that partition
	ItemPointerData old_row;
	int64 change_id; // what was recorded, and where
	ItemPointerData change;
};

// True if the old row of a DELETE lives on in another partition, and that has to be told.
bool move_begins(const Plan *plan, TupleTableSlot *old_row);

// Remembers a recorded deletion of such a row. One for each prefix is enough: the insertion is the
// next event of the prefix.
void move_remember(PlanEntry *entry, Relation rel, TupleTableSlot *old_row, FullTransactionId xact,
                   int64 change_id, ItemPointer change);

// Forgets the deletion that the insertion of a row belongs to and hands out a copy, or null.
const Move *move_ends(PlanEntry *entry, Relation rel, TupleTableSlot *new_row);

// Reads the row that moved, with the values of its columns where `rel` has them. `slot` receives
// what keeps the row; the caller drops it.
RowView move_old_row(const Move *move, Relation rel, TupleTableSlot **slot);

} // namespace carbonite
