-- Evidence that what was recorded is what is there. <prefix>.seals is a chain: each entry holds digests of transactions
-- and the digest of the entry before. Kinds of entries: seal (transactions as they were found), erasure (what is left of
-- transactions that were redacted) and purge (transactions that were deleted).

CREATE FUNCTION carbonite._create_seals(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $create$
BEGIN
    EXECUTE replace($ddl$
        CREATE TABLE IF NOT EXISTS PREFIX.seals (
            id bigint CONSTRAINT seals_pkey PRIMARY KEY,
            kind text NOT NULL CONSTRAINT seals_kind CHECK (kind IN ('seal', 'erasure', 'purge')),
            inserted_at timestamp NOT NULL,
            role text NOT NULL,
            lowest_id bigint,
            highest_id bigint,
            transaction_ids bigint[] NOT NULL,
            digests bytea[] NOT NULL,
            details jsonb NOT NULL,
            last_id bigint NOT NULL,
            next_xid xid8 NOT NULL,
            system text NOT NULL,
            complete_to bigint NOT NULL,
            previous bytea NOT NULL,
            head bytea NOT NULL
        );
        COMMENT ON TABLE PREFIX.seals IS 'the chain of digests that carbonite.verify() checks transactions against';
        COMMENT ON COLUMN PREFIX.seals.id IS '1, 2, 3 and so on, without a gap';
        COMMENT ON COLUMN PREFIX.seals.kind IS 'seal, erasure or purge';
        COMMENT ON COLUMN PREFIX.seals.inserted_at IS 'when, in UTC';
        COMMENT ON COLUMN PREFIX.seals.role IS 'by whom';
        COMMENT ON COLUMN PREFIX.seals.lowest_id IS 'the first of transaction_ids';
        COMMENT ON COLUMN PREFIX.seals.highest_id IS 'the last of transaction_ids';
        COMMENT ON COLUMN PREFIX.seals.transaction_ids IS 'transactions, in the order of their ids';
        COMMENT ON COLUMN PREFIX.seals.digests IS 'the digest of each, from now on; none of purged ones';
        COMMENT ON COLUMN PREFIX.seals.details IS 'of an erasure: table, key, columns and how many changes';
        COMMENT ON COLUMN PREFIX.seals.last_id IS 'ids up to here were drawn by transactions below next_xid';
        COMMENT ON COLUMN PREFIX.seals.next_xid IS 'the xid that was the next one to be assigned';
        COMMENT ON COLUMN PREFIX.seals.system IS 'the server, whose xids these are';
        COMMENT ON COLUMN PREFIX.seals.complete_to IS 'transactions with ids up to here are all in the chain';
        COMMENT ON COLUMN PREFIX.seals.previous IS 'the head of the entry before';
        COMMENT ON COLUMN PREFIX.seals.head IS 'SHA-256 of everything else in this row';
    $ddl$, 'PREFIX', quote_ident(carbonite_prefix));
END
$create$;
COMMENT ON FUNCTION carbonite._create_seals(text) IS 'internal: creates the chain of a prefix, unless it is there';

CREATE FUNCTION carbonite._text_digest(content text) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT sha256(convert_to(content, CASE getdatabaseencoding() WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END))
$$;
COMMENT ON FUNCTION carbonite._text_digest(text) IS 'internal: SHA-256 of a text, the same in every encoding';

-- The digest of a transaction: of its row and of its changes, in the order of their ids.
CREATE FUNCTION carbonite._digests(ids bigint[], carbonite_prefix text)
RETURNS TABLE (id bigint, digest bytea)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT t.id, sha256(
             carbonite._text_digest(jsonb_build_array(t.id, t.xact_id::text, t.meta, t.inserted_at)::text)
             || coalesce(c.digests, ''''))
         FROM %1$I.transactions t
         LEFT JOIN (
             SELECT c.transaction_id, string_agg(carbonite._text_digest(jsonb_build_array(
                 c.id, c.transaction_xact_id::text, c.op::text, c.table_prefix, c.table_name, c.table_pk,
                 encode(carbonite._text_digest(c.data::text), ''hex''), c.changed, c.transaction_id,
                 encode(carbonite._text_digest(c.changed_from::text), ''hex''), c.data_is_partial, c.command)::text), ''''
                 ORDER BY c.id) AS digests
             FROM %1$I.changes c
             %2$s
             GROUP BY c.transaction_id
         ) c ON c.transaction_id = t.id
         %3$s', carbonite_prefix,
        CASE WHEN ids IS NOT NULL THEN 'WHERE c.transaction_id = ANY ($1)' END,
        CASE WHEN ids IS NOT NULL THEN 'WHERE t.id = ANY ($1)' END)
        USING ids;
