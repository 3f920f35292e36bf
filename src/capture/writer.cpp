// Inserts rows into a prefix's own tables, straight into heap and indexes where that is all an
// INSERT would do, else through the executor. PG world.

#include "capture/writer.hpp"
#include "owner.hpp"

namespace carbonite
{
namespace
{

uint64 serials;

// A trigger that an INSERT has to fire and that the caller does not stand in for.
bool
has_foreign_insert_trigger(Relation rel, Oid allowed_trigger, Oid referenced)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != nullptr && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (!TRIGGER_FOR_INSERT(trigger->tgtype) || trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		if (OidIsValid(allowed_trigger) && trigger->tgfoid == allowed_trigger)
			continue;
		if (trigger->tgfoid == F_RI_FKEY_CHECK_INS && trigger->tgconstrrelid == referenced)
			continue;
		return true;
	}
	return false;
}

// The position of an attribute among the writer's columns, or -1.
int
column_of(const Writer *writer, AttrNumber attnum)
{
	for (int i = 0; i < writer->ncolumns; i++)
		if (writer->attnums[i] == attnum)
			return i;
	return -1;
}

// True if every attribute gets either one of our values, of exactly its type, or NULL.
bool
attributes_are_plain(const Writer *writer, TupleDesc desc, const WriterColumn *columns)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		int column;

		if (att->attisdropped)
			continue;
		if (att->attgenerated != '\0')
			return false;
		column = column_of(writer, att->attnum);
		if (column < 0)
		{
			if (att->attnotnull || att->atthasdef || att->attidentity != '\0')
				return false;
			continue;
		}
		if (att->attnotnull && columns[column].nullable)
			return false;
		if (att->atttypmod != -1)
			return false;
		if (OidIsValid(columns[column].type) && att->atttypid != columns[column].type)
			return false;
	}
	return desc->constr == nullptr || desc->constr->num_check == 0;
}

// Describes the indexes of a relation; false if one of them needs more than its columns' values.
bool
compile_indexes(Writer *writer, Relation rel)
{
	List *oids = RelationGetIndexList(rel);
	ListCell *cell;
	bool plain = true;

	writer->nindexes = 0;
	writer->indexes = (WriterIndex *) palloc0(sizeof(WriterIndex) * (list_length(oids) + 1));
	foreach (cell, oids)
	{
		WriterIndex *index = &writer->indexes[writer->nindexes];
		Relation irel = index_open(lfirst_oid(cell), RowExclusiveLock);
		Form_pg_index form = irel->rd_index;

		// An access method other than these may keep pointers into the relcache in ii_AmCache.
		if (irel->rd_rel->relam != BTREE_AM_OID && irel->rd_rel->relam != HASH_AM_OID)
			plain = false;
		index->info = BuildIndexInfo(irel);
		if (index->info->ii_Expressions != NIL || index->info->ii_Predicate != NIL ||
		    index->info->ii_ExclusionOps != nullptr || !form->indimmediate)
			plain = false;
		index->oid = RelationGetRelid(irel);
		index->natts = index->info->ii_NumIndexAttrs;
		for (int i = 0; i < index->natts; i++)
		{
			index->attnums[i] = index->info->ii_IndexAttrNumbers[i];
			writer->last_key = Max(writer->last_key, index->attnums[i]);
		}
		index->check = form->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO;
		if (form->indisready)
			writer->nindexes++;
		index_close(irel, NoLock);
	}
	list_free(oids);
	return plain;
}

const char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
	                                  get_rel_name(relid));
}

