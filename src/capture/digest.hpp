// SHA-256, and bytes in hexadecimal. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

constexpr int digest_bytes = 32;

// The digest of some bytes, allocated in the current memory context.
bytea *sha256(const void *bytes, size_t length);

// Appends the first bytes of a digest in hexadecimal.
void append_hex(StringInfo out, const bytea *digest, int count);

} // namespace carbonite
