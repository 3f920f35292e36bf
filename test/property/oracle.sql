-- An independent witness: a PL/pgSQL trigger that writes down what a change must look like, built
-- from to_jsonb alone, and a generator of random tables and rows of every type.

CREATE SCHEMA oracle;
CREATE TABLE oracle.expected (
    id bigserial PRIMARY KEY,
    op text, table_name text, table_pk varchar[], data jsonb, changed varchar[], changed_from jsonb
);

-- A key as text under fixed settings.
CREATE FUNCTION oracle.key_text(record anyelement, columns text[]) RETURNS varchar[]
LANGUAGE plpgsql
SET DateStyle = 'ISO, MDY' SET TimeZone = 'UTC' SET IntervalStyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = 1 AS $$
DECLARE
    name text;
    value text;
    result varchar[] := '{}';
BEGIN
    FOREACH name IN ARRAY columns LOOP
        EXECUTE format('SELECT ($1).%I::text', name) INTO value USING record;
        result := result || value::varchar;
    END LOOP;
    RETURN result;
END
$$;

-- Trigger arguments: excluded columns, filtered columns, key columns, exact comparison (t or f).
CREATE FUNCTION oracle.observe() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    excluded text[] := TG_ARGV[0];
    filtered text[] := TG_ARGV[1];
    key_columns text[] := TG_ARGV[2];
    old_data jsonb;
    new_data jsonb;
    name text;
    names varchar[] := '{}';
    from_data jsonb := NULL;
    masked text;
BEGIN
    new_data := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END - excluded;
    IF TG_OP = 'UPDATE' THEN
        old_data := to_jsonb(OLD) - excluded;
        from_data := '{}';
        FOR name IN SELECT k FROM jsonb_object_keys(new_data) WITH ORDINALITY AS t (k, n) ORDER BY n LOOP
            IF old_data -> name <> new_data -> name THEN
                names := names || name::varchar;
                from_data := from_data || jsonb_build_object(name, old_data -> name);
            END IF;
        END LOOP;
        IF names = '{}' THEN
            RETURN NULL;
        END IF;
    END IF;
    FOREACH masked IN ARRAY filtered LOOP
        IF new_data ? masked THEN
            new_data := new_data || jsonb_build_object(masked, '[FILTERED]');
        END IF;
        IF from_data ? masked THEN
            from_data := from_data || jsonb_build_object(masked, '[FILTERED]');
        END IF;
    END LOOP;
    INSERT INTO oracle.expected (op, table_name, table_pk, data, changed, changed_from)
    VALUES (lower(TG_OP), TG_TABLE_NAME,
        oracle.key_text(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END, key_columns),
        new_data, names, from_data);
    RETURN NULL;
END
$$;

-- What capture and oracle disagree on, if anything: record_image_eq compares the bytes of the values.
CREATE VIEW oracle.disagreements AS
SELECT e.*, c.op AS got_op, c.table_pk AS got_pk, c.data AS got_data, c.changed AS got_changed,
    c.changed_from AS got_from
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM oracle.expected) e
FULL JOIN (SELECT *, row_number() OVER (ORDER BY id) AS n FROM carbonite_default.changes) c USING (n)
WHERE record_image_eq(
    ROW(e.op, e.table_name::varchar, e.table_pk, e.data, e.changed, e.changed_from),
    ROW(c.op::text, c.table_name, c.table_pk, c.data, c.changed, c.changed_from)
) IS NOT TRUE;

CREATE TYPE oracle.mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE DOMAIN oracle.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN oracle.label AS varchar(40);
CREATE DOMAIN oracle.document AS jsonb;
CREATE DOMAIN oracle.stamps AS timestamptz[];
CREATE TYPE oracle.pair AS (a int, "b c" text, j json, t timestamptz);
CREATE TYPE oracle.nest AS (p oracle.pair, many oracle.pair[], m oracle.mood);

