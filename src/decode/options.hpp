// What a client asks for when it starts a stream. PG world.
#pragma once

#include "decode/pattern.hpp"

namespace carbonite
{

struct Stream;

enum class MetadataMode : uint8
{
	each,   // on every record
	begin,  // on the first record of a transaction, and on its last
	commit, // on the last only
};

enum class PartitionNaming : uint8
{
	recorded, // as triggers says, else by the root
	root,
	leaf,
};

struct Options
{
	MetadataMode metadata;
	bool annotations; // metadata from messages and annotation tables counts
	bool streaming;
	bool actions[4]; // insert, update, delete, truncate
	bool messages;
	bool ddl;
	bool audit_tables; // the tables of prefixes are shown like others
	bool audited_only; // tables that no prefix records are not shown
	PartitionNaming partitions;
	List *tables; // of NamePattern; NIL: all
	List *exclude_tables;
	List *columns;
	List *exclude_columns;
	List *publications; // names
	bool any_origin;    // else only transactions of `origins`, and local ones if `local_origin`
	bool local_origin;
	List *origins;
	List *message_prefixes; // patterns; NIL: all
	List *exclude_message_prefixes;
	bool has_batch_bytes; // the client chose it
	size_t batch_bytes;
	int batch_delay; // ms
	size_t max_record_bytes;
	size_t metadata_buffer;
	bool resume;
	XLogRecPtr resume_lsn;  // what came before it is not sent,
	uint64 resume_sequence; // nor of the transaction at it the changes up to this one
};

// Reads the options of a stream, the format's own included. Errors: 22023 for an unknown option or
// a value that is not understood.
void options_read(Stream *stream, List *given);

// Does the client want a table?
bool options_choose_table(const Options *options, const char *schema, const char *table);

// Values, for formats' own options. Null means that only the name was given.
bool option_boolean(const char *name, const char *value);
int64 option_number(const char *name, const char *value, int64 least, int64 most);

} // namespace carbonite
