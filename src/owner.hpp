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

// Switches to `owner` with search_path = pg_catalog, pg_temp.
void become_owner(OwnerScope *scope, Oid owner);

// Runs a statement as `owner`; returns how many rows it gave or wrote.
uint64 execute_as(Oid owner, const char *sql);

// Restores what become_owner() replaced.
void become_caller(const OwnerScope *scope);

} // namespace carbonite
