// Prefixes, compiled from the catalog and their settings table. PG world.

#include "capture/prefix.hpp"

namespace carbonite
{
namespace
{

constexpr WriterColumn change_writer_columns[change_columns] = {
	{"id", INT8OID, false},
	{"transaction_xact_id", XID8OID, false},
	{"op", InvalidOid, false},
	{"table_prefix", VARCHAROID, false},
	{"table_name", VARCHAROID, false},
	{"table_pk", VARCHARARRAYOID, true},
	{"data", JSONBOID, false},
	{"changed", VARCHARARRAYOID, false},
	{"transaction_id", INT8OID, false},
	{"changed_from", JSONBOID, true},
	{"data_is_partial", BOOLOID, false},
	{"command", VARCHAROID, true},
};

constexpr WriterColumn transaction_writer_columns[transaction_columns] = {
	{"id", INT8OID, false},
	{"xact_id", XID8OID, false},
	{"meta", JSONBOID, false},
	{"inserted_at", TIMESTAMPOID, false},
};

HTAB *prefixes;

// Settings that were defined as <prefix>.override_mode; kept for the life of the session.
struct OverrideSetting
{
	OverrideSetting *next;
	char *value;
	char prefix[NAMEDATALEN];
};
OverrideSetting *override_settings;

int compiled_depth;

// Counts invalidation messages: one that arrives while a prefix is compiled makes the result stale.
uint64 messages;

// The function of ours with a name in a schema, or InvalidOid.
Oid
own_function(Oid schema, const char *name, const char *symbol)
{
	oidvector *no_arguments = buildoidvector(nullptr, 0);
	HeapTuple tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(name),
	                                  PointerGetDatum(no_arguments), ObjectIdGetDatum(schema));
	Oid result = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
		bool isnull;
		Datum source = SysCacheGetAttr(PROCNAMEARGSNSP, tuple, Anum_pg_proc_prosrc, &isnull);

		if (proc->prolang == ClanguageId && !isnull &&
		    strcmp(TextDatumGetCString(source), symbol) == 0)
			result = proc->oid;
		ReleaseSysCache(tuple);
	}
	pfree(no_arguments);
	return result;
}

// The relation with a name and of a kind in a prefix, whose relations have one owner: what the
// library does as the owner of one must not run what the owner of another has put there. Errors:
// 42P01, 42809, 55000.
Oid
prefix_relation(Prefix *prefix, const char *name, char kind)
{
	Oid relid = get_relname_relid(name, prefix->schema);
	Form_pg_class form;
	HeapTuple tuple;

	if (!OidIsValid(relid))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
		                errmsg("relation \"%s.%s\" does not exist", prefix->name, name),
		                errdetail("It is a part of the carbonite prefix \"%s\".", prefix->name)));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	form = (Form_pg_class) GETSTRUCT(tuple);
	if (form->relkind != kind &&
	    !(kind == RELKIND_PARTITIONED_TABLE && form->relkind == RELKIND_RELATION))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("relation \"%s.%s\" is not of the kind that a carbonite prefix has",
		                       prefix->name, name)));
	if (!OidIsValid(prefix->owner))
		prefix->owner = form->relowner;
	if (form->relowner != prefix->owner)
		ereport(ERROR,
		        (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		         errmsg("the tables and sequences of carbonite prefix \"%s\" have different owners",
		                prefix->name),
		         errdetail("%s is owned by %s, others by %s.", name,
		                   GetUserNameFromId(form->relowner, true),
		                   GetUserNameFromId(prefix->owner, true))));
	ReleaseSysCache(tuple);
	return relid;
}

// Turns the placeholder <prefix>.override_mode into a setting of ours, which makes reading it free.
// A value that was set before, and what SET LOCAL remembers to restore, carry over.
char *const *
override_setting(const char *prefix)
{
	OverrideSetting *setting;

	for (setting = override_settings; setting != nullptr; setting = setting->next)
		if (pg_strcasecmp(setting->prefix, prefix) == 0) // names of settings have no case
			return &setting->value;

	setting = (OverrideSetting *) MemoryContextAllocZero(TopMemoryContext, sizeof(*setting));
	strlcpy(setting->prefix, prefix, NAMEDATALEN);
	DefineCustomStringVariable(
		psprintf("%s.override_mode", prefix),
		"Overrides the mode of every trigger of this carbonite prefix.",
		"override swaps capture and ignore; capture and ignore replace the mode.", &setting->value,
		"", PGC_USERSET, 0, nullptr, nullptr, nullptr);
	setting->next = override_settings;
	override_settings = setting;
	return &setting->value;
}

