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

// Inserts the current transaction's row, as the owner of the prefix, with `meta` (jsonb).
void insert_current_transaction(PrefixEntry *entry, const Prefix *prefix, Datum meta,
                                CurrentTransaction *current);

// Reads the row of transactions that current_transaction() found, as values of TransactionColumn.
void read_transaction(const Prefix *prefix, const CurrentTransaction *current, Datum *values,
                      bool *nulls);

} // namespace carbonite
