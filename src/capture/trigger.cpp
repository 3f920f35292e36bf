// capture_changes(): one row event, or one TRUNCATE, becomes one row of `changes`. PG world.
//
// The order of the checks is part of the contract: configuration, mode, key, image, difference,
// transaction.

#include "capture/batch.hpp"
#include "capture/context.hpp"
#include "capture/move.hpp"
#include "capture/override.hpp"
#include "capture/transaction.hpp"

SQL_FUNCTION(carbonite_capture_changes);
SQL_FUNCTION(carbonite_configuration_changed);

namespace carbonite
{
namespace
{

struct Event
{
	ChangeOp op;
	TupleTableSlot *row;     // the new row; of a DELETE, the old one
	TupleTableSlot *old_row; // of an UPDATE
	const Move *move;        // of an UPDATE that moved the row: how its old row left
};

const char *
op_name(ChangeOp op)
{
	static const char *const names[op_count + 1] = {"INSERT", "UPDATE", "DELETE", "TRUNCATE"};

	return names[op];
}

Event
read_event(const TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		return Event{op_truncate, nullptr, nullptr, nullptr};
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return Event{op_update, trigger->tg_newslot, trigger->tg_trigslot, nullptr};
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		return Event{op_insert, trigger->tg_trigslot, nullptr, nullptr};
	return Event{op_delete, trigger->tg_trigslot, nullptr, nullptr};
}

[[noreturn]] void
raise_unconfigured(const Prefix *prefix, Relation rel, ChangeOp op)
{
	ereport(ERROR, (errcode(ERRCODE_NO_DATA_FOUND),
	                errmsg("(carbonite) %s on table %s.%s but no trigger record in %s.triggers",
	                       op_name(op), get_namespace_name(RelationGetNamespace(rel)),
	                       RelationGetRelationName(rel), prefix->name)));
}

[[noreturn]] void
raise_without_transaction(const Prefix *prefix, Relation rel, ChangeOp op)
{
	ereport(ERROR,
	        (errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
	         errmsg("(carbonite) %s on table %s.%s without prior INSERT into %s.transactions",
	                op_name(op), get_namespace_name(RelationGetNamespace(rel)),
	                RelationGetRelationName(rel), prefix->name)));
}

[[noreturn]] void
raise_missing_key(const Plan *plan, const Prefix *prefix, Relation rel)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_UNDEFINED_COLUMN),
	     errmsg("primary key column \"%s\" of table %s.%s does not exist", plan->missing_key,
	            get_namespace_name(RelationGetNamespace(rel)), RelationGetRelationName(rel)),
	     errhint(
			 "Correct primary_key_columns with carbonite.configure_trigger(), or in %s.triggers.",
			 prefix->name)));
}

// Fills in what an UPDATE changed and returns true, or false if that is nothing that is recorded.
bool
describe_update(const Plan *plan, Relation rel, const Event *event, RowView row,
                RowDifference *difference, Datum *values, bool *nulls)
{
	TupleTableSlot *moved = nullptr;
	RowView old_row = event->move != nullptr ? move_old_row(event->move, rel, &moved)
	                                         : row_view(plan, event->old_row);

	row_difference(plan, old_row, row, difference);
	if (difference->nchanged > 0)
	{
		values[change_changed] = changed_names(plan, difference);
		nulls[change_changed_from] = !plan->store_changed_from;
		if (plan->store_changed_from)
			values[change_changed_from] = changed_image(plan, old_row, difference);
	}
	if (moved != nullptr)
		ExecDropSingleTupleTableSlot(moved);
	return difference->nchanged > 0;
}

// Fills in what the row itself gives; false if an UPDATE changed nothing that is recorded.
bool
describe_change(const Plan *plan, Relation rel, const Event *event, Datum *values, bool *nulls)
{
	RowDifference difference = {};
	RowView row;
	bool partial;

	if (event->op == op_update && event->move == nullptr &&
	    rows_look_equal(event->old_row, event->row))
		return false;
	row = row_view(plan, event->row);
	values[change_changed] = plan->no_names;
	nulls[change_changed_from] = true;
	if (event->op == op_update &&
	    !describe_update(plan, rel, event, row, &difference, values, nulls))
		return false;
	nulls[change_table_pk] = !plan->has_key;
	if (plan->has_key)
		values[change_table_pk] = key_array(plan->key_columns, plan->nkeys, row.values, row.nulls);
	partial = plan->store_partial_data && event->op == op_update && !difference.key_changed;
	values[change_data] = partial ? partial_image(plan, row, &difference)
	                              : row_image(plan, row, difference.new_values);
	values[change_data_is_partial] = BoolGetDatum(partial);
	values[change_table_prefix] = plan->table_prefix;
	values[change_table_name] = plan->table_name;
	return true;
}

