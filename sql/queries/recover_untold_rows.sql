-- The decisions of a lane's records that no reply told, in log order: to be told from their rows.
--
-- $1 generation  $2 partition  $3 from  $4 until  $5 at most so many
SELECT tenant, order_id, attempt, account_id, currency, amount_minor, outcome, reason, balance_after_minor, account_version,
    log_generation, src_partition, src_offset, (extract(epoch FROM decided_at) * 1000000)::int8
FROM paybuf.payment WHERE log_generation = $1::int8 AND src_partition = $2::int4 AND src_offset >= $3::int8 AND src_offset < $4::int8
ORDER BY src_offset LIMIT $5::int8;
