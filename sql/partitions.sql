-- Partitions and tables that inherit: under which name they are recorded, and rows that move.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
CREATE VIEW history AS
    SELECT c.op, c.table_name AS name, c.table_pk AS key, c.data, c.changed, c.changed_from AS old
    FROM carbonite_default.changes c ORDER BY c.id;
-- partitions whose columns lie differently
CREATE TABLE places (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE places_n PARTITION OF places FOR VALUES IN ('n');
CREATE TABLE places_s (gone int, note text, region text NOT NULL, id int NOT NULL);
ALTER TABLE places_s DROP gone;
ALTER TABLE places ATTACH PARTITION places_s FOR VALUES IN ('s');
CREATE TABLE places_w PARTITION OF places FOR VALUES IN ('w1', 'w2') PARTITION BY LIST (region);
CREATE TABLE places_w1 PARTITION OF places_w FOR VALUES IN ('w1');
CREATE TABLE places_w2 PARTITION OF places_w FOR VALUES IN ('w2');
SELECT carbonite.install_trigger('places', store_changed_from => true);
INSERT INTO places VALUES (1, 'n', 'a'), (2, 's', 'b'), (3, 'w1', 'c');
TRUNCATE carbonite_default.changes;
-- one by one, many at once, there and back
UPDATE places SET region = 's' WHERE id = 1;
UPDATE places SET region = CASE region WHEN 's' THEN 'w2' ELSE 'n' END, note = upper(note);
UPDATE places SET region = 'w1' WHERE id = 3;
UPDATE places SET region = 'w2', note = 'moved within w' WHERE id = 3;
SELECT * FROM history;
SELECT count(*) AS changes, count(DISTINCT c.id) AS ids, max(c.id) - min(c.id) + 1 AS drawn FROM carbonite_default.changes c;
-- in the first statement of a session, with rows that wait, in a savepoint that is rolled back
TRUNCATE carbonite_default.changes;
\c
\set SHOW_CONTEXT never
UPDATE places SET region = 'n' WHERE id = 1;
INSERT INTO places SELECT n, 'n', 'many' FROM generate_series(10, 30) n;
BEGIN;
SAVEPOINT before;
UPDATE places SET region = 's';
ROLLBACK TO before;
UPDATE places SET region = 's' WHERE id >= 10;
COMMIT;
SELECT op, count(*), count(old) AS old FROM history GROUP BY op ORDER BY op;
-- what is not recorded is no change: a move alone
TRUNCATE carbonite_default.changes;
SELECT carbonite.configure_trigger('places', primary_key_columns => '{id}', excluded_columns => '{region}');
UPDATE places SET region = 'n' WHERE id = 2;
UPDATE places SET region = 's', note = 'with a note' WHERE id = 2;
SELECT * FROM history;
SELECT carbonite.configure_trigger('places', primary_key_columns => '{id,region}', excluded_columns => '{}');
-- partial rows, masks and digests need the row that moved, too
SELECT carbonite.configure_trigger('places', store_data => 'changed', primary_key_columns => '{id}', masks => '{"note": {"last": 2}}');
UPDATE places SET region = 'n', note = 'secret' WHERE id = 2;
SELECT * FROM history OFFSET 1;
SELECT carbonite.configure_trigger('places', store_data => 'full', primary_key_columns => '{id,region}', masks => '{}');
-- a trigger of the table that writes in between
TRUNCATE carbonite_default.changes;
CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO places VALUES (OLD.id + 1000, 'n', 'echo') ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE TRIGGER z_echo AFTER DELETE ON places FOR EACH ROW EXECUTE FUNCTION echo();
UPDATE places SET region = 's' WHERE id IN (2, 10);
SELECT op, key, changed FROM history;
DROP TRIGGER z_echo ON places;
-- a trigger that keeps rows from arriving: they are deleted, and the next row is not taken for them
TRUNCATE carbonite_default.changes;
CREATE FUNCTION keep_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.note = 'unwanted' THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE TRIGGER a_keep_out BEFORE INSERT ON places_n FOR EACH ROW EXECUTE FUNCTION keep_out();
UPDATE places SET region = 'n', note = CASE id WHEN 11 THEN 'unwanted' ELSE note END WHERE id IN (11, 12);
WITH moved AS (UPDATE places SET region = 'n', note = 'unwanted' WHERE id = 13 RETURNING id)
    INSERT INTO places SELECT 2000, 'n', 'other' FROM (SELECT 1) one LEFT JOIN moved ON true;
UPDATE places SET region = 'n', note = 'unwanted' WHERE id = 14;
INSERT INTO places VALUES (14, 'n', 'a new statement');
SELECT op, key, changed FROM history;
DROP TRIGGER a_keep_out ON places_n;
-- rows with the same key: the second is inserted
TRUNCATE carbonite_default.changes;
CREATE TABLE loose (id int, region text) PARTITION BY LIST (region);
CREATE TABLE loose_n PARTITION OF loose FOR VALUES IN ('n');
CREATE TABLE loose_s PARTITION OF loose FOR VALUES IN ('s');
SELECT carbonite.install_trigger('loose', primary_key_columns => '{id}');
INSERT INTO loose VALUES (1, 'n');
WITH moved AS (UPDATE loose SET region = 's' WHERE id = 1 RETURNING id) INSERT INTO loose SELECT 1, 's' FROM (SELECT count(*) FROM moved) m;
SELECT op, key, changed FROM history;
DROP TABLE loose;
-- a key whose text renames the prefix, in the middle of a move
SELECT carbonite.install_schema('auto', carbonite_prefix => 'flip');
CREATE TYPE odd AS ENUM ('a', 'b');
CREATE FUNCTION odd_text(odd) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    -- the second call comes when the row has arrived
    PERFORM set_config('odd.calls', (current_setting('odd.calls')::int + 1)::text, false);
    IF current_setting('odd.calls') = '2' THEN
        ALTER SCHEMA flip RENAME TO flop;
    END IF;
    RETURN 'key';
END $$;
CREATE CAST (odd AS text) WITH FUNCTION odd_text(odd);
CREATE TABLE loose (id odd, region text) PARTITION BY LIST (region);
CREATE TABLE loose_n PARTITION OF loose FOR VALUES IN ('n');
CREATE TABLE loose_s (region text, id odd);
ALTER TABLE loose ATTACH PARTITION loose_s FOR VALUES IN ('s');
SELECT carbonite.install_trigger('loose', primary_key_columns => '{id}', store_changed_from => true, carbonite_prefix => 'flip');
SET odd.calls = 10;
INSERT INTO loose VALUES ('a', 'n'), ('b', 'n');
SET odd.calls = 0;
UPDATE loose SET region = 's';
RESET odd.calls;
SELECT c.op, c.data, c.changed_from FROM flop.changes c ORDER BY c.id;
DROP TABLE loose;
SET client_min_messages = warning;
DROP TYPE odd CASCADE;
RESET client_min_messages;
SELECT carbonite.drop_schema(true, 'flop');
-- deferred, and in two prefixes
TRUNCATE carbonite_default.changes;
SELECT carbonite.install_schema('auto', carbonite_prefix => 'second');
SELECT carbonite.install_trigger('places', "initially" => 'deferred', carbonite_prefix => 'second');
BEGIN;
UPDATE places SET region = 'w1' WHERE id IN (15, 16);
UPDATE places SET region = 'w2' WHERE id = 15;
SELECT op, key FROM history;
COMMIT;
SELECT c.op, c.table_pk, c.changed FROM second.changes c ORDER BY c.id;
SELECT carbonite.drop_schema(true, 'second');
-- changes has a trigger of its own: rows go through the executor
TRUNCATE carbonite_default.changes;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER own AFTER INSERT ON carbonite_default.changes FOR EACH ROW EXECUTE FUNCTION nothing();
UPDATE places SET region = 'n' WHERE id IN (15, 16);
SELECT op, key, changed FROM history;
DROP TRIGGER own ON carbonite_default.changes;
-- under the names of the leaves a row leaves one and enters another
TRUNCATE carbonite_default.changes;
SELECT carbonite.configure_trigger('places', partitions => 'leaf');
UPDATE places SET region = 'w1' WHERE id = 16;
UPDATE places SET note = 'in a leaf' WHERE id = 16;
SELECT op, name, key, data FROM history;
SELECT op, table_name FROM carbonite.changes('places_w1', '{16,w1}');
SELECT carbonite.record_key(p) FROM places_w1 p WHERE id = 16;
SELECT carbonite.configure_trigger('places', partitions => 'twig');
SELECT carbonite.configure_trigger('places', partitions => 'root');
-- a leaf that is detached loses the trigger, and gets it again
TRUNCATE carbonite_default.changes;
ALTER TABLE places DETACH PARTITION places_s;
INSERT INTO places_s (id, region, note) VALUES (99, 's', 'not recorded');
ALTER TABLE places ATTACH PARTITION places_s FOR VALUES IN ('s');
UPDATE places SET note = 'recorded' WHERE id = 99;
SELECT op, name, key FROM history;
-- tables that inherit
CREATE TABLE animals (id int PRIMARY KEY, name text);
CREATE TABLE rabbits (ears int, PRIMARY KEY (id)) INHERITS (animals);
CREATE TABLE hares (speed int, PRIMARY KEY (id)) INHERITS (rabbits);
CREATE TABLE stones (id int PRIMARY KEY, name text);
TRUNCATE carbonite_default.changes;
SELECT carbonite.install_trigger('animals', filtered_columns => '{name}');
INSERT INTO rabbits VALUES (1, 'not recorded');
CREATE CONSTRAINT TRIGGER by_hand AFTER INSERT ON rabbits FOR EACH ROW EXECUTE FUNCTION carbonite_default.capture_changes();
INSERT INTO rabbits VALUES (9, 'not configured');
DROP TRIGGER by_hand ON rabbits;
SELECT carbonite.configure_trigger('animals', inheritance_children => true);
CREATE TABLE snails (PRIMARY KEY (id)) INHERITS (animals);
ALTER TABLE stones INHERIT animals;
INSERT INTO animals VALUES (1, 'any');
INSERT INTO rabbits VALUES (2, 'Jack', 2);
INSERT INTO hares VALUES (3, 'Jill', 2, 9);
INSERT INTO snails VALUES (4, 'Joe');
INSERT INTO stones VALUES (5, 'old');
UPDATE animals SET name = 'all';
TRUNCATE ONLY snails;
SELECT op, name, key, data FROM history;
SELECT table_name FROM carbonite.changes('hares', '{3}');
-- names follow a rename of the parent's column, and children's own configuration comes first
ALTER TABLE animals RENAME name TO label;
SELECT carbonite.install_trigger('hares', excluded_columns => '{speed}');
TRUNCATE carbonite_default.changes;
UPDATE animals SET label = 'again' WHERE id IN (2, 3);
SELECT name, data FROM history;
-- a table that ceases to inherit is free, and so are all when the choice is undone
ALTER TABLE stones NO INHERIT animals;
INSERT INTO stones VALUES (6, 'free');
SELECT carbonite.configure_trigger('animals', inheritance_children => false);
INSERT INTO rabbits VALUES (7, 'free', 2);
UPDATE hares SET ears = 3;
SELECT carbonite.configure_trigger('animals', inheritance_children => true);
SELECT carbonite.drop_trigger('animals');
INSERT INTO rabbits VALUES (8, 'free', 2);
UPDATE hares SET ears = 4;
SELECT name, key FROM history OFFSET 2;
SELECT tgrelid::regclass FROM pg_trigger WHERE tgname LIKE 'capture_changes%' AND tgparentid = 0 ORDER BY 1;
DROP TABLE animals, stones CASCADE;
DROP TABLE places;
DROP FUNCTION echo, keep_out;
SELECT carbonite.drop_schema(true);
DROP VIEW IF EXISTS history;
DROP FUNCTION nothing;
