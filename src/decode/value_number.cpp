// Numbers as JSON text. A numeric is printed from its groups of digits, without a function call. PG
// world.

#include "decode/value.hpp"

namespace carbonite
{
namespace
{

// The packed form of Numeric, see json_value.cpp and numeric.c.
constexpr uint16 numeric_special = 0xC000;
constexpr uint16 numeric_short = 0x8000;
constexpr int digits_per_group = 4;

// A Numeric taken apart.
struct NumericParts
{
	bool negative;
	int scale; // digits after the point
	int weight;
	int count; // of groups
	const char *groups;
};

int16
group_at(const NumericParts *parts, int index)
{
	int16 group;

	if (index < 0 || index >= parts->count)
		return 0;
	memcpy(&group, parts->groups + (size_t) index * sizeof(group), sizeof(group));
	return group;
}

void
take_apart(const char *bytes, size_t length, NumericParts *parts)
{
	uint16 header;
	size_t header_size = sizeof(uint16);

	memcpy(&header, bytes, sizeof(header));
	if (header & numeric_short)
	{
		parts->negative = (header & 0x2000) != 0;
		parts->scale = (header & 0x1F80) >> 7;
		parts->weight = (header & 0x0040) ? (int) (header & 0x003F) - 0x40 : header & 0x003F;
	}
	else
	{
		int16 weight;

		memcpy(&weight, bytes + sizeof(header), sizeof(weight));
		header_size += sizeof(weight);
		parts->negative = (header & numeric_special) == 0x4000;
		parts->scale = header & 0x3FFF;
		parts->weight = weight;
	}
	parts->groups = bytes + header_size;
	parts->count = (int) ((length - header_size) / sizeof(int16));
}

char *
put_group(char *out, int16 group)
{
	*out++ = (char) ('0' + group / 1000);
	*out++ = (char) ('0' + group / 100 % 10);
	*out++ = (char) ('0' + group / 10 % 10);
	*out++ = (char) ('0' + group % 10);
	return out;
}

// Writes a finite numeric as numeric_out() does.
void
put_finite_numeric(Buffer *buffer, const NumericParts *parts)
{
	int integer_groups = Max(parts->weight + 1, 0);
	int fraction_groups = (parts->scale + digits_per_group - 1) / digits_per_group;
	size_t most = (size_t) (integer_groups + fraction_groups + 1) * digits_per_group + 2;
	char *out;

	if (!buffer_reserve(buffer, most))
		return;
	out = buffer->data + buffer->length;
	if (parts->negative)
		*out++ = '-';
	if (integer_groups == 0)
		*out++ = '0';
	else
	{
		char first[digits_per_group];
		int skip = 0;

		put_group(first, group_at(parts, 0));
		while (skip < digits_per_group - 1 && first[skip] == '0')
			skip++;
		memcpy(out, first + skip, (size_t) (digits_per_group - skip));
		out += digits_per_group - skip;
		for (int i = 1; i < integer_groups; i++)
			out = put_group(out, group_at(parts, i));
	}
	if (parts->scale > 0)
	{
		char *point = out;

		*out++ = '.';
		for (int i = 0; i < fraction_groups; i++)
			out = put_group(out, group_at(parts, parts->weight + 1 + i));
		out = point + 1 + parts->scale;
	}
	buffer->length = (size_t) (out - buffer->data);
}

void
put_float(Buffer *buffer, const char *text, int length)
{
	// "NaN", "Infinity", "-Infinity": no JSON numbers
	bool special = text[0] == 'N' || text[length - 1] == 'y';

	if (special)
		put_char(buffer, '"');
	put_bytes(buffer, text, (size_t) length);
	if (special)
		put_char(buffer, '"');
}

} // namespace

void
put_float4(Buffer *buffer, float4 number)
{
	char text[FLOAT_SHORTEST_DECIMAL_LEN];

	put_float(buffer, text, float_to_shortest_decimal_bufn(number, text));
}

void
put_float8(Buffer *buffer, float8 number)
{
	char text[DOUBLE_SHORTEST_DECIMAL_LEN];

	put_float(buffer, text, double_to_shortest_decimal_bufn(number, text));
}

void
put_numeric(Buffer *buffer, Datum datum)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(datum);
	const char *bytes = VARDATA_ANY(packed);
	uint16 header;
	NumericParts parts;

	memcpy(&header, bytes, sizeof(header));
	if ((header & numeric_special) == numeric_special)
	{
		put_string(buffer, (header & 0xF000) == 0xC000   ? "\"NaN\""
		                   : (header & 0xF000) == 0xD000 ? "\"Infinity\""
		                                                 : "\"-Infinity\"");
		return;
	}
	take_apart(bytes, VARSIZE_ANY_EXHDR(packed), &parts);
	put_finite_numeric(buffer, &parts);
}

} // namespace carbonite
