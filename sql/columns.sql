-- Excluded, filtered and key columns: of any name, of any length, under any setting.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
-- names that would break out of an array literal
CREATE TABLE odd ("a,b" text, "back\slash" text, "null" text, "{x}" text, "Q""q" text, "it's" text, plain text, id int PRIMARY KEY);
SELECT carbonite.install_trigger('odd', store_changed_from => true,
    filtered_columns => ARRAY['a,b', 'back\slash', 'null', '{x}', 'Q"q', 'it''s']);
INSERT INTO odd VALUES ('s1', 's2', 's3', 's4', 's5', 's6', 'p', 1);
UPDATE odd SET "a,b" = 't1', "back\slash" = 't2', "null" = NULL, "{x}" = 't4', "Q""q" = 't5', "it's" = 't6', plain = 'q';
DELETE FROM odd;
SELECT op, data, changed, changed_from FROM carbonite.changes('odd', '{1}');
-- names in hand-written configuration that are no columns do not matter; excluded wins over filtered
UPDATE carbonite_default.triggers SET excluded_columns = '{plain,nowhere,NULL}', filtered_columns = '{plain,elsewhere}';
INSERT INTO odd (id, plain) VALUES (2, 'p');
UPDATE odd SET plain = 'q';
SELECT op, data ? 'plain' AS plain, data ? 'elsewhere' AS elsewhere FROM carbonite.changes('odd', '{2}');
-- all columns excluded: the row is recorded without any
UPDATE carbonite_default.triggers SET excluded_columns = '{"a,b","back\\slash","null","{x}","Q\"q",it''s,plain,id}';
INSERT INTO odd (id) VALUES (3);
UPDATE odd SET plain = 'r' WHERE id = 3;
DELETE FROM odd WHERE id = 3;
SELECT op, data, changed FROM carbonite.changes('odd', '{3}');
-- a key column that is filtered is masked in the key, unless that is not wanted
CREATE TABLE people (ssn text, part int, name text, PRIMARY KEY (ssn, part));
SELECT carbonite.install_trigger('people', filtered_columns => '{ssn}');
INSERT INTO people VALUES ('123-45-6789', 1, 'Ada');
SELECT table_pk, data FROM carbonite_default.changes ORDER BY id DESC LIMIT 1;
SELECT carbonite.record_key(p) FROM people p;
SELECT carbonite.configure_trigger('people', mask_primary_key => false);
UPDATE people SET name = 'Bob';
SELECT table_pk, data FROM carbonite_default.changes ORDER BY id DESC LIMIT 1;
-- comparison: as jsonb does it, or exact
CREATE TABLE amounts (id int PRIMARY KEY, n numeric, j json, f float8, a int[]);
SELECT carbonite.install_trigger('amounts');
INSERT INTO amounts VALUES (1, 1.1, '{"a": 1, "b": 2}', 0, '{1}');
UPDATE amounts SET n = 1.1000, j = '{"b": 2,  "a": 1}', f = '-0', a = '[5:5]={1}';
SELECT count(*) FROM carbonite.changes('amounts', '{1}');
SELECT carbonite.configure_trigger('amounts', exact_comparison => true, store_changed_from => true);
UPDATE amounts SET n = 1.1;
UPDATE amounts SET n = 1.1;
UPDATE amounts SET n = 1.10, j = '{"a": 1, "b": 2}', f = 0, a = '{1}';
SELECT op, changed, changed_from, data FROM carbonite.changes('amounts', '{1}') OFFSET 1;
-- keys do not depend on settings
CREATE TABLE keyed (d date, t timestamptz, i interval, b bytea, f float8, r tstzrange, l timestamptz[], c char(5), z bool, id int);
SELECT carbonite.install_trigger('keyed', primary_key_columns => '{d,t,i,b,f,r,l,c,z,id}');
SET TimeZone = 'UTC';
INSERT INTO keyed VALUES ('2025-01-31', '2025-01-01 00:00+00', '1 day 2 hours', '\xdeadbeef', 0.1 + 0.2,
    '[2025-01-01 00:00+00,2025-01-02 00:00+00)', '{2025-01-01 00:00+00}', 'ab', true, NULL);
