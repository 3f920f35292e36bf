// What is decoded becomes records: relations are looked up, filters applied, rows taken apart, and
// metadata gathered. PG world.

#include "caught.hpp"
#include "decode/publication.hpp"
#include "decode/stream.hpp"

namespace carbonite
{
namespace
{

// How many changes that nobody sees make the server tell the client that it is alive.
constexpr int quiet_limit = 100;

constexpr int action_truncate = 3;

// A transaction's row of `changes` that records a command.
void
command_from_row(Stream *stream, Transaction *transaction, const StreamRelation *relation,
                 const Change *change)
{
	const Row *row = change->row;
	Ddl ddl = {};
	const AttrNumber columns[] = {relation->command, relation->data, relation->table_prefix,
	                              relation->table_name};

	if (row == nullptr || !stream->options.ddl || stream->format->ddl == nullptr)
		return;
	for (AttrNumber column : columns)
		if (column <= 0 || row->nulls[column - 1] || row->missing[column - 1])
			return;
	ddl.command = TextDatumGetCString(row->values[relation->command - 1]);
	ddl.schema = TextDatumGetCString(row->values[relation->table_prefix - 1]);
	ddl.table = TextDatumGetCString(row->values[relation->table_name - 1]);
	ddl.details = DatumGetJsonbP(row->values[relation->data - 1]);
	ddl.lsn = change->lsn;
	if (strcmp(ddl.command, "TRUNCATE") == 0 ||
	    !options_choose_table(&stream->options, ddl.schema, ddl.table) ||
	    !policy_allows_texts(&stream->policy, ddl.schema, ddl.table))
		return;
	stream_begin_records(stream, transaction);
	stream->format->ddl(stream, transaction, &ddl);
	stream_end_record(stream, transaction);
}

// Rows of audit tables say something about their transaction.
void
listen(Stream *stream, Transaction *transaction, StreamRelation *relation, const Change *change)
{
	if (relation->role == RelationRole::transactions)
		metadata_from_row(transaction, relation, change);
	else if (relation->role == RelationRole::annotations)
		metadata_from_annotation(stream, transaction, relation, change);
	else if (relation->role == RelationRole::changes)
		command_from_row(stream, transaction, relation, change);
}

bool
listens_to(const Stream *stream, const StreamRelation *relation)
{
	return relation->role != RelationRole::ordinary && relation->role != RelationRole::hidden &&
	       stream->format->takes_metadata;
}

// Was a change sent before, to a client that says so?
bool
was_sent(const Stream *stream, const Transaction *transaction)
{
	return stream->options.resume && transaction->lsn == stream->options.resume_lsn &&
	       transaction->sequence <= stream->options.resume_sequence;
}

// The subtransaction that made a change. It is of interest only as long as it may roll back.
TransactionId
subtransaction_of(const Transaction *transaction, const ReorderBufferChange *change)
{
	return transaction->in_progress && change->txn != nullptr ? change->txn->xid : transaction->xid;
}

RowOp
row_op(const ReorderBufferChange *change)
{
	switch (change->action)
	{
		case REORDER_BUFFER_CHANGE_INSERT:
			return RowOp::insert;
		case REORDER_BUFFER_CHANGE_UPDATE:
			return RowOp::update;
		case REORDER_BUFFER_CHANGE_DELETE:
			return RowOp::remove;
		default:
			elog(ERROR, "unexpected change %d", (int) change->action);
	}
}

// Computes a virtual column; false if its expression raises an error.
bool
evaluate(const VirtualColumn *column, ExprContext *expressions, Datum *value, bool *isnull)
{
	// it could not even be compiled
	if (column->expression == nullptr)
		return false;
	return succeeds([&] { *value = ExecEvalExpr(column->expression, expressions, isnull); });
}

// Computes virtual columns of a row that is complete. One that cannot be computed is null.
void
compute_virtual_columns(const StreamRelation *relation, Row *row)
{
	const Plan *plan = relation->plan;
	TupleTableSlot *slot = relation->slot;

	for (int i = 0; i < relation->natts; i++)
		if (row->missing[i])
		{
			for (int j = 0; j < plan->nvirtual; j++)
				row->missing[plan->virtual_columns[j].attnum - 1] = true;
			return;
		}
	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->values, sizeof(Datum) * (size_t) relation->natts);
	memcpy(slot->tts_isnull, row->nulls, sizeof(bool) * (size_t) relation->natts);
	ExecStoreVirtualTuple(slot);
	plan->expressions->ecxt_scantuple = slot;
	for (int i = 0; i < plan->nvirtual; i++)
	{
		int index = plan->virtual_columns[i].attnum - 1;

		if (!evaluate(&plan->virtual_columns[i], plan->expressions, &row->values[index],
		              &row->nulls[index]))
			row->nulls[index] = true;
	}
}

// Takes the tuples of a change apart.
void
deform(const Stream *stream, StreamRelation *relation, ReorderBufferChange *from, Change *change)
{
	HeapTuple tuple = decoded_tuple(from->data.tp.newtuple);
	HeapTuple old_tuple = decoded_tuple(from->data.tp.oldtuple);
	bool full = relation->replica_identity == REPLICA_IDENTITY_FULL;

	if (old_tuple != nullptr && change->op != RowOp::insert)
	{
		stream_deform(relation, old_tuple, relation->old_row);
		change->old_row = relation->old_row;
		if (relation->plan->nvirtual > 0 && full)
			compute_virtual_columns(relation, relation->old_row);
	}
	if (tuple == nullptr || change->op == RowOp::remove)
		return;
	stream_deform(relation, tuple, relation->row);
	if (change->old_row != nullptr && stream->format->fills_rows)
		stream_fill(relation, relation->row, change->old_row, !full);
	if (relation->plan->nvirtual > 0)
		compute_virtual_columns(relation, relation->row);
	change->row = relation->row;
}

void
show_change(Stream *stream, Transaction *transaction, StreamRelation *relation, Change *change)
{
	if (relation->published != nullptr &&
	    !publication_filter(relation->published, relation->slot, change))
		return;
	stream_begin_records(stream, transaction);
	stream->format->change(stream, transaction, relation, change);
	stream_end_record(stream, transaction);
}

// Are all partitions of a table truncated, or is it only this one?
bool
is_ancestor_among(Relation rel, int count, Relation *rels)
{
	List *ancestors = get_partition_ancestors(RelationGetRelid(rel));

	for (int i = 0; i < count; i++)
		if (list_member_oid(ancestors, RelationGetRelid(rels[i])))
			return true;
	return false;
}

// A partition is truncated with its table, whose record is enough, or alone: then it goes by its
// own name, as nothing happened to the other partitions.
void
truncate_one(Stream *stream, Transaction *transaction, int count, Relation *rels, int index,
             const ReorderBufferChange *change)
{
	Relation rel = rels[index];
	StreamRelation *relation = stream_relation(stream, rel);
	StreamRelation alone;

	if (!relation->shown[action_truncate] || stream->format->truncate == nullptr)
		return;
	if (relation->by_ancestor)
	{
		if (is_ancestor_among(rel, count, rels))
			return;
		alone = *relation;
		alone.schema = get_namespace_name(RelationGetNamespace(rel));
		alone.name = RelationGetRelationName(rel);
		if (stream->format->compile != nullptr)
			stream->format->compile(stream, &alone, rel);
		relation = &alone;
	}
	stream_begin_records(stream, transaction);
	stream->format->truncate(stream, transaction, relation, change->data.truncate.cascade,
	                         change->data.truncate.restart_seqs, change->lsn);
	stream_end_record(stream, transaction);
}

// Is a message metadata?
bool
is_annotation(const Stream *stream, const Message *message)
{
	return message->transactional && stream->options.annotations &&
	       stream->format->takes_metadata && strcmp(message->prefix, "carbonite") == 0;
}

bool
is_message_chosen(const Stream *stream, const Message *message)
{
	const Options *options = &stream->options;

	if (!options->messages || stream->format->message == nullptr ||
	    !policy_allows_messages(&stream->policy))
		return false;
	if (options->message_prefixes != NIL &&
	    !any_name_matches(options->message_prefixes, message->prefix))
		return false;
	return !any_name_matches(options->exclude_message_prefixes, message->prefix);
}

} // namespace

