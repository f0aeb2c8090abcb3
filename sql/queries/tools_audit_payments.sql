-- What is on file about these orders, times in microseconds. OFFSET 0 and LIMIT as in known_payments.sql.
--
-- $1 tenants  $2 order ids (each pair once)  $3 at most so many rows
SELECT u.nth, p.attempt, p.account_id, p.currency, p.amount_minor, p.outcome, p.reason, p.balance_after_minor, p.account_version,
    p.log_generation, p.src_partition, p.src_offset, (extract(epoch FROM p.decided_at) * 1000000)::int8
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u (tenant, order_id, nth)
CROSS JOIN LATERAL (SELECT x.* FROM paybuf.payment x WHERE x.tenant = u.tenant AND x.order_id = u.order_id OFFSET 0) p
LIMIT $3::int8;
