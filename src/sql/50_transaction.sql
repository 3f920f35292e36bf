-- The current transaction: who and why.

CREATE FUNCTION carbonite.insert_transaction(
    meta jsonb DEFAULT '{}',
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS carbonite.transaction
LANGUAGE c AS 'MODULE_PATHNAME', 'carbonite_insert_transaction';
COMMENT ON FUNCTION carbonite.insert_transaction(jsonb, text) IS
    'Inserts the current transaction''s row of <prefix>.transactions with meta merged over carbonite.meta, and '
    'returns it. A second call in the same transaction changes nothing and returns the first row. Needs '
    'USAGE of the prefix''s schema and no other privilege there. Errors: 3F000 no such prefix; 42501; 22023 if '
    'meta or carbonite.meta is not a JSON object. '
    'Example: SELECT carbonite.insert_transaction(''{"type": "rabbit_inserted", "user_id": 1}'')';

CREATE FUNCTION carbonite.current_transaction(carbonite_prefix text DEFAULT 'carbonite_default')
RETURNS carbonite.transaction
LANGUAGE c AS 'MODULE_PATHNAME', 'carbonite_current_transaction';
COMMENT ON FUNCTION carbonite.current_transaction(text) IS
    'The current transaction''s row of <prefix>.transactions, or null. Errors: 3F000 no such prefix. '
    'Example: SELECT (carbonite.current_transaction()).id';

CREATE FUNCTION carbonite.delete_transaction_if_empty(carbonite_prefix text DEFAULT 'carbonite_default')
RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'carbonite_delete_transaction_if_empty';
COMMENT ON FUNCTION carbonite.delete_transaction_if_empty(text) IS
    'Deletes the current transaction''s row if no change was recorded; returns the number of deleted '
    'rows, 0 or 1. Errors: 3F000 no such prefix. Example: SELECT carbonite.delete_transaction_if_empty()';

CREATE FUNCTION carbonite.meta() RETURNS jsonb
LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'carbonite_meta';
COMMENT ON FUNCTION carbonite.meta() IS
    'The setting carbonite.meta as a JSON object, {} if it is not set. Errors: 22023 with the position if it '
    'is not one. Example: SELECT carbonite.meta() ->> ''user_id''';

CREATE FUNCTION carbonite.put_meta(key text, value anyelement, is_local boolean DEFAULT true)
RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    merged jsonb := carbonite.meta() || jsonb_build_object(key, value);
BEGIN
    PERFORM set_config('carbonite.meta', merged::text, is_local);
    RETURN merged;
END
$$;
COMMENT ON FUNCTION carbonite.put_meta(text, anyelement, boolean) IS
    'Sets one key of the setting carbonite.meta, until the end of the transaction or, with is_local false, of the '
    'session; returns the merged object. It must come before the transactions row is inserted. Errors: 22023 if '
    'key is null or carbonite.meta is not a JSON object. Example: SELECT carbonite.put_meta(''user_id'', 42)';

CREATE FUNCTION carbonite.put_meta(key text, value text, is_local boolean DEFAULT true)
RETURNS jsonb
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT carbonite.put_meta(key, to_jsonb(value), is_local)
$$;
COMMENT ON FUNCTION carbonite.put_meta(text, text, boolean) IS
    'The same for a text. Example: SELECT carbonite.put_meta(''type'', ''rabbit_inserted'')';

CREATE FUNCTION carbonite.override_mode(
    mode text DEFAULT 'override',
    carbonite_prefix text DEFAULT 'carbonite_default'
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM carbonite._require_prefix(carbonite_prefix);
    PERFORM carbonite._check_choice('mode', mode, '{capture,ignore,override}');
    PERFORM set_config(carbonite_prefix || '.override_mode', mode, true);
END
$$;
COMMENT ON FUNCTION carbonite.override_mode(text, text) IS
    'Overrides the mode of every table of a prefix until the end of the transaction: capture and ignore '
    'replace it, override swaps the two. Null or the empty text ends it. Errors: 3F000 no such prefix; 22023. '
    'Example: SELECT carbonite.override_mode(''ignore'')';

