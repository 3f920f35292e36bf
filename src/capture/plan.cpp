// Plans: found by table and trigger function, compiled from the row of `triggers` and the table's
// columns, dropped by invalidation messages of the table and of the prefix. PG world.

#include <algorithm>

#include "capture/plan.hpp"
#include "caught.hpp"

namespace carbonite
{
namespace
{

struct TablePlans
{
	Oid relid; // hash key
	PlanEntry *first;
};

HTAB *tables;
uint64 messages;

// The order of keys in a jsonb object: by length, then by bytes.
bool
key_precedes(const Column &a, const Column &b)
{
	if (a.key_length != b.key_length)
		return a.key_length < b.key_length;
	return memcmp(a.key, b.key, a.key_length) < 0;
}

// Is there a value in triggers.masks for a column?
JsonbValue *
find_mask(const Configuration *config, const char *name)
{
	JsonbValue key = {};

	if (config->masks == nullptr)
		return nullptr;
	key.type = jbvString;
	key.val.string.val = const_cast<char *>(name);
	key.val.string.len = (int) strlen(name);
	return findJsonbValueFromContainer(&config->masks->root, JB_FOBJECT, &key);
}

bool
is_masked(const Configuration *config, const char *name)
{
	return array_contains(config->filtered_columns, name) ||
	       array_contains(config->hashed_columns, name) || find_mask(config, name) != nullptr;
}

// The mask of a column, or null. The first of the options that names it counts.
Mask *
compile_mask(const Configuration *config, const char *name, Form_pg_attribute att)
{
	Mask *mask;

	if (!is_masked(config, name))
		return nullptr;
	mask = (Mask *) palloc0(sizeof(Mask));
	if (array_contains(config->filtered_columns, name))
		mask_compile_fixed(mask, mask_text);
	else if (array_contains(config->hashed_columns, name))
		mask_compile_hashed(mask, att->attnum, att->atttypid);
	else
		mask_compile_json(mask, find_mask(config, name), att->attnum, att->atttypid);
	return mask;
}

void
compile_columns(Plan *plan, const Configuration *config, Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	char *key;

	plan->columns = (Column *) palloc0(sizeof(Column) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Column *column = &plan->columns[plan->ncolumns];
		const char *name;

		if (att->attisdropped)
			continue;
		name = configured_name(config, rel, att);
		if (array_contains(config->excluded_columns, name))
			continue;
		column->attnum = att->attnum;
		column->by_value = att->attbyval;
		column->length = att->attlen;
		column->mask = compile_mask(config, name, att);
		json_converter_compile(&column->converter, att->atttypid);
		column->name = CStringGetTextDatum(NameStr(att->attname));
		column->key = VARDATA(DatumGetPointer(column->name));
		column->key_length = (uint32) strlen(NameStr(att->attname));
		plan->keys_length += column->key_length;
		plan->ncolumns++;
	}
	std::sort(plan->columns, plan->columns + plan->ncolumns, key_precedes);
	plan->keys = key = (char *) palloc(plan->keys_length + 1);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		memcpy(key, plan->columns[i].key, plan->columns[i].key_length);
		key += plan->columns[i].key_length;
	}
}

// The live attribute for which the row of `triggers` has a name, or null.
Form_pg_attribute
find_attribute(const Configuration *config, Relation rel, const char *name)
{
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(configured_name(config, rel, att), name) == 0)
			return att;
	}
	return nullptr;
}

// Is a column among those by which the table that a partition belongs to, or one above it, is
// partitioned? Of partition keys with expressions nothing is known.
bool
is_in_partition_key(Relation rel, const char *name)
{
	bool result = false;
	// what is decoded are deletes and inserts, not moves
	bool may_move = rel->rd_rel->relispartition && !HistoricSnapshotActive();
	List *ancestors = may_move ? get_partition_ancestors(RelationGetRelid(rel)) : NIL;
	ListCell *cell;

	foreach (cell, ancestors)
	{
		Relation ancestor = table_open(lfirst_oid(cell), AccessShareLock);
		PartitionKey key = RelationGetPartitionKey(ancestor);
		AttrNumber attnum = get_attnum(RelationGetRelid(ancestor), name);

		for (int i = 0; key != nullptr && i < key->partnatts; i++)
			result = result || (attnum != InvalidAttrNumber && key->partattrs[i] == attnum);
		table_close(ancestor, NoLock);
	}
	return result;
}

