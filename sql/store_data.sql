-- store_data = changed: updates store the key and what changed, and reading completes the rows.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
SELECT carbonite.install_schema('auto', carbonite_prefix => 'whole');
CREATE TABLE books (shelf int, place int, title text, price numeric, body text, PRIMARY KEY (shelf, place));
SELECT carbonite.install_trigger('books', store_data => 'some');
SELECT carbonite.install_trigger('books', store_data => 'changed', store_changed_from => true);
SELECT carbonite.install_trigger('books', store_data => 'changed', store_changed_from => true);
SELECT carbonite.install_trigger('books', carbonite_prefix => 'whole');
SELECT store_data FROM carbonite_default.triggers UNION ALL SELECT store_data FROM whole.triggers;

INSERT INTO books VALUES (1, 1, 'Emma', 5, 'It was'), (1, 2, 'Ulysses', 9.5, NULL);
UPDATE books SET price = 6 WHERE place = 1;
UPDATE books SET price = 6.0 WHERE place = 1;
UPDATE books SET title = NULL, body = 'Stately' WHERE place = 2;
UPDATE books SET place = 3, price = 1 WHERE place = 2;
UPDATE books SET body = 'Yes' WHERE place = 3;
DELETE FROM books WHERE place = 1;
INSERT INTO books VALUES (1, 1, 'Persuasion', 4, 'Sir Walter');
UPDATE books SET body = 'Elliot' WHERE place = 1;
SELECT op, table_pk, data, changed, changed_from, data_is_partial FROM carbonite_default.changes ORDER BY id;
SELECT op, table_pk, data, data_is_partial FROM carbonite.changes('books', '{1,1}');
SELECT op, table_pk, data, data_is_partial FROM carbonite.changes('books', '{1,3}');
SELECT count(*) FILTER (WHERE c.data_is_partial) AS partial, count(*) FROM carbonite.changes('books', NULL) c;

-- whatever is written, both prefixes tell the same
CREATE PROCEDURE write(rounds int) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM setseed(0.4);
    FOR i IN 1 .. rounds LOOP
        CASE floor(random() * 8)
        WHEN 0 THEN
            INSERT INTO books VALUES (floor(random() * 3), floor(random() * 4), random()::text, i) ON CONFLICT DO NOTHING;
        WHEN 1 THEN
            DELETE FROM books WHERE shelf = floor(random() * 3) AND place = floor(random() * 4);
        WHEN 2 THEN
            UPDATE books SET place = place + 10 WHERE place < 4 AND NOT EXISTS (
                SELECT FROM books b WHERE b.shelf = books.shelf AND b.place = books.place + 10);
        WHEN 3 THEN
            UPDATE books SET place = place - 10 WHERE place > 4 AND NOT EXISTS (
                SELECT FROM books b WHERE b.shelf = books.shelf AND b.place = books.place - 10);
        WHEN 4 THEN
            UPDATE books SET body = repeat(i::text, 3000) WHERE shelf = floor(random() * 3);
        ELSE
            UPDATE books SET price = floor(random() * 3), title = CASE WHEN random() < 0.5 THEN title END
            WHERE place = floor(random() * 4);
        END CASE;
    END LOOP;
END
$$;
CALL write(400);
CREATE VIEW different AS
    SELECT w.id, w.data, p.data AS completed
    FROM (SELECT row_number() OVER (ORDER BY id) AS id, op, table_pk, data, changed FROM whole.changes) w
    FULL JOIN (SELECT row_number() OVER (ORDER BY id) AS id, op, table_pk, data, changed, data_is_partial
        FROM carbonite.changes('books', NULL)) p
        ON (w.id, w.op::text, w.table_pk::text[], w.data, w.changed::text[]) = (p.id, p.op, p.table_pk, p.data, p.changed)
    WHERE w.id IS NULL OR p.id IS NULL OR p.data_is_partial;
SELECT count(*) > 300 AS many, count(*) FILTER (WHERE data_is_partial) > 100 AS partial FROM carbonite_default.changes;
SELECT count(*) AS differences FROM different;

