// Primary keys as text, for changes.table_pk. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

// How the values of a type become text: what value::text gives, but under fixed settings.
enum class KeyConversion : uint8
{
	boolean,
	int2,
	int4,
	int8,
	text,   // the datum's bytes are the text
	output, // the type's output function
	cast,   // the type's cast to text
};

struct KeyColumn
{
	AttrNumber attnum;
	bool masked;
	bool in_partition_key;
	KeyConversion conversion;
	bool needs_fixed_settings; // the text may depend on the session's settings
	short nargs;               // of the cast
	FmgrInfo function;         // of output and cast
};

// What stands for a masked value, in keys as in data.
constexpr char mask_text[] = "[FILTERED]";

void key_column_compile(KeyColumn *column, AttrNumber attnum, Oid type);

// Makes a column use the output function of its type in place of a cast.
void key_column_compile_output(KeyColumn *column, Oid type);

// The text of a value that is not null, as keys have it.
Datum key_column_text(KeyColumn *column, Datum datum);

// Builds the varchar[] of a key from a deformed row. A key too long for a btree entry is replaced
// by its abbreviation; see docs/reference.md.
Datum key_array(const KeyColumn *columns, int ncolumns, const Datum *values, const bool *nulls);

// Builds the varchar[] of detoasted texts, abbreviated in the same way; may change `texts`.
Datum key_array_of_texts(Datum *texts, bool *nulls, int count);

} // namespace carbonite
