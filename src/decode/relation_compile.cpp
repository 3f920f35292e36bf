// Compiles a relation: what prefixes, policy, publications and client make of it. Nothing here
// takes a lock on a user's table. PG world.

#include "decode/publication.hpp"
#include "decode/recorded.hpp"
#include "decode/stream.hpp"
#include "decode/user_code.hpp"

namespace carbonite
{
namespace
{

constexpr int action_count = 4;
constexpr char annotations_schema[] = "public";
constexpr char annotations_table[] = "statetrace_annotations";
constexpr char extension_schema[] = "carbonite";

// The topmost table of a partition tree; the relation itself if it is in none. A partition that is
// being detached concurrently has no ancestors any more.
Oid
root_of(Relation rel)
{
	List *ancestors =
		rel->rd_rel->relispartition ? get_partition_ancestors(RelationGetRelid(rel)) : NIL;

	return ancestors != NIL ? llast_oid(ancestors) : RelationGetRelid(rel);
}

RelationRole
find_role(const Stream *stream, Oid root)
{
	Oid schema = get_rel_namespace(root);
	const char *schema_name = get_namespace_name(schema);
	const char *name = get_rel_name(root);

	if (strcmp(schema_name, annotations_schema) == 0 && strcmp(name, annotations_table) == 0)
		return stream->options.annotations ? RelationRole::annotations : RelationRole::ordinary;
	if (is_prefix(schema))
	{
		if (strcmp(name, "transactions") == 0)
			return RelationRole::transactions;
		return strcmp(name, "changes") == 0 ? RelationRole::changes : RelationRole::hidden;
	}
	return strcmp(schema_name, extension_schema) == 0 ? RelationRole::hidden
	                                                  : RelationRole::ordinary;
}

// The names a relation goes by: as it is recorded, as its root, or its own.
void
choose_names(const Stream *stream, StreamRelation *relation, Relation rel, const List *plans,
             Oid root)
{
	const Plan *plan = plans != NIL ? (const Plan *) linitial(plans) : nullptr;
	PartitionNaming naming = stream->options.partitions;

	if (plan != nullptr)
	{
		relation->recorded_schema = plan->table_prefix;
		relation->recorded_name = plan->table_name;
	}
	if (plan != nullptr && naming == PartitionNaming::recorded)
	{
		relation->schema = TextDatumGetCString(plan->table_prefix);
		relation->name = TextDatumGetCString(plan->table_name);
		return;
	}
	if (naming == PartitionNaming::leaf)
		root = RelationGetRelid(rel);
	relation->schema = get_namespace_name(get_rel_namespace(root));
	relation->name = get_rel_name(root);
}

// Which actions of a relation are shown.
void
choose_actions(const Stream *stream, StreamRelation *relation, const List *plans, Oid root)
{
	const Options *options = &stream->options;
	bool shown = relation->role == RelationRole::ordinary || options->audit_tables;

	shown = shown && (plans != NIL || !options->audited_only) &&
	        options_choose_table(options, relation->schema, relation->name) &&
	        policy_allows_table(&stream->policy, get_namespace_name(get_rel_namespace(root)),
	                            get_rel_name(root)) &&
	        (options->publications == NIL || relation->published != nullptr);
	for (int i = 0; i < action_count; i++)
		relation->shown[i] = shown && options->actions[i];
	for (int i = 0; shown && relation->published != nullptr && i < action_count; i++)
	{
		bool published = false;

		for (int rule = 0; rule < relation->published->nrules; rule++)
			published = published || relation->published->rules[rule].actions[i];
		relation->shown[i] = relation->shown[i] && published;
	}
}

// Does the client want a column?
bool
is_column_chosen(const Options *options, const StreamRelation *relation, const char *name,
                 AttrNumber attnum)
{
	const PublishedRelation *published = relation->published;

	if (options->columns != NIL &&
	    !any_column_matches(options->columns, relation->schema, relation->name, name))
		return false;
	if (published != nullptr && !published->all_columns &&
	    !bms_is_member(attnum, published->columns))
		return false;
	return !any_column_matches(options->exclude_columns, relation->schema, relation->name, name);
}

const char *
make_label(const char *name, uint32 *length)
{
	Buffer label;

	buffer_init(&label, CurrentMemoryContext, MaxAllocSize);
	put_unicode_string(&label, name, strlen(name));
	put_char(&label, ':');
	*length = (uint32) label.length;
	return label.data;
}

void
compile_column(StreamColumn *column, Form_pg_attribute att, Mask *mask)
{
	column->attnum = att->attnum;
	column->length = att->attlen;
	column->type = att->atttypid;
	column->typmod = att->atttypmod;
	column->not_null = att->attnotnull;
	column->mask = mask;
	if (mask != nullptr && mask->kind != MaskKind::fixed)
		avoid_user_code(&mask->text, att->atttypid);
	column->name = pstrdup(NameStr(att->attname));
	column->label = make_label(column->name, &column->label_length);
	value_writer_compile(&column->writer, att->atttypid);
}

// The columns, in the order of the table, that neither prefixes nor policy nor client leave out.
void
compile_columns(Stream *stream, StreamRelation *relation, Relation rel, const List *plans, Oid root)
{
	TupleDesc desc = RelationGetDescr(rel);
	const char *root_schema = get_namespace_name(get_rel_namespace(root));
	const char *root_name = get_rel_name(root);

	relation->columns =
		(StreamColumn *) palloc0(sizeof(StreamColumn) * (size_t) Max(desc->natts, 1));
	relation->masked = (bool *) palloc0(sizeof(bool) * (size_t) Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Mask *mask = nullptr;
		bool forbidden;

		if (att->attisdropped)
			continue;
		forbidden =
			recorded_excludes(plans, att->attnum, &mask) ||
			!policy_allows_column(&stream->policy, root_schema, root_name, NameStr(att->attname));
		relation->masked[i] = forbidden || mask != nullptr;
		if (!forbidden &&
		    is_column_chosen(&stream->options, relation, NameStr(att->attname), att->attnum))
			compile_column(&relation->columns[relation->ncolumns++], att, mask);
	}
}

// Marks the columns of an index; false if it cannot be opened.
bool
mark_index_columns(StreamRelation *relation, Oid index, bool StreamColumn::*mark)
{
	Relation rel = OidIsValid(index) ? RelationIdGetRelation(index) : nullptr;

	if (rel == nullptr)
		return false;
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(rel); i++)
		for (int j = 0; j < relation->ncolumns; j++)
			if (relation->columns[j].attnum == rel->rd_index->indkey.values[i])
				relation->columns[j].*mark = true;
	RelationClose(rel);
	return true;
}

void
add_key_column(StreamRelation *relation, Relation rel, AttrNumber attnum)
{
	KeyColumn *column = &relation->key_columns[relation->nkeys++];

	key_column_compile(column, attnum, TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid);
	avoid_user_code(column, TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid);
}

// Must a column be hidden in keys? A prefix may record keys in clear although it masks the column;
// another prefix, and the policy, may forbid that.
bool
is_key_masked(const Stream *stream, Relation rel, const List *plans, Oid root, AttrNumber attnum)
{
	ListCell *cell;

	if (!policy_allows_column(&stream->policy, get_namespace_name(get_rel_namespace(root)),
	                          get_rel_name(root),
	                          NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname)))
		return true;
	foreach (cell, plans)
	{
		const Plan *plan = (const Plan *) lfirst(cell);
		const Column *column = plan_column(plan, attnum);
		bool masked = column == nullptr || column->mask != nullptr;

		for (int i = 0; i < plan->nkeys; i++)
			if (plan->key_columns[i].attnum == attnum)
				masked = plan->key_columns[i].masked;
		if (masked)
			return true;
	}
	return false;
}

