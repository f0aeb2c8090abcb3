-- Before recover publishes for a lane: halted, so that no worker takes it, and with an epoch of its own.
--
-- $1 topic  $2 partition  $3 owner  $4 generation  $5 P  $6 epoch before  $7 reason
WITH held AS (
    UPDATE paybuf.processed_offset SET owner = $3::bytea, owner_epoch = owner_epoch + 1, halted_reason = coalesce(halted_reason, $7::text)
    WHERE topic = $1::text AND partition = $2::int4 AND log_generation = $4::int8 AND next_offset = $5::int8 AND owner_epoch = $6::int8
    RETURNING 1
)
SELECT paybuf.require((SELECT count(*) FROM held) = 1, 'the lane moved while it was looked at; run it again');
