// Patterns of names. PG world.

#include "decode/pattern.hpp"

namespace carbonite
{
namespace
{

// The next part of a list, without the space around it; moves *rest behind it. Backslashes stay.
char *
next_part(const char *option, const char **rest, char separator)
{
	const char *begin = *rest;
	const char *end;
	const char *stop;

	for (stop = begin; *stop != '\0' && *stop != separator; stop++)
		if (*stop == '\\' && stop[1] != '\0')
			stop++;
	*rest = *stop == '\0' ? nullptr : stop + 1;
	while (begin < stop && isspace((unsigned char) *begin))
		begin++;
	for (end = stop;
	     end > begin && isspace((unsigned char) end[-1]) && !(end - begin > 1 && end[-2] == '\\');
	     end--)
		;
	if (begin == end)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("option \"%s\" has an empty name in its list", option)));
	return pnstrdup(begin, (Size) (end - begin));
}

NamePattern *
parse_pattern(const char *option, const char *text, bool column)
{
	NamePattern *pattern = (NamePattern *) palloc0(sizeof(NamePattern));
	const char *rest = text;
	char *parts[3];
	int count = 0;

	while (rest != nullptr && count < 3)
		parts[count++] = next_part(option, &rest, '.');
	if (rest != nullptr || count > (column ? 3 : 2) || (column && count < 2))
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("option \"%s\" has a name that is not understood: \"%s\"", option, text),
		         errhint(column ? "Columns are written as schema.table.column."
		                        : "Tables are written as schema.table.")));
	if (column)
		pattern->column = parts[--count];
	pattern->table = parts[--count];
	pattern->schema = count > 0 ? parts[0] : "*";
	return pattern;
}

} // namespace

bool
pattern_matches(const char *pattern, const char *name)
{
	const char *star = nullptr;
	const char *resume = nullptr;

	// A star takes as little as it can; where the rest does not fit, the last star takes one more.
	while (*name != '\0')
	{
		if (*pattern == '*')
		{
			star = ++pattern;
			resume = name;
			continue;
		}
		if (*pattern == '?')
		{
			pattern++;
			name += pg_mblen(name);
			continue;
		}
		const char *literal = *pattern == '\\' && pattern[1] != '\0' ? pattern + 1 : pattern;
		if (*literal == *name)
		{
			pattern = literal + 1;
			name++;
			continue;
		}
		if (star == nullptr)
			return false;
		pattern = star;
		name = ++resume;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

List *
parse_name_patterns(const char *option, const char *list, bool columns)
{
	List *result = NIL;

	while (list != nullptr)
		result = lappend(result, parse_pattern(option, next_part(option, &list, ','), columns));
	return result;
}

List *
parse_names(const char *option, const char *list)
{
	List *result = NIL;

	while (list != nullptr)
		result = lappend(result, next_part(option, &list, ','));
	return result;
}

bool
any_table_matches(const List *patterns, const char *schema, const char *table)
{
	ListCell *cell;

	foreach (cell, patterns)
	{
		const NamePattern *pattern = (const NamePattern *) lfirst(cell);

		if (pattern_matches(pattern->schema, schema) && pattern_matches(pattern->table, table))
			return true;
	}
	return false;
}

bool
any_column_matches(const List *patterns, const char *schema, const char *table, const char *column)
{
	ListCell *cell;

	foreach (cell, patterns)
	{
		const NamePattern *pattern = (const NamePattern *) lfirst(cell);

		if (pattern_matches(pattern->schema, schema) && pattern_matches(pattern->table, table) &&
		    pattern_matches(pattern->column, column))
			return true;
	}
	return false;
}

bool
any_name_matches(const List *patterns, const char *name)
{
	ListCell *cell;

	foreach (cell, patterns)
		if (pattern_matches((const char *) lfirst(cell), name))
			return true;
	return false;
}

} // namespace carbonite