// How many rows a table holds, its partitions included.
int64
count_rows(Relation rel)
{
	Snapshot snapshot = register_latest_snapshot();
	List *oids = rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE
	                 ? find_all_inheritors(RelationGetRelid(rel), NoLock, nullptr)
	                 : list_make1_oid(RelationGetRelid(rel));
	ListCell *cell;
	int64 rows = 0;

	foreach (cell, oids)
	{
		Relation part = table_open(lfirst_oid(cell), AccessShareLock);

		if (part->rd_rel->relkind == RELKIND_RELATION)
		{
			TupleTableSlot *slot = table_slot_create(part, nullptr);
			TableScanDesc scan = table_beginscan(part, snapshot, 0, nullptr);

			while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
				rows++;
			table_endscan(scan);
			ExecDropSingleTupleTableSlot(slot);
		}
		table_close(part, NoLock);
	}
	UnregisterSnapshot(snapshot);
	return rows;
}

// Fills in what a TRUNCATE is recorded as: the deletion of so many rows.
void
describe_truncate(const Plan *plan, Relation rel, Datum *values, bool *nulls)
{
	char *data = psprintf("{\"rows\": " INT64_FORMAT "}", count_rows(rel));

	values[change_data] = DirectFunctionCall1(jsonb_in, CStringGetDatum(data));
	values[change_data_is_partial] = BoolGetDatum(false);
	values[change_changed] = plan->no_names;
	values[change_command] = CStringGetTextDatum("TRUNCATE");
	values[change_table_prefix] = plan->table_prefix;
	values[change_table_name] = plan->table_name;
	nulls[change_table_pk] = nulls[change_changed_from] = true;
}

// Fills in what was done; false if nothing has to be recorded.
bool
describe(const Plan *plan, Relation rel, const Event *event, Datum *values, bool *nulls)
{
	nulls[change_command] = event->op != op_truncate;
	if (event->op != op_truncate)
		return describe_change(plan, rel, event, values, nulls);
	if (plan->on_truncate == TruncateMode::refuse)
		ereport(
			ERROR,
			(errcode(ERRCODE_RESTRICT_VIOLATION),
		     errmsg("(carbonite) TRUNCATE on table %s.%s is refused",
		            get_namespace_name(RelationGetNamespace(rel)), RelationGetRelationName(rel)),
		     errdetail("on_truncate is \"refuse\"."), errhint("Use DELETE, which is recorded.")));
	if (plan->on_truncate == TruncateMode::ignore)
		return false;
	describe_truncate(plan, rel, values, nulls);
	return true;
}

enum class Found
{
	yes,
	not_recorded, // the prefix does not want the change
	stale,        // see insert_transaction()
};

// Finds the transactions row of the change, or makes one where the prefix wants that.
Found
find_transaction(PrefixEntry *entry, const Prefix *prefix, Relation rel, ChangeOp op,
                 CurrentTransaction *current)
{
	Datum values[transaction_columns];
	bool nulls[transaction_columns];

	if (likely(current_transaction(entry, prefix, current)))
		return Found::yes;
	switch (prefix->transaction_mode)
	{
		case TransactionMode::automatic:
			return insert_transaction(entry, prefix, context_meta(), current, values, nulls)
			           ? Found::yes
			           : Found::stale;
		case TransactionMode::optional:
			return Found::not_recorded;
		case TransactionMode::required:
			break;
	}
	raise_without_transaction(prefix, rel, op);
}

// Writes a change. A deletion that may be half of a move is written at once, so that it can be
// taken back.
void
write_change(PlanEntry *entry, const Prefix *prefix, Relation rel, const Event *event,
             const CurrentTransaction *current, Datum *values, bool *nulls)
{
	bool moving = event->op == op_delete && move_begins(entry->plan, event->row);

	values[change_transaction_xact_id] = FullTransactionIdGetDatum(current->xact_id);
	values[change_transaction_id] = Int64GetDatum(current->id);
	values[change_op] =
		ObjectIdGetDatum(prefix->ops[event->op == op_truncate ? op_delete : event->op]);
	if (!moving && batch_add(&prefix->changes, values, nulls))
		return;
	ItemPointerData place = writer_insert(&prefix->changes, values, nulls);
	if (moving)
		move_remember(entry, rel, event->row, current->xact_id, DatumGetInt64(values[change_id]),
		              &place);
}

