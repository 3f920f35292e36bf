-- The order of the history index; the operator class that changes.table_pk is indexed with.

CREATE FUNCTION carbonite._compare_keys(a anyarray, b anyarray) RETURNS integer
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'carbonite_compare_keys';
COMMENT ON FUNCTION carbonite._compare_keys(anyarray, anyarray) IS
    'internal: the order of carbonite.key_ops';

CREATE FUNCTION carbonite._equal_keys_look_equal(type oid) RETURNS boolean
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'carbonite_equal_keys_look_equal';
COMMENT ON FUNCTION carbonite._equal_keys_look_equal(oid) IS
    'internal: may a btree with carbonite.key_ops store equal keys once';

CREATE FUNCTION carbonite._key_lt(a anyarray, b anyarray) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT carbonite._compare_keys(a, b) < 0 $$;
CREATE FUNCTION carbonite._key_le(a anyarray, b anyarray) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT carbonite._compare_keys(a, b) <= 0 $$;
CREATE FUNCTION carbonite._key_ge(a anyarray, b anyarray) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT carbonite._compare_keys(a, b) >= 0 $$;
CREATE FUNCTION carbonite._key_gt(a anyarray, b anyarray) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT carbonite._compare_keys(a, b) > 0 $$;
COMMENT ON FUNCTION carbonite._key_lt(anyarray, anyarray) IS 'internal: the operator carbonite.~<~';
COMMENT ON FUNCTION carbonite._key_le(anyarray, anyarray) IS 'internal: the operator carbonite.~<=~';
COMMENT ON FUNCTION carbonite._key_ge(anyarray, anyarray) IS 'internal: the operator carbonite.~>=~';
COMMENT ON FUNCTION carbonite._key_gt(anyarray, anyarray) IS 'internal: the operator carbonite.~>~';

CREATE OPERATOR carbonite.~<~ (LEFTARG = anyarray, RIGHTARG = anyarray, FUNCTION = carbonite._key_lt,
    COMMUTATOR = OPERATOR(carbonite.~>~), NEGATOR = OPERATOR(carbonite.~>=~), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR carbonite.~<=~ (LEFTARG = anyarray, RIGHTARG = anyarray, FUNCTION = carbonite._key_le,
    COMMUTATOR = OPERATOR(carbonite.~>=~), NEGATOR = OPERATOR(carbonite.~>~), RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR carbonite.~>=~ (LEFTARG = anyarray, RIGHTARG = anyarray, FUNCTION = carbonite._key_ge,
    COMMUTATOR = OPERATOR(carbonite.~<=~), NEGATOR = OPERATOR(carbonite.~<~), RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR carbonite.~>~ (LEFTARG = anyarray, RIGHTARG = anyarray, FUNCTION = carbonite._key_gt,
    COMMUTATOR = OPERATOR(carbonite.~<~), NEGATOR = OPERATOR(carbonite.~<=~), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR carbonite.~<~ (anyarray, anyarray) IS 'comes before, in the order of carbonite.key_ops';
COMMENT ON OPERATOR carbonite.~<=~ (anyarray, anyarray) IS 'comes before or is equal, in the order of carbonite.key_ops';
COMMENT ON OPERATOR carbonite.~>=~ (anyarray, anyarray) IS 'comes after or is equal, in the order of carbonite.key_ops';
COMMENT ON OPERATOR carbonite.~>~ (anyarray, anyarray) IS 'comes after, in the order of carbonite.key_ops';

CREATE OPERATOR FAMILY carbonite.key_ops USING btree;
COMMENT ON OPERATOR FAMILY carbonite.key_ops USING btree IS 'equality of arrays, in an order that is cheap to find out';
CREATE OPERATOR CLASS carbonite.key_ops FOR TYPE anyarray USING btree FAMILY carbonite.key_ops AS
    OPERATOR 1 carbonite.~<~ (anyarray, anyarray),
    OPERATOR 2 carbonite.~<=~ (anyarray, anyarray),
    OPERATOR 3 pg_catalog.= (anyarray, anyarray),
    OPERATOR 4 carbonite.~>=~ (anyarray, anyarray),
    OPERATOR 5 carbonite.~>~ (anyarray, anyarray),
    FUNCTION 1 carbonite._compare_keys(anyarray, anyarray),
    FUNCTION 4 carbonite._equal_keys_look_equal(oid);
COMMENT ON OPERATOR CLASS carbonite.key_ops USING btree IS
    'for an index of changes.table_pk: serves = only, and costs less than array_ops';
