// The options of wal2json. Lists are taken apart as it does that: at commas, with a backslash
// before what is meant literally; * alone stands for any schema or any table. PG world.

#include "decode/wal2json.hpp"

namespace carbonite
{
namespace
{

struct Flag
{
	const char *name;
	bool Wal2json::*member;
};

constexpr Flag flags[] = {
	{"include-transaction", &Wal2json::transactions},
	{"include-empty-transaction", &Wal2json::empty_transactions},
	{"include-xids", &Wal2json::xids},
	{"include-timestamp", &Wal2json::timestamps},
	{"include-pk", &Wal2json::primary_keys},
	{"include-origin", &Wal2json::origins},
	{"include-schemas", &Wal2json::schemas},
	{"include-types", &Wal2json::types},
	{"include-type-oids", &Wal2json::type_oids},
	{"include-typmod", &Wal2json::typmods},
	{"include-domain-data-type", &Wal2json::base_types},
	{"include-column-positions", &Wal2json::positions},
	{"include-not-null", &Wal2json::optionals},
	{"include-default", &Wal2json::defaults},
	{"include-lsn", &Wal2json::lsns},
	{"partition-root", &Wal2json::partition_roots},
	{"pretty-print", &Wal2json::pretty},
	{"write-in-chunks", &Wal2json::chunks},
	{"numeric-data-types-as-string", &Wal2json::quoted_numbers},
	{"keyless", &Wal2json::keyless},
};

[[noreturn]] void
raise_bad_value(const char *name, const char *value)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	                errmsg("could not parse value \"%s\" for parameter \"%s\"", value, name)));
}

const char *
skip_space(const char *text)
{
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

// Takes a list apart; backslashes stay. Only numbers may be left out.
List *
split(const char *option, const char *list, bool may_be_empty)
{
	const char *rest = skip_space(list);
	List *result = NIL;

	if (*rest == '\0')
		return NIL;
	for (;;)
	{
		const char *begin = rest;

		while (*rest != '\0' && *rest != ',' && !isspace((unsigned char) *rest))
		{
			if (*rest == '\\' && rest[1] != '\0')
				rest++;
			rest++;
		}
		if (rest == begin && !may_be_empty)
			raise_bad_value(option, list);
		result = lappend(result, pnstrdup(begin, (Size) (rest - begin)));
		rest = skip_space(rest);
		if (*rest == '\0')
			return result;
		if (*rest != ',')
			raise_bad_value(option, list);
		rest = skip_space(rest + 1);
	}
}

// A name without the backslashes that keep its characters literal.
char *
unescape(const char *begin, const char *end)
{
	char *name = (char *) palloc((Size) (end - begin) + 1);
	char *out = name;

	while (begin < end)
	{
		if (*begin == '\\' && begin + 1 < end)
			begin++;
		*out++ = *begin++;
	}
	*out = '\0';
	return name;
}

// Everything behind the first point is the table's name.
Wal2jsonTable *
parse_table(const char *option, const char *text)
{
	Wal2jsonTable *table = (Wal2jsonTable *) palloc0(sizeof(Wal2jsonTable));
	const char *point = text;

	while (*point != '\0' && *point != '.')
	{
		if (*point == '\\' && point[1] != '\0')
			point++;
		point++;
	}
	if (*point == '\0')
		raise_bad_value(option, text);
	if (point - text != 1 || *text != '*')
		table->schema = unescape(text, point);
	if (strcmp(point + 1, "*") != 0)
		table->table = unescape(point + 1, text + strlen(text));
	return table;
}

List *
parse_tables(List *tables, const char *option, const char *list)
{
	ListCell *cell;

	foreach (cell, split(option, list, false))
		tables = lappend(tables, parse_table(option, (const char *) lfirst(cell)));
	return tables;
}

void
read_actions(Options *options, const char *name, const char *value)
{
	static const char *const actions[] = {"insert", "update", "delete", "truncate"};
	ListCell *cell;

	if (value == nullptr)
		return;
	memset(options->actions, 0, sizeof(options->actions));
	foreach (cell, split(name, value, false))
	{
		int i = 0;

		while (i < 4 && strcmp(actions[i], (const char *) lfirst(cell)) != 0)
			i++;
		if (i == 4)
			raise_bad_value(name, (const char *) lfirst(cell));
		options->actions[i] = true;
	}
}

// A null value means the newest version.
void
read_version(Wal2json *state, const char *name, const char *value)
{
	state->version = 2;
	if (value != nullptr && !parse_int(value, &state->version, 0, nullptr))
		raise_bad_value(name, value);
	if (state->version < 1 || state->version > 2)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		                errmsg("version %d of the format is not supported", state->version),
		                errhint("Use 1 or 2.")));
}

