-- The indexes of changes: two sets, and the operator class of the history index.
\set SHOW_CONTEXT never
CREATE VIEW indexes AS
    SELECT c.relname, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass('carbonite_default.changes');
SELECT carbonite.install_schema('auto', indexes => 'many');
SELECT carbonite.install_schema('auto');
SELECT regexp_replace(definition, '.* ON ', '') FROM indexes ORDER BY 1;
SELECT carbonite.install_schema(indexes => 'fast');
SELECT carbonite.install_schema(indexes => 'compatible');
SELECT carbonite.configure_schema(indexes => 'some');

CREATE TABLE items (id int PRIMARY KEY, note text);
SELECT carbonite.install_trigger('items');
INSERT INTO items SELECT g, 'first' FROM generate_series(1, 20) g;

-- the other set takes effect in a session that writes, too
SELECT carbonite.configure_schema(indexes => 'compatible');
SELECT regexp_replace(definition, '.* ON ', '') FROM indexes ORDER BY 1;
UPDATE items SET note = 'second';
SET enable_seqscan = off;
SELECT count(*) FROM carbonite_default.changes WHERE id > 0;
SELECT count(*) FROM carbonite_default.changes WHERE transaction_id = (SELECT max(id) FROM carbonite_default.transactions);
SELECT count(*) FROM carbonite_default.changes WHERE table_prefix = 'public' AND table_name = 'items' AND table_pk = '{7}';
RESET enable_seqscan;
SELECT carbonite.configure_schema();
SELECT carbonite.configure_schema(indexes => 'fast');
UPDATE items SET note = 'third';
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM carbonite_default.changes WHERE transaction_id = 7 ORDER BY id;
EXPLAIN (COSTS OFF) SELECT * FROM carbonite_default.changes WHERE table_prefix = 'public' AND table_name = 'items' AND table_pk = '{7}';
SELECT count(*) FROM carbonite_default.changes WHERE transaction_id = (SELECT max(id) FROM carbonite_default.transactions);
SELECT op, data ->> 'note' FROM carbonite_default.changes WHERE table_prefix = 'public' AND table_name = 'items' AND table_pk = '{7}' ORDER BY id;
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP TABLE items;
SELECT carbonite.drop_schema();

-- carbonite.key_ops agrees with = on all arrays, and is an order
CREATE TABLE keys (n serial, key varchar[] COLLATE "C");
INSERT INTO keys (key)
VALUES ('{}'), ('{""}'), ('{a}'), ('{b}'), ('{aa}'), ('{a,a}'), ('{"a,a"}'), ('{a,NULL}'), ('{NULL,a}'), ('{NULL}'),
    ('{NULL,NULL}'), ('[0:0]={a}'), ('[2:2]={a}'), ('{{a}}'), ('{{a,b}}'), ('{{a},{b}}'), ('{ä}'), ('{ae}'),
    (('{NULL,a}'::varchar[])[2:2]), (('{NULL,a,a}'::varchar[])[2:3]), (ARRAY[repeat('x', 3000)]), (ARRAY[repeat('x', 3001)]);
INSERT INTO keys (key) SELECT ARRAY[g::text] FROM generate_series(1, 30) g;
INSERT INTO keys (key) SELECT ARRAY[g::text, (g % 3)::text] FROM generate_series(8, 12) g;
INSERT INTO keys (key) SELECT ARRAY['text'::text, g::text]::varchar[] FROM generate_series(1, 3) g;
SELECT count(*) AS pairs,
    count(*) FILTER (WHERE (a.key = b.key) <> (carbonite._compare_keys(a.key, b.key) = 0)) AS "disagree with =",
    count(*) FILTER (WHERE sign(carbonite._compare_keys(a.key, b.key)) <> -sign(carbonite._compare_keys(b.key, a.key))) AS asymmetric,
    count(*) FILTER (WHERE ((a.key OPERATOR(carbonite.~<~) b.key)::int + (a.key OPERATOR(carbonite.~>~) b.key)::int + (a.key = b.key)::int) <> 1
        OR (a.key OPERATOR(carbonite.~<=~) b.key) = (a.key OPERATOR(carbonite.~>~) b.key)
        OR (a.key OPERATOR(carbonite.~>=~) b.key) = (a.key OPERATOR(carbonite.~<~) b.key)) AS "bad operators"
FROM keys a, keys b;
SELECT count(*) AS intransitive
FROM keys a, keys b, keys c
WHERE a.key OPERATOR(carbonite.~<=~) b.key AND b.key OPERATOR(carbonite.~<=~) c.key AND NOT a.key OPERATOR(carbonite.~<=~) c.key;
-- numbers are in their order
SELECT string_agg(key[1], ' ' ORDER BY key USING OPERATOR(carbonite.~<~)) FROM keys WHERE cardinality(key) = 1 AND key[1] ~ '^\d+$';
-- an index of it finds what a scan finds
CREATE INDEX keys_index ON keys (key carbonite.key_ops);
INSERT INTO keys (key) SELECT key FROM keys;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT FROM keys WHERE key = '{7}';
SELECT count(*) AS missed
FROM (SELECT key, count(*) FROM keys GROUP BY key) k
WHERE k.count <> (SELECT count(*) FROM keys WHERE keys.key = k.key);
RESET enable_seqscan;
RESET enable_bitmapscan;
-- equal keys are stored once
INSERT INTO keys (key) SELECT ARRAY['1', 'one record with many changes'] FROM generate_series(1, 5000);
SELECT pg_relation_size('keys_index') < 100000 AS small;
-- arrays of other types, and texts that are equal without having equal bytes
SELECT carbonite._compare_keys('{1.0}'::numeric[], '{1.00}'), carbonite._compare_keys('{2}'::int[], '{10}');
DO $$
BEGIN
    CREATE COLLATION whatever_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN -- a server without ICU
    CREATE COLLATION whatever_case FROM "C";
END
$$;
SELECT (carbonite._compare_keys(a, b) = 0) = (a = b) AS agree
FROM (VALUES ('{A}'::varchar[] COLLATE whatever_case, '{a}'::varchar[] COLLATE whatever_case)) v (a, b);
CREATE TABLE cases (key varchar[] COLLATE whatever_case);
CREATE INDEX cases_index ON cases (key carbonite.key_ops);
INSERT INTO cases SELECT ARRAY[CASE WHEN g % 2 = 0 THEN 'a' ELSE 'A' END] FROM generate_series(1, 2000) g;
SELECT (pg_relation_size('cases_index') > 40000) <> collisdeterministic AS "not deduplicated"
FROM pg_collation WHERE collname = 'whatever_case';
-- nobody else's queries are affected
SET enable_hashjoin = off;
SET enable_nestloop = off;
CREATE TABLE others (key int[]);
EXPLAIN (COSTS OFF) SELECT FROM others a JOIN others b USING (key);
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'key_ops';
DROP TABLE keys, cases, others;
DROP COLLATION whatever_case;
DROP VIEW indexes;
