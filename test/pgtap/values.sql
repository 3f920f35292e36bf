-- The contract of values: what is recorded is what to_jsonb gives.
\set QUIET 1
BEGIN;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS carbonite;
SELECT carbonite.install_schema('auto');
CREATE TABLE v (id int PRIMARY KEY, n numeric, f float8, b boolean, t timestamptz, d date, i interval, bytes bytea,
    j json, jb jsonb, list int[], c char(5), r int4range, x xid8, m money);
SELECT carbonite.install_trigger('v');
CREATE FUNCTION recorded() RETURNS jsonb LANGUAGE sql AS $$SELECT data FROM carbonite_default.changes ORDER BY id DESC LIMIT 1$$;
CREATE FUNCTION changes() RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM carbonite_default.changes$$;
SET LOCAL TimeZone = 'UTC';
\t on
\pset format unaligned

SELECT plan(29);

INSERT INTO v (id) VALUES (1);
SELECT is(recorded(), (SELECT to_jsonb(v) FROM v), 'nulls');
UPDATE v SET n = 1.10;
SELECT is(recorded() ->> 'n', '1.10', 'numeric keeps its scale');
UPDATE v SET n = 'NaN', f = 'Infinity';
SELECT is(recorded() -> 'n', '"NaN"', 'NaN is a string');
SELECT is(recorded() -> 'f', '"Infinity"', 'so are infinities');
UPDATE v SET b = true;
SELECT is(recorded() -> 'b', 'true', 'boolean is a boolean');
UPDATE v SET t = '2025-01-01 12:00+00';
SELECT is(recorded() ->> 't', '2025-01-01T12:00:00+00:00', 'timestamptz is ISO 8601');
SET LOCAL TimeZone = 'Asia/Tokyo';
UPDATE v SET b = false;
SELECT is(recorded() ->> 't', '2025-01-01T21:00:00+09:00', 'in the time zone of the session');
SET LOCAL DateStyle = 'German';
UPDATE v SET d = '2025-01-31';
SELECT is(recorded() ->> 'd', '2025-01-31', 'DateStyle does not matter');
UPDATE v SET t = 'infinity', d = '-infinity';
SELECT is(recorded() ->> 't' || (recorded() ->> 'd'), 'infinity-infinity', 'infinite times are strings');
SET LOCAL IntervalStyle = 'iso_8601';
UPDATE v SET i = '1 day 2 hours';
SELECT is(recorded() ->> 'i', 'P1DT2H', 'interval follows IntervalStyle');
SET LOCAL bytea_output = 'escape';
UPDATE v SET bytes = '\x00ff61';
SELECT is(recorded() ->> 'bytes', '\000\377a', 'bytea follows bytea_output');
UPDATE v SET j = '{"b": 1, "a": 2, "b": 3}';
SELECT is(recorded() -> 'j', '{"a": 2, "b": 3}', 'json is normalised: the last of duplicate keys wins');
UPDATE v SET jb = '[1, {"x": [null]}]';
SELECT is(recorded() -> 'jb', '[1, {"x": [null]}]', 'jsonb nests');
UPDATE v SET list = '[0:2]={1,NULL,3}';
SELECT is(recorded() -> 'list', '[1, null, 3]', 'arrays nest, without their bounds');
UPDATE v SET c = 'ab';
SELECT is(recorded() ->> 'c', 'ab   ', 'char(n) is padded');
UPDATE v SET r = '[1,5)', x = '7', m = 1.5;
SELECT is(recorded() ->> 'r' || ' ' || (recorded() ->> 'x'), '[1,5) 7', 'other types are their text');
SELECT is(recorded(), (SELECT to_jsonb(v) FROM v), 'and all together to_jsonb of the row');
SELECT throws_ok($$UPDATE v SET j = '{"a": "\u0000"}'$$, '22P05', NULL, 'json that jsonb cannot hold fails the statement');

-- what is a change
SELECT changes() AS before \gset
UPDATE v SET n = 1.1;
UPDATE v SET n = 1.1000;
SELECT is(changes(), :before::bigint + 1, '1.1 and 1.1000 are the same');
SELECT changes() AS before \gset
UPDATE v SET j = '{"a":2,"b":3}', list = '{1,NULL,3}', f = 'Infinity';
SELECT is(changes(), :before::bigint, 'so are two forms of json, and arrays with other bounds');
UPDATE v SET f = 0.0;
SELECT changes() AS before \gset
UPDATE v SET f = '-0';
SELECT is(changes(), :before::bigint, 'and 0 and -0');
UPDATE v SET i = '26 hours';
SELECT is(changes(), :before::bigint + 1, '1 day 2 hours and 26 hours are not');
UPDATE v SET f = 0.1;
SET LOCAL extra_float_digits = -3;
SELECT changes() AS before \gset
UPDATE v SET f = 0.1 + 1e-16;
SELECT is(changes(), :before::bigint, 'floats are compared as extra_float_digits shows them');
RESET extra_float_digits;

-- columns come and go
ALTER TABLE v DROP COLUMN m, ADD COLUMN late text DEFAULT 'filled', ADD COLUMN double int GENERATED ALWAYS AS (id * 2) STORED;
UPDATE v SET n = 5;
SELECT is(recorded() ? 'm', false, 'a dropped column is not recorded');
SELECT is(recorded() ->> 'late', 'filled', 'an added one is, with its default');
SELECT is(recorded() -> 'double', '2', 'a generated one is, too');
SELECT is(recorded(), (SELECT to_jsonb(v) FROM v), 'as to_jsonb has them');
ALTER TABLE v RENAME n TO amount;
UPDATE v SET amount = 6;
SELECT is(recorded() ->> 'amount', '6', 'a renamed one has its new name');
DELETE FROM v;
SELECT is(recorded() ->> 'amount', '6', 'a delete records the old row');

SELECT * FROM finish();
ROLLBACK;
