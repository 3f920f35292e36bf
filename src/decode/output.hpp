// Records on their way into messages: many records travel in one message, as sending costs more
// than making them; and records wait, up to a bound, for metadata that comes after them. PG world.
#pragma once

#include "decode/buffer.hpp"

namespace carbonite
{

// How a record ends.
enum class RecordEnd : uint8
{
	as_it_is,       // nothing is added
	brace,          // its closing brace
	meta_and_brace, // the transaction's metadata, if there is any, and the brace
	all_meta        // the same, also if that is much
};

struct Record
{
	size_t end; // in the buffer
	XLogRecPtr lsn;
	RecordEnd how;
};

struct Output
{
	LogicalDecodingContext *ctx;
	Buffer buffer;
	Record *records;
	int nrecords;
	int capacity;
	size_t max_record_bytes;
	size_t batch_bytes; // 0: each record is a message of its own
	bool separate;      // each is one even so; only the system calls are saved
	int batch_delay;    // ms
	bool hold;          // records wait for metadata
	size_t hold_bytes;  // how many bytes may wait
	TimestampTz since;  // when the clock was first looked at with these records; 0 before
	int ticks;
	uint64 bytes_sent;
	size_t queued; // bytes that wait for the next system call
};

void output_init(Output *output, LogicalDecodingContext *ctx, MemoryContext context);

// Begins a record: what is put into output->buffer from now on belongs to it.
void record_begin(Output *output);

// Lets the record that was begun be as large as it is: what stands for one that did not fit.
void record_lift_limit(Output *output);

// Forgets what was put since.
void record_cancel(Output *output);

inline bool
record_overflowed(const Output *output)
{
	return output->buffer.overflowed;
}

// Ends a record that did not overflow. `lsn` is what its message says where it is.
void record_end(Output *output, XLogRecPtr lsn, RecordEnd how);

// Sends records if there are enough of them, or if they have waited long enough. `meta` is a JSON
// object without its braces, maybe empty.
void output_maybe_flush(Output *output, const char *meta, size_t meta_length);

// Sends all records.
void output_flush(Output *output, const char *meta, size_t meta_length);

} // namespace carbonite
