// Version 1: a row is a list of names, a list of types and so on, and a list of values. All but the
// values are rendered once, for rows that have all their columns. PG world.

#include "decode/wal2json_v1.hpp"

namespace carbonite
{
namespace
{

constexpr const char *column_labels[row_list_count] = {"columnnames",     "columntypes",
                                                       "columntypeoids",  "columnpositions",
                                                       "columnoptionals", "columndefaults"};
constexpr const char *key_labels[row_list_count] = {"keynames", "keytypes", "keytypeoids",
                                                    nullptr,    nullptr,    nullptr};

char *
base_type_name(Oid type, int32 typmod, bool with_typmod)
{
	HeapTuple tuple;
	char *name;

	if (with_typmod)
		return format_type_extended(type, typmod,
		                            FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_ALLOW_INVALID);
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	name = pstrdup(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname));
	ReleaseSysCache(tuple);
	return name;
}

bool
is_listed(const Wal2json *state, RowList list)
{
	switch (list)
	{
		case RowList::names:
			return true;
		case RowList::types:
			return state->types;
		case RowList::type_oids:
			return state->type_oids;
		case RowList::positions:
			return state->positions;
		case RowList::optionals:
			return state->optionals;
		case RowList::defaults:
			return state->defaults;
	}
	return false;
}

void
compile_column(const Wal2json *state, Wal2jsonColumn *column, Relation rel)
{
	const StreamColumn *shown = column->column;
	Oid type = shown->type;
	int32 typmod = shown->typmod;
	Buffer buffers[row_list_count];

	for (Buffer &buffer : buffers)
		buffer_init(&buffer, CurrentMemoryContext, MaxAllocSize);
	if (state->types && state->base_types && get_typtype(type) == TYPTYPE_DOMAIN)
		type = wal2json_domain_base(type, &typmod);
	put_json_string(&buffers[(int) RowList::names], shown->name, strlen(shown->name));
	if (state->types)
		wal2json_put_type(&buffers[(int) RowList::types],
		                  base_type_name(type, typmod, state->typmods));
	put_unsigned(&buffers[(int) RowList::type_oids], type);
	put_integer(&buffers[(int) RowList::positions], shown->attnum);
	put_string(&buffers[(int) RowList::optionals], shown->not_null ? "false" : "true");
	if (state->defaults)
		wal2json_put_default(&buffers[(int) RowList::defaults], rel, shown->attnum);
	for (int i = 0; i < row_list_count; i++)
		column->lists[i] = take_text(&buffers[i]);
	text_writer_compile(&column->writer, type, state->quoted_numbers);
}

// Is a column among those of a part? Without a row, it is if it can be.
bool
is_selected(const Wal2jsonColumn *column, const Row *row, Wal2jsonPart part)
{
	if (part == Wal2jsonPart::identity &&
	    (!column->in_identity || (row != nullptr && row->nulls[column->index])))
		return false;
	return row == nullptr || !row->missing[column->index];
}

void
put_list(Buffer *buffer, const Wal2json *state, const Wal2jsonRelation *compiled, const Row *row,
         Wal2jsonPart part, RowList list)
{
	bool first = true;

	for (int i = 0; i < compiled->ncolumns; i++)
	{
		const Wal2jsonColumn *column = &compiled->columns[i];

		if (!is_selected(column, row, part))
			continue;
		if (!first)
		{
			put_char(buffer, ',');
			put_string(buffer, state->space);
		}
		put(buffer, &column->lists[(int) list]);
		first = false;
	}
}

// Puts what precedes the values of a row. `empty` leaves the lists without their elements.
void
put_lists(Buffer *buffer, const Wal2json *state, const Wal2jsonRelation *compiled, const Row *row,
          Wal2jsonPart part, bool empty)
{
	const char *const *labels = part == Wal2jsonPart::columns ? column_labels : key_labels;
	int depth = part == Wal2jsonPart::columns ? 3 : 4;

	if (part == Wal2jsonPart::identity)
	{
		put_label(buffer, state, 3, "oldkeys");
		put_char(buffer, '{');
		put_string(buffer, state->newline);
	}
	for (int i = 0; i < row_list_count; i++)
	{
		if (labels[i] == nullptr || !is_listed(state, (RowList) i))
			continue;
		put_label(buffer, state, depth, labels[i]);
		put_char(buffer, '[');
		if (!empty)
			put_list(buffer, state, compiled, row, part, (RowList) i);
		put_char(buffer, ']');
		put_comma(buffer, state);
	}
	put_label(buffer, state, depth, part == Wal2jsonPart::columns ? "columnvalues" : "keyvalues");
	put_char(buffer, '[');
}

void
put_part_end(Buffer *buffer, const Wal2json *state, Wal2jsonPart part)
{
	put_char(buffer, ']');
	if (part == Wal2jsonPart::columns)
		return;
	put_string(buffer, state->newline);
	put_indent(buffer, state, 3);
	put_char(buffer, '}');
}

void
put_row(Buffer *buffer, const Wal2json *state, const StreamRelation *relation, const Row *row,
        Wal2jsonPart part)
{
	Wal2jsonRelation *compiled = (Wal2jsonRelation *) relation->format;
	bool complete = true;
	bool first = true;

	for (int i = 0; complete && i < compiled->ncolumns; i++)
		complete = is_selected(&compiled->columns[i], row, part) ==
		           is_selected(&compiled->columns[i], nullptr, part);
	if (likely(complete))
		put(buffer,
		    part == Wal2jsonPart::columns ? &compiled->all_columns : &compiled->whole_identity);
	else
		put_lists(buffer, state, compiled, row, part, false);
	for (int i = 0; i < compiled->ncolumns; i++)
	{
		Wal2jsonColumn *column = &compiled->columns[i];

		if (!is_selected(column, row, part))
			continue;
		if (!first)
		{
			put_char(buffer, ',');
			put_string(buffer, state->space);
		}
		wal2json_put_value(buffer, relation, column, row);
		if (unlikely(buffer->overflowed))
			return;
		first = false;
	}
	put_part_end(buffer, state, part);
}

void
put_primary_key(Buffer *buffer, const Wal2json *state, const Wal2jsonRelation *compiled)
{
	static const char *const labels[] = {"pknames", "pktypes"};

	put_label(buffer, state, 3, "pk");
	put_char(buffer, '{');
	put_string(buffer, state->newline);
	for (int list = 0; list < 2; list++)
	{
		bool first = true;

		put_label(buffer, state, 4, labels[list]);
		put_char(buffer, '[');
		for (int i = 0; i < compiled->ncolumns; i++)
		{
			const Wal2jsonColumn *column = &compiled->columns[i];

			if (!column->in_primary_key || (list == 1 && !state->types))
				continue;
			if (!first)
			{
				put_char(buffer, ',');
				put_string(buffer, state->space);
			}
			put(buffer, &column->lists[list]);
			first = false;
		}
		put_char(buffer, ']');
		if (list == 0)
			put_char(buffer, ',');
		put_string(buffer, state->newline);
	}
	put_indent(buffer, state, 3);
	put_char(buffer, '}');
}

Text
compile_head(const Wal2json *state, const StreamRelation *relation, const char *kind)
{
	Buffer buffer;

	buffer_init(&buffer, CurrentMemoryContext, MaxAllocSize);
	put_char(&buffer, '{');
	put_string(&buffer, state->newline);
	put_label(&buffer, state, 3, "kind");
	put_json_string(&buffer, kind, strlen(kind));
	put_comma(&buffer, state);
	if (state->schemas)
	{
		put_label(&buffer, state, 3, "schema");
		put_json_string(&buffer, relation->schema, strlen(relation->schema));
		put_comma(&buffer, state);
	}
	put_label(&buffer, state, 3, "table");
	put_json_string(&buffer, relation->name, strlen(relation->name));
	return take_text(&buffer);
}

// Puts what is too large without its values.
void
put_large_row(Stream *stream, const StreamRelation *relation, const Row *row, Wal2jsonPart part)
{
	const Wal2json *state = wal2json_state(stream);
	Buffer *buffer = &stream->output.buffer;
	size_t begin = buffer->length;
	size_t limit = buffer->limit;

	if (part == Wal2jsonPart::identity)
	{
		buffer_set_limit(
			buffer, begin + Min(wal2json_most_identity_bytes, stream->options.max_record_bytes));
		put_row(buffer, state, relation, row, part);
		buffer_set_limit(buffer, limit);
		if (!buffer->overflowed)
			return;
		buffer_truncate(buffer, begin);
	}
	put_lists(buffer, state, (const Wal2jsonRelation *) relation->format, row, part, true);
	put_part_end(buffer, state, part);
}

} // namespace

