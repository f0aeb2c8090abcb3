-- Rows for partitions 0..n-1 that have none yet.
--
-- $1 topic  $2 partition count  $3 generation
INSERT INTO paybuf.processed_offset (topic, partition, log_generation)
SELECT $1::text, n, $3::int8
FROM generate_series(0, $2::int4 - 1) n
WHERE NOT EXISTS (SELECT FROM paybuf.processed_offset p WHERE p.topic = $1::text AND p.partition = n)
ORDER BY n;
