-- Who may do what with a prefix. Privileges are PostgreSQL's own; these functions give them in the sets that make a role.

-- A GRANT by somebody else would only warn.
CREATE FUNCTION carbonite._require_owner(role regrole, carbonite_prefix text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    IF role IS NULL THEN
        RAISE EXCEPTION 'role must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT (SELECT pg_has_role(n.nspowner, 'USAGE') FROM pg_namespace n WHERE n.nspname = carbonite_prefix) THEN
        RAISE EXCEPTION 'must be owner of carbonite prefix "%"', carbonite_prefix USING ERRCODE = 'insufficient_privilege';
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._require_owner(regrole, text) IS
    'internal: raises 22004 or 42501 unless the current role may give rights on a prefix to another';

CREATE FUNCTION carbonite._grant(role regrole, carbonite_prefix text, privileges text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    privilege text;
BEGIN
    PERFORM carbonite._require_owner(role, carbonite_prefix);
    FOREACH privilege IN ARRAY string_to_array(privileges, '; ') LOOP
        EXECUTE format('GRANT %s TO %s', replace(privilege, 'PREFIX', quote_ident(carbonite_prefix)), role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._grant(regrole, text, text) IS 'internal: grants privileges on the objects of a prefix';

CREATE FUNCTION carbonite.grant_writer(
    role regrole,
    direct boolean DEFAULT false,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._grant(role, carbonite_prefix, 'USAGE ON SCHEMA PREFIX; INSERT (meta) ON PREFIX.transactions');
    IF direct THEN
        PERFORM carbonite._grant(role, carbonite_prefix,
            'SELECT, INSERT (meta, inserted_at), UPDATE (id, xact_id, meta), DELETE ON PREFIX.transactions; '
            'SELECT (transaction_id) ON PREFIX.changes; SELECT ON SEQUENCE PREFIX.transactions_id_seq');
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite.grant_writer(regrole, boolean, text) IS
    'Lets a role insert the transactions rows of its own transactions, with insert_transaction(); direct: also with '
    'statements on <prefix>.transactions, as the Elixir library sends them. It cannot touch another transaction''s '
    'row, nor changes. In the mode auto writers need nothing. Needs ownership of the prefix. Errors: 3F000 no such '
    'prefix; 42704 no such role; 42501. Example: SELECT carbonite.grant_writer(''app'')';

CREATE FUNCTION carbonite.grant_reader(
    role regrole,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._grant(role, carbonite_prefix, 'USAGE ON SCHEMA PREFIX; '
        'SELECT ON PREFIX.transactions, PREFIX.changes, PREFIX.triggers, PREFIX.outboxes, PREFIX.settings, PREFIX.seals');
END
$$;
COMMENT ON FUNCTION carbonite.grant_reader(regrole, text) IS
    'Lets a role read everything in a prefix. Needs ownership of the prefix. Errors as of grant_writer(). '
    'Example: SELECT carbonite.grant_reader(''support'')';

CREATE FUNCTION carbonite.grant_auditor(
    role regrole,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite.grant_reader(role, carbonite_prefix);
    PERFORM carbonite._grant(role, carbonite_prefix,
        'INSERT (kind) ON PREFIX.seals');
END
$$;
COMMENT ON FUNCTION carbonite.grant_auditor(regrole, text) IS
    'Lets a role read everything in a prefix, verify() and seal() it. Needs ownership of the prefix. Errors as of '
    'grant_writer(). Example: SELECT carbonite.grant_auditor(''audit'')';

CREATE FUNCTION carbonite.revoke_all(
    role regrole,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._require_owner(role, carbonite_prefix);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %s', carbonite_prefix, role);
    EXECUTE format('REVOKE ALL (id, xact_id, meta, inserted_at) ON %I.transactions FROM %s', carbonite_prefix, role);
    EXECUTE format('REVOKE ALL (transaction_id) ON %I.changes FROM %s', carbonite_prefix, role);
    EXECUTE format('REVOKE ALL (kind) ON %I.seals FROM %s', carbonite_prefix, role);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %s', carbonite_prefix, role);
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %s', carbonite_prefix, role);
END
$$;
COMMENT ON FUNCTION carbonite.revoke_all(regrole, text) IS
    'Takes back what grant_writer(), grant_reader() and grant_auditor() gave. Needs ownership of the prefix. Errors as '
    'of grant_writer(). Example: SELECT carbonite.revoke_all(''app'')';

