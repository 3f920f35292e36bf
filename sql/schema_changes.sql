-- Tables change while they are recorded: writes go on, masks and keys stay where they were put.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
CREATE TABLE people (id int PRIMARY KEY, name text, password text, age int, city text);
SELECT carbonite.install_trigger('people', excluded_columns => '{age}', filtered_columns => '{password}');
CREATE VIEW config AS
    SELECT table_prefix, table_name, primary_key_columns AS key, excluded_columns AS excluded, filtered_columns AS filtered
    FROM carbonite_default.triggers ORDER BY id;
CREATE VIEW last AS SELECT op, table_name, table_pk, data, changed FROM carbonite_default.changes ORDER BY id DESC LIMIT 1;
INSERT INTO people VALUES (1, 'Ann', 'secret', 30, 'Rome');

-- renamed columns
ALTER TABLE people RENAME password TO secret;
ALTER TABLE people RENAME age TO years;
ALTER TABLE people RENAME id TO number;
TABLE config;
UPDATE people SET secret = 'other', years = 31;
TABLE last;
-- swapped ones
BEGIN;
ALTER TABLE people RENAME secret TO x;
ALTER TABLE people RENAME name TO secret;
ALTER TABLE people RENAME x TO name;
UPDATE people SET name = 'hidden', secret = 'shown';
TABLE last;
TABLE config;
ROLLBACK;
TABLE config;
UPDATE people SET name = 'Anna', secret = 'hidden again';
TABLE last;
-- a new column under a name that was left is another column
ALTER TABLE people ADD password text DEFAULT 'plain';
UPDATE people SET password = 'plainer';
TABLE last;
SELECT * FROM carbonite_default.changes WHERE data::text ~ 'secret"?: "?(other|hidden)' OR data::text ~ 'hidden';

-- dropped columns: a masked one's entry goes, a key column's is reported
ALTER TABLE people DROP secret;
ALTER TABLE people ADD secret text;
UPDATE people SET secret = 'not configured';
TABLE last;
ALTER TABLE people DROP number;
TABLE config;
UPDATE people SET city = 'Oslo';
TABLE last;
ALTER TABLE people ADD id serial PRIMARY KEY;
SELECT carbonite.configure_trigger('people', primary_key_columns => '{id}');
-- other types
ALTER TABLE people ALTER years TYPE text USING years || ' years', ALTER city TYPE varchar(20);
ALTER TABLE people ALTER id TYPE bigint;
UPDATE people SET city = 'Bergen';
TABLE last;

-- renamed and moved tables
CREATE SCHEMA elsewhere;
ALTER TABLE people RENAME TO persons;
ALTER TABLE persons SET SCHEMA elsewhere;
TABLE config;
ALTER SCHEMA elsewhere RENAME TO abroad;
TABLE config;
UPDATE abroad.persons SET city = 'Paris';
TABLE last;
CREATE TABLE people (LIKE abroad.persons INCLUDING ALL);
SELECT carbonite.install_trigger('people', filtered_columns => '{city}');
INSERT INTO people (name, city) VALUES ('Bob', 'Bonn');
TABLE last;
-- two tables swap their names
ALTER TABLE abroad.persons RENAME CONSTRAINT people_pkey TO persons_pkey;
ALTER SEQUENCE abroad.people_id_seq RENAME TO persons_id_seq;
ALTER TABLE abroad.persons SET SCHEMA public;
BEGIN;
ALTER TABLE people RENAME TO p;
ALTER TABLE persons RENAME TO people;
ALTER TABLE p RENAME TO persons;
COMMIT;
TABLE config;

-- configuration that is written by hand after a rename, for one column only, takes the others along
ALTER TABLE persons RENAME city TO town;
ALTER EVENT TRIGGER carbonite_after_schema_change DISABLE;
ALTER TABLE persons RENAME town TO place;
ALTER TABLE persons RENAME id TO key;
UPDATE persons SET place = 'hidden';
TABLE last;
UPDATE carbonite_default.triggers SET excluded_columns = '{name}' WHERE table_name = 'persons';
TABLE config;
UPDATE persons SET place = 'hidden too';
TABLE last;
ALTER TABLE persons DROP key;
INSERT INTO persons (place) VALUES ('hidden three');
TABLE last;
ALTER EVENT TRIGGER carbonite_after_schema_change ENABLE;
ALTER TABLE persons ADD key serial PRIMARY KEY;
TABLE config;

-- configuration that knows no columns yet, as after a restore, learns them before the first rename
UPDATE carbonite_default.triggers SET primary_key_columns = '{key}' WHERE table_name = 'persons';
ALTER TABLE carbonite_default.triggers DISABLE TRIGGER resolve_table_trigger;
UPDATE carbonite_default.triggers SET known_table = 'of another server', known_columns = '{a,b,c,d,e,f,g,h,i,j}';
ALTER TABLE carbonite_default.triggers ENABLE ALWAYS TRIGGER resolve_table_trigger;
UPDATE persons SET place = 'hidden four';
TABLE last;
ALTER TABLE persons RENAME place TO spot;
UPDATE persons SET spot = 'hidden five';
TABLE last;
TABLE config;

