-- Which tables are recorded, and how.

-- Refuses what cannot be captured.
CREATE FUNCTION carbonite._check_table(table_name regclass) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kind text;
    schema name;
BEGIN
    IF table_name IS NULL THEN
        RAISE EXCEPTION 'table_name must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    SELECT n.nspname,
        CASE c.relkind
            WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table'
            WHEN 'S' THEN 'a sequence' WHEN 'i' THEN 'an index' WHEN 'I' THEN 'an index'
            WHEN 'c' THEN 'a composite type' WHEN 't' THEN 'a TOAST table'
        END
    INTO schema, kind
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = table_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'relation with OID % does not exist', table_name::oid
            USING ERRCODE = 'undefined_table';
    END IF;
    IF schema IN ('pg_catalog', 'information_schema', 'pg_toast') THEN
        kind := 'a system catalog';
    END IF;
    IF kind IS NOT NULL THEN
        RAISE EXCEPTION 'cannot capture changes of %', table_name
            USING ERRCODE = 'wrong_object_type', DETAIL = format('It is %s.', kind);
    END IF;
    IF carbonite._is_prefix(schema) THEN
        RAISE EXCEPTION 'cannot capture changes of %, which belongs to a carbonite prefix', table_name
            USING ERRCODE = 'feature_not_supported';
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._check_table(regclass) IS
    'internal: raises 42809 or 0A000 unless the changes of a relation can be captured';

-- Refuses names that are not columns of the table.
CREATE FUNCTION carbonite._check_columns(table_name regclass, option text, columns text[]) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known text[] := ARRAY(
        SELECT a.attname::text
        FROM pg_attribute a
        WHERE a.attrelid = table_name AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum
    );
    given text;
BEGIN
    IF array_ndims(columns) > 1 THEN
        RAISE EXCEPTION '% must be a one-dimensional array', option USING ERRCODE = 'array_subscript_error';
    END IF;
    FOREACH given IN ARRAY coalesce(columns, '{}') LOOP
        IF given IS NULL THEN
            RAISE EXCEPTION '% must not contain null', option USING ERRCODE = 'null_value_not_allowed';
        END IF;
        IF given <> ALL (known) THEN
            RAISE EXCEPTION 'column "%" in % does not exist in table %', given, option, table_name
                USING ERRCODE = 'undefined_column',
                    HINT = format('The table has the columns %s.', array_to_string(known, ', '));
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._check_columns(regclass, text, text[]) IS
    'internal: raises 42703 for a name that is not a column of a table';

