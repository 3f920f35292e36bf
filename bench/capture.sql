-- The contestants and the measurements of bench/capture.
SET client_min_messages = warning;
CREATE EXTENSION carbonite;
CREATE SCHEMA bench;
SET search_path = bench, public;

-- What is written: rows of about 200 bytes.
CREATE TABLE source (
    id bigint PRIMARY KEY,
    token uuid NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    note text NOT NULL,
    price numeric(12, 2) NOT NULL,
    quantity int NOT NULL,
    active boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    tags jsonb NOT NULL
);
INSERT INTO source
SELECT i, md5(i::text)::uuid, 'name ' || md5((i + 1)::text), 'user' || i || '@example.org',
    'note ' || md5((i + 2)::text), (i % 100000) / 100.0, i % 1000, i % 3 = 0,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1.234567 seconds',
    jsonb_build_object('size', i % 50, 'color', 'red')
FROM generate_series(1, :rows) i;

-- A table for each contestant. Their names have the same length, as they are part of every change.
CREATE TABLE items_none (LIKE source INCLUDING ALL);
CREATE TABLE items_carb (LIKE source INCLUDING ALL);
CREATE TABLE items_plpg (LIKE source INCLUDING ALL);

-- All of them keep the whole row, leave out one column and mask another.
SELECT carbonite.install_schema();
SELECT carbonite.install_trigger('items_carb', excluded_columns => '{note}', filtered_columns => '{email}');

-- The same history by hand: the same columns and indexes, a row trigger in PL/pgSQL that has its
-- configuration built in.
CREATE SCHEMA by_hand;
CREATE TABLE by_hand.transactions (
    id bigserial,
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    meta jsonb NOT NULL DEFAULT '{}',
    inserted_at timestamp NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC'),
    CONSTRAINT transactions_pkey PRIMARY KEY (id) INCLUDE (xact_id)
);
CREATE TABLE by_hand.changes (LIKE carbonite_default.changes INCLUDING ALL);
CREATE SEQUENCE by_hand.changes_id_seq OWNED BY by_hand.changes.id;
ALTER TABLE by_hand.changes ALTER id SET DEFAULT nextval('by_hand.changes_id_seq'),
    ADD FOREIGN KEY (transaction_id) REFERENCES by_hand.transactions ON UPDATE CASCADE ON DELETE CASCADE;

