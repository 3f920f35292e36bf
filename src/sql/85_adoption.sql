-- Prefixes of the Elixir library Carbonite, whose migrations create a schema like ours with functions in PL/pgSQL:
-- taking one over, and giving it back with functions that need no extension.

-- The patch of the library's migrations that a schema is at, from what its catalog tells; 12 also for a prefix that was
-- released. Null: it is none, or of a patch before 4, where transactions are identified by their xids.
CREATE FUNCTION carbonite._patch_level(carbonite_prefix text) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH columns AS (
        SELECT c.relname || '.' || a.attname AS name, a.atttypid::regtype::text AS type
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = to_regnamespace(carbonite_prefix) AND c.relkind = 'r'
    ), functions AS (
        SELECT p.proname AS name, p.prosrc AS source
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = to_regnamespace(carbonite_prefix) AND l.lanname = 'plpgsql'
    )
    SELECT CASE
        WHEN NOT ARRAY['changes.transaction_id bigint', 'changes.transaction_xact_id xid8', 'changes.data jsonb',
                'outboxes.last_transaction_id bigint', 'transactions.id bigint', 'transactions.xact_id xid8',
                'triggers.primary_key_columns character varying[]']
                <@ ARRAY(SELECT c.name || ' ' || c.type FROM columns c)
            OR NOT '{capture_changes,set_transaction_id}' <@ ARRAY(SELECT f.name::text FROM functions f)
            OR to_regclass(format('%I.transactions_id_seq', carbonite_prefix)) IS NULL THEN NULL
        WHEN EXISTS (SELECT FROM functions f WHERE f.name = 'capture_changes' AND f.source LIKE '%no trigger record%') THEN 12
        WHEN NOT EXISTS (SELECT FROM columns c WHERE c.name = 'triggers.store_changed_from') THEN 4
        WHEN NOT EXISTS (SELECT FROM functions f WHERE f.name = 'jsonb_redact_keys') THEN
            CASE
                WHEN to_regclass(format('%I.changes_transaction_xact_id_index', carbonite_prefix)) IS NOT NULL THEN 7
                WHEN EXISTS (SELECT FROM functions f WHERE f.name = 'capture_changes' AND f.source LIKE '%@>%') THEN 5
                ELSE 6
            END
        WHEN EXISTS (SELECT FROM columns c WHERE c.name = 'triggers.override_xact_id') THEN
            CASE WHEN EXISTS (SELECT FROM functions f WHERE f.name = 'set_transaction_id' AND f.source LIKE '%WITH %') THEN 9 ELSE 8 END
        WHEN EXISTS (SELECT FROM functions f WHERE f.name = 'record_dynamic_varchar') THEN 10
        ELSE 11
    END
$$;
COMMENT ON FUNCTION carbonite._patch_level(text) IS
    'internal: the patch of the Elixir library''s migrations that a schema is at';

