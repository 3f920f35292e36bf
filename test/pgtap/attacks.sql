-- Attempts to forge, skip, unmask, crash or escalate, each with the refusal it gets.
\set QUIET 1
BEGIN;
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
CREATE ROLE carbonite_test_app;
CREATE ROLE carbonite_test_direct;
CREATE ROLE carbonite_test_auditor;
CREATE ROLE carbonite_test_bob; -- owns a prefix of his own, and tables that ours records
CREATE ROLE carbonite_test_member;
\t on
\pset format unaligned
SELECT format('GRANT CREATE ON DATABASE %I TO carbonite_test_bob, carbonite_test_app', current_database()) \gexec
SELECT carbonite.install_schema(override_role => 'carbonite_test_member') \gset
CREATE TABLE rabbits (id int PRIMARY KEY, name text, secret text);
CREATE TABLE bobs (id int PRIMARY KEY, name text, secret text);
ALTER TABLE bobs OWNER TO carbonite_test_bob;
SELECT carbonite.install_trigger('rabbits', filtered_columns => '{secret}') \gset
SELECT carbonite.install_trigger('bobs', filtered_columns => '{secret}') \gset
GRANT ALL ON rabbits, bobs TO PUBLIC;
SELECT carbonite.grant_writer('carbonite_test_app'), carbonite.grant_writer('carbonite_test_bob'), carbonite.grant_writer('carbonite_test_direct', true),
    carbonite.grant_auditor('carbonite_test_auditor') \g /dev/null
INSERT INTO carbonite_default.transactions (id, xact_id) VALUES (-1, '1');
INSERT INTO carbonite_default.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed)
    VALUES (-1, '1', 'insert', 'public', 'rabbits', '{1}', '{"id": 1}', '{}');
GRANT CREATE ON SCHEMA public TO carbonite_test_bob;
CREATE SCHEMA app AUTHORIZATION carbonite_test_app;
CREATE SCHEMA bob AUTHORIZATION carbonite_test_bob;
-- functions that run with the rights of a superuser, as applications have them
CREATE FUNCTION trusted_write() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$INSERT INTO public.rabbits VALUES (77)$$;
GRANT EXECUTE ON FUNCTION trusted_write() TO PUBLIC;

-- What becomes of statements by a role: what the last one gives, or the SQLSTATE. Nothing of it stays.
CREATE FUNCTION attempt(role text, VARIADIC statements text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    statement text;
    result text;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE carbonite_test_%s', role);
        FOREACH statement IN ARRAY statements LOOP
            IF statement LIKE 'AS %' THEN
                RESET ROLE;
                IF statement <> 'AS postgres' THEN
                    EXECUTE format('SET LOCAL ROLE carbonite_test_%s', substr(statement, 4));
                END IF;
            ELSIF statement LIKE 'SELECT%' THEN
                EXECUTE statement INTO result;
            ELSE
                EXECUTE statement;
                result := 'done';
            END IF;
        END LOOP;
        SET CONSTRAINTS ALL IMMEDIATE;
        RAISE EXCEPTION '%', coalesce(result, 'null') USING ERRCODE = 'CB000';
    EXCEPTION
        WHEN SQLSTATE 'CB000' THEN RETURN SQLERRM;
        WHEN OTHERS THEN RETURN SQLSTATE;
    END;
END $$;
CREATE FUNCTION changes_by_me(condition text DEFAULT 'true') RETURNS text LANGUAGE sql AS $$
    SELECT format('SELECT count(*) FROM carbonite_default.changes c WHERE c.transaction_xact_id = pg_current_xact_id() AND %s', condition)
$$;
\set begin 'SELECT carbonite.insert_transaction()'

SELECT plan(85);

-- forge: rows of changes
SELECT is(attempt('app', $$INSERT INTO carbonite_default.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, data, changed) VALUES (-1, '1', 'delete', 'public', 'rabbits', '{}', '{}')$$), '42501', 'insert a change');
SELECT is(attempt('direct', $$INSERT INTO carbonite_default.changes (transaction_id, transaction_xact_id, op, table_prefix, table_name, data, changed) VALUES (-1, '1', 'delete', 'public', 'rabbits', '{}', '{}')$$), '42501', 'as a direct writer');
SELECT is(attempt('auditor', $$UPDATE carbonite_default.changes SET data = '{}'$$), '42501', 'change one');
SELECT is(attempt('app', 'TRUNCATE carbonite_default.changes'), '42501', 'empty changes');
SELECT is(attempt('app', 'COPY carbonite_default.changes FROM PROGRAM ''true'''), '42501', 'COPY into it');
SELECT is(attempt('app', 'CREATE VIEW app.v AS SELECT * FROM carbonite_default.changes', 'DELETE FROM app.v'), '42501', 'through a view');
SELECT is(attempt('app', 'CREATE RULE r AS ON INSERT TO carbonite_default.changes DO INSTEAD NOTHING'), '42501', 'a rule on changes');
SELECT is(attempt('app', 'CREATE TRIGGER t BEFORE INSERT ON carbonite_default.changes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()'), '42501', 'a trigger on changes');
SELECT is(attempt('bob', 'CREATE TABLE bob.t (id int PRIMARY KEY)', 'CREATE RULE r AS ON INSERT TO bob.t DO ALSO DELETE FROM carbonite_default.changes', 'AS app', 'INSERT INTO bob.t VALUES (1)'), '42501', 'a rule of one''s own table');
SELECT is(attempt('bob', 'CREATE FUNCTION bob.f() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN DELETE FROM carbonite_default.changes; RETURN NULL; END$f$',
    'CREATE TRIGGER a_f AFTER INSERT ON bobs FOR EACH ROW EXECUTE FUNCTION bob.f()', 'AS app', :'begin', 'INSERT INTO bobs VALUES (1)'), '42501', 'a trigger of one''s own table');
