-- What changes of the schema do to configuration. Event triggers of the database have it done, prefix by prefix and
-- as the owner of each: whoever alters a table need not own the prefixes that record it, and their tables may have
-- triggers of their own, which must not run as anybody else.

CREATE FUNCTION carbonite._execute_as(role oid, statement text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'carbonite_execute_as';
REVOKE ALL ON FUNCTION carbonite._execute_as(oid, text) FROM PUBLIC;
COMMENT ON FUNCTION carbonite._execute_as(oid, text) IS
    'internal: runs a statement with the rights of a role; for the owner of the extension only';

-- Prefixes whose tables are as they were made: another one must not stand in the way of anybody's DDL.
CREATE FUNCTION carbonite._following_prefixes() RETURNS TABLE (carbonite_prefix name, owner oid)
LANGUAGE sql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
    SELECT p, c.relowner
    FROM carbonite._prefixes() p
    JOIN pg_class c ON c.oid = to_regclass(format('%I.triggers', p))
    WHERE (
        SELECT count(*) = 3
        FROM pg_attribute a
        WHERE NOT a.attisdropped AND (
            a.attrelid = c.oid AND a.attname IN ('known_columns', 'known_table')
            OR a.attrelid = to_regclass(format('%I.settings', p)) AND a.attname = 'keep_dropped_tables')
    )
$$;
COMMENT ON FUNCTION carbonite._following_prefixes() IS
    'internal: prefixes whose configuration follows changes of the schema, and who owns it';

-- Before: rows that came from elsewhere, as with a dump, learn which columns they mean while the names are right.
CREATE FUNCTION carbonite._note_columns(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'UPDATE %I.triggers t SET table_oid = t.table_oid
         FROM pg_class c
         WHERE c.oid = t.table_oid AND t.known_table IS DISTINCT FROM carbonite._known_table(t.table_oid)', carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite._note_columns(text) IS
    'internal: remembers which columns the rows of triggers mean';

-- After: names follow. Entries of dropped columns go, which is told where it matters.
CREATE FUNCTION carbonite._follow_schema(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lost record;
BEGIN
    FOR lost IN EXECUTE format(
        'SELECT t.table_oid, o.option, o.name
         FROM %I.triggers t
         CROSS JOIN LATERAL (
             SELECT ''key'', unnest(t.primary_key_columns)
             UNION ALL SELECT ''filtered'', unnest(t.filtered_columns)
         ) AS o (option, name)
         JOIN pg_attribute a ON a.attrelid = t.table_oid AND a.attnum = array_position(t.known_columns, o.name) AND a.attisdropped
         WHERE t.known_table = carbonite._known_table(t.table_oid)', carbonite_prefix)
    LOOP
        IF lost.option = 'key' THEN
            RAISE WARNING 'the key of % in carbonite prefix "%" has lost column "%"',
                lost.table_oid, carbonite_prefix, lost.name
                USING DETAIL = 'Changes are recorded without it from now on.',
                    HINT = 'Choose a key with carbonite.configure_trigger(primary_key_columns => ...).';
        ELSE
            RAISE NOTICE 'dropped column "%" of % is not filtered any longer in carbonite prefix "%"',
                lost.name, lost.table_oid, carbonite_prefix
                USING HINT = 'If a new column takes its place, filter it with carbonite.configure_trigger(filtered_columns => ...).';
        END IF;
    END LOOP;
    PERFORM carbonite._follow_renames(carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite._follow_schema(text) IS
    'internal: corrects names in the rows of triggers';

-- The rows of dropped tables go, unless the prefix keeps them.
CREATE FUNCTION carbonite._forget_dropped(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'DELETE FROM %1$I.triggers t
         USING pg_event_trigger_dropped_objects() d
         WHERE d.classid = ''pg_class''::regclass AND d.objsubid = 0 AND d.objid = t.table_oid
             AND NOT (SELECT bool_or(s.keep_dropped_tables) FROM %1$I.settings s)', carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite._forget_dropped(text) IS
    'internal: removes the rows of dropped tables from triggers';

CREATE FUNCTION carbonite._schema_changes() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    follow text := CASE TG_EVENT
        WHEN 'ddl_command_start' THEN '_note_columns'
        WHEN 'ddl_command_end' THEN '_follow_schema'
        WHEN 'sql_drop' THEN '_forget_dropped'
    END;
BEGIN
    PERFORM carbonite._execute_as(p.owner, format('SELECT carbonite.%I(%L)', follow, p.carbonite_prefix))
    FROM carbonite._following_prefixes() p;
END
$$;
COMMENT ON FUNCTION carbonite._schema_changes() IS
    'internal: event trigger that lets the rows of triggers follow changes of the schema';

CREATE EVENT TRIGGER carbonite_before_schema_change ON ddl_command_start
    WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE')
    EXECUTE FUNCTION carbonite._schema_changes();
CREATE EVENT TRIGGER carbonite_after_schema_change ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE', 'ALTER SCHEMA')
    EXECUTE FUNCTION carbonite._schema_changes();
CREATE EVENT TRIGGER carbonite_after_drop ON sql_drop
    WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA', 'DROP OWNED', 'DROP EXTENSION', 'DROP TYPE')
    EXECUTE FUNCTION carbonite._schema_changes();
COMMENT ON EVENT TRIGGER carbonite_before_schema_change IS 'remembers which columns carbonite''s configuration means';
COMMENT ON EVENT TRIGGER carbonite_after_schema_change IS 'lets carbonite''s configuration follow renamed tables and columns';
COMMENT ON EVENT TRIGGER carbonite_after_drop IS 'removes the configuration of dropped tables from carbonite''s prefixes';
