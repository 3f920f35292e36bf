-- Functions that prefixes and the functions below use; not meant to be called by applications.

CREATE FUNCTION carbonite._create_capture_functions(schema regnamespace) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'carbonite_create_capture_functions';
COMMENT ON FUNCTION carbonite._create_capture_functions(regnamespace) IS
    'internal: creates capture_changes() and set_transaction_id() in a schema of the caller';

CREATE FUNCTION carbonite._configuration_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'carbonite_configuration_changed';
COMMENT ON FUNCTION carbonite._configuration_changed() IS
    'internal: trigger of <prefix>.triggers and <prefix>.settings that makes a change take effect in every session';

CREATE FUNCTION carbonite._guard_transaction() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'carbonite_guard_transaction';
COMMENT ON FUNCTION carbonite._guard_transaction() IS
    'internal: trigger of <prefix>.transactions that keeps writers to their own transaction''s row';

CREATE FUNCTION carbonite._record_key(record record, columns text[], masked boolean[]) RETURNS text[]
LANGUAGE c STRICT STABLE AS 'MODULE_PATHNAME', 'carbonite_record_key';
COMMENT ON FUNCTION carbonite._record_key(record, text[], boolean[]) IS
    'internal: the key of a row, as capture writes it';

CREATE FUNCTION carbonite._stored_key(key text[]) RETURNS varchar[]
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'carbonite_stored_key';
COMMENT ON FUNCTION carbonite._stored_key(text[]) IS
    'internal: a key as changes.table_pk holds it, abbreviated if it is very long';

-- What tells a table from those of all other servers and databases, where a dump of the row may go.
CREATE FUNCTION carbonite._known_table(table_oid regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%s/%s/%s', c.system_identifier, d.oid, table_oid::oid)
    FROM pg_control_system() c, pg_database d
    WHERE d.datname = current_database()
$$;
COMMENT ON FUNCTION carbonite._known_table(regclass) IS 'internal: triggers.known_table of a table';

CREATE FUNCTION carbonite._known_columns(table_oid regclass) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_agg(CASE WHEN NOT a.attisdropped THEN a.attname::text END ORDER BY a.attnum)
    FROM pg_attribute a
    WHERE a.attrelid = table_oid AND a.attnum > 0
$$;
COMMENT ON FUNCTION carbonite._known_columns(regclass) IS
    'internal: triggers.known_columns of a table: its columns'' names by number, null for dropped ones';

-- What columns are called now that had these names once. Dropped ones are left out.
CREATE FUNCTION carbonite._current_columns(names text[], table_oid regclass, known_columns text[], known_table text)
RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(coalesce(a.attname::text, n.name) ORDER BY n.position), '{}')
    FROM unnest(names) WITH ORDINALITY AS n (name, position)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN known_table = carbonite._known_table(table_oid)
            THEN array_position(known_columns, n.name) END AS attnum
    ) k
    LEFT JOIN pg_attribute a ON a.attrelid = table_oid AND a.attnum = k.attnum AND NOT a.attisdropped
    WHERE k.attnum IS NULL OR a.attnum IS NOT NULL
$$;
COMMENT ON FUNCTION carbonite._current_columns(text[], regclass, text[], text) IS
    'internal: names of columns as they are now';

