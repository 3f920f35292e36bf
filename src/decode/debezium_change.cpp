// A change as Debezium's envelope. An update of the key is the removal of a row and the creation of
// another. A record that is too large gives way to one without the row, so that no change can stop
// the stream. PG world.

#include "decode/debezium.hpp"
#include "decode/record.hpp"

namespace carbonite
{
namespace
{

// What a record shows of a row, and what it cannot.
struct Shown
{
	char op;
	const Row *before; // or null
	const Row *after;  // or null
	bool partial;      // of the old row only the columns of the identity are known
	bool omitted;      // the rows do not fit
	bool keyless;      // not even the key does
	Failures failures;
};

const DebeziumRelation *
constants_of(const StreamRelation *relation)
{
	return (const DebeziumRelation *) relation->format;
}

bool
is_key(const StreamRelation *relation, const StreamColumn *column)
{
	return constants_of(relation)->by_primary_key ? column->in_primary_key : column->in_identity;
}

void
put_member(Buffer *buffer, const StreamRelation *relation, int i, const Row *row, Shown *shown)
{
	const StreamColumn *column = &relation->columns[i];
	DebeziumWriter *writer = &constants_of(relation)->writers[i];
	int index = column->attnum - 1;
	int sqlstate;

	put_bytes(buffer, column->label, column->label_length);
	if (unlikely(row->missing[index]))
		debezium_put_placeholder(buffer, writer);
	else if (unlikely(column->mask != nullptr))
	{
		JsonValue value = {};

		masked_value(relation, column, row, &value);
		put_json_value(buffer, &value);
	}
	else if (row->nulls[index])
		put_text(buffer, "null");
	else if (unlikely(!debezium_put_value(buffer, writer, row->values[index], &sqlstate)))
	{
		note_failure(&shown->failures, column, sqlstate);
		put_text(buffer, "null");
	}
}

// Puts all columns of a row. Those that the WAL does not have of an old row are null.
void
put_row(Buffer *buffer, const StreamRelation *relation, const Row *row, bool partial, Shown *shown)
{
	put_char(buffer, '{');
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const StreamColumn *column = &relation->columns[i];

		if (i > 0)
			put_char(buffer, ',');
		if (!partial || column->in_identity)
		{
			put_member(buffer, relation, i, row, shown);
			continue;
		}
		put_bytes(buffer, column->label, column->label_length);
		put_text(buffer, "null");
	}
	put_char(buffer, '}');
}

void
put_row_or_null(Buffer *buffer, const StreamRelation *relation, const Row *row, bool partial,
                Shown *shown)
{
	if (row == nullptr || shown->omitted || relation->withheld)
		put_text(buffer, "null");
	else
		put_row(buffer, relation, row, partial, shown);
}

// Puts the columns of the key alone.
void
put_key_columns(Buffer *buffer, const StreamRelation *relation, const Row *row, Shown *shown)
{
	bool first = true;

	put_char(buffer, '{');
	for (int i = 0; i < relation->ncolumns; i++)
	{
		if (!is_key(relation, &relation->columns[i]))
			continue;
		if (!first)
			put_char(buffer, ',');
		first = false;
		put_member(buffer, relation, i, row, shown);
	}
	put_char(buffer, '}');
}

// Puts what stands for rows that do not fit: how large they are, and the key.
void
put_omission(Buffer *buffer, const StreamRelation *relation, Shown *shown)
{
	const Row *row = shown->after != nullptr ? shown->after : shown->before;

	put_text(buffer, ",\"omitted\":{\"bytes\":");
	put_unsigned(buffer, (shown->before != nullptr ? row_bytes(relation, shown->before) : 0) +
	                         (shown->after != nullptr ? row_bytes(relation, shown->after) : 0));
	// without a key of its own, the identity may be all columns
	if (!shown->keyless && (constants_of(relation)->by_primary_key || relation->has_identity) &&
	    !relation->withheld)
	{
		put_text(buffer, ",\"key\":");
		put_key_columns(buffer, relation, row, shown);
	}
	put_char(buffer, '}');
}

// Puts a record but for its end; false if it does not fit.
bool
put_envelope(Stream *stream, const StreamRelation *relation, const DebeziumEvent *event,
             Shown *shown)
{
	Buffer *buffer = &stream->output.buffer;

	put_text(buffer, "{\"before\":");
	put_row_or_null(buffer, relation, shown->before, shown->partial, shown);
	put_text(buffer, ",\"after\":");
	put_row_or_null(buffer, relation, shown->after, false, shown);
	put_char(buffer, ',');
	debezium_put_source(stream, event);
	put_text(buffer, ",\"op\":\"");
	put_char(buffer, shown->op);
	put_text(buffer, "\",");
	debezium_put_now(buffer);
	if (unlikely(relation->withheld))
		put_text(buffer, ",\"withheld\":true");
	if (unlikely(shown->omitted))
		put_omission(buffer, relation, shown);
	put_failures(buffer, &shown->failures);
	return !record_overflowed(&stream->output);
}

// Makes a record, as large as it may be.
void
make_record(Stream *stream, Transaction *transaction, StreamRelation *relation, XLogRecPtr lsn,
            char op, const Row *before, const Row *after)
{
	DebeziumCount *count = debezium_relation_count(stream, transaction, relation);
	DebeziumEvent event =
		debezium_next_event(stream, transaction, &constants_of(relation)->names, count, lsn);
	Shown shown = {};
	size_t bytes = (before != nullptr ? row_bytes(relation, before) : 0) +
	               (after != nullptr ? row_bytes(relation, after) : 0);

	shown.op = op;
	shown.before = before;
	shown.after = after;
	shown.partial = relation->replica_identity != REPLICA_IDENTITY_FULL;
	shown.omitted = bytes > stream->options.max_record_bytes;
	record_begin(&stream->output);
	if (!put_envelope(stream, relation, &event, &shown))
	{
		record_cancel(&stream->output);
		// a key may be too large, too
		shown.keyless = shown.omitted;
		shown.omitted = true;
		shown.failures.any = false;
		if (!put_envelope(stream, relation, &event, &shown))
		{
			record_cancel(&stream->output);
			record_lift_limit(&stream->output);
			shown.keyless = true;
			shown.failures.any = false;
			put_envelope(stream, relation, &event, &shown);
		}
	}
	record_end(&stream->output, lsn, debezium_record_end(stream));
}

// Did an update change the key?
bool
is_key_changed(const StreamRelation *relation, const Change *change)
{
	const Row *old_row = change->old_row;
	const Row *row = change->row;

	if (old_row == nullptr || (!constants_of(relation)->by_primary_key &&
	                           relation->replica_identity == REPLICA_IDENTITY_FULL))
		return false;
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const DebeziumWriter *writer = &constants_of(relation)->writers[i];
		int index = relation->columns[i].attnum - 1;

		if (!is_key(relation, &relation->columns[i]) || row->missing[index] ||
		    old_row->missing[index])
			continue;
		if (row->nulls[index] != old_row->nulls[index] ||
		    (!row->nulls[index] && !datum_image_eq(row->values[index], old_row->values[index],
		                                           writer->by_value, writer->length)))
			return true;
	}
	return false;
}

