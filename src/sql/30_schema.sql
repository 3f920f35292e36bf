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

-- Creates the tables of a prefix in an empty schema.
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
            changed_from jsonb,
            data_is_partial boolean NOT NULL DEFAULT false,
            command varchar
        );
        CREATE INDEX changes_table_prefix_table_name_table_pk_index
            ON PREFIX.changes (table_pk carbonite.key_ops, table_name, table_prefix);
        -- Without the extension the table can be read on.
        ALTER INDEX PREFIX.changes_table_prefix_table_name_table_pk_index DEPENDS ON EXTENSION carbonite;
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
        COMMENT ON COLUMN PREFIX.changes.data_is_partial IS 'data of this update has the columns of the key and those that changed only';
        COMMENT ON COLUMN PREFIX.changes.command IS 'the command if it is no change of a row: TRUNCATE';
        COMMENT ON INDEX PREFIX.changes_table_prefix_table_name_table_pk_index IS 'history of a record';

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
            store_changed_from boolean NOT NULL DEFAULT false,
            table_oid regclass,
            exact_comparison boolean NOT NULL DEFAULT false,
            mask_primary_key boolean NOT NULL DEFAULT true,
            store_data text NOT NULL DEFAULT 'full'
                CONSTRAINT triggers_store_data CHECK (store_data IN ('full', 'changed')),
            on_truncate text NOT NULL DEFAULT 'capture'
                CONSTRAINT triggers_on_truncate CHECK (on_truncate IN ('capture', 'refuse', 'ignore')),
            known_columns varchar[],
            known_table text
        ) WITH (user_catalog_table = true);
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
        COMMENT ON COLUMN PREFIX.triggers.table_oid IS 'the table itself, found by its name when the row is written';
        COMMENT ON COLUMN PREFIX.triggers.exact_comparison IS 'a value that differs in its bytes only, as numeric 1.1 and 1.10, has changed';
        COMMENT ON COLUMN PREFIX.triggers.mask_primary_key IS 'filtered columns are masked in table_pk too';
        COMMENT ON COLUMN PREFIX.triggers.store_data IS 'what updates record in data: the full row, or the key and changed columns';
        COMMENT ON COLUMN PREFIX.triggers.on_truncate IS 'whether TRUNCATE is recorded, refused or ignored';
        COMMENT ON COLUMN PREFIX.triggers.known_columns IS 'names of the table''s columns, by their numbers, when names in this row were those of columns';
        COMMENT ON COLUMN PREFIX.triggers.known_table IS 'the table whose column numbers these are, as no other server has it';

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

        CREATE TABLE PREFIX.settings (
            id boolean CONSTRAINT settings_pkey PRIMARY KEY DEFAULT true
                CONSTRAINT settings_one_row CHECK (id),
            transaction_mode text NOT NULL DEFAULT 'required'
                CONSTRAINT settings_transaction_mode CHECK (transaction_mode IN ('required', 'auto', 'optional')),
            keep_dropped_tables boolean NOT NULL DEFAULT false
        ) WITH (user_catalog_table = true);
        COMMENT ON TABLE PREFIX.settings IS 'settings of the whole prefix, in one row';
        COMMENT ON COLUMN PREFIX.settings.transaction_mode IS 'what happens to changes of a transaction without a row in transactions';
        COMMENT ON COLUMN PREFIX.settings.keep_dropped_tables IS 'rows of triggers stay when their tables are dropped';
    $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
END
$create$;
COMMENT ON FUNCTION carbonite._create_tables(text) IS 'internal: creates the types and tables of a prefix';