-- the changes of a transaction are completed as well
BEGIN;
UPDATE books SET price = 77 WHERE shelf = 1;
UPDATE books SET title = 'last' WHERE shelf = 1;
SELECT count(*) > 1 AS some, bool_and(f.data = w.data) AS equal, bool_or(f.data_is_partial) AS partial
FROM (SELECT row_number() OVER (ORDER BY id) AS n, * FROM carbonite.fetch_changes()) f
JOIN (SELECT row_number() OVER (ORDER BY id) AS n, * FROM carbonite.fetch_changes('whole')) w USING (n);
COMMIT;

-- an earlier history that is not there cannot be completed, which is told
TRUNCATE carbonite_default.changes;
UPDATE books SET price = 78 WHERE (shelf, place) = (SELECT shelf, place FROM books ORDER BY 1, 2 LIMIT 1);
SELECT c.data - 'shelf' - 'place' AS data, c.data_is_partial FROM carbonite.changes('books', NULL) c;

-- a whole row ends what was known of a column that is gone
ALTER TABLE books DROP price;
DELETE FROM books;
SELECT bool_or(c.data ? 'price') AS price FROM carbonite.changes('books', NULL) c WHERE c.op = 'delete';

-- no part of a row without a key to find the others by, or with a key that hides which record it is
CREATE TABLE lists (id int, item text, n int);
SELECT carbonite.install_trigger('lists', primary_key_columns => '{}', store_data => 'changed');
INSERT INTO lists VALUES (1, 'a', 1);
UPDATE lists SET n = 2;
SELECT carbonite.configure_trigger('lists', primary_key_columns => '{id}', filtered_columns => '{id}');
UPDATE lists SET n = 3;
SELECT carbonite.configure_trigger('lists', mask_primary_key => false);
UPDATE lists SET n = 4;
SELECT carbonite.configure_trigger('lists', filtered_columns => '{item}', excluded_columns => '{id}');
UPDATE lists SET n = 5, item = 'b';
SELECT carbonite.configure_trigger('lists', store_data => 'full');
UPDATE lists SET n = 6;
SELECT table_pk, data, data_is_partial FROM carbonite_default.changes WHERE table_name = 'lists' ORDER BY id;

-- a key whose text changes with its scale
CREATE TABLE prices (price numeric PRIMARY KEY, note text);
SELECT carbonite.install_trigger('prices', store_data => 'changed');
INSERT INTO prices VALUES (1.5, 'a');
UPDATE prices SET price = 1.50, note = 'b';
UPDATE prices SET note = 'c';
SELECT table_pk, data, changed, data_is_partial FROM carbonite_default.changes WHERE table_name = 'prices' ORDER BY id;

-- large values that did not change are neither read nor stored again
CREATE TABLE files (id int PRIMARY KEY, name text, body text);
ALTER TABLE files ALTER body SET STORAGE EXTERNAL;
INSERT INTO files VALUES (1, 'a', repeat('x', 100000));
SELECT carbonite.install_trigger('files', store_data => 'changed');
CREATE FUNCTION toast_reads() RETURNS bigint LANGUAGE sql AS $$
    SELECT pg_stat_get_xact_numscans(i.indexrelid)
    FROM pg_class c JOIN pg_index i ON i.indrelid = c.reltoastrelid WHERE c.oid = 'files'::regclass
$$;
BEGIN;
SELECT toast_reads() AS before \gset
UPDATE files SET name = 'b';
SELECT toast_reads() - :before AS reads;
SELECT data, pg_column_size(data) < 100 AS small FROM carbonite.fetch_changes();
COMMIT;
SELECT carbonite.configure_trigger('files', store_data => 'full');
BEGIN;
SELECT toast_reads() AS before \gset
UPDATE files SET name = 'c';
SELECT toast_reads() - :before AS reads;
SELECT length(data::text) FROM carbonite.fetch_changes();
COMMIT;

DROP VIEW different;
DROP PROCEDURE write;
DROP FUNCTION toast_reads;
DROP TABLE books, lists, prices, files;
SELECT carbonite.drop_schema(cascade => true);
SELECT carbonite.drop_schema(cascade => true, carbonite_prefix => 'whole');
