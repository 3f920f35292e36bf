-- Streams: what the output plugin needs of SQL.

CREATE FUNCTION carbonite.annotate(meta jsonb) RETURNS pg_lsn
LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(meta) <> 'object' THEN
        RAISE EXCEPTION 'metadata of a transaction must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN pg_logical_emit_message(true, 'carbonite', meta::text);
END
$$;
COMMENT ON FUNCTION carbonite.annotate(jsonb) IS
    'Says who and why of the current transaction, for streams only: the members of meta become metadata of every change of '
    'the transaction, those before included. Nothing is stored in tables. What the row of <prefix>.transactions says '
    'counts more. Returns the place of the message in the WAL. Null does nothing. Errors: 22023 if meta is no object. '
    'Example: SELECT carbonite.annotate(''{"user_id": 1}'')';

-- Who may read what through streams. It is about roles of the server and tables of the database, so it belongs to no prefix.
CREATE FUNCTION carbonite._check_stream_patterns(tables text, columns text, formats text) RETURNS void
LANGUAGE c IMMUTABLE AS 'MODULE_PATHNAME', 'carbonite_check_stream_patterns';
COMMENT ON FUNCTION carbonite._check_stream_patterns(text, text, text) IS
    'internal: raises 22023 unless the lists of a policy can be understood';

CREATE TABLE carbonite.stream_policies (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role regrole NOT NULL,
    tables text NOT NULL,
    columns text,
    formats text,
    messages boolean NOT NULL DEFAULT false
);
SELECT pg_extension_config_dump('carbonite.stream_policies', '');
SELECT pg_extension_config_dump('carbonite.stream_policies_id_seq', '');
COMMENT ON TABLE carbonite.stream_policies IS
    'what roles may read through streams of the output plugin; a role without a row, own or of a role it is in, reads everything';
COMMENT ON COLUMN carbonite.stream_policies.role IS 'the role; - for all roles';
COMMENT ON COLUMN carbonite.stream_policies.tables IS 'patterns of tables: public.*, audit.log; empty for none';
COMMENT ON COLUMN carbonite.stream_policies.columns IS 'patterns of columns; null for all';
COMMENT ON COLUMN carbonite.stream_policies.formats IS 'names of formats; null for all';
COMMENT ON COLUMN carbonite.stream_policies.messages IS 'logical messages may be read, too';

-- Checks what is written, and lets open streams see it.
CREATE FUNCTION carbonite._stream_policy_written() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._check_stream_patterns(NEW.tables, NEW.columns, NEW.formats);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION carbonite._stream_policy_written() IS 'internal: trigger of carbonite.stream_policies';
CREATE TRIGGER check_trigger BEFORE INSERT OR UPDATE ON carbonite.stream_policies
    FOR EACH ROW EXECUTE FUNCTION carbonite._stream_policy_written();
CREATE TRIGGER changed_trigger AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON carbonite.stream_policies
    FOR EACH STATEMENT EXECUTE FUNCTION carbonite._configuration_changed();

CREATE FUNCTION carbonite._stream_role(role text) RETURNS regrole
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION 'role must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    RETURN CASE WHEN role = 'public' THEN 0::oid::regrole ELSE role::regrole END;
END
$$;
COMMENT ON FUNCTION carbonite._stream_role(text) IS 'internal: a role, or 0 for public';

CREATE FUNCTION carbonite.allow_stream(
    role text,
    tables text,
    columns text DEFAULT NULL,
    formats text DEFAULT NULL,
    messages boolean DEFAULT false
) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO carbonite.stream_policies (role, tables, columns, formats, messages)
    VALUES (carbonite._stream_role(role), tables, columns, formats, coalesce(messages, false))
$$;
COMMENT ON FUNCTION carbonite.allow_stream(text, text, text, text, boolean) IS
    'Lets a role read tables through streams of the output plugin, and from the first call on nothing that is not allowed, '
    'whatever options its client sends. role: its name, or public. tables: patterns with commas, as in public.*, audit.log; '
    'empty for none. columns: patterns of the columns it may read; null for all. formats: carbonite, wal2json, debezium; '
    'null for all. messages: also logical messages, which may have anything in them. For the owner of the extension. Takes '
    'effect with the next transaction that is decoded. Errors: 42704 for an unknown role, 22023 for lists that are not '
    'understood, 42501. Example: SELECT carbonite.allow_stream(''analytics'', ''public.orders'', columns => ''id,total'')';
