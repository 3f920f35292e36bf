-- Who may do what with a prefix: each cell of the table of roles in the documentation.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
CREATE ROLE carbonite_test_owner;
CREATE ROLE carbonite_test_writer;
CREATE ROLE carbonite_test_direct;
CREATE ROLE carbonite_test_reader;
CREATE ROLE carbonite_test_auditor;
CREATE ROLE carbonite_test_other;
\t on
\pset format unaligned

-- a prefix whose owner is nobody special
SELECT format('GRANT CREATE ON DATABASE %I TO carbonite_test_owner', current_database()) \gexec
CREATE TABLE rabbits (id int PRIMARY KEY, name text);
GRANT ALL ON rabbits TO carbonite_test_owner, carbonite_test_writer, carbonite_test_direct, carbonite_test_reader, carbonite_test_auditor, carbonite_test_other;
SET LOCAL ROLE carbonite_test_owner;
SELECT carbonite.install_schema() \gset
SELECT carbonite.install_trigger('rabbits') \gset
SELECT carbonite.grant_writer('carbonite_test_writer') \gset
SELECT carbonite.grant_writer('carbonite_test_direct', direct => true) \gset
SELECT carbonite.grant_reader('carbonite_test_reader') \gset
SELECT carbonite.grant_auditor('carbonite_test_auditor') \gset
RESET ROLE;
INSERT INTO carbonite_default.transactions (id, xact_id, meta) VALUES (-1, '1', '{"of": "another"}'), (-2, '1', '{}');
INSERT INTO carbonite_default.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed)
    VALUES (-1, '1', 'insert', 'public', 'rabbits', '{1}', '{"id": 1}', '{}');
INSERT INTO carbonite_default.outboxes (name) VALUES ('mail');
SET CONSTRAINTS ALL IMMEDIATE;

