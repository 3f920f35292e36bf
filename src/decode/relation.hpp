// A relation as a stream shows it: its columns, its key, masks and filters, compiled once and
// dropped by invalidation messages. PG world.
#pragma once

#include "capture/plan.hpp"
#include "decode/value.hpp"

namespace carbonite
{

struct Stream;
struct Row;

enum class RelationRole : uint8
{
	ordinary,
	transactions, // of a prefix: its rows are metadata
	changes,      // of a prefix: its rows may tell of DDL
	annotations,  // of Statetrace
	hidden,       // nothing of it is shown
};

struct StreamColumn
{
	AttrNumber attnum; // Row's arrays have it at attnum - 1
	bool in_primary_key;
	bool in_identity; // in the replica identity; all columns are if it is FULL
	int16 length;     // attlen
	Oid type;
	int32 typmod;
	bool not_null;
	Mask *mask; // or null
	ValueWriter writer;
	const char *name;
	const char *label; // the name as JSON, with a colon
	uint32 label_length;
};

struct StreamRelation
{
	Oid relid; // hash key
	bool valid;
	MemoryContext context;
	RelationRole role;
	bool withheld; // it was recorded, maybe masked, but how is gone: no values are shown
	bool shown[4]; // insert, update, delete, truncate
	const char *schema;
	const char *name; // the names to show
	bool by_ancestor; // a partition that goes by the name of its root
	int natts;
	int ncolumns; // the columns to show
	StreamColumn *columns;
	bool *masked; // by attribute number - 1: the raw value must not be shown
	char replica_identity;
	bool has_primary_key;
	bool has_identity; // an index that identifies rows
	int nkeys;
	KeyColumn *key_columns;
	Datum recorded_schema; // varchar: the names that digests are bound to
	Datum recorded_name;
	const Plan *plan;                    // has the virtual columns
	TupleTableSlot *slot;                // where expressions look, or null
	struct PublishedRelation *published; // null without publications
	bool key_in_identity;                // old rows have the key
	bool exact_comparison;
	bool trusted;    // its owner is a superuser, or has the rights of the database's owner
	AttrNumber meta; // columns of audit tables, by name; or 0
	AttrNumber command;
	AttrNumber data;
	AttrNumber table_prefix;
	AttrNumber table_name;
	TupleDesc tuple_desc;
	Row *row; // room for deformed tuples
	Row *old_row;
	void *format;
};

struct Relations
{
	HTAB *table;
	StreamRelation *last; // that was asked for, or null
	bool valid;           // false: all are to be compiled anew
	List *triggers;       // OIDs of the prefixes' tables `triggers`
};

void relations_init(Stream *stream);

// The compiled relation of a change. It is opened by the caller, under the historic snapshot.
StreamRelation *stream_relation(Stream *stream, Relation rel);

// Compiles a relation, in the current memory context.
void relation_compile(Stream *stream, StreamRelation *relation, Relation rel);

// What is to be shown instead of a masked column's value.
void masked_value(const StreamRelation *relation, const StreamColumn *column, const Row *row,
                  JsonValue *result);

// Is a relation still there, outside the history that is decoded?
bool relation_exists_now(Oid relid);

// The stream that is open in this process hears of invalidations through this.
void relations_register_callbacks(void);

} // namespace carbonite
