// Compiled relations: kept as long as no invalidation message says otherwise. PG world.

#include <initializer_list>

#include "caught.hpp"
#include "decode/stream.hpp"

namespace carbonite
{
namespace
{

// Compiled relations are dropped together when there are this many, so that memory is bounded.
constexpr long max_relations = 1024;

// The stream that is open in this process: it can hold one replication slot only.
Stream *open_stream;
uint64 messages;

void
invalidate_relation(Datum, Oid relid)
{
	StreamRelation *relation;

	messages++;
	if (open_stream == nullptr)
		return;
	// any relation may be the table that there was not yet
	if (!OidIsValid(relid) || relid == open_stream->policy.relid ||
	    !OidIsValid(open_stream->policy.relid))
		open_stream->policy.valid = false;
	if (!OidIsValid(relid) || list_member_oid(open_stream->relations.triggers, relid))
	{
		open_stream->relations.valid = false;
		return;
	}
	relation =
		(StreamRelation *) hash_search(open_stream->relations.table, &relid, HASH_FIND, nullptr);
	if (relation != nullptr)
		relation->valid = false;
}

void
invalidate_all(Datum, int, uint32)
{
	messages++;
	if (open_stream != nullptr)
		open_stream->relations.valid = false;
}

// Whose member a role is decides what policies are for it.
void
invalidate_policy(Datum, int, uint32)
{
	if (open_stream != nullptr)
		open_stream->policy.valid = false;
}

// A stream that is gone, whichever way, must not hear of anything any more.
void
forget_stream(void *stream)
{
	if (open_stream == stream)
		open_stream = nullptr;
}

// Drops every compiled relation.
void
drop_all(Relations *relations)
{
	HASH_SEQ_STATUS status;
	StreamRelation *relation;

	hash_seq_init(&status, relations->table);
	while ((relation = (StreamRelation *) hash_seq_search(&status)) != nullptr)
	{
		if (relation->context != nullptr)
			MemoryContextDelete(relation->context);
		hash_search(relations->table, &relation->relid, HASH_REMOVE, nullptr);
	}
	relations->last = nullptr;
	list_free(relations->triggers);
	relations->triggers = NIL;
	relations->valid = true;
}

void
compile_anew(Stream *stream, StreamRelation *relation, Relation rel)
{
	MemoryContext caller;
	uint64 messages_before = messages;
	Oid relid = relation->relid;
	MemoryContext context =
		AllocSetContextCreate(stream->context, "carbonite relation", ALLOCSET_SMALL_SIZES);

	if (relation->context != nullptr)
		MemoryContextDelete(relation->context);
	*relation = StreamRelation{};
	relation->relid = relid;
	relation->context = context;
	caller = MemoryContextSwitchTo(context);
	relation_compile(stream, relation, rel);
	MemoryContextSwitchTo(caller);
	relation->valid = messages == messages_before;
}

} // namespace

bool
relation_exists_now(Oid relid)
{
	Relation pg_class = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool found;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true,
	                          GetNonHistoricCatalogSnapshot(RelationRelationId), 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return found;
}

void
relations_init(Stream *stream)
{
	HASHCTL control = {};
	MemoryContextCallback *callback = (MemoryContextCallback *) MemoryContextAllocZero(
		stream->context, sizeof(MemoryContextCallback));

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(StreamRelation);
	control.hcxt = stream->context;
	stream->relations.table = hash_create("carbonite stream relations", 64, &control,
	                                      HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	stream->relations.valid = true;
	callback->func = forget_stream;
	callback->arg = stream;
	MemoryContextRegisterResetCallback(stream->context, callback);
	open_stream = stream;
}

StreamRelation *
stream_relation(Stream *stream, Relation rel)
{
	Relations *relations = &stream->relations;
	Oid relid = RelationGetRelid(rel);
	StreamRelation *relation;
	bool found;

	if (likely(relations->valid && relations->last != nullptr && relations->last->relid == relid &&
	           relations->last->valid))
		return relations->last;
	if (unlikely(!relations->valid || hash_get_num_entries(relations->table) > max_relations))
		drop_all(relations);
	relation = (StreamRelation *) hash_search(relations->table, &relid, HASH_ENTER, &found);
	if (!found)
	{
		*relation = StreamRelation{};
		relation->relid = relid;
	}
	if (unlikely(!relation->valid))
		compile_anew(stream, relation, rel);
	relations->last = relation;
	return relation;
}

void
masked_value(const StreamRelation *relation, const StreamColumn *column, const Row *row,
             JsonValue *result)
{
	MaskedRow masked = {relation->recorded_schema,
	                    relation->recorded_name,
	                    PointerGetDatum(cstring_to_text(column->name)),
	                    relation->key_columns,
	                    relation->nkeys,
	                    row->values,
	                    row->nulls};
	bool bound = mask_has_key() && relation->nkeys > 0;
	Mask fixed = {};

	for (int i = 0; i < relation->nkeys; i++)
		bound = bound && !row->missing[relation->key_columns[i].attnum - 1];
	if ((column->mask->kind == MaskKind::hashed && !bound) ||
	    !succeeds([&] { mask_apply(column->mask, &masked, result); }))
	{
		mask_compile_fixed(&fixed, mask_text);
		mask_apply(&fixed, &masked, result);
	}
}

void
relations_register_callbacks(void)
{
	CacheRegisterRelcacheCallback(invalidate_relation, (Datum) 0);
	for (int cache : {(int) RELOID, (int) PROCOID, (int) NAMESPACEOID, (int) TYPEOID,
	                  (int) CASTSOURCETARGET, (int) PUBLICATIONOID, (int) PUBLICATIONRELMAP})
		CacheRegisterSyscacheCallback(cache, invalidate_all, (Datum) 0);
	for (int cache : {(int) AUTHMEMROLEMEM, (int) AUTHOID})
		CacheRegisterSyscacheCallback(cache, invalidate_policy, (Datum) 0);
	register_publication_schema_callback(invalidate_all);
}

} // namespace carbonite
