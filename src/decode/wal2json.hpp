// The format of wal2json, versions 1 and 2, byte for byte: what a client chose, what is constant
// for a relation, and what the parts of the format share. PG world.
#pragma once

#include "decode/stream.hpp"

namespace carbonite
{

// A table of filter-tables or add-tables.
struct Wal2jsonTable
{
	const char *schema; // null: any
	const char *table;  // null: any
};

struct Wal2json
{
	int version;
	bool transactions;
	bool empty_transactions; // they are shown too
	bool xids;
	bool timestamps;
	bool origins;
	bool schemas;
	bool types;
	bool type_oids;
	bool typmods;
	bool base_types; // of domains
	bool positions;
	bool optionals;
	bool defaults;
	bool primary_keys;
	bool lsns;
	bool partition_roots;
	bool pretty;
	bool chunks;
	bool quoted_numbers;
	bool keyless; // updates and deletes of rows that nothing identifies are shown
	bool all_tables;
	List *tables; // of Wal2jsonTable
	List *excluded_tables;
	List *excluded_origins; // their numbers
	List *message_prefixes;
	List *excluded_message_prefixes;
	const char *newline; // these are empty unless `pretty`
	const char *space;
	const char *indent;  // four tabs
	bool begun;          // the transaction's beginning is shown
	uint64 changes;      // of the transaction, so far
	XLogRecPtr location; // of a transaction's only message
};

// Bytes that are made once and put often.
struct Text
{
	const char *bytes;
	uint32 length;
};

// How the text of a value is made.
enum class TextKind : uint8
{
	boolean,
	int2,
	int4,
	int8,
	oid,
	float4,
	float8,
	numeric,
	text, // the datum's bytes are the text
	name,
	bytea,
	uuid,
	date,
	timestamp,
	timestamptz,
	other, // by the type's output function
};

struct TextWriter
{
	TextKind kind;
	bool bare; // a number, a boolean, or hexadecimal digits; else a string
	bool is_varlena;
	FmgrInfo function;
};

// The lists of a row in version 1.
enum class RowList : uint8
{
	names,
	types,
	type_oids,
	positions,
	optionals,
	defaults,
};
constexpr int row_list_count = 6;

struct Wal2jsonColumn
{
	int index; // of Row's arrays
	bool in_identity;
	bool in_primary_key;
	const StreamColumn *column;
	TextWriter writer;
	Text lists[row_list_count]; // version 1: what each list has of the column
	Text opening;               // version 2: a comma, the object, up to its value
	Text closing;               // behind the value of a new row
	Text key;                   // the object without a value, for a primary key
};

struct Wal2jsonRelation
{
	int ncolumns;
	Wal2jsonColumn *columns;
	Text heads[3];       // by RowOp; version 2: what precedes the transaction's part
	Text table;          // version 2: the names
	Text all_columns;    // version 1: the lists of a new row, if all its columns are shown
	Text whole_identity; // version 1: the same for what identifies a row
	Text primary_key;    // version 1
	bool warned;
};

// What is shown of a message: it may have bytes that are no text.
struct ShownMessage
{
	size_t prefix_length;
	size_t short_prefix_length; // beside a content that is too large
	size_t content_length;
};

// What of a row is put: its columns, or what identifies it.
enum class Wal2jsonPart : uint8
{
	columns,
	identity,
};

inline Wal2json *
wal2json_state(Stream *stream)
{
	return (Wal2json *) stream->format_state;
}

inline Wal2jsonRelation *
wal2json_relation(StreamRelation *relation)
{
	return (Wal2jsonRelation *) relation->format;
}

inline void
put(Buffer *buffer, const Text *text)
{
	put_bytes(buffer, text->bytes, text->length);
}

inline Text
take_text(const Buffer *buffer)
{
	return Text{buffer->data, (uint32) buffer->length};
}

// wal2json_options.cpp
Wal2json *wal2json_make_state(Stream *stream);
bool wal2json_option(Stream *stream, const char *name, const char *value);
bool wal2json_wants_table(const Wal2json *state, const char *schema, const char *table);
bool wal2json_wants_message(const Wal2json *state, const char *prefix);

// wal2json_relation.cpp
void wal2json_compile(Stream *stream, StreamRelation *relation, Relation rel);

// A copy of a buffer and what follows it.
Text wal2json_copy(const Buffer *buffer, const char *ending);

// The base type of a domain, one step down, and its typmod.
Oid wal2json_domain_base(Oid domain, int32 *typmod);

// Puts a type's name as a JSON string.
void wal2json_put_type(Buffer *buffer, const char *name);

// Puts the text of a column's default as a JSON string, or null.
void wal2json_put_default(Buffer *buffer, Relation rel, AttrNumber attnum);

// What a record that was too large has instead.
constexpr size_t wal2json_most_identity_bytes = 64 * 1024;
void wal2json_put_omitted(Buffer *buffer, const Wal2json *state, uint64 bytes);
void wal2json_put_withheld(Buffer *buffer, const Wal2json *state);

// wal2json_value.cpp
// `shown` is the type that decides how a value looks, which is the base type of a domain or the
// domain.
void text_writer_compile(TextWriter *writer, Oid shown, bool quoted_numbers);
void put_text_value(Buffer *buffer, TextWriter *writer, Datum datum);

// Puts a value of a row, or what masks it.
void wal2json_put_value(Buffer *buffer, const StreamRelation *relation, Wal2jsonColumn *column,
                        const Row *row);

// How many bytes the values of a change have.
uint64 wal2json_change_bytes(const StreamRelation *relation, const Change *change);

// wal2json_v1.cpp
void wal2json_compile_v1(const Wal2json *state, const StreamRelation *relation, Relation rel);
void wal2json_begin_v1(Stream *stream, Transaction *transaction);
void wal2json_change_v1(Stream *stream, StreamRelation *relation, const Change *change);
void wal2json_message_v1(Stream *stream, const Message *message, const ShownMessage *shown);
void wal2json_commit_v1(Stream *stream);

// wal2json_v2.cpp
void wal2json_compile_v2(const Wal2json *state, const StreamRelation *relation, Relation rel);
void wal2json_begin_v2(Stream *stream, Transaction *transaction);
void wal2json_change_v2(Stream *stream, Transaction *transaction, StreamRelation *relation,
                        const Change *change);
void wal2json_truncate_v2(Stream *stream, Transaction *transaction, StreamRelation *relation,
                          XLogRecPtr lsn);
void wal2json_message_v2(Stream *stream, Transaction *transaction, const Message *message,
                         const ShownMessage *shown);
void wal2json_commit_v2(Stream *stream, Transaction *transaction);

} // namespace carbonite
