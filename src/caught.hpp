// Calls that may raise an error which is not the caller's business: of a value that cannot be
// shown, of configuration that cannot be understood. PG world.
#pragma once

#include "pg.hpp"

namespace carbonite
{

// May a caught error be passed over? Running out of memory and being cancelled may not; and a
// transaction that is found to have rolled back while it is decoded is the server's business, see
// HandleConcurrentAbort() in genam.c.
bool error_may_be_passed_over(int sqlstate);

// Calls a function; false if it raised an error, whose code *sqlstate then has. Whatever happens,
// `cleanup` is called. Not inline, so that what the functions refer to lies in memory, where a jump
// finds it.
template <typename Call, typename CleanUp>
[[gnu::noinline]] bool
succeeds(Call call, CleanUp cleanup, int *sqlstate)
{
	MemoryContext context = CurrentMemoryContext;
	bool volatile done = true;

	PG_TRY();
	{
		call();
		cleanup();
	}
	PG_CATCH();
	{
		cleanup();
		*sqlstate = geterrcode();
		if (!error_may_be_passed_over(*sqlstate))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		done = false;
	}
	PG_END_TRY();
	return done;
}

template <typename Call>
bool
succeeds(Call call)
{
	int sqlstate;

	return succeeds(
		call, [] {}, &sqlstate);
}

} // namespace carbonite
