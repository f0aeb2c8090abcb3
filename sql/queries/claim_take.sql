-- Takes a lane: from the moment this commits, no other session's settle can commit for the partition.
-- A lane that is halted, or belongs to another group or cluster, stays as it is (a worker started with the wrong group must not
-- fence the right one); claim_read then tells. Runs with lock_timeout 1 s.
--
-- $1 topic  $2 partition  $3 owner  $4 group  $5 cluster (null: unknown)
UPDATE paybuf.processed_offset
SET owner = $3::bytea, owner_epoch = owner_epoch + 1, updated_at = now()
WHERE topic = $1::text AND partition = $2::int4 AND halted_reason IS NULL
    AND coalesce(group_id = $4::text, true) AND coalesce(cluster_id = $5::text, true)
RETURNING partition, log_generation, next_offset, replied_offset, reply_position, owner, owner_epoch,
    anchor_offset, anchor_timestamp_ms, anchor_crc32c, coalesce(group_id = $4::text, true), coalesce(cluster_id = $5::text, true), halted_reason;
