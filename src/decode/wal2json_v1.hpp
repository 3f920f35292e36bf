// What the parts of version 1 share: how its text is laid out, and rows. PG world.
#pragma once

#include "decode/wal2json.hpp"

namespace carbonite
{

inline void
put_indent(Buffer *buffer, const Wal2json *state, int depth)
{
	if (state->pretty)
		put_bytes(buffer, state->indent, (size_t) depth);
}

// Puts the name of a member, and what precedes its value.
inline void
put_label(Buffer *buffer, const Wal2json *state, int depth, const char *label)
{
	put_indent(buffer, state, depth);
	put_char(buffer, '"');
	put_string(buffer, label);
	put_text(buffer, "\":");
	put_string(buffer, state->space);
}

inline void
put_comma(Buffer *buffer, const Wal2json *state)
{
	put_char(buffer, ',');
	put_string(buffer, state->newline);
}

// Puts a row of a change, or what is left of it where it is too large or must not be shown.
void wal2json_put_row_v1(Stream *stream, const StreamRelation *relation, const Row *row,
                         Wal2jsonPart part, bool large);

} // namespace carbonite
