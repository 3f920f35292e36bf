// Annotations in the way of Statetrace: rows that an application inserts into the table
// statetrace_annotations. A session says who; an action, in the transaction that it is about, says
// what and refers to a session. Three shapes of the table are in use: with `payload` keyed by text
// or by uuid, and an older one that has a column for everything. Sessions come in transactions of
// their own, so the latest of them are kept. PG world.

#include "capture/digest.hpp"
#include "decode/record.hpp"

namespace carbonite
{

// The sessions that came last, the oldest first.
struct Session
{
	Session *next;
	const char *id;
	Jsonb *object;
	size_t bytes;
};

struct Sessions
{
	MemoryContext context;
	Session *first;
	Session *last;
	size_t bytes;
};

namespace
{

constexpr size_t max_sessions_bytes = 512 * 1024;

// A row of the table, as JSON members by column name.
Jsonb *
row_object(const StreamRelation *relation, const Row *row)
{
	Buffer json;
	bool first = true;

	buffer_init(&json, CurrentMemoryContext, max_sessions_bytes);
	put_char(&json, '{');
	for (int i = 0; i < relation->ncolumns; i++)
	{
		StreamColumn *column = &relation->columns[i];
		size_t length = json.length;
		int sqlstate;

		// what a mask makes of ids would join what does not belong together
		if (column->mask != nullptr || row->missing[column->attnum - 1] ||
		    row->nulls[column->attnum - 1])
			continue;
		if (!first)
			put_char(&json, ',');
		put_bytes(&json, column->label, column->label_length);
		if (put_column(&json, relation, column, row, &sqlstate))
			first = false;
		else
			json.length = length;
	}
	put_char(&json, '}');
	return json.overflowed ? nullptr : parse_json_object(json.data, json.length);
}

JsonbValue *
member(Jsonb *object, const char *name)
{
	JsonbValue key = {};

	key.type = jbvString;
	key.val.string.val = const_cast<char *>(name);
	key.val.string.len = (int) strlen(name);
	return findJsonbValueFromContainer(&object->root, JB_FOBJECT, &key);
}

// A scalar as text, or null.
const char *
scalar_text(const JsonbValue *value)
{
	if (value == nullptr)
		return nullptr;
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, (Size) value->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		default:
			return nullptr;
	}
}

bool
has_prefix(const JsonbValue *key, const char *prefix)
{
	return key->val.string.len > (int) strlen(prefix) &&
	       memcmp(key->val.string.val, prefix, strlen(prefix)) == 0;
}

void
put_member(Buffer *out, const char *name, size_t length, const JsonbValue *value)
{
	const char *text = scalar_text(value);
	bool is_number = length == strlen("action_length_ms") &&
	                 memcmp(name, "action_length_ms", length) == 0 && value->type == jbvNumeric;

	if (out->length > 1)
		put_char(out, ',');
	put_unicode_string(out, name, length);
	put_char(out, ':');
	if (is_number)
		put_numeric(out, NumericGetDatum(value->val.numeric));
	else if (text != nullptr)
		put_unicode_string(out, text, strlen(text));
	else if (value->type == jbvBinary)
		put_jsonb(out, value->val.binary.data);
	else
		put_text(out, "null");
}

// Puts the members of an object whose names have a prefix.
void
put_members(Buffer *out, JsonbContainer *object, const char *prefix)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue key;
	JsonbValue value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		JsonbIteratorNext(&iterator, &value, true);
		if (has_prefix(&key, prefix))
			put_member(out, key.val.string.val, (size_t) key.val.string.len, &value);
	}
}

// What an annotation says of an action or a session: members of the payload and columns, and its
// meta.
void
put_annotation(Buffer *out, Jsonb *row, const char *prefix)
{
	JsonbValue *payload = member(row, "payload");
	JsonbValue *meta = member(row, "meta");
	JsonbValue *id = member(row, "id");
	const char *names[] = {psprintf("%sid", prefix), psprintf("%smeta", prefix)};

	if (payload != nullptr && payload->type == jbvBinary &&
	    JsonContainerIsObject(payload->val.binary.data))
		put_members(out, payload->val.binary.data, prefix);
	put_members(out, &row->root, prefix);
	if (id != nullptr)
		put_member(out, names[0], strlen(names[0]), id);
	if (meta != nullptr && meta->type != jbvNull)
		put_member(out, names[1], strlen(names[1]), meta);
}

