// Bytes of records, which grow up to a limit. Nothing that is put into a buffer fails: what goes
// beyond the limit is left out, and the buffer says that it overflowed. PG world.
#pragma once

#include <cstring>

#include "pg.hpp"

namespace carbonite
{

struct Buffer
{
	char *data;
	size_t length;
	size_t capacity;
	size_t limit;
	size_t end; // where the room ends: the capacity or the limit; 0 once it overflowed
	bool overflowed;
	MemoryContext context;
};

void buffer_init(Buffer *buffer, MemoryContext context, size_t limit);

// Makes room, growing the buffer; false if the limit does not allow that.
bool buffer_grow(Buffer *buffer, size_t bytes);

// Changes the limit.
inline void
buffer_set_limit(Buffer *buffer, size_t limit)
{
	buffer->limit = limit;
	buffer->end = buffer->overflowed ? 0 : Min(buffer->capacity, limit);
}

// Returns to an earlier length, as if nothing had been put since.
inline void
buffer_truncate(Buffer *buffer, size_t length)
{
	buffer->length = length;
	buffer->overflowed = false;
	buffer_set_limit(buffer, buffer->limit);
}

// Lets nothing be put any more.
inline void
buffer_overflow(Buffer *buffer)
{
	buffer->overflowed = true;
	buffer->end = 0;
}

// Frees what a large record has left, so that memory stays bounded.
void buffer_shrink(Buffer *buffer, size_t capacity);

inline bool
buffer_reserve(Buffer *buffer, size_t bytes)
{
	if (likely(buffer->length + bytes <= buffer->end))
		return true;
	return buffer_grow(buffer, bytes);
}

inline void
put_bytes(Buffer *buffer, const char *bytes, size_t length)
{
	// of nothing, even the address may be null
	if (unlikely(length == 0 || !buffer_reserve(buffer, length)))
		return;
	memcpy(buffer->data + buffer->length, bytes, length);
	buffer->length += length;
}

// Puts a string literal.
template <size_t size>
inline void
put_text(Buffer *buffer, const char (&text)[size])
{
	put_bytes(buffer, text, size - 1);
}

inline void
put_string(Buffer *buffer, const char *string)
{
	put_bytes(buffer, string, strlen(string));
}

inline void
put_char(Buffer *buffer, char c)
{
	if (unlikely(!buffer_reserve(buffer, 1)))
		return;
	buffer->data[buffer->length++] = c;
}

void put_unsigned(Buffer *buffer, uint64 number);
void put_integer(Buffer *buffer, int64 number);

// Puts an LSN as PostgreSQL writes it: 0/16B3748, without quotes.
void put_lsn(Buffer *buffer, XLogRecPtr lsn);

// Puts bytes in hexadecimal, lower case.
void put_hex(Buffer *buffer, const char *bytes, size_t length);

// Puts bytes in base64, without line breaks.
void put_base64(Buffer *buffer, const char *bytes, size_t length);

// Puts a JSON string of text in the server encoding, as escape_json() does it: the same bytes.
void put_json_string(Buffer *buffer, const char *text, size_t length);

// The same, but in databases that are not UTF-8 everything beyond ASCII becomes \u escapes, so that
// it is JSON for every reader.
void put_unicode_string(Buffer *buffer, const char *text, size_t length);

// The same for text that is JSON already.
void put_unicode_json(Buffer *buffer, const char *json, size_t length);

} // namespace carbonite
