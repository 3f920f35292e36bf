-- Reading what was recorded.

-- The full row after the changes of a record so far.
CREATE FUNCTION carbonite._complete_step(state jsonb, data jsonb, data_is_partial boolean) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'carbonite_complete_step';
COMMENT ON FUNCTION carbonite._complete_step(jsonb, jsonb, boolean) IS 'internal: a step of carbonite._complete()';
CREATE AGGREGATE carbonite._complete(data jsonb, data_is_partial boolean) (
    SFUNC = carbonite._complete_step, STYPE = jsonb, PARALLEL = SAFE
);
COMMENT ON AGGREGATE carbonite._complete(jsonb, boolean) IS
    'internal: the row after changes of one record, in order, some of which hold it in part';

CREATE FUNCTION carbonite.fetch_changes(carbonite_prefix text DEFAULT 'carbonite_default')
RETURNS SETOF carbonite.change
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    current carbonite.transaction := carbonite.current_transaction(carbonite_prefix);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT c.id, c.transaction_xact_id, c.op::text, c.table_prefix::text, c.table_name::text,
             c.table_pk::text[], coalesce(earlier.data, c.data), c.changed::text[], c.transaction_id,
             c.changed_from, coalesce(earlier.data_is_partial, false), c.command::text
         FROM %1$I.changes c
         LEFT JOIN LATERAL (
             SELECT carbonite._complete(e.data, e.data_is_partial ORDER BY e.id) AS data,
                 bool_and(e.data_is_partial) AS data_is_partial
             FROM %1$I.changes e
             WHERE e.table_pk = c.table_pk AND e.table_name = c.table_name AND e.table_prefix = c.table_prefix
                 AND e.id <= c.id
         ) earlier ON c.data_is_partial
         WHERE c.transaction_id = $1
         ORDER BY c.id', carbonite_prefix)
        USING current.id;
END
$$;
COMMENT ON FUNCTION carbonite.fetch_changes(text) IS
    'Changes that the current transaction recorded so far, in order, completed as changes() does it. Needs SELECT on <prefix>.changes. '
    'Errors: 3F000 no such prefix; 42501. Example: SELECT op, data FROM carbonite.fetch_changes()';

CREATE FUNCTION carbonite.changes(
    table_name regclass,
    key text[],
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS SETOF carbonite.change
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    recorded record;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    SELECT n.nspname::text AS table_prefix, c.relname::text AS recorded_name INTO recorded
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = changes.table_name;
    SELECT c.table_prefix, c.recorded_name INTO recorded
    FROM carbonite._configuration(changes.table_name, carbonite_prefix) c
    UNION ALL SELECT recorded.table_prefix, recorded.recorded_name
    LIMIT 1;
    RETURN QUERY EXECUTE format(
        'SELECT c.id, c.transaction_xact_id, c.op::text, c.table_prefix::text, c.table_name::text,
             c.table_pk::text[], carbonite._complete(c.data, c.data_is_partial) OVER record, c.changed::text[],
             c.transaction_id, c.changed_from, bool_and(c.data_is_partial) OVER record, c.command::text
         FROM %I.changes c
         WHERE c.table_prefix = $1 AND c.table_name = $2 AND %s
         WINDOW record AS (PARTITION BY c.table_pk ORDER BY c.id)
         ORDER BY c.id',
        carbonite_prefix, CASE WHEN key IS NULL THEN 'true' ELSE 'c.table_pk = $3' END)
        USING recorded.table_prefix::varchar, recorded.recorded_name::varchar, carbonite._stored_key(key);
END
$$;
COMMENT ON FUNCTION carbonite.changes(regclass, text[], text) IS
    'History of the row of a table with a key, oldest first; with a null key, of the whole table. data is '
    'completed where only changed columns were stored; data_is_partial tells where that is not possible. Needs SELECT on '
    '<prefix>.changes and <prefix>.triggers. Errors: 3F000 no such prefix; 42P01 no such table; 42501. '
    'Example: SELECT op, data FROM carbonite.changes(''rabbits'', ''{1}'')';

CREATE FUNCTION carbonite.record_key(
    record anyelement,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    config record;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    SELECT c.* INTO config
    FROM pg_type t, carbonite._configuration(t.typrelid::regclass, carbonite_prefix) c
    WHERE t.oid = pg_typeof(record) AND t.typrelid <> 0;
    IF config.id IS NULL THEN
        RAISE EXCEPTION 'type % is not the row type of a table that is recorded in "%"',
            pg_typeof(record), carbonite_prefix
            USING ERRCODE = 'wrong_object_type', HINT = 'Give a row of the table, as in FROM rabbits r, carbonite.changes(r).';
    END IF;
    RETURN carbonite._record_key(record, config.primary_key_columns, ARRAY(
        SELECT config.mask_primary_key AND k.name = ANY (config.masked_columns)
        FROM unnest(config.primary_key_columns) WITH ORDINALITY AS k (name, position)
        ORDER BY k.position));
END
$$;
COMMENT ON FUNCTION carbonite.record_key(anyelement, text) IS
    'The key under which the changes of a row are recorded. Errors: 3F000 no such prefix; 42809 if it is not a row of '
    'a recorded table. Example: SELECT carbonite.record_key(r) FROM rabbits r';

CREATE FUNCTION carbonite.changes(record anyelement) RETURNS SETOF carbonite.change
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own_table regclass := (SELECT t.typrelid FROM pg_type t WHERE t.oid = pg_typeof(record));
BEGIN
    RETURN QUERY SELECT * FROM carbonite.changes(own_table, carbonite.record_key(record));
END
$$;
COMMENT ON FUNCTION carbonite.changes(anyelement) IS
    'History of a row of a table, oldest first, from the default prefix. For another prefix: '
    'carbonite.changes(''rabbits'', carbonite.record_key(r, ''audit''), ''audit''). Errors as of record_key(). '
    'Example: SELECT c.op, c.data FROM rabbits r, carbonite.changes(r) c WHERE r.id = 1';
