// Options of the format `debezium`, named and valued as Debezium's are. PG world.

#include "decode/debezium.hpp"

namespace carbonite
{
namespace
{

constexpr char default_placeholder[] = "__debezium_unavailable_value";

// A prefix and a placeholder may be in every record.
constexpr size_t most_text = 1024;

struct Choice
{
	const char *name;
	int value;
};

constexpr Choice decimal_modes[] = {{"string", (int) DecimalMode::text},
                                    {"double", (int) DecimalMode::float8},
                                    {"precise", (int) DecimalMode::precise}};
constexpr Choice time_modes[] = {
	{"adaptive", (int) TimeMode::adaptive},
	{"adaptive_time_microseconds", (int) TimeMode::adaptive_time_microseconds},
	{"connect", (int) TimeMode::connect},
	{"isostring", (int) TimeMode::isostring},
	{"microseconds", (int) TimeMode::microseconds},
	{"nanoseconds", (int) TimeMode::nanoseconds}};
constexpr Choice binary_modes[] = {{"bytes", (int) BinaryMode::bytes},
                                   {"base64", (int) BinaryMode::base64},
                                   {"base64-url-safe", (int) BinaryMode::base64_url_safe},
                                   {"hex", (int) BinaryMode::hex}};
constexpr Choice hstore_modes[] = {{"json", false}, {"map", true}};
constexpr Choice interval_modes[] = {{"numeric", false}, {"string", true}};

// Finds a value among those that an option may have.
template <size_t count>
int
choose(const char *name, const char *value, const Choice (&choices)[count])
{
	StringInfoData names;

	for (const Choice &choice : choices)
		if (value != nullptr && strcmp(choice.name, value) == 0)
			return choice.value;
	initStringInfo(&names);
	for (const Choice &choice : choices)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", choice.name);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	                errmsg("option \"%s\" has a value that is not understood: %s", name,
	                       value == nullptr ? "none" : quote_literal_cstr(value)),
	                errhint("Use one of: %s.", names.data)));
}

const char *
read_text(Stream *stream, const char *name, const char *value)
{
	if (value == nullptr || strlen(value) > most_text)
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		         errmsg("option \"%s\" needs a value of at most %zu bytes", name, most_text)));
	return MemoryContextStrdup(stream->context, value);
}

} // namespace

DebeziumState *
debezium_make_state(Stream *stream)
{
	DebeziumState *state = debezium_state(stream);

	if (state != nullptr)
		return state;
	state = (DebeziumState *) MemoryContextAllocZero(stream->context, sizeof(DebeziumState));
	state->modes.placeholder = default_placeholder;
	state->modes.placeholder_length = strlen(default_placeholder);
	state->transactions = true;
	stream->format_state = state;
	return state;
}

bool
debezium_option(Stream *stream, const char *name, const char *value)
{
	DebeziumState *state = debezium_make_state(stream);
	DebeziumModes *modes = &state->modes;

	if (strcmp(name, "topic-prefix") == 0)
		state->topic_prefix = read_text(stream, name, value);
	else if (strcmp(name, "decimal-handling-mode") == 0)
		modes->decimals = (DecimalMode) choose(name, value, decimal_modes);
	else if (strcmp(name, "time-precision-mode") == 0)
		modes->times = (TimeMode) choose(name, value, time_modes);
	else if (strcmp(name, "binary-handling-mode") == 0)
		modes->binaries = (BinaryMode) choose(name, value, binary_modes);
	else if (strcmp(name, "hstore-handling-mode") == 0)
		modes->hstore_as_map = choose(name, value, hstore_modes) != 0;
	else if (strcmp(name, "interval-handling-mode") == 0)
		modes->interval_as_text = choose(name, value, interval_modes) != 0;
	else if (strcmp(name, "unavailable-value-placeholder") == 0)
	{
		modes->placeholder = read_text(stream, name, value);
		modes->placeholder_length = strlen(modes->placeholder);
	}
	else if (strcmp(name, "provide-transaction-metadata") == 0)
		state->transactions = option_boolean(name, value);
	else
		return false;
	return true;
}

} // namespace carbonite
