-- Seals, and what was done behind capture's back: changed, removed, added, purged, erased.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
CREATE TABLE people (id int PRIMARY KEY, name text, mail text);
SELECT carbonite.install_trigger('people', store_changed_from => true);
-- what tampering would look like to verify(), each undone again
CREATE FUNCTION tamper(statement text, OUT problem text, OUT transaction_id bigint, OUT seal_id bigint) LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE statement;
        SELECT v.problem, v.transaction_id, v.seal_id INTO problem, transaction_id, seal_id FROM carbonite.verify() v;
        RAISE EXCEPTION USING ERRCODE = 'CB000';
    EXCEPTION WHEN SQLSTATE 'CB000' THEN NULL;
    END;
END $$;
SELECT * FROM carbonite.verify();
INSERT INTO people VALUES (1, 'Jack', 'jack@'), (2, 'Jill', 'jill@');
UPDATE people SET name = 'Jane' WHERE id = 1;
DELETE FROM people WHERE id = 2;
SELECT length(carbonite.seal()) AS bytes;
INSERT INTO people VALUES (3, 'Joe', 'joe@');
SELECT carbonite.seal() AS head \gset
SELECT id, kind, transaction_ids, cardinality(digests) AS digests, role = current_user AS mine FROM carbonite_default.seals ORDER BY id;
SELECT * FROM carbonite.verify();
SELECT is_intact FROM carbonite.verify(:'head');
SELECT is_intact, problem FROM carbonite.verify('\x00');
-- a digest is what the documentation says
SELECT encode(s.digests[1], 'hex') = encode(sha256(sha256(convert_to(jsonb_build_array(t.id, t.xact_id::text, t.meta, t.inserted_at)::text, 'UTF8'))
        || sha256(convert_to(jsonb_build_array(c.id, c.transaction_xact_id::text, c.op::text, c.table_prefix, c.table_name, c.table_pk,
            encode(sha256(convert_to(c.data::text, 'UTF8')), 'hex'), c.changed, c.transaction_id,
            encode(sha256(convert_to(c.changed_from::text, 'UTF8')), 'hex'), c.data_is_partial, c.command)::text, 'UTF8'))), 'hex') AS as_documented
FROM carbonite_default.seals s, carbonite_default.transactions t JOIN carbonite_default.changes c ON c.transaction_id = t.id
WHERE s.id = 2 AND t.id = 4;
-- every column of both tables counts
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET data = data || '{"name": "Bob"}' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET changed_from = '{}' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET op = 'insert' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET table_pk = '{9}' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET table_name = 'persons' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET table_prefix = 'other' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET changed = '{}' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET transaction_xact_id = '1' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET data_is_partial = true WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET command = 'TRUNCATE' WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET id = 99 WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET transaction_id = 4 WHERE id = 3$$);
SELECT * FROM tamper($$UPDATE carbonite_default.transactions SET meta = '{"by": "Bob"}' WHERE id = 2$$);
SELECT * FROM tamper($$UPDATE carbonite_default.transactions SET inserted_at = inserted_at + interval '1 us' WHERE id = 2$$);
SELECT * FROM tamper($$UPDATE carbonite_default.transactions SET xact_id = '1' WHERE id = 2$$);
SELECT * FROM tamper($$UPDATE carbonite_default.transactions SET id = 99 WHERE id = 2$$);
-- removed and added
SELECT * FROM tamper('DELETE FROM carbonite_default.changes WHERE id = 1');
SELECT * FROM tamper('DELETE FROM carbonite_default.transactions WHERE id = 4');
SELECT * FROM tamper('DELETE FROM carbonite_default.transactions');
SELECT * FROM tamper('TRUNCATE carbonite_default.changes');
SELECT * FROM tamper($$INSERT INTO carbonite_default.transactions (id, xact_id) VALUES (-1, '1')$$);
SELECT * FROM tamper($$INSERT INTO carbonite_default.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, data, changed)
    SELECT id, xact_id, 'delete', 'public', 'people', '{}', '{}' FROM carbonite_default.transactions WHERE id = 2$$);
