-- Whatever an INSERT into changes or transactions would do, recording a change does too: indexes,
-- columns, constraints, triggers, rules, row security and partitions that somebody added.
\set SHOW_CONTEXT never
SELECT carbonite.install_schema('auto');
CREATE TABLE rabbits (id int PRIMARY KEY, name text);
SELECT carbonite.install_trigger('rabbits');
INSERT INTO rabbits VALUES (1, 'first');
-- indexes of all kinds are maintained, by sessions that wrote before they were there
CREATE UNIQUE INDEX only_once ON carbonite_default.changes (id, op) INCLUDE (table_name);
CREATE INDEX by_name ON carbonite_default.changes USING hash (table_name);
INSERT INTO rabbits VALUES (2, 'second');
CREATE INDEX by_expression ON carbonite_default.changes ((data ->> 'name'));
CREATE INDEX by_data ON carbonite_default.changes USING gin (data jsonb_path_ops);
CREATE INDEX partial ON carbonite_default.changes (id) WHERE op = 'insert';
CREATE INDEX by_range ON carbonite_default.changes USING brin (id);
INSERT INTO rabbits VALUES (3, 'third');
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT id FROM carbonite_default.changes WHERE data ->> 'name' = 'third';
SELECT count(*) FROM carbonite_default.changes WHERE op = 'insert' AND id > 0;
SET enable_bitmapscan = on;
SET enable_indexscan = off;
SELECT id FROM carbonite_default.changes WHERE data @> '{"name": "third"}';
SELECT id FROM carbonite_default.changes WHERE id = 3;
SELECT id FROM carbonite_default.changes WHERE table_name = 'rabbits' ORDER BY id;
RESET enable_indexscan;
RESET enable_seqscan;
DROP INDEX carbonite_default.by_expression, carbonite_default.by_data, carbonite_default.partial,
    carbonite_default.by_range, carbonite_default.by_name, carbonite_default.only_once;