-- dropped tables
DROP TABLE persons;
TABLE config;
SELECT carbonite.configure_schema(keep_dropped_tables => true);
BEGIN;
DROP TABLE people;
TABLE config;
ROLLBACK;
SELECT carbonite.configure_schema(keep_dropped_tables => false);
CREATE SCHEMA temporary;
CREATE TABLE temporary.a (id int PRIMARY KEY);
SELECT carbonite.install_trigger('temporary.a');
BEGIN;
DROP SCHEMA temporary CASCADE;
TABLE config;
ROLLBACK;
TABLE config;
DROP SCHEMA temporary CASCADE;

-- partitions: columns of the root, whatever their numbers are
CREATE TABLE visits (id int, day date, note text, who text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visits_1 (who text, gone int, note text, day date NOT NULL, id int NOT NULL);
ALTER TABLE visits_1 DROP gone;
ALTER TABLE visits ATTACH PARTITION visits_1 FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
SELECT carbonite.install_trigger('visits', filtered_columns => '{who}', excluded_columns => '{note}');
INSERT INTO visits VALUES (1, '2026-02-02', 'a', 'Ann');
ALTER TABLE visits RENAME who TO visitor;
ALTER TABLE visits RENAME note TO remark;
ALTER TABLE visits RENAME id TO number;
UPDATE visits SET visitor = 'Bob', remark = 'b';
TABLE last;
ALTER EVENT TRIGGER carbonite_after_schema_change DISABLE;
ALTER TABLE visits RENAME visitor TO guest;
UPDATE visits SET guest = 'Cid';
TABLE last;
ALTER EVENT TRIGGER carbonite_after_schema_change ENABLE;
CREATE TABLE visits_2 (id int NOT NULL, day date NOT NULL, remark text, guest text);
ALTER TABLE visits_2 RENAME id TO number;
ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
INSERT INTO visits VALUES (2, '2026-08-08', 'c', 'Dan');
TABLE last;
ALTER TABLE visits DETACH PARTITION visits_2;
INSERT INTO visits_2 VALUES (3, '2026-08-08', 'c', 'not recorded');
TABLE last;

-- someone who owns a table but no prefix alters it
CREATE ROLE regress_carbonite_altering;
ALTER TABLE visits OWNER TO regress_carbonite_altering;
ALTER TABLE visits_1 OWNER TO regress_carbonite_altering;
GRANT CREATE ON SCHEMA public TO regress_carbonite_altering;
SET ROLE regress_carbonite_altering;
ALTER TABLE visits RENAME guest TO caller;
DROP TABLE visits;
RESET ROLE;
TABLE config;
REVOKE CREATE ON SCHEMA public FROM regress_carbonite_altering;
DROP ROLE regress_carbonite_altering;

-- the owner of a prefix gains nothing when a superuser alters a table
CREATE ROLE regress_carbonite_owner;
CREATE SCHEMA owned AUTHORIZATION regress_carbonite_owner;
SET ROLE regress_carbonite_owner;
SELECT carbonite.install_schema('auto', carbonite_prefix => 'owned');
CREATE TABLE owned.seen (who name, event text);
CREATE FUNCTION owned.look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO owned.seen VALUES (current_user, TG_OP);
    RETURN coalesce(NEW, OLD);
END
$$;
CREATE TRIGGER a_look BEFORE UPDATE OR DELETE ON owned.triggers FOR EACH ROW EXECUTE FUNCTION owned.look();
RESET ROLE;
CREATE TABLE kept (LIKE people);
GRANT TRIGGER ON kept TO regress_carbonite_owner;
SET ROLE regress_carbonite_owner;
SELECT carbonite.install_trigger('kept', primary_key_columns => '{}', carbonite_prefix => 'owned');
RESET ROLE;
ALTER TABLE kept RENAME city TO town;
ALTER TABLE kept RENAME TO kept_on;
DROP TABLE kept_on;
SELECT DISTINCT who, event FROM owned.seen ORDER BY 1, 2;
-- a prefix that fails stands in the way of tables that it records, and of no other
CREATE TABLE kept (id int, city text);
CREATE TABLE unrelated (LIKE kept);
GRANT TRIGGER ON kept TO regress_carbonite_owner;
SET ROLE regress_carbonite_owner;
SELECT carbonite.install_trigger('kept', primary_key_columns => '{}', carbonite_prefix => 'owned');
CREATE FUNCTION owned.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not with me'; END $$;
CREATE TRIGGER b_fail BEFORE UPDATE OR DELETE ON owned.triggers FOR EACH STATEMENT EXECUTE FUNCTION owned.fail();
RESET ROLE;
ALTER TABLE unrelated RENAME city TO town;
DROP TABLE unrelated;
ALTER TABLE kept RENAME city TO town;
DROP TABLE kept;
DROP TRIGGER b_fail ON owned.triggers;
DROP TABLE kept;
SELECT p.proname, has_function_privilege('regress_carbonite_owner', p.oid, 'execute') FROM pg_proc p WHERE p.proname = '_execute_as';
DROP SCHEMA owned CASCADE;
DROP ROLE regress_carbonite_owner;

-- the prefix goes, and with it the triggers of its tables
DROP SCHEMA carbonite_default CASCADE;
UPDATE people SET city = 'recorded by nobody';
DROP VIEW IF EXISTS config, last;
DROP TABLE people, visits_2;
DROP SCHEMA abroad;