-- the chain itself
SELECT * FROM tamper('DELETE FROM carbonite_default.seals WHERE id = 1');
SELECT * FROM tamper($$UPDATE carbonite_default.seals SET digests = '{}', transaction_ids = '{}' WHERE id = 1$$);
SELECT * FROM tamper($$UPDATE carbonite_default.seals SET inserted_at = '2000-01-01' WHERE id = 1$$);
SELECT * FROM tamper($$UPDATE carbonite_default.seals SET complete_to = 0$$);
SELECT * FROM tamper($$UPDATE carbonite_default.seals SET role = 'somebody' WHERE id = 2$$);
-- who leaves out the newest entries is found by a head that was published
SELECT problem FROM tamper('DELETE FROM carbonite_default.seals WHERE id = 2');
BEGIN;
DELETE FROM carbonite_default.seals WHERE id = 2;
SELECT is_intact, problem FROM carbonite.verify(:'head');
ROLLBACK;
-- the digests do not depend on the session
SET bytea_output = escape; SET datestyle = 'German'; SET timezone = 'Asia/Tokyo'; SET extra_float_digits = 0; SET intervalstyle = iso_8601;
SELECT is_intact FROM carbonite.verify();
SELECT length(carbonite.seal());
RESET ALL;
SELECT is_intact FROM carbonite.verify();
-- what is not sealed yet is none of verify()'s business, nor is a transaction that goes on
INSERT INTO people VALUES (4, 'Jim', 'jim@');
SELECT * FROM carbonite.verify();
BEGIN;
INSERT INTO people VALUES (5, 'Jon', 'jon@');
SELECT length(carbonite.seal());
SELECT transaction_ids FROM carbonite_default.seals ORDER BY id DESC LIMIT 1;
COMMIT;
SELECT length(carbonite.seal());
SELECT transaction_ids FROM carbonite_default.seals ORDER BY id DESC LIMIT 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT carbonite.seal();
ROLLBACK;
-- erasure: over the whole history, with a record of it
SELECT carbonite.erase('people', '{1}', '{name,mail}');
SELECT c.op, c.table_pk, c.data, c.changed, c.changed_from FROM carbonite.changes('people', '{1}') c;
SELECT details FROM carbonite_default.seals WHERE kind = 'erasure';
SELECT * FROM carbonite.verify();
SELECT * FROM tamper($$UPDATE carbonite_default.changes SET data = data || '{"name": "Bob"}' WHERE id = 3$$);
-- the key is personal, too
CREATE TABLE mails (address text, box int, PRIMARY KEY (address, box));
SELECT carbonite.install_trigger('mails');
INSERT INTO mails VALUES ('a@x', 1), ('b@x', 1);
DELETE FROM mails;
SELECT length(carbonite.seal());
SELECT carbonite.erase('mails', '{a@x,1}', '{address}');
SELECT op, table_pk, data FROM carbonite.changes('mails', NULL);
SELECT details FROM carbonite_default.seals ORDER BY id DESC LIMIT 1;
SELECT is_intact FROM carbonite.verify();
-- a table that is gone
DROP TABLE mails;
SELECT carbonite.erase('public', 'mails', '{b@x,1}', '{address,box}', '{address,box}');
SELECT c.table_pk, c.data FROM carbonite_default.changes c WHERE c.table_name = 'mails' ORDER BY c.id;
SELECT carbonite.erase('public', 'mails', '{b@x,1}', '{address}', '{address,box}');
SELECT carbonite.erase('people', NULL, '{name}');
SELECT carbonite.erase('people', '{1}', '{name,NULL}');
CREATE TABLE unrecorded (id int PRIMARY KEY);
SELECT carbonite.erase('unrecorded', '{1}', '{id}');
SELECT is_intact FROM carbonite.verify();
-- nothing is erased or purged that is not as it was sealed: that would cover it up
UPDATE carbonite_default.changes SET data = data || '{"name": "Bob"}' WHERE table_name = 'people' AND table_pk = '{3}';
SELECT carbonite.erase('people', '{3}', '{mail}');
SELECT carbonite.purge('0');
UPDATE carbonite_default.changes SET data = data || '{"name": "Joe"}' WHERE table_name = 'people' AND table_pk = '{3}';
SELECT is_intact FROM carbonite.verify();
-- a purge leaves a proof, obeys outboxes, age and limit
INSERT INTO carbonite_default.outboxes (name, last_transaction_id) VALUES ('mail', 3);
SELECT carbonite.purge();
SELECT carbonite.purge('0', 1);
SELECT carbonite.purge('0');
SELECT carbonite.purge('0');
SELECT min(id) FROM carbonite_default.transactions;
SELECT transaction_ids, details FROM carbonite_default.seals WHERE kind = 'purge' ORDER BY id;
SELECT is_intact, transactions FROM carbonite.verify();
SELECT * FROM tamper($$INSERT INTO carbonite_default.transactions (id, xact_id) VALUES (2, '1')$$);
DELETE FROM carbonite_default.outboxes;
SELECT carbonite.purge('0') > 0 AS some;
SELECT is_intact, transactions FROM carbonite.verify();
SELECT carbonite.seal('no_such_prefix');
SELECT carbonite.verify(carbonite_prefix => 'no_such_prefix');
DROP TABLE people, unrecorded;
DROP FUNCTION tamper;
SELECT carbonite.drop_schema(true);
