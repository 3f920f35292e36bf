-- What measurements use: the CPU time of this backend, and rows to write.
SET client_min_messages = warning;
CREATE EXTENSION carbonite;
CREATE SCHEMA bench;

-- Nanoseconds of CPU that this backend has used. The kernel adds the current slice when the process
-- leaves the CPU, hence the nap.
CREATE FUNCTION bench.cpu_ns() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ns bigint;
    fields text[];
BEGIN
    PERFORM pg_sleep(0.001);
    ns := split_part(pg_read_file('/proc/self/schedstat', 0, 200, true), ' ', 1);
    IF ns > 0 THEN
        RETURN ns;
    END IF;
    -- after the name in brackets: utime and stime, in hundredths of a second
    fields := string_to_array(substring(pg_read_file('/proc/self/stat', 0, 2000) FROM '.*\) (.*)'), ' ');
    RETURN (fields[12]::bigint + fields[13]::bigint) * 10000000;
END
$$;

-- Microseconds of CPU per row of a statement.
CREATE FUNCTION bench.cost(statement text, rows bigint) RETURNS numeric
LANGUAGE plpgsql AS $$
DECLARE
    cpu bigint := bench.cpu_ns();
BEGIN
    EXECUTE statement;
    RETURN (bench.cpu_ns() - cpu) / 1000.0 / rows;
END
$$;

-- What is written: rows of about 200 bytes.
CREATE TABLE bench.source (
    id bigint PRIMARY KEY,
    token uuid NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    note text NOT NULL,
    price numeric(12, 2) NOT NULL,
    quantity int NOT NULL,
    active boolean NOT NULL,
    updated_at timestamptz NOT NULL,
    tags jsonb NOT NULL
);
CREATE FUNCTION bench.make_rows(first bigint, last bigint) RETURNS SETOF bench.source
LANGUAGE sql AS $$
    SELECT i, md5(i::text)::uuid, 'name ' || md5((i + 1)::text), 'user' || i || '@example.org',
        'note ' || md5((i + 2)::text), (i % 100000) / 100.0, (i % 1000)::int, i % 3 = 0,
        timestamptz '2024-01-01 00:00:00+00' + i * interval '1.234567 seconds',
        jsonb_build_object('size', i % 50, 'color', 'red')
    FROM generate_series(first, last) i
$$;