// How actions refer to a session: by its id, in the older shape with its time.
const char *
session_name(Jsonb *row, const char *id_name, const char *timestamp_name)
{
	const char *id = scalar_text(member(row, id_name));
	const char *timestamp = scalar_text(member(row, timestamp_name));

	return id != nullptr && timestamp != nullptr ? psprintf("%s %s", timestamp, id) : nullptr;
}

const char *
referred_session(Jsonb *action)
{
	JsonbValue *payload = member(action, "payload");
	const char *id = nullptr;

	if (payload != nullptr && payload->type == jbvBinary &&
	    JsonContainerIsObject(payload->val.binary.data))
	{
		JsonbValue key = {};

		key.type = jbvString;
		key.val.string.val = const_cast<char *>("action_session_id");
		key.val.string.len = (int) strlen("action_session_id");
		id = scalar_text(findJsonbValueFromContainer(payload->val.binary.data, JB_FOBJECT, &key));
	}
	return id != nullptr ? id : session_name(action, "parent_id", "parent_timestamp");
}

void
drop_oldest(Sessions *sessions)
{
	Session *oldest = sessions->first;

	sessions->first = oldest->next;
	if (sessions->first == nullptr)
		sessions->last = nullptr;
	sessions->bytes -= oldest->bytes;
	pfree(oldest);
}

void
remember_session(Stream *stream, const char *id, Jsonb *object)
{
	size_t bytes = sizeof(Session) + VARSIZE(object) + strlen(id) + 1;
	Sessions *sessions = stream->sessions;
	Session *session;

	if (sessions == nullptr)
	{
		sessions = (Sessions *) MemoryContextAllocZero(stream->context, sizeof(Sessions));
		sessions->context = stream->context;
		stream->sessions = sessions;
	}
	if (bytes > max_sessions_bytes / 16)
		return;
	while (sessions->bytes + bytes > max_sessions_bytes)
		drop_oldest(sessions);
	session = (Session *) MemoryContextAlloc(sessions->context, bytes);
	session->next = nullptr;
	session->bytes = bytes;
	session->object = (Jsonb *) (session + 1);
	memcpy(session->object, object, VARSIZE(object));
	session->id = strcpy((char *) session->object + VARSIZE(object), id);
	if (sessions->last != nullptr)
		sessions->last->next = session;
	else
		sessions->first = session;
	sessions->last = session;
	sessions->bytes += bytes;
}

Jsonb *
find_session(const Stream *stream, const char *id)
{
	Jsonb *found = nullptr;

	if (stream->sessions == nullptr || id == nullptr)
		return nullptr;
	for (const Session *session = stream->sessions->first; session != nullptr;
	     session = session->next)
		if (strcmp(session->id, id) == 0)
			found = session->object;
	return found;
}

Jsonb *
annotation_object(Jsonb *row, const char *prefix)
{
	Buffer json;

	buffer_init(&json, CurrentMemoryContext, MaxAllocSize);
	put_char(&json, '{');
	put_annotation(&json, row, prefix);
	put_char(&json, '}');
	return parse_json_object(json.data, json.length);
}

void
take_session(Stream *stream, Jsonb *row)
{
	Jsonb *object = annotation_object(row, "session_");
	const char *id = scalar_text(member(row, "id"));
	const char *name = session_name(row, "id", "timestamp");

	if (object == nullptr)
		return;
	if (id != nullptr)
		remember_session(stream, id, object);
	if (name != nullptr)
		remember_session(stream, name, object);
}

} // namespace

void
metadata_from_annotation(Stream *stream, Transaction *transaction, StreamRelation *relation,
                         const Change *change)
{
	Jsonb *row = nullptr;
	Jsonb *session;
	Jsonb *action;
	const char *kind;

	if (change->op == RowOp::insert && change->row != nullptr && !relation->withheld)
		row = row_object(relation, change->row);
	kind = row != nullptr ? scalar_text(member(row, "kind")) : nullptr;
	if (kind == nullptr)
		return;
	if (strcmp(kind, "_st.app.sess") == 0)
		take_session(stream, row);
	if (strcmp(kind, "_st.app.act") != 0)
		return;
	session = find_session(stream, referred_session(row));
	if (session != nullptr)
		metadata_add(&transaction->meta, transaction->subxid, MetaSource::annotation, InvalidOid,
		             session);
	action = annotation_object(row, "action_");
	if (action != nullptr)
		metadata_add(&transaction->meta, transaction->subxid, MetaSource::annotation, InvalidOid,
		             action);
}

} // namespace carbonite
