// The row of `triggers` that stands for a table. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

enum class CaptureMode : uint8
{
	capture,
	ignore,
};

enum class TruncateMode : uint8
{
	capture,
	refuse,
	ignore,
};

// A row of `triggers`, copied out of the table.
struct Configuration
{
	bool found;
	CaptureMode mode;
	TruncateMode on_truncate;
	bool store_changed_from;
	bool exact_comparison;
	bool mask_primary_key;
	bool store_changed_data;
	ArrayType *primary_key_columns;
	ArrayType *excluded_columns;
	ArrayType *filtered_columns;
	ArrayType *hashed_columns;
	Jsonb *masks; // or null
	bool record_leaf;
	bool inheritance_children;
	FullTransactionId override_xact_id; // or invalid
	const char *table_prefix;           // under which changes are recorded
	const char *table_name;
	Oid relid;                // the table that the row names
	ArrayType *known_columns; // null if what the row knows is not of this table
};

// Finds the configuration of a table in `triggers`: its own, or else that of the nearest
// ancestor, of which it is a partition or which speaks for tables that inherit from it. Everything
// in it is allocated in the current memory context.
void find_configuration(Configuration *config, Oid triggers, Relation rel);

// The name that the row of `triggers` has for a column: the one it had when the row was written. A
// newer column goes by its own. Columns of partitions have the names of the table's.
const char *configured_name(const Configuration *config, Relation rel, Form_pg_attribute att);

// True if an array of texts has an element.
bool array_contains(ArrayType *array, const char *name);

} // namespace carbonite
