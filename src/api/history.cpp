// SQL functions that complete what changes hold in part. PG world.

#include "pg.hpp"

SQL_FUNCTION(carbonite_complete_step);

// carbonite_complete_step(state jsonb, data jsonb, data_is_partial boolean) returns the row after a
// change, of which `state` is the row before, as far as it is known.
Datum
carbonite_complete_step(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || !PG_GETARG_BOOL(2))
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	PG_RETURN_DATUM(DirectFunctionCall2(jsonb_concat, PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}