// filter-origins has the numbers of origins, as in pg_replication_origin.
void
read_origins(Wal2json *state, const char *name, const char *value)
{
	ListCell *cell;

	if (value == nullptr)
	{
		state->excluded_origins = NIL;
		return;
	}
	foreach (cell, split(name, value, true))
		state->excluded_origins = lappend_oid(
			state->excluded_origins, (Oid) strtoul((const char *) lfirst(cell), nullptr, 10));
}

bool
read_list(Wal2json *state, const char *name, const char *value)
{
	bool tables = strcmp(name, "add-tables") == 0;
	List **list;

	if (tables)
	{
		state->all_tables = false;
		state->tables = NIL;
		list = &state->tables;
	}
	else if (strcmp(name, "filter-tables") == 0)
	{
		tables = true;
		list = &state->excluded_tables;
	}
	else if (strcmp(name, "add-msg-prefixes") == 0)
		list = &state->message_prefixes;
	else if (strcmp(name, "filter-msg-prefixes") == 0)
		list = &state->excluded_message_prefixes;
	else
		return false;
	if (value == nullptr)
		*list = NIL;
	else if (tables)
		*list = parse_tables(*list, name, value);
	else
		*list = list_concat(*list, split(name, value, false));
	return true;
}

bool
is_listed(const List *tables, const char *schema, const char *table)
{
	ListCell *cell;

	foreach (cell, tables)
	{
		const Wal2jsonTable *listed = (const Wal2jsonTable *) lfirst(cell);

		if ((listed->schema == nullptr || strcmp(listed->schema, schema) == 0) &&
		    (listed->table == nullptr || strcmp(listed->table, table) == 0))
			return true;
	}
	return false;
}

bool
has_prefix(const List *prefixes, const char *prefix)
{
	ListCell *cell;

	foreach (cell, prefixes)
		if (strcmp((const char *) lfirst(cell), prefix) == 0)
			return true;
	return false;
}

bool
read_option(Stream *stream, Wal2json *state, const char *name, const char *value)
{
	for (const Flag &flag : flags)
		if (strcmp(flag.name, name) == 0)
		{
			state->*flag.member = option_boolean(name, value);
			return true;
		}
	if (strcmp(name, "actions") == 0)
		read_actions(&stream->options, name, value);
	else if (strcmp(name, "format-version") == 0)
		read_version(state, name, value);
	else if (strcmp(name, "filter-origins") == 0)
		read_origins(state, name, value);
	else if (strcmp(name, "include-unchanged-toast") == 0)
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_NAME), errmsg("parameter \"%s\" was deprecated", name)));
	else
		return read_list(state, name, value);
	return true;
}

} // namespace

Wal2json *
wal2json_make_state(Stream *stream)
{
	Wal2json *state;

	if (stream->format_state != nullptr)
		return wal2json_state(stream);
	state = (Wal2json *) MemoryContextAllocZero(stream->context, sizeof(Wal2json));
	state->version = 1;
	state->transactions = true;
	state->empty_transactions = true;
	state->schemas = true;
	state->types = true;
	state->typmods = true;
	state->keyless = true;
	state->all_tables = true;
	stream->format_state = state;
	return state;
}

bool
wal2json_option(Stream *stream, const char *name, const char *value)
{
	MemoryContext caller = MemoryContextSwitchTo(stream->context);
	bool consumed = read_option(stream, wal2json_make_state(stream), name, value);

	MemoryContextSwitchTo(caller);
	return consumed;
}

bool
wal2json_wants_table(const Wal2json *state, const char *schema, const char *table)
{
	return !is_listed(state->excluded_tables, schema, table) &&
	       (state->all_tables || is_listed(state->tables, schema, table));
}

bool
wal2json_wants_message(const Wal2json *state, const char *prefix)
{
	return !has_prefix(state->excluded_message_prefixes, prefix) &&
	       (state->message_prefixes == NIL || has_prefix(state->message_prefixes, prefix));
}

} // namespace carbonite