// The text in a column of the settings, or null.
const char *
setting(HeapTuple tuple, TupleDesc desc, const char *name)
{
	int attnum = SPI_fnumber(desc, name);

	return attnum > 0 ? SPI_getvalue(tuple, desc, attnum) : nullptr;
}

void
read_settings(Prefix *prefix)
{
	Relation rel = table_open(prefix->settings, AccessShareLock);
	Snapshot snapshot = register_latest_snapshot();
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, snapshot, 0, nullptr);
	HeapTuple tuple = systable_getnext(scan);

	if (HeapTupleIsValid(tuple))
	{
		const char *mode = setting(tuple, RelationGetDescr(rel), "transaction_mode");

		if (mode != nullptr && strcmp(mode, "auto") == 0)
			prefix->transaction_mode = TransactionMode::automatic;
		else if (mode != nullptr && strcmp(mode, "optional") == 0)
			prefix->transaction_mode = TransactionMode::optional;
		prefix->override_role = setting(tuple, RelationGetDescr(rel), "override_role");
	}
	systable_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
}

// The usable unique index whose only key column is transactions.id, or InvalidOid.
Oid
find_key_index(Relation rel, AttrNumber attnum)
{
	Oid result = InvalidOid;
	List *oids = RelationGetIndexList(rel);
	ListCell *cell;

	foreach (cell, oids)
	{
		Relation irel = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = irel->rd_index;

		if (form->indisunique && form->indisvalid && form->indnkeyatts == 1 &&
		    form->indkey.values[0] == attnum && irel->rd_rel->relam == BTREE_AM_OID &&
		    RelationGetIndexPredicate(irel) == NIL)
			result = RelationGetRelid(irel);
		index_close(irel, NoLock);
	}
	list_free(oids);
	return result;
}

void
compile_changes(Prefix *prefix, Oid transactions)
{
	static const char *const labels[op_count] = {"insert", "update", "delete"};
	Relation rel =
		table_open(prefix_relation(prefix, "changes", RELKIND_PARTITIONED_TABLE), RowExclusiveLock);

	writer_compile(&prefix->changes, rel, change_writer_columns, change_columns, InvalidOid,
	               transactions);
	for (int op = 0; op < op_count; op++)
	{
		Oid type = prefix->changes.types[change_op];

		prefix->ops[op] = GetSysCacheOid2(ENUMTYPOIDNAME, Anum_pg_enum_oid, ObjectIdGetDatum(type),
		                                  CStringGetDatum(labels[op]));
		if (!OidIsValid(prefix->ops[op]))
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
			                errmsg("type %s of %s.changes.op has no value \"%s\"",
			                       format_type_be(type), prefix->name, labels[op])));
	}
	table_close(rel, NoLock);
	prefix->changes_seq = prefix_relation(prefix, "changes_id_seq", RELKIND_SEQUENCE);
}

// The library reads rows of transactions itself.
void
require_types(const Prefix *prefix, Relation rel)
{
	for (int i = 0; i < transaction_columns; i++)
	{
		const WriterColumn *column = &transaction_writer_columns[i];

		if (prefix->transactions.types[i] !=
		    TupleDescAttr(RelationGetDescr(rel), prefix->transactions.attnums[i] - 1)->atttypid)
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
			                errmsg("column %s.transactions.%s must have the type %s", prefix->name,
			                       column->name, format_type_be(column->type))));
	}
	if (rel->rd_tableam != GetHeapamTableAmRoutine())
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
		                errmsg("table %s.transactions must be a heap", prefix->name)));
}

void
compile_transactions(Prefix *prefix)
{
	Relation rel =
		table_open(prefix_relation(prefix, "transactions", RELKIND_RELATION), RowExclusiveLock);

	writer_compile(
		&prefix->transactions, rel, transaction_writer_columns, transaction_columns,
		own_function(prefix->schema, "set_transaction_id", "carbonite_set_transaction_id"),
		InvalidOid);
	require_types(prefix, rel);
	prefix->transactions_id = prefix->transactions.attnums[transaction_id];
	prefix->transactions_xact_id = prefix->transactions.attnums[transaction_xact_id];
	prefix->transactions_key = find_key_index(rel, prefix->transactions_id);
	table_close(rel, NoLock);
	prefix->transactions_seq = prefix_relation(prefix, "transactions_id_seq", RELKIND_SEQUENCE);
}