CREATE FUNCTION oracle.any_text(size int) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(string_agg(
        (ARRAY['a', 'Z', ' ', '"', '\', '/', E'\n', E'\t', E'\u0001', 'é', '漢', '😀', '{', ',', ''''])[1 + floor(random() * 15)::int],
        ''), '')
    FROM generate_series(1, floor(random() * size)::int)
$$;

CREATE TABLE oracle.types (type text PRIMARY KEY, value text NOT NULL);
CREATE TABLE oracle.columns (table_name text, column_name text, value text NOT NULL);
INSERT INTO oracle.types VALUES
    ('boolean', 'random() < 0.5'),
    ('smallint', '(random() * 65534 - 32767)::int2'),
    ('integer', '(ARRAY[0, 1, -1, 9999, 10000, -10000, 100000000, 2147483647, -2147483648, (random() * 1e9)::int])[1 + floor(random() * 10)::int]'),
    ('bigint', '(ARRAY[0, 9223372036854775807, -9223372036854775808, 10000000000000000, -120000, (random() * 1e18)::int8])[1 + floor(random() * 6)::int]'),
    ('real', '(ARRAY[0, ''-0''::real, ''NaN'', ''Infinity'', ''-Infinity'', 1e-30, 3.4e38, random()::real])[1 + floor(random() * 8)::int]'),
    ('double precision', '(ARRAY[0, ''-0''::float8, ''NaN'', ''Infinity'', ''-Infinity'', 1e-300, 1.7e308, 0.1, random() * 1e6])[1 + floor(random() * 9)::int]'),
    ('numeric', '(ARRAY[0, 0.0, 1.10, 1.1, -0.000001, 1e100, ''NaN''::numeric, 123456789.987654321, (random() * 1e12)::numeric, 1e-100, 10000, 99990000])[1 + floor(random() * 12)::int]'),
    ('numeric(12,3)', '(random() * 1e8 - 5e7)::numeric(12,3)'),
    ('text', 'oracle.any_text((ARRAY[5, 40, 4000])[1 + floor(random() * 3)::int])'),
    ('varchar(60)', 'left(oracle.any_text(80), 60)'),
    ('char(8)', 'left(oracle.any_text(12), 8)'),
    ('name', '''n'' || floor(random() * 1000)::int'),
    ('"char"', 'chr(33 + floor(random() * 90)::int)::"char"'),
    ('bytea', 'decode(md5(random()::text), ''hex'')'),
    ('date', '(ARRAY[''infinity''::date, ''-infinity'', ''0044-03-15 BC'', current_date + floor(random() * 9999)::int])[1 + floor(random() * 4)::int]'),
    ('time', 'make_time(floor(random() * 24)::int, 5, random() * 59)'),
    ('timetz', '(floor(random() * 24)::int::text || '':05:06.7+05:30'')::timetz'),
    ('timestamp', '(ARRAY[''infinity''::timestamp, ''-infinity'', ''0044-03-15 12:00 BC'', localtimestamp - random() * interval ''9999 days''])[1 + floor(random() * 4)::int]'),
    ('timestamptz', '(ARRAY[''infinity''::timestamptz, ''-infinity'', ''0044-03-15 12:00 BC'', now() - random() * interval ''9999 days''])[1 + floor(random() * 4)::int]'),
    ('interval', 'make_interval(hours => (random() * 1000)::int, secs => random()) + interval ''1 year 2 mons -3 days'''),
    ('uuid', 'md5(random()::text)::uuid'),
    ('json', '(ARRAY[''{"b": 1, "a": {"x": [1.50, null]}, "b": 2}'', ''[1, "\u00e9\n", true]'', ''"s"'', ''null'', '' 1e3 '', ''{}'', ''[]''])[1 + floor(random() * 7)::int]::json'),
    ('jsonb', '(ARRAY[''{"b": 1, "a": {"x": [1.50, null]}, "ccc": [[], {}, [1]]}'', ''[1, "é", true, 12.00]'', ''"s"'', ''null'', ''1e3'', ''false'', ''{}'', ''[]'', ''""''])[1 + floor(random() * 9)::int]::jsonb'),
    ('inet', '(''10.0.0.'' || floor(random() * 255)::int || (ARRAY['''', ''/24''])[1 + floor(random() * 2)::int])::inet'),
    ('cidr', '''10.1.0.0/16''::cidr'),
    ('macaddr', '''08:00:2b:01:02:03''::macaddr'),
    ('bit(5)', '(floor(random() * 31)::int)::bit(5)'),
    ('varbit', '(floor(random() * 31)::int)::bit(7)::varbit'),
    ('money', '(random() * 1000)::numeric::money'),
    ('point', 'point(random(), 1e20)'),
    ('box', 'box(point(0, 0), point(random(), 2))'),
    ('circle', 'circle(point(0, 0), random())'),
    ('path', 'path(''[(0,0),(1,1),(2,0)]'')'),
    ('tsvector', 'to_tsvector(''simple'', ''the quick '' || floor(random() * 9)::int)'),
    ('tsquery', '''a & !b''::tsquery'),
    ('pg_lsn', '(''0/'' || to_hex(floor(random() * 1e9)::int))::pg_lsn'),
    ('oid', 'floor(random() * 4e9)::int8::oid'),
    ('xid8', '(floor(random() * 1e15)::int8::text)::xid8'),
    ('regclass', '''pg_class''::regclass'),
    ('int4range', 'int4range(1, 2 + floor(random() * 9)::int)'),
    ('tstzrange', 'tstzrange(now() - random() * interval ''99 days'', now())'),
    ('integer[]', '(CASE WHEN random() < 0.2 THEN ''[0:1]={4,5}'' WHEN random() < 0.4 THEN ''{{1,2},{3,4}}'' WHEN random() < 0.5 THEN ''{}'' ELSE ''{1,NULL,'' || floor(random() * 9)::int || ''}'' END)::int[]'),
    ('text[]', 'ARRAY[oracle.any_text(9), NULL, ''NULL'', '''']'),
    ('numeric[]', '''{1.50,NaN}''::numeric[] || (random())::numeric'),
    ('timestamptz[]', 'ARRAY[now(), now() - random() * interval ''99 days'']'),
    ('jsonb[]', 'ARRAY[''{"a": 1}''::jsonb, ''null'', NULL]'),
    ('oracle.mood', '(enum_range(NULL::oracle.mood))[1 + floor(random() * 3)::int]'),
    ('oracle.mood[]', 'enum_range(NULL::oracle.mood)'),
    ('oracle.positive', '1 + floor(random() * 99)::int'),
    ('oracle.label', 'left(oracle.any_text(40), 40)'),
    ('oracle.document', '''{"k": [1, 2.0]}''::jsonb'),
    ('oracle.stamps', 'ARRAY[now()]'),
    ('oracle.pair', 'ROW(1, oracle.any_text(9), ''{"z": 1, "z": 2}'', now())::oracle.pair'),
    ('oracle.nest', 'ROW(ROW(1, ''x'', NULL, NULL), ARRAY[ROW(2, NULL, ''[1]'', now())::oracle.pair], ''ok'')::oracle.nest');

-- Types that a server may lack.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 140000 THEN
        INSERT INTO oracle.types VALUES
            ('int4multirange', '''{[1,3),[5,8)}''::int4multirange'),
            ('numeric(40,5)', '(ARRAY[''Infinity'', ''1.5'', ''-1e20''])[2 + floor(random() * 2)::int]::numeric(40,5)');
        UPDATE oracle.types SET value = replace(value, 'NaN''::numeric', 'NaN''::numeric, ''Infinity'', ''-Infinity''')
        WHERE type = 'numeric';
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hstore') THEN
        CREATE EXTENSION hstore;
        INSERT INTO oracle.types VALUES
            ('hstore', '(''a=>1, "b c"=>NULL, d=>'' || floor(random() * 9)::int)::hstore'),
            ('hstore[]', 'ARRAY[''a=>1''::hstore]');
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'citext') THEN
        CREATE EXTENSION citext;
        INSERT INTO oracle.types VALUES ('citext', 'oracle.any_text(20)::citext');
    END IF;
    BEGIN
        PERFORM '<a>1</a>'::xml;
        INSERT INTO oracle.types VALUES ('xml', '''<a>1</a>''::xml');
    EXCEPTION WHEN feature_not_supported THEN
        NULL;
    END;
END
$$;

-- Creates a random table of `width` columns of random types, audited by both.
CREATE FUNCTION oracle.create_table(name text, width int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns text := '';
    names text[] := '{}';
    column_name text;
    picked record;
    excluded text[];
    filtered text[];
    key_columns text[] := '{id}';
BEGIN
    FOR i IN 1 .. width LOOP
        SELECT * INTO picked FROM oracle.types ORDER BY random() LIMIT 1;
        column_name := (ARRAY['c', 'col ', 'a,b ', 'q"', 'back\', 'é', '{x}', 'Upper', ''''])[1 + floor(random() * 9)::int] || i;
        names := names || column_name;
        columns := columns || format(', %I %s', column_name, picked.type);
        INSERT INTO oracle.columns VALUES (name, column_name, format('(%s)::%s', picked.value, picked.type));
    END LOOP;
    -- A dropped column and one added with a default must not shift anything.
    EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, gone text, total int GENERATED ALWAYS AS (id * 2) STORED%s)', name, columns);
    EXECUTE format('INSERT INTO %I (id) VALUES (0)', name);
    EXECUTE format('ALTER TABLE %I DROP COLUMN gone', name);
    EXECUTE format('ALTER TABLE %I ADD COLUMN late text DEFAULT ''filled in''', name);
    excluded := ARRAY(SELECT n FROM unnest(names) n WHERE random() < 0.1);
    filtered := ARRAY(SELECT n FROM unnest(names) n WHERE random() < 0.1);
    key_columns := key_columns || ARRAY(SELECT n FROM unnest(names) n WHERE random() < 2.0 / width LIMIT 4);
    -- Keys that are filtered or abbreviated have tests of their own.
    key_columns := ARRAY(
        SELECT k FROM unnest(key_columns) k
        WHERE k <> ALL (filtered)
            AND NOT EXISTS (SELECT FROM oracle.columns c WHERE c.table_name = name AND c.column_name = k AND c.value LIKE '%4000%'));
    EXECUTE format('CREATE TRIGGER a_oracle AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION oracle.observe(%L, %L, %L)',
        name, excluded, filtered, key_columns);
    PERFORM carbonite.install_trigger(quote_ident(name)::regclass, primary_key_columns => key_columns,
        excluded_columns => excluded, filtered_columns => filtered, store_changed_from => true);
END
$$;

-- Inserts rows, changes some columns of some rows, deletes some.
CREATE FUNCTION oracle.disturb(name text, rows int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    columns text;
    vals text;
    sets text;
BEGIN
    FOR i IN 1 .. rows LOOP
        SELECT string_agg(quote_ident(column_name), ', '),
            string_agg(CASE WHEN random() < 0.15 THEN 'NULL' ELSE value END, ', ')
        INTO columns, vals
        FROM oracle.columns WHERE table_name = name;
        EXECUTE format('INSERT INTO %I (id, %s) VALUES (%s, %s)', name, columns, i, vals);
    END LOOP;
    FOR i IN 0 .. rows LOOP
        SELECT string_agg(format('%I = %s', column_name, CASE WHEN random() < 0.15 THEN 'NULL' ELSE value END), ', ')
        INTO sets
        FROM oracle.columns WHERE table_name = name AND random() < 0.3;
        EXECUTE format('UPDATE %I SET %s WHERE id = %s', name, coalesce(sets, 'late = late'), i);
        IF random() < 0.2 THEN
            EXECUTE format('UPDATE %I SET id = -id, late = NULL WHERE id = %s AND id > 0', name, i);
        END IF;
    END LOOP;
    EXECUTE format('UPDATE %I SET late = late', name);
    EXECUTE format('DELETE FROM %I WHERE id %% 3 = 0', name);
END
$$;
