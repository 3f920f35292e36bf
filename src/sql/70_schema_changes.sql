-- What changes of the schema do to configuration. Event triggers of the database have it done, prefix by prefix and
-- as the owner of each: whoever alters a table need not own the prefixes that record it, and their tables may have
-- triggers of their own, which must not run as anybody else.

CREATE FUNCTION carbonite._execute_as(role oid, statement text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'carbonite_execute_as';
REVOKE ALL ON FUNCTION carbonite._execute_as(oid, text) FROM PUBLIC;
COMMENT ON FUNCTION carbonite._execute_as(oid, text) IS
    'internal: runs a statement with the rights of a role; for the owner of the extension only';

-- Prefixes whose tables are as they were made, and of one owner: another one must not stand in the way of anybody's DDL.
CREATE FUNCTION carbonite._following_prefixes() RETURNS TABLE (carbonite_prefix name, owner oid)
LANGUAGE sql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
    SELECT p, max(c.relowner::bigint)::oid
    FROM carbonite._prefixes() p
    JOIN pg_namespace n ON n.nspname = p
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname IN ('triggers', 'settings', 'changes', 'transactions')
    GROUP BY p, n.oid
    HAVING count(*) = 4 AND count(DISTINCT c.relowner) = 1 AND bool_and(c.relkind = 'r' OR c.relkind = 'p' AND c.relname = 'changes')
        AND (
            SELECT count(*) = 8
            FROM (VALUES
                ('triggers', 'table_oid', 'regclass'), ('triggers', 'known_columns', 'varchar[]'), ('triggers', 'known_table', 'text'),
                ('triggers', 'masks', 'jsonb'), ('triggers', 'inheritance_children', 'bool'), ('triggers', 'capture_ddl', 'bool'),
                ('settings', 'keep_dropped_tables', 'bool'), ('changes', 'command', 'varchar')
            ) AS expected (relation, name, type)
            JOIN pg_attribute a ON a.attrelid = to_regclass(format('%I.%I', p, expected.relation))
                AND a.attname = expected.name AND a.atttypid = expected.type::regtype
        )
$$;
COMMENT ON FUNCTION carbonite._following_prefixes() IS
    'internal: prefixes whose configuration follows changes of the schema, and who owns it';

-- Before: rows that came from elsewhere, as with a dump, learn which columns they mean while the names are right.
CREATE FUNCTION carbonite._note_columns(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('LOCK TABLE %I.triggers IN ROW EXCLUSIVE MODE NOWAIT', carbonite_prefix);
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
             UNION ALL SELECT ''hashed'', unnest(t.hashed_columns)
             UNION ALL SELECT ''masked'', jsonb_object_keys(t.masks)
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
            RAISE NOTICE 'dropped column "%" of % is not % any longer in carbonite prefix "%"',
                lost.name, lost.table_oid, lost.option, carbonite_prefix
                USING HINT = 'If a new column takes its place, hide it with carbonite.configure_trigger().';
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

-- The commands of an event trigger on tables, and on what belongs to a table: its indexes, triggers, policies and rules,
-- its type, its schema.
CREATE FUNCTION carbonite._altered_tables()
RETURNS TABLE (table_oid oid, command_tag text, object_type text, object_identity text, trigger_function oid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(i.indrelid, g.tgrelid, p.polrelid, r.ev_class, typed.oid, inside.oid, c.objid), c.command_tag, c.object_type,
        c.object_identity, g.tgfoid
    FROM pg_event_trigger_ddl_commands() c
    LEFT JOIN pg_index i ON c.classid = 'pg_class'::regclass AND i.indexrelid = c.objid
    LEFT JOIN pg_trigger g ON c.classid = 'pg_trigger'::regclass AND g.oid = c.objid
    LEFT JOIN pg_policy p ON c.classid = 'pg_policy'::regclass AND p.oid = c.objid
    LEFT JOIN pg_rewrite r ON c.classid = 'pg_rewrite'::regclass AND r.oid = c.objid
    LEFT JOIN pg_class typed ON c.classid = 'pg_type'::regclass AND typed.reloftype = c.objid
    LEFT JOIN pg_class inside ON c.classid = 'pg_namespace'::regclass AND inside.relnamespace = c.objid
$$;
COMMENT ON FUNCTION carbonite._altered_tables() IS 'internal: the tables that the commands of an event trigger concern';

-- Tables that inherit from a recorded one are recorded too, where its row of triggers says so; and not any longer when
-- they cease to inherit.
CREATE FUNCTION carbonite._follow_inheritance(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent regclass;
    orphan regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() c WHERE c.command_tag IN ('CREATE TABLE', 'ALTER TABLE')) THEN
        RETURN;
    END IF;
    FOR parent IN EXECUTE format(
        'SELECT t.table_oid FROM %I.triggers t JOIN pg_class c ON c.oid = t.table_oid WHERE t.inheritance_children', carbonite_prefix)
    LOOP
        BEGIN
            PERFORM carbonite._create_child_triggers(parent, carbonite_prefix);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'changes of a table that inherits from % are not recorded in carbonite prefix "%"', parent, carbonite_prefix
                USING DETAIL = SQLERRM, HINT = 'The owner of the prefix needs the privilege TRIGGER on it.';
        END;
    END LOOP;
    FOR orphan IN
        SELECT DISTINCT c.objid::regclass
        FROM pg_event_trigger_ddl_commands() c
        JOIN carbonite._capture_triggers(carbonite_prefix) t ON t.table_oid = c.objid
        WHERE c.classid = 'pg_class'::regclass AND c.command_tag = 'ALTER TABLE'
            AND NOT EXISTS (SELECT FROM carbonite._configuration(c.objid, carbonite_prefix))
    LOOP
        BEGIN
            PERFORM carbonite._drop_triggers(orphan, carbonite_prefix);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'table % has a trigger of carbonite prefix "%" but no row in triggers', orphan, carbonite_prefix
                USING DETAIL = 'It cannot be written.', HINT = 'Drop the trigger as the owner of the table.';
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._follow_inheritance(text) IS
    'internal: lets triggers follow changes of inheritance';

-- Records a command on a table as a change of its own.
CREATE FUNCTION carbonite._record_command(table_prefix text, table_name text, command text, object_type text, object text, carbonite_prefix text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    current carbonite.transaction := carbonite.current_transaction(carbonite_prefix);
    transaction_mode text;
BEGIN
    IF current IS NULL THEN
        EXECUTE format('SELECT s.transaction_mode FROM %I.settings s', carbonite_prefix) INTO transaction_mode;
        IF transaction_mode = 'optional' THEN
            RETURN;
        ELSIF transaction_mode = 'auto' THEN
            current := carbonite.insert_transaction('{}', carbonite_prefix);
        ELSE
            RAISE EXCEPTION '(carbonite) % on table %.% without prior INSERT into %.transactions', command, table_prefix, table_name, carbonite_prefix
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END IF;
    EXECUTE format(
        'INSERT INTO %1$I.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, data, changed, command)
         VALUES ($1, $2, CASE WHEN $5 LIKE ''DROP %%'' THEN ''delete'' ELSE ''update'' END::%1$I.change_op, $3, $4, $6, ''{}'', $5)',
        carbonite_prefix)
        USING current.id, current.xact_id, table_prefix, table_name, command,
            jsonb_build_object('type', object_type, 'object', object, 'statement', current_query());
END
$$;
COMMENT ON FUNCTION carbonite._record_command(text, text, text, text, text, text) IS
    'internal: records a command on a table';

CREATE FUNCTION carbonite._record_commands(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'SELECT carbonite._record_command(c.table_prefix, c.table_name, c.command_tag, c.object_type, c.object_identity, $1)
         FROM (
             SELECT DISTINCT t.table_prefix, t.table_name, a.command_tag, a.object_type, a.object_identity
             FROM carbonite._altered_tables() a
             JOIN %1$I.triggers t ON t.table_oid = a.table_oid
             WHERE t.capture_ddl AND t.mode = ''capture''
                 AND a.trigger_function IS DISTINCT FROM ''%1$I.capture_changes()''::regprocedure
         ) c', carbonite_prefix)
        USING carbonite_prefix;
END
$$;
COMMENT ON FUNCTION carbonite._record_commands(text) IS
    'internal: records the commands of an event trigger where triggers asks for it';

-- An index that was dropped does not tell its table any more.
CREATE FUNCTION carbonite._record_drops(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'SELECT carbonite._record_command(t.table_prefix, t.table_name, ''DROP '' || upper(d.object_type), d.object_type, d.object_identity, $1)
         FROM pg_event_trigger_dropped_objects() d
         JOIN %1$I.triggers t ON t.table_oid = d.objid AND d.object_type = ''table''
             OR d.object_type IN (''trigger'', ''policy'', ''rule'') AND d.original
                 AND t.table_prefix = d.address_names[1] AND t.table_name = d.address_names[2]
         WHERE t.capture_ddl AND t.mode = ''capture''', carbonite_prefix)
        USING carbonite_prefix;
END
$$;
COMMENT ON FUNCTION carbonite._record_drops(text) IS
    'internal: records the drops of an event trigger where triggers asks for it';

-- Whoever lets a prefix record a table lets its owner take part in changes of that table; other commands must not fail
-- for what a prefix does.
CREATE FUNCTION carbonite._schema_changes() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    prefix record;
    name text;
BEGIN
    FOR prefix IN SELECT * FROM carbonite._following_prefixes() LOOP
        name := quote_literal(prefix.carbonite_prefix);
        IF TG_EVENT = 'ddl_command_start' THEN
            BEGIN
                PERFORM carbonite._execute_as(prefix.owner, format('SELECT carbonite._note_columns(%s)', name));
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'carbonite prefix "%" cannot follow changes of the schema: %', prefix.carbonite_prefix, SQLERRM;
            END;
        ELSIF TG_EVENT = 'sql_drop' THEN
            PERFORM carbonite._execute_as(prefix.owner, format('SELECT carbonite._record_drops(%s), carbonite._forget_dropped(%1$s)', name))
            WHERE EXISTS (
                SELECT FROM pg_event_trigger_dropped_objects() d
                WHERE d.object_type = 'trigger'
                    AND d.address_names[3] IN (carbonite._trigger_name(prefix.carbonite_prefix), carbonite._truncate_trigger_name(prefix.carbonite_prefix))
                UNION ALL
                SELECT FROM pg_event_trigger_dropped_objects() d
                JOIN pg_class c ON c.relname = d.address_names[2]
                JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = d.address_names[1]
                JOIN carbonite._capture_triggers(prefix.carbonite_prefix) t ON t.table_oid = c.oid
                WHERE d.object_type IN ('policy', 'rule', 'trigger')
            );
        ELSE
            PERFORM carbonite._execute_as(prefix.owner, format(
                'SELECT carbonite._follow_schema(%s), carbonite._follow_inheritance(%1$s), carbonite._record_commands(%1$s)', name))
            WHERE EXISTS (
                SELECT
                FROM carbonite._altered_tables() a
                LEFT JOIN pg_inherits h ON h.inhrelid = a.table_oid
                JOIN pg_trigger t ON t.tgrelid IN (a.table_oid, h.inhparent)
                JOIN pg_proc p ON p.oid = t.tgfoid AND p.proname = 'capture_changes'
                WHERE p.pronamespace = to_regnamespace(prefix.carbonite_prefix)
            );
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._schema_changes() IS
    'internal: event trigger that lets the rows of triggers follow changes of the schema';

CREATE EVENT TRIGGER carbonite_before_schema_change ON ddl_command_start
    WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE')
    EXECUTE FUNCTION carbonite._schema_changes();
CREATE EVENT TRIGGER carbonite_after_schema_change ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE INDEX', 'ALTER INDEX', 'CREATE TRIGGER',
        'ALTER TRIGGER', 'CREATE POLICY', 'ALTER POLICY', 'CREATE RULE', 'ALTER RULE')
    EXECUTE FUNCTION carbonite._schema_changes();
CREATE EVENT TRIGGER carbonite_after_drop ON sql_drop
    WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA', 'DROP OWNED', 'DROP EXTENSION', 'DROP TYPE', 'DROP TRIGGER', 'DROP POLICY', 'DROP RULE')
    EXECUTE FUNCTION carbonite._schema_changes();
COMMENT ON EVENT TRIGGER carbonite_before_schema_change IS 'remembers which columns carbonite''s configuration means';
COMMENT ON EVENT TRIGGER carbonite_after_schema_change IS 'lets carbonite''s configuration follow changes of the schema, and records them';
COMMENT ON EVENT TRIGGER carbonite_after_drop IS 'removes the configuration of dropped tables from carbonite''s prefixes, and records drops';
