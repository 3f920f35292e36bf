// Buffers, numbers and JSON strings. PG world.

#include "decode/buffer.hpp"
#include "caught.hpp"

namespace carbonite
{
namespace
{

// What stands for a byte in a JSON string: 0 for itself, 'u' for \u00XX, else the letter after the
// backslash.
struct EscapeTable
{
	char letter[256];

	constexpr EscapeTable() : letter{}
	{
		for (int i = 0; i < 0x20; i++)
			letter[i] = 'u';
		letter['\b'] = 'b';
		letter['\f'] = 'f';
		letter['\n'] = 'n';
		letter['\r'] = 'r';
		letter['\t'] = 't';
		letter['"'] = '"';
		letter['\\'] = '\\';
	}
};

constexpr EscapeTable escapes;
constexpr char hex_digits[] = "0123456789abcdef";

// Most buffers hold a name: a compiled relation has one for each column.
constexpr size_t least_capacity = 64;

// How many input bytes are escaped at a time: each may need six.
constexpr size_t escape_chunk = 2048;

// Does none of eight bytes need an escape? A byte does if it is below 0x20, '"' or '\'.
inline bool
eight_plain_bytes(const char *bytes)
{
	constexpr uint64 ones = UINT64CONST(0x0101010101010101);
	constexpr uint64 highs = ones * 0x80;
	uint64 word;
	uint64 quote;
	uint64 backslash;

	memcpy(&word, bytes, sizeof(word));
	quote = word ^ (ones * '"');
	backslash = word ^ (ones * '\\');
	return ((((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
	         ((backslash - ones) & ~backslash)) &
	        highs) == 0;
}

// The number of bytes that escape() makes.
size_t
escaped_length(const char *bytes, size_t length)
{
	size_t result = 0;

	for (size_t i = 0; i < length; i++)
	{
		char letter = escapes.letter[(unsigned char) bytes[i]];

		result += letter == 0 ? 1 : letter == 'u' ? 6 : 2;
	}
	return result;
}

// Escapes bytes into memory that has room for six times as many; returns the end.
char *
escape(char *out, const char *bytes, size_t length)
{
	const char *end = bytes + length;

	while (bytes < end)
	{
		unsigned char c;
		char letter;

		if (end - bytes >= 8 && eight_plain_bytes(bytes))
		{
			memcpy(out, bytes, 8);
			out += 8;
			bytes += 8;
			continue;
		}
		c = (unsigned char) *bytes++;
		letter = escapes.letter[c];
		if (likely(letter == 0))
		{
			*out++ = (char) c;
			continue;
		}
		*out++ = '\\';
		*out++ = letter;
		if (letter == 'u')
		{
			*out++ = '0';
			*out++ = '0';
			*out++ = hex_digits[c >> 4];
			*out++ = hex_digits[c & 0x0F];
		}
	}
	return out;
}

void
put_utf16_escape(Buffer *buffer, unsigned int unit)
{
	char text[6] = {'\\',
	                'u',
	                hex_digits[unit >> 12 & 0x0F],
	                hex_digits[unit >> 8 & 0x0F],
	                hex_digits[unit >> 4 & 0x0F],
	                hex_digits[unit & 0x0F]};

	put_bytes(buffer, text, sizeof(text));
}

void
put_code_point(Buffer *buffer, pg_wchar code)
{
	if (code >= 0x10000)
	{
		put_utf16_escape(buffer, 0xD800 + ((code - 0x10000) >> 10));
		put_utf16_escape(buffer, 0xDC00 + ((code - 0x10000) & 0x3FF));
	}
	else
		put_utf16_escape(buffer, code);
}

bool
is_ascii(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (IS_HIGHBIT_SET(text[i]))
			return false;
	return true;
}

// Puts valid UTF-8 in ASCII.
void
put_utf8(Buffer *buffer, const char *text, size_t length, bool is_json)
{
	const char *end = text + length;

	while (text < end)
	{
		int width = pg_utf_mblen((const unsigned char *) text);
		char ascii[6];

		if (width > 1 && text + width <= end)
			put_code_point(buffer, utf8_to_unicode((const unsigned char *) text));
		else if (is_json)
			put_char(buffer, *text);
		else
			put_bytes(buffer, ascii, (size_t) (escape(ascii, text, 1) - ascii));
		text += width;
	}
}

// Text of the server encoding in UTF-8; null if it cannot be converted. That takes a transaction.
const char *
to_utf8(const char *text, size_t length)
{
	const char *utf8 = nullptr;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return pg_verify_mbstr(PG_UTF8, text, (int) length, true) ? pnstrdup(text, length)
		                                                          : nullptr;
	if (!IsTransactionState())
		return nullptr;
	succeeds([&] { utf8 = pg_server_to_any(pnstrdup(text, length), (int) length, PG_UTF8); });
	return utf8;
}

// Puts text of any server encoding in ASCII.
void
put_ascii(Buffer *buffer, const char *text, size_t length, bool is_json)
{
	const char *utf8 = to_utf8(text, length);

	if (utf8 != nullptr)
	{
		put_utf8(buffer, utf8, strlen(utf8), is_json);
		return;
	}
	// bytes of an encoding that nobody knows
	for (size_t i = 0; i < length; i++)
		if (IS_HIGHBIT_SET(text[i]))
			put_utf16_escape(buffer, (unsigned char) text[i]);
		else
			put_utf8(buffer, text + i, 1, is_json);
}

// Puts a number in hexadecimal, upper case, without leading zeros.
void
put_hex_number(Buffer *buffer, uint32 number)
{
	char text[8];
	int begin = (int) sizeof(text);

	do
	{
		text[--begin] = "0123456789ABCDEF"[number & 0x0F];
		number >>= 4;
	} while (number > 0);
	put_bytes(buffer, text + begin, sizeof(text) - (size_t) begin);
}

} // namespace

void
buffer_init(Buffer *buffer, MemoryContext context, size_t limit)
{
	*buffer = Buffer{};
	buffer->context = context;
	buffer->limit = limit;
}

bool
buffer_grow(Buffer *buffer, size_t bytes)
{
	size_t capacity = Max(buffer->capacity, least_capacity);

	if (buffer->overflowed || bytes > buffer->limit || buffer->length > buffer->limit - bytes)
	{
		buffer_overflow(buffer);
		return false;
	}
	if (buffer->length + bytes <= buffer->capacity)
		return true;
	while (capacity < buffer->length + bytes)
		capacity *= 2;
	if (buffer->data == nullptr)
		buffer->data = (char *) MemoryContextAllocHuge(buffer->context, capacity);
	else
		buffer->data = (char *) repalloc_huge(buffer->data, capacity);
	buffer->capacity = capacity;
	buffer->end = Min(capacity, buffer->limit);
	return true;
}

void
buffer_shrink(Buffer *buffer, size_t capacity)
{
	if (buffer->capacity <= capacity || buffer->length > 0)
		return;
	pfree(buffer->data);
	buffer->data = nullptr;
	buffer->capacity = 0;
	buffer->end = 0;
}

void
put_unsigned(Buffer *buffer, uint64 number)
{
	if (unlikely(!buffer_reserve(buffer, MAXINT8LEN + 1)))
		return;
	buffer->length += pg_ulltoa_n(number, buffer->data + buffer->length);
}

void
put_integer(Buffer *buffer, int64 number)
{
	if (number >= 0)
	{
		put_unsigned(buffer, (uint64) number);
		return;
	}
	put_char(buffer, '-');
	put_unsigned(buffer, 0 - (uint64) number);
}

void
put_lsn(Buffer *buffer, XLogRecPtr lsn)
{
	put_hex_number(buffer, (uint32) (lsn >> 32));
	put_char(buffer, '/');
	put_hex_number(buffer, (uint32) lsn);
}

void
put_hex(Buffer *buffer, const char *bytes, size_t length)
{
	char *out;

	if (length > MaxAllocHugeSize / 2 || !buffer_reserve(buffer, length * 2))
		return;
	out = buffer->data + buffer->length;
	for (size_t i = 0; i < length; i++)
	{
		*out++ = hex_digits[(unsigned char) bytes[i] >> 4];
		*out++ = hex_digits[(unsigned char) bytes[i] & 0x0F];
	}
	buffer->length += length * 2;
}

void
put_base64(Buffer *buffer, const char *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *) bytes;
	char *out;

	if (!buffer_reserve(buffer, length / 3 * 4 + 4))
		return;
	out = buffer->data + buffer->length;
	for (size_t i = 0; i < length; i += 3)
	{
		size_t rest = length - i;
		uint32 group = in[i] << 16 | (rest > 1 ? in[i + 1] << 8 : 0) | (rest > 2 ? in[i + 2] : 0);

		*out++ = digits[group >> 18];
		*out++ = digits[group >> 12 & 0x3F];
		*out++ = rest > 1 ? digits[group >> 6 & 0x3F] : '=';
		*out++ = rest > 2 ? digits[group & 0x3F] : '=';
	}
	buffer->length = (size_t) (out - buffer->data);
}

void
put_json_string(Buffer *buffer, const char *text, size_t length)
{
	put_char(buffer, '"');
	while (length > 0)
	{
		size_t chunk = Min(length, escape_chunk);
		bool near_limit = buffer->length + chunk * 6 > buffer->limit;

		if (!buffer_reserve(buffer, near_limit ? escaped_length(text, chunk) : chunk * 6))
			return;
		buffer->length =
			(size_t) (escape(buffer->data + buffer->length, text, chunk) - buffer->data);
		text += chunk;
		length -= chunk;
	}
	put_char(buffer, '"');
}

void
put_unicode_string(Buffer *buffer, const char *text, size_t length)
{
	if (likely(GetDatabaseEncoding() == PG_UTF8) || is_ascii(text, length))
	{
		put_json_string(buffer, text, length);
		return;
	}
	put_char(buffer, '"');
	put_ascii(buffer, text, length, false);
	put_char(buffer, '"');
}

void
put_unicode_json(Buffer *buffer, const char *json, size_t length)
{
	if (likely(GetDatabaseEncoding() == PG_UTF8) || is_ascii(json, length))
		put_bytes(buffer, json, length);
	else
		put_ascii(buffer, json, length, true);
}

} // namespace carbonite