-- a unique index refuses as it would refuse an INSERT
CREATE UNIQUE INDEX once_per_key ON carbonite_default.changes (table_pk);
UPDATE rabbits SET name = 'again' WHERE id = 1;
DROP INDEX carbonite_default.once_per_key;
UPDATE rabbits SET name = 'again' WHERE id = 1;
-- columns: nullable, with a default, generated, not null
ALTER TABLE carbonite_default.changes ADD note text;
INSERT INTO rabbits VALUES (4, 'nullable');
ALTER TABLE carbonite_default.changes ADD source text DEFAULT 'here', ADD size int GENERATED ALWAYS AS (length(data::text)) STORED;
INSERT INTO rabbits VALUES (5, 'default');
SELECT table_pk, note, source, size > 0 AS has_size FROM carbonite_default.changes ORDER BY id DESC LIMIT 2;
ALTER TABLE carbonite_default.changes ALTER note SET DEFAULT 'x';
ALTER TABLE carbonite_default.changes ADD CONSTRAINT small CHECK (length(data::text) < 100);
\set VERBOSITY terse
INSERT INTO rabbits VALUES (6, repeat('x', 100));
\set VERBOSITY default
INSERT INTO rabbits VALUES (6, 'small');
SELECT table_pk, note, source FROM carbonite_default.changes ORDER BY id DESC LIMIT 1;
ALTER TABLE carbonite_default.changes DROP CONSTRAINT small, DROP note, DROP source, DROP size;
INSERT INTO rabbits VALUES (7, 'dropped columns');
SELECT table_pk, data FROM carbonite_default.changes ORDER BY id DESC LIMIT 1;
-- triggers run, as the owner of changes, with a pinned search_path
CREATE TABLE seen (what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.seen VALUES (TG_WHEN || ' ' || NEW.op || ' as ' || (current_user = session_user)::text
        || ' in ' || current_setting('search_path'));
    RETURN NEW;
END $$;
CREATE TRIGGER see_before BEFORE INSERT ON carbonite_default.changes FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see_after AFTER INSERT ON carbonite_default.changes FOR EACH ROW EXECUTE FUNCTION see();
CREATE ROLE regress_carbonite_app;
GRANT ALL ON rabbits TO regress_carbonite_app;
SET ROLE regress_carbonite_app;
UPDATE rabbits SET name = 'triggers' WHERE id = 7;
SHOW search_path;
SELECT current_user;
RESET ROLE;
SELECT * FROM seen;
DROP TRIGGER see_before ON carbonite_default.changes;
DROP TRIGGER see_after ON carbonite_default.changes;
-- a trigger on transactions is run by auto mode too
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.meta := NEW.meta || '{"stamped": true}';
    RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT ON carbonite_default.transactions FOR EACH ROW EXECUTE FUNCTION stamp();
UPDATE rabbits SET name = 'stamped' WHERE id = 7;
SELECT t.meta, c.data FROM carbonite_default.changes c JOIN carbonite_default.transactions t ON t.id = c.transaction_id ORDER BY c.id DESC LIMIT 1;
DROP TRIGGER stamp ON carbonite_default.transactions;
-- rules
CREATE RULE nothing AS ON INSERT TO carbonite_default.changes DO INSTEAD NOTHING;
UPDATE rabbits SET name = 'lost to a rule' WHERE id = 7;
DROP RULE nothing ON carbonite_default.changes;
SELECT count(*) FROM carbonite_default.changes WHERE data ->> 'name' LIKE 'lost%';
-- row security: the owner is exempt unless it is forced
ALTER TABLE carbonite_default.changes ENABLE ROW LEVEL SECURITY;
SET ROLE regress_carbonite_app;
UPDATE rabbits SET name = 'row security' WHERE id = 7;
RESET ROLE;
SELECT data FROM carbonite_default.changes ORDER BY id DESC LIMIT 1;
ALTER TABLE carbonite_default.changes DISABLE ROW LEVEL SECURITY;
-- a foreign key of the user's own is checked
CREATE TABLE known (name varchar COLLATE "C" PRIMARY KEY);
ALTER TABLE carbonite_default.changes ADD CONSTRAINT known FOREIGN KEY (table_name) REFERENCES known NOT VALID;
UPDATE rabbits SET name = 'unknown' WHERE id = 7;
INSERT INTO known VALUES ('rabbits');
UPDATE rabbits SET name = 'known' WHERE id = 7;
ALTER TABLE carbonite_default.changes DROP CONSTRAINT known;
-- the executor's path and the direct one leave the same rows
SELECT count(*), count(DISTINCT id), bool_and(transaction_id IS NOT NULL) FROM carbonite_default.changes;
-- partitioned changes
ALTER TABLE carbonite_default.changes RENAME TO changes_old;
ALTER INDEX carbonite_default.changes_pkey RENAME TO changes_old_pkey;
CREATE TABLE carbonite_default.changes (LIKE carbonite_default.changes_old INCLUDING DEFAULTS) PARTITION BY RANGE (id);
CREATE TABLE carbonite_default.changes_1 PARTITION OF carbonite_default.changes FOR VALUES FROM (1) TO (25);
CREATE TABLE carbonite_default.changes_2 PARTITION OF carbonite_default.changes DEFAULT;
INSERT INTO rabbits SELECT n, 'partitioned' FROM generate_series(20, 39) n;
SELECT tableoid::regclass::text = 'carbonite_default.changes_1' AS first, count(*) > 0 AS some FROM carbonite_default.changes GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM carbonite_default.changes;
-- a missing part of the prefix is an error that names it, and the write fails whole
ALTER TABLE carbonite_default.changes RENAME data TO image;
INSERT INTO rabbits VALUES (50, 'broken');
ALTER TABLE carbonite_default.changes RENAME image TO data;
ALTER TABLE carbonite_default.triggers RENAME TO triggers_away;
INSERT INTO rabbits VALUES (50, 'broken');
ALTER TABLE carbonite_default.triggers_away RENAME TO triggers;
INSERT INTO rabbits VALUES (50, 'whole');
SELECT count(*) FROM rabbits WHERE id = 50;
SELECT carbonite.drop_schema(cascade => true);
DROP TABLE rabbits, seen, known;
DROP FUNCTION see(), stamp();
DROP ROLE regress_carbonite_app;
