-- The account's requests that may have been decided without anybody being told. told_until: they come behind what was told of their partition.
--
-- $1 tenant  $2 account
SELECT u.log_generation, u.src_partition, u.src_offset, u.order_id, u.attempt, u.currency, u.amount_minor, u.appended_at_ms,
    coalesce((SELECT max(e.account_version) FROM pg_temp.recover_event e
        WHERE e.tenant = u.tenant AND e.account_id = u.account_id AND e.src_partition = u.src_partition), 0)
FROM pg_temp.recover_untold u
WHERE u.tenant = $1::text AND u.account_id = $2::text
ORDER BY u.src_partition, u.src_offset;
