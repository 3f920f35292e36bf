-- What the Elixir library Carbonite sends, on a prefix that install_schema() made.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
COMMIT;
SET client_min_messages = warning;
\t on
\pset format unaligned

SELECT plan(92);

BEGIN;
SELECT carbonite.install_schema();
CREATE TABLE rabbits (id bigserial PRIMARY KEY, name varchar(255), age int);

-- migrations: a trigger and its configuration
SELECT lives_ok($$
    CREATE CONSTRAINT TRIGGER capture_changes_into_carbonite_default_trigger
    AFTER INSERT OR UPDATE OR DELETE ON public.rabbits
    DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE PROCEDURE carbonite_default.capture_changes()$$, 'create_trigger: the trigger');
SELECT throws_ok('INSERT INTO rabbits (id) VALUES (0)', 'P0002',
    '(carbonite) INSERT on table public.rabbits but no trigger record in carbonite_default.triggers', 'which refuses writes without a configuration');
SELECT lives_ok($$
    INSERT INTO carbonite_default.triggers (id, table_prefix, table_name, inserted_at, updated_at)
    VALUES (NEXTVAL('carbonite_default.triggers_id_seq'), 'public', 'rabbits', NOW(), NOW())$$, 'create_trigger: its configuration');
SELECT results_eq('SELECT primary_key_columns::text[], excluded_columns::text[], filtered_columns::text[], mode::text, store_changed_from FROM carbonite_default.triggers',
    $$VALUES ('{id}'::text[], '{}'::text[], '{}'::text[], 'capture', false)$$, 'which has the defaults');
SELECT is(table_oid, 'rabbits'::regclass, 'and finds the table by its name') FROM carbonite_default.triggers;
SELECT throws_ok($$
    INSERT INTO carbonite_default.triggers (id, table_prefix, table_name, inserted_at, updated_at)
    VALUES (NEXTVAL('carbonite_default.triggers_id_seq'), 'public', 'rabbits', NOW(), NOW())$$, '23505', NULL, 'a second one is refused');
SELECT throws_ok($$
    CREATE CONSTRAINT TRIGGER capture_changes_into_carbonite_default_trigger
    AFTER INSERT OR UPDATE OR DELETE ON public.rabbits
    DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE PROCEDURE carbonite_default.capture_changes()$$,
    CASE WHEN current_setting('server_version_num')::int < 140000 THEN '23505' ELSE '42710' END, NULL, 'as is a second trigger');
SELECT throws_ok('INSERT INTO rabbits (id) VALUES (0)', '23503',
    '(carbonite) INSERT on table public.rabbits without prior INSERT into carbonite_default.transactions', 'from then on a write needs a transactions row');

-- migrations: a transaction and an outbox
SELECT lives_ok($$
    INSERT INTO carbonite_default.transactions (meta, inserted_at)
    VALUES ('{"type": "migration", "direction": "up", "name": "backfill"}'::jsonb, NOW())$$, 'insert_migration_transaction');
SELECT is((carbonite.current_transaction()).meta ->> 'type', 'migration', 'which is the current transaction');
SELECT throws_ok($$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{}', NOW())$$, '23505', NULL,
    'a second plain one in the same database transaction is refused');
SELECT lives_ok($$
    INSERT INTO carbonite_default.outboxes (name, last_transaction_id, inserted_at, updated_at)
    VALUES ('rabbit_holes', 0, NOW(), NOW())$$, 'create_outbox');
SELECT is((SELECT memo FROM carbonite_default.outboxes), '{}', 'with an empty memo');
SELECT throws_ok($$
    INSERT INTO carbonite_default.outboxes (name, last_transaction_id, inserted_at, updated_at)
    VALUES ('rabbit_holes', 0, NOW(), NOW())$$, '23505', NULL, 'once for each name');

-- migrations: configuration, one column after the other, in effect at once
CREATE FUNCTION last_change(OUT pk text, OUT data jsonb, OUT old jsonb) LANGUAGE sql AS
    'SELECT table_pk::text, data, changed_from FROM carbonite_default.changes ORDER BY id DESC LIMIT 1';
