-- The contract of capture_changes(): what it checks, in which order, and what it records.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
SELECT carbonite.install_schema();
CREATE TABLE rabbits (id int PRIMARY KEY, name text, age int, doc jsonb, bb int, zzz int, b int);
SELECT carbonite.install_trigger('rabbits');
CREATE TABLE bare (id int PRIMARY KEY);
CREATE CONSTRAINT TRIGGER capture_changes_into_carbonite_default_trigger AFTER INSERT OR UPDATE OR DELETE ON bare
    DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE PROCEDURE carbonite_default.capture_changes();

-- The fields of the error that a statement ends with: SQLSTATE, message, and whether any other field is set.
CREATE FUNCTION fields_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; message text; detail text; hint text; c text; t text; s text; k text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
        hint = PG_EXCEPTION_HINT, c = COLUMN_NAME, t = TABLE_NAME, s = SCHEMA_NAME, k = CONSTRAINT_NAME;
    RETURN state || ' ' || message || ' [' || concat(detail, hint, c, t, s, k) || ']';
END $$;
CREATE FUNCTION last_change() RETURNS carbonite_default.changes LANGUAGE sql AS
    $$SELECT * FROM carbonite_default.changes ORDER BY id DESC LIMIT 1$$;
CREATE FUNCTION changes() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM carbonite_default.changes$$;
\t on
\pset format unaligned

SELECT plan(64);

-- the tables and the trigger
SELECT columns_are('carbonite_default', 'changes', ARRAY['id', 'transaction_xact_id', 'op', 'table_prefix', 'table_name',
    'table_pk', 'data', 'changed', 'transaction_id', 'changed_from', 'data_is_partial', 'command']);
