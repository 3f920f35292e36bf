// What is recorded in place of a value: a fixed text or null, its last characters, a keyed digest.
// PG world.
#pragma once

#include "capture/json_value.hpp"
#include "capture/key_text.hpp"

namespace carbonite
{

enum class MaskKind : uint8
{
	fixed,  // always the same value
	last,   // stars and the last characters
	hashed, // a digest of table, key, column and value
};

struct Mask
{
	MaskKind kind;
	JsonValue value; // of a fixed mask
	int keep;        // how many characters
	KeyColumn text;  // how the value becomes text
};

// The row that a digest is bound to.
struct MaskedRow
{
	Datum table_prefix; // varchar
	Datum table_name;
	Datum column;
	const KeyColumn *key_columns;
	int nkeys;
	const Datum *values; // deformed
	const bool *nulls;
};

// Makes a mask that shows a text, or null for nullptr.
void mask_compile_fixed(Mask *mask, const char *text);

// Makes the mask of a column from its JSON in triggers.masks; what is not known there hides all.
void mask_compile_json(Mask *mask, const JsonbValue *json, AttrNumber attnum, Oid type);

// Makes a mask that shows a digest.
void mask_compile_hashed(Mask *mask, AttrNumber attnum, Oid type);

// Is there a key for digests?
bool mask_has_key(void);

// What is recorded for a column of a row, allocated in the current memory context. Errors: 55000
// if a digest is wanted and there is no key for it.
void mask_apply(Mask *mask, const MaskedRow *row, JsonValue *result);

// Defines carbonite.hash_key.
void mask_init(void);

} // namespace carbonite