// The key by which an index identifies rows.
void
compile_index_key(StreamRelation *relation, Relation rel, Oid index_oid)
{
	Relation index = OidIsValid(index_oid) ? RelationIdGetRelation(index_oid) : nullptr;

	if (index == nullptr)
		return;
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		if (index->rd_index->indkey.values[i] > 0)
			add_key_column(relation, rel, index->rd_index->indkey.values[i]);
	RelationClose(index);
}

// The key of records: as it is recorded, else the primary key, else what identifies rows.
void
compile_key(const Stream *stream, StreamRelation *relation, Relation rel, const List *plans,
            Oid root)
{
	ListCell *cell;

	relation->key_columns = (KeyColumn *) palloc0(sizeof(KeyColumn) * INDEX_MAX_KEYS);
	foreach (cell, plans)
	{
		const Plan *plan = (const Plan *) lfirst(cell);

		if (plan->nkeys == 0 || plan->missing_key != nullptr || relation->nkeys > 0)
			continue;
		relation->nkeys = plan->nkeys;
		memcpy(relation->key_columns, plan->key_columns, sizeof(KeyColumn) * (size_t) plan->nkeys);
		for (int i = 0; i < relation->nkeys; i++)
		{
			AttrNumber attnum = relation->key_columns[i].attnum;

			avoid_user_code(&relation->key_columns[i],
			                TupleDescAttr(RelationGetDescr(rel), attnum - 1)->atttypid);
		}
	}
	if (relation->nkeys == 0)
		compile_index_key(relation, rel, rel->rd_pkindex);
	if (relation->nkeys == 0)
		compile_index_key(relation, rel, rel->rd_replidindex);
	for (int i = 0; i < relation->nkeys; i++)
		relation->key_columns[i].masked =
			is_key_masked(stream, rel, plans, root, relation->key_columns[i].attnum);
}

