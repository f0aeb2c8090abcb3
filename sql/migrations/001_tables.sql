-- The books. Every column is explained in docs; here stands why it is stored this way.
--
-- Text columns are COLLATE "C": the batches are sorted with memcmp in C, and the database must lock and insert in that order.
-- Outcomes, reasons and states are the words that replies carry: rows can be read without this program. The lists below
-- and those in common/core/outcome.c are compared by a test.
-- A balance or an offset is in no index, so that moving it is a heap-only update.

-- One row: which books these are, and whether anybody may write in them.
CREATE TABLE paybuf.ledger (
    ledger_id uuid NOT NULL,
    incarnation timestamptz NOT NULL,           -- pg_postmaster_start_time() of the server that the workers last agreed on
    halted boolean NOT NULL DEFAULT false,
    halted_reason text COLLATE "C",
    CONSTRAINT ledger_halted_with_reason CHECK (halted = (halted_reason IS NOT NULL)),
    CONSTRAINT ledger_halted_reason CHECK (halted_reason IN ('database_rolled_back', 'log_truncated', 'log_replaced', 'requests_lost',
        'replies_lost', 'reply_log_truncated', 'foreign_ledger', 'other_group', 'other_cluster', 'poison', 'broken_invariant'))
);
CREATE UNIQUE INDEX ledger_one_row ON paybuf.ledger ((true));

-- One row per request partition: up to where it is settled (next_offset is the P of the protocol), and whose lane it is.
CREATE TABLE paybuf.processed_offset (
    topic text COLLATE "C" NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0),
    log_generation bigint NOT NULL CHECK (log_generation >= 1),
    next_offset bigint NOT NULL DEFAULT 0 CHECK (next_offset >= 0),
    replied_offset bigint NOT NULL DEFAULT 0,   -- source offset of an acknowledged reply + 1; a lazy lower bound
    reply_position bigint NOT NULL DEFAULT 0 CHECK (reply_position >= 0),   -- that reply's offset in the reply log + 1
    owner bytea CHECK (octet_length(owner) = 16),                           -- the session's random id; null before the first claim
    owner_epoch bigint NOT NULL DEFAULT 0,
    anchor_offset bigint,                       -- the last data record below next_offset, as the broker gave it
    anchor_timestamp_ms bigint,
    anchor_crc32c bigint CHECK (anchor_crc32c BETWEEN 0 AND 4294967295),
    group_id text COLLATE "C",                  -- null before the first settle
    cluster_id text COLLATE "C",
    halted_reason text COLLATE "C",
    updated_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (topic, partition),
    CONSTRAINT processed_offset_replied CHECK (replied_offset BETWEEN 0 AND next_offset),
    CONSTRAINT processed_offset_anchor CHECK (num_nulls(anchor_offset, anchor_timestamp_ms, anchor_crc32c) IN (0, 3)
        AND anchor_offset BETWEEN 0 AND next_offset - 1),
    CONSTRAINT processed_offset_halted_reason CHECK (halted_reason IN ('database_rolled_back', 'log_truncated', 'log_replaced', 'requests_lost',
        'replies_lost', 'reply_log_truncated', 'foreign_ledger', 'other_group', 'other_cluster', 'poison', 'broken_invariant'))
) WITH (
    -- A dozen rows, each rewritten with every batch: room for old versions beside them, and a vacuum that comes often.
    fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0, autovacuum_analyze_threshold = 1000
);

-- Balance = sum of adjustments - sum of paid; version counts every event of the account, starting with 1 for `open`.
CREATE TABLE paybuf.account (
    tenant text COLLATE "C" NOT NULL CHECK (octet_length(tenant) BETWEEN 1 AND 64),
    account_id text COLLATE "C" NOT NULL CHECK (octet_length(account_id) BETWEEN 1 AND 64),
    currency text COLLATE "C" NOT NULL CHECK (octet_length(currency) = 3),
    balance_minor bigint NOT NULL DEFAULT 0,
    floor_minor bigint NOT NULL DEFAULT 0,
    state text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'frozen', 'closed')),
    version bigint NOT NULL DEFAULT 1 CHECK (version >= 1),
    PRIMARY KEY (tenant, account_id),
    CONSTRAINT account_above_floor CHECK (balance_minor >= floor_minor)
) WITH (
    -- Half of each page is for the next version of its rows: the update stays on the page, no index is touched.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.2
);

