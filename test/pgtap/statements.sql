-- The contract of statements and tables: which of them are captured, and how often.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
SELECT carbonite.install_schema();
SELECT carbonite.insert_transaction() IS NOT NULL AS described \gset
CREATE TABLE rabbits (id int PRIMARY KEY, name text);
SELECT carbonite.install_trigger('rabbits');
CREATE FUNCTION history() RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s %s %s', op, table_name, table_pk), ', ' ORDER BY id) FROM carbonite_default.changes$$;
CREATE FUNCTION forget() RETURNS void LANGUAGE sql AS 'DELETE FROM carbonite_default.changes';
\t on
\pset format unaligned

SELECT plan(35);

COPY rabbits FROM PROGRAM 'printf "1\tone\n2\ttwo\n"';
SELECT is(history(), 'insert rabbits {1}, insert rabbits {2}', 'COPY is captured row by row');
SELECT forget();
INSERT INTO rabbits SELECT n, 'n' FROM generate_series(3, 4) n;
SELECT is(history(), 'insert rabbits {3}, insert rabbits {4}', 'so is INSERT .. SELECT');
SELECT forget();
INSERT INTO rabbits VALUES (1, 'x') ON CONFLICT DO NOTHING;
SELECT is(history(), NULL, 'ON CONFLICT DO NOTHING records nothing');
INSERT INTO rabbits VALUES (1, 'one') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
SELECT is(history(), NULL, 'nor does DO UPDATE that changes nothing');
INSERT INTO rabbits VALUES (1, 'uno'), (5, 'five') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
SELECT is(history(), 'update rabbits {1}, insert rabbits {5}', 'one that does is an update');
SELECT forget();
SELECT current_setting('server_version_num')::int >= 150000 AS has_merge \gset
\if :has_merge
MERGE INTO rabbits r USING (VALUES (1, NULL), (2, 'dos'), (9, 'nine')) v (id, name) ON r.id = v.id
    WHEN MATCHED AND v.name IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET name = v.name
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.name);
SELECT is((SELECT array_agg(op || ' ' || table_pk::text ORDER BY table_pk) FROM carbonite_default.changes),
    '{"delete {1}","update {2}","insert {9}"}', 'MERGE is captured row by row');
\else
SELECT pass('this server has no MERGE');
\endif
SELECT forget();

-- other tables
CREATE TABLE carrots (id int PRIMARY KEY, rabbit int REFERENCES rabbits ON DELETE CASCADE);
SELECT carbonite.install_trigger('carrots');
INSERT INTO carrots VALUES (1, 2);
SELECT forget();
DELETE FROM rabbits WHERE id = 2;
SELECT is(history(), 'delete rabbits {2}, delete carrots {1}', 'a cascade is captured, the referenced row first');
SELECT forget();
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE rabbits SET name = name || '!' WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER aaa AFTER INSERT ON rabbits FOR EACH ROW EXECUTE FUNCTION again();
INSERT INTO rabbits VALUES (20, 'x');
SELECT is(history(), 'update rabbits {20}, insert rabbits {20}', 'triggers fire by name: one before ours has its changes recorded first');
DROP TRIGGER aaa ON rabbits;
CREATE TRIGGER zzz AFTER INSERT ON rabbits FOR EACH ROW EXECUTE FUNCTION again();
SELECT forget();
INSERT INTO rabbits VALUES (21, 'x');
SELECT is(history(), 'insert rabbits {21}, update rabbits {21}', 'one after ours has them recorded later');
DROP TRIGGER zzz ON rabbits;
SELECT forget();
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER bbb BEFORE INSERT ON rabbits FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO rabbits VALUES (22, 'quiet');
SELECT is((SELECT data ->> 'name' FROM carbonite_default.changes), 'QUIET', 'what BEFORE triggers change is seen');
SELECT forget();

-- deferred
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO rabbits VALUES (30, 'x');
UPDATE rabbits SET name = 'y' WHERE id = 30;
DELETE FROM rabbits WHERE id = 30;
SELECT is(history(), NULL, 'deferred events are not recorded at once');
SELECT throws_ok('ALTER TABLE rabbits ADD extra int', '55006', NULL, 'and are pending');
SET LOCAL carbonite_default.override_mode = 'ignore';
SET LOCAL carbonite_default.override_mode = '';
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(history(), 'insert rabbits {30}, update rabbits {30}, delete rabbits {30}',
    'each event of a row is, under the mode at the end');
