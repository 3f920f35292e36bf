// Acting as the owner of a prefix: the identity and the search_path for SQL that the library runs
// itself. An error needs no clean-up here: (sub)transaction abort restores both. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

struct OwnerScope
{
	Oid user;
	int security_context;
	int guc_level;
};

// Switches to `owner` with search_path = pg_catalog, pg_temp. What the owner's triggers do then is
// restricted: nothing of it may happen later, as somebody else, or outlive the scope in the
// session.
void become_owner(OwnerScope *scope, Oid owner);

// Runs a statement as `owner`; returns how many rows it gave or wrote.
uint64 execute_as(Oid owner, const char *sql);

// Restores what become_owner() replaced, and all settings that changed meanwhile.
void become_caller(const OwnerScope *scope);

} // namespace carbonite
