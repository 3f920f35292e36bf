// Options come from clients that may be anybody with the right to replicate: each one is checked,
// and none of them can widen what the policy of the server allows. PG world.

#include "decode/stream.hpp"

namespace carbonite
{
namespace
{

constexpr size_t kilobyte = 1024;
constexpr size_t megabyte = 1024 * kilobyte;

// Small enough for every escaped or hexadecimal form of a value to stay below the 1 GB that a
// message can have.
constexpr size_t most_record_bytes = 128 * megabyte;

[[noreturn]] void
raise_bad_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	                errmsg("option \"%s\" has a value that is not understood: %s", name,
	                       value == nullptr ? "none" : quote_literal_cstr(value)),
	                errhint("%s", hint)));
}

const char *
require_value(const char *name, const char *value)
{
	if (value == nullptr)
		raise_bad_value(name, value, "Give it a value.");
	return value;
}

void
read_metadata(Options *options, const char *name, const char *value)
{
	require_value(name, value);
	if (strcmp(value, "each") == 0)
		options->metadata = MetadataMode::each;
	else if (strcmp(value, "begin") == 0)
		options->metadata = MetadataMode::begin;
	else if (strcmp(value, "commit") == 0)
		options->metadata = MetadataMode::commit;
	else
		raise_bad_value(name, value, "Use each, begin or commit.");
}

void
read_partitions(Options *options, const char *name, const char *value)
{
	require_value(name, value);
	if (strcmp(value, "recorded") == 0)
		options->partitions = PartitionNaming::recorded;
	else if (strcmp(value, "root") == 0)
		options->partitions = PartitionNaming::root;
	else if (strcmp(value, "leaf") == 0)
		options->partitions = PartitionNaming::leaf;
	else
		raise_bad_value(name, value, "Use recorded, root or leaf.");
}

void
read_actions(Options *options, const char *name, const char *value)
{
	static const char *const actions[] = {"insert", "update", "delete", "truncate"};
	List *names = parse_names(name, require_value(name, value));
	ListCell *cell;

	memset(options->actions, 0, sizeof(options->actions));
	foreach (cell, names)
	{
		int i = 0;

		while (i < 4 && strcmp(actions[i], (const char *) lfirst(cell)) != 0)
			i++;
		if (i == 4)
			raise_bad_value(name, value, "Use insert, update, delete and truncate, with commas.");
		options->actions[i] = true;
	}
}

// origins: names, or any, or none for what has no origin.
void
read_origins(Options *options, const char *name, const char *value)
{
	List *names = parse_names(name, require_value(name, value));
	ListCell *cell;

	options->any_origin = false;
	options->local_origin = false;
	options->origins = NIL;
	foreach (cell, names)
	{
		const char *origin = (const char *) lfirst(cell);

		if (strcmp(origin, "any") == 0)
			options->any_origin = true;
		else if (strcmp(origin, "none") == 0)
			options->local_origin = true;
		else
			options->origins = lappend(options->origins, pstrdup(origin));
	}
}

// resume-after: a position behind transactions, as end_lsn, or the LSN of a transaction with the
// sequence number of a change in it. A transaction may begin to commit where another has ended, so
// an LSN alone passes over nothing that is at it.
void
read_resume_after(Options *options, const char *name, const char *value)
{
	uint32 high;
	uint32 low;
	uint64 sequence = 0;
	int used = 0;

	require_value(name, value);
	if (sscanf(value, "%8X/%8X%n", &high, &low, &used) != 2 || strspn(value, " \t+-") > 0)
		raise_bad_value(name, value, "Write it as 0/16B3748, or as 0/16B3748/42.");
	if (value[used] == '/')
	{
		const char *digits = value + used + 1;

		if (strlen(digits) == 0 || strlen(digits) > 18 ||
		    strspn(digits, "0123456789") != strlen(digits))
			raise_bad_value(name, value, "Write it as 0/16B3748, or as 0/16B3748/42.");
		sequence = (uint64) strtoull(digits, nullptr, 10);
	}
	else if (value[used] != '\0')
		raise_bad_value(name, value, "Write it as 0/16B3748, or as 0/16B3748/42.");
	options->resume = true;
	options->resume_lsn = (uint64) high << 32 | low;
	options->resume_sequence = sequence;
}

// Options that are true or false.
bool *
find_flag(Options *options, const char *name)
{
	if (strcmp(name, "annotations") == 0)
		return &options->annotations;
	if (strcmp(name, "streaming") == 0)
		return &options->streaming;
	if (strcmp(name, "messages") == 0)
		return &options->messages;
	if (strcmp(name, "ddl") == 0)
		return &options->ddl;
	if (strcmp(name, "audit-tables") == 0)
		return &options->audit_tables;
	if (strcmp(name, "audited-only") == 0)
		return &options->audited_only;
	return nullptr;
}

