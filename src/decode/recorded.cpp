// What prefixes say of a relation is read from their tables `triggers` as those were at the
// change's place in the WAL. PG world.

#include "decode/recorded.hpp"
#include "caught.hpp"

namespace carbonite
{
namespace
{

// Can a table `triggers` be read as it was?
bool
is_readable(Oid triggers)
{
	Relation rel;
	bool result;

	if (!relation_exists_now(triggers))
		return false;
	rel = RelationIdGetRelation(triggers);
	if (rel == nullptr)
		return false;
	result = RelationIsAccessibleInLogicalDecoding(rel);
	RelationClose(rel);
	return result;
}

// Does a trigger of a prefix record a relation?
bool
is_recorded_by(Relation rel, Oid schema)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != nullptr && i < triggers->numtriggers; i++)
		if (get_func_namespace(triggers->triggers[i].tgfoid) == schema)
			return true;
	return false;
}

// May the owner of a prefix say how a relation is shown? Anybody may have a prefix, and name any
// table in it: a trigger of the prefix, or the owner's rights, show that it is meant.
bool
may_speak_for(Relation rel, Oid schema, Oid triggers)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(triggers));
	Oid owner;

	if (is_recorded_by(rel, schema))
		return true;
	if (!HeapTupleIsValid(tuple))
		return false;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return has_privs_of_role(owner, rel->rd_rel->relowner);
}

// The plan of a relation; null if what a prefix says cannot be understood, which is its owner's
// fault and must not stop the stream.
Plan *
try_compile_plan(Oid triggers, Relation rel)
{
	Plan *plan = nullptr;

	// values in TOAST are fetched by those who have a snapshot only
	PushActiveSnapshot(GetCatalogSnapshot(triggers));
	succeeds([&] { plan = plan_compile(triggers, rel); });
	PopActiveSnapshot();
	return plan;
}

// A fixed text tells nothing, a digest whether values are equal, the last characters more.
bool
is_stricter(const Mask *mask, const Mask *other)
{
	return mask->kind != other->kind &&
	       (mask->kind == MaskKind::fixed || other->kind == MaskKind::last);
}

} // namespace

Recorded
find_recorded(Stream *stream, Relation rel)
{
	Recorded recorded = {};
	List *schemas = prefix_schemas();
	ListCell *cell;

	foreach (cell, schemas)
	{
		Oid triggers = get_relname_relid("triggers", lfirst_oid(cell));
		Plan *plan = nullptr;
		bool readable = OidIsValid(triggers) && is_readable(triggers);

		if (readable)
		{
			MemoryContext caller = MemoryContextSwitchTo(stream->context);

			stream->relations.triggers =
				list_append_unique_oid(stream->relations.triggers, triggers);
			MemoryContextSwitchTo(caller);
			plan = try_compile_plan(triggers, rel);
		}
		if (plan != nullptr && plan->configured && may_speak_for(rel, lfirst_oid(cell), triggers))
			recorded.plans = lappend(recorded.plans, plan);
		else if (is_recorded_by(rel, lfirst_oid(cell)) ||
		         (readable && plan == nullptr && may_speak_for(rel, lfirst_oid(cell), triggers)))
			recorded.lost = true;
	}
	return recorded;
}

Column *
plan_column(const Plan *plan, AttrNumber attnum)
{
	for (int i = 0; i < plan->ncolumns; i++)
		if (plan->columns[i].attnum == attnum)
			return &plan->columns[i];
	return nullptr;
}

bool
recorded_excludes(const List *plans, AttrNumber attnum, Mask **mask)
{
	ListCell *cell;

	*mask = nullptr;
	foreach (cell, plans)
	{
		Column *column = plan_column((const Plan *) lfirst(cell), attnum);

		if (column == nullptr)
			return true;
		if (column->mask != nullptr && (*mask == nullptr || is_stricter(column->mask, *mask)))
			*mask = column->mask;
	}
	return false;
}

} // namespace carbonite
