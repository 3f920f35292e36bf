-- bench/indexes: candidates for the indexes of changes, on one table that is filled once.
SELECT carbonite.install_schema('auto');
CREATE TABLE items (LIKE source INCLUDING ALL);
SELECT carbonite.install_trigger('items', on_truncate => 'ignore');
CREATE UNLOGGED TABLE filling (LIKE source);
CREATE TABLE visits (item_id bigint, n int);
SELECT carbonite.install_trigger('visits', primary_key_columns => '{item_id}', on_truncate => 'ignore');

CREATE TABLE candidates (no int PRIMARY KEY, title text, ddl text);
INSERT INTO candidates VALUES
    (0, 'none', ''),
    (1, 'compatible, with array_ops',
        'CREATE UNIQUE INDEX c1 ON CHANGES (id); CREATE INDEX c2 ON CHANGES (transaction_id);
         CREATE INDEX c3 ON CHANGES (table_pk, table_name, table_prefix)'),
    (2, 'compatible',
        'CREATE UNIQUE INDEX c1 ON CHANGES (id); CREATE INDEX c2 ON CHANGES (transaction_id);
         CREATE INDEX c3 ON CHANGES (table_pk carbonite.key_ops, table_name, table_prefix)'),
    (3, 'fast, with array_ops',
        'CREATE UNIQUE INDEX c1 ON CHANGES (transaction_id, id);
         CREATE INDEX c3 ON CHANGES (table_pk, table_name, table_prefix)'),
    (4, 'fast',
        'CREATE UNIQUE INDEX c1 ON CHANGES (transaction_id, id);
         CREATE INDEX c3 ON CHANGES (table_pk carbonite.key_ops, table_name, table_prefix)'),
    (5, 'fast, the key last',
        'CREATE UNIQUE INDEX c1 ON CHANGES (transaction_id, id);
         CREATE INDEX c3 ON CHANGES (table_prefix, table_name, table_pk carbonite.key_ops)'),
    (6, 'fast, not deduplicated',
        'CREATE UNIQUE INDEX c1 ON CHANGES (transaction_id, id);
         CREATE INDEX c3 ON CHANGES (table_pk carbonite.key_ops, table_name, table_prefix) WITH (deduplicate_items = off)'),
    (7, 'fast, hash (table_pk)',
        'CREATE UNIQUE INDEX c1 ON CHANGES (transaction_id, id); CREATE INDEX c3 ON CHANGES USING hash (table_pk)'),
    (8, 'four as in the original',
        'CREATE UNIQUE INDEX c1 ON CHANGES (id); CREATE INDEX c2 ON CHANGES (transaction_id);
         CREATE INDEX c4 ON CHANGES (transaction_xact_id);
         CREATE INDEX c3 ON CHANGES (table_prefix, table_name, table_pk)');

CREATE TABLE results (no int, run int, what text, value numeric);

-- `most` changes of a tenth as many records, 100 in a transaction; and a hundred keys that a thousand
-- tables share. Written without triggers and without indexes.
CREATE PROCEDURE fill(most bigint) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL session_replication_role = replica;
    ALTER TABLE carbonite_default.changes DROP CONSTRAINT changes_pkey;
    DROP INDEX carbonite_default.changes_table_prefix_table_name_table_pk_index;
    INSERT INTO carbonite_default.transactions (id, xact_id) SELECT g, pg_current_xact_id() FROM generate_series(1, most / 100 + 1000) g;
    INSERT INTO carbonite_default.changes (transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed, transaction_id)
    SELECT pg_current_xact_id(), 'update', 'bench', 'items', ARRAY[(g * 7919 % (most / 10) + 1)::text], '{"id": 1, "name": "a row of some length"}',
        '{name}', g / 100 + 1
    FROM generate_series(0, most - 1) g;
    INSERT INTO carbonite_default.changes (transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed, transaction_id)
    SELECT pg_current_xact_id(), 'update', 'bench', 'table_' || t, ARRAY[k::text], '{"id": 1, "name": "a row of some length"}',
        '{name}', most / 100 + t
    FROM generate_series(1, 1000) t, generate_series(1, 100) k;
    PERFORM setval('carbonite_default.transactions_id_seq', most);
    COMMIT;
    ANALYZE carbonite_default.changes;
    ANALYZE carbonite_default.transactions;
END
$$;

-- Milliseconds of a query on each of some numbers: the median, and what 1 in 100 takes at least.
CREATE FUNCTION lookup(query text, numbers bigint[], OUT median numeric, OUT p99 numeric)
LANGUAGE plpgsql AS $$
DECLARE
    times numeric[] := '{}';
    started timestamptz;
    n bigint;
BEGIN
    FOR round IN 0 .. 1 LOOP -- warm
        times := '{}';
        FOREACH n IN ARRAY numbers LOOP
            started := clock_timestamp();
            EXECUTE query USING n;
            times := times || extract(epoch FROM clock_timestamp() - started)::numeric * 1000;
        END LOOP;
    END LOOP;
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t), percentile_cont(0.99) WITHIN GROUP (ORDER BY t)
    INTO median, p99 FROM unnest(times) t;
END
$$;

CREATE PROCEDURE note(no int, run int, what text, value numeric) LANGUAGE sql AS $$
    INSERT INTO results VALUES (no, run, what, value)
$$;

CREATE PROCEDURE measure(candidate int, most bigint, runs int) LANGUAGE plpgsql AS $$
DECLARE
    ddl text := (SELECT replace(c.ddl, 'CHANGES', 'carbonite_default.changes') FROM candidates c WHERE no = candidate);
    looked_up record;
    records bigint := most / 10;
    history text := 'SELECT FROM carbonite_default.changes c WHERE c.table_prefix = ''bench'' AND c.table_name = %L
        AND c.table_pk = ARRAY[$1::text]::varchar[] ORDER BY c.id';
    numbers bigint[] := ARRAY(SELECT g * 104729 % records + 1 FROM generate_series(1, 200) g);
    started timestamptz;
    seconds numeric;
BEGIN
    EXECUTE ddl;
    COMMIT;
    CALL note(candidate, 0, 'MB', pg_indexes_size('carbonite_default.changes') / 1e6);
    FOR run IN 1 .. runs LOOP
        TRUNCATE items, filling;
        INSERT INTO filling SELECT * FROM make_rows(1000000000 + run * 100000, 1000000000 + run * 100000 + 99999);
        COMMIT;
        CHECKPOINT;
        CALL note(candidate, run, 'new', cost('INSERT INTO bench.items SELECT * FROM bench.filling', 100000));
        COMMIT;
        TRUNCATE items, filling;
        INSERT INTO filling
        SELECT (id * 7919 + run * 17) % records + 1, token, name, email, note, price, quantity, active, updated_at, tags
        FROM make_rows(1, least(100000, records));
        COMMIT;
        CHECKPOINT;
        CALL note(candidate, run, 'random', cost('INSERT INTO bench.items SELECT * FROM bench.filling', least(100000, records)));
        COMMIT;
    END LOOP;
    IF candidate > 0 THEN
        -- a key with 50,000 changes, and 10,000 more
        TRUNCATE visits;
        INSERT INTO visits SELECT 1, g FROM generate_series(1, 50000) g;
        COMMIT;
        CALL note(candidate, 0, 'hot', cost('INSERT INTO bench.visits SELECT 1, g FROM generate_series(1, 10000) g', 10000));
        COMMIT;
        looked_up := lookup(format(history, 'items'), numbers);
        CALL note(candidate, 0, 'history ms', looked_up.median);
        CALL note(candidate, 0, 'history p99', looked_up.p99);
        looked_up := lookup(format(history, 'table_500'), ARRAY(SELECT generate_series(1, 100)));
        CALL note(candidate, 0, 'shared key ms', looked_up.median);
        looked_up := lookup('SELECT FROM carbonite_default.changes WHERE transaction_id = $1 ORDER BY id', numbers);
        CALL note(candidate, 0, 'transaction ms', looked_up.median);
        looked_up := lookup('SELECT FROM carbonite_default.changes WHERE id = $1', numbers[1:3]);
        CALL note(candidate, 0, 'id ms', looked_up.median);
        COMMIT;
        started := clock_timestamp();
        DELETE FROM carbonite_default.transactions WHERE id <= least(10000, most / 100);
        seconds := extract(epoch FROM clock_timestamp() - started);
        ROLLBACK;
        CALL note(candidate, 0, 'purge s', seconds);
    END IF;
    -- as it was before
    SET LOCAL session_replication_role = replica;
    DROP INDEX IF EXISTS carbonite_default.c1, carbonite_default.c2, carbonite_default.c3, carbonite_default.c4;
    DELETE FROM carbonite_default.changes WHERE transaction_id > most;
    COMMIT;
END
$$;

CREATE VIEW report AS
SELECT c.title AS indexes,
    round(max(value) FILTER (WHERE what = 'MB')) AS "MB",
    round((percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FILTER (WHERE what = 'new'))::numeric, 2) AS "new us",
    round((percentile_cont(0.5) WITHIN GROUP (ORDER BY value) FILTER (WHERE what = 'random'))::numeric, 2) AS "random us",
    round(max(value) FILTER (WHERE what = 'hot'), 2) AS "hot us",
    round(max(value) FILTER (WHERE what = 'history ms'), 3) AS "history ms",
    round(max(value) FILTER (WHERE what = 'history p99'), 3) AS "p99 ms",
    round(max(value) FILTER (WHERE what = 'shared key ms'), 3) AS "shared ms",
    round(max(value) FILTER (WHERE what = 'transaction ms'), 3) AS "transaction ms",
    round(max(value) FILTER (WHERE what = 'id ms'), 3) AS "id ms",
    round(max(value) FILTER (WHERE what = 'purge s'), 2) AS "purge s"
FROM results JOIN candidates c USING (no)
GROUP BY c.no, c.title
ORDER BY c.no;