// Options that are lists of patterns or names.
bool
read_list(Options *options, const char *name, const char *value)
{
	if (strcmp(name, "tables") == 0)
		options->tables = parse_name_patterns(name, require_value(name, value), false);
	else if (strcmp(name, "exclude-tables") == 0)
		options->exclude_tables = parse_name_patterns(name, require_value(name, value), false);
	else if (strcmp(name, "columns") == 0)
		options->columns = parse_name_patterns(name, require_value(name, value), true);
	else if (strcmp(name, "exclude-columns") == 0)
		options->exclude_columns = parse_name_patterns(name, require_value(name, value), true);
	else if (strcmp(name, "publications") == 0)
		options->publications = parse_names(name, require_value(name, value));
	else if (strcmp(name, "message-prefixes") == 0)
		options->message_prefixes = parse_names(name, require_value(name, value));
	else if (strcmp(name, "exclude-message-prefixes") == 0)
		options->exclude_message_prefixes = parse_names(name, require_value(name, value));
	else
		return false;
	return true;
}

bool
read_size(Options *options, const char *name, const char *value)
{
	if (strcmp(name, "batch-bytes") == 0)
	{
		options->has_batch_bytes = true;
		options->batch_bytes = (size_t) option_number(name, value, 0, 16 * megabyte);
	}
	else if (strcmp(name, "batch-delay") == 0)
		options->batch_delay = (int) option_number(name, value, 0, 60000);
	else if (strcmp(name, "max-record-bytes") == 0)
		options->max_record_bytes =
			(size_t) option_number(name, value, 4 * kilobyte, most_record_bytes);
	else if (strcmp(name, "metadata-buffer") == 0)
		options->metadata_buffer = (size_t) option_number(name, value, 0, 64 * megabyte);
	else
		return false;
	return true;
}

void
read_option(Stream *stream, const char *name, const char *value)
{
	Options *options = &stream->options;
	bool *flag;

	if (strcmp(name, "format") == 0 ||
	    (stream->format->option != nullptr && stream->format->option(stream, name, value)))
		return;
	flag = find_flag(options, name);
	if (flag != nullptr)
		*flag = option_boolean(name, value);
	else if (strcmp(name, "metadata") == 0)
		read_metadata(options, name, value);
	else if (strcmp(name, "partitions") == 0)
		read_partitions(options, name, value);
	else if (strcmp(name, "actions") == 0)
		read_actions(options, name, value);
	else if (strcmp(name, "origins") == 0)
		read_origins(options, name, value);
	else if (strcmp(name, "resume-after") == 0)
		read_resume_after(options, name, value);
	else if (!read_list(options, name, value) && !read_size(options, name, value))
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("option \"%s\" is not known to format %s", name, stream->format->name)));
}

const char *
option_value(const DefElem *option)
{
	return option->arg != nullptr ? strVal(option->arg) : nullptr;
}

const Format *
find_format(const char *name)
{
	static const Format *const formats[] = {&format_carbonite, &format_wal2json, &format_debezium};

	require_value("format", name);
	for (const Format *format : formats)
		if (strcmp(format->name, name) == 0)
			return format;
	raise_bad_value("format", name, "Use carbonite, wal2json or debezium.");
}

void
set_defaults(Options *options)
{
	*options = Options{};
	options->annotations = true;
	options->messages = true;
	options->ddl = true;
	options->any_origin = true;
	for (bool &action : options->actions)
		action = true;
	options->batch_delay = 5;
	options->max_record_bytes = 64 * megabyte;
	options->metadata_buffer = 256 * kilobyte;
}

} // namespace

bool
options_choose_table(const Options *options, const char *schema, const char *table)
{
	if (options->tables != NIL && !any_table_matches(options->tables, schema, table))
		return false;
	return !any_table_matches(options->exclude_tables, schema, table);
}

bool
option_boolean(const char *name, const char *value)
{
	bool result;

	// only the name was given
	if (value == nullptr)
		return true;
	if (!parse_bool(value, &result))
		raise_bad_value(name, value, "Use on or off.");
	return result;
}

int64
option_number(const char *name, const char *value, int64 least, int64 most)
{
	size_t length = strlen(require_value(name, value));
	int64 number = 0;

	if (length > 0 && length < 19 && strspn(value, "0123456789") == length)
		number = strtoll(value, nullptr, 10);
	else
		number = -1;
	if (number < least || number > most)
		raise_bad_value(
			name, value,
			psprintf("Use a number from " INT64_FORMAT " to " INT64_FORMAT ".", least, most));
	return number;
}

void
options_read(Stream *stream, List *given)
{
	Options *options = &stream->options;
	ListCell *cell;

	set_defaults(options);
	foreach (cell, given)
	{
		const DefElem *option = (const DefElem *) lfirst(cell);

		if (strcmp(option->defname, "format") == 0)
			stream->format = find_format(option_value(option));
	}
	if (stream->format->defaults != nullptr)
		stream->format->defaults(options);
	foreach (cell, given)
	{
		const DefElem *option = (const DefElem *) lfirst(cell);

		read_option(stream, option->defname, option_value(option));
	}
	if (!options->has_batch_bytes)
		options->batch_bytes = am_walsender && stream->format->in_batches ? 64 * kilobyte : 0;
}

} // namespace carbonite
