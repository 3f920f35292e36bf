-- Tables: installing, installing again, configuring, dropping, and what is refused.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
CREATE TABLE rabbits (id serial PRIMARY KEY, name text, age int, password text);
CREATE TABLE keyless (a int, b int);
CREATE TABLE composite (b int, a int, c text, PRIMARY KEY (b, a));
SELECT carbonite.install_trigger('rabbits', excluded_columns => '{age}', filtered_columns => '{password}');
SELECT carbonite.install_trigger('rabbits', excluded_columns => '{age}', filtered_columns => '{password}');
SELECT carbonite.install_trigger('rabbits');
SELECT carbonite.install_trigger('rabbits', excluded_columns => '{age}', filtered_columns => '{password}',
    "initially" => 'deferred');
SELECT carbonite.install_trigger('composite');
SELECT carbonite.install_trigger('keyless');
SELECT carbonite.install_trigger('keyless', primary_key_columns => '{}');
SELECT table_prefix, table_name, primary_key_columns, excluded_columns, filtered_columns, mode,
    store_changed_from, table_oid, exact_comparison, mask_primary_key
FROM carbonite_default.triggers ORDER BY table_name;
-- unknown things
SELECT carbonite.install_trigger('nowhere');
SELECT carbonite.install_trigger(NULL);
SELECT carbonite.install_trigger(0);
SELECT carbonite.install_trigger('rabbits', carbonite_prefix => 'nowhere');
SELECT carbonite.install_trigger('rabbits', primary_key_columns => '{nr}');
SELECT carbonite.configure_trigger('rabbits', excluded_columns => '{name,agee}');
SELECT carbonite.configure_trigger('rabbits', filtered_columns => '{NULL}');
SELECT carbonite.configure_trigger('rabbits', filtered_columns => '{{name},{age}}');
SELECT carbonite.configure_trigger('rabbits', mode => 'record');
SELECT carbonite.configure_trigger('rabbits', "initially" => 'later');
SELECT carbonite.configure_trigger('pg_class', mode => 'ignore');
CREATE TABLE plain (id int PRIMARY KEY);
SELECT carbonite.configure_trigger('plain', mode => 'ignore');
SELECT carbonite.drop_trigger('plain');
-- relations that cannot be captured
CREATE VIEW a_view AS SELECT * FROM rabbits;
CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM rabbits;
CREATE SEQUENCE a_sequence;
CREATE TYPE a_type AS (a int);
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nothing FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE a_foreign_table (id int) SERVER nothing;
SELECT carbonite.install_trigger('a_view');
SELECT carbonite.install_trigger('a_matview');
SELECT carbonite.install_trigger('a_sequence');
SELECT carbonite.install_trigger('a_type');
SELECT carbonite.install_trigger('a_foreign_table');
SELECT carbonite.install_trigger('rabbits_pkey');
SELECT carbonite.install_trigger('pg_catalog.pg_class');
SELECT carbonite.install_trigger('information_schema.sql_features');
SELECT carbonite.install_trigger('carbonite_default.changes');
SELECT carbonite.install_trigger('carbonite_default.triggers');
-- not through the back door either
CREATE CONSTRAINT TRIGGER recursive AFTER INSERT ON carbonite_default.outboxes
    FOR EACH ROW EXECUTE PROCEDURE carbonite_default.capture_changes();
INSERT INTO carbonite_default.triggers (table_prefix, table_name, primary_key_columns)
    VALUES ('carbonite_default', 'outboxes', '{name}');
INSERT INTO carbonite_default.outboxes (name) VALUES ('x');
DROP TRIGGER recursive ON carbonite_default.outboxes;
DELETE FROM carbonite_default.triggers WHERE table_name = 'outboxes';
-- and the trigger functions serve no other kind of trigger
CREATE TRIGGER wrong BEFORE INSERT ON plain FOR EACH ROW EXECUTE PROCEDURE carbonite_default.capture_changes();
INSERT INTO plain VALUES (1);
DROP TRIGGER wrong ON plain;
CREATE TRIGGER wrong AFTER INSERT ON plain FOR EACH STATEMENT EXECUTE PROCEDURE carbonite_default.capture_changes();
INSERT INTO plain VALUES (1);
DROP TRIGGER wrong ON plain;
CREATE TRIGGER wrong BEFORE INSERT ON plain FOR EACH ROW EXECUTE PROCEDURE carbonite_default.set_transaction_id();
INSERT INTO plain VALUES (1);
DROP TRIGGER wrong ON plain;
-- configuring takes effect at once and leaves the rest alone
INSERT INTO rabbits (name, age, password) VALUES ('Jack', 3, 'secret');
SELECT carbonite.configure_trigger('rabbits', excluded_columns => '{}', store_changed_from => true);
UPDATE rabbits SET age = 4, password = 'other';
SELECT carbonite.configure_trigger('rabbits', mode => 'ignore');
UPDATE rabbits SET age = 5;
SELECT carbonite.configure_trigger('rabbits', mode => 'capture', "initially" => 'deferred');
BEGIN;
UPDATE rabbits SET age = 6;
SELECT count(*) AS before_commit FROM carbonite.fetch_changes();
COMMIT;
SELECT op, data, changed, changed_from FROM carbonite.changes('rabbits', '{1}');
-- nothing half done: a refused call leaves the configuration as it was
SELECT carbonite.configure_trigger('rabbits', mode => 'ignore', filtered_columns => '{unknown}');
SELECT mode, filtered_columns FROM carbonite_default.triggers WHERE table_name = 'rabbits';
-- dropping keeps the history
SELECT carbonite.drop_trigger('rabbits');
UPDATE rabbits SET age = 7;
SELECT count(*) FROM carbonite_default.changes WHERE table_name = 'rabbits';
SELECT count(*) FROM carbonite_default.triggers WHERE table_name = 'rabbits';
SELECT carbonite.install_trigger('rabbits');
-- tables that swap their names keep their configuration, and leave free the names they left
SELECT carbonite.configure_trigger('rabbits', excluded_columns => '{name}');
ALTER TABLE rabbits RENAME TO hares;
ALTER TABLE keyless RENAME TO rabbits;
ALTER TABLE hares RENAME TO keyless;
ALTER TABLE composite RENAME TO moved;
CREATE TABLE composite (id int PRIMARY KEY);
SELECT carbonite.install_trigger('composite');
SELECT table_name, table_oid, primary_key_columns, excluded_columns FROM carbonite_default.triggers ORDER BY table_name;
SELECT carbonite.drop_schema(cascade => true);
DROP FOREIGN DATA WRAPPER nothing CASCADE;
DROP TABLE rabbits, keyless, composite, moved, plain CASCADE;
DROP SEQUENCE a_sequence;
DROP TYPE a_type;
