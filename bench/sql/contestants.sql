-- Those that are always there: no capture, carbonite, a trigger and statements by hand.

CREATE TABLE items_none (LIKE source INCLUDING ALL);
INSERT INTO contestants VALUES ('none', 'no capture');

-- All of the following keep the whole row, leave out one column and mask another. Names of tables
-- have the same length, as they are part of every change.
CREATE TABLE items_carb (LIKE source INCLUDING ALL);
SELECT carbonite.install_schema();
SELECT carbonite.install_trigger('items_carb', excluded_columns => '{note}', filtered_columns => '{email}', on_truncate => 'ignore');
INSERT INTO contestants (name, title, history, changes, begins)
VALUES ('carb', 'carbonite', '{carbonite_default.transactions}', 'carbonite_default.changes',
    'PERFORM carbonite.insert_transaction(''{"user_id": 1, "type": "item_added"}'');');

-- The same where the first change makes the transactions row.
CREATE TABLE items_auto (LIKE source INCLUDING ALL);
SELECT carbonite.install_schema('auto', carbonite_prefix => 'carbonite_auto');
SELECT carbonite.install_trigger('items_auto', excluded_columns => '{note}', filtered_columns => '{email}', on_truncate => 'ignore',
    carbonite_prefix => 'carbonite_auto');
INSERT INTO contestants (name, title, history, changes)
VALUES ('auto', 'carbonite, auto', '{carbonite_auto.transactions}', 'carbonite_auto.changes');

-- The same in a prefix that was released: functions in PL/pgSQL.
CREATE TABLE items_free (LIKE source INCLUDING ALL);
SELECT carbonite.install_schema(carbonite_prefix => 'carbonite_free');
SELECT carbonite.install_trigger('items_free', excluded_columns => '{note}', filtered_columns => '{email}', on_truncate => 'ignore',
    carbonite_prefix => 'carbonite_free');
SELECT carbonite.release_schema(carbonite_prefix => 'carbonite_free');
INSERT INTO contestants (name, title, history, changes, begins)
VALUES ('free', 'carbonite, released', '{carbonite_free.transactions}', 'carbonite_free.changes',
    'INSERT INTO carbonite_free.transactions (meta) VALUES (''{"user_id": 1, "type": "item_added"}'');');

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
CREATE TABLE items_plpg (LIKE source INCLUDING ALL);
CREATE TRIGGER capture AFTER INSERT OR UPDATE OR DELETE ON items_plpg
    FOR EACH ROW EXECUTE FUNCTION by_hand.capture();
INSERT INTO contestants (name, title, history, changes, begins)
VALUES ('plpg', 'PL/pgSQL trigger', '{by_hand.transactions}', 'by_hand.changes',
    'INSERT INTO by_hand.transactions (meta) VALUES (''{"user_id": 1, "type": "item_added"}'');');

-- What an application would do that writes its history itself, statement by statement: no trigger,
-- no foreign key, no check of anything. The columns that changed are known to it.
CREATE SCHEMA by_app;
CREATE TABLE by_app.transactions (LIKE by_hand.transactions INCLUDING ALL);
CREATE TABLE by_app.changes (LIKE by_hand.changes INCLUDING ALL);
CREATE TABLE items_appl (LIKE source INCLUDING ALL);
CREATE FUNCTION by_app.rows_of(op text, changed text, relation text) RETURNS text
LANGUAGE sql AS $$
    SELECT format('INSERT INTO by_app.changes
        (transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed, transaction_id)
        SELECT pg_current_xact_id(), %L, ''bench'', ''items_appl'', ARRAY[c.id::text],
            to_jsonb(c) - ''{note}''::text[] || ''{"email": "[FILTERED]"}'', %L,
            (SELECT currval(''by_hand.transactions_id_seq''))
        FROM %s c;', op, changed, relation)
$$;
INSERT INTO contestants (name, title, history, changes, begins, statements)
SELECT 'appl', 'INSERT .. SELECT by hand', '{by_app.transactions,by_app.changes}', 'by_app.changes',
    'INSERT INTO by_app.transactions (meta) VALUES (''{"user_id": 1, "type": "item_added"}'');',
    jsonb_build_object(
        'INSERT', 'WITH w AS (INSERT INTO bench.items_appl SELECT * FROM bench.source RETURNING *) '
            || by_app.rows_of('insert', '{}', 'w'),
        'UPDATE', 'WITH w AS (UPDATE bench.items_appl SET quantity = quantity + 1 RETURNING *) '
            || by_app.rows_of('update', '{quantity}', 'w'),
        'DELETE', 'WITH w AS (DELETE FROM bench.items_appl RETURNING *) ' || by_app.rows_of('delete', '{}', 'w'),
        'COPY', statement_of(c, 'COPY', :'file') || by_app.rows_of('insert', '{}', 'bench.items_appl'),
        'one INSERT', 'WITH w AS (INSERT INTO bench.items_appl SELECT * FROM bench.source WHERE id = i RETURNING *) '
            || by_app.rows_of('insert', '{}', 'w'))
FROM (SELECT 'appl', '', 0, '{}', NULL, '', '{}'::jsonb) AS d (name, title, position, history, changes, begins, statements),
    LATERAL (SELECT ROW(d.*)::contestants AS c) x;

-- Before anything is measured: those that claim to record the same do.
CREATE PROCEDURE check_equality() LANGUAGE plpgsql AS $$
DECLARE
    contestant text;
    differences bigint;
BEGIN
    FOREACH contestant IN ARRAY '{carb,auto,plpg}'::text[] LOOP
        PERFORM carbonite.insert_transaction();
        INSERT INTO by_hand.transactions DEFAULT VALUES;
        EXECUTE format('INSERT INTO bench.items_%s SELECT * FROM bench.source ORDER BY id LIMIT 100', contestant);
        EXECUTE format('UPDATE bench.items_%s SET quantity = quantity + 1, email = id, note = id WHERE id %% 2 = 0', contestant);
        EXECUTE format('UPDATE bench.items_%s SET quantity = quantity', contestant);
        EXECUTE format('DELETE FROM bench.items_%s', contestant);
        COMMIT;
    END LOOP;
    WITH ours AS (SELECT op::text, table_pk, data, changed, changed_from FROM carbonite_default.changes),
        auto AS (SELECT op::text, table_pk, data, changed, changed_from FROM carbonite_auto.changes),
        others AS (SELECT op::text, table_pk, data, changed, changed_from FROM by_hand.changes)
    SELECT count(*) INTO differences
    FROM ((TABLE ours EXCEPT ALL TABLE others) UNION ALL (TABLE others EXCEPT ALL TABLE auto)
        UNION ALL (TABLE auto EXCEPT ALL TABLE ours)) d;
    IF differences > 0 OR (SELECT count(*) FROM carbonite_default.changes) <> 250 THEN
        RAISE 'the contestants do not record the same: % differences', differences;
    END IF;
END
$$;
CALL check_equality();
