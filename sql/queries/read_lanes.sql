-- Every partition's row, columns as in claim_take, in partition order, without any lock.
--
-- $1 topic  $2 group  $3 cluster (null: unknown)  $4 at most so many
SELECT partition, log_generation, next_offset, replied_offset, reply_position, owner, owner_epoch,
    anchor_offset, anchor_timestamp_ms, anchor_crc32c, coalesce(group_id = $2::text, true), coalesce(cluster_id = $3::text, true), halted_reason
FROM paybuf.processed_offset
WHERE topic = $1::text
ORDER BY partition
LIMIT $4::int8;