-- What becomes of statements by a role: the number of rows of the last one, or the SQLSTATE. Nothing of it stays.
CREATE FUNCTION attempt(role text, VARIADIC statements text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    rows bigint;
    result text;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE carbonite_test_%s', role);
        FOREACH statement IN ARRAY statements LOOP
            EXECUTE statement;
            GET DIAGNOSTICS rows = ROW_COUNT;
        END LOOP;
        SET CONSTRAINTS ALL IMMEDIATE;
        RAISE EXCEPTION '%', rows USING ERRCODE = 'CB000';
    EXCEPTION
        WHEN SQLSTATE 'CB000' THEN RETURN SQLERRM;
        WHEN OTHERS THEN RETURN SQLSTATE;
    END;
END $$;

SELECT plan(241);

-- owner, writer, direct writer, reader, auditor, other
CREATE FUNCTION cells(name text, statements text[], expected text[]) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT is(attempt(role, VARIADIC statements), expected[position], format('%s: %s', role, name))
    FROM unnest('{owner,writer,direct,reader,auditor,other}'::text[]) WITH ORDINALITY AS roles (role, position)
$$;

-- transactions
SELECT cells('insert_transaction()', ARRAY['SELECT carbonite.insert_transaction()'], '{1,1,1,42501,42501,42501}');
SELECT cells('record a change', ARRAY['SELECT carbonite.insert_transaction()', 'INSERT INTO rabbits VALUES (1)'], '{1,1,1,42501,42501,42501}');
SELECT cells('record a change without it', ARRAY['INSERT INTO rabbits VALUES (1)'], '{23503,23503,23503,23503,23503,23503}');
SELECT cells('delete_transaction_if_empty()', ARRAY['SELECT carbonite.insert_transaction()', 'SELECT carbonite.delete_transaction_if_empty()'], '{1,1,1,42501,42501,42501}');
SELECT cells('the library inserts a row', ARRAY[$$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{}', NOW())
    ON CONFLICT (id) DO UPDATE SET xact_id = EXCLUDED.xact_id RETURNING id, meta, inserted_at, xact_id$$], '{1,42501,1,42501,42501,42501}');
SELECT cells('twice, as older versions do', ARRAY[$$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{}', NOW())$$,
    $$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{}', NOW()) ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id RETURNING id$$], '{1,42501,1,42501,42501,42501}');
SELECT cells('a plain row', ARRAY[$$INSERT INTO carbonite_default.transactions (meta) VALUES ('{}')$$], '{1,1,1,42501,42501,42501}');
SELECT cells('merge metadata', ARRAY['SELECT carbonite.insert_transaction()', $$UPDATE carbonite_default.transactions SET meta = '{"a": 1}' WHERE xact_id = pg_current_xact_id()$$], '{1,42501,1,42501,42501,42501}');
SELECT cells('the library deletes an empty row', ARRAY['SELECT carbonite.insert_transaction()', $$DELETE FROM carbonite_default.transactions t
    WHERE t.id = CURRVAL('carbonite_default.transactions_id_seq') AND t.xact_id = pg_current_xact_id()
        AND NOT EXISTS (SELECT FROM carbonite_default.changes c WHERE c.transaction_id = t.id)$$], '{1,42501,1,42501,42501,42501}');
SELECT cells('choose an id', ARRAY[$$INSERT INTO carbonite_default.transactions (id, meta) VALUES (77, '{}')$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('choose an xid', ARRAY[$$INSERT INTO carbonite_default.transactions (xact_id, meta) VALUES ('77', '{}')$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('change the metadata of another transaction', ARRAY[$$UPDATE carbonite_default.transactions SET meta = '{}' WHERE id = -1$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('take its id', ARRAY['SELECT carbonite.insert_transaction()', 'UPDATE carbonite_default.transactions SET id = -9 WHERE xact_id = pg_current_xact_id()'], '{1,42501,42501,42501,42501,42501}');
SELECT cells('delete an empty row of another transaction', ARRAY['DELETE FROM carbonite_default.transactions WHERE id = -2'], '{1,42501,42501,42501,42501,42501}');
SELECT cells('hide one''s own changes', ARRAY['SELECT carbonite.insert_transaction()', 'INSERT INTO rabbits VALUES (1)',
    'DELETE FROM carbonite_default.transactions WHERE xact_id = pg_current_xact_id()'], '{1,42501,42501,42501,42501,42501}');
SELECT cells('empty transactions', ARRAY['TRUNCATE carbonite_default.transactions CASCADE'], '{0,42501,42501,42501,42501,42501}');

-- changes
SELECT cells('insert a change', ARRAY[$$INSERT INTO carbonite_default.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, data, changed)
    VALUES (-1, '1', 'insert', 'public', 'rabbits', '{}', '{}')$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('change one', ARRAY['UPDATE carbonite_default.changes SET data = data'], '{1,42501,42501,42501,42501,42501}');
SELECT cells('delete one', ARRAY['DELETE FROM carbonite_default.changes'], '{1,42501,42501,42501,42501,42501}');
SELECT cells('empty changes', ARRAY['TRUNCATE carbonite_default.changes'], '{0,42501,42501,42501,42501,42501}');
SELECT cells('lock changes', ARRAY['LOCK TABLE carbonite_default.changes IN ACCESS EXCLUSIVE MODE'], '{0,42501,42501,42501,42501,42501}');

-- reading
SELECT cells('read changes', ARRAY['SELECT * FROM carbonite_default.changes'], '{1,42501,42501,1,1,42501}');
SELECT cells('read history', ARRAY[$$SELECT * FROM carbonite.changes('rabbits', '{1}')$$], '{1,42501,42501,1,1,42501}');
SELECT cells('read transactions', ARRAY['SELECT * FROM carbonite_default.transactions WHERE id = -1'], '{1,42501,1,1,1,42501}');
SELECT cells('read the configuration', ARRAY['SELECT * FROM carbonite_default.triggers'], '{1,42501,42501,1,1,42501}');
SELECT cells('read outboxes', ARRAY['SELECT * FROM carbonite_default.outboxes'], '{1,42501,42501,1,1,42501}');

-- configuration
SELECT cells('change the configuration', ARRAY[$$UPDATE carbonite_default.triggers SET mode = 'ignore'$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('configure_trigger()', ARRAY[$$SELECT carbonite.configure_trigger('rabbits', mode => 'ignore')$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('configure_schema()', ARRAY[$$SELECT carbonite.configure_schema('optional')$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('move an outbox', ARRAY['UPDATE carbonite_default.outboxes SET last_transaction_id = 9'], '{1,42501,42501,42501,42501,42501}');
SELECT cells('grant_writer()', ARRAY[$$SELECT carbonite.grant_writer('carbonite_test_other', true)$$], '{1,42501,42501,42501,42501,42501}');

-- evidence
SELECT cells('seal()', ARRAY['SELECT carbonite.seal()'], '{1,42501,42501,42501,1,42501}');
SELECT cells('verify()', ARRAY['SELECT * FROM carbonite.verify()'], '{1,42501,42501,1,1,42501}');
SELECT cells('change a seal', ARRAY['UPDATE carbonite_default.seals SET head = head'], '{0,42501,42501,42501,42501,42501}');
SELECT cells('delete seals', ARRAY['DELETE FROM carbonite_default.seals'], '{0,42501,42501,42501,42501,42501}');
SELECT cells('purge()', ARRAY[$$SELECT carbonite.purge('0')$$], '{1,42501,42501,42501,42501,42501}');
SELECT cells('erase()', ARRAY[$$SELECT carbonite.erase('rabbits', '{1}', '{name}')$$], '{1,42501,42501,42501,42501,42501}');

-- what was given is taken back
SELECT carbonite.revoke_all(r) FROM unnest('{carbonite_test_writer,carbonite_test_direct,carbonite_test_reader,carbonite_test_auditor}'::regrole[]) r \g /dev/null
SELECT is_empty($$SELECT FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'carbonite_default'::regnamespace AND a.grantee <> c.relowner
    UNION ALL SELECT FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'carbonite_default'::regnamespace)$$,
    'revoke_all() leaves nothing');

-- Overrides: everybody's, until a role is named; then its members', and the transaction tells.
DELETE FROM carbonite_default.transactions;
SELECT carbonite.grant_writer(r) FROM unnest('{carbonite_test_writer,carbonite_test_other}'::regrole[]) r \g /dev/null
SELECT is(attempt('other', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (1)'), '1', 'everybody may override');
SELECT throws_ok($$SELECT carbonite.configure_schema(override_role => 'nobody_at_all')$$, '42704', NULL, 'a role that is not there');
SELECT carbonite.configure_schema(override_role => 'carbonite_test_writer') \gset
SELECT is(attempt('other', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (1)'), '42501', 'others may not override any more');
SELECT is(attempt('other', $$SET LOCAL carbonite_default.override_mode = 'override'$$, 'INSERT INTO rabbits VALUES (1)'), '42501', 'in whatever way');
SELECT is(attempt('other', $$SELECT carbonite.override_mode('ignore')$$, 'INSERT INTO rabbits VALUES (1)'), '42501', 'nor by the function');
SELECT is(attempt('other', $$SET LOCAL carbonite_default.override_mode = 'capture'$$, 'SELECT carbonite.insert_transaction()', 'INSERT INTO rabbits VALUES (1)'), '1', 'what changes nothing is no override');
SELECT is(attempt('other', $$SET LOCAL carbonite_default.override_mode = 'nonsense'$$, 'SELECT carbonite.insert_transaction()', 'INSERT INTO rabbits VALUES (1)'), '1', 'nor is nonsense');
SELECT is(attempt('writer', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (1)'), '23503', 'members need a transactions row, to tell it');
SET LOCAL ROLE carbonite_test_writer;
SELECT carbonite.insert_transaction('{"type": "backfill"}') \gset
SET LOCAL carbonite_default.override_mode = 'ignore';
INSERT INTO rabbits VALUES (1), (2);
RESET ROLE;
SELECT is((SELECT meta FROM carbonite_default.transactions), '{"type": "backfill", "carbonite_override": [{"mode": "ignore", "role": "carbonite_test_writer"}]}', 'and it is told there');
SELECT is((SELECT count(*) FROM carbonite_default.changes), 0::bigint, 'they are obeyed');
SET LOCAL ROLE carbonite_test_writer;
UPDATE rabbits SET name = 'more';
RESET ROLE;
SELECT is((SELECT jsonb_array_length(meta -> 'carbonite_override') FROM carbonite_default.transactions), 1, 'once');
SELECT carbonite.configure_trigger('rabbits', mode => 'ignore') \gset
SET LOCAL carbonite_default.override_mode = 'override';
UPDATE rabbits SET name = 'captured' WHERE id = 1;
SELECT is((SELECT meta -> 'carbonite_override' -> 1 ->> 'mode' FROM carbonite_default.transactions), 'capture', 'for each mode that came of it');
SELECT is((SELECT count(*) FROM carbonite_default.changes), 1::bigint, 'capture is an override, too');
SET LOCAL carbonite_default.override_mode = '';
SELECT carbonite.grant_writer('carbonite_test_direct', true) \gset
SELECT is(attempt('direct', $$UPDATE carbonite_default.transactions SET meta = '{}' WHERE xact_id = pg_current_xact_id()$$), '42501', 'what is told there stays');
SELECT is(attempt('direct', $$UPDATE carbonite_default.transactions SET meta = meta || '{"more": 1}' WHERE xact_id = pg_current_xact_id()$$), '1', 'while other metadata may change');
UPDATE carbonite_default.triggers SET override_xact_id = pg_current_xact_id(), mode = 'capture';
SELECT is(attempt('other', 'DELETE FROM rabbits'), '42501', 'an override of older clients is one');
UPDATE carbonite_default.settings SET override_role = 'nobody_at_all';
SELECT is(attempt('writer', 'DELETE FROM rabbits'), '42501', 'a role that is gone has no members');
SELECT carbonite.configure_schema(override_role => '') \gset
SELECT is(attempt('other', 'DELETE FROM rabbits'), '2', 'and with none everybody may again');
SELECT * FROM finish();
ROLLBACK;
