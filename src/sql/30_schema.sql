-- Prefixes: schemas that hold an audit trail each.

CREATE FUNCTION carbonite._check_prefix_name(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF carbonite_prefix IS NULL THEN
        RAISE EXCEPTION 'carbonite_prefix must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF carbonite_prefix !~ '^[a-z_][a-z0-9_]*$' OR quote_ident(carbonite_prefix) <> carbonite_prefix THEN
        RAISE EXCEPTION 'carbonite prefix "%" is not a plain lower-case identifier', carbonite_prefix
            USING ERRCODE = 'invalid_name',
                DETAIL = 'Clients write it without quotes.',
                HINT = 'Use lower-case letters, digits and underscores, and no reserved word.';
    END IF;
    IF carbonite_prefix LIKE 'pg\_%' OR carbonite_prefix IN ('carbonite', 'information_schema') THEN
        RAISE EXCEPTION 'carbonite prefix "%" is a reserved schema name', carbonite_prefix
            USING ERRCODE = 'reserved_name';
    END IF;
    IF length(carbonite_prefix) > 34 THEN
        RAISE EXCEPTION 'carbonite prefix "%" is too long', carbonite_prefix
            USING ERRCODE = 'name_too_long',
                DETAIL = 'It is a part of trigger names, which leaves 34 characters.';
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._check_prefix_name(text) IS
    'internal: raises 42602, 42622 or 42939 unless a name can be that of a prefix';

-- Creates the tables of a prefix in an empty schema, as clients of the original know them.
CREATE FUNCTION carbonite._create_tables(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $create$
BEGIN
    EXECUTE replace($ddl$
        CREATE TYPE PREFIX.change_op AS ENUM ('insert', 'update', 'delete');
        COMMENT ON TYPE PREFIX.change_op IS 'what a change did to its row';

        CREATE TYPE PREFIX.trigger_mode AS ENUM ('capture', 'ignore');
        COMMENT ON TYPE PREFIX.trigger_mode IS 'whether the changes of a table are recorded';

        CREATE TABLE PREFIX.transactions (
            xact_id xid8 NOT NULL,
            meta jsonb NOT NULL DEFAULT '{}',
            inserted_at timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
            id bigint NOT NULL,
            CONSTRAINT transactions_pkey PRIMARY KEY (id) INCLUDE (xact_id)
        );
        CREATE SEQUENCE PREFIX.transactions_id_seq AS bigint OWNED BY PREFIX.transactions.id;
        COMMENT ON TABLE PREFIX.transactions IS 'database transactions that recorded changes, and who and why';
        COMMENT ON COLUMN PREFIX.transactions.xact_id IS 'xid of the top-level transaction, as pg_current_xact_id() gives it';
        COMMENT ON COLUMN PREFIX.transactions.meta IS 'what the application says of the transaction';
        COMMENT ON COLUMN PREFIX.transactions.inserted_at IS 'when the row was inserted, in UTC';
        COMMENT ON COLUMN PREFIX.transactions.id IS 'drawn from transactions_id_seq by set_transaction_id_trigger';
        COMMENT ON SEQUENCE PREFIX.transactions_id_seq IS 'ids of transactions';

        CREATE TABLE PREFIX.changes (
            id bigserial,
            transaction_xact_id xid8 NOT NULL,
            op PREFIX.change_op NOT NULL,
            table_prefix varchar COLLATE "C" NOT NULL,
            table_name varchar COLLATE "C" NOT NULL,
            table_pk varchar[] COLLATE "C",
            data jsonb NOT NULL,
            changed varchar[] NOT NULL,
            transaction_id bigint NOT NULL
                CONSTRAINT changes_transaction_id_fkey
                REFERENCES PREFIX.transactions (id) ON UPDATE CASCADE ON DELETE CASCADE,
            changed_from jsonb
        );
        COMMENT ON TABLE PREFIX.changes IS 'recorded changes, one per row that was inserted, updated or deleted';
        COMMENT ON COLUMN PREFIX.changes.id IS 'grows with each change';
        COMMENT ON COLUMN PREFIX.changes.transaction_xact_id IS 'xid of the transaction that made the change';
        COMMENT ON COLUMN PREFIX.changes.op IS 'what happened to the row';
        COMMENT ON COLUMN PREFIX.changes.table_prefix IS 'schema of the table';
        COMMENT ON COLUMN PREFIX.changes.table_name IS 'name of the table';
        COMMENT ON COLUMN PREFIX.changes.table_pk IS 'primary key of the row as texts, null if none is configured';
        COMMENT ON COLUMN PREFIX.changes.data IS 'the row after the change, of a delete before it';
        COMMENT ON COLUMN PREFIX.changes.changed IS 'columns that an update changed';
        COMMENT ON COLUMN PREFIX.changes.transaction_id IS 'the row of transactions';
        COMMENT ON COLUMN PREFIX.changes.changed_from IS 'old values of changed columns, if the trigger stores them';

        CREATE TABLE PREFIX.triggers (
            id bigserial CONSTRAINT triggers_pkey PRIMARY KEY,
            table_prefix varchar NOT NULL,
            table_name varchar NOT NULL,
            primary_key_columns varchar[] NOT NULL DEFAULT '{id}',
            excluded_columns varchar[] NOT NULL DEFAULT '{}',
            filtered_columns varchar[] NOT NULL DEFAULT '{}',
            mode PREFIX.trigger_mode NOT NULL DEFAULT 'capture',
            inserted_at timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
            updated_at timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
            store_changed_from boolean NOT NULL DEFAULT false
        );
        CREATE UNIQUE INDEX triggers_table_index ON PREFIX.triggers (table_prefix, table_name)
            INCLUDE (primary_key_columns, excluded_columns, filtered_columns, mode, store_changed_from);
        COMMENT ON TABLE PREFIX.triggers IS 'configuration of the tables whose changes are recorded';
        COMMENT ON COLUMN PREFIX.triggers.table_prefix IS 'schema of the table';
        COMMENT ON COLUMN PREFIX.triggers.table_name IS 'name of the table';
        COMMENT ON COLUMN PREFIX.triggers.primary_key_columns IS 'columns that make table_pk, in this order; {} for none';
        COMMENT ON COLUMN PREFIX.triggers.excluded_columns IS 'columns that are not recorded at all';
        COMMENT ON COLUMN PREFIX.triggers.filtered_columns IS 'columns whose values are recorded as [FILTERED]';
        COMMENT ON COLUMN PREFIX.triggers.mode IS 'capture or ignore';
        COMMENT ON COLUMN PREFIX.triggers.store_changed_from IS 'record the old values of changed columns';

        CREATE TABLE PREFIX.outboxes (
            name varchar CONSTRAINT outboxes_pkey PRIMARY KEY,
            memo jsonb NOT NULL DEFAULT '{}',
            last_transaction_id bigint NOT NULL DEFAULT 0,
            inserted_at timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
            updated_at timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')
        );
        COMMENT ON TABLE PREFIX.outboxes IS 'positions of consumers in transactions';
        COMMENT ON COLUMN PREFIX.outboxes.memo IS 'what the consumer wants to remember';
        COMMENT ON COLUMN PREFIX.outboxes.last_transaction_id IS 'the last transaction that was processed';
    $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
END
$create$;
COMMENT ON FUNCTION carbonite._create_tables(text) IS 'internal: creates the types and tables that clients know';

-- Adds to those tables what the original has not.
CREATE FUNCTION carbonite._extend_tables(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $create$
BEGIN
    EXECUTE replace($ddl$
        ALTER TABLE PREFIX.changes
            ADD COLUMN IF NOT EXISTS data_is_partial boolean NOT NULL DEFAULT false,
            ADD COLUMN IF NOT EXISTS command varchar;
        COMMENT ON COLUMN PREFIX.changes.data_is_partial IS 'data of this update has the columns of the key and those that changed only';
        COMMENT ON COLUMN PREFIX.changes.command IS 'the command if it is no change of a row: TRUNCATE, ALTER TABLE and so on';

        ALTER TABLE PREFIX.triggers
            ADD COLUMN IF NOT EXISTS table_oid regclass,
            ADD COLUMN IF NOT EXISTS exact_comparison boolean NOT NULL DEFAULT false,
            ADD COLUMN IF NOT EXISTS mask_primary_key boolean NOT NULL DEFAULT true,
            ADD COLUMN IF NOT EXISTS store_data text NOT NULL DEFAULT 'full'
                CONSTRAINT triggers_store_data CHECK (store_data IN ('full', 'changed')),
            ADD COLUMN IF NOT EXISTS on_truncate text NOT NULL DEFAULT 'capture'
                CONSTRAINT triggers_on_truncate CHECK (on_truncate IN ('capture', 'refuse', 'ignore')),
            ADD COLUMN IF NOT EXISTS known_columns varchar[],
            ADD COLUMN IF NOT EXISTS known_table text,
            ADD COLUMN IF NOT EXISTS hashed_columns varchar[] NOT NULL DEFAULT '{}',
            ADD COLUMN IF NOT EXISTS masks jsonb NOT NULL DEFAULT '{}'
                CONSTRAINT triggers_masks CHECK (jsonb_typeof(masks) = 'object'),
            ADD COLUMN IF NOT EXISTS partitions text NOT NULL DEFAULT 'root'
                CONSTRAINT triggers_partitions CHECK (partitions IN ('root', 'leaf')),
            ADD COLUMN IF NOT EXISTS inheritance_children boolean NOT NULL DEFAULT false,
            ADD COLUMN IF NOT EXISTS capture_ddl boolean NOT NULL DEFAULT false,
            ADD COLUMN IF NOT EXISTS override_xact_id xid8,
            SET (user_catalog_table = true);
        COMMENT ON COLUMN PREFIX.triggers.table_oid IS 'the table itself, found by its name when the row is written';
        COMMENT ON COLUMN PREFIX.triggers.exact_comparison IS 'a value that differs in its bytes only, as numeric 1.1 and 1.10, has changed';
        COMMENT ON COLUMN PREFIX.triggers.mask_primary_key IS 'columns that are filtered, hashed or masked are [FILTERED] in table_pk';
        COMMENT ON COLUMN PREFIX.triggers.store_data IS 'what updates record in data: the full row, or the key and changed columns';
        COMMENT ON COLUMN PREFIX.triggers.on_truncate IS 'whether TRUNCATE is recorded, refused or ignored';
        COMMENT ON COLUMN PREFIX.triggers.known_columns IS 'names of the table''s columns, by their numbers, when names in this row were those of columns';
        COMMENT ON COLUMN PREFIX.triggers.known_table IS 'the table whose column numbers these are, as no other server has it';
        COMMENT ON COLUMN PREFIX.triggers.hashed_columns IS 'columns whose values are recorded as keyed digests';
        COMMENT ON COLUMN PREFIX.triggers.masks IS 'what other columns are recorded as, by name: null, a text, or {"last": n} for their last characters';
        COMMENT ON COLUMN PREFIX.triggers.partitions IS 'whether changes of partitions are recorded under the name of the root or of the leaf';
        COMMENT ON COLUMN PREFIX.triggers.inheritance_children IS 'the row stands for tables that inherit from its table, too';
        COMMENT ON COLUMN PREFIX.triggers.capture_ddl IS 'changes of the table''s schema are recorded';
        COMMENT ON COLUMN PREFIX.triggers.override_xact_id IS 'the transaction in which mode is the other one; of clients before 0.14 of the original';

        CREATE TABLE IF NOT EXISTS PREFIX.settings (
            id boolean CONSTRAINT settings_pkey PRIMARY KEY DEFAULT true
                CONSTRAINT settings_one_row CHECK (id),
            transaction_mode text NOT NULL DEFAULT 'required'
                CONSTRAINT settings_transaction_mode CHECK (transaction_mode IN ('required', 'auto', 'optional')),
            keep_dropped_tables boolean NOT NULL DEFAULT false,
            override_role text
        ) WITH (user_catalog_table = true);
        COMMENT ON TABLE PREFIX.settings IS 'settings of the whole prefix, in one row';
        COMMENT ON COLUMN PREFIX.settings.transaction_mode IS 'what happens to changes of a transaction without a row in transactions';
        COMMENT ON COLUMN PREFIX.settings.keep_dropped_tables IS 'rows of triggers stay when their tables are dropped';
        COMMENT ON COLUMN PREFIX.settings.override_role IS 'the role whose members may override modes; null: everybody may';
    $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
    PERFORM carbonite._create_seals(carbonite_prefix);
END
$create$;
COMMENT ON FUNCTION carbonite._extend_tables(text) IS
    'internal: adds the columns and tables that the original has not, unless they are there';

-- Gives changes the indexes of a set, in place of those of another one.
CREATE FUNCTION carbonite._create_indexes(indexes text, carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $create$
BEGIN
    EXECUTE replace($ddl$
        ALTER TABLE PREFIX.changes DROP CONSTRAINT IF EXISTS changes_pkey;
        DROP INDEX IF EXISTS PREFIX.changes_transaction_id_index, PREFIX.changes_transaction_xact_id_index;
    $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
    EXECUTE replace(CASE indexes
        WHEN 'fast' THEN $ddl$
            ALTER TABLE PREFIX.changes ADD CONSTRAINT changes_pkey PRIMARY KEY (transaction_id, id);
            COMMENT ON CONSTRAINT changes_pkey ON PREFIX.changes IS 'changes of a transaction, in order';
        $ddl$
        WHEN 'compatible' THEN $ddl$
            ALTER TABLE PREFIX.changes ADD CONSTRAINT changes_pkey PRIMARY KEY (id);
            CREATE INDEX changes_transaction_id_index ON PREFIX.changes (transaction_id);
            COMMENT ON INDEX PREFIX.changes_transaction_id_index IS 'changes of a transaction';
        $ddl$
    END, 'PREFIX', quote_ident(carbonite_prefix));
    IF NOT carbonite._has_history_index(carbonite_prefix) THEN
        EXECUTE replace($ddl$
            DROP INDEX IF EXISTS PREFIX.changes_table_prefix_table_name_table_pk_index;
            CREATE INDEX changes_table_prefix_table_name_table_pk_index
                ON PREFIX.changes (table_pk carbonite.key_ops, table_name, table_prefix);
            -- Without the extension the table can be read on.
            ALTER INDEX PREFIX.changes_table_prefix_table_name_table_pk_index DEPENDS ON EXTENSION carbonite;
            COMMENT ON INDEX PREFIX.changes_table_prefix_table_name_table_pk_index IS 'history of a record';
        $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
    END IF;
END
$create$;
COMMENT ON FUNCTION carbonite._create_indexes(text, text) IS 'internal: creates a set of indexes of changes';

CREATE FUNCTION carbonite._has_history_index(carbonite_prefix text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT
        FROM pg_index i JOIN pg_opclass o ON o.oid = i.indclass[0]
        WHERE i.indexrelid = to_regclass(format('%I.changes_table_prefix_table_name_table_pk_index', carbonite_prefix))
            AND o.opcname = 'key_ops'
    )
$$;
COMMENT ON FUNCTION carbonite._has_history_index(text) IS 'internal: has changes an index of records with carbonite.key_ops';

-- The set of indexes that changes has, as its primary key and the index of records tell.
CREATE FUNCTION carbonite._indexes(carbonite_prefix text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN NOT carbonite._has_history_index(carbonite_prefix) THEN 'original'
        WHEN EXISTS (
            SELECT
            FROM pg_constraint c
            WHERE c.conrelid = to_regclass(format('%I.changes', carbonite_prefix))
                AND c.contype = 'p' AND cardinality(c.conkey) = 2
        ) THEN 'fast'
        ELSE 'compatible'
    END
$$;
COMMENT ON FUNCTION carbonite._indexes(text) IS
    'internal: the set of indexes of a prefix; original in one that was adopted with its indexes';

-- Creates the triggers on the tables of a prefix, in place of those that are there.
CREATE FUNCTION carbonite._create_table_triggers(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $create$
BEGIN
    EXECUTE replace($ddl$
        COMMENT ON FUNCTION PREFIX.capture_changes() IS 'trigger of audited tables: records a row''s change in changes';
        COMMENT ON FUNCTION PREFIX.set_transaction_id() IS 'trigger of transactions: gives a new row its id and xact_id';

        DROP TRIGGER IF EXISTS set_transaction_id_trigger ON PREFIX.transactions;
        CREATE TRIGGER set_transaction_id_trigger BEFORE INSERT ON PREFIX.transactions
            FOR EACH ROW EXECUTE FUNCTION PREFIX.set_transaction_id();
        COMMENT ON TRIGGER set_transaction_id_trigger ON PREFIX.transactions IS 'gives a new row its id and xact_id';

        DROP TRIGGER IF EXISTS guard_transaction_trigger ON PREFIX.transactions;
        CREATE TRIGGER guard_transaction_trigger BEFORE UPDATE OR DELETE ON PREFIX.transactions
            FOR EACH ROW EXECUTE FUNCTION carbonite._guard_transaction();
        ALTER TABLE PREFIX.transactions ENABLE ALWAYS TRIGGER guard_transaction_trigger;
        COMMENT ON TRIGGER guard_transaction_trigger ON PREFIX.transactions IS 'keeps writers to their own transaction''s row';

        DROP TRIGGER IF EXISTS resolve_table_trigger ON PREFIX.triggers;
        CREATE TRIGGER resolve_table_trigger BEFORE INSERT OR UPDATE ON PREFIX.triggers
            FOR EACH ROW EXECUTE FUNCTION carbonite._resolve_table();
        ALTER TABLE PREFIX.triggers ENABLE ALWAYS TRIGGER resolve_table_trigger;
        COMMENT ON TRIGGER resolve_table_trigger ON PREFIX.triggers IS 'finds the table that a row names, and its columns';

        DROP TRIGGER IF EXISTS configuration_changed_trigger ON PREFIX.triggers;
        CREATE TRIGGER configuration_changed_trigger
            AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON PREFIX.triggers
            FOR EACH STATEMENT EXECUTE FUNCTION carbonite._configuration_changed();
        ALTER TABLE PREFIX.triggers ENABLE ALWAYS TRIGGER configuration_changed_trigger;
        COMMENT ON TRIGGER configuration_changed_trigger ON PREFIX.triggers IS 'makes a change take effect in every session';

        DROP TRIGGER IF EXISTS configuration_changed_trigger ON PREFIX.settings;
        CREATE TRIGGER configuration_changed_trigger
            AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON PREFIX.settings
            FOR EACH STATEMENT EXECUTE FUNCTION carbonite._configuration_changed();
        ALTER TABLE PREFIX.settings ENABLE ALWAYS TRIGGER configuration_changed_trigger;
        COMMENT ON TRIGGER configuration_changed_trigger ON PREFIX.settings IS 'makes a change take effect in every session';
    $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
END
$create$;
COMMENT ON FUNCTION carbonite._create_table_triggers(text) IS 'internal: creates the triggers of a prefix''s own tables';

-- Makes a schema with the tables of a prefix one: its functions are ours.
CREATE FUNCTION carbonite._create_functions(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._create_capture_functions(to_regnamespace(carbonite_prefix));
    PERFORM carbonite._create_table_triggers(carbonite_prefix);
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', carbonite_prefix, 'an audit trail of carbonite');
END
$$;
COMMENT ON FUNCTION carbonite._create_functions(text) IS
    'internal: gives a schema the functions and triggers that make it a prefix';

CREATE FUNCTION carbonite._check_schema_options(transaction_mode text, indexes text, override_role text)
RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._check_choice('transaction_mode', transaction_mode, '{required,auto,optional}');
    PERFORM carbonite._check_choice('indexes', indexes, '{fast,compatible}');
    IF override_role <> '' AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = override_role) THEN
        RAISE EXCEPTION 'role "%" does not exist', override_role USING ERRCODE = 'undefined_object';
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._check_schema_options(text, text, text) IS
    'internal: raises 22023 or 42704 for options that a prefix cannot have';

CREATE FUNCTION carbonite.install_schema(
    transaction_mode text DEFAULT NULL,
    indexes text DEFAULT NULL,
    override_role text DEFAULT NULL,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    current_mode text;
    current_override_role text;
BEGIN
    PERFORM carbonite._check_prefix_name(carbonite_prefix);
    PERFORM carbonite._check_schema_options(transaction_mode, indexes, override_role);

    IF carbonite._is_prefix(carbonite_prefix) THEN
        EXECUTE format('SELECT s.transaction_mode, coalesce(s.override_role, %L) FROM %I.settings s', '', carbonite_prefix)
            INTO current_mode, current_override_role;
        IF transaction_mode <> current_mode
            OR indexes <> carbonite._indexes(carbonite_prefix)
            OR override_role <> current_override_role
        THEN
            RAISE EXCEPTION 'carbonite prefix "%" is installed already, with other options', carbonite_prefix
                USING ERRCODE = 'duplicate_object',
                    DETAIL = format('transaction_mode is %s, indexes is %s, override_role is "%s".', current_mode,
                        carbonite._indexes(carbonite_prefix), current_override_role),
                    HINT = 'Change them with carbonite.configure_schema().';
        END IF;
        RAISE NOTICE 'carbonite prefix "%" is installed already', carbonite_prefix;
        RETURN;
    END IF;

    IF to_regnamespace(carbonite_prefix) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', carbonite_prefix);
    ELSIF EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace(carbonite_prefix))
        OR EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = to_regnamespace(carbonite_prefix))
        OR EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = to_regnamespace(carbonite_prefix))
    THEN
        RAISE EXCEPTION 'schema "%" exists, is not empty and is not a carbonite prefix', carbonite_prefix
            USING ERRCODE = 'duplicate_schema',
                HINT = 'Choose another carbonite_prefix, or take over a prefix of the Elixir library with carbonite.adopt_schema().';
    END IF;
    PERFORM carbonite._create_tables(carbonite_prefix);
    PERFORM carbonite._extend_tables(carbonite_prefix);
    PERFORM carbonite._create_indexes(coalesce(indexes, 'fast'), carbonite_prefix);
    PERFORM carbonite._create_functions(carbonite_prefix);
    EXECUTE format('INSERT INTO %I.settings (transaction_mode, override_role) VALUES ($1, $2)', carbonite_prefix)
        USING coalesce(transaction_mode, 'required'), nullif(override_role, '');
END
$$;
COMMENT ON FUNCTION carbonite.install_schema(text, text, text, text) IS
    'Creates a prefix: a schema with the tables transactions, changes, triggers, outboxes, settings and seals. '
    'transaction_mode: required (default), auto or optional. indexes of changes: fast (default), with the primary '
    'key (transaction_id, id), or compatible, with the primary key (id). override_role: the role whose members may '
    'override modes (default: everybody may). Installing again changes nothing. '
    'Errors: 42602, 42622, 42939 for a bad name; 42P06 if the schema has other contents; 42710 if it is '
    'installed with other options; 42704 no such role; 22023. Example: SELECT carbonite.install_schema()';

CREATE FUNCTION carbonite.configure_schema(
    transaction_mode text DEFAULT NULL,
    indexes text DEFAULT NULL,
    keep_dropped_tables boolean DEFAULT NULL,
    override_role text DEFAULT NULL,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    PERFORM carbonite._check_schema_options(transaction_mode, indexes, override_role);
    IF coalesce(transaction_mode, keep_dropped_tables::text, override_role) IS NOT NULL THEN
        -- A catalog table knows no ON CONFLICT.
        EXECUTE format('INSERT INTO %1$I.settings (id) SELECT true WHERE NOT EXISTS (SELECT FROM %1$I.settings)', carbonite_prefix);
        EXECUTE format(
            'UPDATE %I.settings s SET transaction_mode = coalesce($1, s.transaction_mode),
                 keep_dropped_tables = coalesce($2, s.keep_dropped_tables),
                 override_role = nullif(coalesce($3, s.override_role), %L)', carbonite_prefix, '')
            USING transaction_mode, keep_dropped_tables, override_role;
    END IF;
    IF indexes <> carbonite._indexes(carbonite_prefix) THEN
        PERFORM carbonite._create_indexes(indexes, carbonite_prefix);
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite.configure_schema(text, text, boolean, text, text) IS
    'Changes options of a prefix, in every session from its next statement on; those that are not given stay. '
    'Other indexes are built at once, which locks changes for as long as that takes. keep_dropped_tables: rows of '
    'triggers stay when their tables are dropped. override_role: the empty text lets everybody override again. '
    'Options and errors as of install_schema(); 3F000 if the prefix does not exist. '
    'Example: SELECT carbonite.configure_schema(transaction_mode => ''auto'')';

-- What decodes the WAL reads configuration as it was, out of the table itself. If that is dropped, a slot that has its
-- last changes still to read could never read on, whatever its plugin.
CREATE FUNCTION carbonite._wait_for_slots(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written pg_lsn;
    behind record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.slot_type = 'logical' AND s.database = current_database()) THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM pg_stat_xact_user_tables t
        WHERE t.schemaname = carbonite_prefix AND t.relname IN ('triggers', 'settings') AND t.n_tup_ins + t.n_tup_upd + t.n_tup_del > 0
    ) THEN
        RAISE EXCEPTION 'cannot drop carbonite prefix "%" in the transaction that has changed its configuration', carbonite_prefix
            USING ERRCODE = 'object_in_use',
                DETAIL = 'Logical replication slots could not read that change any more.',
                HINT = 'Drop it in a transaction of its own.';
    END IF;
    written := pg_current_wal_insert_lsn();
    FOR i IN 1..200 LOOP
        SELECT s.slot_name, s.active INTO behind
        FROM pg_replication_slots s
        WHERE s.slot_type = 'logical' AND s.database = current_database() AND s.confirmed_flush_lsn < written
        ORDER BY s.active, s.slot_name
        LIMIT 1;
        EXIT WHEN behind IS NULL OR NOT behind.active;
        PERFORM pg_sleep(0.1);
    END LOOP;
    IF behind IS NOT NULL THEN
        RAISE EXCEPTION 'cannot drop carbonite prefix "%" because replication slot "%" has yet to read its configuration', carbonite_prefix, behind.slot_name
            USING ERRCODE = 'object_in_use',
                DETAIL = format('It has not confirmed %s yet.', written),
                HINT = 'Let its client catch up, or drop the slot.';
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._wait_for_slots(text) IS
    'internal: waits for logical replication slots, or raises 55006, before a prefix is dropped';

CREATE FUNCTION carbonite.drop_schema(
    cascade boolean DEFAULT false,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $$
DECLARE
    tables text;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    SELECT string_agg(t.table_oid::text, ', ') INTO tables FROM carbonite._capture_triggers(carbonite_prefix) t;
    IF tables IS NOT NULL AND NOT cascade THEN
        RAISE EXCEPTION 'cannot drop carbonite prefix "%" because tables are recorded in it', carbonite_prefix
            USING ERRCODE = 'dependent_objects_still_exist',
                DETAIL = format('Their changes are recorded: %s.', tables),
                HINT = 'Use carbonite.drop_trigger() first, or cascade => true to drop the triggers too.';
    END IF;
    PERFORM carbonite._wait_for_slots(carbonite_prefix);
    -- so that what is deleted now can be decoded after the table is gone
    EXECUTE format('ALTER TABLE %I.triggers RESET (user_catalog_table)', carbonite_prefix);
    EXECUTE format('DELETE FROM %I.triggers', carbonite_prefix);
    PERFORM carbonite._drop_triggers(NULL, carbonite_prefix);
    EXECUTE format('DROP SCHEMA %I CASCADE', carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite.drop_schema(boolean, text) IS
    'Drops a prefix with everything it recorded. Refuses while tables are recorded in it, unless '
    'cascade => true drops their triggers. Waits up to 20 seconds for logical replication slots to read what is written. '
    'Errors: 3F000 if it does not exist; 2BP01; 55006 if a slot has yet to read its configuration. '
    'Example: SELECT carbonite.drop_schema(cascade => true)';

CREATE VIEW carbonite.prefixes AS
SELECT
    n.nspname AS carbonite_prefix,
    pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
    (SELECT pg_catalog.count(*) FROM carbonite._capture_triggers(n.nspname)) AS tables
FROM carbonite._prefixes() p
JOIN pg_catalog.pg_namespace n ON n.nspname = p;
COMMENT ON VIEW carbonite.prefixes IS 'prefixes of this database, their owners and how many tables each records';
GRANT SELECT ON carbonite.prefixes TO PUBLIC;

