// Sealing with the rights of a prefix's owner: an auditor can have it done, and cannot write
// entries of his own making. PG world.

#include "capture/prefix.hpp"
#include "owner.hpp"

SQL_FUNCTION(carbonite_seal_as_owner);

namespace carbonite
{
namespace
{

// Errors: 42501 unless the caller owns the prefix or is an auditor, who has a privilege that serves
// for nothing else: to insert into seals.kind alone.
void
require_auditor(const Prefix *prefix)
{
	Oid seals = get_relname_relid("seals", prefix->schema);
	AttrNumber kind = get_attnum(seals, "kind");

	if (has_privs_of_role(GetUserId(), prefix->owner))
		return;
	if (kind == InvalidAttrNumber ||
	    pg_attribute_aclcheck(seals, kind, GetUserId(), ACL_INSERT) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		                errmsg("permission denied to seal carbonite prefix \"%s\"", prefix->name),
		                errhint("Its owner can give it with carbonite.grant_auditor().")));
}

} // namespace
} // namespace carbonite

// carbonite_seal_as_owner(prefix text) appends what is new to the chain of a prefix.
Datum
carbonite_seal_as_owner(PG_FUNCTION_ARGS)
{
	using namespace carbonite;

	const Prefix *prefix;
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	compiled_enter();
	prefix = prefix_get(prefix_by_name(name));
	require_auditor(prefix);
	execute_as(prefix->owner,
	           psprintf("SELECT carbonite._seal(%s)", quote_literal_cstr(prefix->name)));
	compiled_leave();
	PG_RETURN_VOID();
}
