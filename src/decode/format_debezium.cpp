// The format `debezium`: the envelopes that Debezium's connector writes in JSON without schemas,
// and its records of transactions. docs/debezium.md describes it. PG world.

#include "decode/debezium.hpp"
#include "decode/record.hpp"

extern "C"
{
#include "commands/dbcommands.h"
#include "common/hashfn.h"
}

namespace carbonite
{
namespace
{

// What messages count as.
constexpr char message_collection[] = "LOGICAL_DECODING_MESSAGE";

uint32
hash_name(const char *name)
{
	return hash_bytes((const unsigned char *) name, (int) strlen(name));
}

// Puts "ts_us":...,"ts_ns":... of a time since 1970.
void
put_small_times(Buffer *buffer, int64 microseconds)
{
	put_text(buffer, "\"ts_us\":");
	put_integer(buffer, microseconds);
	put_text(buffer, ",\"ts_ns\":");
	put_integer(buffer, microseconds);
	put_text(buffer, "000");
}

void
put_milliseconds(Buffer *buffer, int64 microseconds)
{
	put_text(buffer, "\"ts_ms\":");
	put_integer(buffer, microseconds / 1000);
}

// Renders what `source` has in common in the whole stream. Names may need the catalog.
void
render_stream(Stream *stream)
{
	DebeziumState *state = debezium_state(stream);
	const char *prefix = state->topic_prefix;
	const char *database = get_database_name(MyDatabaseId);

	if (prefix == nullptr)
		prefix = NameStr(stream->ctx->slot->data.name);
	if (database == nullptr)
		database = "";
	buffer_init(&state->head, stream->context, MaxAllocSize);
	put_text(&state->head,
	         "\"source\":{\"version\":\"carbonite\",\"connector\":\"postgresql\",\"name\":");
	put_unicode_string(&state->head, prefix, strlen(prefix));
	put_text(&state->head, ",\"ts_ms\":");
	buffer_init(&state->database, stream->context, MaxAllocSize);
	put_text(&state->database, ",\"snapshot\":\"false\",\"db\":");
	put_unicode_string(&state->database, database, strlen(database));
	put_text(&state->database, ",\"sequence\":\"[");
}

void
startup(Stream *stream)
{
	bool in_transaction = IsTransactionState();

	// there may have been no option of the format
	debezium_make_state(stream);
	// a slot's stream starts outside of a transaction
	if (!in_transaction)
		StartTransactionCommand();
	render_stream(stream);
	if (!in_transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(stream->context);
}

// Puts `source` up to the LSN in its member `sequence`.
void
put_source_head(Buffer *buffer, const DebeziumState *state, int64 time)
{
	put_bytes(buffer, state->head.data, state->head.length);
	put_integer(buffer, time / 1000);
	put_bytes(buffer, state->database.data, state->database.length);
	if (XLogRecPtrIsInvalid(state->last_commit))
		put_text(buffer, "null");
	else
	{
		put_text(buffer, "\\\"");
		put_unsigned(buffer, state->last_commit);
		put_text(buffer, "\\\"");
	}
	put_text(buffer, ",\\\"");
}

// Puts what follows, up to the names of the table.
void
put_source_times(Buffer *buffer, int64 time)
{
	put_text(buffer, "\\\"]\",");
	put_small_times(buffer, time);
	put_char(buffer, ',');
}

// Renders what the records of a transaction have in common.
void
begin(Stream *stream, Transaction *transaction)
{
	DebeziumState *state = debezium_state(stream);
	Buffer *identity = &transaction->identity;
	int64 time = unix_microseconds(transaction->time);

	state->transaction_number++;
	state->begun = false;
	state->events = 0;
	state->first = nullptr;
	state->last = &state->first;
	memset(state->buckets, 0, sizeof(state->buckets));

	put_source_head(identity, state, time);
	state->sequence_end = identity->length;
	put_source_times(identity, time);
	state->times_end = identity->length;
	put_text(identity, ",\"txId\":");
	put_unsigned(identity, transaction->xid);
	put_text(identity, ",\"lsn\":");
}

// Puts the id of a transaction, which is another one at each place.
void
put_transaction_id(Buffer *buffer, const Transaction *transaction, XLogRecPtr lsn)
{
	put_text(buffer, "\"id\":\"");
	put_unsigned(buffer, transaction->xid);
	put_char(buffer, ':');
	put_unsigned(buffer, lsn);
	put_char(buffer, '"');
}

void
put_begin(Stream *stream, const Transaction *transaction, XLogRecPtr lsn)
{
	Buffer *buffer = &stream->output.buffer;
	bool has_meta = stream->options.metadata != MetadataMode::commit;

	record_begin(&stream->output);
	put_text(buffer, "{\"status\":\"BEGIN\",");
	put_transaction_id(buffer, transaction, lsn);
	put_text(buffer, ",\"event_count\":null,\"data_collections\":null,");
	put_milliseconds(buffer, unix_microseconds(transaction->time));
	record_end(&stream->output, lsn, has_meta ? RecordEnd::all_meta : RecordEnd::brace);
}

void
put_counts(Buffer *buffer, const DebeziumState *state)
{
	put_char(buffer, '[');
	for (const DebeziumCount *count = state->first; count != nullptr; count = count->next)
	{
		if (count != state->first)
			put_char(buffer, ',');
		put_text(buffer, "{\"data_collection\":");
		put_unicode_string(buffer, count->name, strlen(count->name));
		put_text(buffer, ",\"event_count\":");
		put_unsigned(buffer, count->events);
		put_char(buffer, '}');
	}
	put_char(buffer, ']');
}

void
put_end(Stream *stream, const Transaction *transaction, bool has_counts)
{
	const DebeziumState *state = debezium_state(stream);
	Buffer *buffer = &stream->output.buffer;

	put_text(buffer, "{\"status\":\"END\",");
	put_transaction_id(buffer, transaction, transaction->end_lsn);
	put_text(buffer, ",\"event_count\":");
	put_unsigned(buffer, state->events);
	put_text(buffer, ",\"data_collections\":");
	if (has_counts)
		put_counts(buffer, state);
	else
		put_text(buffer, "null");
	put_char(buffer, ',');
	put_milliseconds(buffer, unix_microseconds(transaction->time));
}

void
commit(Stream *stream, Transaction *transaction)
{
	DebeziumState *state = debezium_state(stream);

	if (state->begun && state->transactions)
	{
		record_begin(&stream->output);
		put_end(stream, transaction, true);
		if (record_overflowed(&stream->output))
		{
			record_cancel(&stream->output);
			record_lift_limit(&stream->output);
			put_end(stream, transaction, false);
		}
		record_end(&stream->output, stream->ctx->write_location, RecordEnd::all_meta);
	}
	state->last_commit = transaction->end_lsn;
}

void
truncate(Stream *stream, Transaction *transaction, StreamRelation *relation, bool, bool,
         XLogRecPtr lsn)
{
	const DebeziumRelation *constants = (const DebeziumRelation *) relation->format;
	DebeziumEvent event =
		debezium_next_event(stream, transaction, &constants->names,
	                        debezium_relation_count(stream, transaction, relation), lsn);
	Buffer *buffer = &stream->output.buffer;

	record_begin(&stream->output);
	put_text(buffer, "{\"before\":null,\"after\":null,");
	debezium_put_source(stream, &event);
	put_text(buffer, ",\"op\":\"t\",");
	debezium_put_now(buffer);
	record_end(&stream->output, lsn, debezium_record_end(stream));
}

void
put_message(Stream *stream, const DebeziumEvent *event, const Message *message, bool has_content)
{
	Buffer *buffer = &stream->output.buffer;

	put_text(buffer, "{\"op\":\"m\",");
	put_milliseconds(buffer, unix_microseconds(GetCurrentTimestamp()));
	put_char(buffer, ',');
	debezium_put_source(stream, event);
	put_text(buffer, ",\"message\":{\"prefix\":");
	put_unicode_string(buffer, message->prefix, strlen(message->prefix));
	put_text(buffer, ",\"content\":");
	if (has_content)
		debezium_put_binary(buffer, debezium_state(stream)->modes.binaries, message->content,
		                    message->length);
	else
		put_text(buffer, "null");
	put_char(buffer, '}');
	if (!has_content)
		put_omitted_bytes(buffer, message->content, message->length);
}

void
make_message(Stream *stream, const DebeziumEvent *event, const Message *message)
{
	record_begin(&stream->output);
	put_message(stream, event, message, true);
	if (record_overflowed(&stream->output))
	{
		Message brief = *message;

		brief.prefix = brief_text(message->prefix);
		record_cancel(&stream->output);
		record_lift_limit(&stream->output);
		put_message(stream, event, &brief, false);
	}
	record_end(&stream->output, message->lsn,
	           event->transaction != nullptr ? debezium_record_end(stream) : RecordEnd::brace);
}

void
message(Stream *stream, Transaction *transaction, const Message *message)
{
	Buffer names;
	DebeziumEvent event = {};
	MemoryContext context = CurrentMemoryContext;
	// a message that belongs to no transaction may be decoded outside of any; encodings are
	// converted in transactions only
	bool in_transaction = IsTransactionState() || GetDatabaseEncoding() == PG_UTF8;

	buffer_init(&names, CurrentMemoryContext, MaxAllocSize);
	put_text(&names, "\"schema\":\"\",\"table\":\"\"");
	if (transaction != nullptr)
		event = debezium_next_event(stream, transaction, &names,
		                            debezium_count(stream, transaction, message_collection),
		                            message->lsn);
	event.names = &names;
	event.lsn = message->lsn;
	if (!in_transaction)
		StartTransactionCommand();
	make_message(stream, &event, message);
	if (!in_transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

constexpr Format
make_format(void)
{
	Format format = {};

	format.name = "debezium";
	format.option = debezium_option;
	format.startup = startup;
	format.compile = debezium_compile;
	format.begin = begin;
	format.change = debezium_change;
	format.truncate = truncate;
	format.message = message;
	format.commit = commit;
	format.fills_rows = true;
	format.takes_metadata = true;
	return format;
}

} // namespace

const Format format_debezium = make_format();

void
debezium_put_now(Buffer *buffer)
{
	int64 time = unix_microseconds(GetCurrentTimestamp());

	put_milliseconds(buffer, time);
	put_char(buffer, ',');
	put_small_times(buffer, time);
}

DebeziumCount *
debezium_count(Stream *stream, const Transaction *transaction, const char *name)
{
	DebeziumState *state = debezium_state(stream);
	DebeziumCount **bucket = &state->buckets[hash_name(name) % debezium_buckets];
	DebeziumCount *count = *bucket;

	while (count != nullptr && strcmp(count->name, name) != 0)
		count = count->next_in_bucket;
	if (count != nullptr)
		return count;
	count = (DebeziumCount *) MemoryContextAllocZero(transaction->context, sizeof(DebeziumCount));
	count->name = MemoryContextStrdup(transaction->context, name);
	count->next_in_bucket = *bucket;
	*bucket = count;
	*state->last = count;
	state->last = &count->next;
	return count;
}

DebeziumCount *
debezium_relation_count(Stream *stream, const Transaction *transaction,
                        const StreamRelation *relation)
{
	DebeziumRelation *constants = (DebeziumRelation *) relation->format;
	uint64 number = debezium_state(stream)->transaction_number;

	if (constants->transaction_number != number)
	{
		constants->count = debezium_count(stream, transaction, constants->collection);
		constants->transaction_number = number;
	}
	return constants->count;
}

DebeziumEvent
debezium_next_event(Stream *stream, const Transaction *transaction, const Buffer *names,
                    DebeziumCount *count, XLogRecPtr lsn)
{
	DebeziumState *state = debezium_state(stream);

	if (!state->begun && state->transactions)
		put_begin(stream, transaction, lsn);
	state->begun = true;
	return DebeziumEvent{transaction, names, lsn, ++state->events, ++count->events};
}

void
debezium_put_source(Stream *stream, const DebeziumEvent *event)
{
	const DebeziumState *state = debezium_state(stream);
	const Transaction *transaction = event->transaction;
	Buffer *buffer = &stream->output.buffer;

	if (transaction != nullptr)
	{
		const Buffer *identity = &transaction->identity;

		put_bytes(buffer, identity->data, state->sequence_end);
		put_unsigned(buffer, event->lsn);
		put_bytes(buffer, identity->data + state->sequence_end,
		          state->times_end - state->sequence_end);
		put_bytes(buffer, event->names->data, event->names->length);
		put_bytes(buffer, identity->data + state->times_end, identity->length - state->times_end);
	}
	else
	{
		int64 time = unix_microseconds(GetCurrentTimestamp());

		put_source_head(buffer, state, time);
		put_unsigned(buffer, event->lsn);
		put_source_times(buffer, time);
		put_bytes(buffer, event->names->data, event->names->length);
		put_text(buffer, ",\"txId\":null,\"lsn\":");
	}
	put_unsigned(buffer, event->lsn);
	put_text(buffer, ",\"xmin\":null},\"transaction\":");
	if (transaction == nullptr || !state->transactions)
	{
		put_text(buffer, "null");
		return;
	}
	put_char(buffer, '{');
	put_transaction_id(buffer, transaction, event->lsn);
	put_text(buffer, ",\"total_order\":");
	put_unsigned(buffer, event->total_order);
	put_text(buffer, ",\"data_collection_order\":");
	put_unsigned(buffer, event->collection_order);
	put_char(buffer, '}');
}

} // namespace carbonite
