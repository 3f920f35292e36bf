// What is said of a transaction: by its row of `transactions`, by messages, by annotations. What a
// rolled back subtransaction said does not count. PG world.
#pragma once

#include "decode/buffer.hpp"

namespace carbonite
{

struct Stream;
struct StreamRelation;
struct Change;
struct Transaction;
struct MetaEntry;

enum class MetaSource : uint8
{
	message,
	annotation,
	foreign_row, // of a prefix that anybody may have made
	row,         // says the last word
};

struct Metadata
{
	MemoryContext context;
	MetaEntry *first;
	size_t bytes; // that were taken in, ever
	bool settled; // `text` is what the entries say
	Buffer text;  // a JSON object without its braces, maybe empty
};

void metadata_init(Metadata *meta, MemoryContext context);

// Takes in an object. Of one subtransaction, source and place a row replaces what was said before;
// messages and annotations complete it.
void metadata_add(Metadata *meta, TransactionId subxid, MetaSource source, Oid place,
                  Jsonb *object);

// Forgets what a subtransaction said.
void metadata_forget(Metadata *meta, TransactionId subxid);

// The metadata as `text`.
const Buffer *metadata_text(Metadata *meta);

// Takes in a change of a row of <prefix>.transactions.
void metadata_from_row(Transaction *transaction, StreamRelation *relation, const Change *change);

// Takes in a row of an annotation table of Statetrace.
void metadata_from_annotation(Stream *stream, Transaction *transaction, StreamRelation *relation,
                              const Change *change);

// What a text is as jsonb, or null if it is not JSON that jsonb can hold. Never raises an error.
Jsonb *parse_json(const char *text, size_t length);

// The same for text that may be metadata: an object that is not too large.
Jsonb *parse_json_object(const char *text, size_t length);

} // namespace carbonite
