// The format `carbonite`: a line of JSON for each record. docs/stream-format.md describes it, and
// docs/stream-format.schema.json defines it. PG world.

#include "decode/carbonite_change.hpp"
#include "decode/record.hpp"

namespace carbonite
{
namespace
{

constexpr int format_version = 1;

Buffer *
begin_record(Stream *stream)
{
	record_begin(&stream->output);
	return &stream->output.buffer;
}

// Puts what each record says of its transaction.
void
put_identity(Buffer *buffer, const Transaction *transaction)
{
	if (!XLogRecPtrIsInvalid(transaction->lsn))
	{
		put_text(buffer, "\"lsn\":\"");
		put_lsn(buffer, transaction->lsn);
		put_text(buffer, "\",");
	}
	put_text(buffer, "\"xid\":");
	put_unsigned(buffer, transaction->full_xid);
	if (!XLogRecPtrIsInvalid(transaction->lsn))
	{
		put_text(buffer, ",\"time\":");
		put_timestamptz(buffer, transaction->time);
	}
	if (transaction->origin_name != nullptr)
	{
		put_text(buffer, ",\"origin\":");
		put_unicode_string(buffer, transaction->origin_name, strlen(transaction->origin_name));
	}
	if (transaction->gid != nullptr && transaction->gid[0] != '\0')
	{
		put_text(buffer, ",\"gid\":");
		put_unicode_string(buffer, transaction->gid, strlen(transaction->gid));
	}
	if (transaction->in_progress && XLogRecPtrIsInvalid(transaction->lsn))
		put_text(buffer, ",\"in_progress\":true");
}

void
begin(Stream *stream, Transaction *transaction)
{
	Buffer *buffer = begin_record(stream);
	bool has_meta = stream->options.metadata != MetadataMode::commit;

	put_identity(&transaction->identity, transaction);
	put_text(buffer, "{\"kind\":\"begin\",\"version\":");
	put_unsigned(buffer, format_version);
	put_char(buffer, ',');
	put_bytes(buffer, transaction->identity.data, transaction->identity.length);
	record_end(&stream->output, stream->ctx->write_location,
	           has_meta ? RecordEnd::all_meta : RecordEnd::brace);
}

// Puts a record that ends a transaction, or a stage of it.
void
put_end(Stream *stream, Transaction *transaction, const char *kind, bool has_counts)
{
	Buffer *buffer = begin_record(stream);

	put_text(buffer, "{\"kind\":\"");
	put_string(buffer, kind);
	put_text(buffer, "\",");
	put_identity(buffer, transaction);
	put_text(buffer, ",\"end_lsn\":\"");
	put_lsn(buffer, transaction->end_lsn);
	put_char(buffer, '"');
	if (has_counts)
	{
		put_text(buffer, ",\"records\":");
		put_unsigned(buffer, transaction->records);
	}
	record_end(&stream->output, stream->ctx->write_location, RecordEnd::all_meta);
}

void
commit(Stream *stream, Transaction *transaction)
{
	put_end(stream, transaction, "commit", true);
}

void
prepare(Stream *stream, Transaction *transaction)
{
	put_end(stream, transaction, "prepare", true);
}

void
commit_prepared(Stream *stream, Transaction *transaction)
{
	put_end(stream, transaction, "commit_prepared", false);
}

void
rollback_prepared(Stream *stream, Transaction *transaction)
{
	put_end(stream, transaction, "rollback_prepared", false);
}

void
abort_part(Stream *stream, Transaction *transaction, TransactionId subxid, XLogRecPtr lsn)
{
	Buffer *buffer = begin_record(stream);

	put_text(buffer, "{\"kind\":\"abort\",\"xid\":");
	put_unsigned(buffer, transaction->full_xid);
	if (TransactionIdIsValid(subxid))
	{
		put_text(buffer, ",\"subxid\":");
		put_unsigned(buffer, subxid);
	}
	record_end(&stream->output, lsn, RecordEnd::brace);
}

void
put_table(Buffer *buffer, const char *schema, const char *table)
{
	put_text(buffer, ",\"schema\":");
	put_unicode_string(buffer, schema, strlen(schema));
	put_text(buffer, ",\"table\":");
	put_unicode_string(buffer, table, strlen(table));
}

void
truncate(Stream *stream, Transaction *transaction, StreamRelation *relation, bool cascade,
         bool restart_identity, XLogRecPtr lsn)
{
	Buffer *buffer = begin_record(stream);

	carbonite_put_head(stream, transaction, "truncate", strlen("truncate"));
	put_table(buffer, relation->schema, relation->name);
	put_string(buffer, cascade ? ",\"cascade\":true" : ",\"cascade\":false");
	put_string(buffer,
	           restart_identity ? ",\"restart_identity\":true" : ",\"restart_identity\":false");
	record_end(&stream->output, lsn, carbonite_record_end(stream));
}

// Can the content of a message be shown as text? Encodings are converted in transactions only.
bool
is_text(const Message *message)
{
	return (GetDatabaseEncoding() == PG_UTF8 || IsTransactionState()) &&
	       memchr(message->content, '\0', message->length) == nullptr &&
	       pg_verifymbstr(message->content, (int) message->length, true);
}

void
put_content(Buffer *buffer, const Message *message)
{
	if (is_text(message))
	{
		put_text(buffer, ",\"content\":");
		put_unicode_string(buffer, message->content, message->length);
		return;
	}
	put_text(buffer, ",\"content_base64\":\"");
	put_base64(buffer, message->content, message->length);
	put_char(buffer, '"');
}

void
put_message_head(Stream *stream, const Transaction *transaction, const Message *message)
{
	Buffer *buffer = &stream->output.buffer;

	if (transaction != nullptr)
		carbonite_put_head(stream, transaction, "message", strlen("message"));
	else
	{
		put_text(buffer, "{\"kind\":\"message\",\"lsn\":\"");
		put_lsn(buffer, message->lsn);
		put_text(buffer, "\",\"seq\":0");
	}
	put_string(buffer,
	           message->transactional ? ",\"transactional\":true" : ",\"transactional\":false");
	put_text(buffer, ",\"prefix\":");
	put_unicode_string(buffer, message->prefix, strlen(message->prefix));
}

void
message(Stream *stream, Transaction *transaction, const Message *message)
{
	Buffer *buffer = begin_record(stream);

	put_message_head(stream, transaction, message);
	put_content(buffer, message);
	if (record_overflowed(&stream->output))
	{
		Message brief = *message;

		brief.prefix = brief_text(message->prefix);
		record_cancel(&stream->output);
		record_lift_limit(&stream->output);
		put_message_head(stream, transaction, &brief);
		put_omitted_bytes(buffer, message->content, message->length);
	}
	record_end(&stream->output, message->lsn,
	           transaction != nullptr ? carbonite_record_end(stream) : RecordEnd::brace);
}

void
put_ddl_head(Stream *stream, const Transaction *transaction, const Ddl *ddl)
{
	Buffer *buffer = &stream->output.buffer;

	carbonite_put_head(stream, transaction, "ddl", strlen("ddl"));
	put_table(buffer, ddl->schema, ddl->table);
	put_text(buffer, ",\"command\":");
	put_unicode_string(buffer, ddl->command, strlen(ddl->command));
}

void
ddl(Stream *stream, Transaction *transaction, const Ddl *ddl)
{
	Buffer *buffer = begin_record(stream);

	put_ddl_head(stream, transaction, ddl);
	put_text(buffer, ",\"details\":");
	put_jsonb(buffer, &ddl->details->root);
	if (record_overflowed(&stream->output))
	{
		Ddl brief = *ddl;

		brief.schema = brief_text(ddl->schema);
		brief.table = brief_text(ddl->table);
		brief.command = brief_text(ddl->command);
		record_cancel(&stream->output);
		record_lift_limit(&stream->output);
		put_ddl_head(stream, transaction, &brief);
		put_omitted_bytes(buffer, VARDATA(ddl->details), VARSIZE(ddl->details) - VARHDRSZ);
	}
	record_end(&stream->output, ddl->lsn, carbonite_record_end(stream));
}

constexpr Format
make_format(void)
{
	Format format = {};

	format.name = "carbonite";
	format.compile = carbonite_compile;
	format.begin = begin;
	format.change = carbonite_change;
	format.truncate = truncate;
	format.message = message;
	format.ddl = ddl;
	format.commit = commit;
	format.prepare = prepare;
	format.commit_prepared = commit_prepared;
	format.rollback_prepared = rollback_prepared;
	format.abort = abort_part;
	format.in_batches = true;
	format.fills_rows = true;
	format.takes_metadata = true;
	return format;
}

} // namespace

const Format format_carbonite = make_format();

void
carbonite_put_head(Stream *stream, const Transaction *transaction, const char *kind,
                   size_t kind_length)
{
	Buffer *buffer = &stream->output.buffer;

	put_text(buffer, "{\"kind\":\"");
	put_bytes(buffer, kind, kind_length);
	put_text(buffer, "\",");
	put_bytes(buffer, transaction->identity.data, transaction->identity.length);
	put_text(buffer, ",\"seq\":");
	put_unsigned(buffer, transaction->sequence);
	if (transaction->in_progress && transaction->subxid != transaction->xid)
	{
		put_text(buffer, ",\"subxid\":");
		put_unsigned(buffer, transaction->subxid);
	}
}

} // namespace carbonite
