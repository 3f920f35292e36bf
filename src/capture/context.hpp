// The setting carbonite.meta: metadata that a client gives without a statement of its own. PG
// world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

// The setting as a jsonb object; {} if it is unset. Errors: 22023 with the position of the mistake.
Datum context_meta(void);

// `meta` merged over the setting: keys of `meta` win. Errors: 22023 also if it is not an object.
Datum context_merge(Datum meta);

void context_init(void);

} // namespace carbonite