CREATE FUNCTION by_hand.capture() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    excluded constant text[] := '{note}';
    masked constant text[] := '{email}';
    new_data jsonb;
    old_data jsonb;
    changed_keys text[] := '{}';
    current_id bigint;
    key text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        new_data := to_jsonb(OLD) - excluded;
    ELSE
        new_data := to_jsonb(NEW) - excluded;
    END IF;
    key := new_data ->> 'id';
    IF TG_OP = 'UPDATE' THEN
        old_data := to_jsonb(OLD) - excluded;
        changed_keys := ARRAY(
            SELECT n.key FROM jsonb_each(new_data) n WHERE n.value IS DISTINCT FROM old_data -> n.key);
        IF changed_keys = '{}' THEN
            RETURN NULL;
        END IF;
    END IF;
    new_data := new_data || (
        SELECT jsonb_object_agg(m, '[FILTERED]') FROM unnest(masked) m WHERE new_data ? m);
    current_id := currval('by_hand.transactions_id_seq');
    IF NOT EXISTS (
        SELECT FROM by_hand.transactions t WHERE t.id = current_id AND t.xact_id = pg_current_xact_id())
    THEN
        RAISE '% on table %.% without a transaction', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME;
    END IF;
    INSERT INTO by_hand.changes
        (transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed, transaction_id)
    VALUES (pg_current_xact_id(), lower(TG_OP)::carbonite_default.change_op, TG_TABLE_SCHEMA, TG_TABLE_NAME,
        ARRAY[key], new_data, changed_keys, current_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER capture AFTER INSERT OR UPDATE OR DELETE ON items_plpg
    FOR EACH ROW EXECUTE FUNCTION by_hand.capture();

-- Nanoseconds of CPU that this backend has used. The kernel adds the current slice when the process
-- leaves the CPU, hence the nap.
CREATE FUNCTION cpu_ns() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ns bigint;
    fields text[];
BEGIN
    PERFORM pg_sleep(0.001);
    ns := split_part(pg_read_file('/proc/self/schedstat', 0, 200, true), ' ', 1);
    IF ns > 0 THEN
        RETURN ns;
    END IF;
    -- after the name in brackets: utime and stime, in hundredths of a second
    fields := string_to_array(substring(pg_read_file('/proc/self/stat', 0, 2000) FROM '.*\) (.*)'), ' ');
    RETURN (fields[12]::bigint + fields[13]::bigint) * 10000000;
END
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

-- One row in each transaction, with its row of transactions.
CREATE PROCEDURE single_none(rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. rows LOOP
        INSERT INTO bench.items_none SELECT * FROM bench.source WHERE id = i;
        COMMIT;
    END LOOP;
END
$$;
CREATE PROCEDURE single_carb(rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. rows LOOP
        PERFORM carbonite.insert_transaction('{"user_id": 1, "type": "item_added"}');
        INSERT INTO bench.items_carb SELECT * FROM bench.source WHERE id = i;
        COMMIT;
    END LOOP;
END
$$;
CREATE PROCEDURE single_plpg(rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. rows LOOP
        INSERT INTO by_hand.transactions (meta) VALUES ('{"user_id": 1, "type": "item_added"}');
        INSERT INTO bench.items_plpg SELECT * FROM bench.source WHERE id = i;
        COMMIT;
    END LOOP;
END
$$;

CREATE PROCEDURE measure(run int, statement text, contestant text, file text, rows bigint)
LANGUAGE plpgsql AS $$
DECLARE
    items text := 'bench.items_' || contestant;
    done bigint := rows;
    recorded bigint;
    cpu bigint;
    wal pg_lsn;
    wal_bytes numeric;
    history regclass := CASE contestant WHEN 'carb' THEN 'carbonite_default.changes' WHEN 'plpg' THEN 'by_hand.changes' END;
BEGIN
    -- a fresh table, filled without capture if the statement needs rows
    EXECUTE 'TRUNCATE ' || items;
    TRUNCATE carbonite_default.changes, carbonite_default.transactions, by_hand.changes, by_hand.transactions;
    COMMIT;
    IF statement IN ('UPDATE', 'DELETE') THEN
        SET LOCAL session_replication_role = replica;
        EXECUTE 'INSERT INTO ' || items || ' SELECT * FROM bench.source';
        COMMIT;
        EXECUTE 'SELECT count(*) FROM ' || items;
    END IF;
    COMMIT;
    CHECKPOINT;

    wal := pg_current_wal_insert_lsn();
    cpu := bench.cpu_ns();
    IF statement LIKE 'single%' THEN
        done := greatest(rows / 10, 1);
        IF contestant = 'carb' THEN
            CALL bench.single_carb(done);
        ELSIF contestant = 'plpg' THEN
            CALL bench.single_plpg(done);
        ELSE
            CALL bench.single_none(done);
        END IF;
    ELSE
        IF contestant = 'carb' THEN
            PERFORM carbonite.insert_transaction('{"type": "bench"}');
        ELSIF contestant = 'plpg' THEN
            INSERT INTO by_hand.transactions (meta) VALUES ('{"type": "bench"}');
        END IF;
        EXECUTE format(CASE statement
            WHEN 'INSERT .. SELECT' THEN 'INSERT INTO %s SELECT * FROM bench.source'
            WHEN 'UPDATE' THEN 'UPDATE %s SET quantity = quantity + 1'
            WHEN 'DELETE' THEN 'DELETE FROM %s'
            WHEN 'COPY' THEN 'COPY %s FROM %L'
        END, items, file);
        COMMIT;
    END IF;
    cpu := bench.cpu_ns() - cpu;
    wal_bytes := pg_current_wal_insert_lsn() - wal;

    IF history IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %s', history) INTO recorded;
        IF recorded <> done THEN
            RAISE '% by %: % changes were recorded, not %', statement, contestant, recorded, done;
        END IF;
    END IF;
    INSERT INTO bench.results
    VALUES (run, statement, contestant, done, cpu, wal_bytes, pg_total_relation_size(history));
END
$$;

-- Both histories say the same, or there is nothing to compare.
CREATE PROCEDURE check_equality() LANGUAGE plpgsql AS $$
DECLARE
    contestant text;
    differences bigint;
BEGIN
    FOREACH contestant IN ARRAY '{carb,plpg}'::text[] LOOP
        PERFORM carbonite.insert_transaction();
        INSERT INTO by_hand.transactions DEFAULT VALUES;
        EXECUTE format('INSERT INTO bench.items_%s SELECT * FROM bench.source ORDER BY id LIMIT 100', contestant);
        EXECUTE format('UPDATE bench.items_%s SET quantity = quantity + 1, email = id, note = id WHERE id %% 2 = 0', contestant);
        EXECUTE format('UPDATE bench.items_%s SET quantity = quantity', contestant);
        EXECUTE format('DELETE FROM bench.items_%s', contestant);
        COMMIT;
    END LOOP;
    WITH ours AS (SELECT op, table_pk, data, changed, changed_from FROM carbonite_default.changes),
        others AS (SELECT op, table_pk, data, changed, changed_from FROM by_hand.changes)
    SELECT count(*) INTO differences
    FROM ((TABLE ours EXCEPT ALL TABLE others) UNION ALL (TABLE others EXCEPT ALL TABLE ours)) d;
    IF differences > 0 OR (SELECT count(*) FROM carbonite_default.changes) <> 250 THEN
        RAISE 'the contestants do not record the same: % differences', differences;
    END IF;
END
$$;
CALL check_equality();

CREATE VIEW medians AS
SELECT statement, contestant,
    array_position('{INSERT .. SELECT,UPDATE,DELETE,COPY,single-row transactions}', statement) AS statement_no,
    array_position('{none,carb,plpg}', contestant) AS contestant_no,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY cpu_ns / 1000.0 / rows)::numeric AS us,
    min(cpu_ns / 1000.0 / rows) AS min_us,
    max(cpu_ns / 1000.0 / rows) AS max_us,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY wal_bytes / rows) AS wal,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY history_bytes::numeric / rows) AS history
FROM results
WHERE run > 0
GROUP BY statement, contestant;

CREATE VIEW report AS
SELECT CASE WHEN m.contestant_no = 1 THEN m.statement ELSE '' END AS statement,
    CASE m.contestant WHEN 'none' THEN 'no capture' WHEN 'carb' THEN 'carbonite' ELSE 'PL/pgSQL' END AS contestant,
    to_char(m.us, 'FM9990.00') AS "us/row",
    format('%s - %s', to_char(m.min_us, 'FM9990.00'), to_char(m.max_us, 'FM9990.00')) AS "min - max",
    to_char(m.us / none.us, 'FM990.00') AS ratio,
    to_char(m.us - none.us, 'FM9990.00') AS "added us",
    round(m.wal) AS "WAL B/row",
    round(m.history) AS "history B/row"
FROM medians m
JOIN medians none ON none.statement = m.statement AND none.contestant = 'none'
ORDER BY m.statement_no, m.contestant_no;

CREATE VIEW factors AS
SELECT carb.statement,
    to_char(plpg.us - none.us, 'FM9990.00') AS "PL/pgSQL adds us",
    to_char(carb.us - none.us, 'FM9990.00') AS "carbonite adds us",
    to_char((plpg.us - none.us) / nullif(carb.us - none.us, 0), 'FM9990.0') AS "factor"
FROM medians none
JOIN medians carb ON carb.statement = none.statement AND carb.contestant = 'carb'
JOIN medians plpg ON plpg.statement = none.statement AND plpg.contestant = 'plpg'
WHERE none.contestant = 'none'
ORDER BY none.statement_no;
