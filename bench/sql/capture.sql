-- bench/capture: what is measured, of whom, and the report. Contestants add themselves to a table.

-- Each has a table items_NAME. The statements are of PL/pgSQL: what a transaction begins with, and
-- what it does then; null for what any table does.
CREATE TABLE contestants (
    name text PRIMARY KEY,
    title text NOT NULL,
    position serial,
    history regclass[] NOT NULL DEFAULT '{}', -- truncated before each measurement
    changes regclass,                         -- of these, the table with a row per change
    begins text NOT NULL DEFAULT '',
    statements jsonb NOT NULL DEFAULT '{}'
);

CREATE FUNCTION statement_of(contestant contestants, statement text, file text) RETURNS text
LANGUAGE sql AS $$
    SELECT coalesce(contestant.statements ->> statement, replace(CASE statement
        WHEN 'INSERT' THEN 'INSERT INTO ITEMS SELECT * FROM bench.source;'
        WHEN 'UPDATE' THEN 'UPDATE ITEMS SET quantity = quantity + 1;'
        WHEN 'DELETE' THEN 'DELETE FROM ITEMS;'
        WHEN 'COPY' THEN 'COPY ITEMS FROM ' || quote_literal(file) || ';'
        WHEN 'no-op UPDATE' THEN 'UPDATE ITEMS SET quantity = quantity;'
        WHEN 'one INSERT' THEN 'INSERT INTO ITEMS SELECT * FROM bench.source WHERE id = i;'
    END, 'ITEMS', 'bench.items_' || contestant.name))
$$;

CREATE TABLE results (
    run int,
    statement text,
    contestant text,
    rows bigint,
    cpu_ns bigint,
    wal_bytes numeric,
    history_bytes bigint
);

CREATE PROCEDURE measure(run int, statement text, contestant text, file text)
LANGUAGE plpgsql AS $$
DECLARE
    who contestants;
    items text := 'bench.items_' || contestant;
    one_each boolean := statement LIKE 'one %';
    done bigint;
    recorded bigint;
    cpu bigint;
    wal pg_lsn;
    wal_bytes numeric;
    emptied regclass;
    doing text;
BEGIN
    SELECT * INTO who FROM contestants c WHERE c.name = contestant;
    doing := statement_of(who, statement, file);
    -- a fresh table, filled without capture if the statement needs rows
    EXECUTE 'TRUNCATE ' || items;
    FOREACH emptied IN ARRAY who.history LOOP
        EXECUTE format('TRUNCATE %s CASCADE', emptied);
    END LOOP;
    COMMIT;
    IF statement NOT IN ('INSERT', 'COPY', 'one INSERT') THEN
        SET LOCAL session_replication_role = replica;
        EXECUTE format('INSERT INTO %s SELECT * FROM bench.source', items);
        COMMIT;
        EXECUTE 'SELECT count(*) FROM ' || items;
    END IF;
    SELECT count(*) / CASE WHEN one_each THEN 10 ELSE 1 END INTO done FROM bench.source;
    EXECUTE format(CASE WHEN one_each
        THEN 'CREATE OR REPLACE PROCEDURE bench.doing() LANGUAGE plpgsql AS $p$ BEGIN FOR i IN 1 .. %s LOOP %s %s COMMIT; END LOOP; END $p$'
        ELSE 'CREATE OR REPLACE PROCEDURE bench.doing() LANGUAGE plpgsql AS $p$ BEGIN FOR i IN 1 .. 1 LOOP %2$s %3$s COMMIT; END LOOP; END $p$'
    END, done, who.begins, doing);
    COMMIT;
    CHECKPOINT;

    wal := pg_current_wal_insert_lsn();
    cpu := bench.cpu_ns();
    CALL bench.doing();
    cpu := bench.cpu_ns() - cpu;
    wal_bytes := pg_current_wal_insert_lsn() - wal;

    IF who.changes IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %s', who.changes) INTO recorded;
        IF recorded < done AND statement <> 'no-op UPDATE' THEN
            RAISE '% by %: % changes were recorded, not %', statement, who.title, recorded, done;
        END IF;
    END IF;
    INSERT INTO bench.results
    VALUES (run, statement, contestant, done, cpu, wal_bytes, pg_total_relation_size(who.changes));
END
$$;

CREATE VIEW medians AS
SELECT r.statement, r.contestant, c.title, c.position,
    array_position('{INSERT,UPDATE,DELETE,COPY,no-op UPDATE,one INSERT}', r.statement) AS statement_no,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY r.cpu_ns / 1000.0 / r.rows)::numeric AS us,
    min(r.cpu_ns / 1000.0 / r.rows) AS min_us,
    max(r.cpu_ns / 1000.0 / r.rows) AS max_us,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY r.wal_bytes / r.rows) AS wal,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY r.history_bytes::numeric / r.rows) AS history
FROM results r
JOIN contestants c ON c.name = r.contestant
WHERE r.run > 0
GROUP BY r.statement, r.contestant, c.title, c.position;

CREATE VIEW report AS
SELECT CASE WHEN m.contestant = 'none' THEN m.statement ELSE '' END AS statement,
    m.title AS contestant,
    to_char(m.us, 'FM9990.00') AS "us/row",
    format('%s - %s', to_char(m.min_us, 'FM9990.00'), to_char(m.max_us, 'FM9990.00')) AS "min - max",
    to_char(m.us / none.us, 'FM990.00') AS ratio,
    to_char(m.us - none.us, 'FM9990.00') AS "added us",
    to_char((m.us - none.us) / nullif(ours.us - none.us, 0), 'FM9990.0') AS "to carbonite's",
    round(m.wal) AS "WAL B/row",
    round(m.history) AS "history B/row"
FROM medians m
JOIN medians none ON none.statement = m.statement AND none.contestant = 'none'
JOIN medians ours ON ours.statement = m.statement AND ours.contestant = 'carb'
ORDER BY m.statement_no, m.position;
