-- Ways of writing an audited table that have broken triggers before.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
CREATE VIEW history AS
    SELECT c.id, c.op, c.table_name, c.table_pk, c.data, c.changed FROM carbonite_default.changes c ORDER BY c.id;
CREATE TABLE rabbits (id int PRIMARY KEY, name text, age int DEFAULT 1);
SELECT carbonite.install_trigger('rabbits');
-- cursors
INSERT INTO rabbits SELECT n, 'r' || n FROM generate_series(1, 3) n;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM rabbits ORDER BY id FOR UPDATE;
FETCH 2 FROM c;
UPDATE rabbits SET name = 'by cursor' WHERE CURRENT OF c;
DELETE FROM rabbits WHERE CURRENT OF c;
COMMIT;
SELECT op, table_pk, data FROM history OFFSET 3;
-- COPY, also into a table made in the same transaction
TRUNCATE carbonite_default.changes;
COPY rabbits (id, name) FROM STDIN;
11	copied
12	\N
\.
BEGIN;
CREATE TABLE frozen (id int PRIMARY KEY, name text);
SELECT carbonite.install_trigger('frozen');
COPY frozen FROM STDIN WITH (FREEZE);
1	frozen
\.
COMMIT;
SELECT op, table_name, data FROM history;
-- a BEFORE trigger that changes the row, ON CONFLICT, no-op updates
TRUNCATE carbonite_default.changes;
CREATE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER before_write BEFORE INSERT OR UPDATE ON rabbits FOR EACH ROW EXECUTE FUNCTION upper_name();
INSERT INTO rabbits VALUES (1, 'conflict') ON CONFLICT (id) DO UPDATE SET age = excluded.age + 10;
INSERT INTO rabbits VALUES (1, 'conflict') ON CONFLICT (id) DO NOTHING;
UPDATE rabbits SET name = name WHERE id = 1;
UPDATE rabbits SET name = lower(name) WHERE id = 1;
SELECT op, table_pk, data, changed FROM history;
DROP TRIGGER before_write ON rabbits;
-- cascades, SET NULL, and children audited as well
TRUNCATE carbonite_default.changes;
CREATE TABLE carrots (id int PRIMARY KEY, rabbit int REFERENCES rabbits ON DELETE CASCADE ON UPDATE CASCADE,
    friend int REFERENCES rabbits ON DELETE SET NULL);
SELECT carbonite.install_trigger('carrots');
INSERT INTO carrots VALUES (1, 1, 11), (2, 11, 1);
UPDATE rabbits SET id = 100 WHERE id = 11;
DELETE FROM rabbits WHERE id = 1;
SELECT op, table_name, table_pk, data, changed FROM history;
-- deferred events; several of one row
TRUNCATE carbonite_default.changes;
BEGIN;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO rabbits VALUES (200, 'deferred');
UPDATE rabbits SET name = 'changed' WHERE id = 200;
DELETE FROM rabbits WHERE id = 200;
SELECT count(*) FROM history;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT op, data FROM history;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO rabbits VALUES (201, 'at commit');
COMMIT;
SELECT op, data FROM history OFFSET 3;
-- blocks with exception handlers, whose subtransactions roll back
TRUNCATE carbonite_default.changes;
DO $$
BEGIN
    FOR i IN 300 .. 305 LOOP
        BEGIN
            INSERT INTO rabbits VALUES (i, 'block');
            IF i % 2 = 0 THEN
                RAISE division_by_zero;
            END IF;
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
    END LOOP;
END $$;
SELECT op, table_pk FROM history;
SELECT count(DISTINCT transaction_id) AS transactions FROM carbonite_default.changes;
-- a trigger beside ours that writes other audited tables and catches errors, row by row
TRUNCATE carbonite_default.changes;
CREATE FUNCTION feed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        INSERT INTO carrots VALUES (NEW.id * 10, NEW.id, NULL);
        IF NEW.id % 2 = 0 THEN
            RAISE division_by_zero;
        END IF;
    EXCEPTION WHEN division_by_zero THEN
        NULL;
    END;
    RAISE NOTICE 'rabbit % sees % changes', NEW.id, (SELECT count(*) FROM carbonite_default.changes);
    RETURN NULL;
