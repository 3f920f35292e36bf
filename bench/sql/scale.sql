-- bench/scale: what capture costs as statements, history, tables and rows grow.
SELECT carbonite.install_schema('auto');

CREATE TABLE costs (section text, x bigint, label text, contestant text, us numeric);

-- Measures a statement on the table without capture and on the one with it; ITEMS stands for them.
CREATE PROCEDURE compare(section text, x bigint, label text, statement text, rows bigint, before text DEFAULT '',
    tables text[] DEFAULT '{items_none,items_carb}')
LANGUAGE plpgsql AS $$
DECLARE
    items text;
BEGIN
    FOREACH items IN ARRAY tables LOOP
        IF before <> '' THEN
            EXECUTE replace(before, 'ITEMS', items);
        END IF;
        COMMIT;
        CHECKPOINT;
        INSERT INTO costs VALUES (section, x, label, items, cost(replace(statement, 'ITEMS', items), rows));
        COMMIT;
    END LOOP;
END
$$;

CREATE FUNCTION median(costs numeric[]) RETURNS numeric
LANGUAGE sql AS $$ SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY c)::numeric FROM unnest(costs) c $$;

CREATE VIEW report AS
SELECT section, x, label, round(median(array_agg(us) FILTER (WHERE contestant LIKE '%none')), 2) AS "no capture",
    round(median(array_agg(us) FILTER (WHERE contestant LIKE '%carb')), 2) AS carbonite,
    round(median(array_agg(us) FILTER (WHERE contestant LIKE '%carb'))
        - median(array_agg(us) FILTER (WHERE contestant LIKE '%none')), 2) AS added
FROM costs
GROUP BY section, x, label;

CREATE TABLE items_none (LIKE source INCLUDING ALL);
CREATE TABLE items_carb (LIKE source INCLUDING ALL);
SELECT carbonite.install_trigger('items_carb', on_truncate => 'ignore');

-- Statements of 1 to `most` rows.
CREATE PROCEDURE statements(most bigint, runs int) LANGUAGE plpgsql AS $$
DECLARE
    size bigint := 1;
    times bigint;
BEGIN
    WHILE size <= most LOOP
        times := greatest(1, 10000 / size);
        FOR run IN 1 .. CASE WHEN size > 1000000 THEN 1 ELSE runs END LOOP
            CALL compare('statements', size, to_char(size, 'FM99,999,999'),
                format('DO $d$ BEGIN FOR i IN 1 .. %s LOOP
                    INSERT INTO ITEMS SELECT * FROM bench.make_rows((i - 1) * %s::bigint + 1, i * %2$s::bigint); END LOOP; END $d$',
                    times, size),
                times * size, 'TRUNCATE ITEMS, carbonite_default.changes');
        END LOOP;
        size := size * 10;
    END LOOP;
    TRUNCATE items_none, items_carb, carbonite_default.changes;
END
$$;

-- A history of 0 to `most` changes of a million records.
CREATE PROCEDURE history(most bigint, runs int) LANGUAGE plpgsql AS $$
DECLARE
    size bigint := 0;
    measured bigint[] := ARRAY[0, most / 10, most / 5, most / 2, most];
    records bigint := least(1000000, greatest(most / 10, 1));
    lookup numeric[];
    started timestamptz;
