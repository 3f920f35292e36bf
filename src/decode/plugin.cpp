// The output plugin: what the server calls while it decodes the WAL. PG world.

#include "decode/stream.hpp"

extern "C"
{
	PGDLLEXPORT void carbonite_wal2json_init(OutputPluginCallbacks *callbacks);
}

namespace carbonite
{
namespace
{

Stream *
stream_of(LogicalDecodingContext *ctx)
{
	return (Stream *) ctx->output_plugin_private;
}

// How many bytes travel together. A walsender can send messages together, so that records which
// are a message each cost little more than others.
void
choose_batches(Stream *stream)
{
	stream->output.batch_bytes = stream->options.batch_bytes;
	if (am_walsender && stream->options.batch_bytes == 0)
	{
		stream->output.separate = true;
		stream->output.batch_bytes = 64 * 1024;
	}
}

void
startup(LogicalDecodingContext *ctx, OutputPluginOptions *options, const Format *format)
{
	static bool registered = false;
	MemoryContext context =
		AllocSetContextCreate(ctx->context, "carbonite stream", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Stream *stream = (Stream *) palloc0(sizeof(Stream));

	if (!registered)
		relations_register_callbacks();
	registered = true;
	options->output_type = OUTPUT_PLUGIN_TEXTUAL_OUTPUT;
	stream->ctx = ctx;
	stream->context = context;
	stream->scratch = AllocSetContextCreate(context, "carbonite change", ALLOCSET_DEFAULT_SIZES);
	stream->format = format;
	stream->whole.context =
		AllocSetContextCreate(context, "carbonite transaction", ALLOCSET_SMALL_SIZES);
	output_init(&stream->output, ctx, context);
	options_read(stream, ctx->output_plugin_options);
	policy_read(stream);
	choose_batches(stream);
	stream->output.batch_delay = stream->options.batch_delay;
	stream->output.max_record_bytes = stream->options.max_record_bytes;
	if (stream->format->startup != nullptr)
		stream->format->startup(stream);
	choose_streaming(ctx, stream->options.streaming && stream->format->abort != nullptr,
	                 stream->format->prepare != nullptr);
	relations_init(stream);
	ctx->output_plugin_private = stream;
	MemoryContextSwitchTo(caller);
}

void
startup_carbonite(LogicalDecodingContext *ctx, OutputPluginOptions *options, bool)
{
	startup(ctx, options, &format_carbonite);
}

void
startup_wal2json(LogicalDecodingContext *ctx, OutputPluginOptions *options, bool)
{
	startup(ctx, options, &format_wal2json);
}

// A 32-bit transaction id as the one of 64 bits that SQL shows.
uint64
full_transaction_id(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32 epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return (uint64) epoch << 32 | xid;
}

// The name of an origin, or null. Prepared transactions end outside of a transaction of the server.
const char *
find_origin_name(RepOriginId origin)
{
	MemoryContext context = CurrentMemoryContext;
	bool in_transaction = IsTransactionState();
	char *name;

	if (origin == InvalidRepOriginId)
		return nullptr;
	if (!in_transaction)
		StartTransactionCommand();
	if (replorigin_by_oid(origin, true, &name))
		name = MemoryContextStrdup(context, name);
	else
		name = nullptr;
	if (!in_transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return name;
}

// Is a transaction none of the client's business?
bool
is_skipped(const Stream *stream, const Transaction *transaction)
{
	const Options *options = &stream->options;
	ListCell *cell;

	if (options->resume && !XLogRecPtrIsInvalid(transaction->lsn) &&
	    transaction->lsn < options->resume_lsn)
		return true;
	if (options->any_origin)
		return false;
	if (transaction->origin == InvalidRepOriginId)
		return !options->local_origin;
	foreach (cell, options->origins)
		if (transaction->origin_name != nullptr &&
		    strcmp((const char *) lfirst(cell), transaction->origin_name) == 0)
			return false;
	return true;
}

// What is known of a transaction when its decoding begins or goes on.
void
describe(Transaction *transaction, const ReorderBufferTXN *txn)
{
	transaction->xid = txn->xid;
	transaction->origin = txn->origin_id;
	transaction->gid = transaction_gid(txn);
	if (transaction->in_progress)
		return;
	transaction->lsn = txn->final_lsn;
	transaction->end_lsn = txn->end_lsn;
	transaction->time = transaction_time(txn);
}

void
prepare_transaction(Transaction *transaction, const ReorderBufferTXN *txn, bool in_progress)
{
	MemoryContext context = transaction->context;

	*transaction = Transaction{};
	transaction->context = context;
	transaction->in_progress = in_progress;
	transaction->full_xid = full_transaction_id(txn->xid);
	context = MemoryContextSwitchTo(context);
	transaction->origin_name = find_origin_name(txn->origin_id);
	context = MemoryContextSwitchTo(context);
	buffer_init(&transaction->identity, context, MaxAllocSize);
	metadata_init(&transaction->meta, context);
	describe(transaction, txn);
}

void
begin(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	Stream *stream = stream_of(ctx);
	Transaction *transaction = &stream->whole;

	// what an error has left
	MemoryContextReset(transaction->context);
	prepare_transaction(transaction, txn, false);
	transaction->skipped = is_skipped(stream, transaction);
	policy_refresh(stream);
	stream->current = transaction;
	if (stream->format->eager && !transaction->skipped)
		stream_begin_records(stream, transaction);
}

// The last record of a transaction, and what is left to send.
void
end(Stream *stream, Transaction *transaction,
    void (*last_record)(Stream *stream, Transaction *transaction))
{
	bool begun = transaction->begun;

	if (begun && last_record != nullptr)
		last_record(stream, transaction);
	stream_flush(stream, transaction);
	update_progress_compat(stream->ctx, !begun);
	stream->quiet_changes = 0;
	stream->current = nullptr;
}

void
commit(LogicalDecodingContext *ctx, ReorderBufferTXN *, XLogRecPtr)
{
	Stream *stream = stream_of(ctx);

	end(stream, &stream->whole, stream->format->commit);
	MemoryContextReset(stream->whole.context);
}

void
change(LogicalDecodingContext *ctx, ReorderBufferTXN *, Relation rel, ReorderBufferChange *what)
{
	stream_change(stream_of(ctx), rel, what);
}

void
truncate(LogicalDecodingContext *ctx, ReorderBufferTXN *, int count, Relation rels[],
         ReorderBufferChange *what)
{
	stream_truncate(stream_of(ctx), count, rels, what);
}

void
message(LogicalDecodingContext *ctx, ReorderBufferTXN *, XLogRecPtr lsn, bool transactional,
        const char *prefix, Size length, const char *content)
{
	Stream *stream = stream_of(ctx);
	Message what = {transactional, prefix, content, length, lsn};

	if (!transactional && stream->options.resume && lsn <= stream->options.resume_lsn)
		return;
	stream_message(stream, transactional ? stream->current : nullptr, &what);
}

bool
filter_origin(LogicalDecodingContext *ctx, RepOriginId origin)
{
	Stream *stream = stream_of(ctx);
	const Options *options = &stream->options;

	if (stream->format->filter_origin != nullptr && stream->format->filter_origin(stream, origin))
		return true;
	// names are looked at when transactions begin, where the catalog can be read
	if (options->any_origin)
		return false;
	return origin == InvalidRepOriginId ? !options->local_origin : options->origins == NIL;
}

void
prepare(LogicalDecodingContext *ctx, ReorderBufferTXN *, XLogRecPtr)
{
	Stream *stream = stream_of(ctx);

	end(stream, &stream->whole, stream->format->prepare);
	MemoryContextReset(stream->whole.context);
}

// What became of a prepared transaction, whose changes were sent when it was prepared.
void
end_prepared(Stream *stream, ReorderBufferTXN *txn, XLogRecPtr lsn,
             void (*record)(Stream *stream, Transaction *transaction))
{
	Transaction *transaction = &stream->whole;

	MemoryContextReset(transaction->context);
	prepare_transaction(transaction, txn, false);
	transaction->lsn = lsn;
	transaction->begun = true;
	transaction->skipped = is_skipped(stream, transaction);
	if (!transaction->skipped)
		end(stream, transaction, record);
	MemoryContextReset(transaction->context);
}

void
commit_prepared(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn)
{
	end_prepared(stream_of(ctx), txn, lsn, stream_of(ctx)->format->commit_prepared);
}

void
rollback_prepared(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr, TimestampTz)
{
	end_prepared(stream_of(ctx), txn, txn->final_lsn, stream_of(ctx)->format->rollback_prepared);
}

Transaction *
find_in_progress(const Stream *stream, TransactionId xid)
{
	Transaction *transaction = stream->in_progress;

	while (transaction != nullptr && transaction->xid != xid)
		transaction = transaction->next;
	return transaction;
}

void
stream_start(LogicalDecodingContext *ctx, ReorderBufferTXN *txn)
{
	Stream *stream = stream_of(ctx);
	Transaction *transaction = find_in_progress(stream, txn->xid);

	if (transaction == nullptr)
	{
		MemoryContext context = AllocSetContextCreate(
			stream->context, "carbonite transaction in progress", ALLOCSET_SMALL_SIZES);

		transaction = (Transaction *) MemoryContextAllocZero(context, sizeof(Transaction));
		transaction->context = context;
		prepare_transaction(transaction, txn, true);
		transaction->skipped = is_skipped(stream, transaction);
		transaction->next = stream->in_progress;
		stream->in_progress = transaction;
	}
	policy_refresh(stream);
	stream->current = transaction;
	if (transaction->begun)
		stream->output.hold = false;
}

void
stream_stop(LogicalDecodingContext *ctx, ReorderBufferTXN *)
{
	Stream *stream = stream_of(ctx);

	if (stream->current != nullptr)
		stream_flush(stream, stream->current);
	stream->current = nullptr;
}

void
forget(Stream *stream, Transaction *transaction)
{
	Transaction **place = &stream->in_progress;

	while (*place != transaction)
		place = &(*place)->next;
	*place = transaction->next;
	MemoryContextDelete(transaction->context);
}

void
stream_abort(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr lsn)
{
	Stream *stream = stream_of(ctx);
	ReorderBufferTXN *top = toplevel_transaction(txn);
	Transaction *transaction = find_in_progress(stream, top->xid);

	if (transaction == nullptr)
		return;
	metadata_forget(&transaction->meta, txn->xid);
	if (transaction->begun)
	{
		stream->format->abort(stream, transaction, txn == top ? InvalidTransactionId : txn->xid,
		                      lsn);
		stream_flush(stream, transaction);
	}
	if (txn == top)
		forget(stream, transaction);
}

// The end of a transaction that was sent in part.
void
stream_end(LogicalDecodingContext *ctx, ReorderBufferTXN *txn,
           void (*last_record)(Stream *stream, Transaction *transaction))
{
	Stream *stream = stream_of(ctx);
	Transaction *transaction = find_in_progress(stream, txn->xid);

	if (transaction == nullptr)
		return;
	transaction->lsn = txn->final_lsn;
	transaction->end_lsn = txn->end_lsn;
	transaction->time = transaction_time(txn);
	transaction->gid = transaction_gid(txn);
	end(stream, transaction, last_record);
	forget(stream, transaction);
}

void
stream_prepare(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr)
{
	stream_end(ctx, txn, stream_of(ctx)->format->prepare);
}

void
stream_commit(LogicalDecodingContext *ctx, ReorderBufferTXN *txn, XLogRecPtr)
{
	stream_end(ctx, txn, stream_of(ctx)->format->commit);
}

// The callbacks of PostgreSQL 14 and later.
template <typename Callbacks>
void
set_streaming_callbacks(Callbacks *callbacks)
{
	if constexpr (requires { callbacks->stream_start_cb; })
	{
		callbacks->begin_prepare_cb = begin;
		callbacks->prepare_cb = prepare;
		callbacks->commit_prepared_cb = commit_prepared;
		callbacks->rollback_prepared_cb = rollback_prepared;
		callbacks->stream_start_cb = stream_start;
		callbacks->stream_stop_cb = stream_stop;
		callbacks->stream_abort_cb = stream_abort;
		callbacks->stream_prepare_cb = stream_prepare;
		callbacks->stream_commit_cb = stream_commit;
		callbacks->stream_change_cb = change;
		callbacks->stream_message_cb = message;
		callbacks->stream_truncate_cb = truncate;
	}
}

void
set_callbacks(OutputPluginCallbacks *callbacks, LogicalDecodeStartupCB startup_callback)
{
	callbacks->startup_cb = startup_callback;
	callbacks->begin_cb = begin;
	callbacks->change_cb = change;
	callbacks->truncate_cb = truncate;
	callbacks->commit_cb = commit;
	callbacks->message_cb = message;
	callbacks->filter_by_origin_cb = filter_origin;
	set_streaming_callbacks(callbacks);
}

} // namespace
} // namespace carbonite

// Where the server finds the plugin `carbonite`.
void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	carbonite::set_callbacks(callbacks, carbonite::startup_carbonite);
}

// Where the library that stands in for wal2json finds it.
void
carbonite_wal2json_init(OutputPluginCallbacks *callbacks)
{
	carbonite::set_callbacks(callbacks, carbonite::startup_wal2json);
}