// Marks a column of `data` as one of the key; false if it is not in `data`.
bool
mark_key_column(Plan *plan, AttrNumber attnum)
{
	for (int i = 0; i < plan->ncolumns; i++)
		if (plan->columns[i].attnum == attnum)
		{
			plan->columns[i].in_key = true;
			return true;
		}
	return false;
}

void
compile_key(Plan *plan, const Configuration *config, Relation rel)
{
	Datum *names;
	bool *nulls;
	int count;

	deconstruct_array(config->primary_key_columns, ARR_ELEMTYPE(config->primary_key_columns), -1,
	                  false, TYPALIGN_INT, &names, &nulls, &count);
	if (count > INDEX_MAX_KEYS)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
		                errmsg("cannot use more than %d primary key columns", INDEX_MAX_KEYS)));
	plan->store_partial_data = config->store_changed_data && count > 0;
	plan->key_columns = (KeyColumn *) palloc0(sizeof(KeyColumn) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		const char *name = nulls[i] ? "NULL" : TextDatumGetCString(names[i]);
		Form_pg_attribute att = nulls[i] ? nullptr : find_attribute(config, rel, name);
		KeyColumn *column = &plan->key_columns[plan->nkeys];

		if (att == nullptr && config->known_columns != nullptr && !nulls[i] &&
		    array_contains(config->known_columns, name))
			continue; // it was dropped
		if (att == nullptr)
		{
			plan->missing_key = name;
			return;
		}
		key_column_compile(column, att->attnum, att->atttypid);
		column->in_partition_key = is_in_partition_key(rel, NameStr(att->attname));
		column->masked = config->mask_primary_key && is_masked(config, name);
		plan->nkeys++;
		// Records whose key is masked cannot be told apart to complete their rows, and of a column
		// that is not recorded nobody looks whether it changed.
		if (column->masked || !mark_key_column(plan, att->attnum))
			plan->store_partial_data = false;
	}
	plan->has_key = plan->nkeys > 0;
}

// Without a key, digests would tell which rows have the same value.
void
hide_unbound_digests(Plan *plan)
{
	for (int i = 0; i < plan->ncolumns; i++)
	{
		Mask *mask = plan->columns[i].mask;

		if (mask != nullptr && mask->kind == MaskKind::hashed && !plan->has_key)
			mask_compile_fixed(mask, mask_text);
	}
}

[[noreturn]] void
raise_own_table(Relation rel)
{
	ereport(ERROR,
	        (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
	         errmsg("cannot capture changes of table %s.%s, which belongs to a carbonite prefix",
	                get_namespace_name(RelationGetNamespace(rel)), RelationGetRelationName(rel))));
}

void
invalidate_all(void)
{
	HASH_SEQ_STATUS status;
	TablePlans *table;

	hash_seq_init(&status, tables);
	while ((table = (TablePlans *) hash_seq_search(&status)) != nullptr)
		for (PlanEntry *entry = table->first; entry != nullptr; entry = entry->next)
			entry->valid = false;
}

void
invalidate_relation(Datum, Oid relid)
{
	TablePlans *table;

	messages++;
	if (!OidIsValid(relid))
	{
		invalidate_all();
		return;
	}
	table = (TablePlans *) hash_search(tables, &relid, HASH_FIND, nullptr);
	for (PlanEntry *entry = table != nullptr ? table->first : nullptr; entry != nullptr;
	     entry = entry->next)
		entry->valid = false;
}

// A cast to json or text decides how a type is written.
void
invalidate_casts(Datum, int, uint32)
{
	invalidate_relation((Datum) 0, InvalidOid);
}

// Frees the plans of tables that were dropped or changed and not written since.
void
sweep(void)
{
	HASH_SEQ_STATUS status;
	TablePlans *table;

	hash_seq_init(&status, tables);
	while ((table = (TablePlans *) hash_seq_search(&status)) != nullptr)
		for (PlanEntry *entry = table->first; entry != nullptr; entry = entry->next)
			if (!entry->valid && entry->context != nullptr)
			{
				compiled_discard(entry->context);
				entry->context = nullptr;
				entry->plan = nullptr;
			}
}

} // namespace