// Records an event with the plan as it is now; false, with nothing written, if opening a table of
// the prefix brought news that make the plan stale.
bool
capture(PlanEntry *entry, Relation rel, Event *event)
{
	const Plan *plan = plan_get(entry, rel);
	const Prefix *prefix = entry->prefix->prefix;
	Datum values[change_columns];
	bool nulls[change_columns] = {};
	CurrentTransaction current;
	CaptureMode mode;
	Found found;
	bool described;
	bool was_valid;

	if (unlikely(!plan->configured))
		raise_unconfigured(prefix, rel, event->op);
	if (event->op == op_insert && event->move == nullptr)
	{
		event->move = move_ends(entry, rel, event->row);
		if (unlikely(event->move != nullptr))
			event->op = op_update;
	}
	mode = effective_mode(plan, prefix);
	if (unlikely(mode != plan->mode && override_is_restricted(prefix)))
	{
		require_override(prefix);
		found = find_transaction(entry->prefix, prefix, rel, event->op, &current);
		if (found == Found::stale)
			return false;
		if (found == Found::yes)
			note_override(entry->prefix, prefix, &current, mode);
	}
	if (mode == CaptureMode::ignore)
		return true;
	if (unlikely(plan->missing_key != nullptr) && event->op != op_truncate)
		raise_missing_key(plan, prefix, rel);
	described = describe(plan, rel, event, values, nulls);
	if (!described && event->move == nullptr)
		return true;
	found = find_transaction(entry->prefix, prefix, rel, event->op, &current);
	if (found != Found::yes)
		return found == Found::not_recorded;

	was_valid = plan_is_valid(entry);
	writer_lock(&prefix->changes, current.xact_id);
	if (unlikely(was_valid && !plan_is_valid(entry)))
		return false;
	if (likely(event->move == nullptr))
		values[change_id] = Int64GetDatum(nextval_internal(prefix->changes_seq, false));
	else
	{
		values[change_id] = Int64GetDatum(event->move->change_id);
		writer_take_back(&prefix->changes, &event->move->change, current.id,
		                 event->move->change_id);
	}
	if (described)
		write_change(entry, prefix, rel, event, &current, values, nulls);
	return true;
}

void
check_trigger(FunctionCallInfo fcinfo)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event) &&
	    TRIGGER_FIRED_BEFORE(trigger->tg_event))
		return;
	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
	    !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
		        (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		         errmsg("capture_changes() must be called by a trigger AFTER INSERT OR UPDATE OR "
		                "DELETE, FOR EACH ROW, or BEFORE TRUNCATE")));
}

} // namespace
} // namespace carbonite

// carbonite_capture_changes records the row that a trigger fires for.
Datum
carbonite_capture_changes(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	FmgrInfo *function = fcinfo->flinfo;
	TriggerData *trigger;
	PlanEntry *entry;
	Event event;

	check_trigger(fcinfo);
	trigger = (TriggerData *) fcinfo->context;
	compiled_enter();
	if (function->fn_extra == nullptr)
	{
		// Once per query: what other sessions configured meanwhile takes effect now.
		AcceptInvalidationMessages();
		function->fn_extra = plan_entry(RelationGetRelid(trigger->tg_relation), function->fn_oid);
	}
	entry = (PlanEntry *) function->fn_extra;
	event = read_event(trigger);
	while (unlikely(!capture(entry, trigger->tg_relation, &event)))
		CHECK_FOR_INTERRUPTS();
	compiled_leave();
	PG_RETURN_POINTER(nullptr);
}

// carbonite_configuration_changed drops the plans of a prefix: in this session now, and in every
// session when the change commits, or in this one again when it rolls back.
Datum
carbonite_configuration_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("configuration_changed() must be called by a trigger")));
	carbonite::plans_invalidate();
	CacheInvalidateRelcache(trigger->tg_relation);
	PG_RETURN_POINTER(TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ? trigger->tg_trigtuple : nullptr);
}
