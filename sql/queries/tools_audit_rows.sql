-- The rows of one lane from a log offset on, to say which of them have no record. The order_id is null for a refusal.
--
-- $1 generation  $2 partition  $3 log start
SELECT src_offset, tenant, order_id, attempt FROM paybuf.payment WHERE log_generation = $1::int8 AND src_partition = $2::int4 AND src_offset >= $3::int8
UNION ALL
SELECT src_offset, NULL, NULL, NULL FROM paybuf.refusal WHERE log_generation = $1::int8 AND src_partition = $2::int4 AND src_offset >= $3::int8;
