// Digests, by the server's own SHA-256. PG world.

#include "capture/digest.hpp"

namespace carbonite
{

bytea *
sha256(const void *bytes, size_t length)
{
	bytea *input = (bytea *) cstring_to_text_with_len((const char *) bytes, (int) length);

	return DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(input)));
}

void
append_hex(StringInfo out, const bytea *digest, int count)
{
	for (int i = 0; i < count; i++)
		appendStringInfo(out, "%02x", (unsigned char) VARDATA_ANY(digest)[i]);
}

} // namespace carbonite
