-- $1 batch
INSERT INTO paybuf.payment (tenant, order_id, attempt, account_id, currency, amount_minor, outcome, reason, balance_after_minor,
    account_version, log_generation, src_partition, src_offset, decided_at)
SELECT e.tenant, e.order_id, e.attempt, e.account_id, e.currency, e.amount_minor, e.outcome, e.reason, e.balance_after_minor,
    e.account_version, e.log_generation, e.src_partition, e.src_offset, e.decided_at
FROM pg_temp.recover_account r
JOIN pg_temp.recover_event e ON e.tenant = r.tenant AND e.account_id = r.account_id AND e.account_version IS NOT NULL
WHERE r.batch = $1::int4 AND NOT e.on_file
ORDER BY e.tenant, e.order_id, e.attempt;
