// What roles that do not own a prefix may do to rows of `transactions`. PG world.
#pragma once

#include "capture/prefix.hpp"

namespace carbonite
{

// The key of meta that tells of overrides.
constexpr char override_key[] = "carbonite_override";

// Checks a row that somebody inserts. Errors: 42501.
void guard_new_row(const Prefix *prefix, HeapTuple row, TupleDesc desc, bool has_no_ids);

// Checks metadata (jsonb) that the library inserts for somebody. Errors: 22023.
void guard_meta(Datum meta);

} // namespace carbonite
