-- $1 topic: the Kafka cluster that its lanes belong to (null before the first settle). One row per cluster; one is right.
SELECT DISTINCT cluster_id FROM paybuf.processed_offset WHERE topic = $1::text;
