// What a role may read through a stream: the rows of carbonite.stream_policies that are for it, as
// they are now. A role that no row is for reads everything. PG world.
#pragma once

#include "decode/pattern.hpp"

namespace carbonite
{

struct Stream;

struct PolicyRule
{
	List *tables;  // of NamePattern
	List *columns; // patterns of names; NIL: all
	bool messages;
};

struct Policy
{
	bool restricted; // only what rules allow is shown
	List *rules;
	MemoryContext context;
	Oid relid; // of the table, or InvalidOid
	bool valid;
};

// Reads the policy when a stream starts. Errors: 42501 if it does not allow the stream's format.
void policy_read(Stream *stream);

// Reads it again if it was changed since.
void policy_refresh(Stream *stream);

// May the role see anything of a table? May it see a column?
bool policy_allows_table(const Policy *policy, const char *schema, const char *table);
bool policy_allows_column(const Policy *policy, const char *schema, const char *table,
                          const char *column);

// May it see messages, and the texts of commands on a table? Those may have anything in them.
bool policy_allows_messages(const Policy *policy);
bool policy_allows_texts(const Policy *policy, const char *schema, const char *table);

} // namespace carbonite
