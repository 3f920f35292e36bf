// What an update changed, as far as the WAL tells. PG world.
#pragma once

#include "decode/stream.hpp"

namespace carbonite
{

// Do the values of a column differ? As jsonb compares them, like capture, or byte for byte if the
// relation is recorded so. Both rows have the value.
bool column_changed(const StreamRelation *relation, StreamColumn *column, const Row *old_row,
                    const Row *row);

// Do the keys of two rows differ? Both have them.
bool key_changed(const StreamRelation *relation, const Row *old_row, const Row *row);

} // namespace carbonite
