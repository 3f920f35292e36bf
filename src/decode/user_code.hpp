// Functions that users wrote must not run in the process that decodes, which may have the rights of
// a superuser: whoever has a table could have them. Output functions of types are made by
// superusers, casts by anybody who owns a type. PG world.
#pragma once

#include "capture/key_text.hpp"

namespace carbonite
{

// Would to_jsonb() of a type run a cast that is not built in C?
bool casts_to_json_by_user_code(Oid type);

// Makes a key column use no cast that is not built in C.
void avoid_user_code(KeyColumn *column, Oid type);

} // namespace carbonite
