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

} // namespace carbonite

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
