// Values as JSON text, the same whatever the settings of role, database and session are. PG world.
#pragma once

#include "capture/json_value.hpp"
#include "decode/buffer.hpp"

namespace carbonite
{

// How the values of a type are written: what to_jsonb gives, with shortcuts for common types.
enum class ValueKind : uint8
{
	boolean,
	int2,
	int4,
	int8,
	float4,
	float8,
	numeric,
	text, // the datum's bytes are the text
	bytea,
	uuid,
	date,
	timestamp,
	timestamptz,
	json,
	jsonb,
	other, // by the converter
};

struct ValueWriter
{
	ValueKind kind;
	JsonConverter converter; // of kind other
};

// Chooses how a type is written, with its functions looked up in the current memory context.
void value_writer_compile(ValueWriter *writer, Oid type);

// Puts a value that is not null. False if a function of its type raised an error: then the buffer
// is as before, and *sqlstate has the error's code. Allocates in the current memory context.
bool put_value(Buffer *buffer, ValueWriter *writer, Datum datum, int *sqlstate);

// Puts a converted value, as masks have it.
void put_json_value(Buffer *buffer, const JsonValue *value);

// Puts a jsonb container.
void put_jsonb(Buffer *buffer, JsonbContainer *container);

// Puts a number with all its digits; NaN and infinities as strings.
void put_numeric(Buffer *buffer, Datum numeric);
void put_float4(Buffer *buffer, float4 number);
void put_float8(Buffer *buffer, float8 number);

// Puts a date, timestamp or timestamptz.
void put_datetime(Buffer *buffer, Datum datum, ValueKind kind);

// Puts a time as text with quotes, in UTC: "2026-01-31T09:30:00.5+00:00".
void put_timestamptz(Buffer *buffer, TimestampTz time);

// Puts valid JSON without the space between its tokens.
void put_compact_json(Buffer *buffer, const char *json, size_t length);

} // namespace carbonite