// The statement of the executor's path, with one parameter per column.
const char *
build_insert(const Writer *writer, Relation rel, const WriterColumn *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s (", qualified_name(RelationGetRelid(rel)));
	for (int i = 0; i < writer->ncolumns; i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "", quote_identifier(columns[i].name));
	appendStringInfoString(&sql, ") VALUES (");
	for (int i = 0; i < writer->ncolumns; i++)
		appendStringInfo(&sql, "%s$%d", i > 0 ? ", " : "", i + 1);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

void
insert_through_executor(const Writer *writer, const Datum *values, const bool *nulls)
{
	char null_flags[max_writer_columns + 1] = {0};
	OwnerScope scope;
	int result;

	for (int i = 0; i < writer->ncolumns; i++)
		null_flags[i] = nulls[i] ? 'n' : ' ';
	become_owner(&scope, writer->owner);
	SPI_connect();
	result = SPI_execute_with_args(writer->insert_sql, writer->ncolumns,
	                               const_cast<Oid *>(writer->types), const_cast<Datum *>(values),
	                               null_flags, false, 0);
	// A rule may have made another statement of it.
	if (result != SPI_OK_INSERT && result != SPI_OK_REWRITTEN)
		elog(ERROR, "could not insert into a carbonite table: %s", SPI_result_code_string(result));
	SPI_finish();
	become_caller(&scope);
}

// Gets the relcache entry of a relation whose lock this transaction holds, which is much cheaper
// than finding that out again.
Relation
get_locked_relation(Oid relid)
{
	Relation rel = RelationIdGetRelation(relid);

	if (!RelationIsValid(rel))
		elog(ERROR, "could not open relation with OID %u", relid);
	return rel;
}

// Adds the entries of a row to one index.
void
insert_into_index(const WriterIndex *index, Relation irel, Relation rel, const Datum *values,
                  const bool *nulls, ItemPointer tid)
{
	Datum keys[INDEX_MAX_KEYS];
	bool key_nulls[INDEX_MAX_KEYS];

	for (int i = 0; i < index->natts; i++)
	{
		keys[i] = values[index->attnums[i] - 1];
		key_nulls[i] = nulls[index->attnums[i] - 1];
	}
	index_insert_compat(irel, keys, key_nulls, tid, rel, index->check, index->info);
}

// Spreads the writer's columns over the attributes of its table.
void
fill_attributes(const Writer *writer, const Datum *values, const bool *nulls, Datum *row,
                bool *row_nulls)
{
	memset(row_nulls, true, writer->desc->natts);
	for (int i = 0; i < writer->ncolumns; i++)
	{
		row[writer->attnums[i] - 1] = values[i];
		row_nulls[writer->attnums[i] - 1] = nulls[i];
	}
}

ItemPointerData
insert_direct(const Writer *writer, const Datum *values, const bool *nulls)
{
	Datum *row = (Datum *) palloc0(sizeof(Datum) * writer->desc->natts);
	bool *row_nulls = (bool *) palloc(sizeof(bool) * writer->desc->natts);
	Relation rel = get_locked_relation(writer->relid);
	HeapTuple tuple;

	fill_attributes(writer, values, nulls, row, row_nulls);
	tuple = heap_form_tuple(writer->desc, row, row_nulls);
	tuple->t_tableOid = writer->relid;
	heap_insert(rel, tuple, GetCurrentCommandId(true), 0, nullptr);
	for (int i = 0; i < writer->nindexes; i++)
	{
		Relation irel = get_locked_relation(writer->indexes[i].oid);

		insert_into_index(&writer->indexes[i], irel, rel, row, row_nulls, &tuple->t_self);
		RelationClose(irel);
	}
	RelationClose(rel);
	return tuple->t_self;
}

} // namespace

void
writer_compile(Writer *writer, Relation rel, const WriterColumn *columns, int ncolumns,
               Oid allowed_trigger, Oid referenced)
{
	TupleDesc desc = RelationGetDescr(rel);

	Assert(ncolumns <= max_writer_columns);
	writer->relid = RelationGetRelid(rel);
	writer->owner = rel->rd_rel->relowner;
	writer->serial = ++serials;
	writer->desc = CreateTupleDescCopy(desc);
	writer->ncolumns = ncolumns;
	for (int i = 0; i < ncolumns; i++)
	{
		AttrNumber attnum = get_attnum(writer->relid, columns[i].name);

		if (attnum == InvalidAttrNumber)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
			                errmsg("column \"%s\" of table %s.%s does not exist", columns[i].name,
			                       get_namespace_name(RelationGetNamespace(rel)),
			                       RelationGetRelationName(rel)),
			                errdetail("carbonite fills this column with every row it records.")));
		writer->attnums[i] = attnum;
		writer->types[i] = OidIsValid(columns[i].type) ? columns[i].type
		                                               : TupleDescAttr(desc, attnum - 1)->atttypid;
	}
	writer->insert_sql = build_insert(writer, rel, columns);
	// Every condition is evaluated: compile_indexes also fills the list of indexes.
	writer->direct = compile_indexes(writer, rel);
	writer->direct = writer->direct && rel->rd_rel->relkind == RELKIND_RELATION &&
	                 rel->rd_tableam == GetHeapamTableAmRoutine() && !rel->rd_rel->relhasrules &&
	                 !rel->rd_rel->relforcerowsecurity &&
	                 attributes_are_plain(writer, desc, columns) &&
	                 !has_foreign_insert_trigger(rel, allowed_trigger, referenced);
}

