-- $1 topic  $2 cluster now  $3 cluster then  $4 owner: as recover_move_group.
WITH locked AS (SELECT partition FROM paybuf.processed_offset WHERE topic = $1::text AND cluster_id = $2::text ORDER BY partition FOR UPDATE)
UPDATE paybuf.processed_offset p SET cluster_id = $3::text, owner = $4::bytea, owner_epoch = owner_epoch + 1, updated_at = now()
FROM locked l WHERE p.topic = $1::text AND p.partition = l.partition;
