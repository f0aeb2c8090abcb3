-- All lanes, locked in the global order first.
WITH locked AS (SELECT topic, partition FROM paybuf.processed_offset ORDER BY topic, partition FOR UPDATE)
DELETE FROM paybuf.processed_offset p USING locked l WHERE p.topic = l.topic AND p.partition = l.partition;
