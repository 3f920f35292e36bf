-- Applies the records of a stream to a copy of the tables that it tells of, from the records alone. Nothing of the
-- extension is needed. Used by the tests of streams.
CREATE SCHEMA replay;

-- What has arrived, in this order.
CREATE TABLE replay.records (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, line text);
-- What waits for the end of its transaction.
CREATE TABLE replay.held (n bigint PRIMARY KEY, xid bigint, subxid bigint, r jsonb);
CREATE INDEX ON replay.held (xid);
-- Transactions that have ended: after an interruption they may come again.
CREATE TABLE replay.ended (xid bigint PRIMARY KEY);
CREATE TABLE replay.faults (n bigint, fault text);
-- What is asked of the catalog once for each table.
CREATE TABLE replay.shapes (schema text, name text, is_full boolean, columns text[], keyed text, insertion text, deletion text, whole text,
	PRIMARY KEY (schema, name));

CREATE FUNCTION replay.shape(schema text, name text) RETURNS replay.shapes LANGUAGE plpgsql AS $$
DECLARE
	t regclass := format('%I.%I', schema, name);
	identity "char" := (SELECT relreplident FROM pg_class WHERE oid = t);
	s replay.shapes;
	names text;
	index int2vector;
BEGIN
	SELECT * INTO s FROM replay.shapes x WHERE x.schema = $1 AND x.name = $2;
	IF FOUND THEN
		RETURN s;
	END IF;
	SELECT array_agg(attname ORDER BY attnum), string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attgenerated = '')
		INTO s.columns, names
		FROM pg_attribute WHERE attrelid = t AND attnum > 0 AND NOT attisdropped;
	SELECT indkey INTO index FROM pg_index
		WHERE indrelid = t AND (indisprimary OR indisreplident) ORDER BY indisprimary DESC LIMIT 1;
	SELECT string_agg(format('x.%I = ($2 ->> %s)::%s', a.attname, i.place - 1, format_type(a.atttypid, a.atttypmod)), ' AND ')
		INTO s.keyed
		FROM unnest(index) WITH ORDINALITY i (attnum, place) JOIN pg_attribute a ON a.attrelid = t AND a.attnum = i.attnum;
	s.schema := schema;
	s.name := name;
	s.is_full := identity = 'f';
	s.insertion := format('INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM jsonb_populate_record(null::%1$s, $1)', t, names);
	-- a row that has no key is one of those that look like it
	s.whole := format('x.ctid = (SELECT y.ctid FROM %1$s y WHERE y::text = jsonb_populate_record(null::%1$s, $2)::text LIMIT 1)', t);
	s.deletion := format('DELETE FROM %s x WHERE ', t);
	INSERT INTO replay.shapes VALUES (s.*);
	RETURN s;
END
$$;

CREATE FUNCTION replay.fault(n bigint, fault text) RETURNS void LANGUAGE sql AS 'INSERT INTO replay.faults VALUES (n, fault)';

