-- Prefixes: installing, installing again, configuring, dropping, and what is refused.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema();
SELECT carbonite.install_schema();
SELECT carbonite.install_schema('required');
SELECT carbonite.install_schema('auto');
SELECT carbonite.install_schema('sometimes', carbonite_prefix => 'other');
SELECT carbonite.configure_schema('never');
SELECT carbonite.configure_schema('auto');
SELECT transaction_mode FROM carbonite_default.settings;
SELECT carbonite.configure_schema('required');
SELECT carbonite.configure_schema('auto', carbonite_prefix => 'nowhere');
-- names that cannot be those of a prefix
SELECT carbonite.install_schema(carbonite_prefix => 'Upper');
SELECT carbonite.install_schema(carbonite_prefix => 'with space');
SELECT carbonite.install_schema(carbonite_prefix => 'semi;colon');
SELECT carbonite.install_schema(carbonite_prefix => '');
SELECT carbonite.install_schema(carbonite_prefix => 'select');
SELECT carbonite.install_schema(carbonite_prefix => '1st');
SELECT carbonite.install_schema(carbonite_prefix => 'pg_audit');
SELECT carbonite.install_schema(carbonite_prefix => 'carbonite');
SELECT carbonite.install_schema(carbonite_prefix => repeat('x', 35));
SELECT carbonite.install_schema(carbonite_prefix => NULL);
-- a schema of somebody else stays as it is; an empty one may become a prefix
CREATE SCHEMA taken CREATE TABLE mine (id int);
SELECT carbonite.install_schema(carbonite_prefix => 'taken');
CREATE SCHEMA empty;
SELECT carbonite.install_schema(carbonite_prefix => 'empty');
SELECT * FROM carbonite.prefixes WHERE owner = current_user ORDER BY 1;
-- what a prefix holds
SELECT c.relname, c.relkind FROM pg_class c
WHERE c.relnamespace = 'carbonite_default'::regnamespace ORDER BY c.relkind, c.relname;
-- every object of the extension and of a prefix is commented
SELECT p.proname FROM pg_proc p
WHERE p.pronamespace IN ('carbonite'::regnamespace, 'carbonite_default'::regnamespace)
    AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT p.proname FROM pg_proc p
WHERE p.pronamespace = 'carbonite'::regnamespace AND p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')
    AND p.prokind <> 'a' AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false);
SELECT c.relname FROM pg_class c
WHERE c.relnamespace IN ('carbonite'::regnamespace, 'carbonite_default'::regnamespace)
    AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL;
-- dropping
CREATE TABLE kept (id int PRIMARY KEY);
SELECT carbonite.install_trigger('kept', carbonite_prefix => 'empty');
SELECT carbonite.drop_schema(carbonite_prefix => 'empty');
SELECT carbonite.drop_schema(carbonite_prefix => 'nowhere');
SELECT carbonite.drop_schema(cascade => true, carbonite_prefix => 'empty');
INSERT INTO kept VALUES (1);
SELECT to_regnamespace('empty') IS NULL AS gone;
SELECT carbonite.drop_schema();
-- a backend that used a prefix notices that it was dropped and made again
SELECT carbonite.install_schema('auto');
SELECT carbonite.install_trigger('kept');
INSERT INTO kept VALUES (2);
SELECT carbonite.drop_schema(cascade => true);
SELECT carbonite.install_schema('auto');
SELECT carbonite.install_trigger('kept');
INSERT INTO kept VALUES (3);
SELECT op, table_pk FROM carbonite_default.changes;
SELECT carbonite.drop_schema(cascade => true);
DROP TABLE kept, taken.mine;
DROP SCHEMA taken;
-- an owner without superuser rights installs and uses a prefix of its own
CREATE ROLE regress_carbonite_owner;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_carbonite_owner', current_database()); END $$;
CREATE SCHEMA app AUTHORIZATION regress_carbonite_owner;
SET ROLE regress_carbonite_owner;
SELECT carbonite.install_schema(carbonite_prefix => 'audit');
CREATE TABLE app.things (id int PRIMARY KEY);
SELECT carbonite.install_trigger('app.things', carbonite_prefix => 'audit');
BEGIN;
SELECT (carbonite.insert_transaction('{"by": "owner"}', 'audit')).meta;
INSERT INTO app.things VALUES (1);
COMMIT;
SELECT op, table_name, data FROM carbonite.changes('app.things', '{1}', 'audit');
-- but nobody gets functions of ours in the schema of another
SELECT carbonite._create_capture_functions('public');
RESET ROLE;
SELECT p.proname, p.proowner::regrole FROM pg_proc p WHERE p.pronamespace = 'audit'::regnamespace ORDER BY 1;
SET ROLE regress_carbonite_owner;
SELECT carbonite.drop_schema(true, 'audit');
RESET ROLE;
DROP SCHEMA app CASCADE;
DROP OWNED BY regress_carbonite_owner;
DROP ROLE regress_carbonite_owner;
