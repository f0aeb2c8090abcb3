-- Every lane gets an owner that no worker is: a fence that waits for these locks finds another epoch. updated_at stays: it tells how
-- old the database is.
--
-- $1 topic  $2 owner
WITH locked AS (SELECT topic, partition FROM paybuf.processed_offset WHERE topic = $1::text ORDER BY topic, partition FOR UPDATE)
UPDATE paybuf.processed_offset p SET owner = $2::bytea, owner_epoch = p.owner_epoch + 1
FROM locked l WHERE p.topic = l.topic AND p.partition = l.partition;