REVOKE ALL ON FUNCTION carbonite.allow_stream(text, text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION carbonite.forget_stream(role text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM carbonite.stream_policies p WHERE p.role = carbonite._stream_role($1)
$$;
COMMENT ON FUNCTION carbonite.forget_stream(text) IS
    'Takes back what allow_stream() has said of a role. If nothing else is said of it, it reads everything again. For the '
    'owner of the extension. Errors: 42704 for an unknown role, 42501. Example: SELECT carbonite.forget_stream(''analytics'')';
REVOKE ALL ON FUNCTION carbonite.forget_stream(text) FROM PUBLIC;

-- Tables of which the WAL does not have the key of updated and deleted rows.
CREATE FUNCTION carbonite._tables_without_identity() RETURNS SETOF regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.oid::regclass
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p'
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'carbonite') AND n.nspname NOT LIKE 'pg\_toast%'
        AND NOT carbonite._is_prefix(n.nspname)
        AND (c.relreplident = 'n'
            OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
$$;
COMMENT ON FUNCTION carbonite._tables_without_identity() IS
    'internal: tables of which the WAL does not have the key of updated and deleted rows';

CREATE FUNCTION carbonite.check_setup() RETURNS TABLE (subject text, status text, detail text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    libraries text := current_setting('output_plugin_libraries', true);
    keyless regclass[] := ARRAY(SELECT carbonite._tables_without_identity());
    slots int := (SELECT count(*) FROM pg_replication_slots);
    slot record;
    prefix name;
    readable boolean;
    hashed boolean;
BEGIN
    subject := 'wal_level';
    detail := current_setting('wal_level');
    status := CASE detail WHEN 'logical' THEN 'ok' ELSE 'problem' END;
    hint := CASE status WHEN 'problem' THEN 'Run ALTER SYSTEM SET wal_level = logical, and restart the server.' END;
    RETURN NEXT;

    subject := 'output_plugin_libraries';
    IF libraries IS NULL THEN
        status := 'ok'; detail := 'this server does not have the setting'; hint := NULL;
    ELSIF EXISTS (SELECT FROM unnest(string_to_array(libraries, ',')) l WHERE trim(BOTH ' "' FROM l) = 'carbonite') THEN
        status := 'ok'; detail := libraries; hint := NULL;
    ELSE
        status := 'problem'; detail := libraries;
        hint := format('Add output_plugin_libraries = ''%s,carbonite'' to postgresql.conf, and reload.', replace(libraries, ' ', ''));
    END IF;
    RETURN NEXT;

    subject := 'max_replication_slots';
    detail := format('%s of %s in use', slots, current_setting('max_replication_slots'));
    status := CASE WHEN slots < current_setting('max_replication_slots')::int THEN 'ok' ELSE 'problem' END;
    hint := CASE status WHEN 'problem' THEN 'Drop slots that nobody reads, or raise the setting.' END;
    RETURN NEXT;

    subject := 'max_wal_senders';
    detail := format('%s of %s in use', (SELECT count(*) FROM pg_stat_replication), current_setting('max_wal_senders'));
    status := CASE WHEN current_setting('max_wal_senders')::int > (SELECT count(*) FROM pg_stat_replication) THEN 'ok' ELSE 'problem' END;
    hint := CASE status WHEN 'problem' THEN 'Raise the setting, and restart the server.' END;
    RETURN NEXT;

    subject := 'role';
    detail := current_user;
    status := CASE WHEN (SELECT r.rolreplication OR r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) THEN 'ok' ELSE 'note' END;
    hint := CASE status WHEN 'note' THEN format('To read streams, it needs ALTER ROLE %I REPLICATION.', current_user) END;
    RETURN NEXT;

    subject := 'tables without replica identity';
    status := CASE WHEN keyless = '{}' THEN 'ok' ELSE 'note' END;
    detail := CASE WHEN keyless = '{}' THEN 'none'
        ELSE array_to_string(keyless[1:5], ', ') || CASE WHEN cardinality(keyless) > 5 THEN format(' and %s more', cardinality(keyless) - 5) ELSE '' END END;
    hint := CASE status WHEN 'note' THEN
        'Their updates and deletes are streamed without the key of the row. Give them a primary key or REPLICA IDENTITY FULL.' END;
    RETURN NEXT;

    FOR prefix IN SELECT * FROM carbonite._prefixes() p ORDER BY p LOOP
        subject := format('prefix %s', prefix);
        readable := (SELECT 'user_catalog_table=true' = ANY (c.reloptions) FROM pg_class c WHERE c.oid = to_regclass(format('%I.triggers', prefix)));
        IF readable IS NOT TRUE THEN
            status := 'problem'; detail := 'the output plugin cannot read its configuration: no values of its tables are streamed';
            hint := format('ALTER TABLE %I.triggers SET (user_catalog_table = true)', prefix);
            RETURN NEXT;
            CONTINUE;
        END IF;
        EXECUTE format('SELECT coalesce(bool_or(t.hashed_columns <> ''{}''), false) FROM %I.triggers t', prefix) INTO hashed;
        status := 'ok'; detail := 'masks hold in streams'; hint := NULL;
        IF hashed AND current_setting('carbonite.hash_key', true) IS NOT DISTINCT FROM '' THEN
            status := 'note'; detail := 'hashed columns are streamed as [FILTERED]'; hint := 'Set carbonite.hash_key in postgresql.conf.';
        END IF;
        RETURN NEXT;
    END LOOP;

    FOR slot IN
        SELECT s.slot_name, s.active, s.wal_status, pg_size_pretty(pg_wal_lsn_diff(
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, s.restart_lsn)) AS kept
        FROM pg_replication_slots s
        WHERE s.plugin IN ('carbonite', 'wal2json') AND s.database = current_database()
        ORDER BY s.slot_name
    LOOP
        subject := format('slot %s', slot.slot_name);
        status := CASE WHEN slot.wal_status IN ('lost', 'unreserved') THEN 'problem' WHEN slot.active THEN 'ok' ELSE 'note' END;
        detail := format('%s, keeps %s of WAL', CASE WHEN slot.active THEN 'active' ELSE 'not active' END, coalesce(slot.kept, 'none'));
        hint := CASE status
            WHEN 'problem' THEN 'Its WAL is gone or soon will be: drop it, create it again and copy the tables anew.'
            WHEN 'note' THEN 'Until somebody reads it, the server keeps its WAL. Drop it if nobody will.' END;
        RETURN NEXT;
    END LOOP;

    subject := 'max_slot_wal_keep_size';
    detail := current_setting('max_slot_wal_keep_size');
    status := CASE detail WHEN '-1' THEN 'note' ELSE 'ok' END;
    hint := CASE status WHEN 'note' THEN 'A slot that nobody reads can fill the disk. Set a limit, such as 10GB.' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION carbonite.check_setup() IS
    'Tells whether the server is ready for streams. Returns a line for each subject: status is ok, note or problem, hint says '
    'what to do. Needs no privilege but EXECUTE. Example: SELECT * FROM carbonite.check_setup()';
