-- PgQ's jsontriga: a row trigger in C that puts the new row as JSON into a queue's table.
CREATE EXTENSION pgq;
SELECT pgq.create_queue('bench');
CREATE TABLE items_pgqj (LIKE source INCLUDING ALL);
CREATE TRIGGER capture AFTER INSERT OR UPDATE OR DELETE ON items_pgqj
    FOR EACH ROW EXECUTE FUNCTION pgq.jsontriga('bench', 'ignore=note');
INSERT INTO contestants (name, title, history, changes)
SELECT 'pgqj', 'PgQ jsontriga', ARRAY[t], t FROM CAST(pgq.current_event_table('bench') AS regclass) AS t;
