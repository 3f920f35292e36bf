// A transaction's metadata is what its entries say, merged: messages first, then annotations, then
// rows of `transactions`, whose writers need a right to write them. An entry remembers the
// subtransaction it came from, as long as that may roll back. What is taken in is bounded, and so
// are memory and the time it takes to merge. PG world.

#include "caught.hpp"
#include "decode/stream.hpp"

namespace carbonite
{

struct MetaEntry
{
	MetaEntry *next;
	TransactionId subxid;
	MetaSource source;
	Oid place;
	Jsonb *object;
};

namespace
{

constexpr size_t max_bytes = 256 * 1024;

Jsonb *
merge(Jsonb *object, Jsonb *more)
{
	if (object == nullptr)
		return more;
	return DatumGetJsonbP(
		DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(object), JsonbPGetDatum(more)));
}

MetaEntry *
find_entry(Metadata *meta, TransactionId subxid, MetaSource source, Oid place)
{
	for (MetaEntry *entry = meta->first; entry != nullptr; entry = entry->next)
		if (entry->subxid == subxid && entry->source == source && entry->place == place)
			return entry;
	return nullptr;
}

MetaEntry *
add_entry(Metadata *meta, TransactionId subxid, MetaSource source, Oid place)
{
	MetaEntry *entry = (MetaEntry *) MemoryContextAllocZero(meta->context, sizeof(MetaEntry));
	MetaEntry **last = &meta->first;

	entry->subxid = subxid;
	entry->source = source;
	entry->place = place;
	while (*last != nullptr)
		last = &(*last)->next;
	*last = entry;
	return entry;
}

bool
is_row(MetaSource source)
{
	return source == MetaSource::row || source == MetaSource::foreign_row;
}

// Is there a later entry of the same row? A row counts as it was left.
bool
is_replaced(const MetaEntry *entry)
{
	if (!is_row(entry->source))
		return false;
	for (const MetaEntry *later = entry->next; later != nullptr; later = later->next)
		if (is_row(later->source) && later->place == entry->place)
			return true;
	return false;
}

// Adds the members of an object to one that is being made, where the last of equal ones counts.
void
push_members(JsonbParseState **state, Jsonb *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(&object->root);
	JsonbValue value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY || token == WJB_VALUE)
			pushJsonbValue(state, token, &value);
}

// All entries as one object. There may be thousands, each of a subtransaction of its own.
Jsonb *
merge_all(const Metadata *meta)
{
	JsonbParseState *state = nullptr;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, nullptr);
	for (int source = (int) MetaSource::message; source <= (int) MetaSource::row; source++)
		for (const MetaEntry *entry = meta->first; entry != nullptr; entry = entry->next)
			if ((int) entry->source == source && !is_replaced(entry))
				push_members(&state, entry->object);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, nullptr));
}

void
settle(Metadata *meta)
{
	// a caller may be outside of a transaction, in a context that stays
	MemoryContext context =
		AllocSetContextCreate(meta->context, "carbonite metadata", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Jsonb *all = merge_all(meta);

	buffer_truncate(&meta->text, 0);
	meta->settled = true;
	if (JB_ROOT_COUNT(all) > 0)
	{
		put_jsonb(&meta->text, &all->root);
		// without its braces
		meta->text.length -= 2;
		memmove(meta->text.data, meta->text.data + 1, meta->text.length);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

// What stands for metadata that is too much.
Jsonb *
omitted_note(size_t bytes)
{
	const char *text =
		psprintf("{\"carbonite_omitted\": {\"bytes\": " UINT64_FORMAT "}}", (uint64) bytes);

	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

bool
is_object(Jsonb *json)
{
	return JB_ROOT_IS_OBJECT(json);
}

} // namespace

void
metadata_init(Metadata *meta, MemoryContext context)
{
	*meta = Metadata{};
	meta->context = context;
	meta->settled = true;
	buffer_init(&meta->text, context, MaxAllocSize);
}

void
metadata_add(Metadata *meta, TransactionId subxid, MetaSource source, Oid place, Jsonb *object)
{
	MetaEntry *entry;
	Jsonb *old;

	meta->bytes += sizeof(MetaEntry) + VARSIZE(object);
	if (meta->bytes > max_bytes)
	{
		// once: after that, there is nothing new to say
		if (meta->bytes - VARSIZE(object) - sizeof(MetaEntry) > max_bytes)
			return;
		object = omitted_note(VARSIZE(object));
		source = MetaSource::row;
		place = InvalidOid;
	}
	entry = find_entry(meta, subxid, source, place);
	if (entry == nullptr)
		entry = add_entry(meta, subxid, source, place);
	old = entry->object;
	if (old != nullptr && !is_row(source))
		object = merge(old, object);
	entry->object = (Jsonb *) MemoryContextAlloc(meta->context, VARSIZE(object));
	memcpy(entry->object, object, VARSIZE(object));
	if (old != nullptr)
		pfree(old);
	meta->settled = false;
}

void
metadata_forget(Metadata *meta, TransactionId subxid)
{
	MetaEntry **place = &meta->first;

	while (*place != nullptr)
	{
		MetaEntry *entry = *place;

		if (entry->subxid != subxid)
		{
			place = &entry->next;
			continue;
		}
		*place = entry->next;
		meta->settled = false;
		pfree(entry->object);
		pfree(entry);
	}
}

const Buffer *
metadata_text(Metadata *meta)
{
	if (unlikely(!meta->settled))
		settle(meta);
	return &meta->text;
}

Jsonb *
parse_json(const char *text, size_t length)
{
	Jsonb *result = nullptr;
	char *copy = pnstrdup(text, length);

	succeeds([&]
	         { result = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(copy))); });
	return result;
}

Jsonb *
parse_json_object(const char *text, size_t length)
{
	Jsonb *json = nullptr;

	// the content of a message can be any bytes
	if (length > 0 && length <= max_bytes && memchr(text, '\0', length) == nullptr &&
	    pg_verifymbstr(text, (int) length, true))
		json = parse_json(text, length);
	return json != nullptr && is_object(json) ? json : nullptr;
}

void
metadata_from_row(Transaction *transaction, StreamRelation *relation, const Change *change)
{
	Jsonb *object = nullptr;
	int index = relation->meta - 1;

	if (change->row != nullptr && index >= 0)
	{
		// an update of something else, which leaves it as it is
		if (change->row->missing[index])
			return;
		if (!change->row->nulls[index])
			object = DatumGetJsonbP(change->row->values[index]);
	}
	// a row that was deleted says nothing
	if (object == nullptr || !is_object(object))
		object = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	metadata_add(&transaction->meta, transaction->subxid,
	             relation->trusted ? MetaSource::row : MetaSource::foreign_row, relation->relid,
	             object);
}

} // namespace carbonite
