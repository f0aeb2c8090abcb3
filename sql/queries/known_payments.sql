-- What is on file about the batch's orders: all attempts. Used by the settle after the account locks (a read before them would be
-- older than the lock wait: two debits, seen) and by reply-only look-ups.
--
-- OFFSET 0 keeps the planner from pulling the subquery up: a nested loop over the primary key by (tenant, order_id), always.
-- The LIMIT keeps a flood of attempts out of the worker's memory; one row too many makes it halve the batch.
--
-- $1 tenants  $2 order ids (each pair once)  $3 at most so many rows
SELECT u.nth, p.attempt, p.account_id, p.currency, p.amount_minor, p.outcome, p.reason, p.balance_after_minor, p.account_version,
    p.log_generation, p.src_partition, p.src_offset, p.decided_at
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (tenant, order_id, nth)
CROSS JOIN LATERAL (
    SELECT x.*
    FROM paybuf.payment x
    WHERE x.tenant = u.tenant AND x.order_id = u.order_id
    OFFSET 0
) p
LIMIT $3::int8;