SELECT is((SELECT array_agg(format('%s %s%s', attname, atttypid::regtype, CASE WHEN attnotnull THEN ' not null' END) ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = 'carbonite_default.changes'::regclass AND attnum BETWEEN 1 AND 10),
    ARRAY['id bigint not null', 'transaction_xact_id xid8 not null', 'op carbonite_default.change_op not null',
        'table_prefix character varying not null', 'table_name character varying not null', 'table_pk character varying[]',
        'data jsonb not null', 'changed character varying[] not null', 'transaction_id bigint not null', 'changed_from jsonb'],
    'changes has the columns of the original, in their order');
SELECT fk_ok('carbonite_default', 'changes', 'transaction_id', 'carbonite_default', 'transactions', 'id');
SELECT is((SELECT array_agg(format('%s %s', attname, atttypid::regtype) ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = 'carbonite_default.triggers'::regclass AND attnum BETWEEN 1 AND 10),
    ARRAY['id bigint', 'table_prefix character varying', 'table_name character varying', 'primary_key_columns character varying[]',
        'excluded_columns character varying[]', 'filtered_columns character varying[]', 'mode carbonite_default.trigger_mode',
        'inserted_at timestamp without time zone', 'updated_at timestamp without time zone', 'store_changed_from boolean'],
    'triggers has the columns of the original, in their order');
SELECT col_default_is('carbonite_default', 'triggers', 'primary_key_columns', '{id}', 'the key of a hand-written row is id');
SELECT col_default_is('carbonite_default', 'triggers', 'mode', 'capture', 'its mode is capture');
SELECT columns_are('carbonite_default', 'outboxes', ARRAY['name', 'memo', 'last_transaction_id', 'inserted_at', 'updated_at']);
SELECT enum_has_labels('carbonite_default', 'change_op', ARRAY['insert', 'update', 'delete']);
SELECT enum_has_labels('carbonite_default', 'trigger_mode', ARRAY['capture', 'ignore']);
SELECT is((SELECT format('%s %s %s %s', tgname, tgdeferrable, tginitdeferred, tgenabled) FROM pg_trigger WHERE tgrelid = 'rabbits'::regclass AND tgtype & 1 = 1),
    'capture_changes_into_carbonite_default_trigger t f O', 'a captured table has a deferrable constraint trigger');

-- configuration, then mode
SELECT is(fields_of('INSERT INTO bare VALUES (1)'),
    'P0002 (carbonite) INSERT on table public.bare but no trigger record in carbonite_default.triggers []',
    'without a configuration: P0002, and no field but the message');
SET LOCAL carbonite_default.override_mode = 'ignore';
SELECT is(left(fields_of('INSERT INTO bare VALUES (1)'), 5), 'P0002', 'even if the mode is overridden to ignore');
SELECT lives_ok('INSERT INTO bare SELECT 1 WHERE false', 'a statement without rows passes');
SELECT lives_ok('INSERT INTO rabbits (id) VALUES (1)', 'ignore needs no transactions row');
SELECT is(changes(), 0::bigint, 'and records nothing');
SET LOCAL carbonite_default.override_mode = '';
SELECT is(left(fields_of('INSERT INTO rabbits (id) VALUES (2)'), 5), '23503', 'the empty override is none');
SET LOCAL carbonite_default.override_mode = 'override';
SELECT lives_ok('INSERT INTO rabbits (id) VALUES (2)', 'override turns capture into ignore');
UPDATE carbonite_default.triggers SET mode = 'ignore';
SELECT is(left(fields_of('UPDATE rabbits SET age = 1'), 5), '23503', 'and ignore into capture');
SET LOCAL carbonite_default.override_mode = '';
SELECT lives_ok('UPDATE rabbits SET age = 2', 'the mode ignore of the table');
SET LOCAL carbonite_default.override_mode = 'capture';
SELECT is(left(fields_of('UPDATE rabbits SET age = 3'), 5), '23503', 'capture replaces it');
SET LOCAL carbonite_default.override_mode = 'IGNORE';
SELECT is(left(fields_of('UPDATE rabbits SET age = 3'), 5), '23503', 'and so does any unknown text');
UPDATE carbonite_default.triggers SET mode = 'capture';
SET LOCAL carbonite_default.override_mode = 'foo';
SELECT is(left(fields_of('UPDATE rabbits SET age = 3'), 5), '23503', 'which means capture over capture, too');
RESET carbonite_default.override_mode;

-- key before transaction
UPDATE carbonite_default.triggers SET primary_key_columns = '{nr}';
SELECT is(left(fields_of('INSERT INTO rabbits (id) VALUES (3)'), 5), '42703', 'an unknown key column fails before the transaction is asked for');
SELECT is(left(fields_of('UPDATE rabbits SET age = age'), 5), '42703', 'even when nothing changes');
UPDATE carbonite_default.triggers SET primary_key_columns = '{id}';
SELECT lives_ok('UPDATE rabbits SET age = age', 'an update that changes nothing needs no transactions row');
SELECT is(fields_of('UPDATE rabbits SET age = 9'),
    '23503 (carbonite) UPDATE on table public.rabbits without prior INSERT into carbonite_default.transactions []',
    'an update that does: 23503, and no field but the message');
SELECT is(fields_of('DELETE FROM rabbits'),
    '23503 (carbonite) DELETE on table public.rabbits without prior INSERT into carbonite_default.transactions []', 'so does a delete');

-- rows
SELECT carbonite.insert_transaction() IS NOT NULL AS described \gset
INSERT INTO rabbits VALUES (10, 'ten', 1, '{"a": 1}', 1, 1, 1);
SELECT is((last_change()).op::text, 'insert', 'an insert is recorded');
SELECT is((last_change()).data, (SELECT to_jsonb(r) FROM rabbits r WHERE id = 10), 'with the new row');
SELECT is((last_change()).changed, '{}', 'changed is empty, not null');
SELECT is((last_change()).changed_from, NULL, 'changed_from is null');
SELECT is((last_change()).table_prefix || '.' || (last_change()).table_name, 'public.rabbits', 'with the schema and name of the table');
UPDATE rabbits SET zzz = 2, bb = 2, b = 2, name = 'x' WHERE id = 10;
SELECT is((last_change()).op::text, 'update', 'an update is recorded');
SELECT is((last_change()).data, (SELECT to_jsonb(r) FROM rabbits r WHERE id = 10), 'with the new row');
SELECT is((last_change()).changed, '{b,bb,zzz,name}', 'changed is ordered by length, then by bytes');
SELECT is((last_change()).changed_from, NULL, 'old values are not stored unless configured');
UPDATE carbonite_default.triggers SET store_changed_from = true;
UPDATE rabbits SET name = 'y', doc = NULL WHERE id = 10;
SELECT is((last_change()).changed_from, '{"doc": {"a": 1}, "name": "x"}', 'then they are');
UPDATE rabbits SET doc = 'null' WHERE id = 10;
SELECT is((last_change()).changed, '{doc,name}', 'SQL NULL and jsonb null are the same value');
UPDATE rabbits SET id = 11 WHERE id = 10;
SELECT is((last_change()).table_pk, '{11}', 'an update of the key is recorded under the new one');
SELECT is((last_change()).changed, '{id}', 'and names it');
SELECT to_jsonb(r) AS gone FROM rabbits r WHERE id = 11 \gset
DELETE FROM rabbits WHERE id = 11;
SELECT is((last_change()).op::text, 'delete', 'a delete is recorded');
SELECT is((last_change()).data, :'gone'::jsonb, 'with the old row');
SELECT is((last_change()).table_pk, '{11}', 'and its key');
SELECT is((last_change()).changed_from, NULL, 'and no old values');

-- keys
UPDATE carbonite_default.triggers SET primary_key_columns = '{name,id}';
INSERT INTO rabbits (id, name) VALUES (20, 'twenty');
SELECT is((last_change()).table_pk, '{twenty,20}', 'the key has the columns in their configured order');
INSERT INTO rabbits (id) VALUES (21);
SELECT is((last_change()).table_pk, '{NULL,21}', 'null is a null element');
UPDATE carbonite_default.triggers SET primary_key_columns = '{}';
INSERT INTO rabbits (id) VALUES (22);
SELECT is((last_change()).table_pk, NULL, 'no key columns, no key');
UPDATE carbonite_default.triggers SET primary_key_columns = '{id}';
INSERT INTO bare SELECT WHERE false;

-- excluded and filtered columns
UPDATE carbonite_default.triggers SET excluded_columns = '{age,nowhere,NULL}', filtered_columns = '{doc,elsewhere}';
INSERT INTO rabbits (id, age) VALUES (30, 5);
SELECT is((last_change()).data - 'id', '{"b": null, "bb": null, "doc": "[FILTERED]", "zzz": null, "name": null}',
    'excluded columns are left out, filtered ones masked even if null, unknown names do not matter');
SELECT changes() AS before \gset
UPDATE rabbits SET age = 6 WHERE id = 30;
SELECT is(changes(), :before::bigint, 'an update of excluded columns leaves nothing');
UPDATE rabbits SET doc = '{"new": true}' WHERE id = 30;
SELECT is((last_change()).changed, '{doc}', 'a filtered column is compared before it is masked');
SELECT is((last_change()).changed_from, '{"doc": "[FILTERED]"}', 'and masked among the old values');
UPDATE carbonite_default.triggers SET excluded_columns = '{doc}', filtered_columns = '{doc}';
INSERT INTO rabbits (id) VALUES (31);
SELECT is((last_change()).data ? 'doc', false, 'excluded wins over filtered');
UPDATE carbonite_default.triggers SET excluded_columns = '{id,name,age,doc,bb,zzz,b}';
DELETE FROM rabbits WHERE id = 31;
SELECT is((last_change()).data, '{}', 'a row of excluded columns only is recorded as {}');
UPDATE carbonite_default.triggers SET excluded_columns = '{}', filtered_columns = '{id}';
INSERT INTO rabbits (id) VALUES (32);
SELECT is((last_change()).table_pk, '{[FILTERED]}', 'a filtered key column is masked in the key, too');

-- configuration in savepoints
UPDATE carbonite_default.triggers SET filtered_columns = '{}';
SAVEPOINT s;
UPDATE carbonite_default.triggers SET excluded_columns = '{name}';
INSERT INTO rabbits (id) VALUES (40);
SELECT is((last_change()).data ? 'name', false, 'a change of configuration takes effect at once');
ROLLBACK TO s;
INSERT INTO rabbits (id) VALUES (40);
SELECT is((last_change()).data ? 'name', true, 'and ends with its savepoint');
DELETE FROM carbonite_default.triggers;
SELECT is(left(fields_of('INSERT INTO rabbits (id) VALUES (41)'), 5), 'P0002', 'a row that is deleted does not count');
INSERT INTO carbonite_default.triggers (table_prefix, table_name, inserted_at, updated_at) VALUES ('public', 'rabbits', now(), now());
SELECT lives_ok('INSERT INTO rabbits (id) VALUES (41)', 'one that is inserted by name does');
SELECT is(table_oid, 'rabbits'::regclass, 'and finds its table') FROM carbonite_default.triggers;

-- ids and subtransactions
SELECT is((SELECT count(DISTINCT transaction_xact_id) FROM carbonite_default.changes), 1::bigint, 'savepoints share the top-level xid');
SELECT last_value AS drawn FROM carbonite_default.changes_id_seq \gset
UPDATE rabbits SET name = name;
SELECT is(last_value, :drawn::bigint, 'an update that changes nothing draws no id, unlike in the original') FROM carbonite_default.changes_id_seq;
SELECT is((last_change()).id, currval('carbonite_default.changes_id_seq'), 'ids come from changes_id_seq');
TRUNCATE rabbits;
SELECT is((SELECT (op, command, data)::text FROM last_change()), '(delete,TRUNCATE,"{""rows"": 9}")', 'TRUNCATE is recorded as the deletion of so many rows');
SELECT is(changes(), (SELECT count(*) FROM carbonite.fetch_changes()), 'all changes of this transaction can be fetched');

SELECT * FROM finish();
ROLLBACK;
