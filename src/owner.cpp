// Acting as the owner of a prefix. PG world.

#include "owner.hpp"

namespace carbonite
{

void
become_owner(OwnerScope *scope, Oid owner)
{
	GetUserIdAndSecContext(&scope->user, &scope->security_context);
	SetUserIdAndSecContext(owner, scope->security_context | SECURITY_LOCAL_USERID_CHANGE |
	                                  SECURITY_RESTRICTED_OPERATION);
	scope->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
	                         GUC_ACTION_SAVE, true, 0, false);
}

void
become_caller(const OwnerScope *scope)
{
	AtEOXact_GUC(false, scope->guc_level);
	SetUserIdAndSecContext(scope->user, scope->security_context);
}

uint64
execute_as(Oid owner, const char *sql)
{
	OwnerScope scope;
	uint64 rows;
	int result;

	SPI_connect();
	become_owner(&scope, owner);
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		elog(ERROR, "carbonite could not run a statement: %s", SPI_result_code_string(result));
	rows = SPI_processed;
	become_caller(&scope);
	SPI_finish();
	return rows;
}

} // namespace carbonite
