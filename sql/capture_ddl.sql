-- Changes of a table's schema, recorded where the table asks for it.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema();
CREATE VIEW commands AS
    SELECT c.op, c.table_prefix || '.' || c.table_name AS name, c.command, c.data - 'statement' AS data, c.data ->> 'statement' AS statement, t.meta
    FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id AND t.xact_id = c.transaction_xact_id
    WHERE c.command IS NOT NULL ORDER BY c.id;
CREATE TABLE people (id int PRIMARY KEY, name text);
CREATE TABLE others (id int PRIMARY KEY);
BEGIN;
SELECT (carbonite.insert_transaction('{"type": "migration"}')).meta;
SELECT carbonite.install_trigger('people', capture_ddl => true);
SELECT carbonite.install_trigger('others');
ALTER TABLE people ADD age int;
ALTER TABLE people RENAME name TO full_name;
ALTER TABLE people ALTER age TYPE bigint, ALTER age SET DEFAULT 1;
ALTER TABLE others ADD age int;
INSERT INTO people VALUES (1, 'Jack', 3);
CREATE INDEX people_age ON people (age);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER own BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE POLICY readers ON people FOR SELECT USING (true);
ALTER POLICY readers ON people USING (false);
CREATE RULE none AS ON DELETE TO people DO ALSO NOTHING;
DROP RULE none ON people;
DROP POLICY readers ON people;
DROP TRIGGER own ON people;
-- the way to go unseen is seen
ALTER TABLE people DISABLE TRIGGER capture_changes_into_carbonite_default_trigger;
ALTER TABLE people ENABLE TRIGGER capture_changes_into_carbonite_default_trigger;
DROP TRIGGER capture_changes_into_carbonite_default_trigger ON people;
SELECT carbonite.drop_trigger('people');
SELECT carbonite.install_trigger('people', capture_ddl => true);
COMMIT;
SELECT op, name, command, data FROM commands;
SELECT DISTINCT meta FROM commands;
SELECT statement FROM commands LIMIT 3;
SELECT c.op, c.data FROM carbonite_default.changes c WHERE c.command IS NULL;
-- as any change it needs a transactions row, or the mode auto; what is rolled back has not happened
ALTER TABLE people ADD more text;
TRUNCATE carbonite_default.changes;
SELECT carbonite.configure_schema('optional');
ALTER TABLE people ADD unseen text;
SELECT carbonite.configure_schema('auto');
BEGIN;
ALTER TABLE people ADD never text;
ROLLBACK;
DO $$ BEGIN ALTER TABLE people DROP unseen; END $$;
ALTER TABLE people RENAME TO persons;
CREATE SCHEMA elsewhere;
ALTER TABLE persons SET SCHEMA elsewhere;
SELECT op, name, command, data, statement FROM commands;
-- a table that is not captured is not, here either
SELECT carbonite.configure_trigger('elsewhere.persons', mode => 'ignore');
ALTER TABLE elsewhere.persons ADD ignored text;
SELECT carbonite.configure_trigger('elsewhere.persons', mode => 'capture');
TRUNCATE carbonite_default.changes;
DROP TABLE elsewhere.persons;
SELECT op, name, command, data, statement FROM commands;
SELECT table_name FROM carbonite_default.triggers;
-- by somebody who has no right on the prefix
CREATE ROLE regress_carbonite_ddl;
CREATE TABLE theirs (id int PRIMARY KEY);
SELECT carbonite.install_trigger('theirs', capture_ddl => true);
ALTER TABLE theirs OWNER TO regress_carbonite_ddl;
TRUNCATE carbonite_default.changes;
SET ROLE regress_carbonite_ddl;
ALTER TABLE theirs ADD name text;
SET client_min_messages = warning;
RESET ROLE;
RESET client_min_messages;
SELECT name, command, data FROM commands;
DROP TABLE theirs, others;
DROP ROLE regress_carbonite_ddl;
DROP SCHEMA elsewhere;
DROP FUNCTION nothing;
DROP VIEW commands;
SELECT carbonite.drop_schema(true);