SELECT is(attempt('app', 'CREATE TABLE app.c () INHERITS (carbonite_default.changes)'), '42501', 'a table that inherits from changes');
SELECT is(attempt('app', $$SELECT setval('carbonite_default.changes_id_seq', 1)$$), '42501', 'set the sequence back');
SELECT is(attempt('app', $$SELECT nextval('carbonite_default.transactions_id_seq')$$), '42501', 'draw ids');
-- forge: history of a table by another one
SELECT is(attempt('app', 'CREATE TABLE app.rabbits (id int PRIMARY KEY)', 'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON app.rabbits FOR EACH ROW EXECUTE FUNCTION carbonite_default.capture_changes()', :'begin', 'INSERT INTO app.rabbits VALUES (1)'), 'P0002', 'a table of the same name');
SELECT is(attempt('app', 'CREATE TEMP TABLE rabbits (id int PRIMARY KEY)', 'CREATE CONSTRAINT TRIGGER t AFTER INSERT ON pg_temp.rabbits FOR EACH ROW EXECUTE FUNCTION carbonite_default.capture_changes()', :'begin', 'INSERT INTO pg_temp.rabbits VALUES (1)'), 'P0002', 'a temporary one');
SELECT is(attempt('app', 'CREATE TABLE app.part () INHERITS (rabbits)'), '42501', 'a child of the table');
SELECT is(attempt('app', 'SELECT carbonite_default.capture_changes()'), '39P01', 'call the trigger function');
SELECT is(attempt('app', 'CREATE TABLE app.t (id int)', 'CREATE TRIGGER t BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION carbonite_default.capture_changes()', 'INSERT INTO app.t VALUES (1)'), '39P01', 'before the row is written');
SELECT is(attempt('app', 'CREATE TABLE app.t (id bigint, xact_id xid8)', 'CREATE TRIGGER t BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION carbonite_default.set_transaction_id()', 'INSERT INTO app.t VALUES (1)'), '42809', 'use set_transaction_id() elsewhere');
SELECT is(attempt('bob', 'SELECT carbonite.install_schema(carbonite_prefix => ''bobs_own'')', 'CREATE TABLE bobs_own.small (xact_id xid8, meta int, inserted_at timestamp, id bigint)',
    'CREATE TRIGGER t BEFORE UPDATE ON bobs_own.small FOR EACH ROW EXECUTE FUNCTION carbonite._guard_transaction()', 'INSERT INTO bobs_own.small VALUES (''1'', 1)',
    'GRANT ALL ON SCHEMA bobs_own TO PUBLIC', 'GRANT ALL ON bobs_own.small TO PUBLIC', 'AS app', 'UPDATE bobs_own.small SET meta = 2'), '42809', 'use the guard elsewhere');
