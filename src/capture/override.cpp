// Overriding modes, and who may. PG world.

#include "capture/guard.hpp"
#include "capture/override.hpp"
#include "owner.hpp"

namespace carbonite
{

// Any unknown text means capture: a typing error must not lose changes.
CaptureMode
effective_mode(const Plan *plan, const Prefix *prefix)
{
	CaptureMode other =
		plan->mode == CaptureMode::capture ? CaptureMode::ignore : CaptureMode::capture;
	const char *override = *prefix->override_mode;

	if (unlikely(override != nullptr && override[0] != '\0'))
	{
		if (strcmp(override, "override") == 0)
			return other;
		return strcmp(override, "ignore") == 0 ? CaptureMode::ignore : CaptureMode::capture;
	}
	if (unlikely(FullTransactionIdIsValid(plan->override_xact_id)) &&
	    FullTransactionIdEquals(plan->override_xact_id, GetTopFullTransactionId()))
		return other;
	return plan->mode;
}

bool
override_is_restricted(const Prefix *prefix)
{
	return prefix->override_role != nullptr;
}

void
require_override(const Prefix *prefix)
{
	Oid role = get_role_oid(prefix->override_role, true);

	// Whoever set it: a function with the rights of another is called by somebody.
	if (superuser_arg(GetOuterUserId()) ||
	    (OidIsValid(role) && has_privs_of_role(GetOuterUserId(), role)))
		return;
	ereport(ERROR,
	        (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
	         errmsg("permission denied to override modes of carbonite prefix \"%s\"", prefix->name),
	         errdetail("Only members of role \"%s\" may.", prefix->override_role)));
}

void
note_override(PrefixEntry *entry, const Prefix *prefix, const CurrentTransaction *current,
              CaptureMode mode)
{
	SessionTransaction *session = &entry->session;
	bool ignore = mode == CaptureMode::ignore;
	const char *role = GetUserNameFromId(GetUserId(), false);
	const char *note;

	if (FullTransactionIdEquals(session->noted_xact, current->xact_id) &&
	    session->noted_subxact == GetCurrentSubTransactionId() &&
	    session->noted_role == GetUserId() && session->noted_ignore == ignore)
		return;
	note = psprintf("pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object("
	                "'mode', %s::pg_catalog.text, 'role', %s::pg_catalog.text))",
	                ignore ? "'ignore'" : "'capture'", quote_literal_cstr(role));
	execute_as(prefix->owner,
	           psprintf("UPDATE %s.transactions t SET meta = pg_catalog.jsonb_set(t.meta, '{%s}', "
	                    "coalesce(t.meta -> '%s', '[]') || %s) "
	                    "WHERE t.id = " INT64_FORMAT " AND t.xact_id = '" UINT64_FORMAT "' "
	                    "AND NOT coalesce(t.meta -> '%s' @> %s, false)",
	                    quote_identifier(prefix->name), override_key, override_key, note,
	                    current->id, U64FromFullTransactionId(current->xact_id), override_key,
	                    note));
	session->noted_xact = current->xact_id;
	session->noted_subxact = GetCurrentSubTransactionId();
	session->noted_role = GetUserId();
	session->noted_ignore = ignore;
}

} // namespace carbonite
