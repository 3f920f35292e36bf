// Running a statement as another role, for event triggers: the tables of a prefix may do what their
// owner likes when they are written, and must not do it as somebody else. PG world.

#include "owner.hpp"

SQL_FUNCTION(carbonite_execute_as);

// carbonite_execute_as(role oid, statement text) runs a statement with the rights of a role.
Datum
carbonite_execute_as(PG_FUNCTION_ARGS)
{
	carbonite::execute_as(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}