END $$;
CREATE TRIGGER zz_feed AFTER INSERT ON rabbits FOR EACH ROW EXECUTE FUNCTION feed();
INSERT INTO rabbits VALUES (401, 'a'), (402, 'b'), (403, 'c');
SELECT op, table_name, table_pk FROM history;
DROP TRIGGER zz_feed ON rabbits;
-- writable CTEs over two audited tables
TRUNCATE carbonite_default.changes;
WITH gone AS (DELETE FROM carrots WHERE id = 4030 RETURNING rabbit)
INSERT INTO rabbits SELECT 500 + rabbit, 'from a CTE' FROM gone;
SELECT op, table_name, table_pk FROM history ORDER BY op DESC;
-- an error in the middle leaves nothing
INSERT INTO rabbits SELECT CASE WHEN n = 5 THEN 401 ELSE 600 + n END FROM generate_series(1, 9) n;
SELECT count(*) FROM history WHERE table_pk[1]::int BETWEEN 600 AND 700;
-- a trigger that is disabled and enabled again, and one that fires always
ALTER TABLE rabbits DISABLE TRIGGER capture_changes_into_carbonite_default_trigger;
UPDATE rabbits SET age = 2 WHERE id = 401;
ALTER TABLE rabbits ENABLE ALWAYS TRIGGER capture_changes_into_carbonite_default_trigger;
SET session_replication_role = replica;
UPDATE rabbits SET age = 3 WHERE id = 401;
-- configuration that changes in that role is noticed, too
UPDATE carbonite_default.triggers SET excluded_columns = '{age}' WHERE table_name = 'rabbits';
UPDATE rabbits SET age = 4, name = 'replica' WHERE id = 401;
RESET session_replication_role;
UPDATE carbonite_default.triggers SET excluded_columns = '{}' WHERE table_name = 'rabbits';
SELECT op, data, changed FROM history WHERE table_pk = '{401}';
-- the table changes its shape between two writes of one transaction
TRUNCATE carbonite_default.changes;
BEGIN;
INSERT INTO rabbits VALUES (700, 'before');
ALTER TABLE rabbits ADD colour text DEFAULT 'grey', DROP age;
INSERT INTO rabbits VALUES (701, 'after');
UPDATE rabbits SET colour = 'white' WHERE id = 700;
SAVEPOINT s;
ALTER TABLE rabbits RENAME name TO title;
INSERT INTO rabbits VALUES (702, 'renamed');
ROLLBACK TO s;
INSERT INTO rabbits VALUES (703, 'back again');
ALTER TABLE rabbits ALTER id TYPE bigint;
INSERT INTO rabbits VALUES (7000000000, 'wide');
COMMIT;
SELECT op, table_pk, data, changed FROM history;
-- configuration that is rolled back never was
TRUNCATE carbonite_default.changes;
BEGIN;
SAVEPOINT s;
UPDATE carbonite_default.triggers SET mode = 'ignore' WHERE table_name = 'rabbits';
UPDATE rabbits SET colour = 'unseen' WHERE id = 700;
ROLLBACK TO s;
UPDATE rabbits SET colour = 'seen' WHERE id = 700;
DELETE FROM carbonite_default.triggers WHERE table_name = 'rabbits';
SAVEPOINT t;
UPDATE rabbits SET colour = 'refused' WHERE id = 700;
ROLLBACK TO t;
ROLLBACK;
BEGIN;
UPDATE rabbits SET colour = 'seen' WHERE id = 700;
COMMIT;
SELECT op, data ->> 'colour' AS colour FROM history;
-- configuration and a row by one statement
DELETE FROM carbonite_default.triggers WHERE table_name = 'frozen';
WITH configured AS (
    INSERT INTO carbonite_default.triggers (table_prefix, table_name) VALUES ('public', 'frozen') RETURNING 1
)
INSERT INTO frozen SELECT 2, 'configured' FROM configured;
SELECT op, data FROM history ORDER BY id DESC LIMIT 1;
WITH gone AS (DELETE FROM carbonite_default.triggers WHERE table_name = 'frozen' RETURNING 1)
INSERT INTO frozen SELECT 3, 'unconfigured' FROM gone;
-- a table that is renamed and moved is still captured, under its new name
TRUNCATE carbonite_default.changes;
CREATE SCHEMA barn;
ALTER TABLE rabbits SET SCHEMA barn;
ALTER TABLE barn.rabbits RENAME TO hares;
UPDATE barn.hares SET colour = 'moved' WHERE id = 700;
ALTER SCHEMA barn RENAME TO stable;
UPDATE stable.hares SET colour = 'moved again' WHERE id = 700;
SELECT table_prefix, table_name, data ->> 'colour' AS colour FROM carbonite_default.changes ORDER BY id;
SELECT count(*) FROM carbonite.changes('stable.hares', '{700}');
-- two prefixes on one table
SELECT carbonite.install_schema('auto', carbonite_prefix => 'second');
SELECT carbonite.install_trigger('stable.hares', excluded_columns => '{name}', carbonite_prefix => 'second');
UPDATE stable.hares SET colour = 'both' WHERE id = 700;
BEGIN;
SET LOCAL second.override_mode = 'ignore';
UPDATE stable.hares SET colour = 'first only' WHERE id = 700;
COMMIT;
SELECT count(*) FROM carbonite_default.changes;
SELECT data, changed FROM second.changes;
SELECT carbonite.drop_schema(true, 'second');
-- temporary and unlogged tables
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
SELECT carbonite.install_trigger('temporary');
SELECT carbonite.install_trigger('unlogged');
INSERT INTO temporary VALUES (1);
INSERT INTO unlogged VALUES (1);
SELECT regexp_replace(table_prefix, '\d+', 'N') AS table_prefix, table_name, data FROM carbonite_default.changes ORDER BY id DESC LIMIT 2;
-- partitions: one configuration on the root, or one for a leaf
TRUNCATE carbonite_default.changes;
CREATE TABLE places (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE places_n PARTITION OF places FOR VALUES IN ('n');
CREATE TABLE places_s (note text, region text NOT NULL, id int NOT NULL);
ALTER TABLE places ATTACH PARTITION places_s FOR VALUES IN ('s');
SELECT carbonite.install_trigger('places');
INSERT INTO places VALUES (1, 'n', 'x'), (2, 's', 'y');
UPDATE places SET note = 'z';
UPDATE places SET region = 's' WHERE id = 1;
INSERT INTO places_s VALUES ('direct', 's', 3);
INSERT INTO carbonite_default.triggers (table_prefix, table_name, primary_key_columns) VALUES ('public', 'places_n', '{id}');
INSERT INTO places VALUES (4, 'n', 'leaf');
SELECT op, table_name, table_pk, data FROM history;
SELECT op, table_pk FROM carbonite.changes('places_s', '{2,s}');
-- a conversion that itself writes an audited table and changes its configuration
TRUNCATE carbonite_default.changes;
CREATE TYPE shade AS ENUM ('dark', 'light');
CREATE FUNCTION shade_to_json(shade) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    UPDATE carbonite_default.triggers SET updated_at = updated_at;
    UPDATE stable.hares SET colour = 'nested ' || $1 || random() WHERE id = 700;
    RETURN json_build_object('shade', $1::text);
END $$;
CREATE CAST (shade AS json) WITH FUNCTION shade_to_json(shade);
CREATE TABLE nested (id int PRIMARY KEY, s shade, t text);
SELECT carbonite.install_trigger('nested');
INSERT INTO nested SELECT n, 'dark', 'text ' || n FROM generate_series(1, 3) n;
UPDATE nested SET s = 'light';
SELECT op, table_name, data - 'colour' AS data FROM history;
DROP VIEW history;
SELECT carbonite.drop_schema(cascade => true);
DROP TABLE carrots, frozen, nested, temporary, unlogged, places;
DROP SCHEMA stable CASCADE;
DROP TYPE shade CASCADE;
DROP FUNCTION feed(), upper_name();