SELECT is(attempt('app', 'CREATE TABLE app.t (id int)', 'CREATE TRIGGER t BEFORE UPDATE ON app.t FOR EACH ROW EXECUTE FUNCTION carbonite._guard_transaction()', 'INSERT INTO app.t VALUES (1)', 'UPDATE app.t SET id = 2'), '3F000', 'or outside a prefix');
-- forge: by what is in the search_path
SELECT is(attempt('app', 'CREATE FUNCTION app.to_jsonb(public.rabbits) RETURNS jsonb LANGUAGE sql AS $f$SELECT ''{"forged": 1}''::jsonb$f$', 'SET LOCAL search_path = app, public, pg_catalog', :'begin',
    'INSERT INTO public.rabbits VALUES (2)', 'AS postgres', changes_by_me($$data ? 'forged'$$)), '0', 'another to_jsonb()');
SELECT is(attempt('app', 'CREATE FUNCTION app.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS ''SELECT true''', 'CREATE OPERATOR app.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = app.eq)',
    'SET LOCAL search_path = app, public, pg_catalog', :'begin', 'SELECT carbonite.delete_transaction_if_empty()', 'AS postgres', 'SELECT count(*) FROM carbonite_default.transactions WHERE id OPERATOR(pg_catalog.=) -1'), '1', 'another =');