END
$$;
COMMENT ON FUNCTION carbonite._digests(bigint[], text) IS
    'internal: digests of transactions as they are now; of all of them if ids is null';

-- What the chain says of transactions, given in order: the last entry that names one counts. A null digest: it was
-- purged.
CREATE FUNCTION carbonite._sealed(ids bigint[], carbonite_prefix text)
RETURNS TABLE (id bigint, digest bytea, seal_id bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT DISTINCT ON (e.id) e.id, e.digest, s.id
         FROM %I.seals s, unnest(s.transaction_ids, s.digests) AS e (id, digest)
         %s
         ORDER BY e.id, s.id DESC', carbonite_prefix,
        CASE WHEN ids IS NOT NULL THEN 'WHERE s.lowest_id <= $1[cardinality($1)] AND s.highest_id >= $1[1] AND e.id = ANY ($1)' END)
        USING ids;
END
$$;
COMMENT ON FUNCTION carbonite._sealed(bigint[], text) IS
    'internal: digests of transactions as the chain has them; of all of them if ids is null';

-- The head of an entry whose other columns are given.
CREATE FUNCTION carbonite._head(entry jsonb) RETURNS bytea
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT carbonite._text_digest(jsonb_object_agg(e.key, e.value)::text)
    FROM jsonb_each(entry) e
    WHERE e.key IN ('id', 'kind', 'inserted_at', 'role', 'lowest_id', 'highest_id', 'transaction_ids', 'digests', 'details',
        'last_id', 'next_xid', 'system', 'complete_to', 'previous')
$$;
COMMENT ON FUNCTION carbonite._head(jsonb) IS 'internal: the digest of an entry of the chain';

-- Appends an entry. The primary key refuses one of two that were made at the same time.
CREATE FUNCTION carbonite._append_seal(kind text, transaction_ids bigint[], digests bytea[], details jsonb, last_id bigint, next_xid xid8, complete_to bigint, carbonite_prefix text)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET bytea_output = hex AS $$
DECLARE
    entry jsonb;
