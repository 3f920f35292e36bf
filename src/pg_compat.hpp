// Differences between PostgreSQL 13 and 18, written for the newest signature.
// Nothing else in the tree tests PG_VERSION_NUM.
#pragma once

namespace carbonite
{

// PostgreSQL 14 added indexUnchanged, a hint that only matters to updates.
inline void
index_insert_compat(Relation index, Datum *values, bool *nulls, ItemPointer tid, Relation heap,
                    IndexUniqueCheck check, IndexInfo *info)
{
#if PG_VERSION_NUM >= 140000
	index_insert(index, values, nulls, tid, heap, check, false, info);
#else
	index_insert(index, values, nulls, tid, heap, check, info);
#endif
}

// PostgreSQL 16 folded the per-catalog ownership checks into one function.
inline bool
owns_schema(Oid schema, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(NamespaceRelationId, schema, role);
#else
	return pg_namespace_ownercheck(schema, role);
#endif
}

// PostgreSQL 16 also folded the privilege checks.
inline void
require_schema_usage(Oid schema, const char *name)
{
#if PG_VERSION_NUM >= 160000
	AclResult result = object_aclcheck(NamespaceRelationId, schema, GetUserId(), ACL_USAGE);
#else
	AclResult result = pg_namespace_aclcheck(schema, GetUserId(), ACL_USAGE);
#endif

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_SCHEMA, name);
}

// PostgreSQL 17 lets the caller own the lexer and made the input const.
inline JsonLexContext *
make_json_lexer(char *json, size_t length)
{
#if PG_VERSION_NUM >= 170000
	return makeJsonLexContextCstringLen(nullptr, json, length, GetDatabaseEncoding(), true);
#else
	return makeJsonLexContextCstringLen(json, (int) length, GetDatabaseEncoding(), true);
#endif
}

// PostgreSQL 18 has virtual generated columns, which tuples hold as null: the expression of such a
// column, or null for any other.
inline Node *
virtual_column_expression(Relation rel, Form_pg_attribute att)
{
#if PG_VERSION_NUM >= 180000
	if (att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
		return build_generation_expression(rel, att->attnum);
#endif
	return nullptr;
}

// PostgreSQL 15 renamed the function that reserves a setting's prefix.
inline void
reserve_setting_prefix(const char *prefix)
{
#if PG_VERSION_NUM >= 150000
	MarkGUCPrefixReserved(prefix);
#else
	EmitWarningsOnPlaceholders(prefix);
#endif
}

// PostgreSQL 15 added publications of schemas, of columns and of rows.
inline bool
publication_has_schema(Oid publication, Oid schema)
{
#if PG_VERSION_NUM >= 150000
	return SearchSysCacheExists2(PUBLICATIONNAMESPACEMAP, ObjectIdGetDatum(schema),
	                             ObjectIdGetDatum(publication));
#else
	return false;
#endif
}

inline void
register_publication_schema_callback(SyscacheCallbackFunction callback)
{
#if PG_VERSION_NUM >= 150000
	CacheRegisterSyscacheCallback(PUBLICATIONNAMESPACEMAP, callback, (Datum) 0);
#endif
}

// The columns of a row of pg_publication_rel, false if it has all.
inline bool
publication_columns(HeapTuple tuple, Datum *columns)
{
	bool isnull = true;

#if PG_VERSION_NUM >= 150000
	*columns = SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prattrs, &isnull);
#endif
	return !isnull;
}

// Its row filter, false if it has none.
inline bool
publication_row_filter(HeapTuple tuple, Datum *filter)
{
	bool isnull = true;

#if PG_VERSION_NUM >= 150000
	*filter = SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prqual, &isnull);
#endif
	return !isnull;
}

// PostgreSQL 15 put the time of a transaction's end into a union.
inline TimestampTz
transaction_time(const ReorderBufferTXN *txn)
{
#if PG_VERSION_NUM >= 150000
	return txn->xact_time.commit_time;
#else
	return txn->commit_time;
#endif
}

// PostgreSQL 17 has tuples where there were buffers of tuples before. Null stays null.
#if PG_VERSION_NUM >= 170000
inline HeapTuple
decoded_tuple(HeapTuple tuple)
{
	return tuple;
}
#else
inline HeapTuple
decoded_tuple(ReorderBufferTupleBuf *buffer)
{
	return buffer != nullptr ? &buffer->tuple : nullptr;
}
#endif

// Tells the client how far the server is. From PostgreSQL 16 on the server does so itself while it
// works at a transaction; PostgreSQL 15 wants to know whether a transaction was left out.
constexpr bool server_tells_progress = PG_VERSION_NUM >= 160000;

inline void
update_progress_compat(LogicalDecodingContext *ctx, bool skipped)
{
#if PG_VERSION_NUM >= 150000
	OutputPluginUpdateProgress(ctx, skipped);
#else
	OutputPluginUpdateProgress(ctx);
#endif
}

// PostgreSQL 14 began to decode transactions before they end, and prepared ones. Says whether a
// plugin wants that; a server or a slot without it has the last word.
inline void
choose_streaming(LogicalDecodingContext *ctx, bool in_progress, bool prepared)
{
#if PG_VERSION_NUM >= 140000
	ctx->streaming = ctx->streaming && in_progress;
	ctx->twophase = ctx->twophase && prepared;
#endif
}

// The global transaction identifier of a prepared transaction, or null.
inline const char *
transaction_gid(const ReorderBufferTXN *txn)
{
#if PG_VERSION_NUM >= 140000
	return txn->gid;
#else
	return nullptr;
#endif
}

// The transaction that a subtransaction belongs to; a top-level one itself.
inline ReorderBufferTXN *
toplevel_transaction(ReorderBufferTXN *txn)
{
#if PG_VERSION_NUM >= 140000
	return txn->toptxn != nullptr ? txn->toptxn : txn;
#else
	return txn;
#endif
}

// The subtransaction of what is being decoded while it is in progress, or InvalidTransactionId.
inline TransactionId
decoded_subtransaction(void)
{
#if PG_VERSION_NUM >= 140000
	return CheckXidAlive;
#else
	return InvalidTransactionId;
#endif
}

} // namespace carbonite

// PostgreSQL 16 declares this.
#if PG_VERSION_NUM < 160000
extern "C"
{
	PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);
}
#endif

// PostgreSQL 14 added read_only_tree.
#if PG_VERSION_NUM >= 140000
#define PROCESS_UTILITY_PARAMETERS                                                                 \
	PlannedStmt *statement, const char *text, bool read_only_tree, ProcessUtilityContext context,  \
		ParamListInfo params, QueryEnvironment *environment, DestReceiver *destination,            \
		QueryCompletion *completion
#define PROCESS_UTILITY_ARGUMENTS                                                                  \
	statement, text, read_only_tree, context, params, environment, destination, completion
#else
#define PROCESS_UTILITY_PARAMETERS                                                                 \
	PlannedStmt *statement, const char *text, ProcessUtilityContext context, ParamListInfo params, \
		QueryEnvironment *environment, DestReceiver *destination, QueryCompletion *completion
#define PROCESS_UTILITY_ARGUMENTS                                                                  \
	statement, text, context, params, environment, destination, completion
#endif

// PostgreSQL 18 gives a module a name and a version to show in pg_get_loaded_modules().
#if PG_VERSION_NUM >= 180000
#define CARBONITE_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "carbonite")
#else
#define CARBONITE_MODULE_MAGIC PG_MODULE_MAGIC
#endif
