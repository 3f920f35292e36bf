-- Transactions of one change each, recorded by capture, sealed, verified and purged.
SET client_min_messages = warning;
CREATE EXTENSION carbonite;
SELECT carbonite.install_schema('auto');
CREATE SCHEMA bench;
CREATE TABLE bench.items (id int PRIMARY KEY, token text, name text, note text);
SELECT carbonite.install_trigger('bench.items');
CREATE TABLE bench.steps (position serial, step text, us numeric);

CREATE PROCEDURE bench.record(transactions int) LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := clock_timestamp();
BEGIN
    FOR n IN 1 .. transactions LOOP
        INSERT INTO bench.items VALUES (n, md5(n::text), 'item ' || n, repeat('x', 100));
        COMMIT;
    END LOOP;
    INSERT INTO bench.steps (step, us) VALUES ('record', extract(epoch FROM clock_timestamp() - started) * 1000000);
END $$;
CREATE PROCEDURE bench.step(name text, statement text) LANGUAGE plpgsql AS $$
DECLARE
    started timestamptz := clock_timestamp();
BEGIN
    EXECUTE statement;
    INSERT INTO bench.steps (step, us) VALUES (name, extract(epoch FROM clock_timestamp() - started) * 1000000);
END $$;

CALL bench.record(:transactions);
VACUUM ANALYZE carbonite_default.transactions;
VACUUM ANALYZE carbonite_default.changes;
CALL bench.step('seal', 'SELECT carbonite.seal()');
CREATE TABLE bench.size AS
    SELECT round(pg_total_relation_size('carbonite_default.seals') / :transactions::numeric, 1) AS "bytes a transaction in seals",
        round(pg_total_relation_size('carbonite_default.changes') / :transactions::numeric, 1) AS "in changes";
CALL bench.step('seal, nothing new', 'SELECT carbonite.seal()');
CALL bench.step('verify', 'SELECT carbonite.verify()');
CALL bench.step('purge', $$SELECT carbonite.purge('0')$$);