INSERT INTO rabbits (name, age) VALUES ('Jack', 3);
SELECT results_eq('SELECT * FROM last_change()', $$VALUES ('{1}', '{"id": 1, "age": 3, "name": "Jack"}'::jsonb, NULL::jsonb)$$, 'a table is captured with the defaults');
UPDATE rabbits SET age = 30;
SELECT is((last_change()).old, NULL, 'without old values, unless they are asked for');
UPDATE rabbits SET age = 3;
SELECT lives_ok($$UPDATE carbonite_default.triggers SET primary_key_columns = '{"age","id"}' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: primary_key_columns');
UPDATE rabbits SET age = 4;
SELECT is((last_change()).pk, '{4,1}', 'in the given order');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET primary_key_columns = '{}' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: none');
UPDATE rabbits SET age = 5;
SELECT is((last_change()).pk, NULL, 'makes a null key');
UPDATE carbonite_default.triggers SET primary_key_columns = '{"id"}' WHERE table_prefix = 'public' AND table_name = 'rabbits';
SELECT lives_ok($$UPDATE carbonite_default.triggers SET excluded_columns = '{"age"}' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: excluded_columns');
UPDATE rabbits SET age = 6, name = 'Jane';
SELECT is((last_change()).data, '{"id": 1, "name": "Jane"}', 'keeps a column out');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET filtered_columns = '{"name"}' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: filtered_columns');
UPDATE rabbits SET name = 'Jo';
SELECT is((last_change()).data, '{"id": 1, "name": "[FILTERED]"}', 'masks one');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET store_changed_from = TRUE WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: store_changed_from');
UPDATE rabbits SET name = 'Joe';
SELECT is((last_change()).old, '{"name": "[FILTERED]"}', 'keeps old values, masked as well');
UPDATE carbonite_default.triggers SET filtered_columns = '{}', excluded_columns = '{}';
UPDATE rabbits SET name = 'Jack', age = 3;
SELECT is((last_change()).old, '{"age": 6, "name": "Joe"}', 'or not');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET mode = 'ignore' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: mode');
SELECT count(*) AS n FROM carbonite_default.changes \gset before_
UPDATE rabbits SET name = 'ignored';
SELECT is((SELECT count(*) FROM carbonite_default.changes), :before_n::bigint, 'ends capture');
UPDATE carbonite_default.triggers SET mode = 'capture';
SELECT throws_ok($$UPDATE carbonite_default.triggers SET mode = 'sometimes'$$, '22P02', NULL, 'of modes there are two');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET mode = 'ignore' WHERE table_prefix = 'public' AND table_name = 'unknown'$$, 'put_trigger_config for an unknown table changes nothing');
DELETE FROM carbonite_default.transactions;
SELECT is((SELECT count(*) FROM carbonite_default.changes), 0::bigint, 'deleting transactions deletes their changes');

-- insert_transaction, twice
PREPARE insert_transaction (jsonb, timestamp) AS
    INSERT INTO "carbonite_default"."transactions" ("meta", "inserted_at") VALUES ($1, $2)
    ON CONFLICT ("id") DO UPDATE SET "xact_id" = EXCLUDED."xact_id"
    RETURNING "inserted_at", "meta", "xact_id", "id";
EXECUTE insert_transaction('{"type": "rabbit_inserted"}', '2030-01-01') \gset first_
SELECT is(:'first_meta'::jsonb, '{"type": "rabbit_inserted"}', 'insert_transaction returns the new row');
SELECT is(:'first_xact_id', pg_current_xact_id()::text, 'with the xid of the database transaction');
SELECT is(:'first_id'::bigint, currval('carbonite_default.transactions_id_seq'), 'and the id that the sequence gave');
EXECUTE insert_transaction('{"type": "ignored"}', '2031-01-01') \gset second_
SELECT is(:'second_meta'::jsonb, '{"type": "rabbit_inserted"}', 'and later the first one: the metadata of later calls is discarded');
SELECT is(:'second_id'::bigint, :'first_id'::bigint, 'with its id');
SELECT is(:'second_inserted_at'::timestamp, '2030-01-01', 'and the time that the client gave');
SELECT is((carbonite.insert_transaction('{"type": "ours"}')).id, :'first_id'::bigint, 'it is the row of our insert_transaction, too');
SELECT is((SELECT count(*) FROM carbonite_default.transactions), 1::bigint, 'there is one');
INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{"more": 1}', NOW())
    ON CONFLICT (id) DO UPDATE SET meta = transactions.meta || excluded.meta RETURNING meta \gset merged_
SELECT is(:'merged_meta'::jsonb, '{"more": 1, "type": "rabbit_inserted"}', 'who wants metadata merged writes another ON CONFLICT');

-- writes, current_transaction, fetch_changes
INSERT INTO "public"."rabbits" ("name", "age") VALUES ('Jack', 3) RETURNING "id" AS rabbit \gset
UPDATE "public"."rabbits" SET "name" = 'Jane' WHERE "id" = :rabbit;
PREPARE current AS
    SELECT t0."id" FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" = CURRVAL(CONCAT('carbonite_default', '.transactions_id_seq'))) AND (t0."xact_id" = pg_current_xact_id());
SELECT results_eq('current', format('VALUES (%s::bigint)', :first_id), 'current_transaction finds the row');
PREPARE fetched AS
    SELECT c0."op"::text, c0."table_pk"::text, c0."data", c0."changed"::text, c0."changed_from" FROM "carbonite_default"."changes" AS c0
    INNER JOIN "carbonite_default"."transactions" AS t1 ON t1."id" = c0."transaction_id"
    WHERE (t1."id" = CURRVAL(CONCAT('carbonite_default', '.transactions_id_seq'))) AND (t1."xact_id" = pg_current_xact_id())
    ORDER BY c0."id";
PREPARE expected AS
    SELECT v.op, v.pk COLLATE "C", v.data::jsonb, v.changed, v.old::jsonb
    FROM (VALUES ('insert', format('{%s}', :rabbit), format('{"id": %s, "age": 3, "name": "Jack"}', :rabbit), '{}', NULL),
        ('update', format('{%s}', :rabbit), format('{"id": %s, "age": 3, "name": "Jane"}', :rabbit), '{name}', '{"name": "Jack"}')) v (op, pk, data, changed, old);
SELECT set_eq('fetched', 'expected', 'fetch_changes finds the changes');
SELECT results_eq('SELECT id FROM carbonite.fetch_changes()', $$SELECT id FROM carbonite_default.changes WHERE transaction_id = CURRVAL('carbonite_default.transactions_id_seq') ORDER BY id$$,
    'as our function does');
PREPARE delete_if_empty AS
    DELETE FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" = CURRVAL(CONCAT('carbonite_default', '.transactions_id_seq'))) AND (t0."xact_id" = pg_current_xact_id())
        AND NOT EXISTS (SELECT 1 FROM "carbonite_default"."changes" AS c WHERE c."transaction_id" = t0."id") RETURNING t0."id"::text;
SELECT is_empty('delete_if_empty', 'delete_transaction_if_empty keeps a row with changes');

-- override_mode
SELECT count(*) AS n FROM carbonite_default.changes \gset before_
SELECT lives_ok($$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'override_mode: ignore');
INSERT INTO rabbits (name) VALUES ('unseen');
SELECT is((SELECT count(*) FROM carbonite_default.changes), :before_n::bigint, 'keeps a write from being recorded');
SET LOCAL carbonite_default.override_mode = 'capture';
UPDATE rabbits SET name = 'seen' WHERE name = 'unseen';
SELECT is((last_change()).data ->> 'name', 'seen', 'override_mode: capture records it');
SET LOCAL carbonite_default.override_mode = 'override';
UPDATE rabbits SET name = 'swapped' WHERE name = 'seen';
SELECT is((last_change()).data ->> 'name', 'seen', 'override_mode: override ignores a table whose mode is capture');
SET LOCAL carbonite_default.override_mode = 'override';
UPDATE rabbits SET name = 'swapped again' WHERE name = 'swapped';
SELECT is((last_change()).data ->> 'name', 'seen', 'and does not swap back if it is said again');
UPDATE carbonite_default.triggers SET mode = 'ignore';
UPDATE rabbits SET name = 'captured' WHERE name = 'swapped again';
SELECT is((last_change()).data ->> 'name', 'captured', 'while it captures one whose mode is ignore');
UPDATE carbonite_default.triggers SET mode = 'capture';
SET LOCAL carbonite_default.override_mode = '';
UPDATE rabbits SET name = 'normal' WHERE name = 'captured';
SELECT is((last_change()).data ->> 'name', 'normal', 'the empty setting that is left after a transaction is none');

-- history of a record, through the index
SET LOCAL enable_seqscan = off;
PREPARE history (varchar, varchar, varchar[]) AS
    SELECT c0."id", c0."op", c0."data" FROM "carbonite_default"."changes" AS c0
    WHERE (c0."table_prefix" = $1) AND (c0."table_name" = $2) AND (c0."table_pk" = $3) ORDER BY c0."id";
CREATE FUNCTION plan_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; whole text := '';
BEGIN FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP whole := whole || line; END LOOP; RETURN whole; END $$;
SELECT matches(plan_of(format($$EXECUTE history('public', 'rabbits', '{%s}')$$, :rabbit)),
    'changes_table_prefix_table_name_table_pk_index', 'changes(record) uses the index');
SELECT matches(plan_of(format($$SELECT c0."id" FROM "carbonite_default"."changes" AS c0
    WHERE (c0."table_prefix" = 'public') AND (c0."table_name" = 'rabbits') AND (c0."table_pk" = ARRAY['%s']::varchar[]) ORDER BY c0."id"$$, :rabbit)),
    'changes_table_prefix_table_name_table_pk_index', 'also with constants');
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT matches(plan_of(format($$EXECUTE history('public', 'rabbits', '{%s}')$$, :rabbit)),
    'changes_table_prefix_table_name_table_pk_index', 'and a plan for any record');
RESET plan_cache_mode;
SELECT results_eq(format($$EXECUTE history('public', 'rabbits', '{%s}')$$, :rabbit),
    format($$SELECT id, op, data FROM carbonite_default.changes WHERE data ->> 'id' = '%s' ORDER BY id$$, :rabbit), 'and finds its changes in their order');
SELECT is((SELECT count(*) FROM carbonite.changes('rabbits', ARRAY[:'rabbit'])), 2::bigint, 'as our function does');
SELECT matches(plan_of('SELECT FROM carbonite_default.changes WHERE transaction_id = 1'), 'changes_pkey',
    'the changes of a transaction have an index, too');
RESET enable_seqscan;

-- outboxes: a queue, steps, a purge. Test fixtures insert rows with ids, which are taken as they are.
DELETE FROM carbonite_default.transactions WHERE id = :first_id;
INSERT INTO carbonite_default.transactions (id, xact_id, meta, inserted_at)
    SELECT n, n::text::xid8, jsonb_build_object('n', n), CASE WHEN n < 100003 THEN '2020-01-01' ELSE '2030-01-01' END::timestamp
    FROM generate_series(100000, 100003) n;
SELECT results_eq('SELECT id, xact_id::text FROM carbonite_default.transactions ORDER BY id',
    'SELECT n::bigint, n::text FROM generate_series(100000, 100003) n', 'explicit ids and xids of a fixture are taken as they are');
INSERT INTO carbonite_default.changes (id, transaction_id, transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed)
    SELECT n, n, n::text::xid8, 'insert', 'public', 'rabbits', ARRAY[n::varchar], '{}', '{}' FROM generate_series(100000, 100003) n;
SELECT is((SELECT count(*) FROM carbonite_default.changes), 4::bigint, 'so are changes of a fixture');
SELECT throws_ok($$INSERT INTO carbonite_default.changes (id, transaction_id, transaction_xact_id, op, table_prefix, table_name, data, changed)
    VALUES (1, 99, '99', 'insert', 'public', 'rabbits', '{}', '{}')$$, '23503', NULL, 'if their transaction exists');
SELECT throws_ok($$INSERT INTO rabbits (name) VALUES ('x')$$, '23503',
    '(carbonite) INSERT on table public.rabbits without prior INSERT into carbonite_default.transactions', 'but those rows are not the current transaction');
SELECT lives_ok('UPDATE rabbits SET name = name', 'an update that changes nothing needs none');
INSERT INTO carbonite_default.transactions (id, inserted_at) VALUES (90000, '2030-01-01');
SELECT is((SELECT xact_id FROM carbonite_default.transactions WHERE id = 90000), pg_current_xact_id(), 'an id may be given alone');
INSERT INTO carbonite_default.transactions (xact_id, inserted_at) VALUES ('90001', '2030-01-01');
SELECT is((SELECT count(*) FROM carbonite_default.transactions WHERE xact_id = '90001' AND id <> 90001), 1::bigint, 'as may an xid');
SELECT is((SELECT meta FROM carbonite_default.transactions WHERE id = 90000), '{}', 'without metadata there is an empty object');
DELETE FROM carbonite_default.transactions WHERE id = 90000 OR xact_id = '90001';
PREPARE queue (bigint, timestamp, bigint) AS
    SELECT t0."id" FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" > $1) AND (t0."inserted_at" <= $2) ORDER BY t0."id" LIMIT $3;
PREPARE step (bigint, jsonb, timestamp) AS
    UPDATE "carbonite_default"."outboxes" SET "last_transaction_id" = $1, "memo" = $2, "updated_at" = $3 WHERE "name" = 'rabbit_holes';
PREPARE done (timestamp) AS
    DELETE FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" <= ALL (SELECT o."last_transaction_id" FROM "carbonite_default"."outboxes" AS o)) AND (t0."inserted_at" <= $1) RETURNING t0."id";
SELECT is_empty($$EXECUTE done('2025-01-01')$$, 'purge deletes nothing that an outbox has not seen');
SELECT results_eq($$EXECUTE queue(0, '2025-01-01', 2)$$, 'VALUES (100000::bigint), (100001)', 'outbox_queue gives what is old enough, in order, up to a limit');
SELECT lives_ok($$EXECUTE step(100001, '{"seen": 2}', '2030-01-01')$$, 'an outbox steps on after a chunk');
SELECT results_eq($$EXECUTE queue(100001, '2025-01-01', 2)$$, 'VALUES (100002::bigint)', 'the next query gives the rest');
SELECT is_empty($$EXECUTE queue(100002, '2025-01-01', 2)$$, 'until there is none');
SELECT results_eq('SELECT last_transaction_id, memo FROM carbonite_default.outboxes', $$VALUES (100001::bigint, '{"seen": 2}'::jsonb)$$, 'the outbox has its position and memo');
SELECT results_eq($$SELECT c."transaction_id", c."id" FROM "carbonite_default"."changes" AS c WHERE c."transaction_id" = ANY('{100000,100001}') ORDER BY c."transaction_id"$$,
    'VALUES (100000::bigint, 100000::bigint), (100001, 100001)', 'the changes of a chunk are loaded by the ids of its transactions');
INSERT INTO carbonite_default.outboxes (name, last_transaction_id, inserted_at, updated_at) VALUES ('slow', 100000, NOW(), NOW());
SELECT results_eq($$EXECUTE done('2025-01-01')$$, 'VALUES (100000::bigint)', 'purge deletes what all outboxes have seen');
SELECT is((SELECT array_agg(id ORDER BY id) FROM carbonite_default.changes), '{100001,100002,100003}', 'with its changes');
SELECT lives_ok($$DELETE FROM carbonite_default.outboxes WHERE name = 'slow'$$, 'drop_outbox');
SELECT results_eq($$EXECUTE done('2025-01-01')$$, 'VALUES (100001::bigint)', 'lets purge go on');
DELETE FROM carbonite_default.outboxes;
SELECT results_eq($$EXECUTE done('2025-01-01')$$, 'VALUES (100002::bigint)', 'without outboxes purge deletes all that is old enough');
SELECT is((SELECT array_agg(id) FROM carbonite_default.transactions), '{100003}', 'and nothing younger');

-- TRUNCATE is none of the trigger's business
SELECT count(*) AS n FROM carbonite_default.changes \gset before_
TRUNCATE rabbits;
SELECT is((SELECT count(*) FROM carbonite_default.changes), :before_n::bigint, 'TRUNCATE is not recorded, and no error');

-- drop_trigger
SELECT lives_ok($$DELETE FROM carbonite_default.triggers WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'drop_trigger: the configuration');
SELECT lives_ok('DROP TRIGGER capture_changes_into_carbonite_default_trigger ON public.rabbits', 'drop_trigger: the trigger');
SELECT lives_ok($$INSERT INTO rabbits (name) VALUES ('free')$$, 'and the table is free');
ROLLBACK;
DEALLOCATE ALL;

-- Two prefixes, and transactions that end.
DROP SCHEMA IF EXISTS library_tables, library_one, library_two CASCADE;
CREATE SCHEMA library_tables;
SET search_path = library_tables, public;
SELECT carbonite.install_schema(carbonite_prefix => 'library_one');
SELECT carbonite.install_schema(carbonite_prefix => 'library_two');
CREATE TABLE rabbits (id int PRIMARY KEY, name text);
SELECT format('CREATE CONSTRAINT TRIGGER capture_changes_into_%s_trigger AFTER INSERT OR UPDATE OR DELETE ON library_tables.rabbits
        DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE PROCEDURE %1$s.capture_changes();
    INSERT INTO %1$s.triggers (id, table_prefix, table_name, inserted_at, updated_at)
    VALUES (NEXTVAL(''%1$s.triggers_id_seq''), ''library_tables'', ''rabbits'', NOW(), NOW());', p)
FROM unnest('{library_one,library_two}'::text[]) p \gexec
BEGIN;
INSERT INTO library_one.transactions (meta, inserted_at) VALUES ('{"in": "one"}', NOW()) ON CONFLICT (id) DO UPDATE SET xact_id = EXCLUDED.xact_id;
SELECT throws_ok('INSERT INTO rabbits VALUES (1)', '23503',
    '(carbonite) INSERT on table library_tables.rabbits without prior INSERT into library_two.transactions', 'a table in two prefixes needs both transactions rows');
INSERT INTO library_two.transactions (meta, inserted_at) VALUES ('{"in": "two"}', NOW()) ON CONFLICT (id) DO UPDATE SET xact_id = EXCLUDED.xact_id;
INSERT INTO rabbits VALUES (1, 'Jack');
COMMIT;
SELECT results_eq('SELECT t.meta, c.data FROM library_one.changes c JOIN library_one.transactions t ON t.id = c.transaction_id
        UNION ALL SELECT t.meta, c.data FROM library_two.changes c JOIN library_two.transactions t ON t.id = c.transaction_id',
    $$VALUES ('{"in": "one"}'::jsonb, '{"id": 1, "name": "Jack"}'::jsonb), ('{"in": "two"}', '{"id": 1, "name": "Jack"}')$$, 'each records the change under its own');
SELECT is_empty($$SELECT FROM library_one.transactions t0
    WHERE (t0."id" = CURRVAL(CONCAT('library_one', '.transactions_id_seq'))) AND (t0."xact_id" = pg_current_xact_id())$$,
    'the row of an earlier transaction of the session is not the current one');
SELECT throws_ok('INSERT INTO rabbits VALUES (2)', '23503',
    '(carbonite) INSERT on table library_tables.rabbits without prior INSERT into library_one.transactions', 'and does not count for writes');
BEGIN;
INSERT INTO library_one.transactions (meta, inserted_at) VALUES ('{}', NOW()) ON CONFLICT (id) DO UPDATE SET xact_id = EXCLUDED.xact_id RETURNING id \gset second_
SELECT ok(:second_id > (SELECT min(id) FROM library_one.transactions), 'a later transaction has a row of its own');
DELETE FROM library_one.transactions t0
    WHERE (t0."id" = CURRVAL(CONCAT('library_one', '.transactions_id_seq'))) AND (t0."xact_id" = pg_current_xact_id())
        AND NOT EXISTS (SELECT 1 FROM library_one.changes c WHERE c.transaction_id = t0.id);
SELECT is((SELECT count(*) FROM library_one.transactions), 1::bigint, 'delete_transaction_if_empty deletes it if it is empty');
SET LOCAL library_one.override_mode = 'ignore';
SET LOCAL library_two.override_mode = 'ignore';
SELECT lives_ok($$INSERT INTO rabbits VALUES (2, 'unseen')$$, 'override_mode of both lets a write pass without rows');
COMMIT;
SELECT throws_ok('INSERT INTO rabbits VALUES (3)', '23503', NULL, 'until the end of the transaction');
WITH described AS (
    INSERT INTO library_one.transactions (meta, inserted_at) VALUES ('{"by": "CTE"}', NOW()) RETURNING id
), described_too AS (
    INSERT INTO library_two.transactions (meta, inserted_at) VALUES ('{"by": "CTE"}', NOW()) RETURNING id
)
INSERT INTO rabbits SELECT 4, 'one statement' FROM described, described_too;
SELECT is((SELECT t.meta FROM library_two.changes c JOIN library_two.transactions t ON t.id = c.transaction_id WHERE c.table_pk = '{4}'),
    '{"by": "CTE"}', 'one statement may insert the transactions rows and write');

SELECT * FROM finish();
\o /dev/null
SELECT carbonite.drop_schema(true, 'library_one');
SELECT carbonite.drop_schema(true, 'library_two');
DROP SCHEMA library_tables CASCADE;
