-- $1 topic  $2 partition
SELECT log_generation, next_offset, replied_offset, reply_position, owner_epoch, anchor_offset, anchor_timestamp_ms, anchor_crc32c, group_id,
    halted_reason, cluster_id
FROM paybuf.processed_offset WHERE topic = $1::text AND partition = $2::int4;