-- Keeps a row of triggers true: finds the table that it names, so that renaming the table keeps the row;
-- and remembers which columns its names meant, so that they can follow when columns are renamed.
CREATE FUNCTION carbonite._resolve_table() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.table_oid IS NULL
        OR TG_OP = 'UPDATE'
            AND (NEW.table_prefix, NEW.table_name) IS DISTINCT FROM (OLD.table_prefix, OLD.table_name)
            AND NEW.table_oid IS NOT DISTINCT FROM OLD.table_oid
    THEN
        NEW.table_oid := (
            SELECT c.oid
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = NEW.table_prefix AND c.relname = NEW.table_name
        );
    END IF;
    -- What is not given anew means the columns that it meant.
    IF TG_OP = 'UPDATE' AND NEW.table_oid = OLD.table_oid THEN
        IF NEW.primary_key_columns = OLD.primary_key_columns THEN
            NEW.primary_key_columns := carbonite._current_columns(OLD.primary_key_columns, OLD.table_oid, OLD.known_columns, OLD.known_table);
        END IF;
        IF NEW.excluded_columns = OLD.excluded_columns THEN
            NEW.excluded_columns := carbonite._current_columns(OLD.excluded_columns, OLD.table_oid, OLD.known_columns, OLD.known_table);
        END IF;
        IF NEW.filtered_columns = OLD.filtered_columns THEN
            NEW.filtered_columns := carbonite._current_columns(OLD.filtered_columns, OLD.table_oid, OLD.known_columns, OLD.known_table);
        END IF;
        IF NEW.hashed_columns = OLD.hashed_columns THEN
            NEW.hashed_columns := carbonite._current_columns(OLD.hashed_columns, OLD.table_oid, OLD.known_columns, OLD.known_table);
        END IF;
        IF NEW.masks = OLD.masks THEN
            NEW.masks := (
                SELECT coalesce(jsonb_object_agg(name, m.value), '{}')
                FROM jsonb_each(OLD.masks) m,
                    unnest(carbonite._current_columns(ARRAY[m.key], OLD.table_oid, OLD.known_columns, OLD.known_table)) name
            );
        END IF;
    END IF;
    NEW.known_columns := carbonite._known_columns(NEW.table_oid);
    NEW.known_table := carbonite._known_table(NEW.table_oid);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION carbonite._resolve_table() IS
    'internal: trigger of <prefix>.triggers that finds the table and the columns a row names';

CREATE FUNCTION carbonite._is_prefix(schema name) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT
        FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        JOIN pg_language l ON l.oid = p.prolang
        WHERE n.nspname = schema
            AND p.proname = 'capture_changes'
            AND p.pronargs = 0
            AND l.lanname = 'c'
            AND p.prosrc = 'carbonite_capture_changes'
    )
$$;
COMMENT ON FUNCTION carbonite._is_prefix(name) IS 'internal: is a schema a carbonite prefix';

CREATE FUNCTION carbonite._prefixes() RETURNS SETOF name
LANGUAGE sql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $$
    SELECT n.nspname
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.proname = 'capture_changes' AND carbonite._is_prefix(n.nspname)
$$;
COMMENT ON FUNCTION carbonite._prefixes() IS 'internal: names of the prefixes of this database';

CREATE FUNCTION carbonite._require_prefix(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF carbonite_prefix IS NULL THEN
        RAISE EXCEPTION 'carbonite_prefix must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT carbonite._is_prefix(carbonite_prefix) THEN
        RAISE EXCEPTION 'carbonite prefix "%" does not exist', carbonite_prefix
            USING ERRCODE = 'invalid_schema_name',
                HINT = format('Create it with carbonite.install_schema(carbonite_prefix => %L).', carbonite_prefix);
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._require_prefix(text) IS
    'internal: raises 3F000 unless a prefix exists';

CREATE FUNCTION carbonite._trigger_name(carbonite_prefix text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'capture_changes_into_' || carbonite_prefix || '_trigger'
$$;
COMMENT ON FUNCTION carbonite._trigger_name(text) IS
    'internal: the name of the trigger that a prefix has on its tables';

CREATE FUNCTION carbonite._truncate_trigger_name(carbonite_prefix text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'capture_truncate_to_' || carbonite_prefix || '_trigger'
$$;
COMMENT ON FUNCTION carbonite._truncate_trigger_name(text) IS
    'internal: the name of the trigger by which a prefix sees its tables truncated';

-- The triggers of a prefix: one row per table, clones on partitions left out.
CREATE FUNCTION carbonite._capture_triggers(carbonite_prefix text)
RETURNS TABLE (table_oid regclass, trigger_name name, is_deferred boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.tgrelid::regclass, t.tgname, t.tginitdeferred
    FROM pg_trigger t
    JOIN pg_proc p ON p.oid = t.tgfoid
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = carbonite_prefix
        AND p.proname = 'capture_changes'
        AND t.tgparentid = 0
        AND t.tgtype & 1 = 1 -- FOR EACH ROW
    ORDER BY 1
$$;
COMMENT ON FUNCTION carbonite._capture_triggers(text) IS
    'internal: tables with a capture trigger of a prefix';

CREATE FUNCTION carbonite._check_choice(option text, given text, choices text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF given <> ALL (choices) THEN
        RAISE EXCEPTION '% "%" is not known', option, given
            USING ERRCODE = 'invalid_parameter_value',
                HINT = format('Use %s.', array_to_string(choices, ' or '));
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._check_choice(text, text, text[]) IS 'internal: raises 22023 for an unknown value';
