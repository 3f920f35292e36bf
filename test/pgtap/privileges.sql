-- Who may do what: a role that writes recorded tables, and nothing else.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
CREATE ROLE carbonite_test_app;
CREATE ROLE carbonite_test_other;
SELECT carbonite.install_schema();
CREATE TABLE rabbits (id int PRIMARY KEY, name text);
SELECT carbonite.install_trigger('rabbits');
GRANT ALL ON rabbits TO carbonite_test_app;
GRANT CREATE ON SCHEMA public TO carbonite_test_app;
CREATE SCHEMA evil AUTHORIZATION carbonite_test_app;
\t on
\pset format unaligned

SELECT plan(32);

SET LOCAL ROLE carbonite_test_app;
SELECT throws_ok('SELECT carbonite.insert_transaction()', '42501', NULL, 'a role without rights on the schema cannot insert a transactions row');
RESET ROLE;
SELECT carbonite.grant_writer('carbonite_test_app') \gset
SET LOCAL ROLE carbonite_test_app;
SELECT lives_ok($$SELECT carbonite.insert_transaction('{"by": "app"}')$$, 'a writer can');
SELECT lives_ok($$INSERT INTO rabbits VALUES (1, 'Jack')$$, 'and its changes are recorded');
SELECT is((carbonite.current_transaction()).meta, '{"by": "app"}', 'it sees its own transactions row');
SELECT is(carbonite.delete_transaction_if_empty(), 0::bigint, 'and asks whether that is empty');

-- nothing else
SELECT throws_ok('SELECT * FROM carbonite_default.changes', '42501', NULL, 'it cannot read changes');
SELECT throws_ok('SELECT * FROM carbonite.fetch_changes()', '42501', NULL, 'not even through a function');
SELECT throws_ok($$SELECT * FROM carbonite.changes('rabbits', '{1}')$$, '42501', NULL, 'nor history');
SELECT throws_ok('SELECT * FROM carbonite_default.triggers', '42501', NULL, 'it cannot read the configuration');
SELECT throws_ok($$INSERT INTO carbonite_default.changes (transaction_xact_id, op, table_prefix, table_name, data, changed, transaction_id)
    VALUES ('1', 'insert', 'public', 'rabbits', '{}', '{}', 1)$$, '42501', NULL, 'it cannot forge a change');
SELECT throws_ok('UPDATE carbonite_default.changes SET data = data', '42501', NULL, 'change one');
SELECT throws_ok('DELETE FROM carbonite_default.changes', '42501', NULL, 'delete one');
SELECT throws_ok('TRUNCATE carbonite_default.changes', '42501', NULL, 'or all of them');
SELECT throws_ok('DELETE FROM carbonite_default.transactions', '42501', NULL, 'nor through transactions');
SELECT throws_ok($$INSERT INTO carbonite_default.transactions (id, meta) VALUES (7, '{}')$$, '42501', NULL, 'it cannot choose the id of a transactions row');
SELECT throws_ok($$SELECT nextval('carbonite_default.transactions_id_seq')$$, '42501', NULL, 'nor draw ids');
SELECT throws_ok($$UPDATE carbonite_default.triggers SET mode = 'ignore'$$, '42501', NULL, 'it cannot change the configuration');
SELECT throws_ok($$SELECT carbonite.configure_trigger('rabbits', mode => 'ignore')$$, '42501', NULL, 'not even through a function');
SELECT throws_ok($$SELECT carbonite.configure_schema('optional')$$, '42501', NULL, 'nor that of the prefix');
SELECT throws_ok($$SELECT carbonite.drop_trigger('rabbits')$$, '42501', NULL, 'nor stop capture');
SELECT throws_ok($$SELECT carbonite.drop_schema(cascade => true)$$, '42501', NULL, 'nor drop it all');
SELECT throws_ok($$SELECT carbonite._create_capture_functions('public')$$, '42501', NULL, 'nor have functions of ours made in the schema of another');
CREATE TABLE own (id int PRIMARY KEY);
SELECT throws_ok($$SELECT carbonite.install_trigger('own')$$, '42501', NULL, 'nor record a table of its own in the prefix of another');
SELECT is((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'own'::regclass), 0::bigint, 'which leaves nothing half done');

-- nothing on the search_path stands in for anything of ours
CREATE TABLE evil.changes (LIKE rabbits);
CREATE TABLE evil.transactions (LIKE rabbits);
CREATE TABLE evil.triggers (LIKE rabbits);
CREATE FUNCTION evil.to_jsonb(rabbits) RETURNS jsonb LANGUAGE sql AS $$SELECT '{"forged": true}'::jsonb$$;
CREATE FUNCTION evil.nextval(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION evil.jsonb_concat(jsonb, jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT '{"forged": true}'::jsonb$$;
CREATE OPERATOR evil.|| (LEFTARG = jsonb, RIGHTARG = jsonb, FUNCTION = evil.jsonb_concat);
CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.eq);
SET LOCAL search_path = evil, public, pg_catalog;
INSERT INTO rabbits VALUES (2, 'Jill');
UPDATE rabbits SET name = 'Jane' WHERE id OPERATOR(pg_catalog.=) 2;
SELECT carbonite.put_meta('a', 1) AS put, (carbonite.insert_transaction('{"again": 1}')).meta AS meta \gset
RESET ROLE;
SET LOCAL search_path = public;
SELECT is(:'put'::jsonb, '{"a": 1}', 'operators in the search_path do not reach put_meta');
SELECT is(:'meta'::jsonb, '{"by": "app"}', 'nor insert_transaction');
SELECT is((SELECT array_agg(data::text ORDER BY id) FROM carbonite_default.changes),
    ARRAY['{"id": 1, "name": "Jack"}', '{"id": 2, "name": "Jill"}', '{"id": 2, "name": "Jane"}'], 'nor capture');
SELECT is((SELECT count(*) FROM evil.changes), 0::bigint, 'tables there get nothing');

-- auto mode asks for no right at all
SELECT carbonite.revoke_all('carbonite_test_app') \gset
DELETE FROM carbonite_default.transactions;
SELECT carbonite.configure_schema('auto');
SET LOCAL ROLE carbonite_test_app;
SET LOCAL carbonite.meta = '{"by": "auto"}';
SELECT lives_ok($$INSERT INTO rabbits VALUES (3, 'Joe')$$, 'in the mode auto a role needs no right on the prefix');
RESET ROLE;
SELECT is((SELECT meta FROM carbonite_default.transactions), '{"by": "auto"}', 'and its metadata is recorded');
SELECT is((SELECT count(*) FROM carbonite_default.changes), 1::bigint, 'with its change');
SET LOCAL ROLE carbonite_test_other;
SELECT throws_ok('INSERT INTO public.rabbits VALUES (4)', '42501', NULL, 'a role without rights on the table writes nothing anyway');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
