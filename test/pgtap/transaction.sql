-- The contract of <prefix>.transactions: how rows get their ids, and which of them is current.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
SELECT carbonite.install_schema();
CREATE TABLE rabbits (id int PRIMARY KEY, name text);
SELECT carbonite.install_trigger('rabbits');
\t on
\pset format unaligned

SELECT plan(36);

-- the table
SELECT columns_are('carbonite_default', 'transactions', ARRAY['xact_id', 'meta', 'inserted_at', 'id']);
SELECT col_type_is('carbonite_default', 'transactions', 'xact_id', 'xid8', 'xact_id is an xid8');
SELECT col_type_is('carbonite_default', 'transactions', 'meta', 'jsonb', 'meta is jsonb');
SELECT col_type_is('carbonite_default', 'transactions', 'inserted_at', 'timestamp without time zone', 'inserted_at has no time zone');
SELECT col_type_is('carbonite_default', 'transactions', 'id', 'bigint', 'id is a bigint');
SELECT col_is_pk('carbonite_default', 'transactions', 'id', 'id is the primary key');
SELECT col_hasnt_default('carbonite_default', 'transactions', 'id', 'id has no default, a trigger fills it');
SELECT col_default_is('carbonite_default', 'transactions', 'meta', '{}', 'meta is {} by default');
SELECT is(pg_get_serial_sequence('carbonite_default.transactions', 'id'), 'carbonite_default.transactions_id_seq',
    'the sequence belongs to id');

-- ids
SELECT lives_ok($$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{"n": 1}', now())$$, 'a row needs only metadata and a time');
SELECT is(id, currval('carbonite_default.transactions_id_seq'), 'its id is drawn from the sequence') FROM carbonite_default.transactions;
SELECT is(xact_id, pg_current_xact_id(), 'its xact_id is that of the top-level transaction') FROM carbonite_default.transactions;
SELECT throws_ok($$INSERT INTO carbonite_default.transactions (meta) VALUES ('{"n": 2}')$$, '23505', NULL,
    'a second plain insert in the transaction conflicts on the primary key');
SELECT results_eq(
    $$INSERT INTO carbonite_default.transactions AS t (meta, inserted_at) VALUES ('{"n": 3}', now())
      ON CONFLICT (id) DO UPDATE SET xact_id = EXCLUDED.xact_id RETURNING meta, id = currval('carbonite_default.transactions_id_seq')$$,
    $$VALUES ('{"n": 1}'::jsonb, true)$$, 'with ON CONFLICT (id) DO UPDATE it returns the first row');
SELECT results_eq(
    $$INSERT INTO carbonite_default.transactions AS t (meta) VALUES ('{"m": 3}')
      ON CONFLICT (id) DO UPDATE SET meta = t.meta || EXCLUDED.meta RETURNING meta$$,
    $$VALUES ('{"m": 3, "n": 1}'::jsonb)$$, 'an ON CONFLICT of the user''s own merges metadata');
SELECT is_empty($$INSERT INTO carbonite_default.transactions (meta) VALUES ('{}') ON CONFLICT DO NOTHING RETURNING id$$,
    'ON CONFLICT DO NOTHING does nothing');
SELECT lives_ok($$INSERT INTO rabbits VALUES (1, 'a')$$, 'changes are recorded in that row');
SELECT is((SELECT count(*) FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id
    AND t.xact_id = c.transaction_xact_id), 1::bigint, 'both columns of a change point to it');

-- rows from elsewhere
SELECT results_eq($$INSERT INTO carbonite_default.transactions (id, xact_id) VALUES (900, '77') RETURNING id, xact_id$$,
    $$VALUES (900::bigint, '77'::xid8)$$, 'an explicit id and xact_id are kept as they are');
SELECT results_eq($$INSERT INTO carbonite_default.transactions (id) VALUES (901) RETURNING id, xact_id = pg_current_xact_id()$$,
    $$VALUES (901::bigint, true)$$, 'an explicit id alone gets the current xid');
SELECT is((carbonite.current_transaction()).id, currval('carbonite_default.transactions_id_seq'),
    'neither becomes the current row');

-- the row goes away
DELETE FROM carbonite_default.transactions WHERE id = currval('carbonite_default.transactions_id_seq');
SELECT is((SELECT count(*) FROM carbonite_default.changes), 0::bigint, 'deleting it deletes its changes');
SELECT throws_ok($$INSERT INTO rabbits VALUES (2, 'b')$$, '23503',
    '(carbonite) INSERT on table public.rabbits without prior INSERT into carbonite_default.transactions',
    'and capture fails, though the transaction has other rows with explicit ids');
SELECT lives_ok($$INSERT INTO carbonite_default.transactions (meta) VALUES ('{"n": 4}')$$, 'a new row may be inserted');
SELECT lives_ok($$INSERT INTO rabbits VALUES (2, 'b')$$, 'and capture works again');
DELETE FROM carbonite_default.transactions;
SAVEPOINT s;
INSERT INTO carbonite_default.transactions (meta) VALUES ('{"n": 5}');
SELECT is(meta, '{"n": 5}', 'a row inserted in a savepoint is the current one') FROM carbonite.current_transaction();
ROLLBACK TO s;
SELECT throws_ok($$INSERT INTO rabbits VALUES (3, 'c')$$, '23503', NULL, 'until the savepoint rolls back');
INSERT INTO carbonite_default.transactions (meta) VALUES ('{"n": 6}');
SELECT lives_ok($$INSERT INTO rabbits VALUES (3, 'c')$$, 'a new row works then');
SELECT nextval('carbonite_default.transactions_id_seq') IS NOT NULL AS drawn \gset
SELECT lives_ok($$INSERT INTO rabbits VALUES (4, 'd')$$, 'an additional nextval does not disturb capture, as it did in the original');
DELETE FROM carbonite_default.transactions;
SELECT lives_ok($$INSERT INTO carbonite_default.transactions (id) VALUES (nextval('carbonite_default.transactions_id_seq'))$$,
    'an id that the session drew itself');
SELECT lives_ok($$INSERT INTO rabbits VALUES (5, 'e')$$, 'makes the row the current one');

-- one statement
DELETE FROM carbonite_default.transactions;
SELECT throws_ok($$INSERT INTO carbonite_default.transactions (meta) VALUES ('{}'), ('{}')$$, '23505', NULL,
    'two rows of one statement conflict');
SELECT lives_ok($$WITH t AS (INSERT INTO carbonite_default.transactions (meta) VALUES ('{"n": 7}')) UPDATE rabbits SET name = 'cte' WHERE id = 1$$,
    'the row and the change may be written by one statement');
SELECT is((SELECT t.meta FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id
    WHERE data ->> 'name' = 'cte'), '{"n": 7}', 'and belong together');
DELETE FROM carbonite_default.transactions;

-- other roles of the session
SET LOCAL session_replication_role = replica;
SELECT throws_ok($$INSERT INTO carbonite_default.transactions (meta) VALUES ('{}')$$, '23502', NULL,
    'in the role replica the trigger does not fire, and id has no default');
SELECT lives_ok($$INSERT INTO rabbits VALUES (6, 'f')$$, 'nor is anything captured');

SELECT * FROM finish();
ROLLBACK;
