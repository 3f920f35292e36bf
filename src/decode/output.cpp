// Messages. The server sends each one at once, with a system call, so the fewer the better; but
// nothing is held back longer than `batch_delay`, beyond the end of a transaction, or beyond what
// the bounds on memory allow. PG world.

#include "decode/output.hpp"

extern "C"
{
// libpq-be.h wants the headers of Kerberos, for nothing that is used here
#define LIBPQ_BE_H
	typedef struct Port Port;
	typedef struct ClientSocket ClientSocket;
#include "libpq/libpq.h"
}

namespace carbonite
{
namespace
{

// Looking at the clock costs more than most records.
constexpr int ticks_per_look = 16;

// A walsender's message begins with 'w', two LSNs, and the time at which it is sent.
constexpr int header_time_offset = 1 + 2 * sizeof(XLogRecPtr);
constexpr int header_bytes = header_time_offset + sizeof(TimestampTz);

// More metadata than this is not repeated on every record: the first and the last have it.
constexpr size_t most_repeated_bytes = 16 * 1024;
constexpr char much_meta[] = ",\"meta\":{\"carbonite_omitted\":true}}";

// Metadata may be many times as large as the records that it is added to. A message of several
// records ends when it is this large, and a queue of them is sent.
constexpr size_t most_message_bytes = 16 * 1024 * 1024;
constexpr size_t most_queued_bytes = 1024 * 1024;

// What large records may leave allocated.
constexpr size_t kept_bytes = 512 * 1024;

void
append(LogicalDecodingContext *ctx, const char *bytes, size_t length)
{
	appendBinaryStringInfo(ctx->out, bytes, (int) length);
}

void
append_record(Output *output, int index, const char *meta, size_t meta_length)
{
	size_t begin = index > 0 ? output->records[index - 1].end : 0;
	const Record *record = &output->records[index];

	append(output->ctx, output->buffer.data + begin, record->end - begin);
	if (record->how == RecordEnd::meta_and_brace && meta_length > most_repeated_bytes)
		append(output->ctx, much_meta, strlen(much_meta));
	else if ((record->how == RecordEnd::meta_and_brace || record->how == RecordEnd::all_meta) &&
	         meta_length > 0)
	{
		append(output->ctx, ",\"meta\":{", strlen(",\"meta\":{"));
		append(output->ctx, meta, meta_length);
		append(output->ctx, "}}", 2);
	}
	else if (record->how != RecordEnd::as_it_is)
		append(output->ctx, "}", 1);
}

// Leaves a walsender's message, which has a header, to the system call that sends the next one, as
// WalSndWriteData() would have sent it.
void
queue_message(LogicalDecodingContext *ctx)
{
	int64 now = (int64) pg_hton64((uint64) GetCurrentTimestamp());

	memcpy(ctx->out->data + header_time_offset, &now, sizeof(now));
	ctx->prepared_write = false;
	pq_putmessage_noblock('d', ctx->out->data, (size_t) ctx->out->len);
}

// Sends some records in one message. If there is `more`, it may wait for that.
void
send(Output *output, int first, int count, bool more, const char *meta, size_t meta_length)
{
	LogicalDecodingContext *ctx = output->ctx;
	XLogRecPtr location = ctx->write_location;
	bool has_header;

	ctx->write_location = output->records[first + count - 1].lsn;
	OutputPluginPrepareWrite(ctx, true);
	has_header = ctx->out->len == header_bytes;
	for (int i = first; i < first + count; i++)
	{
		if (i > first)
			append(ctx, "\n", 1);
		append_record(output, i, meta, meta_length);
	}
	output->bytes_sent += (uint64) ctx->out->len;
	if (more && has_header && output->queued < most_queued_bytes)
	{
		output->queued += (size_t) ctx->out->len;
		queue_message(ctx);
	}
	else
	{
		output->queued = 0;
		OutputPluginWrite(ctx, true);
	}
	ctx->write_location = location;
}

// How many records, from one on, go into a message.
int
count_records(const Output *output, int first, size_t meta_length)
{
	size_t bytes = 0;
	int count = 0;

	if (output->batch_bytes == 0 || output->separate)
		return 1;
	for (int i = first; i < output->nrecords; i++, count++)
	{
		bytes += output->records[i].end - (i > 0 ? output->records[i - 1].end : 0) +
		         Min(meta_length, most_repeated_bytes);
		if (count > 0 && bytes > most_message_bytes)
			break;
	}
	return count;
}

// The server never makes its buffer smaller.
void
shrink_message(LogicalDecodingContext *ctx)
{
	MemoryContext caller;

	if ((size_t) ctx->out->maxlen <= kept_bytes)
		return;
	caller = MemoryContextSwitchTo(GetMemoryChunkContext(ctx->out->data));
	pfree(ctx->out->data);
	initStringInfo(ctx->out);
	MemoryContextSwitchTo(caller);
}

} // namespace

void
output_init(Output *output, LogicalDecodingContext *ctx, MemoryContext context)
{
	*output = Output{};
	output->ctx = ctx;
	buffer_init(&output->buffer, context, MaxAllocHugeSize);
	output->capacity = 64;
	output->records =
		(Record *) MemoryContextAlloc(context, sizeof(Record) * (size_t) output->capacity);
}

void
record_begin(Output *output)
{
	// what an error in the middle of a record has left
	record_cancel(output);
	buffer_set_limit(&output->buffer, output->buffer.length + output->max_record_bytes);
}

void
record_lift_limit(Output *output)
{
	buffer_set_limit(&output->buffer, MaxAllocHugeSize);
}

void
record_cancel(Output *output)
{
	buffer_truncate(&output->buffer,
	                output->nrecords > 0 ? output->records[output->nrecords - 1].end : 0);
}

void
record_end(Output *output, XLogRecPtr lsn, RecordEnd how)
{
	Assert(!output->buffer.overflowed);
	if (output->nrecords == output->capacity)
	{
		output->capacity *= 2;
		output->records =
			(Record *) repalloc(output->records, sizeof(Record) * (size_t) output->capacity);
	}
	if (output->nrecords == 0)
		output->since = 0;
	output->records[output->nrecords++] = Record{output->buffer.length, lsn, how};
}

void
output_maybe_flush(Output *output, const char *meta, size_t meta_length)
{
	size_t bytes = output->buffer.length;

	if (output->nrecords == 0)
		return;
	if (output->hold && bytes < output->hold_bytes)
		return;
	if (bytes >= output->batch_bytes || output->hold)
		output_flush(output, meta, meta_length);
	else if (++output->ticks >= ticks_per_look)
	{
		TimestampTz now = GetCurrentTimestamp();

		output->ticks = 0;
		if (output->since == 0)
			output->since = now;
		if (now - output->since >= (int64) output->batch_delay * 1000)
			output_flush(output, meta, meta_length);
	}
}

void
output_flush(Output *output, const char *meta, size_t meta_length)
{
	if (output->nrecords == 0)
		return;
	for (int first = 0, count = 0; first < output->nrecords; first += count)
	{
		count = count_records(output, first, meta_length);
		send(output, first, count, first + count < output->nrecords, meta, meta_length);
	}
	output->nrecords = 0;
	buffer_truncate(&output->buffer, 0);
	buffer_shrink(&output->buffer, Max(kept_bytes, output->hold_bytes * 2));
	shrink_message(output->ctx);
	// no more records of this transaction wait
	output->hold = false;
}

} // namespace carbonite
