-- The same columns as claim_take, without touching anything: for a lane that is halted, or has no row.
--
-- $1 topic  $2 partition  $3 group  $4 cluster (null: unknown)
SELECT partition, log_generation, next_offset, replied_offset, reply_position, owner, owner_epoch,
    anchor_offset, anchor_timestamp_ms, anchor_crc32c, coalesce(group_id = $3::text, true), coalesce(cluster_id = $4::text, true), halted_reason
FROM paybuf.processed_offset
WHERE topic = $1::text AND partition = $2::int4;
