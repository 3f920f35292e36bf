// Modes that a transaction overrides. PG world.
#pragma once

#include "capture/plan.hpp"
#include "capture/transaction.hpp"

namespace carbonite
{

// The mode in force for a table: the configured one, unless the setting <prefix>.override_mode or
// triggers.override_xact_id says otherwise.
CaptureMode effective_mode(const Plan *plan, const Prefix *prefix);

// True if only members of a role may override modes; then it is told in the transaction's row.
bool override_is_restricted(const Prefix *prefix);

// Errors: 42501 if the current user is not a member of that role.
void require_override(const Prefix *prefix);

// Tells the use of an override in the transaction's row: who, and which mode came of it.
void note_override(PrefixEntry *entry, const Prefix *prefix, const CurrentTransaction *current,
                   CaptureMode mode);

} // namespace carbonite
