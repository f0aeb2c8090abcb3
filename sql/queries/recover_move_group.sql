-- $1 topic  $2 group now  $3 group then  $4 owner: lanes change hands by name. A new epoch: the old group's sessions are over.
WITH locked AS (SELECT partition FROM paybuf.processed_offset WHERE topic = $1::text AND group_id = $2::text ORDER BY partition FOR UPDATE)
UPDATE paybuf.processed_offset p SET group_id = $3::text, owner = $4::bytea, owner_epoch = owner_epoch + 1, updated_at = now()
FROM locked l WHERE p.topic = $1::text AND p.partition = l.partition;
