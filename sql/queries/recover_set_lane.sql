-- Opens a lane again where a person said so, as it was looked at: nobody else moved it meanwhile. A new epoch, so that no session of before goes on.
--
-- $1 topic  $2 partition  $3 owner  $4 generation before  $5 P before  $6 epoch before  $7 generation  $8 P  $9 replied offset
-- $10 reply position  $11 anchor offset  $12 anchor time  $13 anchor crc
WITH moved AS (
    UPDATE paybuf.processed_offset
    SET owner = $3::bytea, owner_epoch = owner_epoch + 1, log_generation = $7::int8, next_offset = $8::int8, replied_offset = $9::int8,
        reply_position = $10::int8, anchor_offset = $11::int8, anchor_timestamp_ms = $12::int8, anchor_crc32c = $13::int8,
        halted_reason = NULL, updated_at = now()
    WHERE topic = $1::text AND partition = $2::int4 AND log_generation = $4::int8 AND next_offset = $5::int8 AND owner_epoch = $6::int8
    RETURNING 1
)
SELECT paybuf.require((SELECT count(*) FROM moved) = 1, 'the lane moved while it was looked at; run it again');