ExprState *
expression_compile(Node *expression)
{
	ExprState *result = nullptr;

	if (!HistoricSnapshotActive())
		return ExecInitExpr(expression_planner((Expr *) expression), nullptr);
	succeeds([&] { result = ExecInitExpr(expression_planner((Expr *) expression), nullptr); });
	return result;
}

void
plan_add_virtual_columns(Plan *plan, Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Node *expression = att->attisdropped ? nullptr : virtual_column_expression(rel, att);

		if (expression == nullptr)
			continue;
		if (plan->virtual_columns == nullptr)
		{
			plan->virtual_columns = (VirtualColumn *) palloc(sizeof(VirtualColumn) * desc->natts);
			plan->expressions = CreateStandaloneExprContext();
		}
		plan->virtual_columns[plan->nvirtual].attnum = att->attnum;
		plan->virtual_columns[plan->nvirtual].expression = expression_compile(expression);
		plan->nvirtual++;
	}
}

Plan *
plan_compile(Oid triggers, Relation rel)
{
	Plan *plan = (Plan *) palloc0(sizeof(Plan));
	Configuration config = {};

	find_configuration(&config, triggers, rel);
	plan->configured = config.found;
	if (!config.found)
		return plan;
	plan->mode = config.mode;
	plan->override_xact_id = config.override_xact_id;
	plan->on_truncate = config.on_truncate;
	if (rel->rd_rel->relispartition && config.relid != RelationGetRelid(rel) && !config.record_leaf)
		plan->moves_within = config.relid;
	plan->store_changed_from = config.store_changed_from;
	plan->exact_comparison = config.exact_comparison;
	plan->table_prefix = CStringGetTextDatum(config.table_prefix);
	plan->table_name = CStringGetTextDatum(config.table_name);
	plan->no_names = PointerGetDatum(construct_empty_array(VARCHAROID));
	compile_columns(plan, &config, rel);
	plan_add_virtual_columns(plan, rel);
	compile_key(plan, &config, rel);
	hide_unbound_digests(plan);
	return plan;
}

PlanEntry *
plan_entry(Oid relid, Oid function)
{
	bool found;
	TablePlans *table = (TablePlans *) hash_search(tables, &relid, HASH_ENTER, &found);
	PlanEntry *entry;

	if (!found)
		table->first = nullptr;
	for (entry = table->first; entry != nullptr; entry = entry->next)
		if (entry->function == function)
			return entry;

	sweep();
	entry = (PlanEntry *) MemoryContextAllocZero(TopMemoryContext, sizeof(PlanEntry));
	entry->function = function;
	entry->prefix = prefix_entry(get_func_namespace(function));
	entry->next = table->first;
	table->first = entry;
	return entry;
}

bool
plan_is_valid(const PlanEntry *entry)
{
	return entry->valid && entry->prefix->valid &&
	       entry->prefix_generation == entry->prefix->generation;
}

const Plan *
plan_get(PlanEntry *entry, Relation rel)
{
	const Prefix *prefix;
	MemoryContext context;
	MemoryContext caller;
	Plan *plan;
	uint64 messages_before;

	if (likely(plan_is_valid(entry)))
		return entry->plan;

	prefix = prefix_get(entry->prefix);
	messages_before = messages;
	context = AllocSetContextCreate(CurrentMemoryContext, "carbonite plan", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	if (is_prefix(RelationGetNamespace(rel)))
		raise_own_table(rel);
	plan = plan_compile(prefix->triggers, rel);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);

	if (entry->context != nullptr)
		compiled_discard(entry->context);
	entry->context = context;
	entry->plan = plan;
	entry->prefix_generation = entry->prefix->generation;
	entry->valid = messages == messages_before;
	return plan;
}

void
plans_invalidate(void)
{
	messages++;
	invalidate_all();
}

void
plan_init(void)
{
	HASHCTL control = {};

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(TablePlans);
	tables = hash_create("carbonite plans", 64, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(CASTSOURCETARGET, invalidate_casts, (Datum) 0);
}

} // namespace carbonite
