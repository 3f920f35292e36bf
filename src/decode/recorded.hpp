// What the prefixes of the database say of a relation: several may, and the strictest counts. PG
// world.
#pragma once

#include "decode/stream.hpp"

namespace carbonite
{

struct Recorded
{
	List *plans; // of those that have it
	bool lost;   // one recorded it, but how is gone
};

// Reads what they say, in the current memory context.
Recorded find_recorded(Stream *stream, Relation rel);

// The column of a plan, or null if it leaves it out.
Column *plan_column(const Plan *plan, AttrNumber attnum);

// Does any plan leave a column out? If not, *mask is the strictest mask that one has for it.
bool recorded_excludes(const List *plans, AttrNumber attnum, Mask **mask);

} // namespace carbonite
