// A change as a line of JSON. What is constant for a relation is rendered once. A record that is
// too large gives way to one that has digests in place of its large values, so that no change can
// stop the stream. PG world.

#include "decode/carbonite_change.hpp"
#include "decode/difference.hpp"
#include "decode/record.hpp"

namespace carbonite
{
namespace
{

constexpr char kind_change[] = "change";

// What a relation's records have in common, by operation: from the sequence number to the key.
struct Constants
{
	Buffer text[3];
};

// How the values of a row are shown.
struct Shown
{
	bool digests; // of large values
	bool nothing; // not even small values fit
	Failures failures;
	bool has_missing; // a value is not in the WAL
};

// Puts a column and its value, unless that is shown otherwise. Returns whether it did.
bool
put_member(Buffer *buffer, const StreamRelation *relation, StreamColumn *column, const Row *row,
           Shown *shown, bool first)
{
	size_t length = buffer->length;
	int sqlstate;

	if (unlikely(shown->digests) && is_large(column, row))
		return false;
	if (!first)
		put_char(buffer, ',');
	put_bytes(buffer, column->label, column->label_length);
	if (likely(put_column(buffer, relation, column, row, &sqlstate)))
		return true;
	note_failure(&shown->failures, column, sqlstate);
	buffer->length = length;
	return false;
}

// Puts the values of a row that the WAL has. Of partial rows only the columns of the identity are
// known.
void
put_row(Buffer *buffer, const StreamRelation *relation, const Row *row, bool partial, Shown *shown)
{
	bool first = true;

	put_char(buffer, '{');
	for (int i = 0; i < relation->ncolumns; i++)
	{
		StreamColumn *column = &relation->columns[i];

		if (partial && !column->in_identity)
			continue;
		if (unlikely(row->missing[column->attnum - 1]))
		{
			shown->has_missing = true;
			continue;
		}
		if (put_member(buffer, relation, column, row, shown, first))
			first = false;
	}
	put_char(buffer, '}');
}

// Puts the names of columns whose unchanged values the WAL does not have.
void
put_unchanged(Buffer *buffer, const StreamRelation *relation, const Row *row)
{
	bool first = true;

	put_text(buffer, ",\"unchanged\":[");
	for (int i = 0; i < relation->ncolumns; i++)
	{
		const StreamColumn *column = &relation->columns[i];

		if (!row->missing[column->attnum - 1])
			continue;
		if (!first)
			put_char(buffer, ',');
		first = false;
		// without the colon
		put_bytes(buffer, column->label, column->label_length - 1);
	}
	put_char(buffer, ']');
}

// Which columns an update changed; of those that the WAL has in both rows.
void
find_changed(const StreamRelation *relation, const Change *change, bool *changed)
{
	bool full = relation->replica_identity == REPLICA_IDENTITY_FULL;

	for (int i = 0; i < relation->ncolumns; i++)
	{
		StreamColumn *column = &relation->columns[i];
		int index = column->attnum - 1;

		changed[i] = (full || column->in_identity) && !change->old_row->missing[index] &&
		             !change->row->missing[index] &&
		             column_changed(relation, column, change->old_row, change->row);
	}
}

// Puts what is known of the row before an update.
void
put_old(Buffer *buffer, const StreamRelation *relation, const Change *change, Shown *shown)
{
	bool *changed = (bool *) palloc(sizeof(bool) * (size_t) Max(relation->ncolumns, 1));
	bool first = true;

	find_changed(relation, change, changed);
	if (relation->replica_identity == REPLICA_IDENTITY_FULL)
	{
		put_text(buffer, ",\"changed\":[");
		for (int i = 0; i < relation->ncolumns; i++)
		{
			if (!changed[i])
				continue;
			if (!first)
				put_char(buffer, ',');
			first = false;
			put_bytes(buffer, relation->columns[i].label, relation->columns[i].label_length - 1);
		}
		put_char(buffer, ']');
	}
	first = true;
	put_text(buffer, ",\"old\":{");
	for (int i = 0; i < relation->ncolumns; i++)
		if (changed[i] &&
		    put_member(buffer, relation, &relation->columns[i], change->old_row, shown, first))
			first = false;
	put_char(buffer, '}');
	if (relation->key_in_identity && key_changed(relation, change->old_row, change->row))
	{
		put_text(buffer, ",\"old_key\":");
		put_key(buffer, relation, change->old_row);
	}
}

// Puts the digests of values that were left out, and the errors of those that failed.
void
put_omitted(Buffer *buffer, const StreamRelation *relation, const Row *row, const Shown *shown)
{
	bool first = true;

	if (shown->digests)
	{
		put_text(buffer, ",\"omitted\":{\"bytes\":");
		put_unsigned(buffer, row != nullptr ? row_bytes(relation, row) : 0);
		put_text(buffer, ",\"columns\":{");
		for (int i = 0; row != nullptr && i < relation->ncolumns; i++)
		{
			const StreamColumn *column = &relation->columns[i];

			if (!is_large(column, row))
				continue;
			if (!first)
				put_char(buffer, ',');
			first = false;
			put_bytes(buffer, column->label, column->label_length);
			put_digest(buffer, column, row);
		}
		put_text(buffer, "}}");
	}
	put_failures(buffer, &shown->failures);
}

// The row that a record shows: the new one, or of a delete what is known of the old one.
const Row *
shown_row(const Change *change)
{
	return change->op == RowOp::remove ? change->old_row : change->row;
}

void
put_data(Buffer *buffer, const StreamRelation *relation, const Change *change, Shown *shown)
{
	const Row *row = shown_row(change);
	bool partial =
		change->op == RowOp::remove && relation->replica_identity != REPLICA_IDENTITY_FULL;

	put_text(buffer, ",\"data\":");
	if (row == nullptr || relation->withheld || shown->nothing)
		put_text(buffer, "null");
	else
		put_row(buffer, relation, row, partial, shown);
	if (partial)
		put_text(buffer, ",\"partial\":true");
	if (shown->has_missing)
		put_unchanged(buffer, relation, row);
	if (change->op == RowOp::update && change->old_row != nullptr && !relation->withheld &&
	    !shown->nothing)
		put_old(buffer, relation, change, shown);
	if (unlikely(relation->withheld))
		put_text(buffer, ",\"withheld\":true");
	if (unlikely(shown->digests || shown->failures.any))
		put_omitted(buffer, relation, row, shown);
}

// Puts a record but for its end; false if it does not fit.
bool
put_record(Stream *stream, const Transaction *transaction, const StreamRelation *relation,
           const Change *change, Shown *shown)
{
	Buffer *buffer = &stream->output.buffer;
	const Constants *constants = (const Constants *) relation->format;
	const Buffer *text = &constants->text[(int) change->op];
	const Row *row = shown_row(change);
	bool key_known = change->op != RowOp::remove || relation->key_in_identity;

	carbonite_put_head(stream, transaction, kind_change, sizeof(kind_change) - 1);
	put_bytes(buffer, text->data, text->length);
	put_key(buffer, relation, key_known ? row : nullptr);
	put_data(buffer, relation, change, shown);
	return !record_overflowed(&stream->output);
}

} // namespace

void
carbonite_compile(Stream *, StreamRelation *relation, Relation)
{
	static const char *const ops[] = {"insert", "update", "delete"};
	Constants *constants = (Constants *) palloc0(sizeof(Constants));

	for (int op = 0; op < 3; op++)
	{
		Buffer *text = &constants->text[op];

		buffer_init(text, CurrentMemoryContext, MaxAllocSize);
		put_text(text, ",\"op\":\"");
		put_string(text, ops[op]);
		put_text(text, "\",\"schema\":");
		put_unicode_string(text, relation->schema, strlen(relation->schema));
		put_text(text, ",\"table\":");
		put_unicode_string(text, relation->name, strlen(relation->name));
		put_text(text, ",\"key\":");
	}
	relation->format = constants;
}

void
carbonite_change(Stream *stream, Transaction *transaction, StreamRelation *relation,
                 const Change *change)
{
	const Row *row = shown_row(change);
	Shown shown = {};

	// functions of types are not asked to write what is too large anyway
	shown.digests = row != nullptr && row->has_external &&
	                row_bytes(relation, row) > stream->options.max_record_bytes;
	record_begin(&stream->output);
	if (!put_record(stream, transaction, relation, change, &shown))
	{
		record_cancel(&stream->output);
		shown = Shown{};
		shown.digests = true;
		if (!put_record(stream, transaction, relation, change, &shown))
		{
			record_cancel(&stream->output);
			record_lift_limit(&stream->output);
			shown = Shown{};
			shown.digests = true;
			shown.nothing = true;
			put_record(stream, transaction, relation, change, &shown);
		}
	}
	record_end(&stream->output, change->lsn, carbonite_record_end(stream));
}

} // namespace carbonite
