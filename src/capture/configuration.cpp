// Reads rows of `triggers`. Columns are looked for by name, as somebody may have added some. PG
// world.

#include "capture/configuration.hpp"
#include "capture/prefix.hpp"

namespace carbonite
{
namespace
{

// The value of a column that has a type; null also if there is no such column.
Datum
config_value(HeapTuple tuple, TupleDesc desc, const char *name, Oid type, bool *isnull)
{
	int attnum = SPI_fnumber(desc, name);

	*isnull = true;
	if (attnum <= 0 || SPI_gettypeid(desc, attnum) != type)
		return (Datum) 0;
	return SPI_getbinval(tuple, desc, attnum, isnull);
}

ArrayType *
config_array(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool isnull;
	int attnum = SPI_fnumber(desc, name);
	Oid type = attnum > 0 ? SPI_gettypeid(desc, attnum) : VARCHARARRAYOID;
	Datum datum = config_value(tuple, desc, name, type, &isnull);

	if (isnull)
		return construct_empty_array(VARCHAROID);
	if (type != VARCHARARRAYOID && type != TEXTARRAYOID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
		                errmsg("column triggers.%s of a carbonite prefix has type %s", name,
		                       format_type_be(type)),
		                errdetail("It must be character varying[].")));
	return DatumGetArrayTypePCopy(datum);
}

bool
config_flag(HeapTuple tuple, TupleDesc desc, const char *name, bool otherwise)
{
	bool isnull;
	Datum datum = config_value(tuple, desc, name, BOOLOID, &isnull);

	return isnull ? otherwise : DatumGetBool(datum);
}

// A jsonb object that is not empty, or null.
Jsonb *
config_object(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool isnull;
	Datum datum = config_value(tuple, desc, name, JSONBOID, &isnull);
	Jsonb *object = isnull ? nullptr : DatumGetJsonbPCopy(datum);

	return object != nullptr && JB_ROOT_IS_OBJECT(object) && JB_ROOT_COUNT(object) > 0 ? object
	                                                                                   : nullptr;
}

FullTransactionId
config_xid(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool isnull;
	Datum datum = config_value(tuple, desc, name, XID8OID, &isnull);

	return isnull ? InvalidFullTransactionId : DatumGetFullTransactionId(datum);
}

const char *
config_text(HeapTuple tuple, TupleDesc desc, const char *name)
{
	int attnum = SPI_fnumber(desc, name);

	return attnum > 0 ? SPI_getvalue(tuple, desc, attnum) : nullptr;
}

bool
equal_text(const char *a, const char *b)
{
	return a != nullptr && strcmp(a, b) == 0;
}

TruncateMode
truncate_mode(const char *text)
{
	if (equal_text(text, "refuse"))
		return TruncateMode::refuse;
	return equal_text(text, "ignore") ? TruncateMode::ignore : TruncateMode::capture;
}

void
read_configuration(Configuration *config, HeapTuple tuple, TupleDesc desc)
{
	config->found = true;
	config->mode = equal_text(config_text(tuple, desc, "mode"), "ignore") ? CaptureMode::ignore
	                                                                      : CaptureMode::capture;
	config->on_truncate = truncate_mode(config_text(tuple, desc, "on_truncate"));
	config->store_changed_from = config_flag(tuple, desc, "store_changed_from", false);
	config->exact_comparison = config_flag(tuple, desc, "exact_comparison", false);
	config->mask_primary_key = config_flag(tuple, desc, "mask_primary_key", true);
	config->store_changed_data = equal_text(config_text(tuple, desc, "store_data"), "changed");
	config->primary_key_columns = config_array(tuple, desc, "primary_key_columns");
	config->excluded_columns = config_array(tuple, desc, "excluded_columns");
	config->filtered_columns = config_array(tuple, desc, "filtered_columns");
	config->hashed_columns = config_array(tuple, desc, "hashed_columns");
	config->masks = config_object(tuple, desc, "masks");
	config->record_leaf = equal_text(config_text(tuple, desc, "partitions"), "leaf");
	config->inheritance_children = config_flag(tuple, desc, "inheritance_children", false);
	config->override_xact_id = config_xid(tuple, desc, "override_xact_id");
}

// triggers.known_table of a table, as carbonite._known_table() writes it.
bool
is_known_table(const char *known, Oid relid)
{
	return equal_text(known,
	                  psprintf(UINT64_FORMAT "/%u/%u", GetSystemIdentifier(), MyDatabaseId, relid));
}

// How well a row of `triggers` fits a table: its OID decides, so that a renamed table keeps its
// row; a name counts where the row has no OID, or that of a table that is gone.
int
match(HeapTuple tuple, TupleDesc desc, Oid relid, const char *schema, const char *name)
{
	bool isnull;
	Datum oid = config_value(tuple, desc, "table_oid", REGCLASSOID, &isnull);

	if (!isnull && DatumGetObjectId(oid) == relid)
		return 2;
	if (!isnull && SearchSysCacheExists1(RELOID, oid))
		return 0;
	return equal_text(config_text(tuple, desc, "table_prefix"), schema) &&
	               equal_text(config_text(tuple, desc, "table_name"), name)
	           ? 1
	           : 0;
}

// The rows of `triggers`. The output plugin reads them as they were at a place in the WAL, and
// without a lock: whoever holds one may be waiting for what is decoded. They are copied, as nothing
// else of the catalog may be looked up during the scan: see CheckXidAlive in genam.c.
List *
read_triggers(Relation rel)
{
	Snapshot snapshot = HistoricSnapshotActive() ? nullptr : register_latest_snapshot();
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, nullptr);
	HeapTuple tuple;
	List *rows = NIL;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rows = lappend(rows, heap_copytuple(tuple));
	systable_endscan(scan);
	if (snapshot != nullptr)
		UnregisterSnapshot(snapshot);
	return rows;
}