-- Gives changes the indexes of a set, in place of those of the other one.
CREATE FUNCTION carbonite._create_indexes(indexes text, carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $create$
BEGIN
    EXECUTE replace($ddl$
        ALTER TABLE PREFIX.changes DROP CONSTRAINT IF EXISTS changes_pkey;
        DROP INDEX IF EXISTS PREFIX.changes_transaction_id_index;
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
END
$create$;
COMMENT ON FUNCTION carbonite._create_indexes(text, text) IS 'internal: creates a set of indexes of changes';

-- The set of indexes that changes has, as its primary key tells.
CREATE FUNCTION carbonite._indexes(carbonite_prefix text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN EXISTS (
        SELECT
        FROM pg_constraint c
        WHERE c.conrelid = to_regclass(format('%I.changes', carbonite_prefix))
            AND c.contype = 'p' AND cardinality(c.conkey) = 2
    ) THEN 'fast' ELSE 'compatible' END
$$;
COMMENT ON FUNCTION carbonite._indexes(text) IS 'internal: the set of indexes of a prefix';

-- Creates the triggers on the tables of a prefix.
CREATE FUNCTION carbonite._create_table_triggers(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $create$
BEGIN
    EXECUTE replace($ddl$
        COMMENT ON FUNCTION PREFIX.capture_changes() IS 'trigger of audited tables: records a row''s change in changes';
        COMMENT ON FUNCTION PREFIX.set_transaction_id() IS 'trigger of transactions: gives a new row its id and xact_id';

        CREATE TRIGGER set_transaction_id_trigger BEFORE INSERT ON PREFIX.transactions
            FOR EACH ROW EXECUTE FUNCTION PREFIX.set_transaction_id();
        COMMENT ON TRIGGER set_transaction_id_trigger ON PREFIX.transactions IS 'gives a new row its id and xact_id';

        CREATE TRIGGER resolve_table_trigger BEFORE INSERT OR UPDATE ON PREFIX.triggers
            FOR EACH ROW EXECUTE FUNCTION carbonite._resolve_table();
        ALTER TABLE PREFIX.triggers ENABLE ALWAYS TRIGGER resolve_table_trigger;
        COMMENT ON TRIGGER resolve_table_trigger ON PREFIX.triggers IS 'finds the table that a row names, and its columns';

        CREATE TRIGGER configuration_changed_trigger
            AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON PREFIX.triggers
            FOR EACH STATEMENT EXECUTE FUNCTION carbonite._configuration_changed();
        ALTER TABLE PREFIX.triggers ENABLE ALWAYS TRIGGER configuration_changed_trigger;
        COMMENT ON TRIGGER configuration_changed_trigger ON PREFIX.triggers IS 'makes a change take effect in every session';

        CREATE TRIGGER configuration_changed_trigger
            AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON PREFIX.settings
            FOR EACH STATEMENT EXECUTE FUNCTION carbonite._configuration_changed();
        ALTER TABLE PREFIX.settings ENABLE ALWAYS TRIGGER configuration_changed_trigger;
        COMMENT ON TRIGGER configuration_changed_trigger ON PREFIX.settings IS 'makes a change take effect in every session';
    $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
END
$create$;
COMMENT ON FUNCTION carbonite._create_table_triggers(text) IS 'internal: creates the triggers of a prefix''s own tables';

CREATE FUNCTION carbonite._check_schema_options(transaction_mode text, indexes text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._check_choice('transaction_mode', transaction_mode, '{required,auto,optional}');
    PERFORM carbonite._check_choice('indexes', indexes, '{fast,compatible}');
END
$$;
COMMENT ON FUNCTION carbonite._check_schema_options(text, text) IS
    'internal: raises 22023 for options that a prefix cannot have';

CREATE FUNCTION carbonite.install_schema(
    transaction_mode text DEFAULT NULL,
    indexes text DEFAULT NULL,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    current_mode text;
BEGIN
    PERFORM carbonite._check_prefix_name(carbonite_prefix);
    PERFORM carbonite._check_schema_options(transaction_mode, indexes);

    IF carbonite._is_prefix(carbonite_prefix) THEN
        EXECUTE format('SELECT s.transaction_mode FROM %I.settings s', carbonite_prefix) INTO current_mode;
        IF transaction_mode IS DISTINCT FROM current_mode AND transaction_mode IS NOT NULL
            OR indexes <> carbonite._indexes(carbonite_prefix)
        THEN
            RAISE EXCEPTION 'carbonite prefix "%" is installed already, with transaction_mode % and indexes %',
                carbonite_prefix, current_mode, carbonite._indexes(carbonite_prefix)
                USING ERRCODE = 'duplicate_object', HINT = 'Change them with carbonite.configure_schema().';
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
            USING ERRCODE = 'duplicate_schema', HINT = 'Choose another carbonite_prefix.';
    END IF;
    EXECUTE format('COMMENT ON SCHEMA %I IS %L', carbonite_prefix, 'an audit trail of carbonite');
    PERFORM carbonite._create_tables(carbonite_prefix);
    PERFORM carbonite._create_indexes(coalesce(indexes, 'fast'), carbonite_prefix);
    PERFORM carbonite._create_capture_functions(to_regnamespace(carbonite_prefix));
    PERFORM carbonite._create_table_triggers(carbonite_prefix);
    EXECUTE format('INSERT INTO %I.settings (transaction_mode) VALUES ($1)', carbonite_prefix)
        USING coalesce(transaction_mode, 'required');
END
$$;
COMMENT ON FUNCTION carbonite.install_schema(text, text, text) IS
    'Creates a prefix: a schema with the tables transactions, changes, triggers, outboxes and settings. '
    'transaction_mode: required (default), auto or optional. indexes of changes: fast (default), with the primary '
    'key (transaction_id, id), or compatible, with the primary key (id). Installing again changes nothing. '
    'Errors: 42602, 42622, 42939 for a bad name; 42P06 if the schema has other contents; 42710 if it is '
    'installed with other options; 22023. Example: SELECT carbonite.install_schema()';

CREATE FUNCTION carbonite.configure_schema(
    transaction_mode text DEFAULT NULL,
    indexes text DEFAULT NULL,
    keep_dropped_tables boolean DEFAULT NULL,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    PERFORM carbonite._check_schema_options(transaction_mode, indexes);
    IF coalesce(transaction_mode, keep_dropped_tables::text) IS NOT NULL THEN
        -- A catalog table knows no ON CONFLICT.
        EXECUTE format('INSERT INTO %1$I.settings (id) SELECT true WHERE NOT EXISTS (SELECT FROM %1$I.settings)', carbonite_prefix);
        EXECUTE format(
            'UPDATE %I.settings s SET transaction_mode = coalesce($1, s.transaction_mode),
                 keep_dropped_tables = coalesce($2, s.keep_dropped_tables)', carbonite_prefix)
            USING transaction_mode, keep_dropped_tables;
    END IF;
    IF indexes <> carbonite._indexes(carbonite_prefix) THEN
        PERFORM carbonite._create_indexes(indexes, carbonite_prefix);
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite.configure_schema(text, text, boolean, text) IS
    'Changes options of a prefix, in every session from its next statement on; those that are not given stay. '
    'Other indexes are built at once, which locks changes for as long as that takes. keep_dropped_tables: rows of '
    'triggers stay when their tables are dropped. Options and errors as of install_schema(); 3F000 if the prefix '
    'does not exist. Example: SELECT carbonite.configure_schema(transaction_mode => ''auto'')';

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
    PERFORM carbonite._drop_triggers(NULL, carbonite_prefix);
    EXECUTE format('DROP SCHEMA %I CASCADE', carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite.drop_schema(boolean, text) IS
    'Drops a prefix with everything it recorded. Refuses while tables are recorded in it, unless '
    'cascade => true drops their triggers. Errors: 3F000 if it does not exist; 2BP01. '
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

