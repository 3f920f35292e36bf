-- The SQL of scripts/demo. The variable part chooses: setup, bank or shop.
\set QUIET on
\pset footer off
\pset null '-'
\pset border 1
SET client_min_messages = warning;

SELECT :'part' = 'setup' AS is_setup, :'part' = 'bank' AS is_bank \gset
\if :is_setup

CREATE EXTENSION carbonite;
\o /dev/null
-- auto: a transaction that says nothing of itself is recorded with the metadata of its session
SELECT carbonite.install_schema(transaction_mode => 'auto');

SELECT carbonite.install_trigger('pgbench_branches', store_changed_from => true, excluded_columns => '{filler}');
SELECT carbonite.install_trigger('pgbench_tellers', store_changed_from => true, excluded_columns => '{filler}');
SELECT carbonite.install_trigger('pgbench_accounts', store_changed_from => true, excluded_columns => '{filler}');
SELECT carbonite.install_trigger('pgbench_history', primary_key_columns => '{}', excluded_columns => '{filler}');

CREATE SCHEMA shop;
CREATE TABLE shop.customers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    card_number text,
    search_text text GENERATED ALWAYS AS (lower(name || ' ' || email)) STORED
);
CREATE TABLE shop.products (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    price numeric(10, 2) NOT NULL
);
CREATE TABLE shop.orders (
    id int GENERATED ALWAYS AS IDENTITY (START 1001) PRIMARY KEY,
    customer_id int NOT NULL REFERENCES shop.customers,
    status text NOT NULL DEFAULT 'placed'
);
CREATE TABLE shop.order_lines (
    order_id int REFERENCES shop.orders ON DELETE CASCADE,
    line int,
    product_id int NOT NULL REFERENCES shop.products,
    quantity int NOT NULL,
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
SELECT carbonite.install_trigger('shop.customers', store_changed_from => true,
    filtered_columns => '{card_number}', excluded_columns => '{search_text}');
SELECT carbonite.install_trigger('shop.products', store_changed_from => true);
SELECT carbonite.install_trigger('shop.orders', store_changed_from => true);
SELECT carbonite.install_trigger('shop.order_lines', store_changed_from => true);

-- What pgbench's tables must hold if the recorded changes tell the whole truth. All of them started
-- with a balance of 0.
CREATE VIEW recorded_balances AS
WITH steps AS (
    SELECT c.table_name::text, (c.table_pk[1])::int AS id, c.id AS change_id,
        (c.data ->> left(c.changed[1], 8))::int AS after,
        (c.changed_from ->> left(c.changed[1], 8))::int AS before
    FROM carbonite_default.changes c
    WHERE c.table_prefix = 'public' AND c.table_name <> 'pgbench_history'
),
chained AS (
    SELECT *, lag(after, 1, 0) OVER w AS previous FROM steps
    WINDOW w AS (PARTITION BY table_name, id ORDER BY change_id)
)
SELECT table_name, id,
    count(*) AS changes,
    sum(after - before) AS sum_of_differences,
    (array_agg(after ORDER BY change_id DESC))[1] AS last_recorded,
    count(*) FILTER (WHERE before IS DISTINCT FROM previous) AS gaps
FROM chained
GROUP BY table_name, id;

CREATE VIEW balance_check AS
SELECT table_name AS "table",
    count(*) AS rows,
    count(r.id) AS "with changes",
    coalesce(sum(r.changes), 0) AS changes,
    count(*) FILTER (WHERE b.balance IS DISTINCT FROM coalesce(r.sum_of_differences, 0)) AS "wrong sum",
    count(*) FILTER (WHERE b.balance IS DISTINCT FROM coalesce(r.last_recorded, 0)) AS "wrong last value",
    coalesce(sum(r.gaps), 0) AS gaps
FROM (
    SELECT 'pgbench_accounts' AS table_name, aid AS id, abalance AS balance FROM pgbench_accounts
    UNION ALL SELECT 'pgbench_tellers', tid, tbalance FROM pgbench_tellers
    UNION ALL SELECT 'pgbench_branches', bid, bbalance FROM pgbench_branches
) b
FULL JOIN recorded_balances r USING (table_name, id)
GROUP BY table_name;
\o

SELECT table_oid AS "table", primary_key_columns AS key, filtered_columns AS filtered,
    excluded_columns AS excluded, store_changed_from AS "old values"
FROM carbonite_default.triggers
ORDER BY id;

\elif :is_bank

\qecho
\qecho :bold'3. What was recorded':normal
\qecho
SELECT c.table_prefix || '.' || c.table_name AS "table", c.op, count(*) AS changes,
    count(DISTINCT c.transaction_id) AS transactions,
    round(avg(pg_column_size(c.*))) AS "bytes per change"
FROM carbonite_default.changes c
GROUP BY 1, 2
ORDER BY 1, 2;

SELECT table_pk[1] AS account
FROM carbonite_default.changes
WHERE table_prefix = 'public' AND table_name = 'pgbench_accounts'
GROUP BY table_pk
ORDER BY count(*) DESC, table_pk
LIMIT 1 \gset

\qecho :bold'4. The account with the most changes is' :account':' who did what to it:normal
\qecho
SELECT to_char(t.inserted_at, 'HH24:MI:SS.MS') AS "when (UTC)",
    t.meta ->> 'user' AS who,
    t.meta ->> 'branch' AS branch,
    c.op,
    c.changed_from ->> 'abalance' AS before,
    c.data ->> 'abalance' AS after,
    to_char((c.data ->> 'abalance')::int - (c.changed_from ->> 'abalance')::int, 'SG99999') AS difference
FROM carbonite.changes('pgbench_accounts', ARRAY[:'account']) c
JOIN carbonite_default.transactions t ON t.id = c.transaction_id
ORDER BY c.id;

SELECT abalance AS "balance in the table",
    (SELECT sum_of_differences FROM recorded_balances WHERE table_name = 'pgbench_accounts' AND id = aid)
        AS "sum of the recorded differences"
FROM pgbench_accounts
WHERE aid = :account;

\qecho :bold'5. The same for every account, teller and branch':normal
\qecho
SELECT * FROM balance_check ORDER BY "table";
DO $$
DECLARE
    deposits bigint := (SELECT sum((data ->> 'delta')::int) FROM carbonite_default.changes
        WHERE table_name = 'pgbench_history');
BEGIN
    IF EXISTS (SELECT FROM balance_check WHERE "wrong sum" + "wrong last value" + gaps > 0) THEN
        RAISE 'recorded changes and balances differ, see above';
    END IF;
    IF deposits IS DISTINCT FROM (SELECT sum(abalance) FROM pgbench_accounts) THEN
        RAISE 'the recorded rows of pgbench_history sum up to %, the accounts to another balance', deposits;
    END IF;
    IF (SELECT count(*) FROM carbonite_default.changes WHERE table_name = 'pgbench_history')
        <> (SELECT count(*) FROM pgbench_history)
    THEN
        RAISE 'not every row of pgbench_history was recorded';
    END IF;
    IF EXISTS (SELECT FROM carbonite_default.transactions t LEFT JOIN carbonite_default.changes c
            ON c.transaction_id = t.id GROUP BY t.id HAVING count(c.id) <> 4)
    THEN
        RAISE 'a transaction has not four changes';
    END IF;
END
$$;
\qecho All of them add up.

\else

\o /dev/null
-- Each user's session says once who it is; transactions add what they are for.
SET carbonite.meta = '{"user": "olga"}';
INSERT INTO shop.products (name, price) VALUES ('teapot', 24.90), ('cup', 6.50), ('tray', 159.00);

SET carbonite.meta = '{"user": "web shop"}';
BEGIN;
SELECT carbonite.put_meta('why', 'order placed');
INSERT INTO shop.customers (name, email, card_number) VALUES ('Ada', 'ada@example.org', '4111 1111 1111 1111');
INSERT INTO shop.orders (customer_id) VALUES (1);
INSERT INTO shop.order_lines VALUES (1001, 1, 1, 1, 24.90), (1001, 2, 2, 4, 6.50), (1001, 3, 3, 1, 159.00);
COMMIT;

SET carbonite.meta = '{"user": "olga"}';
BEGIN;
SELECT carbonite.put_meta('why', 'typing error in price');
UPDATE shop.products SET price = 15.90 WHERE name = 'tray';
UPDATE shop.order_lines SET price = 15.90 WHERE product_id = 3;
COMMIT;

SET carbonite.meta = '{"user": "ben"}';
BEGIN;
SELECT carbonite.put_meta('why', 'customer called');
UPDATE shop.customers SET card_number = '5500 0000 0000 0004' WHERE id = 1;
UPDATE shop.orders SET status = 'cancelled' WHERE id = 1001;
DELETE FROM shop.order_lines WHERE order_id = 1001;
COMMIT;
\o

\qecho
\qecho :bold'6. The shop: an order is placed, a price corrected, the order cancelled':normal
\qecho
\pset format unaligned
\pset tuples_only on
-- One line for a transaction, one for each of its changes.
WITH story AS (
    SELECT c.*, t.meta, t.inserted_at,
        lag(c.transaction_id) OVER (ORDER BY c.id) IS DISTINCT FROM c.transaction_id AS is_first
    FROM carbonite_default.changes c
    JOIN carbonite_default.transactions t ON t.id = c.transaction_id
    WHERE c.table_prefix = 'shop'
)
SELECT
    CASE WHEN is_first
        THEN format(E'%s  %s%s\n', to_char(inserted_at, 'HH24:MI:SS.MS'), meta ->> 'user', ': ' || (meta ->> 'why'))
        ELSE ''
    END ||
    format('    %-6s %-18s %s', op, table_name || ' ' || array_to_string(table_pk, ','), (
        SELECT string_agg(
            CASE WHEN op = 'update' THEN format('%s: %s -> %s', k, changed_from ->> k, data ->> k)
                ELSE format('%s: %s', k, data ->> k)
            END, ', ')
        FROM jsonb_object_keys(data) k
        WHERE (op <> 'update' OR k = ANY (changed)) AND k <> 'order_id'
    ))
FROM story
ORDER BY id;
\pset tuples_only off
\pset format aligned

\qecho
\qecho :bold'7. Sizes':normal
\qecho
SELECT c.oid::regclass::text AS "table",
    to_char(CASE WHEN c.relname = 'changes' THEN (SELECT count(*) FROM carbonite_default.changes)
        ELSE (SELECT count(*) FROM carbonite_default.transactions) END, '999,999') AS rows,
    pg_size_pretty(pg_table_size(c.oid)) AS "rows take",
    pg_size_pretty(pg_indexes_size(c.oid)) AS "indexes take"
FROM pg_class c
WHERE c.oid IN ('carbonite_default.changes'::regclass, 'carbonite_default.transactions'::regclass);

\endif
