-- How far every partition is settled and answered, for the intake's reader. $1 topic
SELECT partition, log_generation, next_offset, replied_offset
FROM paybuf.processed_offset
WHERE topic = $1::text
ORDER BY partition;