SELECT table_pk FROM carbonite_default.changes ORDER BY id DESC LIMIT 1;
SET TimeZone = 'America/New_York';
SET DateStyle = 'German';
SET IntervalStyle = 'iso_8601';
SET bytea_output = 'escape';
SET extra_float_digits = -5;
UPDATE keyed SET z = NOT z;
UPDATE keyed SET z = NOT z;
SELECT count(DISTINCT table_pk) FROM carbonite_default.changes WHERE table_name = 'keyed' AND table_pk[9] = 'true';
SELECT t::text, i::text FROM keyed;
-- settings are restored after an error in the middle of a key
CREATE FUNCTION fragile_to_text(circle) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE division_by_zero; END $$;
CREATE CAST (circle AS text) WITH FUNCTION fragile_to_text(circle);
CREATE TABLE fragile_keys (c circle);
SELECT carbonite.install_trigger('fragile_keys', primary_key_columns => '{c}');
INSERT INTO fragile_keys VALUES ('<(0,0),1>');
SHOW DateStyle;
SELECT i::text FROM keyed;
DROP TABLE fragile_keys;
DROP CAST (circle AS text);
DROP FUNCTION fragile_to_text(circle);
RESET ALL;
-- keys of any length: whole up to what an index entry holds, then abbreviated
CREATE TABLE long_keys (a text, b text, n int);
SELECT carbonite.install_trigger('long_keys', primary_key_columns => '{a,b}');
INSERT INTO long_keys
SELECT string_agg(md5(n::text || i), '' ORDER BY i), 'short', n
FROM unnest(ARRAY[10, 70, 300, 100000]) n, generate_series(1, n) i GROUP BY n;
SELECT data ->> 'n' AS n, length(data ->> 'a') AS given, length(table_pk[1]) AS stored,
    table_pk[1] = data ->> 'a' AS whole,
    table_pk[1] = left(data ->> 'a', 64) || '...sha256:' || encode(sha256((data ->> 'a')::bytea), 'hex') AS abbreviated,
    table_pk[2]
FROM carbonite_default.changes WHERE table_name = 'long_keys' ORDER BY (data ->> 'n')::int;
SELECT l.n, count(*) FROM long_keys l, carbonite.changes(l) GROUP BY 1 ORDER BY 1;
SELECT l.n, count(*) FROM long_keys l, carbonite.changes('long_keys', ARRAY[l.a, l.b]) GROUP BY 1 ORDER BY 1;
-- thirty-two long columns
DO $$ BEGIN EXECUTE 'CREATE TABLE wide_keys (' || (SELECT string_agg('k' || i || ' text', ', ') FROM generate_series(1, 32) i) || ')'; END $$;
SELECT carbonite.install_trigger('wide_keys', primary_key_columns => ARRAY(SELECT 'k' || i FROM generate_series(1, 32) i));
INSERT INTO wide_keys SELECT FROM generate_series(1, 1);
DO $$ BEGIN EXECUTE 'UPDATE wide_keys SET ' || (SELECT string_agg('k' || i || ' = repeat(''x'', 120)', ', ') FROM generate_series(1, 32) i); END $$;
SELECT op, array_length(table_pk, 1), left(table_pk[1], 10) FROM carbonite_default.changes WHERE table_name = 'wide_keys' ORDER BY id;
SELECT count(*) FROM wide_keys w, carbonite.changes(w);
-- a key column that does not exist fails the write, after the mode is known
UPDATE carbonite_default.triggers SET primary_key_columns = '{id}' WHERE table_name = 'long_keys';
INSERT INTO long_keys VALUES ('x');
UPDATE carbonite_default.triggers SET mode = 'ignore' WHERE table_name = 'long_keys';
INSERT INTO long_keys VALUES ('x');
-- keys that no row has
SELECT count(*) FROM carbonite.changes('long_keys', '{}');
SELECT count(*) FROM carbonite.changes('long_keys', ARRAY(SELECT 'x' || n FROM generate_series(1, 1000) n));
SELECT count(*) FROM carbonite.changes('long_keys', '{{a,b},{c,NULL}}');
SELECT array_ndims(carbonite._stored_key('{}')), array_length(carbonite._stored_key('{{a,b},{c,NULL}}'), 1);
SELECT carbonite.record_key(1);
SELECT carbonite.record_key(ROW(1, 2));
SELECT carbonite.drop_schema(cascade => true);
DROP TABLE odd, people, amounts, keyed, long_keys, wide_keys;
