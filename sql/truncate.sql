-- TRUNCATE: recorded as one change per table, refused, or ignored.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema();
CREATE TABLE items (id int PRIMARY KEY, note text);
CREATE TABLE parts (id int PRIMARY KEY, item_id int REFERENCES items);
CREATE TABLE visits (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
SELECT carbonite.install_trigger('items', filtered_columns => '{note}', on_truncate => 'sometimes');
SELECT carbonite.install_trigger('items', filtered_columns => '{note}');
SELECT carbonite.install_trigger('parts');
SELECT carbonite.install_trigger('visits');
CREATE VIEW truncated AS
    SELECT op, table_name, table_pk, data, changed, data_is_partial, command
    FROM carbonite_default.changes WHERE command IS NOT NULL ORDER BY id;
BEGIN;
SELECT (carbonite.insert_transaction()).meta;
INSERT INTO items SELECT g FROM generate_series(1, 5) g;
INSERT INTO parts SELECT g, g FROM generate_series(1, 3) g;
INSERT INTO visits VALUES (1, '2026-01-01'), (2, '2026-02-01'), (3, '2026-08-01');
COMMIT;
-- needs a transactions row, as all that is recorded
TRUNCATE items CASCADE;
SELECT count(*) FROM items;
BEGIN;
SELECT (carbonite.insert_transaction('{"type": "cleared"}')).meta;
DELETE FROM items WHERE id = 5;
TRUNCATE items CASCADE;
TRUNCATE visits;
TRUNCATE visits;
SELECT op, table_name, data, command FROM carbonite.fetch_changes();
COMMIT;
TABLE truncated;
SELECT op, data, command FROM carbonite.changes('items', NULL) ORDER BY id DESC LIMIT 2;
-- rolled back
BEGIN;
SELECT (carbonite.insert_transaction()).meta;
INSERT INTO items VALUES (1);
SAVEPOINT a;
TRUNCATE items CASCADE;
ROLLBACK TO a;
COMMIT;
SELECT count(*) FROM items;
SELECT count(*) FROM truncated;

-- by choice
SELECT carbonite.configure_schema(transaction_mode => 'auto');
SELECT carbonite.configure_trigger('items', on_truncate => 'refuse');
TRUNCATE items CASCADE;
\set VERBOSITY sqlstate
TRUNCATE items CASCADE;
\set VERBOSITY default
BEGIN;
SET LOCAL carbonite_default.override_mode = 'ignore';
TRUNCATE items CASCADE;
ROLLBACK;
SELECT carbonite.configure_trigger('items', on_truncate => 'ignore');
SELECT carbonite.configure_trigger('parts', mode => 'ignore');
TRUNCATE items, parts;
SELECT count(*) FROM truncated;
-- without the privilege to read the table
CREATE ROLE regress_carbonite_truncating;
GRANT TRUNCATE ON visits TO regress_carbonite_truncating;
SET ROLE regress_carbonite_truncating;
TRUNCATE visits;
SELECT FROM visits;
RESET ROLE;
SELECT data FROM truncated OFFSET 4;
REVOKE ALL ON visits FROM regress_carbonite_truncating;
DROP ROLE regress_carbonite_truncating;

-- a trigger made by hand sees TRUNCATE from when that is configured
CREATE TABLE by_hand (id int PRIMARY KEY);
CREATE CONSTRAINT TRIGGER capture_changes_into_carbonite_default_trigger AFTER INSERT OR UPDATE OR DELETE ON by_hand
    DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE PROCEDURE carbonite_default.capture_changes();
INSERT INTO carbonite_default.triggers (table_prefix, table_name) VALUES ('public', 'by_hand');
TRUNCATE by_hand;
SELECT carbonite.configure_trigger('by_hand', on_truncate => 'capture');
SELECT carbonite.configure_trigger('by_hand', on_truncate => 'capture');
TRUNCATE by_hand;
SELECT count(*) FROM truncated;
SELECT tgname FROM pg_trigger WHERE tgrelid = 'by_hand'::regclass ORDER BY 1;
SELECT carbonite.drop_trigger('by_hand');
SELECT tgname FROM pg_trigger WHERE tgrelid = 'by_hand'::regclass ORDER BY 1;
CREATE TRIGGER wrong AFTER TRUNCATE ON by_hand EXECUTE FUNCTION carbonite_default.capture_changes();
TRUNCATE by_hand;

DROP VIEW truncated;
DROP TABLE items, parts, visits, by_hand;
SELECT carbonite.drop_schema();
