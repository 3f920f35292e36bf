// Publications are read under the historic snapshot, so that changes of them count from their place
// in the WAL on. One that does not exist has no tables. PG world.

#include "decode/publication.hpp"
#include "caught.hpp"
#include "decode/stream.hpp"

namespace carbonite
{
namespace
{

constexpr int action_truncate = 3;

// A relation and its ancestors in a partition tree.
List *
family(Relation rel)
{
	List *result = list_make1_oid(RelationGetRelid(rel));

	if (rel->rd_rel->relispartition)
		result = list_concat(result, get_partition_ancestors(RelationGetRelid(rel)));
	return result;
}

// The relation, itself or an ancestor, by which a publication has a relation; InvalidOid if it has
// it not, or not by name.
Oid
listed_as(const Publication *publication, const List *relids)
{
	ListCell *cell;

	foreach (cell, relids)
		if (SearchSysCacheExists2(PUBLICATIONRELMAP, lfirst_oid(cell),
		                          ObjectIdGetDatum(publication->oid)))
			return lfirst_oid(cell);
	return InvalidOid;
}

bool
has_schema_of(const Publication *publication, const List *relids)
{
	ListCell *cell;

	foreach (cell, relids)
		if (publication_has_schema(publication->oid, get_rel_namespace(lfirst_oid(cell))))
			return true;
	return false;
}

// An attribute of the relation `listed` as one of `rel`.
AttrNumber
own_attribute(Relation rel, Oid listed, AttrNumber attnum)
{
	if (listed == RelationGetRelid(rel))
		return attnum;
	return get_attnum(RelationGetRelid(rel), get_attname(listed, attnum, false));
}

void
add_columns(PublishedRelation *published, Relation rel, Oid listed, Datum columns)
{
	int2vector *attnums = (int2vector *) PG_DETOAST_DATUM(columns);

	for (int i = 0; i < attnums->dim1; i++)
		published->columns =
			bms_add_member(published->columns, own_attribute(rel, listed, attnums->values[i]));
}

// A filter on a partition's ancestor has the attribute numbers of that.
ExprState *
compile_filter(Relation rel, Oid listed, Datum filter)
{
	Node *expression = (Node *) stringToNode(TextDatumGetCString(filter));

	if (listed != RelationGetRelid(rel))
	{
		Relation root = RelationIdGetRelation(listed);

		if (root == nullptr)
			elog(ERROR, "could not open relation with OID %u", listed);
		expression = (Node *) map_partition_varattnos((List *) expression, 1, rel, root);
		RelationClose(root);
	}
	return expression_compile(expression);
}

// Does a row pass a filter? One that raises an error must neither stop the stream nor lose a row.
bool
passes_filter(ExprState *filter, ExprContext *expressions)
{
	bool result = true;

	succeeds(
		[&]
		{
			bool isnull;
			Datum datum = ExecEvalExprSwitchContext(filter, expressions, &isnull);

			result = !isnull && DatumGetBool(datum);
		});
	ResetExprContext(expressions);
	return result;
}

// Adds what a publication says of a relation that it has by name.
void
add_details(PublishedRelation *published, PublicationRule *rule, Relation rel, Oid publication,
            Oid listed)
{
	HeapTuple tuple =
		SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(listed), ObjectIdGetDatum(publication));
	Datum datum;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for publication %u of relation %u", publication, listed);
	if (publication_columns(tuple, &datum))
		add_columns(published, rel, listed, datum);
	else
		published->all_columns = true;
	if (publication_row_filter(tuple, &datum))
		rule->filter = compile_filter(rel, listed, datum);
	ReleaseSysCache(tuple);
}

void
add_rule(PublishedRelation *published, const Publication *publication, Relation rel,
         const List *relids)
{
	PublicationRule *rule = &published->rules[published->nrules];
	Oid listed = publication->alltables ? InvalidOid : listed_as(publication, relids);
	bool whole = publication->alltables || has_schema_of(publication, relids);

	if (!whole && !OidIsValid(listed))
		return;
	rule->actions[0] = publication->pubactions.pubinsert;
	rule->actions[1] = publication->pubactions.pubupdate;
	rule->actions[2] = publication->pubactions.pubdelete;
	rule->actions[action_truncate] = publication->pubactions.pubtruncate;
	if (whole)
		published->all_columns = true;
	else
		add_details(published, rule, rel, publication->oid, listed);
	published->nrules++;
}

// Stores a row in the slot that filters look at.
void
store(TupleTableSlot *slot, const Row *row)
{
	int natts = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	for (int i = 0; i < natts; i++)
	{
		slot->tts_values[i] = row->values[i];
		slot->tts_isnull[i] = row->nulls[i] || row->missing[i];
	}
	ExecStoreVirtualTuple(slot);
}

// Does a row pass the filters of what publishes an action?
bool
passes(const PublishedRelation *published, TupleTableSlot *slot, const Row *row, RowOp op)
{
	bool stored = false;

	for (int i = 0; i < published->nrules; i++)
	{
		const PublicationRule *rule = &published->rules[i];

		if (!rule->actions[(int) op])
			continue;
		if (rule->filter == nullptr)
			return true;
		if (!stored)
			store(slot, row);
		stored = true;
		published->expressions->ecxt_scantuple = slot;
		if (passes_filter(rule->filter, published->expressions))
			return true;
	}
	return false;
}

} // namespace

PublishedRelation *
published_relation(const List *publications, Relation rel)
{
	PublishedRelation *published = (PublishedRelation *) palloc0(sizeof(PublishedRelation));
	List *relids = family(rel);
	ListCell *cell;

	published->rules =
		(PublicationRule *) palloc0(sizeof(PublicationRule) * (size_t) list_length(publications));
	foreach (cell, publications)
	{
		Publication *publication = GetPublicationByName((char *) lfirst(cell), true);

		if (publication != nullptr)
			add_rule(published, publication, rel, relids);
	}
	if (published->nrules == 0)
		return nullptr;
	published->expressions = CreateStandaloneExprContext();
	return published;
}

bool
publication_filter(const PublishedRelation *published, TupleTableSlot *slot, Change *change)
{
	RowOp op = change->op;
	bool new_passes = change->row != nullptr && passes(published, slot, change->row, op);
	bool old_passes = change->old_row != nullptr && passes(published, slot, change->old_row, op);

	if (op != RowOp::update || change->old_row == nullptr)
		return new_passes || old_passes;
	if (new_passes && !old_passes)
	{
		change->op = RowOp::insert;
		change->old_row = nullptr;
	}
	else if (old_passes && !new_passes)
	{
		change->op = RowOp::remove;
		change->row = nullptr;
	}
	return new_passes || old_passes;
}

} // namespace carbonite