// Finds the configuration that stands for a table itself.
void
find_own_configuration(Configuration *config, Oid triggers, Oid relid)
{
	const char *schema = get_namespace_name(get_rel_namespace(relid));
	const char *name = get_rel_name(relid);
	Relation rel = HistoricSnapshotActive() ? RelationIdGetRelation(triggers)
	                                        : table_open(triggers, AccessShareLock);
	int best = 0;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	List *rows;
	ListCell *cell;

	if (rel == nullptr)
		return;
	// what is compiled stays; all the rows must not
	context = AllocSetContextCreate(caller, "carbonite triggers", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	rows = read_triggers(rel);
	MemoryContextSwitchTo(caller);
	foreach (cell, rows)
	{
		HeapTuple tuple = (HeapTuple) lfirst(cell);
		TupleDesc desc = RelationGetDescr(rel);
		int fit = match(tuple, desc, relid, schema, name);

		if (fit <= best)
			continue;
		best = fit;
		read_configuration(config, tuple, desc);
		config->relid = relid;
		config->known_columns = is_known_table(config_text(tuple, desc, "known_table"), relid)
		                            ? config_array(tuple, desc, "known_columns")
		                            : nullptr;
		config->table_prefix = schema;
		config->table_name = name;
	}
	MemoryContextDelete(context);
	RelationClose(rel);
}

// The tables that a table inherits from, the nearest first.
List *
get_ancestors(Oid relid)
{
	List *result = NIL;
	List *pending = list_make1_oid(relid);
	Relation inherits = table_open(InheritsRelationId, AccessShareLock);

	while (pending != NIL)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple tuple;

		ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
		            ObjectIdGetDatum(linitial_oid(pending)));
		pending = list_delete_first(pending);
		scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			Oid parent = ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent;

			result = list_append_unique_oid(result, parent);
			pending = lappend_oid(pending, parent);
		}
		systable_endscan(scan);
	}
	table_close(inherits, AccessShareLock);
	return result;
}

} // namespace

void
find_configuration(Configuration *config, Oid triggers, Relation rel)
{
	bool is_partition = rel->rd_rel->relispartition;
	List *ancestors;
	ListCell *cell;

	find_own_configuration(config, triggers, RelationGetRelid(rel));
	if (config->found)
		return;
	ancestors = is_partition ? get_partition_ancestors(RelationGetRelid(rel))
	                         : get_ancestors(RelationGetRelid(rel));
	foreach (cell, ancestors)
	{
		find_own_configuration(config, triggers, lfirst_oid(cell));
		if (config->found && (is_partition || config->inheritance_children))
			break;
		*config = Configuration{};
	}
	if (config->found && (config->record_leaf || !is_partition))
	{
		config->table_prefix = get_namespace_name(RelationGetNamespace(rel));
		config->table_name = pstrdup(RelationGetRelationName(rel));
	}
}

bool
array_contains(ArrayType *array, const char *name)
{
	Datum *elements;
	bool *nulls;
	int count;
	size_t length = strlen(name);

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_INT, &elements, &nulls,
	                  &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i] && VARSIZE_ANY_EXHDR(DatumGetPointer(elements[i])) == length &&
		    memcmp(VARDATA_ANY(DatumGetPointer(elements[i])), name, length) == 0)
			return true;
	return false;
}

const char *
configured_name(const Configuration *config, Relation rel, Form_pg_attribute att)
{
	int attnum = att->attnum;
	Datum element;
	bool isnull;

	if (config->known_columns == nullptr)
		return NameStr(att->attname);
	if (RelationGetRelid(rel) != config->relid)
		attnum = get_attnum(config->relid, NameStr(att->attname));
	element = array_get_element(PointerGetDatum(config->known_columns), 1, &attnum, -1, -1, false,
	                            TYPALIGN_INT, &isnull);
	return isnull ? NameStr(att->attname) : TextDatumGetCString(element);
}

} // namespace carbonite
