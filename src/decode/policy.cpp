// Policies belong to the present, not to the place in the WAL: who loses a right loses it for what
// was written before, too. So the table is read with a snapshot of now, even in the middle of the
// history that is decoded. PG world.

#include "decode/stream.hpp"

SQL_FUNCTION(carbonite_check_stream_patterns);

namespace carbonite
{
namespace
{

constexpr char policy_schema[] = "carbonite";
constexpr char policy_table[] = "stream_policies";

Datum
policy_value(HeapTuple tuple, TupleDesc desc, const char *name, Oid type, bool *isnull)
{
	int attnum = SPI_fnumber(desc, name);

	*isnull = true;
	if (attnum <= 0 || SPI_gettypeid(desc, attnum) != type)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
		                errmsg("table %s.%s has no column \"%s\" of type %s", policy_schema,
		                       policy_table, name, format_type_be(type))));
	return SPI_getbinval(tuple, desc, attnum, isnull);
}

const char *
policy_text(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool isnull;
	Datum datum = policy_value(tuple, desc, name, TEXTOID, &isnull);

	return isnull ? nullptr : TextDatumGetCString(datum);
}

// Is a row for the current role? Superusers are meant by rows that name them only.
bool
is_for_us(HeapTuple tuple, TupleDesc desc)
{
	bool isnull;
	Oid role = DatumGetObjectId(policy_value(tuple, desc, "role", REGROLEOID, &isnull));

	if (isnull)
		return false;
	if (superuser())
		return role == GetUserId();
	return !OidIsValid(role) || is_member_of_role_nosuper(GetUserId(), role);
}

bool
is_for_format(const char *formats, const char *format)
{
	ListCell *cell;

	if (formats == nullptr)
		return true;
	foreach (cell, parse_names("formats", formats))
		if (strcmp((const char *) lfirst(cell), format) == 0)
			return true;
	return false;
}

bool
is_blank(const char *text)
{
	return text[strspn(text, " ")] == '\0';
}

void
add_rule(Stream *stream, HeapTuple tuple, TupleDesc desc)
{
	const char *tables = policy_text(tuple, desc, "tables");
	const char *columns = policy_text(tuple, desc, "columns");
	PolicyRule *rule;
	bool isnull;
	Datum messages;

	if (!is_for_format(policy_text(tuple, desc, "formats"), stream->format->name))
		return;
	rule = (PolicyRule *) palloc0(sizeof(PolicyRule));
	if (tables != nullptr && !is_blank(tables))
		rule->tables = parse_name_patterns("tables", tables, false);
	if (columns != nullptr)
		rule->columns = parse_names("columns", columns);
	messages = policy_value(tuple, desc, "messages", BOOLOID, &isnull);
	rule->messages = !isnull && DatumGetBool(messages);
	stream->policy.rules = lappend(stream->policy.rules, rule);
}

// Reads the rows, with a snapshot that is null for the present of a transaction.
void
read_rows(Stream *stream, Relation rel, Snapshot snapshot)
{
	Policy *policy = &stream->policy;
	MemoryContext caller;
	SysScanDesc scan;
	HeapTuple tuple;
	List *rows = NIL;
	ListCell *cell;

	MemoryContextReset(policy->context);
	caller = MemoryContextSwitchTo(policy->context);
	policy->restricted = false;
	policy->rules = NIL;
	// at once: what says that the rows have changed again may come while they are read
	policy->valid = true;
	// nothing else of the catalog may be looked up during the scan: see CheckXidAlive in genam.c
	scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, nullptr);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		rows = lappend(rows, heap_copytuple(tuple));
	systable_endscan(scan);
	foreach (cell, rows)
	{
		tuple = (HeapTuple) lfirst(cell);
		if (is_for_us(tuple, RelationGetDescr(rel)))
		{
			policy->restricted = true;
			add_rule(stream, tuple, RelationGetDescr(rel));
		}
	}
	MemoryContextSwitchTo(caller);
}

void
require_format(const Stream *stream)
{
	if (stream->policy.restricted && stream->policy.rules == NIL)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("role \"%s\" may not read a stream of format %s",
		                       GetUserNameFromId(GetUserId(), false), stream->format->name),
		                errhint("See the table %s.%s.", policy_schema, policy_table)));
}

void
read_now(Stream *stream)
{
	Oid schema = get_namespace_oid(policy_schema, true);
	Oid relid = OidIsValid(schema) ? get_relname_relid(policy_table, schema) : InvalidOid;
	Relation rel;

	if (!OidIsValid(relid))
		return;
	stream->policy.relid = relid;
	rel = table_open(relid, AccessShareLock);
	read_rows(stream, rel, nullptr);
	table_close(rel, AccessShareLock);
}