BEGIN
    CREATE TABLE IF NOT EXISTS lookups (x bigint, changes bigint, ms numeric);
    LOOP
        IF size = ANY (measured) THEN
            FOR run IN 1 .. runs LOOP
                CALL compare('history', size, 'new records', format(
                    'INSERT INTO ITEMS SELECT * FROM bench.make_rows(%s, %s)', 100000000 + size * 100 + run * 100000, 100000000 + size * 100 + run * 100000 + 99999),
                    100000, 'TRUNCATE ITEMS');
                CALL compare('history', size, 'records at random', format(
                    'INSERT INTO ITEMS SELECT (id * 7919 + %s) %% %s + 1, token, name, email, note, price, quantity, active, updated_at, tags
                        FROM bench.make_rows(1, 100000)', run * 17, greatest(records, 100003)), 100000, 'TRUNCATE ITEMS');
            END LOOP;
            lookup := '{}';
            FOR i IN 1 .. 200 LOOP
                started := clock_timestamp();
                PERFORM FROM carbonite_default.changes c
                WHERE c.table_prefix = 'bench' AND c.table_name = 'items_carb' AND c.table_pk = ARRAY[(i * 4999 % records + 1)::text]::varchar[]
                ORDER BY c.id;
                lookup := lookup || extract(epoch FROM clock_timestamp() - started)::numeric * 1000;
            END LOOP;
            INSERT INTO lookups VALUES (size, size / records, median(lookup));
            COMMIT;
        END IF;
        EXIT WHEN size >= most;
        TRUNCATE items_carb;
        INSERT INTO items_carb SELECT * FROM make_rows(1, records);
        COMMIT;
        size := size + records;
    END LOOP;
    ANALYZE carbonite_default.changes;
    TRUNCATE items_none, items_carb, carbonite_default.changes;
END
$$;

-- One row into each of many tables, in one session.
CREATE PROCEDURE tables(most int, runs int) LANGUAGE plpgsql AS $$
DECLARE
    made int := 0;
    size int := 1;
BEGIN
    CREATE TABLE IF NOT EXISTS plans (x bigint, bytes bigint);
    WHILE size <= most LOOP
        FOR i IN made + 1 .. size LOOP
            EXECUTE format('CREATE TABLE many_%s_none (LIKE bench.source INCLUDING ALL)', i);
            EXECUTE format('CREATE TABLE many_%s_carb (LIKE bench.source INCLUDING ALL)', i);
            PERFORM carbonite.install_trigger(format('many_%s_carb', i)::regclass);
            COMMIT;
        END LOOP;
        made := size;
        FOR run IN 0 .. runs LOOP
            CALL compare('tables', size, to_char(size, 'FM9,999'),
                format('DO $d$ BEGIN FOR i IN 1 .. %s LOOP FOR k IN 1 .. %s LOOP
                        EXECUTE format(''INSERT INTO many_%%s_ITEMS SELECT * FROM bench.make_rows(%%s, %%s)'', k, i, i); END LOOP; END LOOP; END $d$',
                    greatest(1, 5000 / size), size),
                greatest(1, 5000 / size) * size,
                format('DO $d$ BEGIN FOR k IN 1 .. %s LOOP EXECUTE format(''DELETE FROM many_%%s_ITEMS'', k); END LOOP; END $d$', size),
                '{none,carb}');
            -- the first time compiles the plans
            IF run = 0 THEN
                DELETE FROM costs c WHERE c.section = 'tables' AND c.x = size;
            END IF;
        END LOOP;
        INSERT INTO plans SELECT size, sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'carbonite plan%';
        COMMIT;
        size := size * 10;
    END LOOP;
    TRUNCATE carbonite_default.changes;
END
$$;

-- Narrow, wide and large rows; large ones also where only changed columns are stored.
CREATE PROCEDURE shapes(runs int) LANGUAGE plpgsql AS $$
DECLARE
    columns text := (SELECT string_agg(format('c%s int', i), ', ') FROM generate_series(1, 199) i);
    suffix text;
    shape record;
BEGIN
    FOREACH suffix IN ARRAY '{none,carb}'::text[] LOOP
        EXECUTE format('CREATE TABLE narrow_%s (id bigint PRIMARY KEY, n int)', suffix);
        EXECUTE format('CREATE TABLE wide_%s (id bigint PRIMARY KEY, %s)', suffix, columns);
        EXECUTE format('CREATE TABLE large_%s (id bigint PRIMARY KEY, n int, body text)', suffix);
        EXECUTE format('CREATE TABLE large_changed_%s (id bigint PRIMARY KEY, n int, body text)', suffix);
    END LOOP;
    PERFORM carbonite.install_trigger('narrow_carb', on_truncate => 'ignore');
    PERFORM carbonite.install_trigger('wide_carb', on_truncate => 'ignore');
    PERFORM carbonite.install_trigger('large_carb', on_truncate => 'ignore');
    PERFORM carbonite.install_trigger('large_changed_carb', store_data => 'changed', on_truncate => 'ignore');
    FOR run IN 0 .. runs LOOP
        FOR shape IN VALUES
            (1, 'narrow', 'narrow: 2 columns', 'i, i AS n', 'n = n + 1', 20000),
            (2, 'wide', 'wide: 200 columns', 'i, ' || (SELECT string_agg('i AS c' || g, ', ') FROM generate_series(1, 199) g), 'c7 = c7 + 1', 5000),
            (3, 'large', 'large: a text of 100 kB', 'i, i AS n, (SELECT string_agg(md5(g::text), '''') FROM generate_series(i, i + 3000) g) AS body', 'n = n + 1', 500),
            (4, 'large_changed', 'large, store_data => changed', 'i, i AS n, (SELECT string_agg(md5(g::text), '''') FROM generate_series(i, i + 3000) g) AS body', 'n = n + 1', 500)
        LOOP
            EXECUTE format('CREATE TEMP TABLE filling AS SELECT %s FROM generate_series(1, %s) i', shape.column4, shape.column6);
            CALL compare('shapes', shape.column1, shape.column3 || ', INSERT',
                format('INSERT INTO %s_ITEMS SELECT * FROM filling', shape.column2), shape.column6,
                format('TRUNCATE %s_ITEMS', shape.column2), '{none,carb}');
            CALL compare('shapes', shape.column1, shape.column3 || ', UPDATE',
                format('UPDATE %s_ITEMS SET %s', shape.column2, shape.column5), shape.column6, '', '{none,carb}');
            DROP TABLE filling;
        END LOOP;
        IF run = 0 THEN
            DELETE FROM costs WHERE section = 'shapes';
        END IF;
    END LOOP;
    TRUNCATE carbonite_default.changes;
END
$$;