BEGIN
    EXECUTE format(
        'SELECT to_jsonb(e) FROM (SELECT coalesce(max(s.id), 0) + 1 AS id, $1 AS kind,
             clock_timestamp() AT TIME ZONE ''UTC'' AS inserted_at, session_user::text AS role,
             $2[1] AS lowest_id, $2[cardinality($2)] AS highest_id, $2 AS transaction_ids, $3 AS digests, $4 AS details,
             coalesce($5, max(s.last_id), 0) AS last_id, coalesce($6, max(s.next_xid::text::numeric)::text::xid8, ''0'') AS next_xid,
             (SELECT c.system_identifier::text FROM pg_control_system() c) AS system,
             coalesce($7, max(s.complete_to), 0) AS complete_to,
             coalesce((SELECT l.head FROM %1$I.seals l ORDER BY l.id DESC LIMIT 1), '''') AS previous
         FROM %1$I.seals s) e', carbonite_prefix)
        INTO entry
        USING kind, transaction_ids, digests, details, last_id, next_xid, complete_to;
    EXECUTE format('INSERT INTO %1$I.seals SELECT (jsonb_populate_record(NULL::%1$I.seals, $1)).*', carbonite_prefix)
        USING entry || jsonb_build_object('head', carbonite._head(entry));
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'carbonite prefix "%" was sealed, purged or erased from at the same time', carbonite_prefix
        USING ERRCODE = 'serialization_failure', HINT = 'Try again.';
END
$$;
COMMENT ON FUNCTION carbonite._append_seal(text, bigint[], bytea[], jsonb, bigint, xid8, bigint, text) IS
    'internal: appends an entry to the chain of a prefix';

-- Entries of the chain are made by its owner only. What others may ask for is checked before.
CREATE FUNCTION carbonite._seal_as_owner(carbonite_prefix text) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'carbonite_seal_as_owner';
COMMENT ON FUNCTION carbonite._seal_as_owner(text) IS
    'internal: calls carbonite._seal() as the owner of a prefix; raises 42501 unless the caller owns it or is an auditor';

CREATE FUNCTION carbonite.seal(carbonite_prefix text DEFAULT 'carbonite_default') RETURNS bytea
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    result bytea;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    PERFORM carbonite._seal_as_owner(carbonite_prefix);
    EXECUTE format('SELECT s.head FROM %I.seals s ORDER BY s.id DESC LIMIT 1', carbonite_prefix) INTO result;
    RETURN result;
END
$$;
COMMENT ON FUNCTION carbonite.seal(text) IS
    'Takes digests of the transactions that have ended since the last seal into the chain <prefix>.seals, and returns '
    'its head, which may be published. Writers do not wait. Needs ownership of the '
    'prefix, or grant_auditor(). Errors: 3F000 no such prefix; 42501; 25000 in another isolation level '
    'than read committed; 40001 if others seal at the same time. In a transaction that has written before it cannot tell '
    'which transactions are still to come, and leaves it to the next seal to make sure that none is missing. Example: SELECT encode(carbonite.seal(), ''hex'')';

CREATE FUNCTION carbonite._seal(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    per_entry CONSTANT integer := 10000;
    in_own_transaction CONSTANT boolean := pg_current_xact_id_if_assigned() IS NULL;
    last_drawn bigint := 0;
    next_xid xid8 := '0';
    oldest_xid xid8;
    complete_before bigint;
    complete_to bigint;
    ids bigint[];
    sealed_ids bigint[];
    sealed_digests bytea[];
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'carbonite.seal() needs the isolation level read committed' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    -- In this order, with a snapshot each: who drew an id so far has an xid below the one that is assigned now, and
    -- transactions below oldest_xid have ended before their rows are read.
    IF in_own_transaction THEN
        EXECUTE format('SELECT s.last_value FROM %I.transactions_id_seq s', carbonite_prefix) INTO last_drawn;
        next_xid := pg_current_xact_id();
    END IF;
    oldest_xid := pg_snapshot_xmin(pg_current_snapshot());
    EXECUTE format(
        'SELECT coalesce((SELECT s.complete_to FROM %1$I.seals s ORDER BY s.id DESC LIMIT 1), 0),
             greatest(CASE WHEN $1 <= $2 THEN $3 ELSE 0 END, (
                 SELECT coalesce(max(s.last_id), 0)
                 FROM %1$I.seals s
                 WHERE s.next_xid <= $2 OR s.system <> (SELECT c.system_identifier::text FROM pg_control_system() c)
             ))', carbonite_prefix)
        INTO complete_before, complete_to
        USING next_xid, oldest_xid, last_drawn;
    complete_to := greatest(complete_to, complete_before);
    EXECUTE format(
        'SELECT coalesce(array_agg(t.id ORDER BY t.id), ''{}'')
         FROM %1$I.transactions t
         WHERE t.id > $1 AND t.xact_id IS DISTINCT FROM pg_current_xact_id_if_assigned()
             AND NOT EXISTS (
                 SELECT
                 FROM %1$I.seals s, unnest(s.transaction_ids) AS known (id)
                 WHERE s.highest_id > $1 AND known.id = t.id
             )', carbonite_prefix)
        INTO ids
        USING complete_before;
    LOOP
        EXECUTE 'SELECT coalesce(array_agg(d.id ORDER BY d.id), ''{}''), coalesce(array_agg(d.digest ORDER BY d.id), ''{}'')
                 FROM carbonite._digests($1, $2) d'
            INTO sealed_ids, sealed_digests
            USING ids[:per_entry], carbonite_prefix;
        ids := ids[per_entry + 1:];
        PERFORM carbonite._append_seal('seal', sealed_ids, sealed_digests, '{}', last_drawn, next_xid,
            CASE WHEN cardinality(ids) = 0 THEN complete_to ELSE complete_before END, carbonite_prefix);
        EXIT WHEN cardinality(ids) = 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION carbonite._seal(text) IS 'internal: appends what is new to the chain of a prefix';

CREATE FUNCTION carbonite._broken_link(carbonite_prefix text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET bytea_output = hex AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE format(
        'SELECT c.id FROM (
             SELECT s.id, row_number() OVER chain AS position, s.head, s.previous,
                 coalesce(lag(s.head) OVER chain, '''') AS expected, carbonite._head(to_jsonb(s)) AS digest
             FROM %I.seals s
             WINDOW chain AS (ORDER BY s.id)
         ) c
         WHERE c.id <> c.position OR c.previous <> c.expected OR c.head <> c.digest
         ORDER BY c.id LIMIT 1', carbonite_prefix)
        INTO result;
    RETURN result;
END
$$;
COMMENT ON FUNCTION carbonite._broken_link(text) IS
    'internal: the first entry of the chain that is not as it was made, or does not follow the one before';

-- What is sealed once is not sealed again, which would cover up a change of it.
CREATE FUNCTION carbonite._false_seal(carbonite_prefix text) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE format(
        'WITH chain AS (
             SELECT s.id, s.kind, s.lowest_id, s.transaction_ids, s.complete_to,
                 coalesce(lag(s.complete_to) OVER (ORDER BY s.id), 0) AS complete_before
             FROM %I.seals s
         )
         SELECT min(f.id) FROM (
             SELECT c.id FROM chain c
             WHERE c.complete_to < c.complete_before OR c.kind = ''seal'' AND c.lowest_id <= c.complete_before
             UNION ALL
             SELECT e.seal_id FROM (
                 SELECT c.id AS seal_id, c.kind, row_number() OVER (PARTITION BY t.id ORDER BY c.id) AS position
                 FROM chain c, unnest(c.transaction_ids) AS t (id)
             ) e
             WHERE (e.kind = ''seal'') <> (e.position = 1)
         ) f', carbonite_prefix)
        INTO result;
    RETURN result;
END
$$;
COMMENT ON FUNCTION carbonite._false_seal(text) IS
    'internal: the first entry of the chain that carbonite would not have made';

CREATE FUNCTION carbonite.verify(
    head bytea DEFAULT NULL,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS TABLE (is_intact boolean, problem text, transaction_id bigint, seal_id bigint, transactions bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known boolean;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    seal_id := coalesce(carbonite._broken_link(carbonite_prefix), carbonite._false_seal(carbonite_prefix));
    IF seal_id IS NOT NULL THEN
        problem := 'chain broken';
    ELSIF head IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.seals s WHERE s.head = $1)', carbonite_prefix) INTO known USING head;
        problem := CASE WHEN NOT known THEN 'head unknown' END;
    END IF;
    IF problem IS NULL THEN
        EXECUTE format(
            'SELECT CASE WHEN found.digest IS NULL THEN ''removed'' WHEN sealed.digest IS NULL THEN ''added'' ELSE ''changed'' END,
                 coalesce(sealed.id, found.id), sealed.seal_id
             FROM carbonite._sealed(NULL, $1) sealed
             FULL JOIN carbonite._digests(NULL, $1) found ON found.id = sealed.id
             WHERE found.digest IS DISTINCT FROM sealed.digest
                 AND (sealed.id IS NOT NULL OR found.id <= (SELECT s.complete_to FROM %I.seals s ORDER BY s.id DESC LIMIT 1))
             ORDER BY 2 LIMIT 1', carbonite_prefix)
            INTO problem, transaction_id, seal_id
            USING carbonite_prefix;
    END IF;
    is_intact := problem IS NULL;
    SELECT count(*) INTO transactions FROM carbonite._sealed(NULL, carbonite_prefix) s WHERE s.digest IS NOT NULL;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION carbonite.verify(bytea, text) IS
    'Compares a prefix with its chain of seals: one row that tells whether it is intact, else the first transaction '
    'that was changed, removed or added, or the entry of seals where the chain is broken, and how many transactions the '
    'chain holds. head: one that seal() returned once; the chain must have it (problem: head unknown). Needs SELECT on '
    'transactions, changes and seals. Errors: 3F000 no such prefix; 42501. Example: SELECT * FROM carbonite.verify()';

-- What happens to transactions of the chain from here on gets an entry; but nothing may be covered up by that.
CREATE FUNCTION carbonite._require_chain(carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    broken bigint := carbonite._broken_link(carbonite_prefix);
BEGIN
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'carbonite prefix "%" is not as it was sealed', carbonite_prefix
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('The chain is broken at entry %s.', broken),
                HINT = 'See carbonite.verify().';
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._require_chain(text) IS 'internal: raises 55000 if the chain is broken';

CREATE FUNCTION carbonite._require_intact(ids bigint[], carbonite_prefix text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first bigint := (
        SELECT s.id
        FROM carbonite._sealed(ids, carbonite_prefix) s
        LEFT JOIN carbonite._digests(ids, carbonite_prefix) d ON d.id = s.id
        WHERE d.digest IS DISTINCT FROM s.digest
        ORDER BY s.id LIMIT 1
    );
BEGIN
    IF first IS NOT NULL THEN
        RAISE EXCEPTION 'carbonite prefix "%" is not as it was sealed', carbonite_prefix
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('Transaction %s differs.', first),
                HINT = 'See carbonite.verify().';
    END IF;
END
$$;
COMMENT ON FUNCTION carbonite._require_intact(bigint[], text) IS
    'internal: raises 55000 if transactions are not as the chain has them';

CREATE FUNCTION carbonite.purge(
    min_age interval DEFAULT '5 minutes',
    max_transactions bigint DEFAULT NULL,
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    per_entry CONSTANT bigint := 10000;
    purged bigint := 0;
    ids bigint[];
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    EXECUTE format('LOCK TABLE %I.seals IN SHARE ROW EXCLUSIVE MODE', carbonite_prefix);
    LOOP
        EXECUTE format(
            'SELECT array_agg(t.id ORDER BY t.id)
             FROM (
                 SELECT t.id
                 FROM %1$I.transactions t
                 WHERE t.id <= coalesce((SELECT min(o.last_transaction_id) FROM %1$I.outboxes o), t.id)
                     AND t.inserted_at <= clock_timestamp() AT TIME ZONE ''UTC'' - $1
                 ORDER BY t.id
                 LIMIT $2
             ) t', carbonite_prefix)
            INTO ids
            USING coalesce(min_age, '0'), least(per_entry, max_transactions - purged);
        EXIT WHEN ids IS NULL;
        IF purged = 0 THEN
            PERFORM carbonite._require_chain(carbonite_prefix); -- from then on the entries are our own
        END IF;
        PERFORM carbonite._require_intact(ids, carbonite_prefix);
        PERFORM carbonite._append_seal('purge', (
            SELECT coalesce(array_agg(s.id ORDER BY s.id), '{}') FROM carbonite._sealed(ids, carbonite_prefix) s
        ), '{}', jsonb_build_object('transactions', cardinality(ids)), NULL, NULL, NULL, carbonite_prefix);
        EXECUTE format('DELETE FROM %I.transactions t WHERE t.id = ANY ($1)', carbonite_prefix) USING ids;
        purged := purged + cardinality(ids);
    END LOOP;
    RETURN purged;
END
$$;
COMMENT ON FUNCTION carbonite.purge(interval, bigint, text) IS
    'Deletes transactions with their changes that are at least as old as min_age and that all outboxes have seen, '
    'the oldest first, at most max_transactions (default: all), and returns how many. An entry in seals tells which, so '
    'that verify() still holds. Needs ownership of the prefix. Errors: 3F000 no such prefix; 42501; 55000 if they are '
    'not as they were sealed. Example: SELECT carbonite.purge(''90 days'')';

CREATE FUNCTION carbonite._erase_from(image jsonb, columns text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT image || coalesce((SELECT jsonb_object_agg(c, '[ERASED]') FROM unnest(columns) c WHERE image ? c), '{}')
$$;
COMMENT ON FUNCTION carbonite._erase_from(jsonb, text[]) IS 'internal: an image with columns redacted';

CREATE FUNCTION carbonite.erase(
    table_prefix text,
    table_name text,
    key text[],
    columns text[],
    key_columns text[],
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    erases_key boolean := key_columns && columns;
    new_key text[];
    ids bigint[];
    sealed_ids bigint[];
    number bigint;
    erased bigint;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    IF table_prefix IS NULL OR table_name IS NULL OR key IS NULL OR columns IS NULL OR array_position(columns, NULL) IS NOT NULL THEN
        RAISE EXCEPTION 'table, key and columns to erase must not be null' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    EXECUTE format('LOCK TABLE %1$I.seals IN SHARE ROW EXCLUSIVE MODE', carbonite_prefix);
    EXECUTE format('SELECT coalesce(max(s.id), 0) + 1 FROM %I.seals s', carbonite_prefix) INTO number;
    EXECUTE format(
        'SELECT coalesce(array_agg(DISTINCT c.transaction_id ORDER BY c.transaction_id), ''{}'')
         FROM %I.changes c WHERE c.table_pk = $3 AND c.table_name = $2 AND c.table_prefix = $1', carbonite_prefix)
        INTO ids
        USING table_prefix::varchar, table_name::varchar, carbonite._stored_key(key);
    PERFORM carbonite._require_chain(carbonite_prefix);
    PERFORM carbonite._require_intact(ids, carbonite_prefix);
    SELECT array_agg(CASE WHEN key_columns[k.position] = ANY (columns) THEN format('[ERASED %s]', number) ELSE k.value END ORDER BY k.position)
    INTO new_key
    FROM unnest(key) WITH ORDINALITY AS k (value, position);
    EXECUTE format(
        'UPDATE %I.changes c
         SET data = carbonite._erase_from(c.data, $4), changed_from = carbonite._erase_from(c.changed_from, $4), table_pk = $5
         WHERE c.table_pk = $3 AND c.table_name = $2 AND c.table_prefix = $1', carbonite_prefix)
        USING table_prefix::varchar, table_name::varchar, carbonite._stored_key(key), columns, carbonite._stored_key(new_key);
    GET DIAGNOSTICS erased = ROW_COUNT;
    SELECT coalesce(array_agg(s.id ORDER BY s.id), '{}') INTO sealed_ids FROM carbonite._sealed(ids, carbonite_prefix) s;
    PERFORM carbonite._append_seal('erasure', sealed_ids, (
        SELECT coalesce(array_agg(d.digest ORDER BY d.id), '{}') FROM carbonite._digests(sealed_ids, carbonite_prefix) d
    ), jsonb_build_object('table_prefix', table_prefix, 'table_name', table_name,
        'key', CASE WHEN erases_key THEN new_key ELSE key END, 'columns', columns, 'changes', erased), NULL, NULL, NULL, carbonite_prefix);
    IF erased = 0 THEN
        RAISE NOTICE 'no changes of %.% are recorded under the key %', table_prefix, table_name, key;
    END IF;
    RETURN erased;
END
$$;
COMMENT ON FUNCTION carbonite.erase(text, text, text[], text[], text[], text) IS
    'The same for a table that is named as its changes were recorded: one that was renamed or dropped since. '
    'key_columns: names of the columns of the key; those to erase become [ERASED n] in table_pk. '
    'Example: SELECT carbonite.erase(''public'', ''hares'', ''{1}'', ''{name}'', ''{id}'')';

CREATE FUNCTION carbonite.erase(
    table_name regclass,
    key text[],
    columns text[],
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    config record;
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    SELECT * INTO config FROM carbonite._configuration(table_name, carbonite_prefix);
    IF config.id IS NULL THEN
        RAISE EXCEPTION 'changes of table % are not recorded in "%"', table_name, carbonite_prefix
            USING ERRCODE = 'undefined_object',
                HINT = 'Of a table that was recorded once: carbonite.erase(table_prefix, table_name, key, columns, key_columns).';
    END IF;
    RETURN carbonite.erase(config.table_prefix, config.recorded_name, key, columns, config.primary_key_columns, carbonite_prefix);
END
$$;
COMMENT ON FUNCTION carbonite.erase(regclass, text[], text[], text) IS
    'Redacts columns of a row over its whole history: their values become [ERASED] in data and changed_from, in the key '
    '[ERASED n]. An entry in seals tells what was erased, by whom and when, so that verify() still holds. Returns the '
    'number of changes. Needs ownership of the prefix. Errors: 3F000 no such prefix; 42704 if the table is not recorded; '
    '42501; 22004; 55000 if they are not as they were sealed. Example: SELECT carbonite.erase(''rabbits'', ''{1}'', ''{name}'')';

