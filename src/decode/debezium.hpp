// The format `debezium`: how values are shown, and what is kept for a stream and a relation.
// PG world.
#pragma once

#include "decode/stream.hpp"

namespace carbonite
{

enum class DecimalMode : uint8
{
	text,
	float8,
	precise, // the unscaled number in two's complement
};

enum class TimeMode : uint8
{
	adaptive, // milliseconds or microseconds, as the type has digits
	adaptive_time_microseconds,
	connect, // milliseconds
	microseconds,
	nanoseconds,
	isostring,
};

enum class BinaryMode : uint8
{
	bytes, // which JSON has as base64
	base64,
	base64_url_safe,
	hex,
};

// What the client chose.
struct DebeziumModes
{
	DecimalMode decimals;
	TimeMode times;
	BinaryMode binaries;
	bool hstore_as_map;
	bool interval_as_text;
	const char *placeholder; // of unchanged values that the WAL does not have
	size_t placeholder_length;
};

enum class DebeziumKind : uint8
{
	plain, // as value.hpp writes it
	oid,
	text, // by the type's output function
	numeric,
	money,
	bytea,
	bit,
	date,
	time,
	timetz,
	timestamp,
	timestamptz,
	interval,
	point,
	hstore,
	array,
};

// How the values of a type are written.
struct DebeziumWriter
{
	DebeziumKind kind;
	bool guarded; // functions of types are called, which may fail
	bool by_value;
	char alignment;
	int16 length;
	Oid type; // no domain
	int32 typmod;
	const DebeziumModes *modes;
	ValueWriter plain;
	FmgrInfo output;
	DebeziumWriter *element; // of arrays
};

// Chooses how a type is written, with its functions looked up in the current memory context.
void debezium_writer_compile(DebeziumWriter *writer, const DebeziumModes *modes, Oid type,
                             int32 typmod);

// Puts a value that is not null. False if a function of its type raised an error: then the buffer
// is as before, and *sqlstate has the error's code. Allocates in the current memory context.
bool debezium_put_value(Buffer *buffer, DebeziumWriter *writer, Datum datum, int *sqlstate);

// Puts what stands for an unchanged value that the WAL does not have.
void debezium_put_placeholder(Buffer *buffer, const DebeziumWriter *writer);

// Puts bytes as a JSON string.
void debezium_put_binary(Buffer *buffer, BinaryMode mode, const char *bytes, size_t length);

// Puts a float8; NaN and infinities as strings.
void debezium_put_float8(Buffer *buffer, float8 number);

// Puts a numeric of a type with or without a scale of its own.
void debezium_put_numeric(Buffer *buffer, DecimalMode mode, bool has_scale, Datum datum);

// Puts a bit string: a boolean if it has one bit by its type, else its bits as bytes, the lowest
// first.
void debezium_put_bits(Buffer *buffer, int32 typmod, Datum datum);

void debezium_put_point(Buffer *buffer, Datum datum);

// Put points in time and spans of it.
void debezium_put_date(Buffer *buffer, TimeMode mode, DateADT date);
void debezium_put_time(Buffer *buffer, TimeMode mode, int32 typmod, TimeADT time);
void debezium_put_timetz(Buffer *buffer, const TimeTzADT *time);
void debezium_put_timestamp(Buffer *buffer, TimeMode mode, int32 typmod, Timestamp time);
void debezium_put_timestamptz(Buffer *buffer, int32 typmod, TimestampTz time);
void debezium_put_interval(Buffer *buffer, bool as_text, const Interval *interval);

// Microseconds since 1970, of a time that is finite.
int64 unix_microseconds(TimestampTz time);

// How many events of a table, or of messages, a transaction has.
struct DebeziumCount
{
	DebeziumCount *next_in_bucket;
	DebeziumCount *next;
	const char *name; // schema.table
	uint64 events;
};

constexpr int debezium_buckets = 128;

struct DebeziumState
{
	DebeziumModes modes;
	const char *topic_prefix;
	bool transactions; // they are told of
	Buffer head;       // `source` up to the time
	Buffer database;   // what follows, up to the LSN of the last commit
	XLogRecPtr last_commit;
	// of the current transaction
	uint64 transaction_number;
	bool begun;           // its BEGIN record was made
	size_t sequence_end;  // in its identity: what precedes the LSN in `sequence`,
	size_t times_end;     // what follows it, up to the names of the table,
	uint64 events;        // (the rest precedes the LSN)
	DebeziumCount *first; // in the order of their first events
	DebeziumCount **last;
	DebeziumCount *buckets[debezium_buckets];
};

// What is constant for a relation.
struct DebeziumRelation
{
	DebeziumWriter *writers; // of its columns
	Buffer names;            // "schema":...,"table":...
	const char *collection;  // schema.table
	bool by_primary_key;     // the key of records is the primary key, else the identity
	uint64 transaction_number;
	DebeziumCount *count; // of that transaction
};

// The place of an event.
struct DebeziumEvent
{
	const Transaction *transaction; // null if it belongs to none
	const Buffer *names;
	XLogRecPtr lsn;
	uint64 total_order;
	uint64 collection_order;
};

inline DebeziumState *
debezium_state(const Stream *stream)
{
	return (DebeziumState *) stream->format_state;
}

// Makes the state of a stream, with what it is by default, if it has none.
DebeziumState *debezium_make_state(Stream *stream);

// Takes an option of the format's own.
bool debezium_option(Stream *stream, const char *name, const char *value);

// Puts "source":{...},"transaction":...
void debezium_put_source(Stream *stream, const DebeziumEvent *event);

// Puts the time as of now: "ts_ms":...,"ts_us":...,"ts_ns":...
void debezium_put_now(Buffer *buffer);

// Counts an event, beginning the transaction if it is the first.
DebeziumEvent debezium_next_event(Stream *stream, const Transaction *transaction,
                                  const Buffer *names, DebeziumCount *count, XLogRecPtr lsn);

// The count of a table in the current transaction.
DebeziumCount *debezium_count(Stream *stream, const Transaction *transaction, const char *name);
DebeziumCount *debezium_relation_count(Stream *stream, const Transaction *transaction,
                                       const StreamRelation *relation);

// How a record of a change ends.
inline RecordEnd
debezium_record_end(const Stream *stream)
{
	return stream->options.metadata == MetadataMode::each ? RecordEnd::meta_and_brace
	                                                      : RecordEnd::brace;
}

void debezium_compile(Stream *stream, StreamRelation *relation, Relation rel);
void debezium_change(Stream *stream, Transaction *transaction, StreamRelation *relation,
                     const Change *change);

} // namespace carbonite
