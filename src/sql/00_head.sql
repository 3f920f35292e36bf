\echo Use "CREATE EXTENSION carbonite" to load this file. \quit

COMMENT ON SCHEMA carbonite IS
    'carbonite: functions that install, configure and read audit trails';
GRANT USAGE ON SCHEMA carbonite TO PUBLIC;

