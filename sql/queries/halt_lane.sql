-- $1 topic  $2 partition  $3 owner  $4 epoch  $5 reason: only the session that holds the lane may halt it.
UPDATE paybuf.processed_offset
SET halted_reason = $5::text, updated_at = now()
WHERE topic = $1::text AND partition = $2::int4 AND owner = $3::bytea AND owner_epoch = $4::int8 AND halted_reason IS NULL;
