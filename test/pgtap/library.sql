-- What the Elixir library Carbonite sends, on a prefix that install_schema() made.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
SELECT carbonite.install_schema();
CREATE TABLE rabbits (id bigserial PRIMARY KEY, name varchar(255), age int);
\t on
\pset format unaligned

SELECT plan(30);

-- migrations: a trigger, its configuration, one column of it after the other
SELECT lives_ok($$
    CREATE CONSTRAINT TRIGGER capture_changes_into_carbonite_default_trigger
    AFTER INSERT OR UPDATE OR DELETE ON public.rabbits
    DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE PROCEDURE carbonite_default.capture_changes()$$, 'create_trigger: the trigger');
SELECT lives_ok($$
    INSERT INTO carbonite_default.triggers (id, table_prefix, table_name, inserted_at, updated_at)
    VALUES (NEXTVAL('carbonite_default.triggers_id_seq'), 'public', 'rabbits', NOW(), NOW())$$, 'create_trigger: its configuration');
SELECT is(table_oid, 'rabbits'::regclass, 'the table is found by its name') FROM carbonite_default.triggers;
SELECT lives_ok($$UPDATE carbonite_default.triggers SET primary_key_columns = '{"id"}' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: primary_key_columns');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET excluded_columns = '{"age"}' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: excluded_columns');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET filtered_columns = '{}' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: filtered_columns');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET store_changed_from = TRUE WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: store_changed_from');
SELECT lives_ok($$UPDATE carbonite_default.triggers SET mode = 'ignore' WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'put_trigger_config: mode');
SELECT lives_ok($$INSERT INTO rabbits (name) VALUES ('ignored')$$, 'which ends capture');
UPDATE carbonite_default.triggers SET mode = 'capture';
SELECT lives_ok($$
    INSERT INTO carbonite_default.outboxes (name, last_transaction_id, inserted_at, updated_at)
    VALUES ('rabbit_holes', 0, NOW(), NOW())$$, 'create_outbox');
SELECT lives_ok($$
    INSERT INTO carbonite_default.transactions (meta, inserted_at)
    VALUES ('{"type": "migration", "direction": "up", "name": "backfill"}'::jsonb, NOW())$$, 'insert_migration_transaction');
DELETE FROM carbonite_default.transactions;

-- insert_transaction, twice
PREPARE insert_transaction (jsonb, timestamp) AS
    INSERT INTO "carbonite_default"."transactions" ("meta", "inserted_at") VALUES ($1, $2)
    ON CONFLICT ("id") DO UPDATE SET "xact_id" = EXCLUDED."xact_id"
    RETURNING "inserted_at", "meta", "xact_id", "id";
EXECUTE insert_transaction('{"type": "rabbit_inserted"}', '2030-01-01') \gset first_
SELECT is(:'first_meta'::jsonb, '{"type": "rabbit_inserted"}', 'insert_transaction returns the new row');
EXECUTE insert_transaction('{"type": "ignored"}', '2031-01-01') \gset second_
SELECT is(:'second_meta'::jsonb, '{"type": "rabbit_inserted"}', 'and later the first one');
SELECT is(:'second_id'::bigint, :'first_id'::bigint, 'with its id');
SELECT is(:'second_inserted_at'::timestamp, '2030-01-01', 'and the time that the client gave');

-- writes
INSERT INTO "public"."rabbits" ("name", "age") VALUES ('Jack', 3) RETURNING "id" AS rabbit \gset
UPDATE "public"."rabbits" SET "name" = 'Jane' WHERE "id" = :rabbit;

-- current_transaction, fetch_changes
PREPARE current AS
    SELECT t0."id" FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" = CURRVAL(CONCAT('carbonite_default', '.transactions_id_seq'))) AND (t0."xact_id" = pg_current_xact_id());
SELECT results_eq('current', format('VALUES (%s::bigint)', :first_id), 'current_transaction finds the row');
SELECT results_eq($$
    SELECT c0."op"::text, c0."table_pk"::text[] COLLATE "default", c0."data", c0."changed"::text[], c0."changed_from" FROM "carbonite_default"."changes" AS c0
    WHERE (c0."transaction_id" = CURRVAL(CONCAT('carbonite_default', '.transactions_id_seq'))) ORDER BY c0."id"$$,
    format($$VALUES ('insert', '{%1$s}'::text[], '{"id": %1$s, "name": "Jack"}'::jsonb, '{}'::text[], NULL::jsonb),
        ('update', '{%1$s}', '{"id": %1$s, "name": "Jane"}', '{name}', '{"name": "Jack"}')$$, :rabbit), 'fetch_changes');
SELECT is_empty($$
    DELETE FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" = CURRVAL(CONCAT('carbonite_default', '.transactions_id_seq'))) AND (t0."xact_id" = pg_current_xact_id())
        AND NOT EXISTS (SELECT 1 FROM "carbonite_default"."changes" AS c WHERE c."transaction_id" = t0."id") RETURNING t0."id"$$,
    'delete_transaction_if_empty keeps a row with changes');

-- override_mode
SELECT lives_ok($$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'override_mode');
INSERT INTO rabbits (name) VALUES ('unseen');
SELECT is((SELECT count(*) FROM carbonite_default.changes), 2::bigint, 'ignores');
SET LOCAL carbonite_default.override_mode = 'capture';
UPDATE rabbits SET name = 'seen' WHERE name = 'unseen';
SELECT is((SELECT count(*) FROM carbonite_default.changes), 3::bigint, 'or captures');

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
SELECT is((SELECT count(*) FROM carbonite.changes('rabbits', ARRAY[:'rabbit'])), 2::bigint, 'and finds both');
SELECT matches(plan_of('DELETE FROM carbonite_default.changes WHERE transaction_id = 1'), 'changes_pkey',
    'so do the changes of a transaction');

-- outboxes: a queue, a step, a purge
INSERT INTO carbonite_default.transactions (id, xact_id, meta, inserted_at) VALUES (100000, '1', '{"old": 1}', '2020-01-01'), (100001, '2', '{"old": 2}', '2020-01-01');
SELECT results_eq($$
    SELECT t0."id" FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" > 99999) AND (t0."inserted_at" <= '2025-01-01'::timestamp) ORDER BY t0."id" LIMIT 100$$,
    'VALUES (100000::bigint), (100001)', 'outbox_queue');
SELECT lives_ok($$UPDATE "carbonite_default"."outboxes" SET "last_transaction_id" = 100000, "memo" = '{"seen": 1}', "updated_at" = NOW()
    WHERE "name" = 'rabbit_holes'$$, 'an outbox steps on');
SELECT results_eq($$
    DELETE FROM "carbonite_default"."transactions" AS t0
    WHERE (t0."id" <= ALL (SELECT o."last_transaction_id" FROM "carbonite_default"."outboxes" AS o))
        AND (t0."inserted_at" <= '2025-01-01'::timestamp) RETURNING t0."id"$$, 'VALUES (100000::bigint)', 'purge deletes what all outboxes have seen');

-- drop_trigger, and a prefix with patch-level functions replaced by ours
SELECT lives_ok($$DELETE FROM carbonite_default.triggers WHERE table_prefix = 'public' AND table_name = 'rabbits'$$, 'drop_trigger: the configuration');
SELECT lives_ok('DROP TRIGGER capture_changes_into_carbonite_default_trigger ON public.rabbits', 'drop_trigger: the trigger');
SELECT lives_ok($$INSERT INTO rabbits (name) VALUES ('free')$$, 'and the table is free');

SELECT * FROM finish();
ROLLBACK;