void
stream_deform(const StreamRelation *relation, HeapTuple tuple, Row *row)
{
	bool had_external = row->has_external;

	heap_deform_tuple(tuple, relation->tuple_desc, row->values, row->nulls);
	row->has_external = HeapTupleHasExternal(tuple);
	if (likely(!row->has_external && !had_external))
		return;
	for (int i = 0; i < relation->natts; i++)
		row->missing[i] = !row->nulls[i] && TupleDescAttr(relation->tuple_desc, i)->attlen == -1 &&
		                  VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(row->values[i]));
}

void
stream_fill(const StreamRelation *relation, Row *row, const Row *old_row, bool only_identity)
{
	for (int i = 0; i < relation->natts; i++)
	{
		// of columns that the old row does not have, it has null
		if (!row->missing[i] || old_row->missing[i] || (only_identity && old_row->nulls[i]))
			continue;
		row->values[i] = old_row->values[i];
		row->nulls[i] = old_row->nulls[i];
		row->missing[i] = false;
	}
}

void
stream_begin_records(Stream *stream, Transaction *transaction)
{
	const Format *format = stream->format;

	if (likely(transaction->begun))
		return;
	transaction->begun = true;
	stream->output.hold_bytes = stream->options.metadata_buffer;
	stream->output.hold = format->takes_metadata &&
	                      stream->options.metadata != MetadataMode::commit &&
	                      stream->output.hold_bytes > 0;
	if (format->begin != nullptr)
		format->begin(stream, transaction);
}

