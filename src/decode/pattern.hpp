// Names with wildcards: public.*, *.orders, audit_?.log. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

// Does a name match a pattern? * stands for any characters, ? for one, a backslash takes the
// meaning from what follows it.
bool pattern_matches(const char *pattern, const char *name);

// A schema, a table and maybe a column.
struct NamePattern
{
	const char *schema;
	const char *table;
	const char *column; // null for patterns of tables
};

// Takes a list apart, at commas that no backslash precedes: "public.*, audit.log". Spaces around
// names do not count. A name without a schema means any. Errors: 22023 if a part is empty or has
// the wrong number of names.
List *parse_name_patterns(const char *option, const char *list, bool columns);

// Takes a list of plain names apart in the same way.
List *parse_names(const char *option, const char *list);

bool any_table_matches(const List *patterns, const char *schema, const char *table);
bool any_column_matches(const List *patterns, const char *schema, const char *table,
                        const char *column);
bool any_name_matches(const List *patterns, const char *name);

} // namespace carbonite
