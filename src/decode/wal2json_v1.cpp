// Version 1: an object for each transaction, in one message, or in one for each part of it. PG
// world.

#include "decode/wal2json_v1.hpp"

extern "C"
{
#include "replication/walsender.h"
}

namespace carbonite
{
namespace
{

// A message has at most 1 GB. Longer transactions go on in the next message.
constexpr size_t most_message_bytes = 256 * 1024 * 1024;

// Begins an element of a transaction's list, and a message if each is one.
void
begin_element(Stream *stream)
{
	Wal2json *state = wal2json_state(stream);
	Buffer *buffer = &stream->output.buffer;

	if (state->chunks)
		record_begin(&stream->output);
	buffer_set_limit(buffer, buffer->length + stream->options.max_record_bytes);
	if (!state->chunks)
		put_string(buffer, state->newline);
	put_indent(buffer, state, 2);
	if (state->changes++ > 0)
		put_char(buffer, ',');
}

// Ends an element, and the message if it is one, or if the next might not fit.
void
end_element(Stream *stream, XLogRecPtr lsn)
{
	Output *output = &stream->output;
	bool chunks = wal2json_state(stream)->chunks;

	if (!chunks && output->buffer.length < most_message_bytes)
		return;
	record_end(output, lsn, RecordEnd::as_it_is);
	if (chunks)
		return;
	output_flush(output, "", 0);
	record_begin(output);
}

// What identifies the row that a change is of, or null.
const Row *
identity_row(const StreamRelation *relation, const Change *change)
{
	if (change->op == RowOp::insert)
		return nullptr;
	if (change->old_row != nullptr || change->op == RowOp::remove)
		return change->old_row;
	// the key is as it was
	return relation->has_identity || relation->replica_identity == REPLICA_IDENTITY_FULL
	           ? change->row
	           : nullptr;
}

void
put_change(Stream *stream, const StreamRelation *relation, const Change *change, bool large)
{
	const Wal2json *state = wal2json_state(stream);
	const Wal2jsonRelation *compiled = (const Wal2jsonRelation *) relation->format;
	const Row *identity = relation->withheld ? nullptr : identity_row(relation, change);
	Buffer *buffer = &stream->output.buffer;

	put(buffer, &compiled->heads[(int) change->op]);
	if (change->row != nullptr)
	{
		put_comma(buffer, state);
		wal2json_put_row_v1(stream, relation, change->row, Wal2jsonPart::columns, large);
	}
	if (state->primary_keys && relation->has_primary_key)
	{
		put_comma(buffer, state);
		put(buffer, &compiled->primary_key);
	}
	if (identity != nullptr)
	{
		put_comma(buffer, state);
		wal2json_put_row_v1(stream, relation, identity, Wal2jsonPart::identity, large);
	}
	if (unlikely(large))
	{
		put_comma(buffer, state);
		put_indent(buffer, state, 3);
		if (relation->withheld)
			wal2json_put_withheld(buffer, state);
		else
			wal2json_put_omitted(buffer, state, wal2json_change_bytes(relation, change));
	}
	put_string(buffer, state->newline);
	put_indent(buffer, state, 2);
	put_char(buffer, '}');
}

void
put_message(Buffer *buffer, const Wal2json *state, const Message *message,
            const ShownMessage *shown, bool large)
{
	put_char(buffer, '{');
	put_string(buffer, state->newline);
	put_label(buffer, state, 3, "kind");
	put_text(buffer, "\"message\"");
	put_comma(buffer, state);
	put_label(buffer, state, 3, "transactional");
	put_string(buffer, message->transactional ? "true" : "false");
	put_comma(buffer, state);
	put_label(buffer, state, 3, "prefix");
	put_json_string(buffer, message->prefix,
	                large ? shown->short_prefix_length : shown->prefix_length);
	put_comma(buffer, state);
	put_label(buffer, state, 3, "content");
	if (large)
	{
		put_text(buffer, "null");
		put_comma(buffer, state);
		put_indent(buffer, state, 3);
		wal2json_put_omitted(buffer, state, message->length);
	}
	else
		put_json_string(buffer, message->content, shown->content_length);
	put_string(buffer, state->newline);
	put_indent(buffer, state, 2);
	put_char(buffer, '}');
}

// A message that belongs to no transaction is an object of its own.
void
put_lone_message(Buffer *buffer, const Wal2json *state, const Message *message,
                 const ShownMessage *shown, bool large)
{
	put_char(buffer, '{');
	put_string(buffer, state->newline);
	put_label(buffer, state, 1, "change");
	put_char(buffer, '[');
	put_string(buffer, state->newline);
	put_indent(buffer, state, 2);
	put_message(buffer, state, message, shown, large);
	put_string(buffer, state->newline);
	put_indent(buffer, state, 1);
	put_char(buffer, ']');
	put_string(buffer, state->newline);
	put_char(buffer, '}');
}

} // namespace

void
wal2json_begin_v1(Stream *stream, Transaction *transaction)
{
	Wal2json *state = wal2json_state(stream);
	Buffer *buffer = &stream->output.buffer;

	state->changes = 0;
	// a walsender's message says where the transaction began, a function's row where it ended
	state->location = am_walsender ? stream->ctx->write_location : InvalidXLogRecPtr;
	record_begin(&stream->output);
	put_char(buffer, '{');
	put_string(buffer, state->newline);
	if (state->xids)
	{
		put_label(buffer, state, 1, "xid");
		put_unsigned(buffer, transaction->xid);
		put_comma(buffer, state);
	}
	if (state->lsns)
	{
		put_label(buffer, state, 1, "nextlsn");
		put_char(buffer, '"');
		put_lsn(buffer, transaction->end_lsn);
		put_char(buffer, '"');
		put_comma(buffer, state);
	}
	if (state->timestamps)
	{
		put_label(buffer, state, 1, "timestamp");
		put_char(buffer, '"');
		put_string(buffer, timestamptz_to_str(transaction->time));
		put_char(buffer, '"');
		put_comma(buffer, state);
	}
	if (state->origins)
	{
		put_label(buffer, state, 1, "origin");
		put_unsigned(buffer, transaction->origin);
		put_comma(buffer, state);
	}
	put_label(buffer, state, 1, "change");
	put_char(buffer, '[');
	if (state->chunks)
		record_end(&stream->output, stream->ctx->write_location, RecordEnd::as_it_is);
}

void
wal2json_change_v1(Stream *stream, StreamRelation *relation, const Change *change)
{
	Buffer *buffer = &stream->output.buffer;
	size_t begin;

	begin_element(stream);
	begin = buffer->length;

	put_change(stream, relation, change, relation->withheld);
	if (unlikely(buffer->overflowed))
	{
		buffer_truncate(buffer, begin);
		record_lift_limit(&stream->output);
		put_change(stream, relation, change, true);
	}
	end_element(stream, change->lsn);
}

void
wal2json_message_v1(Stream *stream, const Message *message, const ShownMessage *shown)
{
	const Wal2json *state = wal2json_state(stream);
	Buffer *buffer = &stream->output.buffer;
	void (*write)(Buffer *, const Wal2json *, const Message *, const ShownMessage *, bool);
	size_t begin;

	if (message->transactional)
	{
		begin_element(stream);
		write = put_message;
	}
	else
	{
		record_begin(&stream->output);
		write = put_lone_message;
	}
	begin = buffer->length;
	write(buffer, state, message, shown, false);
	if (buffer->overflowed)
	{
		buffer_truncate(buffer, begin);
		record_lift_limit(&stream->output);
		write(buffer, state, message, shown, true);
	}
	if (message->transactional)
		end_element(stream, message->lsn);
	else
		record_end(&stream->output, message->lsn, RecordEnd::as_it_is);
}

void
wal2json_commit_v1(Stream *stream)
{
	const Wal2json *state = wal2json_state(stream);
	Buffer *buffer = &stream->output.buffer;

	if (state->chunks)
		record_begin(&stream->output);
	else
	{
		record_lift_limit(&stream->output);
		put_string(buffer, state->newline);
	}
	put_indent(buffer, state, 1);
	put_char(buffer, ']');
	put_string(buffer, state->newline);
	put_char(buffer, '}');
	record_end(&stream->output,
	           state->location != InvalidXLogRecPtr && !state->chunks ? state->location
	                                                                  : stream->ctx->write_location,
	           RecordEnd::as_it_is);
}

} // namespace carbonite
