// Records of changes in the format `carbonite`. PG world.
#pragma once

#include "decode/stream.hpp"

namespace carbonite
{

// How a record ends that has the metadata in mode `each`.
inline RecordEnd
carbonite_record_end(const Stream *stream)
{
	return stream->options.metadata == MetadataMode::each ? RecordEnd::meta_and_brace
	                                                      : RecordEnd::brace;
}

// Puts the beginning of a record: its kind, and what identifies it.
void carbonite_put_head(Stream *stream, const Transaction *transaction, const char *kind,
                        size_t kind_length);

void carbonite_compile(Stream *stream, StreamRelation *relation, Relation rel);
void carbonite_change(Stream *stream, Transaction *transaction, StreamRelation *relation,
                      const Change *change);

} // namespace carbonite