void
wal2json_compile_v1(const Wal2json *state, const StreamRelation *relation, Relation rel)
{
	static const char *const kinds[] = {"insert", "update", "delete"};
	Wal2jsonRelation *compiled = (Wal2jsonRelation *) relation->format;
	Buffer buffer;

	for (int i = 0; i < compiled->ncolumns; i++)
		compile_column(state, &compiled->columns[i], rel);
	for (int i = 0; i < 3; i++)
		compiled->heads[i] = compile_head(state, relation, kinds[i]);
	buffer_init(&buffer, CurrentMemoryContext, MaxAllocSize);
	put_lists(&buffer, state, compiled, nullptr, Wal2jsonPart::columns, false);
	compiled->all_columns = take_text(&buffer);
	buffer_init(&buffer, CurrentMemoryContext, MaxAllocSize);
	put_lists(&buffer, state, compiled, nullptr, Wal2jsonPart::identity, false);
	compiled->whole_identity = take_text(&buffer);
	buffer_init(&buffer, CurrentMemoryContext, MaxAllocSize);
	put_primary_key(&buffer, state, compiled);
	compiled->primary_key = take_text(&buffer);
}

void
wal2json_put_row_v1(Stream *stream, const StreamRelation *relation, const Row *row,
                    Wal2jsonPart part, bool large)
{
	if (unlikely(large))
		put_large_row(stream, relation, row, part);
	else
		put_row(&stream->output.buffer, wal2json_state(stream), relation, row, part);
}

} // namespace carbonite
