// Numbers, and what is made of them: decimals as text, as floats or as the bytes of their digits;
// bit strings, points, bytes. PG world.

#include <cstdlib>

#include "decode/debezium.hpp"

extern "C"
{
#include "utils/geo_decls.h"
#include "utils/varbit.h"
}

namespace carbonite
{
namespace
{

// As many decimal digits as are taken into a binary number at a time.
constexpr size_t digits_per_step = 9;

// What a point in WKB is: in little endian order, of type 1.
constexpr char point_head[] = {1, 1, 0, 0, 0};
constexpr size_t point_bytes = sizeof(point_head) + 2 * sizeof(float8);

void
put_special_numeric(Buffer *buffer, DecimalMode mode, char sign)
{
	if (mode == DecimalMode::float8)
		put_string(buffer, sign == 'N'   ? "\"NaN\""
		                   : sign == 'I' ? "\"Infinity\""
		                                 : "\"-Infinity\"");
	else
		put_string(buffer, sign == 'N'   ? "\"NAN\""
		                   : sign == 'I' ? "\"POSITIVE_INFINITY\""
		                                 : "\"NEGATIVE_INFINITY\"");
}

// Makes a binary number, its lowest 32 bits first, of decimal digits. Returns how many such limbs
// it has.
size_t
take_digits(uint32 *limbs, const char *digits, size_t length)
{
	size_t count = 0;
	size_t step = length % digits_per_step;

	for (size_t at = 0; at < length; at += step, step = digits_per_step)
	{
		uint64 carry = 0;
		uint64 factor = 1;

		if (step == 0)
			step = digits_per_step;
		// a number may have 147,455 digits
		CHECK_FOR_INTERRUPTS();
		for (size_t i = at; i < at + step; i++)
		{
			carry = carry * 10 + (uint64) (digits[i] - '0');
			factor *= 10;
		}
		for (size_t i = 0; i < count; i++)
		{
			carry += limbs[i] * factor;
			limbs[i] = (uint32) carry;
			carry >>= 32;
		}
		if (carry > 0)
			limbs[count++] = (uint32) carry;
	}
	return count;
}

// Puts an integer as base64 of the shortest big-endian two's complement.
void
put_twos_complement(Buffer *buffer, bool negative, const char *digits, size_t length)
{
	uint32 *limbs = (uint32 *) palloc(sizeof(uint32) * (length / digits_per_step + 2));
	size_t count = take_digits(limbs, digits, length);
	size_t size = count * sizeof(uint32) + 1;
	uint8 *bytes = (uint8 *) palloc(size);
	uint8 *first = bytes;
	unsigned int carry = 1;

	bytes[0] = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < sizeof(uint32); j++)
			bytes[size - 1 - i * sizeof(uint32) - j] = (uint8) (limbs[i] >> (8 * j));
	for (size_t i = size; negative && i-- > 0;)
	{
		carry += (uint8) ~bytes[i];
		bytes[i] = (uint8) carry;
		carry >>= 8;
	}
	// bytes that only repeat the sign
	while (first + 1 < bytes + size && *first == ((first[1] & 0x80) ? 0xFF : 0))
		first++;
	put_char(buffer, '"');
	put_base64(buffer, (const char *) first, (size_t) (bytes + size - first));
	put_char(buffer, '"');
}

// Puts a decimal by its digits, with its scale if the type does not tell it.
void
put_precise(Buffer *buffer, bool has_scale, char *text)
{
	bool negative = text[0] == '-';
	char *digits = text + (negative ? 1 : 0);
	char *point = strchr(digits, '.');
	size_t length = strlen(digits);
	size_t scale = 0;

	if (point != nullptr)
	{
		scale = length - (size_t) (point - digits) - 1;
		memmove(point, point + 1, scale + 1);
		length--;
	}
	for (; !has_scale && scale > 0 && digits[length - 1] == '0'; scale--)
		length--;
	if (!has_scale)
	{
		put_text(buffer, "{\"scale\":");
		put_unsigned(buffer, scale);
		put_text(buffer, ",\"value\":");
	}
	put_twos_complement(buffer, negative, digits, length);
	if (!has_scale)
		put_char(buffer, '}');
}

// Appends a float8 in little endian order.
char *
write_float8(char *out, float8 number)
{
	uint64 bits;

	memcpy(&bits, &number, sizeof(bits));
	for (size_t i = 0; i < sizeof(bits); i++)
		*out++ = (char) (bits >> (8 * i));
	return out;
}

} // namespace

