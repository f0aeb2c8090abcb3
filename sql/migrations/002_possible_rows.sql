-- A row lies where a record can, and was written at a moment. Rows that don't were changed by hand: the first is named, nothing is changed.
-- Reads both tables under a lock, twice: workers wait, and begin again.
DO $check$
DECLARE
    broken text;
BEGIN
    LOCK TABLE paybuf.payment, paybuf.refusal IN ACCESS EXCLUSIVE MODE;
    SELECT pg_catalog.format('payment of order %s/%s, attempt %s, at %s-%s-%s, decided %s', tenant, order_id, attempt, log_generation, src_partition, src_offset, decided_at)
    INTO broken FROM paybuf.payment
    WHERE log_generation < 1 OR src_partition < 0 OR src_offset < 0 OR NOT isfinite(decided_at) LIMIT 1;
    IF broken IS NULL THEN
        SELECT pg_catalog.format('refusal at %s-%s-%s, decided %s', log_generation, src_partition, src_offset, decided_at)
        INTO broken FROM paybuf.refusal
        WHERE log_generation < 1 OR src_partition < 0 OR src_offset < 0 OR NOT isfinite(decided_at) LIMIT 1;
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            MESSAGE = 'a row holds a value that paybuf doesn''t write: ' || broken,
            HINT = 'put back what it held (a backup, its reply, its request record), then paybuf init again';
    END IF;
END
$check$;
ALTER TABLE paybuf.payment ADD CONSTRAINT payment_possible
    CHECK (log_generation >= 1 AND src_partition >= 0 AND src_offset >= 0 AND isfinite(decided_at));
ALTER TABLE paybuf.refusal ADD CONSTRAINT refusal_possible
    CHECK (log_generation >= 1 AND src_partition >= 0 AND src_offset >= 0 AND isfinite(decided_at));
