// The format of wal2json, for the clients that were written for it. PG world.

#include "decode/wal2json.hpp"

namespace carbonite
{
namespace
{

// What is shown of a message's prefix if its content is not.
constexpr size_t most_short_prefix = 1024;

// How many bytes of a text in the server encoding are valid, up to the first zero.
size_t
valid_length(const char *text, size_t length)
{
	int encoding = GetDatabaseEncoding();
	const char *end = (const char *) memchr(text, '\0', length);
	size_t valid = 0;

	if (end != nullptr)
		length = (size_t) (end - text);
	if (pg_verify_mbstr(encoding, text, (int) length, true))
		return length;
	while (valid < length)
	{
		size_t width = (size_t) pg_encoding_mblen(encoding, text + valid);

		if (width > length - valid || !pg_verify_mbstr(encoding, text + valid, (int) width, true))
			break;
		valid += width;
	}
	return valid;
}

// wal2json knows neither prefixes nor annotations: their tables are like others.
void
defaults(Options *options)
{
	options->audit_tables = true;
	options->annotations = false;
}

void
startup(Stream *stream)
{
	Wal2json *state = wal2json_make_state(stream);
	Options *options = &stream->options;

	state->newline = state->pretty ? "\n" : "";
	state->space = state->pretty ? " " : "";
	state->indent = "\t\t\t\t";
	if (state->partition_roots)
		options->partitions = PartitionNaming::root;
	else if (options->partitions == PartitionNaming::recorded)
		options->partitions = PartitionNaming::leaf;
}

bool
filter_origin(Stream *stream, RepOriginId origin)
{
	return origin != InvalidRepOriginId &&
	       list_member_oid(wal2json_state(stream)->excluded_origins, origin);
}

// Shows that a transaction begins: at once, or with its first record, if those without are not
// shown.
void
show_begin(Stream *stream, Transaction *transaction)
{
	Wal2json *state = wal2json_state(stream);

	if (likely(state->begun))
		return;
	state->begun = true;
	if (state->version == 1)
		wal2json_begin_v1(stream, transaction);
	else
		wal2json_begin_v2(stream, transaction);
}

void
begin(Stream *stream, Transaction *transaction)
{
	wal2json_state(stream)->begun = false;
	if (wal2json_state(stream)->empty_transactions)
		show_begin(stream, transaction);
}

// Can nothing tell which row it is that an update or delete is of?
bool
is_keyless(const StreamRelation *relation, const Change *change)
{
	return change->op != RowOp::insert && change->old_row == nullptr && !relation->has_identity &&
	       relation->replica_identity != REPLICA_IDENTITY_FULL;
}

void
change(Stream *stream, Transaction *transaction, StreamRelation *relation, const Change *change)
{
	const Wal2json *state = wal2json_state(stream);
	Wal2jsonRelation *compiled = wal2json_relation(relation);

	if (!state->keyless && is_keyless(relation, change))
	{
		if (!compiled->warned)
			ereport(WARNING, (errmsg("updates and deletes of table \"%s.%s\" are left out",
			                         relation->schema, relation->name),
			                  errdetail("It has no replica identity.")));
		compiled->warned = true;
		return;
	}
	show_begin(stream, transaction);
	if (state->version == 1)
		wal2json_change_v1(stream, relation, change);
	else
		wal2json_change_v2(stream, transaction, relation, change);
}

void
truncate(Stream *stream, Transaction *transaction, StreamRelation *relation, bool, bool,
         XLogRecPtr lsn)
{
	// version 1 has no word for it
	if (wal2json_state(stream)->version == 1)
		return;
	show_begin(stream, transaction);
	wal2json_truncate_v2(stream, transaction, relation, lsn);
}

void
message(Stream *stream, Transaction *transaction, const Message *message)
{
	const Wal2json *state = wal2json_state(stream);
	ShownMessage shown;

	if (!wal2json_wants_message(state, message->prefix))
		return;
	shown.prefix_length = valid_length(message->prefix, strlen(message->prefix));
	shown.short_prefix_length =
		(size_t) pg_mbcliplen(message->prefix, (int) shown.prefix_length, most_short_prefix);
	shown.content_length = valid_length(message->content, message->length);
	if (message->transactional)
		show_begin(stream, transaction);
	if (state->version == 1)
		wal2json_message_v1(stream, message, &shown);
	else
		wal2json_message_v2(stream, transaction, message, &shown);
}

void
commit(Stream *stream, Transaction *transaction)
{
	if (!wal2json_state(stream)->begun)
		return;
	if (wal2json_state(stream)->version == 1)
		wal2json_commit_v1(stream);
	else
		wal2json_commit_v2(stream, transaction);
}

constexpr Format
make_format()
{
	Format format = {};

	format.name = "wal2json";
	format.option = wal2json_option;
	format.defaults = defaults;
	format.startup = startup;
	format.compile = wal2json_compile;
	format.filter_origin = filter_origin;
	format.begin = begin;
	format.change = change;
	format.truncate = truncate;
	format.message = message;
	format.commit = commit;
	format.eager = true;
	return format;
}

} // namespace

const Format format_wal2json = make_format();

} // namespace carbonite
