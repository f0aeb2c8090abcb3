-- Every payment row as text, times in microseconds, by primary key: what a dump holds and an audit's hash covers.
SELECT tenant, order_id, attempt, account_id, currency, amount_minor, outcome, reason, balance_after_minor, account_version,
    log_generation, src_partition, src_offset, (extract(epoch FROM decided_at) * 1000000)::int8
FROM paybuf.payment
ORDER BY tenant, order_id, attempt;