-- The dedup table and the record of each decision in one. Never updated, never deleted.
CREATE TABLE paybuf.payment (
    tenant text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    attempt integer NOT NULL CHECK (attempt BETWEEN 1 AND 99),
    account_id text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND 9007199254740991),
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C",
    balance_after_minor bigint,                 -- for a decline the balance it was judged by; null for unknown_account
    account_version bigint,
    log_generation bigint NOT NULL,             -- where the record lies that was decided
    src_partition integer NOT NULL,
    src_offset bigint NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, order_id, attempt),
    CONSTRAINT payment_decision CHECK (
        CASE outcome
            WHEN 'paid' THEN reason IS NULL AND num_nulls(balance_after_minor, account_version) = 0
            WHEN 'declined' THEN reason IN ('unknown_account', 'account_closed', 'account_frozen', 'currency_mismatch', 'insufficient_funds')
                AND num_nulls(balance_after_minor, account_version) = CASE reason WHEN 'unknown_account' THEN 2 ELSE 0 END
            ELSE false
        END IS TRUE)
) WITH (
    -- Only ever appended to: vacuum now and then for the visibility map and freezing, in bites of the same size however large it is.
    autovacuum_vacuum_insert_threshold = 1000000, autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_analyze_threshold = 100000, autovacuum_analyze_scale_factor = 0.1
);

-- One row per record answered `invalid`. The owner may clean rows older than 30 days and below replied_offset.
CREATE TABLE paybuf.refusal (
    log_generation bigint NOT NULL,
    src_partition integer NOT NULL,
    src_offset bigint NOT NULL,
    code text COLLATE "C" NOT NULL CHECK (code IN ('too_large', 'malformed_json', 'bad_field', 'bad_tenant', 'key_mismatch', 'attempt_out_of_sequence')),
    field text COLLATE "C" CHECK (field IN ('order_id', 'attempt', 'account_id', 'amount_minor', 'currency', 'metadata')),
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (log_generation, src_partition, src_offset)
);

-- Everything that changes an account and isn't a payment. amount_minor is never negative but for kind `floor`: the kind gives the
-- sign (open and credit add, debit takes), 0 for freeze, unfreeze and close, the new floor for floor.
CREATE TABLE paybuf.adjustment (
    tenant text COLLATE "C" NOT NULL,
    adjustment_id text COLLATE "C" NOT NULL CHECK (octet_length(adjustment_id) BETWEEN 1 AND 128),
    account_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    amount_minor bigint NOT NULL,
    account_version bigint NOT NULL CHECK (account_version >= 1),
    note text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
    PRIMARY KEY (tenant, adjustment_id),
    FOREIGN KEY (tenant, account_id) REFERENCES paybuf.account,
    CONSTRAINT adjustment_amount CHECK (
        CASE kind
            WHEN 'open' THEN amount_minor >= 0 AND account_version = 1
            WHEN 'credit' THEN amount_minor > 0
            WHEN 'debit' THEN amount_minor > 0
            WHEN 'freeze' THEN amount_minor = 0
            WHEN 'unfreeze' THEN amount_minor = 0
            WHEN 'close' THEN amount_minor = 0
            WHEN 'floor' THEN true
            ELSE false
        END)
);

-- Stops a transaction whose COMMIT is already on its way: a pipeline's row counts are read too late to decide on them in C.
CREATE FUNCTION paybuf.require(holds boolean, what text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $function$
BEGIN
    IF holds IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'PB001', MESSAGE = what;
    END IF;
    RETURN true;
END
$function$;

REVOKE ALL ON SCHEMA paybuf FROM PUBLIC;
REVOKE ALL ON FUNCTION paybuf.require(boolean, text) FROM PUBLIC;
GRANT USAGE ON SCHEMA paybuf TO paybuf_worker, paybuf_reader;
GRANT EXECUTE ON FUNCTION paybuf.require(boolean, text) TO paybuf_worker, paybuf_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA paybuf TO paybuf_worker, paybuf_reader;
GRANT UPDATE (incarnation, halted, halted_reason) ON paybuf.ledger TO paybuf_worker;
GRANT INSERT, UPDATE ON paybuf.processed_offset TO paybuf_worker;
GRANT UPDATE (balance_minor, version) ON paybuf.account TO paybuf_worker;
GRANT INSERT ON paybuf.payment, paybuf.refusal TO paybuf_worker;
