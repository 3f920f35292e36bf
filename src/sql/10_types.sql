-- Types of what the functions return, the same for every prefix.

CREATE TYPE carbonite.transaction AS (
    id bigint,
    xact_id xid8,
    meta jsonb,
    inserted_at timestamp
);
COMMENT ON TYPE carbonite.transaction IS 'a row of <prefix>.transactions';

CREATE TYPE carbonite.change AS (
    id bigint,
    transaction_xact_id xid8,
    op text,
    table_prefix text,
    table_name text,
    table_pk text[],
    data jsonb,
    changed text[],
    transaction_id bigint,
    changed_from jsonb,
    data_is_partial boolean,
    command text
);
COMMENT ON TYPE carbonite.change IS 'a row of <prefix>.changes';

