-- $1 generation  $2 partition  $3 offset  $4 tenant  $5 order: what would answer the record at this position.
SELECT (SELECT count(*) FROM paybuf.refusal WHERE log_generation = $1::int8 AND src_partition = $2::int4 AND src_offset = $3::int8),
    (SELECT count(*) FROM paybuf.payment WHERE tenant = $4::text AND order_id = $5::text);