-- Refuses what is not a mask of a column of the table.
CREATE FUNCTION carbonite._check_masks(table_name regclass, masks jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mask record;
BEGIN
    IF jsonb_typeof(masks) <> 'object' THEN
        RAISE EXCEPTION 'masks must be a JSON object' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'As in {"email": null, "card": {"last": 4}, "note": "hidden"}.';
    END IF;
    PERFORM carbonite._check_columns(table_name, 'masks', ARRAY(SELECT jsonb_object_keys(masks)));
    FOR mask IN SELECT m.key, m.value FROM jsonb_each(masks) m LOOP
        IF jsonb_typeof(mask.value) NOT IN ('null', 'string')
            AND NOT (mask.value ? 'last' AND mask.value - 'last' = '{}'
                AND mask.value ->> 'last' ~ '^[1-9][0-9]{0,3}$' AND jsonb_typeof(mask.value -> 'last') = 'number')
        THEN
            RAISE EXCEPTION 'mask % of column "%" is not known', mask.value, mask.key
                USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'Use null, a text, or {"last": n} with n from 1 to 9999.';
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._check_masks(regclass, jsonb) IS
    'internal: raises 22023 or 42703 unless masks are those of columns of a table';

-- The options of install_trigger() and configure_trigger() as columns of triggers; those that are null are left out.
CREATE FUNCTION carbonite._trigger_options(
    table_name regclass,
    primary_key_columns text[],
    excluded_columns text[],
    filtered_columns text[],
    mode text,
    store_changed_from boolean,
    exact_comparison boolean,
    mask_primary_key boolean,
    store_data text,
    on_truncate text,
    hashed_columns text[],
    masks jsonb,
    partitions text,
    inheritance_children boolean,
    capture_ddl boolean,
    "initially" text
) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._check_table(table_name);
    PERFORM carbonite._check_columns(table_name, 'primary_key_columns', primary_key_columns);
    PERFORM carbonite._check_columns(table_name, 'excluded_columns', excluded_columns);
    PERFORM carbonite._check_columns(table_name, 'filtered_columns', filtered_columns);
    PERFORM carbonite._check_columns(table_name, 'hashed_columns', hashed_columns);
    PERFORM carbonite._check_masks(table_name, masks);
    PERFORM carbonite._check_choice('mode', mode, '{capture,ignore}');
    PERFORM carbonite._check_choice('store_data', store_data, '{full,changed}');
    PERFORM carbonite._check_choice('on_truncate', on_truncate, '{capture,refuse,ignore}');
    PERFORM carbonite._check_choice('partitions', partitions, '{root,leaf}');
    PERFORM carbonite._check_choice('initially', "initially", '{immediate,deferred}');
    IF cardinality(hashed_columns) > 0 AND primary_key_columns = '{}' THEN
        RAISE EXCEPTION 'hashed_columns need primary_key_columns' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Without a key equal values of different rows would be recorded as equal digests.';
    END IF;
    RETURN (
        SELECT coalesce(jsonb_object_agg(o.key, o.value), '{}')
        FROM jsonb_each(jsonb_build_object(
            'primary_key_columns', primary_key_columns,
            'excluded_columns', excluded_columns,
            'filtered_columns', filtered_columns,
            'mode', mode,
            'store_changed_from', store_changed_from,
            'exact_comparison', exact_comparison,
            'mask_primary_key', mask_primary_key,
            'store_data', store_data,
            'on_truncate', on_truncate,
            'hashed_columns', hashed_columns,
            'masks', masks,
            'partitions', partitions,
            'inheritance_children', inheritance_children,
            'capture_ddl', capture_ddl
        )) o
        WHERE o.value <> 'null'
    );
END
$$;
COMMENT ON FUNCTION carbonite._trigger_options(regclass, text[], text[], text[], text, boolean, boolean, boolean, text, text, text[], jsonb, text, boolean, boolean, text) IS
    'internal: the given options of a table; raises 42809, 0A000, 42703 or 22023 for those that it cannot have';

-- The columns of the table's primary key, in the order of the key.
CREATE FUNCTION carbonite._primary_key_columns(table_name regclass) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    columns text[];
BEGIN
    SELECT array_agg(a.attname::text ORDER BY k.position) INTO columns
    FROM pg_constraint c
    CROSS JOIN unnest(c.conkey) WITH ORDINALITY AS k (attnum, position)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
    WHERE c.conrelid = table_name AND c.contype = 'p';
    IF columns IS NULL THEN
        RAISE EXCEPTION 'table % has no primary key', table_name
            USING ERRCODE = 'invalid_table_definition',
                HINT = 'Name identifying columns in primary_key_columns, or give ''{}'' to record changes without a key.';
    END IF;
    RETURN columns;
END
$$;
COMMENT ON FUNCTION carbonite._primary_key_columns(regclass) IS
    'internal: columns of a table''s primary key; raises 42P16 if there is none';

-- The row of <prefix>.triggers that stands for a table: its own or else that of the nearest ancestor, of which it is a
-- partition, or which speaks for those that inherit from it.
CREATE FUNCTION carbonite._configuration(table_name regclass, carbonite_prefix text)
RETURNS TABLE (id bigint, is_own boolean, table_prefix text, recorded_name text, primary_key_columns text[],
    masked_columns text[], mask_primary_key boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'WITH RECURSIVE line AS (
             SELECT $1::oid AS oid, 0 AS distance, true AS is_partition
             UNION ALL
             SELECT i.inhparent, line.distance + 1, line.is_partition AND c.relispartition
             FROM line JOIN pg_class c ON c.oid = line.oid JOIN pg_inherits i ON i.inhrelid = c.oid
         )
         SELECT t.id, line.distance = 0, (SELECT n.nspname::text FROM pg_namespace n WHERE n.oid = r.relnamespace), r.relname::text,
             t.primary_key_columns::text[],
             (t.filtered_columns || t.hashed_columns || ARRAY(SELECT jsonb_object_keys(t.masks))::varchar[])::text[],
             t.mask_primary_key
         FROM line
         JOIN pg_class c ON c.oid = line.oid
         JOIN %I.triggers t ON t.table_oid = c.oid
             OR t.table_prefix = (SELECT n.nspname FROM pg_namespace n WHERE n.oid = c.relnamespace) AND t.table_name = c.relname
                 AND NOT EXISTS (SELECT FROM pg_class other WHERE other.oid = t.table_oid)
         JOIN pg_class r ON r.oid = CASE WHEN line.is_partition AND t.partitions = ''root'' THEN c.oid ELSE $1 END
         WHERE line.is_partition OR t.inheritance_children
         ORDER BY line.distance, t.table_oid = c.oid DESC
         LIMIT 1', carbonite_prefix)
        USING table_name;
END
$$;
COMMENT ON FUNCTION carbonite._configuration(regclass, text) IS
    'internal: the configuration that stands for a table, and the name under which its changes are recorded';

CREATE FUNCTION carbonite._own_configuration(table_name regclass, carbonite_prefix text) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.id FROM carbonite._configuration(table_name, carbonite_prefix) c WHERE c.is_own
$$;
COMMENT ON FUNCTION carbonite._own_configuration(regclass, text) IS
    'internal: the configuration of a table itself, not of an ancestor';

-- A trigger can be created by whom the table's owner lets, but only the owner can comment on it.
CREATE FUNCTION carbonite._comment_trigger(table_name regclass, trigger_name text, comment text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = table_name) THEN
        EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', trigger_name, table_name, comment);
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._comment_trigger(regclass, text, text) IS
    'internal: comments on a trigger, if the current role may';

CREATE FUNCTION carbonite._create_trigger(table_name regclass, "initially" text, carbonite_prefix text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        'CREATE CONSTRAINT TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s
         DEFERRABLE INITIALLY %s FOR EACH ROW EXECUTE FUNCTION %I.capture_changes()',
        carbonite._trigger_name(carbonite_prefix), table_name, "initially", carbonite_prefix);
    PERFORM carbonite._comment_trigger(table_name, carbonite._trigger_name(carbonite_prefix),
        format('records changes in %s.changes', carbonite_prefix));
END
$$;
COMMENT ON FUNCTION carbonite._create_trigger(regclass, text, text) IS
    'internal: creates the capture trigger of a prefix on a table';

CREATE FUNCTION carbonite._create_truncate_trigger(table_name regclass, carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    trigger_name text := carbonite._truncate_trigger_name(carbonite_prefix);
BEGIN
    IF EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = table_name AND t.tgname = trigger_name) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %I.capture_changes()',
        trigger_name, table_name, carbonite_prefix);
    PERFORM carbonite._comment_trigger(table_name, trigger_name,
        format('records TRUNCATE in %s.changes, or refuses it', carbonite_prefix));
