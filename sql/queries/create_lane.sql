-- A row for a partition that has none, at 0 (a topic that grew). Its generation is the topic's lowest: `init --first-generation`
-- said it once for all partitions. Two workers at once: the second gets 23505, which it takes as done.
--
-- $1 topic  $2 partition
INSERT INTO paybuf.processed_offset (topic, partition, log_generation)
SELECT $1::text, $2::int4, coalesce((SELECT min(log_generation) FROM paybuf.processed_offset WHERE topic = $1::text), 1);