void
debezium_put_float8(Buffer *buffer, float8 number)
{
	char text[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(number, text);
	if (text[0] == 'N' || text[strlen(text) - 1] == 'y')
		put_json_string(buffer, text, strlen(text));
	else
		put_string(buffer, text);
}

void
debezium_put_numeric(Buffer *buffer, DecimalMode mode, bool has_scale, Datum datum)
{
	size_t begin = buffer->length;
	char *text;

	if (mode == DecimalMode::text)
		put_char(buffer, '"');
	put_numeric(buffer, datum);
	if (buffer->overflowed)
		return;
	text = buffer->data + begin + (mode == DecimalMode::text ? 1 : 0);
	if (*text == '"')
	{
		// a special value: its first letter tells
		char sign = text[1];

		buffer_truncate(buffer, begin);
		put_special_numeric(buffer, mode, sign);
		return;
	}
	if (mode == DecimalMode::text)
	{
		put_char(buffer, '"');
		return;
	}
	text = pnstrdup(text, buffer->length - begin);
	buffer_truncate(buffer, begin);
	if (mode == DecimalMode::float8)
		debezium_put_float8(buffer, strtod(text, nullptr));
	else
		put_precise(buffer, has_scale, text);
	pfree(text);
}

void
debezium_put_bits(Buffer *buffer, int32 typmod, Datum datum)
{
	VarBit *string = DatumGetVarBitP(datum);
	const bits8 *bits = VARBITS(string);
	size_t count = VARBITBYTES(string);
	int padding = (int) VARBITPAD(string);
	uint8 *bytes;

	if (typmod == 1)
	{
		put_string(buffer, VARBITLEN(string) == 0 ? "null"
		                   : (bits[0] & HIGHBIT)  ? "true"
		                                          : "false");
		return;
	}
	bytes = (uint8 *) palloc(count + 1);
	for (size_t i = 0; i < count; i++)
	{
		unsigned int pair = bits[count - 1 - i];

		if (i + 1 < count)
			pair |= (unsigned int) bits[count - 2 - i] << 8;
		bytes[i] = (uint8) (pair >> padding);
	}
	while (count > 0 && bytes[count - 1] == 0)
		count--;
	put_char(buffer, '"');
	put_base64(buffer, (const char *) bytes, count);
	put_char(buffer, '"');
}

void
debezium_put_point(Buffer *buffer, Datum datum)
{
	const Point *point = DatumGetPointP(datum);
	char bytes[point_bytes];

	memcpy(bytes, point_head, sizeof(point_head));
	write_float8(write_float8(bytes + sizeof(point_head), point->x), point->y);
	put_text(buffer, "{\"x\":");
	debezium_put_float8(buffer, point->x);
	put_text(buffer, ",\"y\":");
	debezium_put_float8(buffer, point->y);
	put_text(buffer, ",\"wkb\":\"");
	put_base64(buffer, bytes, sizeof(bytes));
	put_text(buffer, "\",\"srid\":null}");
}

void
debezium_put_binary(Buffer *buffer, BinaryMode mode, const char *bytes, size_t length)
{
	size_t begin;

	put_char(buffer, '"');
	begin = buffer->length;
	if (mode == BinaryMode::hex)
		put_hex(buffer, bytes, length);
	else
		put_base64(buffer, bytes, length);
	if (mode == BinaryMode::base64_url_safe)
		for (char *c = buffer->data + begin; c < buffer->data + buffer->length; c++)
			*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	put_char(buffer, '"');
}

} // namespace carbonite