void
writer_lock(const Writer *writer, FullTransactionId xact)
{
	if (likely(FullTransactionIdEquals(writer->locked_xact, xact) &&
	           writer->locked_subxact == GetCurrentSubTransactionId()))
		return;

	LockRelationOid(writer->relid, RowExclusiveLock);
	for (int i = 0; i < writer->nindexes; i++)
		LockRelationOid(writer->indexes[i].oid, RowExclusiveLock);
	writer->locked_xact = xact;
	writer->locked_subxact = GetCurrentSubTransactionId();
}

ItemPointerData
writer_insert(const Writer *writer, const Datum *values, const bool *nulls)
{
	ItemPointerData nowhere;

	if (writer->direct)
		return insert_direct(writer, values, nulls);
	insert_through_executor(writer, values, nulls);
	ItemPointerSetInvalid(&nowhere);
	return nowhere;
}

void
writer_take_back(const Writer *writer, const ItemPointerData *place, int64 transaction_id, int64 id)
{
	// So that the row is one of an earlier command.
	CommandCounterIncrement();
	if (ItemPointerIsValid(place))
	{
		Relation rel = get_locked_relation(writer->relid);

		simple_heap_delete(rel, const_cast<ItemPointer>(place));
		RelationClose(rel);
		return;
	}
	execute_as(writer->owner,
	           psprintf("DELETE FROM %s WHERE transaction_id OPERATOR(pg_catalog.=) " INT64_FORMAT
	                    " AND id OPERATOR(pg_catalog.=) " INT64_FORMAT,
	                    qualified_name(writer->relid), transaction_id, id));
}

HeapTuple
writer_form_row(const Writer *writer, const Datum *values, const bool *nulls)
{
	Datum row[MaxHeapAttributeNumber];
	bool row_nulls[MaxHeapAttributeNumber];

	fill_attributes(writer, values, nulls, row, row_nulls);
	return heap_form_tuple(writer->desc, row, row_nulls);
}

void
writer_insert_rows(const Writer *writer, TupleTableSlot **slots, int count, CommandId command)
{
	Relation rel = get_locked_relation(writer->relid);

	heap_multi_insert(rel, slots, count, command, 0, nullptr);
	for (int i = 0; i < writer->nindexes; i++)
	{
		Relation irel = get_locked_relation(writer->indexes[i].oid);

		for (int k = 0; k < count; k++)
			insert_into_index(&writer->indexes[i], irel, rel, slots[k]->tts_values,
			                  slots[k]->tts_isnull, &slots[k]->tts_tid);
		RelationClose(irel);
	}
	RelationClose(rel);
}

} // namespace carbonite
