// The row of `transactions` that the changes of the current transaction belong to. PG world.
#pragma once

#include "capture/prefix.hpp"

namespace carbonite
{

struct CurrentTransaction
{
	int64 id;
	FullTransactionId xact_id;
};

// Finds the current transaction's row: the one with the id that this session drew last and the
// current transaction's xid. Assigns an xid if there is none yet.
bool current_transaction(PrefixEntry *entry, const Prefix *prefix, CurrentTransaction *current);

// Inserts the current transaction's row, as the owner of the prefix, with `meta` (jsonb); hands out
// what the row holds, as values of TransactionColumn. False, with nothing written, if opening the
// table brought news that make the prefix stale: get it again and retry.
bool insert_transaction(PrefixEntry *entry, const Prefix *prefix, Datum meta,
                        CurrentTransaction *current, Datum *values, bool *nulls);

// Reads the row that current_transaction() found. Errors: 55000 if it is not there.
void read_transaction(const Prefix *prefix, const CurrentTransaction *current, Datum *values,
                      bool *nulls);

} // namespace carbonite