SELECT forget();
DELETE FROM carbonite_default.transactions;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO rabbits VALUES (31, 'x');
SELECT carbonite.insert_transaction() IS NOT NULL AS described \gset
SELECT lives_ok('SET CONSTRAINTS ALL IMMEDIATE', 'the transactions row may come after a deferred change');
SELECT is(history(), 'insert rabbits {31}', 'which is then recorded');
SELECT forget();

-- roles of the session
SET LOCAL session_replication_role = replica;
INSERT INTO rabbits VALUES (40, 'x');
SELECT is(history(), NULL, 'in the role replica nothing is captured');
RESET session_replication_role;

-- kinds of tables
CREATE TABLE child () INHERITS (rabbits);
INSERT INTO child VALUES (50, 'x');
SELECT is(history(), NULL, 'children by inheritance are not captured');
CREATE TABLE places (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE places_n PARTITION OF places FOR VALUES IN ('n');
CREATE TABLE places_s PARTITION OF places FOR VALUES IN ('s');
SELECT carbonite.install_trigger('places');
INSERT INTO places VALUES (1, 'n');
SELECT is(history(), 'insert places {1,n}', 'a partition is captured under the name of its root');
SELECT forget();
UPDATE places SET region = 's';
SELECT is(history(), 'update places {1,s}', 'a move to another partition is an update');
SELECT forget();
INSERT INTO carbonite_default.triggers (table_prefix, table_name) VALUES ('public', 'places_s');
UPDATE places_s SET id = 2;
SELECT is(history(), 'update places_s {2}', 'a partition with a configuration of its own is captured under its name');
SELECT forget();
CREATE TABLE places_w PARTITION OF places FOR VALUES IN ('w');
INSERT INTO places VALUES (3, 'w');
SELECT is(history(), 'insert places {3,w}', 'a new partition is captured, too');
SELECT forget();
CREATE TEMP TABLE temporary (id int PRIMARY KEY);
SELECT carbonite.install_trigger('temporary');
INSERT INTO temporary VALUES (1);
SELECT matches(table_prefix, '^pg_temp_\d+$', 'a temporary table has its schema''s name') FROM carbonite_default.changes;
SELECT forget();
ALTER TABLE temporary RENAME TO renamed;
SELECT lives_ok('INSERT INTO renamed VALUES (2)', 'a renamed table is captured, unlike in the original');
SELECT is(history(), 'insert renamed {2}', 'under its new name');
SELECT forget();
CREATE VIEW a_view AS SELECT * FROM rabbits;
SELECT throws_ok($$SELECT carbonite.install_trigger('a_view')$$, '42809', 'cannot capture changes of public.a_view', 'a view cannot be captured');
INSERT INTO a_view VALUES (60, 'through a view');
SELECT is(history(), 'insert rabbits {60}', 'what is written through a view is');
SELECT forget();

-- two prefixes
SELECT carbonite.install_schema(carbonite_prefix => 'second');
SELECT carbonite.install_trigger('rabbits', carbonite_prefix => 'second');
SELECT throws_ok('INSERT INTO rabbits VALUES (70)', '23503',
    '(carbonite) INSERT on table public.rabbits without prior INSERT into second.transactions',
    'each prefix of a table wants a transactions row of its own');
SELECT is((carbonite.insert_transaction('{"in": "second"}', 'second')).meta, '{"in": "second"}', 'which may differ');
INSERT INTO rabbits VALUES (70);
SELECT is((SELECT count(*) FROM second.changes), 1::bigint, 'and records for itself');
SELECT is(history(), 'insert rabbits {70}', 'beside the first');
SET LOCAL second.override_mode = 'ignore';
INSERT INTO rabbits VALUES (71);
SELECT is((SELECT count(*) FROM second.changes), 1::bigint, 'the mode of one');
SELECT is(history(), 'insert rabbits {70}, insert rabbits {71}', 'is not that of the other');
SELECT forget();

-- identity columns and functions
CREATE TABLE counted (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at int DEFAULT 7);
SELECT carbonite.install_trigger('counted');
INSERT INTO counted DEFAULT VALUES;
SELECT is((SELECT data FROM carbonite_default.changes), '{"at": 7, "id": 1}', 'identity columns and defaults are recorded');
DO $$ BEGIN BEGIN INSERT INTO counted VALUES (DEFAULT, 8); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$;
SELECT is((SELECT count(*) FROM carbonite_default.changes), 1::bigint, 'what a block rolls back is not');
SELECT forget();
DELETE FROM counted;
SELECT is(history(), 'delete counted {1}', 'the rest is');

SELECT * FROM finish();
ROLLBACK;