// Is the primary key in the old rows that the WAL has?
bool
has_known_primary_key(const StreamRelation *relation)
{
	bool known = relation->has_primary_key;

	for (int i = 0; i < relation->ncolumns; i++)
		if (relation->columns[i].in_primary_key && !relation->columns[i].in_identity)
			known = false;
	return known;
}

} // namespace

void
debezium_compile(Stream *stream, StreamRelation *relation, Relation)
{
	DebeziumRelation *constants = (DebeziumRelation *) palloc0(sizeof(DebeziumRelation));

	constants->writers =
		(DebeziumWriter *) palloc(sizeof(DebeziumWriter) * (size_t) Max(relation->ncolumns, 1));
	for (int i = 0; i < relation->ncolumns; i++)
		debezium_writer_compile(&constants->writers[i], &debezium_state(stream)->modes,
		                        relation->columns[i].type, relation->columns[i].typmod);
	constants->by_primary_key = has_known_primary_key(relation);
	constants->collection = psprintf("%s.%s", relation->schema, relation->name);
	buffer_init(&constants->names, CurrentMemoryContext, MaxAllocSize);
	put_text(&constants->names, "\"schema\":");
	put_unicode_string(&constants->names, relation->schema, strlen(relation->schema));
	put_text(&constants->names, ",\"table\":");
	put_unicode_string(&constants->names, relation->name, strlen(relation->name));
	relation->format = constants;
}

void
debezium_change(Stream *stream, Transaction *transaction, StreamRelation *relation,
                const Change *change)
{
	switch (change->op)
	{
		case RowOp::insert:
			make_record(stream, transaction, relation, change->lsn, 'c', nullptr, change->row);
			break;
		case RowOp::update:
			if (is_key_changed(relation, change))
			{
				make_record(stream, transaction, relation, change->lsn, 'd', change->old_row,
				            nullptr);
				make_record(stream, transaction, relation, change->lsn, 'c', nullptr, change->row);
			}
			else
				make_record(stream, transaction, relation, change->lsn, 'u', change->old_row,
				            change->row);
			break;
		case RowOp::remove:
			make_record(stream, transaction, relation, change->lsn, 'd', change->old_row, nullptr);
			break;
	}
}

} // namespace carbonite
