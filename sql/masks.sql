-- What is recorded in place of values: null, texts, last characters. Digests: test/tap/digests.pl.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
CREATE VIEW last AS
    SELECT c.op, c.table_pk AS key, c.data, c.changed, c.changed_from AS old FROM carbonite_default.changes c ORDER BY c.id DESC LIMIT 1;
CREATE TABLE cards (id int PRIMARY KEY, number text, pin int, owner text, note varchar(20), born date, raw bytea, secret text);
SELECT carbonite.install_trigger('cards', store_changed_from => true, filtered_columns => '{secret}',
    masks => '{"number": {"last": 4}, "pin": {"last": 1}, "owner": null, "note": "hidden", "born": {"last": 2}, "raw": {"last": 3}, "secret": null}');
INSERT INTO cards VALUES (1, '4111 1111 1111 1234', 1234, 'Jack', 'any', '2001-02-03', '\x0102ff', 's');
SELECT data FROM last;
-- nulls stay with the last characters, short values are hidden whole, characters are not bytes
INSERT INTO cards VALUES (2, NULL, 7, NULL, NULL, NULL, NULL, NULL);
SELECT data FROM last;
INSERT INTO cards VALUES (3, '1234'), (4, 'äöüß€Ω'), (5, ''), (6, '12345');
SELECT c.data ->> 'number' AS number FROM carbonite_default.changes c WHERE c.data ->> 'id' >= '3' ORDER BY c.id;
-- changes are seen through every mask
UPDATE cards SET owner = 'Jane', note = 'other', number = '4111 1111 1111 5678', secret = 't' WHERE id = 1;
SELECT changed, data, old FROM last;
UPDATE cards SET owner = owner WHERE id = 1;
DELETE FROM cards WHERE id = 1;
SELECT op, data, old FROM last;
-- in the session's settings or others: the text is that of keys
SET datestyle = 'German'; SET bytea_output = escape;
INSERT INTO cards (id, born, raw) VALUES (7, '2001-02-03', '\x0102ff');
RESET datestyle; RESET bytea_output;
SELECT data ->> 'born' AS born, data ->> 'raw' AS raw FROM last;
-- a masked column of the key is masked there, too
SELECT carbonite.configure_trigger('cards', masks => '{"number": {"last": 4}}', primary_key_columns => '{id,number}');
INSERT INTO cards (id, number) VALUES (8, '0123456789');
SELECT key, data ->> 'number' AS number FROM last;
SELECT carbonite.record_key(c) FROM cards c WHERE id = 8;
SELECT carbonite.configure_trigger('cards', mask_primary_key => false);
UPDATE cards SET pin = 1 WHERE id = 8;
SELECT key, data ->> 'number' AS number FROM last;
SELECT carbonite.configure_trigger('cards', mask_primary_key => true, primary_key_columns => '{id}');
-- masks follow renames, also in a transaction that rolls back, and go with their column
ALTER TABLE cards RENAME number TO digits;
UPDATE cards SET digits = '9876543210' WHERE id = 8;
SELECT data ->> 'digits' AS digits FROM last;
SELECT masks FROM carbonite_default.triggers;
BEGIN;
ALTER TABLE cards RENAME digits TO ciphers;
UPDATE cards SET ciphers = '1111111111' WHERE id = 8;
SELECT data ->> 'ciphers' AS ciphers FROM last;
ROLLBACK;
UPDATE cards SET digits = '2222222222' WHERE id = 8;
SELECT data ->> 'digits' AS digits FROM last;
ALTER TABLE cards DROP digits;
SELECT masks FROM carbonite_default.triggers;
-- what is no mask
SELECT carbonite.configure_trigger('cards', masks => '{"unknown": null}');
SELECT carbonite.configure_trigger('cards', masks => '{"note": 1}');
SELECT carbonite.configure_trigger('cards', masks => '{"note": {"last": 0}}');
SELECT carbonite.configure_trigger('cards', masks => '{"note": {"last": "4"}}');
SELECT carbonite.configure_trigger('cards', masks => '{"note": {"first": 4}}');
SELECT carbonite.configure_trigger('cards', masks => '[]');
SELECT carbonite.configure_trigger('cards', hashed_columns => '{unknown}');
SELECT carbonite.configure_trigger('cards', hashed_columns => '{pin}', primary_key_columns => '{}');
-- written by hand it hides all
UPDATE carbonite_default.triggers SET masks = '{"note": 1, "pin": {"last": -1}, "owner": {"last": 99999999999}, "raw": {"last": [1]}, "born": {"last": 1.5}}';
INSERT INTO cards (id, note, pin, owner, raw, born) VALUES (9, 'secret', 1, 'secret', '\x00', '2001-02-03');
SELECT data FROM last;
\set VERBOSITY terse
UPDATE carbonite_default.triggers SET masks = '[]';
\set VERBOSITY default
-- a digest needs a key, and a server that keeps it; without a key of the row there is nothing to bind it to
SELECT carbonite.configure_trigger('cards', masks => '{}', hashed_columns => '{secret,pin}', filtered_columns => '{}');
INSERT INTO cards (id, secret) VALUES (10, 's');
SELECT count(*) FROM cards WHERE id = 10;
UPDATE carbonite_default.triggers SET primary_key_columns = '{}';
INSERT INTO cards (id, secret) VALUES (10, 's');
SELECT key, data ->> 'secret' AS secret, data ->> 'pin' AS pin FROM last;
SHOW carbonite.hash_key;
SET carbonite.hash_key = 'too short';
SET carbonite.hash_key = 'long enough for a key';
SHOW carbonite.hash_key;
SELECT name, setting FROM pg_settings WHERE name LIKE 'carbonite.hash%';
RESET carbonite.hash_key;
CREATE ROLE regress_carbonite_key;
ALTER ROLE regress_carbonite_key SET carbonite.hash_key = 'long enough for a key';
SET ROLE regress_carbonite_key;
SET carbonite.hash_key = 'long enough for a key';
RESET ROLE;
DROP ROLE regress_carbonite_key;
DROP VIEW last;
SELECT carbonite.drop_schema(true);
DROP TABLE cards;
