// Rows of a prefix's own tables (changes, transactions): values -> heap and indexes.
// PG world: everything here may ereport, nothing has a destructor.
#pragma once

#include "pg.hpp"

namespace carbonite
{

constexpr int max_writer_columns = 12;

// A column that the library itself fills: its name and the type its values have.
struct WriterColumn
{
	const char *name;
	Oid type; // InvalidOid: an enum of the prefix, whose type is read from the table
	bool nullable;
};

struct WriterIndex
{
	Oid oid;
	int natts;
	AttrNumber attnums[INDEX_MAX_KEYS];
	IndexUniqueCheck check;
	IndexInfo *info;
};

// How to insert into one table, compiled from its relation. `direct` is false as soon as an INSERT
// would do more than fill a plain heap and plain indexes; then the executor does the work.
struct Writer
{
	Oid relid;
	Oid owner;
	bool direct;
	uint64 serial;  // tells writers apart, also those that are gone
	TupleDesc desc; // the writer's own copy
	int ncolumns;
	AttrNumber attnums[max_writer_columns];
	Oid types[max_writer_columns];
	int nindexes;
	WriterIndex *indexes;
	int last_key; // the last attribute that an index needs
	const char *insert_sql;
	// The subtransaction that took the locks which writer_lock() takes, and so has them still.
	mutable FullTransactionId locked_xact;
	mutable SubTransactionId locked_subxact;
};

// Compiles a writer for an open relation in the current memory context. `allowed_trigger` is the
// function of the one user-visible INSERT trigger whose work the caller does itself, or InvalidOid;
// foreign keys to `referenced` are likewise the caller's to guarantee.
void writer_compile(Writer *writer, Relation rel, const WriterColumn *columns, int ncolumns,
                    Oid allowed_trigger, Oid referenced);

// Locks the writer's relation and indexes until the end of the transaction, which has to happen
// before rows are written. `xact` is the current top-level transaction. The locks may bring news
// that make the writer stale.
void writer_lock(const Writer *writer, FullTransactionId xact);

// Inserts one row as the owner of the table, without privilege checks on the current user. Returns
// where it is; the place is invalid unless the writer is direct.
ItemPointerData writer_insert(const Writer *writer, const Datum *values, const bool *nulls);

// Takes back a row of `changes` that this transaction inserted: at a place or, if that is invalid,
// by its ids.
void writer_take_back(const Writer *writer, const ItemPointerData *place, int64 transaction_id,
                      int64 id);

// Forms a row in the current memory context, for a direct writer.
HeapTuple writer_form_row(const Writer *writer, const Datum *values, const bool *nulls);

// Inserts the rows in slots at once, as of a command, through a direct writer. They own their
// tuples, and these are taken apart up to last_key.
void writer_insert_rows(const Writer *writer, TupleTableSlot **slots, int count, CommandId command);

} // namespace carbonite