// Compiles a prefix in the current memory context.
Prefix *
compile(Oid schema)
{
	Prefix *prefix = (Prefix *) palloc0(sizeof(Prefix));

	prefix->schema = schema;
	prefix->name = get_namespace_name(schema);
	if (prefix->name == nullptr || !is_prefix(schema))
		ereport(ERROR, (errcode(ERRCODE_INVALID_SCHEMA_NAME),
		                errmsg("schema \"%s\" is not a carbonite prefix",
		                       prefix->name != nullptr ? prefix->name : "?"),
		                errhint("Create one with carbonite.install_schema().")));
	compile_transactions(prefix);
	compile_changes(prefix, prefix->transactions.relid);
	prefix->triggers = prefix_relation(prefix, "triggers", RELKIND_RELATION);
	prefix->settings = get_relname_relid("settings", schema);
	if (OidIsValid(prefix->settings))
	{
		prefix_relation(prefix, "settings", RELKIND_RELATION);
		read_settings(prefix);
	}
	prefix->override_mode = override_setting(prefix->name);
	return prefix;
}

void
invalidate_relation(Datum, Oid relid)
{
	HASH_SEQ_STATUS status;
	PrefixEntry *entry;

	messages++;
	hash_seq_init(&status, prefixes);
	while ((entry = (PrefixEntry *) hash_seq_search(&status)) != nullptr)
	{
		const Prefix *prefix = entry->prefix;

		if (!entry->valid)
			continue;
		if (!OidIsValid(relid) || relid == prefix->changes.relid ||
		    relid == prefix->transactions.relid || relid == prefix->triggers ||
		    relid == prefix->settings)
			entry->valid = false;
	}
}

void
invalidate_schemas(Datum, int, uint32)
{
	invalidate_relation((Datum) 0, InvalidOid);
}

// An error inside a bracketed call leaves the depth raised until here, which only defers freeing.
void
end_of_transaction(XactEvent event, void *)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			compiled_depth = 0;
			break;
		default:
			break;
	}
}

} // namespace

void
compiled_enter(void)
{
	compiled_depth++;
}

void
compiled_leave(void)
{
	if (compiled_depth > 0)
		compiled_depth--;
}

void
compiled_discard(MemoryContext context)
{
	if (compiled_depth > 1)
		MemoryContextSetParent(context, TopTransactionContext);
	else
		MemoryContextDelete(context);
}

Snapshot
register_latest_snapshot(void)
{
	// RegisterSnapshot() copies the static snapshot, so that the copy may be changed.
	Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());

	snapshot->curcid = GetCurrentCommandId(false) + 1;
	return snapshot;
}

bool
is_prefix(Oid schema)
{
	return OidIsValid(own_function(schema, "capture_changes", "carbonite_capture_changes"));
}

List *
prefix_schemas(void)
{
	List *schemas = NIL;
	CatCList *functions = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum("capture_changes"));

	for (int i = 0; i < functions->n_members; i++)
	{
		Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(&functions->members[i]->tuple);

		if (proc->pronargs == 0 && is_prefix(proc->pronamespace))
			schemas = lappend_oid(schemas, proc->pronamespace);
	}
	ReleaseSysCacheList(functions);
	return schemas;
}

PrefixEntry *
prefix_entry(Oid schema)
{
	bool found;
	PrefixEntry *entry = (PrefixEntry *) hash_search(prefixes, &schema, HASH_ENTER, &found);

	if (!found)
		memset((char *) entry + sizeof(Oid), 0, sizeof(*entry) - sizeof(Oid));
	return entry;
}

const Prefix *
prefix_get(PrefixEntry *entry)
{
	MemoryContext context;
	MemoryContext caller;
	Prefix *prefix;
	uint64 messages_before = messages;

	if (entry->valid)
		return entry->prefix;

	// Built under the caller's context, so that an error frees it.
	context = AllocSetContextCreate(CurrentMemoryContext, "carbonite prefix", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	prefix = compile(entry->schema);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);

	if (entry->context != nullptr)
		compiled_discard(entry->context);
	entry->context = context;
	entry->prefix = prefix;
	entry->generation++;
	entry->valid = messages == messages_before;
	if (entry->session.transactions != prefix->transactions.relid)
	{
		entry->session = SessionTransaction{};
		entry->session.transactions = prefix->transactions.relid;
	}
	return prefix;
}

PrefixEntry *
prefix_by_name(const char *name)
{
	Oid schema = get_namespace_oid(name, true);

	if (!OidIsValid(schema) || !is_prefix(schema))
		ereport(ERROR, (errcode(ERRCODE_INVALID_SCHEMA_NAME),
		                errmsg("carbonite prefix \"%s\" does not exist", name),
		                errhint("Create it with carbonite.install_schema(carbonite_prefix => %s).",
		                        quote_literal_cstr(name))));
	return prefix_entry(schema);
}

void
prefix_init(void)
{
	HASHCTL control = {};

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(PrefixEntry);
	prefixes = hash_create("carbonite prefixes", 8, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, invalidate_schemas, (Datum) 0);
	RegisterXactCallback(end_of_transaction, nullptr);
}

} // namespace carbonite
