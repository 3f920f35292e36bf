// What formats have in common: keys, and rows that are too large. PG world.
#pragma once

#include "decode/stream.hpp"

namespace carbonite
{

// The bytes of a row's values, uncompressed.
size_t row_bytes(const StreamRelation *relation, const Row *row);

// Puts the key of a row: an array of texts as table_pk has them, or null if it is not known.
void put_key(Buffer *buffer, const StreamRelation *relation, const Row *row);

// Puts a column's value, or its mask. False if it cannot be shown; then *sqlstate says why.
bool put_column(Buffer *buffer, const StreamRelation *relation, StreamColumn *column,
                const Row *row, int *sqlstate);

// Puts the number of bytes and the digest of a large value: {"bytes":N,"sha256":"..."}.
void put_digest(Buffer *buffer, const StreamColumn *column, const Row *row);

// Puts a member that stands for bytes that do not fit: ,"omitted":{"bytes":N,"sha256":"..."}.
void put_omitted_bytes(Buffer *buffer, const char *bytes, size_t length);

// Columns of a record whose values could not be shown, and why.
struct Failures
{
	bool any;
	Buffer text;
};

void note_failure(Failures *failures, const StreamColumn *column, int sqlstate);

// Puts a member that tells of them, if there are any: ,"failed":{"column":{"error":"SQLSTATE"}}.
void put_failures(Buffer *buffer, const Failures *failures);

// The beginning of a name that may be of any length, for a record that stands for one which did not
// fit.
const char *brief_text(const char *text);

// Is a value so large that it gives way when a record does not fit?
bool is_large(const StreamColumn *column, const Row *row);

} // namespace carbonite
