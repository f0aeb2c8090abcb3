-- $1 topic: the lowest generation of its lanes, null when it has none. New lanes of the topic begin there.
SELECT min(log_generation) FROM paybuf.processed_offset WHERE topic = $1::text;