void
stream_end_record(Stream *stream, Transaction *transaction)
{
	const Buffer *meta = metadata_text(&transaction->meta);

	transaction->records++;
	stream->quiet_changes = 0;
	output_maybe_flush(&stream->output, meta->data, meta->length);
}

void
stream_flush(Stream *stream, Transaction *transaction)
{
	const Buffer *meta = metadata_text(&transaction->meta);

	output_flush(&stream->output, meta->data, meta->length);
}

void
stream_keep_alive(Stream *stream, Transaction *transaction)
{
	const Buffer *meta = metadata_text(&transaction->meta);

	output_maybe_flush(&stream->output, meta->data, meta->length);
	if (server_tells_progress || ++stream->quiet_changes < quiet_limit)
		return;
	stream->quiet_changes = 0;
	update_progress_compat(stream->ctx, false);
}

void
stream_change(Stream *stream, Relation rel, ReorderBufferChange *from)
{
	Transaction *transaction = stream->current;
	StreamRelation *relation;
	Change change = {};
	bool shown;
	MemoryContext caller;

	transaction->sequence++;
	if (transaction->skipped)
	{
		stream_keep_alive(stream, transaction);
		return;
	}
	change.op = row_op(from);
	change.lsn = from->lsn;
	transaction->subxid = subtransaction_of(transaction, from);

	caller = MemoryContextSwitchTo(stream->scratch);
	relation = stream_relation(stream, rel);
	shown = relation->shown[(int) change.op] && !was_sent(stream, transaction);
	if (shown || listens_to(stream, relation))
	{
		deform(stream, relation, from, &change);
		if (relation->role != RelationRole::ordinary && listens_to(stream, relation) &&
		    !(relation->role == RelationRole::changes && was_sent(stream, transaction)))
			listen(stream, transaction, relation, &change);
	}
	if (shown)
		show_change(stream, transaction, relation, &change);
	else
		stream_keep_alive(stream, transaction);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(stream->scratch);
}

void
stream_truncate(Stream *stream, int count, Relation *rels, ReorderBufferChange *from)
{
	Transaction *transaction = stream->current;

	transaction->subxid = subtransaction_of(transaction, from);
	for (int i = 0; i < count; i++)
	{
		MemoryContext caller;

		transaction->sequence++;
		if (transaction->skipped || was_sent(stream, transaction))
			continue;
		caller = MemoryContextSwitchTo(stream->scratch);
		truncate_one(stream, transaction, count, rels, i, from);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(stream->scratch);
	}
	stream_keep_alive(stream, transaction);
}

void
stream_message(Stream *stream, Transaction *transaction, const Message *message)
{
	MemoryContext caller = MemoryContextSwitchTo(stream->scratch);
	Jsonb *object = nullptr;

	if (transaction != nullptr)
	{
		TransactionId subxid =
			transaction->in_progress ? decoded_subtransaction() : InvalidTransactionId;

		transaction->sequence++;
		transaction->subxid = TransactionIdIsValid(subxid) ? subxid : transaction->xid;
	}
	if (transaction != nullptr && !transaction->skipped && is_annotation(stream, message))
		object = parse_json_object(message->content, message->length);
	if (object != nullptr)
		metadata_add(&transaction->meta, transaction->subxid, MetaSource::message, InvalidOid,
		             object);
	else if (is_message_chosen(stream, message))
	{
		if (transaction == nullptr)
		{
			stream->format->message(stream, nullptr, message);
			output_flush(&stream->output, nullptr, 0);
		}
		else if (!transaction->skipped && !was_sent(stream, transaction))
		{
			stream_begin_records(stream, transaction);
			stream->format->message(stream, transaction, message);
			stream_end_record(stream, transaction);
		}
	}
	MemoryContextSwitchTo(caller);
	MemoryContextReset(stream->scratch);
}

} // namespace carbonite
