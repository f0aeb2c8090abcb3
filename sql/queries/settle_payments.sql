-- Second half: the decisions, in primary key order (two batches in different orders deadlock: seen).
--
-- Plain INSERT, never ON CONFLICT: its row count would be read after the COMMIT ran, and a row skipped in silence would still debit
-- (seen: two debits for one identity). A duplicate key stops everything with 23505, and the batch is done again.
-- A decision without a reason is paid; decided_at is now(), the same that the first half returned.
--
-- $1 tenant  $2 order id  $3 attempt  $4 account  $5 currency  $6 amount  $7 reason (null: paid)  $8 balance after  $9 version
-- $10 generation  $11 partition  $12 offset
INSERT INTO paybuf.payment (tenant, order_id, attempt, account_id, currency, amount_minor, outcome, reason, balance_after_minor,
    account_version, log_generation, src_partition, src_offset, decided_at)
SELECT d.tenant, d.order_id, d.attempt, d.account_id, d.currency, d.amount, CASE WHEN d.reason IS NULL THEN 'paid' ELSE 'declined' END,
    d.reason, d.balance_after, d.version, d.generation, d.partition, d.source_offset, now()
FROM unnest($1::text[], $2::text[], $3::int4[], $4::text[], $5::text[], $6::int8[], $7::text[], $8::int8[], $9::int8[],
    $10::int8[], $11::int4[], $12::int8[])
    AS d (tenant, order_id, attempt, account_id, currency, amount, reason, balance_after, version, generation, partition, source_offset);
