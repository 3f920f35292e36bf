// Which errors may be passed over. PG world.

#include "caught.hpp"

namespace carbonite
{

bool
error_may_be_passed_over(int sqlstate)
{
	int category = ERRCODE_TO_CATEGORY(sqlstate);

	return category != ERRCODE_TO_CATEGORY(ERRCODE_QUERY_CANCELED) &&
	       category != ERRCODE_TO_CATEGORY(ERRCODE_TRANSACTION_ROLLBACK) &&
	       sqlstate != ERRCODE_OUT_OF_MEMORY;
}

} // namespace carbonite
