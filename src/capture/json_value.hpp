// One column's value on its way into a jsonb object. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

enum class JsonKind : uint8
{
	unset,
	null,
	boolean_false,
	boolean_true,
	string,    // bytes in the server encoding
	numeric,   // a Numeric, with its 4-byte varlena header
	container, // a jsonb object or array, without the varlena header
};

struct JsonValue
{
	JsonKind kind;
	uint32 length;
	const char *bytes;
	// room for the numeric of an int8: header, weight and five base-10000 digits
	alignas(8) char room[16];
};

// How the values of a type become JSON: the categories of to_jsonb, with shortcuts for common
// types.
enum class JsonConversion : uint8
{
	boolean,
	int2,
	int4,
	int8,
	float4,
	float8,
	numeric,
	text, // the datum's bytes are the text
	uuid,
	datetime, // date, timestamp, timestamptz
	json,
	jsonb,
	output,   // the type's output function
	to_jsonb, // arrays, composites, types with a cast to json
};

struct JsonConverter
{
	JsonConversion conversion;
	Oid base_type;
	FmgrInfo function; // of output and to_jsonb
};

// Chooses the converter of a type, with its function looked up in the current memory context.
void json_converter_compile(JsonConverter *converter, Oid type);

// The same, by the output function of the type only: no cast to json runs.
void json_converter_compile_output(JsonConverter *converter, Oid type);

// Converts a datum that is not null, allocating in the current memory context.
void json_convert(JsonConverter *converter, Datum datum, JsonValue *value);

// jsonb's equality. Neither value is unset.
bool json_equal(const JsonValue *a, const JsonValue *b);

} // namespace carbonite