END
$$;
COMMENT ON FUNCTION carbonite._create_truncate_trigger(regclass, text) IS
    'internal: creates the trigger of a prefix that sees a table truncated, unless it is there';

CREATE FUNCTION carbonite._drop_triggers(table_name regclass, carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    drop_trigger text;
BEGIN
    FOR drop_trigger IN
        SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
        FROM pg_trigger t
        JOIN pg_proc p ON p.oid = t.tgfoid
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = carbonite_prefix
            AND p.proname = 'capture_changes'
            AND t.tgparentid = 0
            AND (t.tgrelid = table_name OR table_name IS NULL)
    LOOP
        EXECUTE drop_trigger;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._drop_triggers(regclass, text) IS
    'internal: drops the triggers of a prefix on a table, or on all tables';

-- Triggers of a prefix on the tables that inherit from one: those that have a configuration get them, others lose them.
CREATE FUNCTION carbonite._create_child_triggers(table_name regclass, carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    child record;
    deferred boolean := (
        SELECT t.is_deferred FROM carbonite._capture_triggers(carbonite_prefix) t
        WHERE t.table_oid = _create_child_triggers.table_name
    );
BEGIN
    FOR child IN
        WITH RECURSIVE children AS (
            SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = table_name
            UNION
            SELECT i.inhrelid FROM children c JOIN pg_inherits i ON i.inhparent = c.inhrelid
        )
        SELECT c.oid::regclass AS oid,
            EXISTS (SELECT FROM carbonite._capture_triggers(carbonite_prefix) t WHERE t.table_oid = c.oid) AS has_trigger,
            EXISTS (SELECT FROM carbonite._configuration(c.oid, carbonite_prefix)) AS has_configuration
        FROM children JOIN pg_class c ON c.oid = children.inhrelid
        WHERE NOT c.relispartition AND c.relkind IN ('r', 'p')
    LOOP
        IF child.has_configuration AND NOT child.has_trigger THEN
            PERFORM carbonite._create_trigger(child.oid, CASE WHEN deferred THEN 'deferred' ELSE 'immediate' END, carbonite_prefix);
            PERFORM carbonite._create_truncate_trigger(child.oid, carbonite_prefix);
        ELSIF child.has_trigger AND NOT child.has_configuration THEN
            PERFORM carbonite._drop_triggers(child.oid, carbonite_prefix);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._create_child_triggers(regclass, text) IS
    'internal: creates or drops the triggers of a prefix on tables that inherit from one';

-- Gives rows of triggers the names that their tables and columns have now, so that others can use the
-- names they left. Rows of renamed tables are taken out first: tables may have swapped their names.
CREATE FUNCTION carbonite._follow_renames(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    renamed jsonb;
BEGIN
    -- the trigger of the table does it
    EXECUTE format(
        'UPDATE %I.triggers t SET table_oid = t.table_oid
         FROM pg_class c
         WHERE c.oid = t.table_oid
             AND t.known_columns::text[] IS DISTINCT FROM carbonite._known_columns(t.table_oid)', carbonite_prefix);
    EXECUTE format(
        'WITH gone AS (
             DELETE FROM %I.triggers t
             USING pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.oid = t.table_oid
                 AND (t.table_prefix, t.table_name) IS DISTINCT FROM (n.nspname, c.relname)
             RETURNING to_jsonb(t) || jsonb_build_object(''table_prefix'', n.nspname, ''table_name'', c.relname) AS line
         )
         SELECT jsonb_agg(line) FROM gone', carbonite_prefix)
        INTO renamed;
    IF renamed IS NOT NULL THEN
        EXECUTE format('INSERT INTO %1$I.triggers SELECT * FROM jsonb_populate_recordset(NULL::%1$I.triggers, $1)', carbonite_prefix)
            USING renamed;
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._follow_renames(text) IS
    'internal: corrects the names of renamed tables and columns in <prefix>.triggers';

CREATE FUNCTION carbonite.install_trigger(
    table_name regclass,
    primary_key_columns text[] DEFAULT NULL,
    excluded_columns text[] DEFAULT '{}',
    filtered_columns text[] DEFAULT '{}',
    mode text DEFAULT 'capture',
    store_changed_from boolean DEFAULT false,
    exact_comparison boolean DEFAULT false,
    mask_primary_key boolean DEFAULT true,
    store_data text DEFAULT 'full',
    on_truncate text DEFAULT 'capture',
    hashed_columns text[] DEFAULT '{}',
    masks jsonb DEFAULT '{}',
    partitions text DEFAULT 'root',
    inheritance_children boolean DEFAULT false,
    capture_ddl boolean DEFAULT false,
    "initially" text DEFAULT 'immediate',
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    options jsonb;
    own_configuration bigint;
    deferred boolean;
    same boolean;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    PERFORM carbonite._check_table(table_name);
    options := carbonite._trigger_options(table_name,
        coalesce(primary_key_columns, carbonite._primary_key_columns(table_name)), excluded_columns,
        filtered_columns, mode, store_changed_from, exact_comparison, mask_primary_key, store_data, on_truncate,
        hashed_columns, masks, partitions, inheritance_children, capture_ddl, "initially");

    SELECT t.is_deferred INTO deferred
    FROM carbonite._capture_triggers(carbonite_prefix) t WHERE t.table_oid = install_trigger.table_name;
    own_configuration := carbonite._own_configuration(table_name, carbonite_prefix);

    IF deferred IS NOT NULL AND own_configuration IS NOT NULL THEN
        EXECUTE format('SELECT to_jsonb(t) || $2 = to_jsonb(t) FROM %I.triggers t WHERE t.id = $1', carbonite_prefix)
            INTO same USING own_configuration, options;
        IF NOT same OR deferred <> (coalesce("initially", 'immediate') = 'deferred') THEN
            RAISE EXCEPTION 'changes of table % are recorded in "%" already, with other options',
                table_name, carbonite_prefix
                USING ERRCODE = 'duplicate_object', HINT = 'Change them with carbonite.configure_trigger().';
        END IF;
        RAISE NOTICE 'changes of table % are recorded in "%" already', table_name, carbonite_prefix;
        RETURN;
    END IF;

    PERFORM carbonite._follow_renames(carbonite_prefix);
    -- A trigger or a configuration that lost the other: what is left of it gives way.
    EXECUTE format('DELETE FROM %I.triggers t WHERE t.id = $1', carbonite_prefix) USING own_configuration;
    EXECUTE format(
        'INSERT INTO %1$I.triggers (table_oid, table_prefix, table_name, %2$s)
         SELECT c.oid, n.nspname, c.relname, %3$s
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, jsonb_populate_record(NULL::%1$I.triggers, $2) o
         WHERE c.oid = $1', carbonite_prefix,
        (SELECT string_agg(quote_ident(o), ', ') FROM jsonb_object_keys(options) o),
        (SELECT string_agg('o.' || quote_ident(o), ', ') FROM jsonb_object_keys(options) o))
        USING table_name, options;
    IF deferred IS NULL THEN
        PERFORM carbonite._create_trigger(table_name, coalesce("initially", 'immediate'), carbonite_prefix);
    END IF;
    PERFORM carbonite._create_truncate_trigger(table_name, carbonite_prefix);
    PERFORM carbonite._create_child_triggers(table_name, carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite.install_trigger(regclass, text[], text[], text[], text, boolean, boolean, boolean, text, text, text[], jsonb, text, boolean, boolean, text, text) IS
    'Records the changes of a table from now on. primary_key_columns: columns that identify a row '
    '(default: its primary key; {} for none). excluded_columns are not recorded. filtered_columns are '
    'recorded as [FILTERED], in the key too unless mask_primary_key is false. mode: capture or ignore. '
    'store_changed_from: record old values of changed columns. exact_comparison: numeric 1.1 -> 1.10 is '
    'a change. store_data: what an update records in data, full or changed, which is the key and the '
    'changed columns. on_truncate: TRUNCATE is recorded (capture), refused (refuse) or ignored (ignore). '
    'hashed_columns are recorded as digests keyed with carbonite.hash_key. masks: what other columns are '
    'recorded as, null, a text or {"last": n}. partitions: record their changes under the name of the root, where a '
    'row that moves is one update, or of the leaf. inheritance_children: record tables that inherit from it, too. '
    'capture_ddl: record changes of its schema. initially: immediate or deferred. Installing again with the same '
    'options changes nothing. Errors: 3F000 no such prefix; 42P01, 42703 no such table, column; 42809, 0A000 not a '
    'table that can be recorded; 42P16 no primary key; 22023; 42710 installed with other options. '
    'Example: SELECT carbonite.install_trigger(''rabbits'', excluded_columns => ''{age}'')';

CREATE FUNCTION carbonite.configure_trigger(
    table_name regclass,
    primary_key_columns text[] DEFAULT NULL,
    excluded_columns text[] DEFAULT NULL,
    filtered_columns text[] DEFAULT NULL,
    mode text DEFAULT NULL,
    store_changed_from boolean DEFAULT NULL,
    exact_comparison boolean DEFAULT NULL,
    mask_primary_key boolean DEFAULT NULL,
    store_data text DEFAULT NULL,
    on_truncate text DEFAULT NULL,
    hashed_columns text[] DEFAULT NULL,
    masks jsonb DEFAULT NULL,
    partitions text DEFAULT NULL,
    inheritance_children boolean DEFAULT NULL,
    capture_ddl boolean DEFAULT NULL,
    "initially" text DEFAULT NULL,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    captured record;
    options jsonb;
    own_configuration bigint;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    options := carbonite._trigger_options(table_name, primary_key_columns, excluded_columns, filtered_columns, mode,
        store_changed_from, exact_comparison, mask_primary_key, store_data, on_truncate, hashed_columns, masks,
        partitions, inheritance_children, capture_ddl, "initially");

    own_configuration := carbonite._own_configuration(table_name, carbonite_prefix);
    IF own_configuration IS NULL THEN
        RAISE EXCEPTION 'changes of table % are not recorded in "%"', table_name, carbonite_prefix
            USING ERRCODE = 'undefined_object', HINT = 'Record them with carbonite.install_trigger().';
    END IF;
    EXECUTE format(
        'UPDATE %1$I.triggers t SET updated_at = clock_timestamp() AT TIME ZONE ''UTC''%2$s
         FROM jsonb_populate_record(NULL::%1$I.triggers, $2) o
         WHERE t.id = $1', carbonite_prefix,
        (SELECT string_agg(format(', %1$I = o.%1$I', o), '') FROM jsonb_object_keys(options) o))
        USING own_configuration, options;

    SELECT * INTO captured
    FROM carbonite._capture_triggers(carbonite_prefix) t WHERE t.table_oid = configure_trigger.table_name;
    IF captured.is_deferred <> ("initially" = 'deferred') THEN
        EXECUTE format('DROP TRIGGER %I ON %s', captured.trigger_name, table_name);
        PERFORM carbonite._create_trigger(table_name, "initially", carbonite_prefix);
    END IF;
    -- A trigger made by hand has no companion.
    IF on_truncate IS NOT NULL THEN
        PERFORM carbonite._create_truncate_trigger(table_name, carbonite_prefix);
    END IF;
    PERFORM carbonite._create_child_triggers(table_name, carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite.configure_trigger(regclass, text[], text[], text[], text, boolean, boolean, boolean, text, text, text[], jsonb, text, boolean, boolean, text, text) IS
    'Changes how a table is recorded, in every session from its next statement on; options that are '
    'not given stay. Options and errors as of install_trigger(); 42704 if the table is not recorded. '
    'Example: SELECT carbonite.configure_trigger(''rabbits'', mode => ''ignore'')';

CREATE FUNCTION carbonite.drop_trigger(
    table_name regclass,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    captured record;
    own_configuration bigint;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    own_configuration := carbonite._own_configuration(table_name, carbonite_prefix);
    SELECT * INTO captured
    FROM carbonite._capture_triggers(carbonite_prefix) t WHERE t.table_oid = drop_trigger.table_name;
    IF own_configuration IS NULL AND captured.trigger_name IS NULL THEN
        RAISE EXCEPTION 'changes of table % are not recorded in "%"', table_name, carbonite_prefix
            USING ERRCODE = 'undefined_object';
    END IF;
    EXECUTE format('DELETE FROM %I.triggers t WHERE t.id = $1', carbonite_prefix) USING own_configuration;
    PERFORM carbonite._drop_triggers(table_name, carbonite_prefix);
    PERFORM carbonite._create_child_triggers(table_name, carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite.drop_trigger(regclass, text) IS
    'Stops recording the changes of a table; what was recorded stays. Errors: 3F000 no such prefix; 42704 '
    'if the table is not recorded. Example: SELECT carbonite.drop_trigger(''rabbits'')';