-- Waits for the transactions that have inserted their row, whose changes are on the way, and keeps new ones out.
CREATE FUNCTION carbonite._lock_tables(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{transactions,triggers,changes,outboxes}'::text[] LOOP
        EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', carbonite_prefix, name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._lock_tables(text) IS 'internal: locks the tables of a prefix against writers';

-- What others than the owner may do to the tables of a prefix and need not, now that capture writes as the owner.
CREATE FUNCTION carbonite._needless_privileges(carbonite_prefix text)
RETURNS TABLE (description text, statement text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('revoke %s on %s from %s', string_agg(DISTINCT a.privilege_type, ', '), c.relname,
            coalesce(r.rolname, 'public')),
        format('REVOKE %s ON %I.%I FROM %s', string_agg(DISTINCT a.privilege_type, ', '), carbonite_prefix, c.relname,
            coalesce(quote_ident(r.rolname), 'PUBLIC'))
    FROM pg_class c
    CROSS JOIN LATERAL (
        SELECT * FROM aclexplode(c.relacl)
        UNION ALL
        SELECT columns.* FROM pg_attribute t, aclexplode(t.attacl) columns WHERE t.attrelid = c.oid
    ) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.relnamespace = to_regnamespace(carbonite_prefix)
        AND a.grantee <> c.relowner
        AND (c.relname = 'changes' AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
            OR c.relname = 'transactions' AND a.privilege_type IN ('TRUNCATE', 'TRIGGER'))
    GROUP BY c.relname, r.rolname
    ORDER BY c.relname, r.rolname
$$;
COMMENT ON FUNCTION carbonite._needless_privileges(text) IS
    'internal: privileges by which others than the owner could change what was recorded';

CREATE FUNCTION carbonite._adoption(patch_level integer, carbonite_prefix text)
RETURNS TABLE (description text, statement text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'add changes.changed_from and triggers.store_changed_from, of patch 5', replace(
        'ALTER TABLE PREFIX.changes ADD COLUMN changed_from jsonb;
         ALTER TABLE PREFIX.triggers ADD COLUMN store_changed_from boolean NOT NULL DEFAULT false',
        'PREFIX', quote_ident(carbonite_prefix))
    WHERE patch_level = 4
    UNION ALL
    SELECT format('lift the length limits of %s', c.relname),
        format('ALTER TABLE %I.%I %s', carbonite_prefix, c.relname,
            string_agg(format('ALTER COLUMN %I TYPE %s', a.attname, a.atttypid::regtype), ', ' ORDER BY a.attnum))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = to_regnamespace(carbonite_prefix) AND c.relname IN ('changes', 'triggers', 'outboxes')
        AND a.atttypid IN ('varchar'::regtype, 'varchar[]'::regtype) AND a.atttypmod <> -1
    GROUP BY c.relname
    UNION ALL
    SELECT 'add columns to changes and triggers, and the tables settings and seals',
        format('SELECT carbonite._extend_tables(%L)', carbonite_prefix)
    UNION ALL
    SELECT 'give times of rows a default', replace(
        'ALTER TABLE PREFIX.transactions ALTER inserted_at SET DEFAULT clock_timestamp() AT TIME ZONE ''UTC'';
         ALTER TABLE PREFIX.triggers ALTER inserted_at SET DEFAULT clock_timestamp() AT TIME ZONE ''UTC'',
             ALTER updated_at SET DEFAULT clock_timestamp() AT TIME ZONE ''UTC'';
         ALTER TABLE PREFIX.outboxes ALTER inserted_at SET DEFAULT clock_timestamp() AT TIME ZONE ''UTC'',
             ALTER updated_at SET DEFAULT clock_timestamp() AT TIME ZONE ''UTC''',
        'PREFIX', quote_ident(carbonite_prefix))
    UNION ALL
    SELECT p.description, p.statement FROM carbonite._needless_privileges(carbonite_prefix) p
    UNION ALL
    SELECT 'replace the functions capture_changes() and set_transaction_id(), and add triggers to transactions, triggers and settings',
        format('SELECT carbonite._create_functions(%L)', carbonite_prefix)
    UNION ALL
    SELECT 'keep transaction_mode required, unless it was set', replace(
        'INSERT INTO PREFIX.settings (transaction_mode) SELECT ''required'' WHERE NOT EXISTS (SELECT FROM PREFIX.settings)',
        'PREFIX', quote_ident(carbonite_prefix))
    UNION ALL
    SELECT 'go on with the current transaction''s row, if it has one', replace(
        'INSERT INTO PREFIX.transactions (id, xact_id, meta, inserted_at)
         SELECT t.id, t.xact_id, t.meta, t.inserted_at
         FROM PREFIX.transactions t, PREFIX.transactions_id_seq s
         WHERE t.id > s.last_value - 10000 AND t.xact_id = pg_current_xact_id_if_assigned()
         ORDER BY t.id DESC LIMIT 1
         ON CONFLICT (id) DO NOTHING', 'PREFIX', quote_ident(carbonite_prefix))
    UNION ALL
    -- TRUNCATE and masked keys stay what they were, where nobody chose.
    SELECT 'find the tables that triggers names', replace(
        'UPDATE PREFIX.triggers t SET
             table_oid = coalesce((SELECT c.oid FROM pg_class c WHERE c.oid = t.table_oid),
                 to_regclass(format(''%I.%I'', t.table_prefix, t.table_name))),
             on_truncate = CASE WHEN t.table_oid IS NULL THEN ''ignore'' ELSE t.on_truncate END,
             mask_primary_key = CASE WHEN t.table_oid IS NULL THEN NOT t.primary_key_columns && t.filtered_columns
                 ELSE t.mask_primary_key END',
        'PREFIX', quote_ident(carbonite_prefix))
$$;
COMMENT ON FUNCTION carbonite._adoption(integer, text) IS 'internal: what adopt_schema() does, and how';

CREATE FUNCTION carbonite.adopt_schema(
    dry_run boolean DEFAULT false,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    patch_level integer;
    step record;
BEGIN
    PERFORM carbonite._check_prefix_name(carbonite_prefix);
    IF carbonite._is_prefix(carbonite_prefix) THEN
        RAISE NOTICE 'carbonite prefix "%" is installed already', carbonite_prefix;
        RETURN;
    END IF;
    IF to_regnamespace(carbonite_prefix) IS NULL THEN
        RAISE EXCEPTION 'schema "%" does not exist', carbonite_prefix USING ERRCODE = 'invalid_schema_name';
    END IF;
    patch_level := carbonite._patch_level(carbonite_prefix);
    IF patch_level IS NULL THEN
        RAISE EXCEPTION 'schema "%" is not a prefix of the Elixir library Carbonite at patch 4 to 12', carbonite_prefix
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Run the library''s own migrations first: Carbonite.Migrations.up(4) or later.';
    END IF;
    IF NOT dry_run THEN
        PERFORM carbonite._lock_tables(carbonite_prefix);
    END IF;
    RETURN NEXT format('patch %s of the library''s migrations', patch_level);
    FOR step IN SELECT * FROM carbonite._adoption(patch_level, carbonite_prefix) LOOP
        IF NOT dry_run THEN
            EXECUTE step.statement;
        END IF;
        RETURN NEXT step.description;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite.adopt_schema(boolean, text) IS
    'Takes over a prefix that migrations of the Elixir library Carbonite created, at patch 4 to 12, or that '
    'release_schema() gave back: data, triggers, configuration, outboxes and indexes stay, nothing is rewritten. '
    'Returns what it does; with dry_run, what it would do. Waits for transactions that have inserted their row. Needs '
    'ownership of the schema and its tables. Errors: 3F000 no such schema; 55000 another patch; 42602, 42622, 42939; '
    '42501. Example: SELECT * FROM carbonite.adopt_schema(dry_run => true)';

-- The functions of a released prefix.
CREATE FUNCTION carbonite._create_plain_functions(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = off AS $create$
BEGIN
    EXECUTE replace($ddl$
        CREATE OR REPLACE FUNCTION PREFIX.set_transaction_id() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE
            last_id bigint;
        BEGIN
            NEW.xact_id := coalesce(NEW.xact_id, pg_current_xact_id());
            IF NEW.id IS NULL THEN
                BEGIN
                    last_id := currval('PREFIX.transactions_id_seq');
                EXCEPTION WHEN object_not_in_prerequisite_state THEN
                    last_id := NULL; -- this session has drawn none
                END;
                IF NOT EXISTS (SELECT FROM PREFIX.transactions t WHERE t.id = last_id AND t.xact_id = NEW.xact_id) THEN
                    last_id := nextval('PREFIX.transactions_id_seq');
                END IF;
                NEW.id := last_id;
            END IF;
            RETURN NEW;
        END
        $body$;

        -- The row of triggers that stands for a table, with the name under which its changes are recorded.
        CREATE OR REPLACE FUNCTION PREFIX.capture_configuration(relation oid) RETURNS PREFIX.triggers
        LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE
            config PREFIX.triggers;
            ancestor record;
        BEGIN
            FOR ancestor IN
                WITH RECURSIVE line AS (
                    SELECT relation AS oid, 0 AS distance, true AS is_partition
                    UNION ALL
                    SELECT i.inhparent, line.distance + 1, line.is_partition AND c.relispartition
                    FROM line JOIN pg_class c ON c.oid = line.oid JOIN pg_inherits i ON i.inhrelid = c.oid
                )
                SELECT line.oid, line.is_partition, n.nspname, c.relname
                FROM line JOIN pg_class c ON c.oid = line.oid JOIN pg_namespace n ON n.oid = c.relnamespace
                ORDER BY line.distance
            LOOP
                SELECT t.* INTO config
                FROM PREFIX.triggers t
                WHERE t.table_oid = ancestor.oid
                    OR t.table_prefix = ancestor.nspname AND t.table_name = ancestor.relname
                        AND NOT EXISTS (SELECT FROM pg_class other WHERE other.oid = t.table_oid)
                ORDER BY t.table_oid = ancestor.oid DESC NULLS LAST
                LIMIT 1;
                IF config.id IS NOT NULL AND (ancestor.is_partition OR config.inheritance_children) THEN
                    IF ancestor.is_partition AND config.partitions = 'root' THEN
                        config.table_prefix := ancestor.nspname;
                        config.table_name := ancestor.relname;
                    ELSE
                        SELECT n.nspname, c.relname INTO config.table_prefix, config.table_name
                        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
                    END IF;
                    RETURN config;
                END IF;
            END LOOP;
            RETURN NULL;
        END
        $body$;

        -- An image as it is recorded, with masks.
        CREATE OR REPLACE FUNCTION PREFIX.capture_image(image jsonb, config PREFIX.triggers) RETURNS jsonb
        LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
            SELECT coalesce(jsonb_object_agg(e.key, CASE
                    WHEN e.key = ANY (config.filtered_columns) OR e.key = ANY (config.hashed_columns) THEN '"[FILTERED]"'
                    WHEN NOT config.masks ? e.key THEN e.value
                    WHEN jsonb_typeof(config.masks -> e.key) <> 'object' THEN config.masks -> e.key
                    WHEN e.value = 'null' THEN e.value
                    WHEN length(e.value #>> '{}') <= (config.masks -> e.key ->> 'last')::integer THEN '"****"'
                    ELSE to_jsonb('****' || right(e.value #>> '{}', (config.masks -> e.key ->> 'last')::integer))
                END), '{}')
            FROM jsonb_each(image) e
        $body$;

        CREATE OR REPLACE FUNCTION PREFIX.capture_changes() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
        DECLARE
            config PREFIX.triggers;
            override text := nullif(current_setting('PREFIX.override_mode', true), '');
            whole_row jsonb;
            new_image jsonb;
            old_image jsonb;
            changed varchar[] := '{}';
            changed_from jsonb;
            is_partial boolean := false;
            rows bigint;
            key varchar[];
            old_key varchar[];
            key_column text;
            key_text text;
            session_settings text[];
            last_id bigint;
        BEGIN
            SELECT t.* INTO config FROM PREFIX.triggers t WHERE t.table_oid = TG_RELID;
            IF FOUND THEN
                config.table_prefix := TG_TABLE_SCHEMA;
                config.table_name := TG_TABLE_NAME;
            ELSE
                config := PREFIX.capture_configuration(TG_RELID);
            END IF;
            IF config.id IS NULL THEN
                RAISE EXCEPTION '(carbonite) % on table %.% but no trigger record in PREFIX.triggers',
                    TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'no_data_found';
            END IF;
            IF config.override_xact_id = pg_current_xact_id() AND override IS NULL THEN
                override := 'override';
            END IF;
            IF (CASE WHEN override = 'override' THEN config.mode = 'capture'
                WHEN override IS NOT NULL THEN override = 'ignore' ELSE config.mode = 'ignore' END)
            THEN
                RETURN NULL;
            END IF;

            IF TG_OP = 'TRUNCATE' THEN
                IF config.on_truncate = 'refuse' THEN
                    RAISE EXCEPTION '(carbonite) TRUNCATE on table %.% is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME
                        USING ERRCODE = 'restrict_violation';
                ELSIF config.on_truncate = 'ignore' THEN
                    RETURN NULL;
                END IF;
                EXECUTE format('SELECT count(*) FROM %s%s', CASE WHEN (SELECT c.relkind FROM pg_class c WHERE c.oid = TG_RELID) = 'r' THEN 'ONLY ' ELSE '' END, TG_RELID::regclass) INTO rows;
                new_image := jsonb_build_object('rows', rows);
            ELSE
                whole_row := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
                new_image := whole_row - config.excluded_columns::text[];
                IF TG_OP = 'UPDATE' THEN
                    old_image := to_jsonb(OLD) - config.excluded_columns::text[];
                END IF;
                FOREACH key_column IN ARRAY config.primary_key_columns LOOP
                    IF config.mask_primary_key AND (key_column = ANY (config.filtered_columns) OR key_column = ANY (config.hashed_columns) OR config.masks ? key_column) THEN
                        key_text := '[FILTERED]';
                    ELSIF EXISTS (
                        SELECT FROM pg_attribute a
                        WHERE a.attrelid = TG_RELID AND a.attname = key_column AND NOT a.attisdropped
                            AND a.atttypid = ANY ('{int2,int4,int8,text,varchar,uuid,numeric,bool}'::regtype[])
                    ) THEN
                        key_text := whole_row ->> key_column;
                    ELSE
                        -- The text of a key is the same in every session.
                        session_settings := ARRAY(SELECT current_setting(n) FROM unnest('{DateStyle,TimeZone,IntervalStyle,bytea_output,extra_float_digits}'::text[]) n);
                        PERFORM set_config('DateStyle', 'ISO, MDY', true), set_config('TimeZone', 'UTC', true),
                            set_config('IntervalStyle', 'postgres', true), set_config('bytea_output', 'hex', true),
                            set_config('extra_float_digits', '1', true);
                        IF TG_OP = 'DELETE' THEN
                            EXECUTE format('SELECT ($1).%I::text', key_column) USING OLD INTO key_text;
                        ELSE
                            EXECUTE format('SELECT ($1).%I::text', key_column) USING NEW INTO key_text;
                        END IF;
                        PERFORM set_config('DateStyle', session_settings[1], true), set_config('TimeZone', session_settings[2], true),
                            set_config('IntervalStyle', session_settings[3], true), set_config('bytea_output', session_settings[4], true),
                            set_config('extra_float_digits', session_settings[5], true);
                    END IF;
                    key := key || key_text::varchar;
                END LOOP;
                -- A key too long for an index is abbreviated.
                IF octet_length(array_to_string(key, '')) > 2400 THEN
                    key := ARRAY(
                        SELECT CASE WHEN octet_length(k) > 128 THEN
                            (SELECT left(k, n) FROM generate_series(64, 0, -1) n WHERE octet_length(left(k, n)) <= 64 LIMIT 1)
                            || '...sha256:' || encode(sha256(convert_to(k, getdatabaseencoding())), 'hex') ELSE k END
                        FROM unnest(key) k
                    );
                END IF;
                IF TG_OP = 'UPDATE' THEN
                    SELECT jsonb_object_agg(o.key, o.value) INTO changed_from
                    FROM jsonb_each(old_image) o WHERE o.value <> new_image -> o.key;
                    IF changed_from IS NULL THEN
                        RETURN NULL;
                    END IF;
                    changed := ARRAY(SELECT jsonb_object_keys(changed_from));
                END IF;
                is_partial := config.store_data = 'changed' AND TG_OP = 'UPDATE' AND config.primary_key_columns <> '{}'
                    AND NOT config.primary_key_columns && (changed || config.excluded_columns || config.filtered_columns
                        || config.hashed_columns || ARRAY(SELECT jsonb_object_keys(config.masks))::varchar[]);
                IF is_partial THEN
                    SELECT jsonb_object_agg(n.key, n.value) INTO new_image
                    FROM jsonb_each(new_image) n WHERE n.key = ANY (config.primary_key_columns || changed);
                END IF;
                changed_from := CASE WHEN config.store_changed_from THEN changed_from END;
                IF config.filtered_columns <> '{}' OR config.hashed_columns <> '{}' OR config.masks <> '{}' THEN
                    new_image := PREFIX.capture_image(new_image, config);
                    changed_from := CASE WHEN changed_from IS NOT NULL THEN PREFIX.capture_image(changed_from, config) END;
                END IF;
            END IF;

            BEGIN
                last_id := currval('PREFIX.transactions_id_seq');
            EXCEPTION WHEN object_not_in_prerequisite_state THEN
                last_id := NULL; -- this session has drawn none
            END;
            IF NOT EXISTS (SELECT FROM PREFIX.transactions t WHERE t.id = last_id AND t.xact_id = pg_current_xact_id()) THEN
                CASE (SELECT s.transaction_mode FROM PREFIX.settings s)
                    WHEN 'optional' THEN
                        RETURN NULL;
                    WHEN 'auto' THEN
                        INSERT INTO PREFIX.transactions (meta)
                        VALUES (coalesce(nullif(current_setting('carbonite.meta', true), ''), '{}')::jsonb)
                        RETURNING id INTO last_id;
                    ELSE
                        RAISE EXCEPTION '(carbonite) % on table %.% without prior INSERT into PREFIX.transactions',
                            TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation';
                END CASE;
            END IF;
            INSERT INTO PREFIX.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, table_pk, data,
                changed, changed_from, data_is_partial, command)
            VALUES (last_id, pg_current_xact_id(),
                CASE TG_OP WHEN 'TRUNCATE' THEN 'delete' ELSE lower(TG_OP) END::PREFIX.change_op,
                config.table_prefix, config.table_name, key, new_image, changed, changed_from,
                coalesce(is_partial, false), CASE TG_OP WHEN 'TRUNCATE' THEN 'TRUNCATE' END);
            RETURN NULL;
        END
        $body$;
    $ddl$, 'PREFIX', carbonite_prefix);
END
$create$;
COMMENT ON FUNCTION carbonite._create_plain_functions(text) IS
    'internal: replaces the functions of a prefix by some in SQL and PL/pgSQL that need no extension';

-- What a role that wrote through the extension needs on a released prefix.
CREATE FUNCTION carbonite._plain_privileges(carbonite_prefix text)
RETURNS TABLE (description text, statement text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('let %s insert into changes and read triggers, settings and transactions', r.rolname),
        replace(replace('GRANT SELECT ON PREFIX.triggers, PREFIX.settings, PREFIX.transactions TO ROLE;
            GRANT INSERT ON PREFIX.changes TO ROLE;
            GRANT USAGE ON SEQUENCE PREFIX.transactions_id_seq, PREFIX.changes_id_seq TO ROLE',
            'PREFIX', quote_ident(carbonite_prefix)), 'ROLE', quote_ident(r.rolname))
    FROM pg_class c, pg_roles r
    WHERE c.oid = to_regclass(format('%I.transactions', carbonite_prefix))
        AND NOT r.rolsuper AND r.oid <> c.relowner
        AND EXISTS (
            SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = r.oid AND a.privilege_type = 'INSERT'
            UNION ALL
            SELECT FROM pg_attribute t, aclexplode(t.attacl) a
            WHERE t.attrelid = c.oid AND t.attname = 'meta' AND a.grantee = r.oid AND a.privilege_type = 'INSERT'
        )
    ORDER BY r.rolname
$$;
COMMENT ON FUNCTION carbonite._plain_privileges(text) IS
    'internal: the privileges that writers of a released prefix need';

CREATE FUNCTION carbonite._release(carbonite_prefix text)
RETURNS TABLE (description text, statement text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'bring the names in triggers up to date', format('SELECT carbonite._follow_schema(%L)', carbonite_prefix)
    UNION ALL
    (SELECT format('drop the trigger %s of %s', t.tgname, c.relname), format('DROP TRIGGER %I ON %I.%I', t.tgname, carbonite_prefix, c.relname)
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid AND c.relnamespace = to_regnamespace(carbonite_prefix)
    JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = 'carbonite'::regnamespace
    ORDER BY c.relname, t.tgname)
    UNION ALL
    SELECT 'build the index of records again, with array_ops', replace(
        'DROP INDEX PREFIX.changes_table_prefix_table_name_table_pk_index;
         CREATE INDEX changes_table_prefix_table_name_table_pk_index ON PREFIX.changes (table_pk, table_name, table_prefix)',
        'PREFIX', quote_ident(carbonite_prefix))
    WHERE carbonite._has_history_index(carbonite_prefix)
    UNION ALL
    SELECT 'replace the functions capture_changes() and set_transaction_id() by some in PL/pgSQL', replace(
        'SELECT carbonite._create_plain_functions(%L);
         ALTER FUNCTION PREFIX.capture_changes() NO DEPENDS ON EXTENSION carbonite;
         ALTER FUNCTION PREFIX.set_transaction_id() NO DEPENDS ON EXTENSION carbonite',
        'PREFIX', quote_ident(carbonite_prefix))
    UNION ALL
    SELECT p.description, p.statement FROM carbonite._plain_privileges(carbonite_prefix) p
$$;
COMMENT ON FUNCTION carbonite._release(text) IS 'internal: what release_schema() does, and how';

CREATE FUNCTION carbonite.release_schema(
    dry_run boolean DEFAULT false,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    step record;
    lost text;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    IF NOT dry_run THEN
        PERFORM carbonite._lock_tables(carbonite_prefix);
    END IF;
    FOR step IN SELECT * FROM carbonite._release(carbonite_prefix) LOOP
        IF NOT dry_run THEN
            EXECUTE replace(step.statement, '%L', quote_literal(carbonite_prefix));
        END IF;
        RETURN NEXT step.description;
    END LOOP;
    FOR lost IN EXECUTE format(
        'SELECT format(''%%I.%%I: %%s'', t.table_prefix, t.table_name, o.note)
         FROM %I.triggers t CROSS JOIN LATERAL (VALUES
             (t.hashed_columns <> ''{}'', ''hashed columns will be [FILTERED]''),
             (t.exact_comparison, ''values that differ in their bytes only will not have changed''),
             (t.capture_ddl, ''changes of the schema will not be recorded'')) AS o (applies, note)
         WHERE o.applies ORDER BY 1', carbonite_prefix)
    LOOP
        RETURN NEXT lost;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite.release_schema(boolean, text) IS
    'Gives a prefix functions in PL/pgSQL that record the same, slower and without the extension, which can be dropped '
    'then; adopt_schema() takes it over again. Returns what it does, or with dry_run would do, and what will be different. '
    'Writers need privileges on its tables from then on, and are given them: they can forge. Needs ownership of the prefix. '
    'Errors: 3F000 no such prefix; 42501. Example: SELECT * FROM carbonite.release_schema(dry_run => true)';

