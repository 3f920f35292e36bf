-- table_log: a row trigger in C that keeps old and new rows in a table of the same columns.
CREATE EXTENSION table_log;
CREATE TABLE items_tlog (LIKE source INCLUDING ALL);
SELECT table_log_init(5, 'bench', 'items_tlog', 'bench', 'items_tlog_log');
INSERT INTO contestants (name, title, history, changes)
VALUES ('tlog', 'table_log', '{items_tlog_log}', 'items_tlog_log');
