// The plan of an audited table: its row of `triggers` and its tuple descriptor, compiled. PG world.
#pragma once

#include "capture/configuration.hpp"
#include "capture/json_value.hpp"
#include "capture/mask.hpp"
#include "capture/prefix.hpp"

namespace carbonite
{

struct Column
{
	AttrNumber attnum;
	bool in_key;
	bool by_value;
	int16 length;
	JsonConverter converter;
	Mask *mask;      // or null
	Datum name;      // varchar
	const char *key; // the same bytes, not terminated
	uint32 key_length;
};

// A virtual generated column: its value is not in the tuple.
struct VirtualColumn
{
	AttrNumber attnum;
	ExprState *expression;
};

struct Plan
{
	bool configured; // a row of `triggers` stands for the table
	CaptureMode mode;
	FullTransactionId override_xact_id; // in which mode is the other one, or invalid
	TruncateMode on_truncate;
	bool store_changed_from;
	bool exact_comparison;
	bool store_partial_data; // of updates that leave the key as it is
	Oid moves_within;        // rows that move between partitions of this table are updated
	Datum table_prefix;      // varchar
	Datum table_name;
	int ncolumns; // the columns of `data`, in the order of jsonb keys
	Column *columns;
	uint32 keys_length; // total bytes of their keys
	char *keys;
	bool has_key;
	int nkeys;
	KeyColumn *key_columns;
	const char *missing_key; // a configured key column that the table does not have
	int nvirtual;
	VirtualColumn *virtual_columns;
	ExprContext *expressions; // where they are evaluated
	Datum no_names;           // an empty varchar[]
};

// A table and a prefix whose capture_changes() it calls; never freed.
struct PlanEntry
{
	PlanEntry *next;
	Oid function;
	bool valid;
	PrefixEntry *prefix;
	uint64 prefix_generation;
	Plan *plan;
	MemoryContext context;
};

// Compiles the plan of a table from what is configured in `triggers`, in the current memory
// context.
Plan *plan_compile(Oid triggers, Relation rel);

// Prepares an expression for evaluation. While the WAL is decoded, where nobody can mend it, null
// if it raises an error, as a division by zero among constants does.
ExprState *expression_compile(Node *expression);

// Adds the expressions of virtual generated columns to a plan.
void plan_add_virtual_columns(Plan *plan, Relation rel);

// The entry of a table for a trigger function.
PlanEntry *plan_entry(Oid relid, Oid function);

bool plan_is_valid(const PlanEntry *entry);

// The plan of an entry, compiled again if anything it came from has changed. Errors: 0A000 if the
// table belongs to a prefix itself.
const Plan *plan_get(PlanEntry *entry, Relation rel);

// Forgets every plan at once, before invalidation messages do.
void plans_invalidate(void);

void plan_init(void);

} // namespace carbonite