// A row of a catalog, by names and as it is now, has its OID in its first column.
Oid
find_now(Oid catalog, Oid index, const char *name, AttrNumber name_column, Oid schema,
         AttrNumber schema_column)
{
	Relation rel = table_open(catalog, AccessShareLock);
	NameData key;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple tuple;
	Oid result = InvalidOid;
	bool isnull;

	namestrcpy(&key, name);
	ScanKeyInit(&keys[0], name_column, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&key));
	ScanKeyInit(&keys[1], schema_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(rel, index, true, GetNonHistoricCatalogSnapshot(catalog),
	                          schema_column > 0 ? 2 : 1, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = DatumGetObjectId(heap_getattr(tuple, 1, RelationGetDescr(rel), &isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return result;
}

Oid
find_table_now(void)
{
	Oid schema = find_now(NamespaceRelationId, NamespaceNameIndexId, policy_schema,
	                      Anum_pg_namespace_nspname, InvalidOid, InvalidAttrNumber);

	return OidIsValid(schema) ? find_now(RelationRelationId, ClassNameNspIndexId, policy_table,
	                                     Anum_pg_class_relname, schema, Anum_pg_class_relnamespace)
	                          : InvalidOid;
}

bool
allows(const PolicyRule *rule, const char *schema, const char *table)
{
	return any_table_matches(rule->tables, schema, table);
}

} // namespace

void
policy_read(Stream *stream)
{
	MemoryContext caller = CurrentMemoryContext;
	bool in_transaction = IsTransactionState();

	stream->policy.context =
		AllocSetContextCreate(stream->context, "carbonite policy", ALLOCSET_SMALL_SIZES);
	stream->policy.valid = true;
	// the replication protocol starts streams outside of a transaction
	if (!in_transaction)
		StartTransactionCommand();
	read_now(stream);
	require_format(stream);
	if (!in_transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
}

void
policy_refresh(Stream *stream)
{
	Policy *policy = &stream->policy;
	Relation rel;

	if (likely(policy->valid))
		return;
	// the extension may have been created, or created anew, since; without it, what is known stands
	policy->relid = find_table_now();
	if (!OidIsValid(policy->relid))
	{
		policy->valid = true;
		return;
	}
	// in the history before the table was created there is none: later, then
	rel = RelationIdGetRelation(policy->relid);
	if (rel == nullptr)
		return;
	read_rows(stream, rel, GetNonHistoricCatalogSnapshot(policy->relid));
	RelationClose(rel);
	require_format(stream);
	stream->relations.valid = false;
}

bool
policy_allows_table(const Policy *policy, const char *schema, const char *table)
{
	ListCell *cell;

	if (!policy->restricted)
		return true;
	foreach (cell, policy->rules)
		if (allows((const PolicyRule *) lfirst(cell), schema, table))
			return true;
	return false;
}

bool
policy_allows_column(const Policy *policy, const char *schema, const char *table,
                     const char *column)
{
	ListCell *cell;

	if (!policy->restricted)
		return true;
	foreach (cell, policy->rules)
	{
		const PolicyRule *rule = (const PolicyRule *) lfirst(cell);

		if (allows(rule, schema, table) &&
		    (rule->columns == NIL || any_name_matches(rule->columns, column)))
			return true;
	}
	return false;
}

bool
policy_allows_messages(const Policy *policy)
{
	ListCell *cell;

	if (!policy->restricted)
		return true;
	foreach (cell, policy->rules)
		if (((const PolicyRule *) lfirst(cell))->messages)
			return true;
	return false;
}

bool
policy_allows_texts(const Policy *policy, const char *schema, const char *table)
{
	ListCell *cell;

	if (!policy->restricted)
		return true;
	foreach (cell, policy->rules)
	{
		const PolicyRule *rule = (const PolicyRule *) lfirst(cell);

		if (rule->columns == NIL && allows(rule, schema, table))
			return true;
	}
	return false;
}

} // namespace carbonite

// carbonite_check_stream_patterns raises 22023 unless a policy can be understood.
Datum
carbonite_check_stream_patterns(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	if (!PG_ARGISNULL(0) && !is_blank(text_to_cstring(PG_GETARG_TEXT_PP(0))))
		parse_name_patterns("tables", text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	if (!PG_ARGISNULL(1))
		parse_names("columns", text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (!PG_ARGISNULL(2))
		parse_names("formats", text_to_cstring(PG_GETARG_TEXT_PP(2)));
	PG_RETURN_VOID();
}
