// A prefix: a schema that holds one audit trail. What the library knows about it is compiled once
// per backend and dropped by invalidation messages. PG world.
#pragma once

#include "capture/writer.hpp"

namespace carbonite
{

enum class TransactionMode
{
	required,  // a change without a transactions row is an error
	automatic, // the first captured change inserts the row
	optional,  // changes of transactions without a row are not recorded
};

// Positions in the value arrays of the two writers.
enum ChangeColumn
{
	change_id,
	change_transaction_xact_id,
	change_op,
	change_table_prefix,
	change_table_name,
	change_table_pk,
	change_data,
	change_changed,
	change_transaction_id,
	change_changed_from,
	change_data_is_partial,
	change_command,
	change_columns
};

enum TransactionColumn
{
	transaction_id,
	transaction_xact_id,
	transaction_meta,
	transaction_inserted_at,
	transaction_columns
};

enum ChangeOp
{
	op_insert,
	op_update,
	op_delete,
	op_count,
	op_truncate = op_count // recorded as a delete
};

struct Prefix
{
	Oid schema;
	const char *name;
	Oid owner; // of all its tables and sequences
	Oid changes_seq;
	Oid transactions_seq;
	Oid transactions_key; // the index on transactions(id), or InvalidOid
	AttrNumber transactions_id;
	AttrNumber transactions_xact_id;
	Oid triggers;
	Oid settings;      // InvalidOid in a prefix without such a table
	Oid ops[op_count]; // the values of enum change_op
	TransactionMode transaction_mode;
	const char *override_role;  // whose members may override modes; null: everybody
	char *const *override_mode; // the setting <prefix>.override_mode
	Writer changes;
	Writer transactions;
};

// This session's notion of the current row of transactions; see transaction.cpp.
struct SessionTransaction
{
	Oid transactions;
	bool has_last_id;
	int64 last_id;
	FullTransactionId last_id_xact; // the transaction that drew the id, or gave it to a row
	bool verified;
	FullTransactionId verified_xact;
	SubTransactionId verified_subxact;
	CommandId verified_command;
	FullTransactionId noted_xact; // whose row of transactions tells of an override
	SubTransactionId noted_subxact;
	Oid noted_role;
	bool noted_ignore;
};

struct Move;

struct PrefixEntry
{
	Oid schema; // hash key
	bool valid;
	uint64 generation; // grows with each compilation
	Prefix *prefix;
	MemoryContext context;
	SessionTransaction session;
	Move *move; // see move.hpp
};

// The entry of a schema; never freed, so that pointers to it stay good.
PrefixEntry *prefix_entry(Oid schema);

// The compiled prefix of an entry. Errors: 3F000 if the schema is not a prefix.
const Prefix *prefix_get(PrefixEntry *entry);

// The entry of the prefix with a name. Errors: 3F000 if there is no such prefix.
PrefixEntry *prefix_by_name(const char *name);

// True if a schema holds a prefix that this library serves.
bool is_prefix(Oid schema);

// The schemas that do.
List *prefix_schemas(void);

// Brackets a call that uses compiled structures. While calls nest, a compiled structure that is
// replaced lives on until the end of the transaction: an outer call may still be reading it.
void compiled_enter(void);
void compiled_leave(void);
void compiled_discard(MemoryContext context);

// A snapshot that sees everything committed and the work of the current command.
Snapshot register_latest_snapshot(void);

void prefix_init(void);

} // namespace carbonite
