// One client's stream: a decoding context and what this library keeps for it. PG world.
#pragma once

#include "decode/metadata.hpp"
#include "decode/options.hpp"
#include "decode/output.hpp"
#include "decode/policy.hpp"
#include "decode/relation.hpp"

namespace carbonite
{

// A transaction of which something is being sent.
struct Transaction
{
	Transaction *next; // of those that are sent while they are in progress
	TransactionId xid;
	uint64 full_xid;
	XLogRecPtr lsn;     // of its commit or prepare record; invalid while in progress
	XLogRecPtr end_lsn; // behind that
	TimestampTz time;   // of its end
	RepOriginId origin;
	const char *origin_name; // null if it has none
	const char *gid;         // of a prepared transaction, or null
	bool in_progress;        // it is sent before it has ended
	bool skipped;            // nothing of it is sent
	TransactionId subxid;    // of the subtransaction whose change is being made a record
	bool begun;              // its first record was made
	uint64 sequence;         // of the last change, sent or not
	uint64 records;          // changes, truncates, messages and so on that were sent
	Buffer identity;         // what the format says of it in each record
	Metadata meta;
	MemoryContext context; // emptied at its end
};

enum class RowOp : uint8
{
	insert,
	update,
	remove,
};

// A row of a relation, deformed. Its arrays are indexed by attribute number - 1.
struct Row
{
	Datum *values;
	bool *nulls;
	bool *missing;     // unchanged values that the WAL does not have
	bool has_external; // some values lie, or lay, outside of the tuple; else none is missing
};

// A change of a row, as formats write it.
struct Change
{
	RowOp op;
	const Row *row;     // the new row; null for deletes
	const Row *old_row; // what the WAL has of the old row, or null
	XLogRecPtr lsn;
};

struct Message
{
	bool transactional;
	const char *prefix;
	const char *content; // any bytes
	size_t length;
	XLogRecPtr lsn;
};

// A command that changed a relation's definition.
struct Ddl
{
	const char *schema;
	const char *table;
	const char *command; // its tag
	Jsonb *details;
	XLogRecPtr lsn;
};

struct Stream;

// How records are written. Each function makes records between record_begin() and record_end();
// null ones are not called.
struct Format
{
	const char *name;
	// Changes what holds for options that are not given.
	void (*defaults)(Options *options);
	// Takes an option of the format's own; false if there is none with that name.
	bool (*option)(Stream *stream, const char *name, const char *value);
	void (*startup)(Stream *stream);
	// Compiles what is constant for a relation into relation->format, in the current memory
	// context.
	void (*compile)(Stream *stream, StreamRelation *relation, Relation rel);
	// Shall transactions of an origin be left out? In addition to the option `origins`.
	bool (*filter_origin)(Stream *stream, RepOriginId origin);
	// Before the first record of a transaction; of every transaction if `eager`.
	void (*begin)(Stream *stream, Transaction *transaction);
	void (*change)(Stream *stream, Transaction *transaction, StreamRelation *relation,
	               const Change *change);
	void (*truncate)(Stream *stream, Transaction *transaction, StreamRelation *relation,
	                 bool cascade, bool restart_identity, XLogRecPtr lsn);
	// The transaction is null for a message that belongs to none.
	void (*message)(Stream *stream, Transaction *transaction, const Message *message);
	void (*ddl)(Stream *stream, Transaction *transaction, const Ddl *ddl);
	void (*commit)(Stream *stream, Transaction *transaction);
	void (*prepare)(Stream *stream, Transaction *transaction);
	void (*commit_prepared)(Stream *stream, Transaction *transaction);
	void (*rollback_prepared)(Stream *stream, Transaction *transaction);
	// A transaction, or the subtransaction `subxid` of it, that was sent in part, is no more.
	void (*abort)(Stream *stream, Transaction *transaction, TransactionId subxid, XLogRecPtr lsn);
	bool eager;      // begin and commit also for transactions without records
	bool in_batches; // many records in a message, unless the client wants otherwise
	bool fills_rows; // unchanged values are taken from the old row where it has them
	bool takes_metadata;
};

struct Stream
{
	LogicalDecodingContext *ctx;
	MemoryContext context; // for as long as the stream
	MemoryContext scratch; // for a change
	Options options;
	Policy policy;
	const Format *format;
	void *format_state;
	Output output;
	Relations relations;
	Transaction whole; // the transaction that is sent after its end
	Transaction *in_progress;
	Transaction *current;
	struct Sessions *sessions;
	int quiet_changes; // since the client was told anything
};

// Deforms a tuple into the room that a relation has for it.
void stream_deform(const StreamRelation *relation, HeapTuple tuple, Row *row);

// Finds the values that WAL does not have of a new row in its old one.
void stream_fill(const StreamRelation *relation, Row *row, const Row *old_row, bool only_identity);

// Begins a transaction's records, if that was not done, for one that is about to be made.
void stream_begin_records(Stream *stream, Transaction *transaction);

// Counts a record that was made, and sends records if it is time to.
void stream_end_record(Stream *stream, Transaction *transaction);

// Sends all records of a transaction.
void stream_flush(Stream *stream, Transaction *transaction);

// Something was decoded that the client does not see: it must hear from the server nevertheless.
void stream_keep_alive(Stream *stream, Transaction *transaction);

// What the callbacks of the server come down to.
void stream_change(Stream *stream, Relation rel, ReorderBufferChange *change);
void stream_truncate(Stream *stream, int count, Relation *rels, ReorderBufferChange *change);
void stream_message(Stream *stream, Transaction *transaction, const Message *message);

extern const Format format_carbonite;
extern const Format format_wal2json;
extern const Format format_debezium;

} // namespace carbonite
