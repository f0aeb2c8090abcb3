-- The lanes as the reply log says they were, and a new epoch, so that no session of before goes on.
--
-- $1 topic  $2 owner   per lane: $3 partition  $4 generation before  $5 P before  $6 generation  $7 P  $8 reply position
-- $9 anchor offset  $10 anchor time  $11 anchor crc
WITH moved AS (
    UPDATE paybuf.processed_offset p
    SET log_generation = u.generation, next_offset = u.processed, replied_offset = u.processed, reply_position = u.reply_position,
        anchor_offset = u.anchor, anchor_timestamp_ms = u.anchor_time, anchor_crc32c = u.anchor_crc,
        owner = $2::bytea, owner_epoch = p.owner_epoch + 1, updated_at = now()
    FROM unnest($3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[])
        AS u (partition, generation_before, processed_before, generation, processed, reply_position, anchor, anchor_time, anchor_crc)
    WHERE p.topic = $1::text AND p.partition = u.partition AND p.log_generation = u.generation_before AND p.next_offset = u.processed_before
    RETURNING 1
)
SELECT paybuf.require((SELECT count(*) FROM moved) = cardinality($3::int4[]), 'a lane moved while recover worked on it; run it again');