void
compile_identity(StreamRelation *relation, Relation rel)
{
	// makes rd_pkindex and rd_replidindex valid
	list_free(RelationGetIndexList(rel));
	relation->replica_identity = rel->rd_rel->relreplident;
	relation->has_primary_key =
		mark_index_columns(relation, rel->rd_pkindex, &StreamColumn::in_primary_key);
	relation->has_identity =
		mark_index_columns(relation, rel->rd_replidindex, &StreamColumn::in_identity);
	for (int i = 0; relation->replica_identity == REPLICA_IDENTITY_FULL && i < relation->ncolumns;
	     i++)
		relation->columns[i].in_identity = true;
}

Row *
make_row(int natts)
{
	Row *row = (Row *) palloc(sizeof(Row));

	row->values = (Datum *) palloc0(sizeof(Datum) * (size_t) Max(natts, 1));
	row->nulls = (bool *) palloc0(sizeof(bool) * (size_t) Max(natts, 1));
	row->missing = (bool *) palloc0(sizeof(bool) * (size_t) Max(natts, 1));
	row->has_external = false;
	return row;
}

// Columns that are computed when they are read are not in the WAL.
void
compile_virtual_columns(StreamRelation *relation, Relation rel)
{
	Plan *plan = (Plan *) palloc0(sizeof(Plan));

	plan_add_virtual_columns(plan, rel);
	relation->plan = plan;
	if (plan->nvirtual > 0 || relation->published != nullptr)
		relation->slot =
			MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(rel)), &TTSOpsVirtual);
}

// Does what a role's tables say of transactions count more than what anybody says?
bool
is_trusted(Oid role)
{
	HeapTuple tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	Oid owner =
		HeapTupleIsValid(tuple) ? ((Form_pg_database) GETSTRUCT(tuple))->datdba : InvalidOid;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return superuser_arg(role) || (OidIsValid(owner) && has_privs_of_role(role, owner));
}

// A column of an audit table, or 0: the owner may have changed it.
AttrNumber
audit_column(const StreamRelation *relation, const char *name, bool is_json)
{
	AttrNumber attnum = get_attnum(relation->relid, name);
	Oid type = attnum > 0 ? get_atttype(relation->relid, attnum) : InvalidOid;
	bool fits = is_json ? type == JSONBOID : type == VARCHAROID || type == TEXTOID;

	return fits ? attnum : InvalidAttrNumber;
}

void
find_audit_columns(StreamRelation *relation)
{
	relation->meta = audit_column(relation, "meta", true);
	relation->command = audit_column(relation, "command", false);
	relation->data = audit_column(relation, "data", true);
	relation->table_prefix = audit_column(relation, "table_prefix", false);
	relation->table_name = audit_column(relation, "table_name", false);
}

// Does the WAL have the key of old rows?
bool
is_key_in_identity(const StreamRelation *relation)
{
	int found = 0;

	for (int i = 0; i < relation->nkeys; i++)
		for (int j = 0; j < relation->ncolumns; j++)
			if (relation->columns[j].in_identity &&
			    relation->columns[j].attnum == relation->key_columns[i].attnum)
				found++;
	return relation->nkeys > 0 && found == relation->nkeys;
}

} // namespace

void
relation_compile(Stream *stream, StreamRelation *relation, Relation rel)
{
	Oid root = root_of(rel);
	Recorded recorded = {};
	ListCell *cell;

	relation->role = find_role(stream, root);
	relation->natts = RelationGetDescr(rel)->natts;
	if (relation->role == RelationRole::ordinary || relation->role == RelationRole::annotations)
		recorded = find_recorded(stream, rel);
	relation->withheld = recorded.lost;
	if (stream->options.publications != NIL)
		relation->published = published_relation(stream->options.publications, rel);
	choose_names(stream, relation, rel, recorded.plans, root);
	relation->by_ancestor =
		rel->rd_rel->relispartition &&
		(strcmp(relation->name, RelationGetRelationName(rel)) != 0 ||
	     get_namespace_oid(relation->schema, true) != RelationGetNamespace(rel));
	choose_actions(stream, relation, recorded.plans, root);
	compile_columns(stream, relation, rel, recorded.plans, root);
	compile_identity(relation, rel);
	compile_key(stream, relation, rel, recorded.plans, root);
	compile_virtual_columns(relation, rel);
	if (relation->role != RelationRole::ordinary)
		find_audit_columns(relation);
	relation->trusted = is_trusted(rel->rd_rel->relowner);
	relation->key_in_identity = is_key_in_identity(relation);
	foreach (cell, recorded.plans)
		relation->exact_comparison |= ((const Plan *) lfirst(cell))->exact_comparison;
	relation->row = make_row(relation->natts);
	relation->old_row = make_row(relation->natts);
	// with the values that old rows have in columns that were added later
	relation->tuple_desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	if (stream->format->compile != nullptr)
		stream->format->compile(stream, relation, rel);
}

} // namespace carbonite
