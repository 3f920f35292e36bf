// A row as jsonb bytes. PG world.
#pragma once

#include "capture/plan.hpp"

namespace carbonite
{

// The row of a slot, deformed; the plan's columns index values by their attribute numbers.
struct RowView
{
	const Datum *values;
	const bool *nulls;
};

// True if two tuples of one table are the same byte for byte, which says that no column differs; it
// takes neither of them apart.
bool rows_look_equal(TupleTableSlot *a, TupleTableSlot *b);

// Deforms the tuple of a slot and computes its virtual columns; the result lives as long as the
// slot's tuple and the current memory context.
RowView row_view(const Plan *plan, TupleTableSlot *slot);

// What an UPDATE changed, for the plan's columns.
struct RowDifference
{
	JsonValue *new_values; // converted where the comparison needed it
	JsonValue *old_values;
	int *changed; // the positions of changed columns, in the order of jsonb keys
	int nchanged;
	bool key_changed; // bytes of the key differ, and so may its text
};

// Finds the columns whose values differ: as jsonb compares them, or byte for byte if the plan asks
// for that. Allocates nothing as long as no byte differs.
void row_difference(const Plan *plan, RowView old_row, RowView new_row, RowDifference *difference);

// Builds `data`. `values` may hold columns that are converted already, or be null.
Datum row_image(const Plan *plan, RowView row, JsonValue *values);

// Builds `data` of an UPDATE from the columns of the key and those that changed.
Datum partial_image(const Plan *plan, RowView row, RowDifference *difference);

// Builds `changed`, the names of changed columns.
Datum changed_names(const Plan *plan, const RowDifference *difference);

// Builds `changed_from`, the old values of changed columns.
Datum changed_image(const Plan *plan, RowView old_row, RowDifference *difference);

} // namespace carbonite
