-- $1 topic: every lane as `status` and `audit` show it.
SELECT partition, log_generation, next_offset, replied_offset, reply_position, encode(owner, 'hex'), owner_epoch, group_id, halted_reason,
    to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), anchor_offset
FROM paybuf.processed_offset
WHERE topic = $1::text
ORDER BY partition;
