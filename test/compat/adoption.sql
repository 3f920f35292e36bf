-- Prefixes that the library's migrations created, taken over, given back and taken over again: what is recorded is what
-- functions like the library's record in a prefix beside it.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
\t on
\pset format unaligned
\ir fixtures/original.sql

SELECT plan(125);

CREATE ROLE carbonite_test_app;
CREATE TABLE rabbits (id bigserial PRIMARY KEY, name varchar(255), born timestamp, tags text[], secret text, "odd ""name" jsonb, ignored int, weight numeric);
SELECT build_original('beside', 12), audit_original('beside', 'rabbits') \gset

-- Writes as an application, in its own transaction of the prefixes.
CREATE FUNCTION describe(prefix text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I.transactions (meta, inserted_at) VALUES (''{"type": "test"}'', NOW()) ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id', prefix);
END $$;
CREATE FUNCTION work() RETURNS void LANGUAGE sql AS $$
    INSERT INTO rabbits (name, born, tags, secret, "odd ""name", ignored, weight)
        VALUES ('Jack', '2001-02-03 04:05', '{a,b}', 's', '{"a": [1, {}]}', 1, 1.10), ('Jill', NULL, NULL, NULL, NULL, NULL, 'NaN');
    UPDATE rabbits SET name = upper(name), secret = 'other', ignored = 2;
    UPDATE rabbits SET ignored = 3;
    UPDATE rabbits SET weight = 1.100, tags = '{b}' WHERE name = 'JACK';
    DELETE FROM rabbits WHERE name = 'JILL';
$$;
CREATE FUNCTION configure(prefix text, level integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %I.triggers SET filtered_columns = ''{secret}'', excluded_columns = ''{ignored}''%s', prefix,
        CASE WHEN level >= 5 THEN ', store_changed_from = true' END);
END $$;
SELECT configure('beside', 12) \gset
-- What is recorded, but for ids and names of prefixes.
CREATE FUNCTION recorded(prefix text, since bigint, with_old boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE format('SELECT string_agg(concat_ws(''|'', op, table_prefix, table_name, table_pk, data, changed, transaction_xact_id%s), E''\n'' ORDER BY id)
        FROM %I.changes WHERE id > $1', CASE WHEN with_old THEN ', changed_from' END, prefix) INTO result USING since;
    RETURN result;
END $$;
CREATE FUNCTION last_id(prefix text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE result bigint;
BEGIN EXECUTE format('SELECT coalesce(max(id), 0) FROM %I.changes', prefix) INTO result; RETURN result; END $$;
-- All that is in the catalog of a prefix.
CREATE FUNCTION catalog_of(prefix text) RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(line, E'\n' ORDER BY line COLLATE "C")) FROM (
        SELECT format('%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull) AS line
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = prefix::regnamespace AND a.attnum > 0
        UNION ALL SELECT format('%s %s', p.proname, p.prosrc) FROM pg_proc p WHERE p.pronamespace = prefix::regnamespace
        UNION ALL SELECT format('%s %s', t.tgname, t.tgenabled) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = prefix::regnamespace
    ) l
$$;
CREATE FUNCTION contents(prefix text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE format('SELECT md5(concat(
        (SELECT string_agg(concat_ws(''|'', id, xact_id, meta, inserted_at), '';'' ORDER BY id) FROM %1$I.transactions),
        (SELECT string_agg(concat_ws(''|'', id, transaction_id, transaction_xact_id, op, table_prefix, table_name, table_pk, data, changed), '';'' ORDER BY id) FROM %1$I.changes),
        (SELECT string_agg(concat_ws(''|'', id, table_prefix, table_name, primary_key_columns, excluded_columns, filtered_columns, mode, inserted_at, updated_at), '';'' ORDER BY id) FROM %1$I.triggers),
        (SELECT string_agg(concat_ws(''|'', name, memo, last_transaction_id, inserted_at), '';'' ORDER BY name) FROM %1$I.outboxes)))', prefix) INTO result;
    RETURN result;
END $$;
CREATE FUNCTION files_of(prefix text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(c.relname || ' ' || c.relfilenode, ', ' ORDER BY c.relname) FROM pg_class c
    WHERE c.relnamespace = prefix::regnamespace AND c.relname IN ('transactions', 'changes', 'changes_pkey', 'transactions_pkey', 'changes_table_prefix_table_name_table_pk_index', 'triggers')
$$;

CREATE FUNCTION check_level(level integer) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    prefix text := 'original_' || level;
    before_catalog text;
    before_contents text;
    before_files text;
    since bigint;
    since_beside bigint := last_id('beside');
BEGIN
    PERFORM build_original(prefix, level), audit_original(prefix, 'rabbits'), configure(prefix, level);
    EXECUTE format('INSERT INTO %I.outboxes (name, last_transaction_id, memo, inserted_at, updated_at) VALUES (''mail'', 7, ''{"m": 1}'', NOW(), NOW())', prefix);
    EXECUTE format('GRANT USAGE ON SCHEMA %1$I TO carbonite_test_app; GRANT SELECT, INSERT ON %1$I.transactions, %1$I.changes TO carbonite_test_app', prefix);
    PERFORM describe('beside'), describe(prefix), work();
    before_catalog := catalog_of(prefix);
    before_contents := contents(prefix);
    before_files := files_of(prefix);

    RETURN NEXT is((SELECT a FROM carbonite.adopt_schema(true, prefix) a LIMIT 1), format('patch %s of the library''s migrations', level), prefix || ': the patch is recognised');
    RETURN NEXT is(catalog_of(prefix), before_catalog, prefix || ': a dry run changes nothing');
    RETURN NEXT ok('revoke INSERT on changes from carbonite_test_app' IN (SELECT a FROM carbonite.adopt_schema(true, prefix) a), prefix || ': needless privileges are reported');
    PERFORM carbonite.adopt_schema(carbonite_prefix => prefix);
    RETURN NEXT ok(carbonite._is_prefix(prefix), prefix || ': it is ours');
    RETURN NEXT is(contents(prefix), before_contents, prefix || ': nothing is lost or changed');
    RETURN NEXT is(files_of(prefix), before_files, prefix || ': nothing is rewritten');
    RETURN NEXT ok(NOT has_table_privilege('carbonite_test_app', prefix || '.changes', 'INSERT'), prefix || ': writers cannot write changes any more');
    PERFORM work();
    RETURN NEXT is(recorded(prefix, 0, level >= 5), recorded('beside', since_beside, level >= 5), prefix || ': the same is recorded, in the same transaction');

    since := last_id(prefix);
    since_beside := last_id('beside');
    PERFORM carbonite.release_schema(carbonite_prefix => prefix);
    RETURN NEXT ok(NOT carbonite._is_prefix(prefix), prefix || ': it is given back');
    RETURN NEXT ok(NOT EXISTS (
        SELECT FROM pg_depend d
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'
            AND d.objid IN (SELECT oid FROM pg_proc WHERE pronamespace = prefix::regnamespace UNION SELECT oid FROM pg_class WHERE relnamespace = prefix::regnamespace)
    ), prefix || ': and needs no extension');
    PERFORM describe(prefix), work();
    PERFORM carbonite.adopt_schema(carbonite_prefix => prefix);
    PERFORM describe(prefix), work();
    RETURN NEXT is(recorded(prefix, since, true), recorded('beside', since_beside, true), prefix || ': released and adopted again, the same is recorded');
    RETURN NEXT is((SELECT count(*) FROM carbonite._adoption(12, prefix) WHERE description LIKE 'lift%' OR description LIKE 'revoke%'), 0::bigint, prefix || ': nothing is left to do');
    EXECUTE format('DROP TRIGGER capture_changes_into_%1$s_trigger ON rabbits', prefix);
END $$;
UPDATE beside.triggers SET store_changed_from = true;
SELECT check_level(level) FROM generate_series(5, 12) level;
-- at 4 there are no old values to store, until adoption adds the column
UPDATE beside.triggers SET store_changed_from = false;
SELECT check_level(4);

-- indexes may be changed later, in place of the original's
SELECT is(carbonite._indexes('original_6'), 'original', 'the indexes are kept');
SELECT carbonite.configure_schema(indexes => 'fast', carbonite_prefix => 'original_6') \gset
SELECT set_eq($$SELECT indexname::text FROM pg_indexes WHERE schemaname = 'original_6' AND tablename = 'changes'$$,
    '{changes_pkey,changes_table_prefix_table_name_table_pk_index}'::text[], 'until others are asked for');
SELECT carbonite.configure_schema(indexes => 'compatible', carbonite_prefix => 'original_4') \gset
SELECT set_eq($$SELECT indexname::text FROM pg_indexes WHERE schemaname = 'original_4' AND tablename = 'changes'$$,
    '{changes_pkey,changes_transaction_id_index,changes_table_prefix_table_name_table_pk_index}'::text[], 'of either set');

-- a filtered key is recorded as it was
SELECT build_original('keyed', 12), audit_original('keyed', 'rabbits') \gset
UPDATE keyed.triggers SET primary_key_columns = '{id,secret}', filtered_columns = '{secret}';
SELECT carbonite.adopt_schema(carbonite_prefix => 'keyed') \g /dev/null
SELECT is(mask_primary_key, false, 'keys that were readable stay so, until configured otherwise') FROM keyed.triggers;
SELECT is(on_truncate, 'ignore', 'and TRUNCATE is ignored as before') FROM keyed.triggers;

-- options of ours, in PL/pgSQL
SELECT carbonite.install_schema('auto', carbonite_prefix => 'ours') \gset
SELECT carbonite.install_schema('auto', carbonite_prefix => 'plain') \gset
CREATE TABLE hares (id date, part text, note text, mail text, card text, gone int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE hares_a PARTITION OF hares FOR VALUES IN ('a');
CREATE TABLE animals (id int PRIMARY KEY, note text);
CREATE TABLE snails () INHERITS (animals);
SELECT carbonite.install_trigger('hares', store_data => 'changed', masks => '{"mail": null, "card": {"last": 2}, "note": "hidden"}', carbonite_prefix => p),
    carbonite.install_trigger('animals', inheritance_children => true, on_truncate => 'refuse', carbonite_prefix => p)
FROM unnest('{ours,plain}'::text[]) p \g /dev/null
SELECT carbonite.release_schema(carbonite_prefix => 'plain') \g /dev/null
SET LOCAL datestyle = 'German';
INSERT INTO hares VALUES ('2001-02-03', 'a', 'n', 'm', '1234', 1), ('2001-02-04', 'a', NULL, NULL, NULL, NULL);
UPDATE hares SET gone = 2, card = '5678' WHERE id = '2001-02-03';
UPDATE hares SET id = '2001-02-05' WHERE id = '2001-02-03';
INSERT INTO snails VALUES (1, 'x');
UPDATE animals SET note = 'y';
TRUNCATE hares;
SELECT throws_ok('TRUNCATE snails', '23001', NULL, 'refused by both');
SET LOCAL carbonite.meta = '{"by": "setting"}';
UPDATE animals SET note = 'z';
SET LOCAL ours.override_mode = 'ignore';
SET LOCAL plain.override_mode = 'ignore';
DELETE FROM animals;
SELECT is((SELECT string_agg(concat_ws('|', op, table_prefix, table_name, table_pk, data, changed, data_is_partial, command), E'\n' ORDER BY id) FROM plain.changes),
    (SELECT string_agg(concat_ws('|', op, table_prefix, table_name, table_pk, data, changed, data_is_partial, command), E'\n' ORDER BY id) FROM ours.changes),
    'a released prefix does what ours does: masks, partial rows, partitions, inheritance, TRUNCATE, overrides');
SELECT cmp_ok((SELECT count(*) FROM plain.changes), '>=', 8::bigint, 'which is not nothing');
SELECT ok(has_table_privilege('carbonite_test_app', 'original_12.transactions', 'INSERT'), 'the application may insert transactions rows');

-- who may not, and what cannot be adopted
CREATE SCHEMA empty_one;
SELECT throws_ok($$SELECT carbonite.adopt_schema(carbonite_prefix => 'empty_one')$$, '55000', NULL, 'an empty schema is refused');
SELECT throws_ok($$SELECT carbonite.adopt_schema(carbonite_prefix => 'nowhere')$$, '3F000', NULL, 'as is none');
SELECT build_original('too_old', 4) \gset
ALTER TABLE too_old.changes DROP CONSTRAINT changes_transaction_id_fkey;
ALTER TABLE too_old.transactions DROP CONSTRAINT transactions_pkey, DROP COLUMN id, ADD COLUMN id xid8 NOT NULL;
SELECT throws_ok($$SELECT carbonite.adopt_schema(carbonite_prefix => 'too_old')$$, '55000', NULL, 'or one before patch 4');
SELECT build_original('theirs', 12) \gset
GRANT USAGE ON SCHEMA theirs TO carbonite_test_app;
SET LOCAL ROLE carbonite_test_app;
SELECT throws_ok($$SELECT carbonite.adopt_schema(carbonite_prefix => 'theirs')$$, '42501', NULL, 'others may not adopt');
SELECT throws_ok($$SELECT carbonite.release_schema(carbonite_prefix => 'ours')$$, '42501', NULL, 'or release');
RESET ROLE;
SELECT lives_ok($$SELECT carbonite.adopt_schema(carbonite_prefix => 'ours')$$, 'adopting what is ours changes nothing');
-- the override of clients before 0.14
SELECT carbonite.adopt_schema(carbonite_prefix => 'theirs') \g /dev/null
SELECT audit_original('theirs', 'snails') \gset
UPDATE theirs.triggers SET override_xact_id = pg_current_xact_id();
SELECT lives_ok('INSERT INTO snails VALUES (5)', 'an override by column holds for the transaction');
UPDATE theirs.triggers SET override_xact_id = '3';
SELECT throws_ok('INSERT INTO snails VALUES (6)', '23503', NULL, 'and for no other');
SELECT * FROM finish();
ROLLBACK;