-- forge: transactions
SELECT is(attempt('direct', $$INSERT INTO carbonite_default.transactions (id, meta, inserted_at) VALUES (9, '{}', NOW())$$), '42501', 'choose an id');
SELECT is(attempt('direct', $$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{}', '1999-01-01')$$), '42501', 'a row that is due to be purged');
SELECT is(attempt('direct', $$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{"carbonite_override": [{"role": "alice"}]}', NOW())$$), '42501', 'tell of an override of somebody');
SELECT is(attempt('app', $$SELECT carbonite.insert_transaction('{"carbonite_override": 1}')$$), '22023', 'by the function');
SELECT is(attempt('direct', $$UPDATE carbonite_default.transactions SET meta = '{"by": "alice"}' WHERE id = -1$$), '42501', 'metadata of another transaction');
SELECT is(attempt('direct', $$INSERT INTO carbonite_default.transactions (meta, inserted_at) VALUES ('{}', NOW())$$, $$UPDATE carbonite_default.transactions SET id = -1 WHERE xact_id = pg_current_xact_id()$$), '42501', 'become another transaction');
SELECT is(attempt('direct', 'DELETE FROM carbonite_default.transactions WHERE id = -1'), '42501', 'delete another transaction');
SELECT is(attempt('app', 'SELECT carbonite.purge(''0'')'), '42501', 'purge');
SELECT is(attempt('app', $$SELECT carbonite.erase('rabbits', '{1}', '{name}')$$), '42501', 'erase');

-- skip
SELECT is(attempt('direct', :'begin', 'INSERT INTO rabbits VALUES (3)', 'DELETE FROM carbonite_default.transactions WHERE xact_id = pg_current_xact_id()'), '42501', 'delete the row of one''s own changes');
SELECT is(attempt('app', $$SET LOCAL session_replication_role = replica$$), '42501', 'play a replica');
SELECT is(attempt('app', 'ALTER TABLE rabbits DISABLE TRIGGER ALL'), '42501', 'disable the trigger');
SELECT is(attempt('app', 'DROP TRIGGER capture_changes_into_carbonite_default_trigger ON rabbits'), '42501', 'drop it');
SELECT is(attempt('app', 'DROP FUNCTION carbonite_default.capture_changes() CASCADE'), '42501', 'drop its function');
SELECT is(attempt('app', 'CREATE OR REPLACE FUNCTION carbonite_default.capture_changes() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN RETURN NULL; END$f$'), '42501', 'replace it');
SELECT is(attempt('app', 'SELECT carbonite._create_plain_functions(''carbonite_default'')'), '42501', 'have it replaced');
SELECT is(attempt('app', 'SELECT carbonite.release_schema()'), '42501', 'release the prefix');
SELECT is(attempt('app', $$SELECT carbonite.configure_trigger('rabbits', mode => 'ignore')$$), '42501', 'switch capture off');
SELECT is(attempt('app', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (3)'), '42501', 'override modes');
SELECT is(attempt('app', $$SET LOCAL "CARBONITE_DEFAULT".override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (3)'), '42501', 'in capitals');
SELECT is(attempt('app', $$SELECT set_config('carbonite_default.override_mode', 'override', false)$$, 'DELETE FROM rabbits', 'INSERT INTO rabbits VALUES (3)'), '42501', 'by set_config()');
SELECT is(attempt('app', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'SELECT trusted_write()'), '42501', 'over a function that has more rights');
SELECT is(attempt('app', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'TRUNCATE rabbits'), '42501', 'for a TRUNCATE');
GRANT carbonite_test_member TO carbonite_test_direct;
SELECT is(attempt('direct', :'begin', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (3)', 'SELECT carbonite.delete_transaction_if_empty()'), '0', 'delete what tells of an override');
SELECT is(attempt('direct', :'begin', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (3)', 'DELETE FROM carbonite_default.transactions WHERE xact_id = pg_current_xact_id()'), '42501', 'by hand');
SELECT is(attempt('direct', :'begin', $$SET LOCAL carbonite_default.override_mode = 'ignore'$$, 'INSERT INTO rabbits VALUES (3)', $$UPDATE carbonite_default.transactions SET meta = meta - 'carbonite_override' WHERE xact_id = pg_current_xact_id()$$), '42501', 'or take it out');
SELECT is(attempt('app', :'begin', 'SET LOCAL carbonite.batch_rows = 0', 'INSERT INTO rabbits SELECT n FROM generate_series(10, 20) n', 'AS postgres', changes_by_me()), '11', 'batches off loses nothing');
SELECT is(attempt('bob', 'ALTER TABLE bobs RENAME TO theirs', :'begin', 'INSERT INTO theirs VALUES (3)', 'AS postgres', changes_by_me()), '1', 'rename the table');
SELECT is(attempt('bob', 'ALTER TABLE bobs SET SCHEMA bob', :'begin', 'INSERT INTO bob.bobs VALUES (3)', 'AS postgres', changes_by_me()), '1', 'move it');

-- unmask
SELECT is(attempt('bob', 'ALTER TABLE bobs RENAME secret TO plain', :'begin', $$INSERT INTO bobs VALUES (3, 'n', 's')$$, 'AS postgres', changes_by_me($$data::text LIKE '%"s"%'$$)), '0', 'rename a masked column');
SELECT is(attempt('bob', 'ALTER TABLE bobs ALTER secret TYPE varchar(9)', :'begin', $$INSERT INTO bobs VALUES (3, 'n', 's')$$, 'AS postgres', changes_by_me($$data::text LIKE '%"s"%'$$)), '0', 'change its type');
SELECT is(attempt('bob', 'ALTER TABLE bobs RENAME secret TO x', 'ALTER TABLE bobs RENAME name TO secret', 'ALTER TABLE bobs RENAME x TO name', :'begin', $$INSERT INTO bobs VALUES (3, 'n', 's')$$, 'AS postgres', changes_by_me($$data ->> 'name' = '[FILTERED]'$$)), '1', 'swap its name with another');
SELECT is(attempt('app', 'UPDATE carbonite_default.triggers SET filtered_columns = ''{}'''), '42501', 'take the mask off');
SELECT is(attempt('app', 'SHOW carbonite.hash_key'), '42501', 'ask for the key of digests');
SELECT is(attempt('app', $$SELECT current_setting('carbonite.hash_key')$$), '42501', 'as a function');
SELECT is(attempt('app', $$SET LOCAL carbonite.hash_key = 'my own key of 20 bytes'$$), '42501', 'set it');
SELECT is(attempt('app', $$ALTER ROLE carbonite_test_app SET carbonite.hash_key = 'my own key of 20 bytes'$$) IN ('22023', '42501'), true, 'for a role');
SELECT is(attempt('app', $$CREATE FUNCTION app.f() RETURNS int LANGUAGE sql SET carbonite.hash_key = 'my own key of 20 bytes' AS 'SELECT 1'$$, 'SELECT app.f()') IN ('22023', '42501'), true, 'for a function');
SELECT is(attempt('app', $$SELECT carbonite.record_key(ROW(1, 'n', 's')::rabbits)$$), '42501', 'read configuration by record_key()');

-- escalate: what the owner of a table or a prefix makes others run
SELECT is(attempt('bob', 'CREATE TYPE bob.t AS ENUM (''x'')', 'CREATE FUNCTION bob.cast(bob.t) RETURNS json LANGUAGE plpgsql AS $f$BEGIN RETURN to_json(current_user::text); END$f$',
    'CREATE CAST (bob.t AS json) WITH FUNCTION bob.cast(bob.t)', 'ALTER TABLE bobs ADD x bob.t', 'AS app', :'begin', 'INSERT INTO bobs (id, x) VALUES (5, ''x'')', 'AS postgres',
    'SELECT data ->> ''x'' FROM carbonite_default.changes WHERE transaction_xact_id = pg_current_xact_id()'), 'carbonite_test_app', 'a cast of a type runs as who writes, never as the owner of the prefix');
\set hostile 'CREATE SCHEMA e; CREATE TABLE e.log (who text); GRANT ALL ON SCHEMA e TO PUBLIC; GRANT ALL ON e.log TO PUBLIC; CREATE TABLE e.q (i int); CREATE FUNCTION e.log() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN INSERT INTO e.log VALUES (current_user); RETURN NEW; END$f$; CREATE FUNCTION e.spread() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN INSERT INTO e.q VALUES (1); RETURN NEW; END$f$; CREATE CONSTRAINT TRIGGER later AFTER INSERT ON e.q DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION e.log()'
\set own 'SELECT carbonite.install_schema(''auto'', carbonite_prefix => ''bobs_own'')'
\set audit 'SELECT carbonite.install_trigger(''rabbits'', carbonite_prefix => ''bobs_own'')'
GRANT TRIGGER ON rabbits TO carbonite_test_bob;
SELECT is(attempt('bob', :'own', :'audit', :'hostile', 'CREATE TRIGGER s BEFORE UPDATE ON bobs_own.triggers FOR EACH STATEMENT EXECUTE FUNCTION e.spread()', 'AS postgres',
    'ALTER TABLE rabbits ADD more int'), '42501', 'a deferred trigger, from an event trigger');
SELECT is(attempt('bob', :'own', :'audit', :'hostile', 'CREATE TRIGGER s BEFORE UPDATE ON bobs_own.triggers FOR EACH STATEMENT EXECUTE FUNCTION e.spread()', 'AS postgres',
    'CREATE TABLE unrelated (id int)'), 'done', 'which concerns no other table');
SELECT is(attempt('bob', :'own', :'audit', :'hostile', 'CREATE TRIGGER s BEFORE INSERT ON bobs_own.changes FOR EACH ROW EXECUTE FUNCTION e.spread()', 'AS app', :'begin', 'INSERT INTO rabbits VALUES (5)'), '42501', 'a deferred trigger, from capture');
SELECT is(attempt('bob', :'own', :'audit', :'hostile', 'CREATE TRIGGER s BEFORE INSERT ON bobs_own.changes FOR EACH ROW EXECUTE FUNCTION e.log()', 'AS app', :'begin', 'INSERT INTO rabbits VALUES (5)', 'AS postgres', 'SELECT who FROM e.log'), 'carbonite_test_bob', 'a trigger on changes runs as its owner');
SELECT is(attempt('bob', :'own', :'audit', 'CREATE FUNCTION bobs_own.path() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN PERFORM set_config(''search_path'', ''evil'', false); RETURN NEW; END$f$',
    'CREATE TRIGGER s BEFORE INSERT ON bobs_own.changes FOR EACH ROW EXECUTE FUNCTION bobs_own.path()', 'AS app', 'SET LOCAL search_path = public', :'begin', 'INSERT INTO rabbits VALUES (5)', $$SELECT current_setting('search_path')$$), 'public', 'settings of the writer''s session stay');
SELECT is(attempt('bob', :'own', :'audit', 'CREATE FUNCTION bobs_own.temp() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN CREATE TEMP VIEW pg_class AS SELECT 1; RETURN NEW; END$f$',
    'CREATE TRIGGER s BEFORE INSERT ON bobs_own.changes FOR EACH ROW EXECUTE FUNCTION bobs_own.temp()', 'AS app', :'begin', 'INSERT INTO rabbits VALUES (5)'), '42501', 'nothing temporary is left there');
SELECT is(attempt('bob', :'own', :'audit', 'CREATE FUNCTION bobs_own.role() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN RESET ROLE; RETURN NEW; END$f$',
    'CREATE TRIGGER s BEFORE INSERT ON bobs_own.changes FOR EACH ROW EXECUTE FUNCTION bobs_own.role()', 'AS app', :'begin', 'INSERT INTO rabbits VALUES (5)'), '42501', 'RESET ROLE in a trigger');
SELECT is(attempt('bob', 'SELECT 1', 'AS postgres', :'own', 'ALTER SCHEMA bobs_own OWNER TO carbonite_test_bob', :'audit', 'AS bob', 'DROP TABLE bobs_own.changes CASCADE', 'CREATE TABLE bobs_own.changes (id bigint)',
    'AS postgres', 'INSERT INTO rabbits VALUES (6)'), '55000', 'a prefix with tables of two owners');
SELECT is(attempt('bob', :'own', 'DROP TABLE bobs_own.settings', $$CREATE VIEW bobs_own.settings AS SELECT true AS id, 'auto'::text AS transaction_mode$$, $$SELECT carbonite.insert_transaction('{}', 'bobs_own')$$), '42809', 'settings that are a view');
SELECT is(attempt('bob', :'own', 'ALTER TABLE bobs_own.transactions ALTER meta DROP DEFAULT, ALTER meta TYPE text', $$SELECT carbonite.insert_transaction('{}', 'bobs_own')$$), '42804', 'metadata of another type');
SELECT is(attempt('bob', :'own', :'audit', 'DROP TABLE bobs_own.triggers', 'CREATE VIEW bobs_own.triggers AS SELECT 1 AS id', 'INSERT INTO rabbits VALUES (7)'), '42809', 'a configuration that is a view');
SELECT is(attempt('bob', 'CREATE SCHEMA fake', $$SELECT carbonite._create_capture_functions('fake')$$, 'CREATE TABLE fake.triggers (known_columns int, known_table int, inheritance_children boolean, capture_ddl boolean)', 'AS postgres', 'CREATE TABLE unrelated (id int)'), 'done', 'a schema that looks like a prefix does not stop others');
SELECT is(attempt('bob', $$SELECT carbonite._create_capture_functions('public')$$), '42501', 'functions of ours in the schema of another');
SELECT is(attempt('bob', $$SELECT carbonite._execute_as(10, 'SELECT 1')$$), '42501', 'run a statement as somebody');
SELECT is(attempt('bob', 'SELECT carbonite._schema_changes()'), '0A000', 'call the event trigger');
SELECT is(attempt('bob', $$SELECT carbonite.grant_writer('carbonite_test_bob', true)$$), '42501', 'grant oneself');

-- evidence
SELECT is(attempt('auditor', $$INSERT INTO carbonite_default.seals (kind) VALUES ('purge')$$) IN ('23502', '42501'), true, 'an entry of the auditor''s making');
SELECT is(attempt('auditor', $$SELECT carbonite._append_seal('purge', '{-1}', '{}', '{}', 0, '0', 9000000, 'carbonite_default')$$), '42501', 'by the internal function');
SELECT is(attempt('auditor', 'SELECT carbonite.seal()', 'DELETE FROM carbonite_default.seals'), '42501', 'the auditor cannot delete either');
SELECT is(attempt('app', 'SELECT 1', 'AS postgres', 'SELECT carbonite.seal()', $$UPDATE carbonite_default.changes SET data = '{}'$$,
    $$SELECT carbonite._append_seal('seal', '{-1}', ARRAY[(SELECT digest FROM carbonite._digests('{-1}', 'carbonite_default'))], '{}', 0, '0', NULL, 'carbonite_default')$$, 'SELECT problem FROM carbonite.verify()'), 'chain broken', 'even the owner cannot seal a change of what is sealed');
SELECT is(attempt('app', 'SELECT 1', 'AS postgres', 'SELECT carbonite.seal()', $$SELECT carbonite._append_seal('seal', '{}', '{}', '{}', 0, '0', -100, 'carbonite_default')$$, 'SELECT problem FROM carbonite.verify()'), 'chain broken', 'nor make room for what was added');

-- and after all that, everything is as it was
SELECT is((SELECT count(*) FROM carbonite_default.changes), 1::bigint, 'one change is recorded, as before');
SELECT * FROM finish();
ROLLBACK;
