-- $1 tenant  $2 order: every attempt on file.
SELECT attempt, outcome, reason, account_id, amount_minor, currency, balance_after_minor, account_version,
    log_generation::text || '-' || src_partition::text || '-' || src_offset::text,
    to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM paybuf.payment
WHERE tenant = $1::text AND order_id = $2::text
ORDER BY attempt;
