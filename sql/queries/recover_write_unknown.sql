-- The declines that saw no account.
INSERT INTO paybuf.payment (tenant, order_id, attempt, account_id, currency, amount_minor, outcome, reason, balance_after_minor,
    account_version, log_generation, src_partition, src_offset, decided_at)
SELECT e.tenant, e.order_id, e.attempt, e.account_id, e.currency, e.amount_minor, e.outcome, e.reason, e.balance_after_minor,
    e.account_version, e.log_generation, e.src_partition, e.src_offset, e.decided_at
FROM pg_temp.recover_event e
WHERE NOT e.on_file AND e.account_version IS NULL
ORDER BY e.tenant, e.order_id, e.attempt;
