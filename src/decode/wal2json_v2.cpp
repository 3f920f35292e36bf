// Version 2: an object for each change, begin and commit. PG world.

#include "decode/wal2json.hpp"

namespace carbonite
{
namespace
{

char *
type_name(const Wal2json *state, const StreamColumn *column)
{
	int32 typmod = column->typmod;
	Oid type = column->type;

	if (state->base_types && get_typtype(type) == TYPTYPE_DOMAIN)
		type = wal2json_domain_base(type, &typmod);
	return format_type_extended(type, typmod,
	                            FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_ALLOW_INVALID);
}

void
compile_column(const Wal2json *state, Wal2jsonColumn *column, Relation rel)
{
	const StreamColumn *shown = column->column;
	Buffer buffer;

	buffer_init(&buffer, CurrentMemoryContext, MaxAllocSize);
	put_text(&buffer, ",{\"name\":");
	put_json_string(&buffer, shown->name, strlen(shown->name));
	if (state->types)
	{
		put_text(&buffer, ",\"type\":");
		wal2json_put_type(&buffer, type_name(state, shown));
	}
	if (state->type_oids)
	{
		put_text(&buffer, ",\"typeoid\":");
		put_unsigned(&buffer, shown->type);
	}
	column->key = wal2json_copy(&buffer, "}");
	column->opening = wal2json_copy(&buffer, ",\"value\":");

	buffer_truncate(&buffer, 0);
	if (state->optionals)
		put_string(&buffer, shown->not_null ? ",\"optional\":false" : ",\"optional\":true");
	if (state->positions)
	{
		put_text(&buffer, ",\"position\":");
		put_integer(&buffer, shown->attnum);
	}
	if (state->defaults)
	{
		put_text(&buffer, ",\"default\":");
		wal2json_put_default(&buffer, rel, shown->attnum);
	}
	column->closing = wal2json_copy(&buffer, "}");
	text_writer_compile(&column->writer, shown->type, state->quoted_numbers);
}

void
put_row(Buffer *buffer, const StreamRelation *relation, const Row *row, Wal2jsonPart part)
{
	Wal2jsonRelation *compiled = (Wal2jsonRelation *) relation->format;
	uint32 skip = 1; // the comma before the first column

	for (int i = 0; i < compiled->ncolumns; i++)
	{
		Wal2jsonColumn *column = &compiled->columns[i];

		if (row->missing[column->index] || (part == Wal2jsonPart::identity && !column->in_identity))
			continue;
		put_bytes(buffer, column->opening.bytes + skip, column->opening.length - skip);
		wal2json_put_value(buffer, relation, column, row);
		if (unlikely(buffer->overflowed))
			return;
		if (part == Wal2jsonPart::columns)
			put(buffer, &column->closing);
		else
			put_char(buffer, '}');
		skip = 0;
	}
}

void
put_primary_key(Buffer *buffer, const StreamRelation *relation, const Row *row)
{
	const Wal2jsonRelation *compiled = (const Wal2jsonRelation *) relation->format;
	uint32 skip = 1;

	put_text(buffer, ",\"pk\":[");
	for (int i = 0; i < compiled->ncolumns; i++)
	{
		const Wal2jsonColumn *column = &compiled->columns[i];

		if (!column->in_primary_key || (row != nullptr && row->missing[column->index]))
			continue;
		put_bytes(buffer, column->key.bytes + skip, column->key.length - skip);
		skip = 0;
	}
	put_char(buffer, ']');
}

void
put_lsn_member(Buffer *buffer, const Wal2json *state, XLogRecPtr lsn)
{
	if (!state->lsns)
		return;
	put_text(buffer, ",\"lsn\":\"");
	put_lsn(buffer, lsn);
	put_char(buffer, '"');
}

// What identifies the row that a change is of, or null.
const Row *
identity_row(const StreamRelation *relation, const Change *change)
{
	if (change->op == RowOp::insert || change->old_row != nullptr)
		return change->old_row;
	// the key is as it was
	return relation->has_identity || relation->replica_identity == REPLICA_IDENTITY_FULL
	           ? change->row
	           : nullptr;
}

void
put_head(Stream *stream, const Transaction *transaction, const StreamRelation *relation,
         const Change *change)
{
	const Wal2jsonRelation *compiled = (const Wal2jsonRelation *) relation->format;
	Buffer *buffer = &stream->output.buffer;

	put(buffer, &compiled->heads[(int) change->op]);
	put_bytes(buffer, transaction->identity.data, transaction->identity.length);
	put_lsn_member(buffer, wal2json_state(stream), change->lsn);
	put(buffer, &compiled->table);
}

void
put_change(Stream *stream, const Transaction *transaction, const StreamRelation *relation,
           const Change *change)
{
	const Row *identity = identity_row(relation, change);
	Buffer *buffer = &stream->output.buffer;

	put_head(stream, transaction, relation, change);
	if (change->row != nullptr)
	{
		put_text(buffer, ",\"columns\":[");
		put_row(buffer, relation, change->row, Wal2jsonPart::columns);
		put_char(buffer, ']');
	}
	if (identity != nullptr)
	{
		put_text(buffer, ",\"identity\":[");
		put_row(buffer, relation, identity, Wal2jsonPart::identity);
		put_char(buffer, ']');
	}
	if (wal2json_state(stream)->primary_keys)
		put_primary_key(buffer, relation,
		                change->old_row != nullptr ? change->old_row : change->row);
	put_char(buffer, '}');
}

// Puts what is left of a change that is too large, or whose values must not be shown.
void
put_large_change(Stream *stream, const Transaction *transaction, const StreamRelation *relation,
                 const Change *change)
{
	const Row *identity = relation->withheld ? nullptr : identity_row(relation, change);
	Buffer *buffer = &stream->output.buffer;

	record_lift_limit(&stream->output);
	put_head(stream, transaction, relation, change);
	if (change->row != nullptr)
		put_text(buffer, ",\"columns\":[]");
	if (identity != nullptr)
	{
		size_t begin;
		size_t limit = buffer->limit;

		put_text(buffer, ",\"identity\":[");
		begin = buffer->length;
		buffer_set_limit(
			buffer, begin + Min(wal2json_most_identity_bytes, stream->options.max_record_bytes));
		put_row(buffer, relation, identity, Wal2jsonPart::identity);
		buffer_set_limit(buffer, limit);
		if (buffer->overflowed)
			buffer_truncate(buffer, begin);
		put_char(buffer, ']');
	}
	if (wal2json_state(stream)->primary_keys)
		put_primary_key(buffer, relation,
		                change->old_row != nullptr ? change->old_row : change->row);
	put_char(buffer, ',');
	if (relation->withheld)
		wal2json_put_withheld(buffer, wal2json_state(stream));
	else
		wal2json_put_omitted(buffer, wal2json_state(stream),
		                     wal2json_change_bytes(relation, change));
	put_char(buffer, '}');
}

// Puts what each record of a transaction says of it; without one, it is not known.
void
put_transaction(Buffer *buffer, const Wal2json *state, const Transaction *transaction)
{
	if (state->xids)
	{
		put_text(buffer, ",\"xid\":");
		if (transaction != nullptr)
			put_unsigned(buffer, transaction->xid);
		else
			put_text(buffer, "null");
	}
	if (state->timestamps && transaction != nullptr)
	{
		put_text(buffer, ",\"timestamp\":\"");
		put_string(buffer, timestamptz_to_str(transaction->time));
		put_char(buffer, '"');
	}
	else if (state->timestamps)
		put_text(buffer, ",\"timestamp\":null");
	if (state->origins)
	{
		put_text(buffer, ",\"origin\":");
		if (transaction != nullptr)
			put_unsigned(buffer, transaction->origin);
		else
			put_text(buffer, "null");
	}
}

// The first and the last record of a transaction.
void
put_boundary(Stream *stream, const Transaction *transaction, char action)
{
	const Wal2json *state = wal2json_state(stream);
	Buffer *buffer = &stream->output.buffer;

	record_begin(&stream->output);
	put_text(buffer, "{\"action\":\"");
	put_char(buffer, action);
	put_char(buffer, '"');
	put_bytes(buffer, transaction->identity.data, transaction->identity.length);
	put_lsn_member(buffer, state, transaction->lsn);
	if (state->lsns)
	{
		put_text(buffer, ",\"nextlsn\":\"");
		put_lsn(buffer, transaction->end_lsn);
		put_char(buffer, '"');
	}
	put_char(buffer, '}');
	record_end(&stream->output, stream->ctx->write_location, RecordEnd::as_it_is);
}

} // namespace

void
wal2json_compile_v2(const Wal2json *state, const StreamRelation *relation, Relation rel)
{
	static const char *const heads[] = {"{\"action\":\"I\"", "{\"action\":\"U\"",
	                                    "{\"action\":\"D\""};
	Wal2jsonRelation *compiled = (Wal2jsonRelation *) relation->format;
	Buffer buffer;

	for (int i = 0; i < 3; i++)
		compiled->heads[i] = Text{heads[i], (uint32) strlen(heads[i])};
	buffer_init(&buffer, CurrentMemoryContext, MaxAllocSize);
	if (state->schemas)
	{
		put_text(&buffer, ",\"schema\":");
		put_json_string(&buffer, relation->schema, strlen(relation->schema));
	}
	put_text(&buffer, ",\"table\":");
	put_json_string(&buffer, relation->name, strlen(relation->name));
	compiled->table = wal2json_copy(&buffer, "");
	for (int i = 0; i < compiled->ncolumns; i++)
		compile_column(state, &compiled->columns[i], rel);
}

void
wal2json_begin_v2(Stream *stream, Transaction *transaction)
{
	put_transaction(&transaction->identity, wal2json_state(stream), transaction);
	if (wal2json_state(stream)->transactions)
		put_boundary(stream, transaction, 'B');
}

void
wal2json_commit_v2(Stream *stream, Transaction *transaction)
{
	if (wal2json_state(stream)->transactions)
		put_boundary(stream, transaction, 'C');
}

void
wal2json_change_v2(Stream *stream, Transaction *transaction, StreamRelation *relation,
                   const Change *change)
{
	Output *output = &stream->output;

	record_begin(output);
	if (likely(!relation->withheld))
		put_change(stream, transaction, relation, change);
	if (unlikely(relation->withheld || record_overflowed(output)))
	{
		record_cancel(output);
		record_begin(output);
		put_large_change(stream, transaction, relation, change);
	}
	record_end(output, change->lsn, RecordEnd::as_it_is);
}

void
wal2json_truncate_v2(Stream *stream, Transaction *transaction, StreamRelation *relation,
                     XLogRecPtr lsn)
{
	Buffer *buffer = &stream->output.buffer;

	record_begin(&stream->output);
	put_text(buffer, "{\"action\":\"T\"");
	put_bytes(buffer, transaction->identity.data, transaction->identity.length);
	put_lsn_member(buffer, wal2json_state(stream), lsn);
	put(buffer, &wal2json_relation(relation)->table);
	put_char(buffer, '}');
	record_end(&stream->output, lsn, RecordEnd::as_it_is);
}

void
wal2json_message_v2(Stream *stream, Transaction *transaction, const Message *message,
                    const ShownMessage *shown)
{
	const Wal2json *state = wal2json_state(stream);
	Buffer *buffer = &stream->output.buffer;
	size_t begin;

	record_begin(&stream->output);
	put_text(buffer, "{\"action\":\"M\"");
	put_transaction(buffer, state, message->transactional ? transaction : nullptr);
	put_lsn_member(buffer, state, message->lsn);
	put_string(buffer, message->transactional ? ",\"transactional\":true,\"prefix\":"
	                                          : ",\"transactional\":false,\"prefix\":");
	begin = buffer->length;
	put_json_string(buffer, message->prefix, shown->prefix_length);
	put_text(buffer, ",\"content\":");
	put_json_string(buffer, message->content, shown->content_length);
	if (record_overflowed(&stream->output))
	{
		buffer_truncate(buffer, begin);
		record_lift_limit(&stream->output);
		put_json_string(buffer, message->prefix, shown->short_prefix_length);
		put_text(buffer, ",\"content\":null,");
		wal2json_put_omitted(buffer, state, message->length);
	}
	put_char(buffer, '}');
	record_end(&stream->output, message->lsn, RecordEnd::as_it_is);
}

} // namespace carbonite
