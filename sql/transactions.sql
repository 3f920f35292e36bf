-- The transactions row: required, made automatically, or optional; and its metadata.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema();
CREATE TABLE rabbits (id int PRIMARY KEY, name text);
SELECT carbonite.install_trigger('rabbits');
-- required
INSERT INTO rabbits VALUES (1, 'Jack');
BEGIN;
SELECT id, meta FROM carbonite.insert_transaction('{"type": "first", "user_id": 1}');
INSERT INTO rabbits VALUES (1, 'Jack');
SELECT id, meta FROM carbonite.insert_transaction('{"type": "second"}');
SELECT (carbonite.current_transaction()).meta;
SELECT xact_id = pg_current_xact_id() AS own_xid,
    abs(extract(epoch FROM inserted_at - now() AT TIME ZONE 'UTC')) < 600 AS utc
FROM carbonite.current_transaction();
COMMIT;
SELECT carbonite.current_transaction() IS NULL AS none;
UPDATE rabbits SET name = 'Jill';
-- a row of an earlier transaction does not count, nor does one that was rolled back
BEGIN;
SAVEPOINT s;
SELECT id FROM carbonite.insert_transaction();
INSERT INTO rabbits VALUES (2, 'in the savepoint');
ROLLBACK TO s;
INSERT INTO rabbits VALUES (2, 'after it');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT id FROM carbonite.insert_transaction('{"try": 1}');
ROLLBACK TO s;
SELECT id FROM carbonite.insert_transaction('{"try": 2}');
INSERT INTO rabbits VALUES (2, 'after it');
COMMIT;
SELECT id, meta FROM carbonite_default.transactions ORDER BY id;
-- nor one that was only looked at before it was rolled back
BEGIN;
SAVEPOINT s;
SELECT id IS NOT NULL AS inserted FROM carbonite.insert_transaction();
SELECT id IS NOT NULL AS found FROM carbonite.current_transaction();
ROLLBACK TO s;
UPDATE rabbits SET name = 'after it';
ROLLBACK;
-- an empty transaction can be taken back; one with changes cannot
BEGIN;
SELECT id FROM carbonite.insert_transaction();
SELECT carbonite.delete_transaction_if_empty();
SELECT carbonite.delete_transaction_if_empty();
SELECT id FROM carbonite.insert_transaction();
DELETE FROM rabbits WHERE id = 2;
SELECT carbonite.delete_transaction_if_empty();
COMMIT;
SELECT carbonite.delete_transaction_if_empty();
SELECT count(*) FROM carbonite_default.transactions;
-- deleting the row takes the changes with it, and ends capture until there is a new one
BEGIN;
SELECT id FROM carbonite.insert_transaction();
UPDATE rabbits SET name = 'x';
DELETE FROM carbonite_default.transactions WHERE id = (carbonite.current_transaction()).id;
SELECT count(*) FROM carbonite_default.changes WHERE data ->> 'name' = 'x';
UPDATE rabbits SET name = 'y';
ROLLBACK;
-- also between two rows of one statement
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM carbonite_default.transactions WHERE id = (carbonite.current_transaction()).id;
    RETURN NULL;
END $$;
CREATE TRIGGER zz_forget AFTER INSERT ON rabbits FOR EACH ROW WHEN (NEW.id = 11) EXECUTE FUNCTION forget();
BEGIN;
SELECT id FROM carbonite.insert_transaction();
INSERT INTO rabbits VALUES (10), (11), (12);
ROLLBACK;
DROP TRIGGER zz_forget ON rabbits;
-- metadata from the setting
BEGIN;
SELECT carbonite.put_meta('user_id', 42);
SELECT carbonite.put_meta('type', 'renamed');
SELECT carbonite.put_meta('tags', '{a,b}'::text[]);
SELECT carbonite.put_meta('nothing', NULL::int);
SELECT meta FROM carbonite.insert_transaction('{"type": "given"}');
COMMIT;
SELECT carbonite.meta();
SELECT carbonite.put_meta('app', 'shop', is_local => false);
BEGIN;
SELECT carbonite.put_meta('user_id', 1);
COMMIT;
SHOW carbonite.meta;
SELECT carbonite.put_meta(NULL, 1);
-- metadata that is not JSON tells where
SET carbonite.meta = '{"a": 1, "b": }';
SELECT meta FROM carbonite.insert_transaction();
SET carbonite.meta = '{"é": 1, 2}';
SELECT carbonite.meta();
SET carbonite.meta = '{"a": 1';
SELECT carbonite.put_meta('b', 1);
SET carbonite.meta = '[1]';
SELECT carbonite.meta();
SET carbonite.meta = '{"a": "\u0000"}';
SELECT carbonite.meta();
SELECT carbonite.insert_transaction('[1]');
RESET carbonite.meta;
SELECT carbonite.insert_transaction('1');
SELECT meta FROM carbonite.insert_transaction(NULL);
SELECT carbonite.insert_transaction(carbonite_prefix => 'nowhere');
SELECT carbonite.insert_transaction(carbonite_prefix => NULL);
-- auto: the first recorded change makes the row
SELECT carbonite.configure_schema('auto');
TRUNCATE carbonite_default.transactions CASCADE;
BEGIN;
SET LOCAL carbonite.meta = '{"type": "by itself"}';
UPDATE rabbits SET name = name;
SELECT count(*) AS none_yet FROM carbonite_default.transactions;
UPDATE rabbits SET name = 'auto';
SELECT carbonite.put_meta('too', 'late');
UPDATE rabbits SET name = 'auto 2';
COMMIT;
BEGIN;
SAVEPOINT s;
UPDATE rabbits SET name = 'lost';
ROLLBACK TO s;
UPDATE rabbits SET name = 'kept';
COMMIT;
SELECT t.meta, c.data ->> 'name' AS name, count(*) FROM carbonite_default.changes c
JOIN carbonite_default.transactions t ON t.id = c.transaction_id
    AND t.xact_id = c.transaction_xact_id GROUP BY t.id, 1, 2 ORDER BY t.id, 2;
SET carbonite.meta = 'not json';
UPDATE rabbits SET name = 'never';
RESET carbonite.meta;
-- optional: only what has a row is recorded
SELECT carbonite.configure_schema('optional');
TRUNCATE carbonite_default.transactions CASCADE;
UPDATE rabbits SET name = 'unseen';
BEGIN;
SELECT id IS NOT NULL AS has_id FROM carbonite.insert_transaction('{"type": "seen"}');
UPDATE rabbits SET name = 'seen';
COMMIT;
SELECT t.meta, c.data FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id;
SELECT carbonite.drop_schema(cascade => true);
DROP TABLE rabbits;
DROP FUNCTION forget();