-- What an update says of the row before it must be true of the copy.
CREATE FUNCTION replay.check_old(n bigint, r jsonb, s replay.shapes, condition text, key jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t text := format('%I.%I', s.schema, s.name);
	wrong text;
BEGIN
	EXECUTE format($q$SELECT string_agg(format('%%s was %%s', col, before.row ->> col), ', ')
		FROM %1$s x, to_jsonb(x) AS before (row), to_jsonb(jsonb_populate_record(x, $1)) AS told (row), unnest($3) col
		WHERE %2$s AND before.row -> col IS DISTINCT FROM told.row -> col$q$, t, condition)
		INTO wrong USING (r -> 'data') || (r -> 'old'), key, CASE WHEN s.is_full THEN s.columns ELSE ARRAY(SELECT jsonb_object_keys(r -> 'old')) END;
	IF wrong IS NOT NULL THEN
		PERFORM replay.fault(n, 'old values: ' || wrong);
	END IF;
	IF s.is_full AND r -> 'changed' IS DISTINCT FROM
			(SELECT coalesce(jsonb_agg(c), '[]') FROM unnest(s.columns) c WHERE (r -> 'old') ? c) THEN
		PERFORM replay.fault(n, 'columns that changed');
	END IF;
END
$$;

CREATE FUNCTION replay.change(n bigint, r jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	s replay.shapes := replay.shape(r ->> 'schema', r ->> 'table');
	data jsonb := r -> 'data';
	key jsonb := coalesce(r -> 'old_key', nullif(r -> 'key', 'null'), data || coalesce(r -> 'old', '{}'));
	condition text := CASE jsonb_typeof(key) WHEN 'array' THEN s.keyed ELSE s.whole END;
	changes text;
	touched bigint;
BEGIN
	IF r ?| '{failed,omitted,withheld}' THEN
		PERFORM replay.fault(n, 'something is missing');
	ELSIF r ->> 'op' <> 'delete' AND s.columns IS DISTINCT FROM ARRAY(
			SELECT c FROM unnest(s.columns) c WHERE data ? c OR coalesce(r -> 'unchanged', '[]') ? c) THEN
		PERFORM replay.fault(n, 'columns');
	END IF;
	IF r ->> 'op' = 'insert' THEN
		EXECUTE s.insertion USING data;
	ELSIF r ->> 'op' = 'delete' THEN
		EXECUTE s.deletion || condition USING data, key;
	ELSE
		IF r ? 'old' THEN
			PERFORM replay.check_old(n, r, s, condition, key);
		END IF;
		SELECT string_agg(quote_ident(c), ', ') INTO changes
			FROM unnest(s.columns) c
			WHERE data ? c AND c NOT IN (SELECT attname FROM pg_attribute WHERE attrelid = format('%I.%I', s.schema, s.name)::regclass AND attgenerated <> '');
		EXECUTE format('UPDATE %1$I.%2$I x SET (%3$s) = (SELECT %3$s FROM jsonb_populate_record(null::%1$I.%2$I, $1)) WHERE %4$s',
			s.schema, s.name, changes, condition) USING data, key;
	END IF;
	GET DIAGNOSTICS touched = ROW_COUNT;
	IF touched <> 1 THEN
		PERFORM replay.fault(n, format('%s rows: %s', touched, r));
	END IF;
END
$$;

CREATE FUNCTION replay.apply(n bigint, r jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF r ->> 'kind' = 'change' THEN
		PERFORM replay.change(n, r);
	ELSIF r ->> 'kind' = 'truncate' THEN
		EXECUTE format('TRUNCATE %I.%I', r ->> 'schema', r ->> 'table');
	ELSIF r ->> 'kind' = 'ddl' OR r ->> 'prefix' = 'ddl' THEN
		EXECUTE coalesce(r -> 'details' ->> 'statement', r ->> 'content');
		DELETE FROM replay.shapes;
	ELSIF r ->> 'kind' <> 'message' THEN
		PERFORM replay.fault(n, 'unknown kind');
	END IF;
EXCEPTION WHEN others THEN
	PERFORM replay.fault(n, format('%s %s', sqlerrm, left(r::text, 500)));
END
$$;

-- The end of a transaction: what it did is done, or forgotten.
CREATE FUNCTION replay.finish(x bigint, done boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF done THEN
		PERFORM replay.apply(h.n, h.r) FROM (SELECT n, r FROM replay.held WHERE xid = x ORDER BY n) h;
	END IF;
	DELETE FROM replay.held WHERE xid = x;
	INSERT INTO replay.ended VALUES (x);
END
$$;

CREATE FUNCTION replay.run() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	record record;
	what jsonb;
	x bigint;
BEGIN
	FOR record IN SELECT * FROM replay.records ORDER BY n LOOP
		what := record.line::jsonb;
		x := (what ->> 'xid')::bigint;
		CONTINUE WHEN EXISTS (SELECT FROM replay.ended WHERE xid = x);
		CASE what ->> 'kind'
			WHEN 'begin' THEN DELETE FROM replay.held WHERE xid = x;
			WHEN 'commit' THEN PERFORM replay.finish(x, true);
			WHEN 'commit_prepared' THEN PERFORM replay.finish(x, true);
			WHEN 'rollback_prepared' THEN PERFORM replay.finish(x, false);
			WHEN 'prepare' THEN NULL;
			WHEN 'abort' THEN
				IF what ? 'subxid' THEN
					DELETE FROM replay.held WHERE xid = x AND subxid = (what ->> 'subxid')::bigint;
				ELSE
					PERFORM replay.finish(x, false);
				END IF;
			ELSE
				IF x IS NOT NULL THEN
					INSERT INTO replay.held VALUES (record.n, x, (what ->> 'subxid')::bigint, what);
				END IF;
		END CASE;
	END LOOP;
END
$$;
